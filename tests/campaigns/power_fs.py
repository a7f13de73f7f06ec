"""A file system whose machine can lose its power: what was not flushed is kept, dropped or torn, as the dice fall.

It speaks the kernel's FUSE protocol itself (/dev/fuse, no library) and keeps everything in memory, twice: as programs
see it, and as the medium holds it. A write reaches the medium at `fsync` of its file; a name (create, rename, unlink,
mkdir) at `fsync` of its folder. At a power cut

- of the writes that wait, each sector of 512 bytes survives or not by itself: writes are dropped, torn and reordered;
- of the changes of names that wait, a first part survives, in their order, as a journal keeps them;
- what was flushed survives. Sectors beside a written one are never harmed; a disk that lies about flushes is not
  played.

`Disk` mounts one, cuts its power and mounts what survived, for any campaign; the product runs unmodified on top:

    with Disk(folder / "state", seed=3) as disk:
        ...            # start the agent with its state folder there
        disk.cut()     # at once nothing is answered any more: whoever writes hangs. Then kill the agent, and
        disk.restore() # mounts what survived at the same place

Needs root and /dev/fuse: `available()` says why not. As a program it is the file system's own process.
"""

import argparse
import ctypes
import errno
import json
import os
import random
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

SECTOR_BYTES = 512
WRITE_BYTES_MAX = 131_072
ROOT = 1
FOREVER_S = 3600
MOUNT_S_MAX = 10.0
_DETACH = 2  # MNT_DETACH
_IN = struct.Struct("<IIQQIIIHH")
_OUT = struct.Struct("<IiQ")
_ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
_KEEP_CACHE = 2
(LOOKUP, FORGET, GETATTR, SETATTR) = (1, 2, 3, 4)
(MKNOD, MKDIR, UNLINK, RMDIR, RENAME) = (8, 9, 10, 11, 12)
(OPEN, READ, WRITE, STATFS, RELEASE, FSYNC) = (14, 15, 16, 17, 18, 20)
(FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, FSYNCDIR) = (25, 26, 27, 28, 29, 30)
(ACCESS, CREATE, INTERRUPT, DESTROY, BATCH_FORGET, RENAME2) = (34, 35, 36, 38, 42, 45)
_SILENT = (FORGET, BATCH_FORGET, INTERRUPT)
_SET_MODE, _SET_UID, _SET_GID, _SET_SIZE = 1, 2, 4, 8


@dataclass
class Node:
    """A file, folder or socket."""

    mode: int
    uid: int = 0
    gid: int = 0
    data: bytearray = field(default_factory=bytearray)
    kept: bytearray = field(default_factory=bytearray)  # on the medium
    waiting: list[tuple[int, bytes | None]] = field(default_factory=list)  # writes; None: cut to this length
    names: dict[bytes, int] = field(default_factory=dict)
    kept_names: dict[bytes, int] = field(default_factory=dict)
    changed_s: int = 0

    def apply(self, at: int, part: bytes | None) -> None:
        """Changes what the medium holds."""
        _put(self.kept, at, part)


def _put(into: bytearray, at: int, part: bytes | None) -> None:
    if part is None:
        if at < len(into):
            del into[at:]
        else:
            into.extend(bytes(at - len(into)))
        return
    if at > len(into):
        into.extend(bytes(at - len(into)))
    into[at : at + len(part)] = part


