"""The city platform behind an HTTP server: takes posted records, answers after its own commit, counts them.

A message is that of the MQTT dialect, posted; the answer's body is the acknowledgement. It shares no code with the
agent and reads HTTP by itself.
"""

import asyncio
import json
import ssl
from collections import Counter, deque
from datetime import datetime
from pathlib import Path

from hil_sim.platform.ledger import Ledger
from hil_sim.platform.mqtt_receiver import Malformed, parse

WAYS = (
    "error",
    "busy",
    "unauthorised",
    "redirect",
    "too_large",
    "empty",
    "lie",
    "foreign_plant",
    "silence",
    "cut",
    "before_answer",
    "chunked",
    "drip",
    "close",
    "interim",
    "two_lengths",
    "huge",
    "no_http",
    "lost",
)
"""How it misbehaves, by name; chunked, drip, close, interim are only unusual. `lost`: it answers and stores nothing."""
PLAIN = frozenset({"chunked", "drip", "close", "interim"})
REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 500: "Internal Error", 503: "Busy"}


class HttpsReceiver:
    """The platform: `start()` it, and `stop()` it at the end."""

    def __init__(self, *, path: Path | None = None, tls: ssl.SSLContext | None = None) -> None:
        """Opens what it held before.

        Args:
            path: its database; None keeps everything in memory.
            tls: its certificate and whom it trusts; None: plain HTTP.
        """
        self.ledger = Ledger(path)
        self.port = 0
        self.requests = 0
        self.connections = 0
        self.struck: Counter[str] = Counter()
        self._ways: deque[str] = deque()
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def misbehave(self, way: str, *, times: int = 1) -> None:
        """With the next requests."""
        if way not in WAYS:
            raise ValueError(f"{way} is none of {', '.join(WAYS)}")
        self._ways.extend([way] * times)

    def held_periods(self) -> set[datetime]:
        """Starts of all periods of which it holds a record."""
        return self.ledger.periods()

    def readings(self, code: str) -> dict[datetime, tuple[float | None, int]]:
        """Value and quality held under a code, by start of the period."""
        return self.ledger.readings(code)

    async def start(self, *, port: int = 0) -> None:
        """Listens."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port or self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stops listening and cuts every connection; what it holds stays."""
        if self._server is not None:
            self._server.close()
        self.cut()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def cut(self) -> None:
        """Cuts every connection."""
        for writer in self._open.values():
            writer.transport.abort()

    def close(self) -> None:
        """Closes the database."""
        self.ledger.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        self.connections += 1
        try:
            while await self._request(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            del self._open[task]
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests += 1
        way = self._ways.popleft() if self._ways else ""
        if way:
            self.struck[way] += 1
        if way == "silence":
            await asyncio.Event().wait()
        if way == "before_answer":
            writer.transport.abort()
            return False
        if way in {"error", "busy", "unauthorised", "redirect", "too_large"}:
            status = {"error": 500, "busy": 503, "unauthorised": 401, "redirect": 302, "too_large": 413}[way]
            await self._answer(writer, status, b"", extra="Retry-After: 0\r\nLocation: /elsewhere\r\n")
            return True
        status, answer = self._take(head[0], body, keep=way not in {"lost", "lie"})
        if way == "lie":
            answer = answer | {"ranges": [[10**9, 10**9]], "hwm": 10**9}
        if way == "foreign_plant":
            answer = answer | {"plant": "elsewhere"}
        content = b"" if way == "empty" else json.dumps(answer).encode()
        await self._answer(writer, status, content, way=way)
        return way not in {"close", "cut", "huge", "no_http", "two_lengths"}

    def _take(self, line: str, body: bytes, *, keep: bool) -> tuple[int, dict[str, object]]:
        """Stores a message; what is to be answered."""
        method, _, _ = line.partition(" ")
        try:
            plant = json.loads(body)["plant"]
            message = parse(body, plant=plant)
        except (Malformed, ValueError, KeyError, TypeError) as fault:
            self.ledger.malformed()
            key = getattr(fault, "key", None)
            if key is None or method != "POST":
                return 400, {}
            refused = [{"seq": key[2], "reason": str(fault)}]
            return 422, {"v": 1, "plant": key[0], "epoch": key[1], "hwm": 0, "ranges": [], "refused": refused}
        if keep:
            self.ledger.take(message, body)
        ranges = [[message.seq, message.seq]]
        return 200, {"v": 1, "plant": message.plant, "epoch": message.epoch, "hwm": 0, "ranges": ranges}

    async def _answer(
        self, writer: asyncio.StreamWriter, status: int, body: bytes, *, way: str = "", extra: str = ""
    ) -> None:
        length = f"Content-Length: {len(body)}\r\n"
        if way == "two_lengths":
            length += f"Content-Length: {len(body) + 1}\r\n"
        if way == "huge":
            length = "Content-Length: 99999999999\r\n"
        if way == "chunked":
            length = "Transfer-Encoding: chunked\r\n"
            half = len(body) // 2
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:], b""))
        if way == "close":
            length = "Connection: close\r\n"
        data = f"HTTP/1.1 {status} {REASONS.get(status, 'Other')}\r\n{length}{extra}\r\n".encode() + body
        if way == "interim":
            data = b"HTTP/1.1 100 Continue\r\n\r\n" + data
        if way == "no_http":
            data = b"* OK IMAP ready\r\n\r\n"
        if way == "cut":
            data = data[: len(data) - 5]
        if way == "drip":
            for byte in data:
                writer.write(bytes([byte]))
                await writer.drain()
            return
        writer.write(data)
        await writer.drain()
