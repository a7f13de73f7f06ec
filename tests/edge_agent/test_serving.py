"""Devices are served at a pace that keeps the shortest watchdog of their bus fed; others are left alone."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from edge_agent import serving

START_UTC = datetime(2026, 1, 15, 8, tzinfo=UTC)


@dataclass
class FakeDevice:
    serves: bool
    keep_alive_s: float | None = None
    served_utc: list[datetime] = field(default_factory=list)
    clock: Any = None
    name: str = "d"
    does: Callable[[int], Awaitable[None]] | None = None

    @property
    def points(self) -> dict[str, Any]:
        return {
            "d.x": SimpleNamespace(write=SimpleNamespace(keep_alive_s=self.keep_alive_s)),
            "d.y": SimpleNamespace(write=None),
        }

    async def serve(self) -> None:
        self.served_utc.append(self.clock.now_utc())
        if self.does is not None:
            await self.does(len(self.served_utc))
        if len(self.served_utc) > 9:
            raise _Enough


class _Enough(BaseException):
    """The test has seen what it wanted."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - a clock that jumps
    clock = SimpleNamespace(now=START_UTC)
    clock.now_utc = lambda: clock.now

    async def jump(_clock: object, instant_utc: datetime) -> None:
        clock.now = max(clock.now, instant_utc)
        await asyncio.sleep(0)

    monkeypatch.setattr(serving, "sleep_until", jump)
    return clock


async def serve(*devices: FakeDevice, clock: Any) -> int:  # noqa: ANN401 - a clock that jumps
    watch = SimpleNamespace(failures=0)
    with pytest.raises(BaseExceptionGroup) as caught:
        await serving.serve_bus(devices, clock=clock, watch=watch)  # type: ignore[arg-type]
    assert caught.group_contains(_Enough)
    failures: int = watch.failures
    return failures


@pytest.mark.parametrize(("keep_alive_s", "pause_s"), [(None, 5), (60, 5), (8, 2)])
async def test_the_pace_follows_the_shortest_watchdog(clock: Any, keep_alive_s: float | None, pause_s: float) -> None:  # noqa: ANN401
    served = FakeDevice(serves=True, keep_alive_s=keep_alive_s, clock=clock)
    idle = FakeDevice(serves=False, clock=clock)
    assert await serve(idle, served, clock=clock) == 0
    assert served.served_utc[:3] == [START_UTC + timedelta(seconds=pause_s * n) for n in (1, 2, 3)]
    assert idle.served_utc == []


async def test_a_device_that_hangs_does_not_delay_a_neighbours_watchdog(clock: Any) -> None:  # noqa: ANN401
    async def hang(_: int) -> None:
        await asyncio.Event().wait()

    slow = FakeDevice(serves=True, clock=clock, does=hang)
    neighbour = FakeDevice(serves=True, clock=clock)
    assert await serve(slow, neighbour, clock=clock) == 0
    assert (len(slow.served_utc), len(neighbour.served_utc)) == (1, 10)


async def test_a_device_that_breaks_costs_its_own_turn_and_is_told_once(
    clock: Any,  # noqa: ANN401
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(count: int) -> None:
        if count in (2, 3, 4):
            raise RuntimeError("a fault of ours")

    broken = FakeDevice(serves=True, clock=clock, does=fail)
    assert await serve(broken, clock=clock) == 3
    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(" device=")[0] for text in told] == ["serving failed", "serving works again"]