class Refused(Exception):
    """Answered with an error number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Medium:
    """Files and names, as seen and as held."""

    def __init__(self, seed: int, bytes_max: int) -> None:
        self.nodes: dict[int, Node] = {ROOT: Node(stat.S_IFDIR | 0o755)}
        self.next = ROOT + 1
        self.journal: list[tuple[int, dict[bytes, int | None]]] = []  # folder, names that changed in it
        self.dice = random.Random(f"power {seed}")
        self.bytes_max = bytes_max
        self.flushes = 0

    def new(self, parent: int, name: bytes, mode: int, header: tuple[int, int]) -> int:
        number, self.next = self.next, self.next + 1
        self.nodes[number] = Node(mode, *header, changed_s=int(time.time()))
        self.rename_all((parent, {name: number}))
        return number

    def rename_all(self, *changes: tuple[int, dict[bytes, int | None]]) -> None:
        """Changes names at once, in one entry of the journal each folder."""
        for folder, names in changes:
            for name, number in names.items():
                if number is None:
                    self.nodes[folder].names.pop(name, None)
                else:
                    self.nodes[folder].names[name] = number
            self.journal.append((folder, names))

    def write(self, node: Node, at: int, part: bytes | None) -> None:
        if part is not None and sum(len(one.data) for one in self.nodes.values()) + len(part) > self.bytes_max:
            raise Refused(errno.ENOSPC)
        _put(node.data, at, part)
        node.waiting.append((at, part))
        node.changed_s = int(time.time())

    def flush(self, node: Node) -> None:
        for at, part in node.waiting:
            node.apply(at, part)
        node.waiting.clear()
        self.flushes += 1

    def flush_names(self, count: int | None = None) -> None:
        """A journal keeps an order: a folder's flush brings everything before it."""
        for folder, names in self.journal[:count]:
            for name, number in names.items():
                if number is None:
                    self.nodes[folder].kept_names.pop(name, None)
                else:
                    self.nodes[folder].kept_names[name] = number
        del self.journal[:count]

    def cut(self) -> dict[str, int]:
        """The power goes: decides what survives of that which waits."""
        counts = {"writes_waiting": 0, "sectors_waiting": 0, "sectors_kept": 0, "names_waiting": len(self.journal)}
        share = self.dice.choice((0.0, 0.5, 0.5, 0.9, 1.0))
        for number in sorted(self.nodes):
            node = self.nodes[number]
            for at, part in node.waiting:
                counts["writes_waiting"] += 1
                if part is None:
                    if self.dice.random() < share:
                        node.apply(at, None)
                    continue
                for low in range(0, len(part), SECTOR_BYTES):
                    counts["sectors_waiting"] += 1
                    if self.dice.random() < share:
                        counts["sectors_kept"] += 1
                        node.apply(at + low, part[low : low + SECTOR_BYTES])
        self.flush_names(self.dice.randint(0, len(self.journal)))
        return counts

    def save(self, folder: Path, number: int = ROOT) -> None:
        """Writes what the medium holds into an ordinary folder."""
        for name, child in self.nodes[number].kept_names.items():
            node = self.nodes[child]
            path = folder / os.fsdecode(name)
            if stat.S_ISDIR(node.mode):
                path.mkdir(exist_ok=True)
                self.save(path, child)
            elif stat.S_ISREG(node.mode):
                path.write_bytes(node.kept)
                path.chmod(stat.S_IMODE(node.mode))

    def load(self, folder: Path, number: int = ROOT) -> None:
        """Takes an ordinary folder as what the medium holds."""
        for path in sorted(folder.iterdir()):
            is_folder = path.is_dir()
            child = self.new(number, os.fsencode(path.name), path.stat().st_mode, (0, 0))
            if is_folder:
                self.load(path, child)
            else:
                node = self.nodes[child]
                node.kept[:] = path.read_bytes()
                node.data[:] = node.kept
        self.flush_names()


