"""Devices are served at a pace that keeps the shortest watchdog of their bus fed; others are left alone."""

import asyncio
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

    @property
    def points(self) -> dict[str, Any]:
        return {
            "d.x": SimpleNamespace(write=SimpleNamespace(keep_alive_s=self.keep_alive_s)),
            "d.y": SimpleNamespace(write=None),
        }

    async def serve(self) -> None:
        self.served_utc.append(self.clock.now_utc())
        if len(self.served_utc) > 9:
            raise asyncio.CancelledError


@pytest.mark.parametrize(("keep_alive_s", "pause_s"), [(None, 5), (60, 5), (8, 2)])
async def test_the_pace_follows_the_shortest_watchdog(
    monkeypatch: pytest.MonkeyPatch, keep_alive_s: float | None, pause_s: float
) -> None:
    clock = SimpleNamespace(now=START_UTC)
    clock.now_utc = lambda: clock.now

    async def jump(_clock: object, instant_utc: datetime) -> None:
        clock.now = instant_utc

    monkeypatch.setattr(serving, "sleep_until", jump)
    served = FakeDevice(serves=True, keep_alive_s=keep_alive_s, clock=clock)
    idle = FakeDevice(serves=False, clock=clock)
    with pytest.raises(asyncio.CancelledError):
        await serving.serve_bus([idle, served], clock=clock)  # type: ignore[list-item]
    assert served.served_utc[:3] == [START_UTC + timedelta(seconds=pause_s * n) for n in (1, 2, 3)]
    assert idle.served_utc == []
