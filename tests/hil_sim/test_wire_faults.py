"""Faults of a wire strike whom they concern, as often as they were set, and the same way for the same seed."""

import pytest

from hil_sim.wire_faults import FaultyWire, WireFaults

FRAME = bytes(range(20))


@pytest.mark.parametrize(
    "faults",
    [
        WireFaults(flip_every=3),
        WireFaults(garbage_every=3),
        WireFaults(cut_every=3),
        WireFaults(noise_every=3, noise_before=1),
        WireFaults(noise_every=3, noise_after=1),
    ],
)
def test_every_third_answer_is_struck_and_the_seed_decides_how(faults: WireFaults) -> None:
    wire, again = FaultyWire(faults, seed=7), FaultyWire(faults, seed=7)
    answers = [wire.answer(1, FRAME) for _ in range(9)]
    assert [frame != FRAME for frame, _ in answers] == [False, False, True] * 3
    assert answers == [again.answer(1, FRAME) for _ in range(9)]


def test_units_are_counted_apart_and_only_those_concerned() -> None:
    wire = FaultyWire(WireFaults(late_every=2, late_s=0.4, units=frozenset({1, 2})), seed=0)
    assert [wire.answer(unit, FRAME)[1] for unit in (1, 2, 3, 1, 3, 2)] == [0, 0, 0, 0.4, 0, 0.4]


def test_a_faultless_wire_changes_nothing() -> None:
    wire = FaultyWire(WireFaults(), seed=0)
    assert {wire.answer(1, FRAME) for _ in range(20)} == {(FRAME, 0.0)}


def test_one_flip_is_one_bit() -> None:
    frame, _ = FaultyWire(WireFaults(flip_every=1), seed=3).answer(1, FRAME)
    assert sum((one ^ other).bit_count() for one, other in zip(frame, FRAME, strict=True)) == 1
