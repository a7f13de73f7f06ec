"""One HTTP/1.1 request written, and its answer read within limits. Pure.

Only what an answer to a posted record may be: a status, headers, and a body of a stated or chunked length. An answer
that could be read in two ways is refused, as is one that is larger than any acknowledgement.

Source: RFC 9112, sections 2 to 7.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

HEAD_BYTES_MAX = 16_384
HEADERS_MAX = 64
BODY_BYTES_MAX = 1_000_000
CHUNK_LINE_BYTES_MAX = 256
INTERIM_MAX = 4
"""Interim answers (1xx) before the answer itself."""

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*?)[ \t]*")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[^\r\n]*)?")
_LENGTH = re.compile(r"[0-9]{1,12}")


class BadAnswer(Exception):
    """What came is no answer that we read; the connection must be closed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        status: 100 to 599.
        headers: by name in small letters.
        body: its bytes.
        keeps: whether the connection may be used again.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    keeps: bool


def request(*, host: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A POST with a JSON body.

    Raises:
        ValueError: host, path or a header could end a line.
    """
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json; charset=utf-8"]
    lines += [f"Content-Length: {len(body)}", "Accept: application/json", "Connection: keep-alive"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any(not line.isascii() or not line.isprintable() for line in lines):
        raise ValueError("a header or an address with characters that cannot be sent")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


@dataclass(slots=True)
class AnswerReader:
    """Reads one answer, in whatever portions it comes."""

    _received: bytearray = field(default_factory=bytearray)
    _interim: int = 0
    _status: int = 0
    _minor: int = 1
    _headers: dict[str, str] | None = None
    _length: int | None = None
    _chunked: bool = False
    _body: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Answer | None:
        """Takes what has come; the answer when it is complete.

        Raises:
            BadAnswer: it is none.
        """
        self._received += data
        while self._headers is None:
            if not self._head():
                return None
        if self._chunked:
            return self._chunks()
        if self._length is None:
            self._body += self._received
            self._received.clear()
            self._limit(len(self._body))
            return None
        if len(self._received) < self._length:
            return None
        if len(self._received) > self._length:
            raise BadAnswer("more than one answer")
        return self._answer(bytes(self._received))

    def end(self) -> Answer:
        """The other side has closed: an answer without a stated length is complete.

        Raises:
            BadAnswer: it was cut.
        """
        if self._headers is None or self._chunked or self._length is not None:
            raise BadAnswer("the answer was cut")
        return self._answer(bytes(self._body))

    def _limit(self, size: int) -> None:
        if size > BODY_BYTES_MAX:
            raise BadAnswer(f"an answer of more than {BODY_BYTES_MAX} B")

    def _answer(self, body: bytes) -> Answer:
        assert self._headers is not None
        asks = self._headers.get("connection", "").lower()
        keeps = self._minor == 1 and "close" not in asks and (self._chunked or self._length is not None)
        return Answer(self._status, self._headers, body, keeps)

    def _head(self) -> bool:
        """Takes a head out of what has come; False while it is not complete."""
        end = self._received.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
        if end < 0:
            if len(self._received) >= HEAD_BYTES_MAX:
                raise BadAnswer(f"a head of more than {HEAD_BYTES_MAX} B")
            return False
        lines = bytes(self._received[:end]).split(b"\r\n")
        del self._received[: end + 4]
        status = _STATUS.fullmatch(lines[0])
        if status is None or len(lines) - 1 > HEADERS_MAX:
            raise BadAnswer(f"{lines[0][:60]!r} is no status line")
        self._minor, self._status = int(status[1]), int(status[2])
        headers: dict[str, str] = {}
        for line in lines[1:]:
            found = _HEADER.fullmatch(line)
            if found is None:
                raise BadAnswer(f"header {line[:60]!r}")
            name = found[1].decode("ascii").lower()
            if name in headers and name in {"content-length", "transfer-encoding"}:
                raise BadAnswer(f"{name} twice")
            headers[name] = found[2].decode("latin-1")
        if self._status < 200:  # noqa: PLR2004 - interim
            self._interim += 1
            if self._interim > INTERIM_MAX or self._status == 101:  # noqa: PLR2004 - another protocol
                raise BadAnswer("no end of interim answers")
            return True
        self._framing(headers)
        self._headers = headers
        return True

    def _framing(self, headers: Mapping[str, str]) -> None:
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise BadAnswer(f"transfer-encoding {coding}, content-length {length}")
            self._chunked = True
        elif self._status in {204, 304}:
            self._length = 0
        elif length is not None:
            if not _LENGTH.fullmatch(length):
                raise BadAnswer(f"content-length {length!r}")
            self._length = int(length)
            self._limit(self._length)

    def _chunks(self) -> Answer | None:
        while True:
            end = self._received.find(b"\r\n", 0, CHUNK_LINE_BYTES_MAX)
            if end < 0:
                if len(self._received) >= CHUNK_LINE_BYTES_MAX:
                    raise BadAnswer("a chunk without a size")
                return None
            size = _CHUNK.fullmatch(bytes(self._received[:end]))
            if size is None:
                raise BadAnswer(f"chunk {bytes(self._received[:end])[:40]!r}")
            count = int(size[1], 16)
            self._limit(len(self._body) + count)
            if len(self._received) < end + 2 + count + 2:
                return None
            if self._received[end + 2 + count : end + 4 + count] != b"\r\n":
                raise BadAnswer("a chunk does not end" if count else "trailers are not read")
            self._body += self._received[end + 2 : end + 2 + count]
            del self._received[: end + 4 + count]
            if not count:
                if self._received:
                    raise BadAnswer("more than one answer")
                return self._answer(bytes(self._body))
