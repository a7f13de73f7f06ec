"""The service's local socket: one JSON line asks, one JSON line answers; some verbs go on talking.

For the command line on the same machine.

The socket lies in the runtime folder that systemd gives ($RUNTIME_DIRECTORY), else in the state folder. Only root and
the service's own user are answered. It knows no verb: the composition root hands in what each one does.
"""

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

from edge_agent.errors import EdgeAgentError, RefusedByInterlock, ServiceUnreachable

LOG = logging.getLogger(__name__)

SOCKET_NAME = "agent.sock"
SYSTEM_RUNTIME_DIR = Path("/run/edge-agent")
SYSTEM_STATE_DIR = Path("/var/lib/edge-agent")
"""The installed service keeps its socket in its runtime folder; a site elsewhere must never reach that one."""
LINE_BYTES_MAX = 8 * 1024 * 1024
ANSWER_S_MAX = 10.0
_PEER = struct.Struct("3i")  # pid, uid, gid: SO_PEERCRED, socket(7)

Verb = Callable[[Mapping[str, object]], Awaitable[Mapping[str, object]]]
"""Takes arguments, returns the answer."""


class Talk:
    """The service's end of a conversation that goes on for a while."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, message: Mapping[str, object]) -> None:
        """Sends a message.

        Raises:
            OSError: the other end has gone.
        """
        self._writer.write(json.dumps(message, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        await self._writer.drain()

    async def hear(self) -> dict[str, object] | None:
        """The other end's next message; None: it has gone, or talks nonsense."""
        try:
            heard = json.loads(await self._reader.readline())
        except (OSError, ValueError):
            return None
        return heard if isinstance(heard, dict) else None


Dialogue = Callable[[Mapping[str, object], Talk], Awaitable[None]]
"""Takes arguments and the conversation, which it leads to its end."""


def socket_path(state_dir: Path) -> Path:
    """Where this process, as the service, offers its socket."""
    runtime = os.environ.get("RUNTIME_DIRECTORY")
    return (Path(runtime.split(":")[0]) if runtime else state_dir) / SOCKET_NAME


async def serve(
    state_dir: Path, verbs: Mapping[str, Verb], dialogues: Mapping[str, Dialogue] = MappingProxyType({})
) -> asyncio.Server:
    """Opens the socket and answers on it until the server is closed.

    Args:
        state_dir: the service's state folder.
        verbs: what each verb does; its result is the answer.
        dialogues: verbs that go on talking.
    """
    path = socket_path(state_dir)
    path.unlink(missing_ok=True)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _trusted(writer):
                await _converse(reader, writer, verbs, dialogues)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            LOG.debug("local socket: conversation ended: %s", error)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_unix_server(answer, path, limit=LINE_BYTES_MAX)
    path.chmod(0o660)
    return server


def _trusted(writer: asyncio.StreamWriter) -> bool:
    peer: socket.socket = writer.get_extra_info("socket")
    _, uid, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    if uid in (0, os.getuid()):
        return True
    LOG.warning("local socket: refused a caller uid=%d", uid)
    return False


async def _converse(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    verbs: Mapping[str, Verb],
    dialogues: Mapping[str, Dialogue],
) -> None:
    talk = Talk(reader, writer)
    while line := await reader.readline():
        question = json.loads(line)
        name, arguments = question.get("verb"), question.get("arguments", {})
        try:
            if name in dialogues:
                await dialogues[name](arguments, talk)
            elif name in verbs:
                await talk.say(await verbs[name](arguments))
            else:
                await talk.say({"error": "unknown_verb", "message": f"unknown verb {name!r}"})
        except RefusedByInterlock as refusal:
            await talk.say(
                {
                    "error": "refused",
                    "message": str(refusal),
                    "code": refusal.code,
                    "zh": refusal.zh,
                    "en": refusal.en,
                }
            )
        except EdgeAgentError as error:
            await talk.say({"error": "failed", "message": str(error)})


def ask(state_dir: Path, verb: str, **arguments: object) -> dict[str, object]:
    """Asks the running service and returns its answer.

    Raises:
        ServiceUnreachable: no service answers on its socket.
        RefusedByInterlock: the service refused; the message gives the reason.
    """
    return ask_patiently(state_dir, verb, arguments, patience_s=ANSWER_S_MAX)


def ask_patiently(
    state_dir: Path, verb: str, arguments: Mapping[str, object], *, patience_s: float
) -> dict[str, object]:
    """As `ask`, and says how long to wait for the answer [s, wall]."""
    with conversation(state_dir, verb, arguments) as talk:
        answer = talk.hear(patience_s=patience_s)
    if answer is None:
        raise EdgeAgentError(f"{state_dir}: 服务未应答,请用 sudo / the service gave no answer, try sudo")
    return answer


class Conversation:
    """The asking end of a conversation with the service."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._stream = channel.makefile("rb")

    def say(self, message: Mapping[str, object]) -> None:
        """Sends a message; if the service has gone, `hear` says so."""
        with suppress(OSError):
            self._channel.sendall(json.dumps(message, ensure_ascii=False).encode() + b"\n")

    def hear(self, *, patience_s: float) -> dict[str, object] | None:
        """The service's next message; None: it has gone, or says nothing for so long [s, wall].

        Raises:
            EdgeAgentError: what it could not do; RefusedByInterlock: what it refused.
        """
        self._channel.settimeout(patience_s)
        try:
            line = self._stream.readline(LINE_BYTES_MAX)
        except OSError:
            return None
        return _unwrap(json.loads(line)) if line else None

    def close(self) -> None:
        """Hangs up."""
        self._stream.close()


@contextmanager
def conversation(state_dir: Path, verb: str, arguments: Mapping[str, object]) -> Iterator[Conversation]:
    """Asks the running service and keeps the line open.

    Raises:
        ServiceUnreachable: no service answers on its socket.
        EdgeAgentError: one is there and cannot be asked.
    """
    folders = (SYSTEM_RUNTIME_DIR, state_dir) if state_dir == SYSTEM_STATE_DIR else (state_dir,)
    for folder in folders:
        path = folder / SOCKET_NAME
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            try:
                channel.settimeout(ANSWER_S_MAX)
                channel.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                continue  # nobody listens here
            except OSError as error:
                # It runs and cannot be asked: whoever takes that for "no service" would touch the devices beside it.
                raise EdgeAgentError(
                    f"{path}: 服务不能询问,请用 sudo / the service cannot be asked, try sudo: {error}"
                ) from error
            talk = Conversation(channel)
            try:
                talk.say({"verb": verb, "arguments": dict(arguments)})
                yield talk
            finally:
                talk.close()
        return
    place = str(state_dir / SOCKET_NAME)
    raise ServiceUnreachable(f"服务没有运行 / the service is not running ({place})", place=place)


def _unwrap(answer: dict[str, object]) -> dict[str, object]:
    if "error" not in answer:
        return answer
    message = str(answer.get("message", ""))
    if answer["error"] == "refused":
        code, zh, en = (str(answer.get(key, "")) for key in ("code", "zh", "en"))
        raise RefusedByInterlock(message, code=code, zh=zh, en=en)
    raise EdgeAgentError(message)
