"""In monitor mode nothing reaches the wire, whichever point of whichever model is asked for, and whoever asks."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import pytest

from drivers.bus.base import BusCounts, Span, UnitTiming
from drivers.device import Device
from drivers.errors import WriteForbidden
from drivers.link import UnitLink
from drivers.profile import Profile
from drivers.read_plan import LineCost
from drivers.writing import Reason

NOON_UTC = datetime(2026, 1, 15, 4, tzinfo=UTC)


class SilentWitness:
    """A bus that answers every read with zeros and lets no write pass unseen."""

    name = "witness"
    cost = LineCost.tcp(turnaround_s=0.005)

    def __init__(self) -> None:
        self.counts = BusCounts()
        self.writes: list[tuple[int, tuple[int, ...], int]] = []
        self.in_queue: Callable[[], object] = lambda: None

    def expect(self, unit: int, timing: UnitTiming) -> None:
        """Nothing to learn."""

    def miss_s(self, unit: int) -> float:
        assert unit
        return 1.0

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def read(self, span: Span, *, unit: int) -> tuple[int, ...]:
        assert unit
        return (0,) * span.count

    async def write(
        self,
        address: int,
        values: Sequence[int],
        *,
        unit: int,
        function: int,
        permit: Callable[[], bool] | None = None,
    ) -> None:
        assert unit
        assert permit is not None
        self.in_queue()
        if not permit():
            raise WriteForbidden(self.name)
        self.writes.append((address, tuple(values), function))


def device(profile: Profile, bus: SilentWitness, *, allowed: bool) -> Device:
    return Device(
        "d", bus=bus, unit=1, profile=profile, period_s=10, now_utc=lambda: NOON_UTC, elapsed_s=lambda: 0.0,
        may_write=lambda: allowed,
    )  # fmt: skip


async def test_no_point_of_any_shipped_model_can_be_written_in_monitor_mode(
    shipped_profiles: Mapping[str, Profile],
) -> None:
    asked = 0
    for profile in shipped_profiles.values():
        bus = SilentWitness()
        part = device(profile, bus, allowed=False)
        await part.poll()
        for name, spec in profile.points.items():
            if spec.write is None:
                continue
            for value in (spec.write.value_min, spec.write.value_max):
                outcome = await part.write(name, value)
                assert (outcome.verified, outcome.reason) == (False, Reason.MONITOR_MODE)
                asked += 1
        await part.serve()
        assert bus.writes == []
    assert asked > 50


async def test_without_somebody_who_allows_it_nothing_is_written() -> None:
    bus = SilentWitness()
    with pytest.raises(WriteForbidden):
        await UnitLink(bus, 1, elapsed_s=lambda: 0.0).send(0, [1], function=6)
    assert bus.writes == []


async def test_the_gate_stands_before_the_wire_whoever_asks() -> None:
    bus, allowed = SilentWitness(), False
    link = UnitLink(bus, 1, elapsed_s=lambda: 0.0, may_write=lambda: allowed)
    with pytest.raises(WriteForbidden):
        await link.send(0, [1], function=6)
    assert bus.writes == []
    allowed = True
    await link.send(0, [1], function=6)
    assert bus.writes == [(0, (1,), 6)]


async def test_a_mode_that_changes_while_the_frame_waits_for_the_wire_stops_it() -> None:
    bus, allowed = SilentWitness(), [True]
    bus.in_queue = allowed.clear
    link = UnitLink(bus, 1, elapsed_s=lambda: 0.0, may_write=lambda: bool(allowed))
    with pytest.raises(WriteForbidden):
        await link.send(0, [1], function=6)
    assert bus.writes == []
