"""Starts agents without paying for imports each time: one process has imported the agent, and forks.

Nothing is left out that a kill could hurt: while it imports, the agent has opened no file of its own. What is forked is
the command line itself, with its own process group, standard streams and promise pipe; each life's first start is a
real one (crash_site). Run as a program, this is the nursery; imported, its other end.
"""

import asyncio
import functools
import importlib
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from edge_agent.errors import EdgeAgentError
from edge_agent.settings.load import load_configuration

REQUEST_BYTES_MAX = 65_536
SEPARATOR = "\0"
GONE = -255
"""Exit status of an agent whose nursery has died."""


# ------------------------------------------------------------------------------------------------------- the other end
class ForkedAgent:
    """An agent that the nursery has started; as much of a process as the supervisor needs.

    Attributes:
        pid: its process number.
        returncode: its exit status, negative for a signal; None while it lives.
    """

    def __init__(self, pid: int, status: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.create_task(self._end(status, writer), name="end of a forked agent")

    async def _end(self, status: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        line = await status.readline()
        writer.close()
        self.returncode = int(line) if line else GONE
        return self.returncode

    async def wait(self) -> int:
        """Waits for its end, and returns the exit status."""
        return await asyncio.shield(self._ended)

    def terminate(self) -> None:
        """Asks it to end."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


@functools.cache
def _nursery() -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    """This process's nursery; it ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env=os.environ | {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
    return ours, process


async def fork_agent(words: Sequence[str], *, log: BinaryIO, promise_fd: int, bug: str) -> ForkedAgent:
    """Starts an agent.

    Args:
        words: arguments of `edge-agent`, without `--promise-fd`.
        log: receives what it says.
        promise_fd: where it promises.
        bug: planted in it; `none`.
    """
    nursery, _ = _nursery()
    ours, theirs = socket.socketpair()
    with theirs:
        request = SEPARATOR.join((bug, *words)).encode()
        socket.send_fds(nursery, [request], [log.fileno(), promise_fd, theirs.fileno()])
    status, writer = await asyncio.open_connection(sock=ours)
    pid = await status.readline()
    if not pid:
        raise OSError("the nursery of agents has died")
    return ForkedAgent(int(pid), status, writer)


# --------------------------------------------------------------------------------------------------------- the nursery
def main() -> None:
    """Imports the agent, then forks one for each request until nobody holds the other end."""
    sys.path.insert(0, str(Path(__file__).parent))
    bugs: Mapping[str, Callable[[], None]] = importlib.import_module("crash_planted").BUGS
    agent = importlib.import_module("edge_agent.cli").main
    for heavy in ("edge_agent.cli.run", "edge_agent.app"):
        importlib.import_module(heavy)
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        request = _serve(requests)
    if request is None:
        return
    bug, *words = request
    bugs[bug]()
    sys.argv = ["edge-agent", *words]
    agent()


def _serve(requests: socket.socket) -> list[str] | None:
    """Returns in each child with its request, and in the nursery, with None, at the end."""
    waiting = selectors.DefaultSelector()
    waiting.register(requests, selectors.EVENT_READ)
    children: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for key, _ in waiting.select():
            if key.fd in children:
                pid, status = children.pop(key.fd)
                waiting.unregister(key.fd)
                os.close(key.fd)
                _, code = os.waitpid(pid, 0)
                with suppress(OSError), status:
                    status.sendall(b"%d\n" % os.waitstatus_to_exitcode(code))
                continue
            data, fds, _, _ = socket.recv_fds(requests, REQUEST_BYTES_MAX, 3)
            if not data:
                for pid, _ in children.values():
                    with suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)
                return None
            log_fd, promise_fd, status_fd = fds
            _warm(data.decode().split(SEPARATOR))
            status = socket.socket(fileno=status_fd)
            pid = os.fork()
            if pid == 0:
                waiting.close()
                for _, other in children.values():
                    other.close()
                return _born(data, log_fd=log_fd, promise_fd=promise_fd, status=status)
            os.close(log_fd)
            os.close(promise_fd)
            with suppress(ProcessLookupError):
                os.setpgid(pid, pid)  # on both sides: whoever is first
            status.sendall(b"%d\n" % pid)
            pid_fd = os.pidfd_open(pid)
            children[pid_fd] = (pid, status)
            waiting.register(pid_fd, selectors.EVENT_READ)


def _warm(words: Sequence[str]) -> None:
    """What the child will read of profiles and schedules is parsed already; it still reads and checks its files."""
    with suppress(EdgeAgentError):
        load_configuration(Path(words[words.index("--config") + 1]))


def _born(data: bytes, *, log_fd: int, promise_fd: int, status: socket.socket) -> list[str]:
    """The child's own streams and process group; returns what it is asked to be."""
    status.close()
    with suppress(PermissionError):
        os.setpgid(0, 0)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    os.close(log_fd)
    return [*data.decode().split(SEPARATOR), "--promise-fd", str(promise_fd)]


if __name__ == "__main__":
    main()
