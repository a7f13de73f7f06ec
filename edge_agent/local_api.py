"""The service's local socket: one JSON line asks, one JSON line answers. For the command line on the same machine.

The socket lies in the runtime folder that systemd gives ($RUNTIME_DIRECTORY), else in the state folder. Only root and
the service's own user are answered. It knows no verb: the composition root hands in what each one does.
"""

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

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


def socket_path(state_dir: Path) -> Path:
    """Where this process, as the service, offers its socket."""
    runtime = os.environ.get("RUNTIME_DIRECTORY")
    return (Path(runtime.split(":")[0]) if runtime else state_dir) / SOCKET_NAME


async def serve(state_dir: Path, verbs: Mapping[str, Verb]) -> asyncio.Server:
    """Opens the socket and answers on it until the server is closed.

    Args:
        state_dir: the service's state folder.
        verbs: what each verb does; its result is the answer.
    """
    path = socket_path(state_dir)
    path.unlink(missing_ok=True)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _trusted(writer):
                await _converse(reader, writer, verbs)
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


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, verbs: Mapping[str, Verb]) -> None:
    while line := await reader.readline():
        question = json.loads(line)
        verb = verbs.get(question.get("verb"))
        if verb is None:
            answer: Mapping[str, object] = {
                "error": "unknown_verb",
                "message": f"unknown verb {question.get('verb')!r}",
            }
        else:
            try:
                answer = await verb(question.get("arguments", {}))
            except RefusedByInterlock as refusal:
                answer = {
                    "error": "refused",
                    "message": str(refusal),
                    "code": refusal.code,
                    "zh": refusal.zh,
                    "en": refusal.en,
                }
            except EdgeAgentError as error:
                answer = {"error": "failed", "message": str(error)}
        writer.write(json.dumps(answer, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        await writer.drain()


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
    question = json.dumps({"verb": verb, "arguments": arguments}, ensure_ascii=False).encode() + b"\n"
    folders = (SYSTEM_RUNTIME_DIR, state_dir) if state_dir == SYSTEM_STATE_DIR else (state_dir,)
    for folder in folders:
        path = folder / SOCKET_NAME
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
                channel.settimeout(patience_s)
                channel.connect(str(path))
                channel.sendall(question)
                with channel.makefile("rb") as stream:
                    line = stream.readline(LINE_BYTES_MAX)
        except (FileNotFoundError, ConnectionRefusedError):
            continue  # nobody listens here
        except OSError as error:
            # It runs and cannot be asked: whoever takes that for "no service" would touch the devices beside it.
            raise EdgeAgentError(
                f"{path}: 服务不能询问,请用 sudo / the service cannot be asked, try sudo: {error}"
            ) from error
        if not line:
            raise EdgeAgentError(f"{path}: 服务未应答,请用 sudo / the service gave no answer, try sudo")
        return _unwrap(json.loads(line))
    raise ServiceUnreachable(f"服务没有运行 / the service is not running ({state_dir / SOCKET_NAME})")


def _unwrap(answer: dict[str, object]) -> dict[str, object]:
    if "error" not in answer:
        return answer
    message = str(answer.get("message", ""))
    if answer["error"] == "refused":
        code, zh, en = (str(answer.get(key, "")) for key in ("code", "zh", "en"))
        raise RefusedByInterlock(message, code=code, zh=zh, en=en)
    raise EdgeAgentError(message)