class Server:
    """Answers the kernel."""

    def __init__(self, descriptor: int, medium: Medium) -> None:
        self.descriptor = descriptor
        self.medium = medium

    def serve(self) -> None:
        """Until it is unmounted."""
        while True:
            try:
                request = os.read(self.descriptor, WRITE_BYTES_MAX + 4096)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT):
                    continue
                return
            _, opcode, unique, number, uid, gid, *_ = _IN.unpack_from(request)
            if opcode in _SILENT:
                continue
            try:
                answer, code = self.answer(opcode, number, request[_IN.size :], (uid, gid)), 0
            except Refused as refused:
                answer, code = b"", -refused.number
            with suppress(OSError):
                os.write(self.descriptor, _OUT.pack(_OUT.size + len(answer), code, unique) + answer)

    def attributes(self, number: int) -> bytes:
        node = self.medium.nodes[number]
        size, when = len(node.data), node.changed_s
        return _ATTR.pack(
            number, size, -(-size // 512), when, when, when, 0, 0, 0, node.mode, 1, node.uid, node.gid, 0, 4096, 0
        )

    def entry(self, number: int) -> bytes:
        return struct.pack("<QQQQII", number, 0, FOREVER_S, FOREVER_S, 0, 0) + self.attributes(number)

    def child(self, number: int, name: bytes) -> int:
        found = self.medium.nodes[number].names.get(name)
        if found is None:
            raise Refused(errno.ENOENT)
        return found

    def answer(self, opcode: int, number: int, body: bytes, who: tuple[int, int]) -> bytes:
        medium = self.medium
        node = medium.nodes.get(number, Node(0))
        if opcode == INIT:
            return struct.pack("<IIIIHHIIHHIIIIIIII", 7, 31, 0, 1 << 5, 12, 9, WRITE_BYTES_MAX, 1, *[0] * 10)
        if opcode == LOOKUP:
            return self.entry(self.child(number, body[:-1]))
        if opcode == GETATTR:
            return struct.pack("<QII", FOREVER_S, 0, 0) + self.attributes(number)
        if opcode == SETATTR:
            return self.set_attributes(number, body)
        if opcode in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, _KEEP_CACHE, 0)
        if opcode == CREATE:
            mode = struct.unpack_from("<IIII", body)[1]
            child = medium.new(number, body[16:-1], mode, who)
            return self.entry(child) + struct.pack("<QII", 0, _KEEP_CACHE, 0)
        if opcode == MKNOD:
            return self.entry(medium.new(number, body[16:-1], struct.unpack_from("<I", body)[0], who))
        if opcode == MKDIR:
            mode = stat.S_IFDIR | struct.unpack_from("<I", body)[0]
            return self.entry(medium.new(number, body[8:-1], mode, who))
        if opcode == READ:
            _, at, size = struct.unpack_from("<QQI", body)
            return bytes(node.data[at : at + size])
        if opcode == WRITE:
            _, at, size = struct.unpack_from("<QQI", body)
            medium.write(node, at, body[40 : 40 + size])
            return struct.pack("<II", size, 0)
        if opcode == FSYNC:
            medium.flush(node)
            return b""
        if opcode == FSYNCDIR:
            medium.flush_names()
            return b""
        if opcode in (UNLINK, RMDIR):
            self.child(number, body[:-1])
            medium.rename_all((number, {body[:-1]: None}))
            return b""
        if opcode in (RENAME, RENAME2):
            into = struct.unpack_from("<Q", body)[0]
            old, new = body[8 if opcode == RENAME else 16 :].split(b"\0")[:2]
            moved = self.child(number, old)
            if into == number:
                medium.rename_all((number, {old: None, new: moved}))
            else:
                medium.rename_all((into, {new: moved}), (number, {old: None}))
            return b""
        if opcode == READDIR:
            return self.listing(node, *struct.unpack_from("<QI", body, 8))
        if opcode == STATFS:
            free = max(0, medium.bytes_max - sum(len(one.data) for one in medium.nodes.values())) // 4096
            return struct.pack(
                "<QQQQQIIII6I", medium.bytes_max // 4096, free, free, 10**6, 10**6, 4096, 255, 4096, 0, *[0] * 6
            )
        if opcode in (FLUSH, RELEASE, RELEASEDIR, ACCESS, DESTROY):
            return b""
        raise Refused(errno.ENOSYS)

    def set_attributes(self, number: int, body: bytes) -> bytes:
        node = self.medium.nodes[number]
        valid, _, _, size = struct.unpack_from("<IIQQ", body)
        mode, _, uid, gid = struct.unpack_from("<IIII", body, 68)
        if valid & _SET_SIZE:
            self.medium.write(node, size, None)
        if valid & _SET_MODE:
            node.mode = mode
        if valid & _SET_UID:
            node.uid = uid
        if valid & _SET_GID:
            node.gid = gid
        return struct.pack("<QII", FOREVER_S, 0, 0) + self.attributes(number)

    def listing(self, node: Node, at: int, size: int) -> bytes:
        found = b""
        for place, (name, child) in enumerate(node.names.items()):
            if place < at:
                continue
            kind = stat.S_IFMT(self.medium.nodes[child].mode) >> 12
            one = struct.pack("<QQII", child, place + 1, len(name), kind) + name
            one += bytes(-len(one) % 8)
            if len(found) + len(one) > size:
                break
            found += one
        return found


