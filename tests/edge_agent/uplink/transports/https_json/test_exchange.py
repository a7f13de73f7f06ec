"""HTTP answers are read in any portions and within limits; what could be read in two ways is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.uplink.transports.https_json.exchange import (
    BODY_BYTES_MAX,
    Answer,
    AnswerReader,
    BadAnswer,
    request,
)

HEADERS = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def read(data: bytes, *, portion: int = 1 << 20) -> Answer | None:
    reader, found = AnswerReader(), None
    for start in range(0, len(data), portion):
        found = reader.feed(data[start : start + portion])
    return found


@given(st.binary(max_size=200), st.integers(1, 40), st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_bodies_come_back_in_any_portions(body: bytes, portion: int, sizes: list[int]) -> None:
    plain = f"{HEADERS}Content-Length: {len(body)}\r\n\r\n".encode() + body
    answer = read(plain, portion=portion)
    assert answer is not None
    assert (answer.status, answer.body, answer.keeps) == (200, body, True)
    chunks, rest = b"", body
    while rest:
        size = sizes[len(chunks) % len(sizes)]
        chunks += b"%X;x=1\r\n%b\r\n" % (len(rest[:size]), rest[:size])
        rest = rest[size:]
    answer = read(f"{HEADERS}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n", portion=portion)
    assert answer is not None
    assert answer.body == body


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_are_read_or_refused(data: bytes, portion: int) -> None:
    for front in (b"", HEADERS.encode(), HEADERS.encode() + b"Transfer-Encoding: chunked\r\n\r\n"):
        try:
            read(front + data, portion=portion)
        except BadAnswer:
            continue


@pytest.mark.parametrize(
    "text",
    [
        "HTTP/2 200 OK\r\n\r\n",
        "* OK IMAP\r\n\r\n",
        "HTTP/1.1 999 X\r\n\r\n",
        HEADERS + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        HEADERS + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEADERS + "Transfer-Encoding: gzip\r\n\r\n",
        HEADERS + "Content-Length: -1\r\n\r\n",
        HEADERS + f"Content-Length: {BODY_BYTES_MAX + 1}\r\n\r\n",
        HEADERS + "Content-Length: 1\r\n\r\nab",
        HEADERS + " folded\r\n\r\n",
        HEADERS + "no colon\r\n\r\n",
        HEADERS + "X: 1\r\n" * 70 + "\r\n",
        "x" * 20_000,
        HEADERS + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEADERS + "Transfer-Encoding: chunked\r\n\r\n" + "1" * 300,
        HEADERS + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n",
        HEADERS + "Transfer-Encoding: chunked\r\n\r\n1\r\naXX",
        "HTTP/1.1 100 Continue\r\n\r\n" * 5,
        "HTTP/1.1 101 Switching\r\n\r\n",
        HEADERS + "\r\n" + "x" * (BODY_BYTES_MAX + 1),
    ],
)
def test_senseless_answers_are_refused(text: str) -> None:
    with pytest.raises(BadAnswer):
        read(text.encode())


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    reader = AnswerReader()
    assert reader.feed(b"HTTP/1.0 200 OK\r\n\r\nabc") is None
    answer = reader.end()
    assert (answer.body, answer.keeps) == (b"abc", False)
    for cut in (b"", HEADERS.encode() + b"Content-Length: 5\r\n\r\nabc"):
        reader = AnswerReader()
        reader.feed(cut)
        with pytest.raises(BadAnswer, match="cut"):
            reader.end()


def test_a_request_cannot_be_led_astray() -> None:
    data = request(host="h", path="/p", body=b"{}", headers={"A": "b"})
    assert data.startswith(b"POST /p HTTP/1.1\r\nHost: h\r\n")
    assert data.endswith(b"A: b\r\n\r\n{}")
    for path, value in (("/p\r\nX: y", "b"), ("/p", "b\r\nX: y"), ("/p", "é")):
        with pytest.raises(ValueError, match="cannot be sent"):
            request(host="h", path=path, body=b"", headers={"A": value})
