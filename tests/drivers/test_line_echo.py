"""An echo is recognised by what cannot be an answer, and never passes for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bus.base import BusCounts, Span
from drivers.bus.exchange import Exchange
from drivers.bus.line_echo import LineEcho
from drivers.bus.modbus_rtu import ReadExchange, WriteExchange, check_sum

READ = ReadExchange(Span(3, 0, 1), unit=1)
WRITE = WriteExchange(4, [50], unit=1, function=6)
ANSWER = bytes((1, 3, 2, 0, 7)) + check_sum(bytes((1, 3, 2, 0, 7)))


@pytest.fixture
def echo() -> LineEcho:
    return LineEcho("line", BusCounts())


def hear(echo: LineEcho, exchange: Exchange[object], raw: bytes) -> bytes:
    rest, echoed = echo.take_off(exchange, raw)
    echo.judge(exchange, raw, echoed=echoed)
    return rest


@pytest.mark.parametrize(("raw", "heard"), [(READ.request + ANSWER, True), (ANSWER, False), (b"", False)])
def test_a_read_shows_it(echo: LineEcho, raw: bytes, *, heard: bool) -> None:
    assert READ.look(hear(echo, READ, raw)) in ((7,), None)
    assert echo.heard is heard


@pytest.mark.parametrize("raw", [b"\x00", b"\x00" + ANSWER, READ.request[:5]])
def test_noise_shows_nothing(echo: LineEcho, raw: bytes) -> None:
    hear(echo, READ, raw)
    assert echo.heard is None


def test_the_echo_of_a_write_is_not_its_answer(echo: LineEcho) -> None:
    assert hear(echo, WRITE, WRITE.request) == WRITE.request, "nobody knows yet: the line tests before it writes"
    assert echo.heard is None
    echo.heard = True
    assert WRITE.look(hear(echo, WRITE, WRITE.request)) is None
    assert WRITE.look(hear(echo, WRITE, b"\x00" + WRITE.request)) is None
    assert WRITE.look(hear(echo, WRITE, WRITE.request[:-1] + b"\x00" + WRITE.request)) is None, "a damaged echo first"
    assert WRITE.look(hear(echo, WRITE, WRITE.request + WRITE.request)) is True
    echo.heard = False
    assert WRITE.look(hear(echo, WRITE, WRITE.request)) is True


@given(before=st.binary(max_size=12), after=st.binary(max_size=12))
def test_on_an_echoing_line_noise_makes_no_write_succeed(before: bytes, after: bytes) -> None:
    echo = LineEcho("line", BusCounts())
    echo.heard = True
    assert WRITE.look(hear(echo, WRITE, before + WRITE.request + after)) is None
