"""Mode and orders as the service keeps them: audited before they hold, kept across restarts, ended by the clock."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from edge_agent.control.command import Command, Kind, Outcome, Verdict
from edge_agent.control.memory import ControlMemory
from edge_agent.control.modes import Mode
from edge_agent.control.operation import ORDERS_KEY, Operation
from edge_agent.control.report import CycleReport
from edge_agent.control.want import Want
from edge_agent.errors import RefusedByInterlock, StoreFault
from edge_agent.settings.model import SiteFile
from edge_agent.store.rows import AuditEntry
from edge_agent.texts.catalogue import text

NOW = datetime(2026, 1, 12, 4, tzinfo=UTC)
"""Noon in Beijing."""


class Disk:
    """A store in memory that can refuse."""

    def __init__(self) -> None:
        self.full = False
        self.state: dict[str, str] = {}
        self.entries: list[AuditEntry] = []
        self.broken_at: int | None = None

    async def audit_broken_at(self) -> int | None:
        return self.broken_at

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

    def __init__(self, kit: SimpleNamespace, disk: Disk, *, site: SiteFile | None = None) -> None:
        self.now_utc = NOW
        self.kit = kit
        self.released: list[str] = []
        self.memory: ControlMemory = kit.memory()
        self.disk = disk
        self.seen: dict[str, object] = {}
        self.wants: dict[str, Want] = {}
        self.wall_s = 0.0
        self.operation = Operation(
            site or kit.site(),
            store=disk,
            now_utc=lambda: self.now_utc,
            steady=lambda: ("boot" if self.wall_s >= 0.0 else "another boot", self.wall_s, self.now_utc),
            cycle=asyncio.Lock(),
        )

    @property
    def view(self) -> object:
        return self.kit.view(now_utc=self.now_utc, **self.seen)

    def release(self, name: str) -> None:
        self.released.append(name)

    async def order(self, kind: str, subject: str | None = None, **more: object) -> Mapping[str, object]:
        asked = {"kind": kind, "subject": subject, "by": "值班员", "reason": "检修", "lasts_s": 7200.0}
        return await self.operation.answer_override(asked | more)

    async def goes_on(self, minutes: float, *, store_refuses: bool = False, outcomes: Sequence[Outcome] = ()) -> None:
        """Looks every 30 s; the clock and the stop-watch agree."""
        for _ in range(round(2 * minutes)):
            self.now_utc += timedelta(seconds=30)
            self.wall_s += 30.0
            await self.operation.look(self.now_utc, store_refuses=store_refuses)
            await self.operation.cycle_done(CycleReport(self.now_utc, tuple(outcomes), wants=self.wants))

    def shown(self) -> tuple[str, bool, list[str]]:
        """Mode in force, whether a plan is followed, and the alarms."""
        shown = self.operation.shown(self.now_utc)
        return str(shown["mode"]), bool(shown["follows_plan"]), [alarm.code for alarm in self.operation.alarms()]

    async def mode(self, mode: str) -> Mapping[str, object]:
        return await self.operation.answer_mode({"mode": mode, "by": "op", "reason": "test"})


async def started(kit: SimpleNamespace, disk: Disk | None = None, *, now_utc: datetime = NOW) -> Service:
    service = Service(kit, disk or Disk())
    service.now_utc = now_utc
    service.wall_s = (now_utc - NOW).total_seconds()
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
    assert (entry.actor, entry.cause, entry.outcome) == ("值班员", "检修", "ordered")
    assert (entry.point, entry.wanted) == ("order 1 hp1", "stop until 2026-01-12T06:00:00Z")

    again = await started(kit, service.disk)
    assert [order.subject for order in again.operation.standing(NOW)] == ["hp1"]
    again.now_utc = NOW + timedelta(hours=2)
    assert again.operation.standing(again.now_utc) == ()
    await again.operation.look(again.now_utc, store_refuses=False)
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


async def test_orders_that_cannot_be_read_wait_for_a_person_and_numbers_go_on(kit: SimpleNamespace) -> None:
    service = await started(kit)
    await service.order("stop", "hp1")
    service.disk.state[ORDERS_KEY] = "{"
    again = await started(kit, service.disk)
    await again.goes_on(1)
    assert again.operation.orders.entries == ()
    assert again.shown() == ("auto", False, ["mode_stepped_down"])
    given = (await again.order("stop", "hp1"))["override"]
    assert isinstance(given, dict)
    assert given["number"] == 2
    await again.mode("auto")
    await again.goes_on(1)
    assert again.shown() == ("manual", True, [])


async def test_an_order_for_the_only_tank_is_the_same_with_and_without_its_name(kit: SimpleNamespace) -> None:
    service = await started(kit)
    await service.order("stop", "hp2")
    assert (await service.order("charge"))["override"]["subject"] == "tank"  # type: ignore[index]
    assert (await service.order("charge", "tank"))["ended"] == [2]
    assert (await service.order("hold"))["ended"] == [3]
    left = await service.order("release", "tank")
    assert [entry["number"] for entry in left["standing"]] == [1]  # type: ignore[attr-defined]


async def test_one_order_is_released_by_its_number_and_the_others_stand(kit: SimpleNamespace) -> None:
    service = await started(kit)
    await service.order("stop")
    await service.order("stop", "hp2")
    with pytest.raises(RefusedByInterlock, match="1, 2"):
        await service.order("release", number=7)
    with pytest.raises(RefusedByInterlock, match="1, 2"):
        await service.order("release", "hp1")
    left = await service.order("release", number=1)
    assert left["ended"] == [1]
    assert [entry["subject"] for entry in left["standing"]] == ["hp2"]  # type: ignore[attr-defined]


async def test_only_a_locked_out_unit_is_released(kit: SimpleNamespace) -> None:
    service = await started(kit)
    asked = {"unit": "hp1", "by": "a", "reason": "valve freed"}
    with pytest.raises(RefusedByInterlock) as refusal:
        await service.operation.answer_release(asked)
    assert refusal.value.code == "unit_not_locked_out"
    service.memory = kit.memory(hp1=kit.rested(locked_out=True, failures=3))
    await service.operation.answer_release(asked)
    assert service.released == ["hp1"]


# ------------------------------------------------------------------------------------------------------------ step down


async def test_a_blind_control_releases_the_units_and_comes_back_by_itself(kit: SimpleNamespace) -> None:
    service = await started(kit)
    service.seen = {"supply_degc": None}
    await service.goes_on(29)
    assert service.shown() == ("auto", True, [])
    await service.goes_on(2)
    assert service.shown() == ("advise", False, ["mode_stepped_down"])
    with pytest.raises(RefusedByInterlock) as refusal:
        await service.order("stop", "hp1")
    assert refusal.value.code == "order_mode_not_auto"
    again = await started(kit, service.disk)
    assert again.shown()[0] == "advise"
    service.seen = {}
    await service.goes_on(9)
    assert service.shown()[0] == "advise"
    await service.goes_on(2)
    assert service.shown() == ("auto", True, [])
    assert [entry.outcome for entry in service.disk.entries] == ["stepped_down", "restored"]


async def test_units_without_a_heartbeat_are_named_when_nobody_commands_them_any_more(kit: SimpleNamespace) -> None:
    """No watchdog hands them to their panel."""
    site = kit.site()
    points = site.units["hp2"].points.model_copy(update={"heartbeat": None})
    points.model_fields_set.add("heartbeat")
    deaf = site.units["hp2"].model_copy(update={"points": points})
    service = Service(kit, Disk(), site=site.model_copy(update={"units": {**site.units, "hp2": deaf}}))
    await service.operation.prepare(service)  # type: ignore[arg-type] - a stand-in
    service.seen = {"supply_degc": None}
    await service.goes_on(31)
    named = [alarm for alarm in service.operation.alarms() if alarm.code == "units_without_watchdog"]
    assert [alarm.values for alarm in named] == [{"units": "hp2"}]


async def test_orders_stand_through_a_step_down_that_comes_back(kit: SimpleNamespace) -> None:
    service = await started(kit)
    await service.order("stop", "hp1")
    service.seen = {"supply_degc": None}
    await service.goes_on(31)
    assert service.shown()[0] == "advise"
    service.seen = {}
    await service.goes_on(11)
    assert service.shown()[0] == "manual"


async def test_a_clock_that_jumps_costs_the_plan_and_not_the_heat(kit: SimpleNamespace) -> None:
    service = await started(kit)
    await service.goes_on(1)
    service.now_utc += timedelta(hours=3)
    await service.goes_on(1)
    assert service.shown() == ("auto", False, ["mode_stepped_down"])
    with pytest.raises(RefusedByInterlock) as refusal:
        await service.order("charge")
    assert refusal.value.code == "order_charging_barred"
    assert "{" not in refusal.value.zh + refusal.value.en
    await service.order("stop", "hp1")
    await service.goes_on(16)
    assert service.shown() == ("manual", True, [])


async def test_a_clock_behind_the_last_run_waits_or_is_acknowledged(kit: SimpleNamespace) -> None:
    service = await started(kit)
    await service.goes_on(1)
    for acknowledges in (False, True):
        behind = Service(kit, service.disk)
        behind.now_utc = NOW - timedelta(hours=1)
        await behind.operation.prepare(behind)  # type: ignore[arg-type] - a stand-in
        await behind.goes_on(1)
        assert behind.shown() == ("auto", False, ["mode_stepped_down"])
        if acknowledges:
            assert (await behind.mode("auto"))["notes"] == ["step_down_over"]
            assert behind.shown() == ("auto", True, [])
        else:
            await behind.goes_on(60)
            assert not behind.shown()[1]
            await behind.goes_on(16)
            assert behind.shown() == ("auto", True, [])


async def test_a_refusing_disk_costs_the_plan_after_half_an_hour(kit: SimpleNamespace) -> None:
    service = await started(kit)
    service.disk.full = True
    await service.goes_on(29, store_refuses=True)
    assert service.shown()[1]
    await service.goes_on(2, store_refuses=True)
    assert service.shown() == ("auto", False, ["mode_stepped_down"])
    service.disk.full = False
    await service.goes_on(6)
    assert service.shown() == ("auto", True, [])


async def test_control_that_breaks_leaves_the_plan_first_and_ends_then(kit: SimpleNamespace) -> None:
    service = await started(kit)
    await service.operation.control_begins()
    for _ in range(3):
        await service.operation.control_begins()
    await service.goes_on(1)
    assert service.shown() == ("auto", False, ["mode_stepped_down"])
    for _ in range(3):
        await service.operation.control_begins()
    await service.goes_on(1)
    assert service.shown()[0] == "monitor"
    again = await started(kit, service.disk, now_utc=service.now_utc)
    await again.goes_on(120)
    assert again.shown()[0] == "monitor"  # a person must have looked
    assert (await again.mode("auto"))["notes"] == ["step_down_over"]
    assert again.shown() == ("auto", True, [])


async def test_a_few_failures_are_forgotten_when_control_runs_on(kit: SimpleNamespace) -> None:
    service = await started(kit)
    for _ in range(3):
        await service.operation.control_begins()
        await service.goes_on(12)
    await service.operation.control_begins()
    await service.goes_on(1)
    assert service.shown() == ("auto", True, [])


async def test_a_broken_audit_waits_for_a_person_once(kit: SimpleNamespace) -> None:
    disk = Disk()
    disk.broken_at = 17
    service = await started(kit, disk)
    await service.goes_on(1)
    assert service.shown() == ("auto", False, ["mode_stepped_down"])
    await service.mode("auto")
    await service.goes_on(60)
    assert service.shown() == ("auto", True, [])
    again = await started(kit, disk, now_utc=service.now_utc)
    await again.goes_on(1)
    assert again.shown() == ("auto", True, [])
    disk.broken_at = 16
    last = await started(kit, disk, now_utc=again.now_utc)
    await last.goes_on(1)
    assert not last.shown()[1]


async def test_who_commands_nothing_has_nothing_to_take_back(kit: SimpleNamespace) -> None:
    service = await started(kit)
    await service.mode("monitor")
    service.seen = {"supply_degc": None}
    await service.goes_on(60, store_refuses=True)
    assert service.shown() == ("monitor", False, [])


def unproven(verdict: Verdict, now_utc: datetime, reason: str = "no_answer") -> list[Outcome]:
    return [Outcome(Command("hp1.supply_setpoint", 45.0, Kind.SETPOINT, "hp1"), now_utc, verdict, reason)]


async def test_a_unit_that_takes_no_commands_is_left_to_its_panel_and_tried_again(kit: SimpleNamespace) -> None:
    service = await started(kit)
    for minutes in (31, 61):
        await service.goes_on(2.5, outcomes=unproven(Verdict.UNVERIFIED, NOW))
        assert service.operation.units_out == {"hp1"}
        assert service.shown() == ("auto", True, ["unit_out_of_control"])
        await service.goes_on(minutes - 2)
        assert service.operation.units_out == {"hp1"}
        await service.goes_on(2)
        assert service.operation.units_out == set()
    await service.goes_on(2.5, outcomes=unproven(Verdict.UNVERIFIED, NOW))
    await service.goes_on(600)
    assert service.shown()[2] == ["unit_out_for_good"]
    again = await started(kit, service.disk)
    assert again.operation.units_out == {"hp1"}
    await again.operation.answer_release({"unit": "hp1", "by": "a", "reason": "mended"})
    assert again.operation.units_out == set()


async def test_single_unproven_commands_take_no_unit_out(kit: SimpleNamespace) -> None:
    service = await started(kit)
    for _ in range(5):
        await service.goes_on(2, outcomes=unproven(Verdict.UNVERIFIED, NOW))
        await service.goes_on(0.5, outcomes=unproven(Verdict.VERIFIED, NOW))
    assert service.operation.units_out == set()


async def test_every_alarm_is_worded(kit: SimpleNamespace) -> None:
    disk = Disk()
    disk.broken_at = 3
    service = await started(kit, disk)
    await service.goes_on(5, outcomes=unproven(Verdict.UNVERIFIED, NOW))
    alarms = service.operation.alarms()
    assert len(alarms) == 2
    for alarm in alarms:
        words = text(alarm.code, **alarm.values)
        assert "?" not in words.zh + words.en
        assert words.hint_zh
        assert words.hint_en


async def test_in_advise_what_each_unit_should_do_is_recorded_when_it_changes(kit: SimpleNamespace) -> None:
    service = await started(kit)
    service.wants = {"hp1": Want(on=True, mode="direct"), "hp2": Want(on=False)}
    await service.goes_on(5)
    assert service.disk.entries == []  # auto: the commands themselves are recorded
    await service.mode("advise")
    await service.goes_on(5)
    service.wants = {"hp1": Want(on=True, mode="charge"), "hp2": Want(on=False)}
    await service.goes_on(5)
    advised = [(entry.point, entry.wanted) for entry in service.disk.entries if entry.outcome == "advised"]
    assert advised == [("hp1", "direct"), ("hp2", "off"), ("hp1", "charge")]


async def test_a_unit_that_takes_commands_and_does_nothing_is_left_to_its_panel(kit: SimpleNamespace) -> None:
    service = await started(kit)
    for verdict in (Verdict.VERIFIED, Verdict.NO_EFFECT) * 3:
        assert service.operation.units_out == set()
        await service.goes_on(0.5, outcomes=unproven(verdict, NOW, "not_in_time"))
    assert service.operation.units_out == {"hp1"}
    other = await started(kit)
    for _ in range(6):
        await other.goes_on(0.5, outcomes=unproven(Verdict.NO_EFFECT, NOW, "replaced"))
    assert other.operation.units_out == set()


@pytest.mark.parametrize("reason", ["out_of_bounds", "rate_limit", "not_now", "line_down"])
async def test_what_our_own_rules_or_the_line_refuse_does_not_speak_against_the_unit(
    kit: SimpleNamespace, reason: str
) -> None:
    service = await started(kit)
    await service.goes_on(20, outcomes=unproven(Verdict.UNVERIFIED, NOW, reason))
    assert service.operation.units_out == set()


# ---------------------------------------------------------------------------------------------------- clocks and orders


@pytest.mark.parametrize("jump_h", [3.0, -3.0, 400.0])
async def test_a_clock_that_is_set_ends_no_stop_early(kit: SimpleNamespace, jump_h: float) -> None:
    """Somebody works on hp1 for two hours; neither a jump nor a restart across it makes the unit start under him."""
    for away in (False, True):
        service = await started(kit)
        await service.order("stop", "hp1")
        await service.goes_on(6)
        service.now_utc += timedelta(hours=jump_h)
        if away:
            again = Service(kit, service.disk)
            again.now_utc, again.wall_s = service.now_utc, service.wall_s
            await again.operation.prepare(again)  # type: ignore[arg-type] - a stand-in
            service = again
        await service.goes_on(110)
        assert [order.subject for order in service.operation.standing(service.now_utc)] == ["hp1"]
        if jump_h > 0:
            await service.goes_on(10)
            assert service.operation.standing(service.now_utc) == ()


async def test_a_clock_that_is_set_prolongs_no_charge(kit: SimpleNamespace) -> None:
    service = await started(kit)
    await service.order("charge")
    await service.goes_on(6)
    service.now_utc -= timedelta(hours=3)
    await service.goes_on(120)
    assert service.operation.standing(service.now_utc) == ()


async def test_a_dead_clock_at_boot_keeps_a_stop_until_it_is_right_again(kit: SimpleNamespace) -> None:
    service = await started(kit)
    await service.order("stop", "hp1")
    await service.order("charge", "hp2")
    await service.goes_on(6)
    booted = Service(kit, service.disk)
    booted.now_utc = datetime(2020, 1, 1, tzinfo=UTC)
    booted.wall_s = -1e6  # another count, as after a boot
    await booted.operation.prepare(booted)  # type: ignore[arg-type] - a stand-in
    await booted.goes_on(30)
    assert [order.kind for order in booted.operation.standing(booted.now_utc)] == ["stop"]
    await booted.order("stop", "hp2", lasts_s=3600.0)
    await booted.goes_on(5)
    assert [order.subject for order in booted.operation.standing(booted.now_utc)] == ["hp1", "hp2"]
    booted.now_utc = NOW + timedelta(minutes=45)  # set right
    await booted.goes_on(5)
    assert {order.subject for order in booted.operation.standing(booted.now_utc)} >= {"hp1", "hp2"}
    await booted.goes_on(50)
    left = {order.subject: order.kind for order in booted.operation.standing(booted.now_utc)}
    assert left == {"hp1": "stop", "hp2": "charge"}
    await booted.goes_on(25)
    assert booted.operation.standing(booted.now_utc) == ()
