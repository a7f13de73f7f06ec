"""Hostile bytes, registers and profiles in small: the same frames that `make fuzz` sends a million of."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def _campaign() -> ModuleType:
    path = Path(__file__).parents[1] / "campaigns" / "fuzz.py"
    spec = importlib.util.spec_from_file_location("fuzz_campaign", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


fuzz = _campaign()


@pytest.fixture(autouse=True)
def own_loop() -> Iterator[None]:
    """The campaign keeps a loop for its process; here it goes with the test."""
    yield
    fuzz.close_loop()


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("rtu", 3000),
        ("registers", 5000),
        ("poll", 300),
        ("profile", 60),
        ("tcp", 60),
        ("terminal", 20),
        ("packet", 1500),
        ("http", 2000),
    ],
)
def test_frames_of_each_kind(kind: str, count: int) -> None:
    outcomes, failures = fuzz.play(kind, seed=20, first=0, count=count)
    assert failures == []
    assert sum(outcomes.values()) == count
    assert len(outcomes) > 1, "hostile frames that all end alike try nothing"


@settings(max_examples=150, deadline=None)
@given(received=st.binary(max_size=80), seed=st.integers(0, 10_000))
def test_any_bytes_whatever(received: bytes, seed: int) -> None:
    """Hypothesis chooses the bytes: it finds other ones than the dice do."""
    asked = fuzz.ask(Random(seed), writes=False)  # noqa: S311 - repeatable dice
    bus = fuzz.ModbusRtuBus("x", port="-", baud=9600, framing="8N1", elapsed_s=lambda: 0.0)
    span = fuzz.Span(asked.function, asked.address, asked.count)
    exchange = fuzz.exchange_of(bus.read(span, unit=asked.unit), bus.line)
    for data in (received, exchange.request + received):
        fuzz.judge_rtu(asked, data, lambda data=data: exchange.look(data))


def test_the_oracle_catches_a_driver_that_takes_what_is_not_the_answer() -> None:
    asked = fuzz.Asked(1, 3, 0, 1)
    wrong_function = bytes((1, 4, 2, 0, 7))
    received = wrong_function + fuzz.bitwise_check_sum(wrong_function)
    with pytest.raises(fuzz.Wrong, match="the frames carry"):
        fuzz.judge_rtu(asked, received, lambda: (7,))
    right = bytes((1, 3, 2, 0, 7))
    sealed = right + fuzz.bitwise_check_sum(right)
    assert fuzz.judge_rtu(asked, sealed, lambda: (7,)) == "answer"
    for said in ((8,), None):
        with pytest.raises(fuzz.Wrong):
            fuzz.judge_rtu(asked, sealed, lambda said=said: said)