def main() -> None:
    """Mounts, serves, and at SIGUSR1 loses its power: saves what survives and dies without another answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "medium", type=Path, help="ordinary folder: what the medium holds, read at start, written at the cut"
    )
    parser.add_argument("mount", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bytes-max", type=int, default=1 << 40, help="beyond it: no space left")
    arguments = parser.parse_args()
    medium = Medium(arguments.seed, arguments.bytes_max)
    medium.load(arguments.medium)
    descriptor = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"power_fs", os.fsencode(arguments.mount), b"fuse.power_fs", 0, options.encode()):
        sys.exit(f"cannot mount: {os.strerror(ctypes.get_errno())}")

    def cut(_number: int, _frame: object) -> None:
        counts = medium.cut() | {"flushes": medium.flushes}
        with tempfile.TemporaryDirectory(dir=arguments.medium.parent) as fresh:
            medium.save(Path(fresh))
            for path in sorted(arguments.medium.iterdir()):
                _remove(path)
            for path in sorted(Path(fresh).iterdir()):
                path.rename(arguments.medium / path.name)
        os.write(1, json.dumps(counts).encode() + b"\n")
        os._exit(0)

    signal.signal(signal.SIGUSR1, cut)
    os.write(1, b"mounted\n")
    Server(descriptor, medium).serve()


def _remove(path: Path) -> None:
    if path.is_dir():
        for child in path.iterdir():
            _remove(child)
        path.rmdir()
    else:
        path.unlink()


def available() -> str:
    """Why there is no such file system here; empty: there is."""
    if os.geteuid() != 0:
        return "needs root"
    return "" if Path("/dev/fuse").exists() else "needs /dev/fuse"


class Disk:
    """A mounted one."""

    def __init__(self, mount: Path, *, seed: int, bytes_max: int = 1 << 40) -> None:
        """Names the place.

        Args:
            mount: folder to mount at; made if need be. What lies in it is hidden, not changed.
            seed: of the dice.
            bytes_max: size of the disk.
        """
        self.mount = mount
        self._medium = Path(tempfile.mkdtemp(prefix="power-medium-"))
        self._seed = seed
        self._bytes_max = bytes_max
        self._process: subprocess.Popen[bytes] | None = None
        self.cuts = 0

    def __enter__(self) -> Self:
        self.mount.mkdir(parents=True, exist_ok=True)
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.cut()
        self._unmount()
        _remove(self._medium)

    def cut(self) -> dict[str, Any]:
        """The power goes: nothing on the disk is answered from now on. Whoever uses it is to be killed next.

        Returns:
            How much waited and how much of it survived.
        """
        assert self._process is not None, "no power"
        self._process.send_signal(signal.SIGUSR1)
        out, _ = self._process.communicate()
        self._process = None
        self.cuts += 1
        return dict(json.loads(out))

    def restore(self) -> None:
        """Mounts what survived; whoever had files open there must be dead."""
        self._unmount()
        command = [sys.executable, __file__, str(self._medium), str(self.mount)]
        command += ["--seed", str(self._seed + self.cuts), "--bytes-max", str(self._bytes_max)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"mounted\n":
            raise OSError(f"{self.mount}: cannot be mounted")

    def survivors(self) -> Path:
        """Between `cut` and `restore`: an ordinary folder with what survived."""
        return self._medium

    def _unmount(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        while libc.umount2(os.fsencode(self.mount), _DETACH) == 0:
            pass


if __name__ == "__main__":
    main()
