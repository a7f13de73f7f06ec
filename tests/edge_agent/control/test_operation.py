"""Mode and orders as the service keeps them: audited before they hold, kept across restarts, ended by the clock."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from edge_agent.control.memory import ControlMemory
from edge_agent.control.modes import Mode
from edge_agent.control.operation import ORDERS_KEY, Operation
from edge_agent.errors import RefusedByInterlock, StoreFault
from edge_agent.store.rows import AuditEntry

NOW = datetime(2026, 1, 12, 4, tzinfo=UTC)
"""Noon in Beijing."""


class Disk:
    """A store in memory that can refuse."""

    def __init__(self) -> None:
        self.full = False
        self.state: dict[str, str] = {}
        self.entries: list[AuditEntry] = []

    async def audit(self, entry: AuditEntry) -> None:
        if self.full:
            raise StoreFault("disk full")
        self.entries.append(entry)

    async def get_state(self, key: str) -> str | None:
        return self.state.get(key)

    async def put_state(self, key: str, json_text: str) -> None:
        if self.full:
            raise StoreFault("disk full")
        self.state[key] = json_text


class Service:
    """An operation beside a stand-in for control, on a clock that is set by hand."""

    def __init__(self, kit: SimpleNamespace, disk: Disk) -> None:
        self.now_utc = NOW
        self.kit = kit
        self.released: list[str] = []
        self.memory: ControlMemory = kit.memory()
        self.disk = disk
        self.operation = Operation(kit.site(), store=disk, now_utc=lambda: self.now_utc, cycle=asyncio.Lock())

    @property
    def view(self) -> object:
        return self.kit.view(now_utc=self.now_utc)

    def release(self, name: str) -> None:
        self.released.append(name)

    async def order(self, kind: str, subject: str | None = None, **more: object) -> Mapping[str, object]:
        asked = {"kind": kind, "subject": subject, "by": "值班员", "reason": "检修", "lasts_s": 7200.0}
        return await self.operation.answer_override(asked | more)

    async def mode(self, mode: str) -> Mapping[str, object]:
        return await self.operation.answer_mode({"mode": mode, "by": "op", "reason": "test"})


async def started(kit: SimpleNamespace, disk: Disk | None = None) -> Service:
    service = Service(kit, disk or Disk())
    await service.operation.prepare(service)  # type: ignore[arg-type] - a stand-in
    return service


async def test_an_order_is_audited_shown_kept_and_ends_on_the_sites_clock(kit: SimpleNamespace) -> None:
    service = await started(kit)
    answer = await service.order("stop", "hp1")
    given = answer["override"]
    assert isinstance(given, dict)
    assert given == {
        "number": 1,
        "kind": "stop",
        "subject": "hp1",
        "until": "2026-01-12T06:00:00Z",
        "by": "值班员",
        "reason": "检修",
        "made": "2026-01-12T04:00:00Z",
    }
    assert service.operation.shown(service.now_utc)["mode"] == "manual"
    (entry,) = service.disk.entries
    assert (entry.actor, entry.cause, entry.point, entry.outcome) == ("值班员", "检修", "order 1 hp1", "ordered")

    again = await started(kit, service.disk)
    assert [order.subject for order in again.operation.standing(NOW)] == ["hp1"]
    again.now_utc = NOW + timedelta(hours=2)
    assert again.operation.standing(again.now_utc) == ()
    await again.operation.end_orders(again.now_utc)
    assert [entry.outcome for entry in again.disk.entries] == ["ordered", "ended"]
    assert again.operation.shown(again.now_utc)["mode"] == "auto"
    assert (await started(kit, again.disk)).operation.orders.entries == ()


@pytest.mark.parametrize(
    ("typed", "until"),
    [
        ({"lasts_s": 5400.0}, "2026-01-12T05:30:00Z"),
        ({"lasts_s": None, "until": "18:30"}, "2026-01-12T10:30:00Z"),
        ({"lasts_s": None, "until": "11:00"}, "2026-01-13T03:00:00Z"),
        ({"lasts_s": None, "until": "2026-01-12T18:30"}, "2026-01-12T10:30:00Z"),
        ({"lasts_s": None, "until": "2026-01-12T05:00:00+00:00"}, "2026-01-12T05:00:00Z"),
    ],
)
async def test_ends_are_reckoned_on_the_sites_clock(kit: SimpleNamespace, typed: dict[str, object], until: str) -> None:
    answer = await (await started(kit)).order("hold", **typed)
    assert isinstance(answer["override"], dict)
    assert answer["override"]["until"] == until


@pytest.mark.parametrize("typed", [{"until": "soon"}, {"until": None}, {"lasts_s": 1e30}])
async def test_an_end_that_is_not_understood_is_refused(kit: SimpleNamespace, typed: dict[str, object]) -> None:
    service = await started(kit)
    with pytest.raises(RefusedByInterlock) as refusal:
        await service.order("stop", "hp1", **({"lasts_s": None} | typed))
    assert refusal.value.code == "order_end_unknown"
    assert service.disk.entries == []


async def test_leaving_auto_ends_the_orders_and_says_so(kit: SimpleNamespace) -> None:
    service = await started(kit)
    await service.order("stop", "hp1")
    answer = await service.mode("advise")
    assert answer["orders_ended"] == [1]
    assert answer["notes"] == ["orders_end_with_mode"]
    await service.mode("auto")
    assert service.operation.standing(NOW) == ()


async def test_a_full_disk_holds_up_nobody_who_takes_commands_away(kit: SimpleNamespace) -> None:
    service = await started(kit)
    service.disk.full = True
    with pytest.raises(StoreFault):
        await service.order("charge")
    assert service.operation.standing(NOW) == ()
    assert "not_kept" in (await service.order("stop", "hp1"))["notes"]  # type: ignore[operator] - a list
    assert len(service.operation.standing(NOW)) == 1
    assert "not_kept" in (await service.mode("monitor"))["notes"]  # type: ignore[operator] - a list
    assert service.operation.mode.mode is Mode.MONITOR
    with pytest.raises(StoreFault):
        await service.mode("auto")
    assert service.operation.mode.mode is Mode.MONITOR


async def test_damaged_orders_start_without_any_and_numbers_go_on(kit: SimpleNamespace) -> None:
    service = await started(kit)
    await service.order("stop", "hp1")
    service.disk.state[ORDERS_KEY] = "{"
    assert (await started(kit, service.disk)).operation.orders.entries == ()


async def test_only_a_locked_out_unit_is_released(kit: SimpleNamespace) -> None:
    service = await started(kit)
    asked = {"unit": "hp1", "by": "a", "reason": "valve freed"}
    with pytest.raises(RefusedByInterlock) as refusal:
        await service.operation.answer_release(asked)
    assert refusal.value.code == "unit_not_locked_out"
    service.memory = kit.memory(hp1=kit.rested(locked_out=True, failures=3))
    await service.operation.answer_release(asked)
    assert service.released == ["hp1"]
