"""Whether the plant has followed a command: what must show, until when, and what was seen. Pure.

That a register holds what was written is proven by the driver; here the physical effect is awaited: a pump that turns,
a valve that has travelled, a compressor that draws power, a unit that reports off, a set-point that still stands.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from drivers.sample import Quality, Sample
from edge_agent.control.actuation import regulates_itself, stage_of
from edge_agent.control.command import Command, Expectation, Kind, Outcome, Verdict
from edge_agent.control.permissives import STOPPED_RATIO
from edge_agent.control.view import HALF, RUNNING_RATIO, UnitState
from edge_agent.settings.model import SiteFile, Unit
from edge_agent.settings.unit_points import CONTACTS

Read = Callable[[str], Sample | None]
"""The last sample of a point."""

POSITION_RATIO = 0.05
"""A valve this close to where it was sent has arrived. Ours: the usual accuracy of a position transmitter is 2 %."""
STANDS = {Kind.SETPOINT: 0.2, Kind.CAPACITY_LIMIT: 0.02}
"""A register this close to what was written still holds it. [K, ratio] Ours: the executor's dead bands."""
EXACT = 1e-6


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reading says: the plant has followed; it has not and will not; or not yet (`followed` is None)."""

    followed: bool | None = None
    reason: str = ""
    value: float | None = None


NOT_YET = Seen()


def expect(
    command: Command,
    *,
    number: int,
    now_utc: datetime,
    site: SiteFile,
    before: float | None = None,
    reference: str = "",
    read_back: float | None = None,
) -> Expectation:
    """What is awaited of a command that has just been verified.

    Args:
        command: what was written.
        number: of the command in the audit.
        now_utc: when.
        site: the times that pumps, valves and units are given.
        before: value of the point before.
        reference: what caused it.
        read_back: what the register showed as it was proven.
    """
    # A reading may be as old as `stale_s` and still count: the effect must have had the time to be read.
    until_utc = now_utc + timedelta(seconds=_time_s(command, site) + site.control.stale_s)
    return Expectation(number, command, now_utc, until_utc, before, reference, read_back)


def _time_s(command: Command, site: SiteFile) -> float:
    control = site.control
    if command.kind is Kind.RUN_REQUEST:
        return control.unit_start_s + control.ramp_watch_s if command.value == 1.0 else control.unit_stop_s
    if command.kind is Kind.PUMP:
        return control.pump_proof_s
    if command.kind is Kind.MODE_REQUEST:
        return control.mode_change_s
    if command.kind is Kind.STAGE and command.subject in site.units:
        return site.units[command.subject].stage_proof_s
    if command.kind in (Kind.ISOLATING_VALVE, Kind.DISCHARGE_VALVE):
        valve = site.valves.get(command.subject)
        return control.valve_margin_s + (0.0 if valve is None else valve.travel_s)
    return 0.0


def judge_effect(expectation: Expectation, *, now_utc: datetime, read: Read, site: SiteFile) -> Outcome | None:
    """The end of a command, or None while its effect is still awaited.

    Args:
        expectation: what is awaited.
        now_utc: the present instant.
        read: last samples.
        site: which points show the effect.
    """
    seen = _see(expectation, _Fresh(read, expectation.opened_utc), site)
    late = now_utc > expectation.until_utc
    if seen.followed is None and not late:
        return None
    if seen.followed is True:
        verdict, reason = Verdict.EFFECTED, ""
    elif seen.followed is False or seen.value is not None:
        verdict, reason = Verdict.NO_EFFECT, seen.reason or "not_in_time"
    else:
        verdict, reason = Verdict.UNKNOWN, "not_seen"
    return ended(expectation, verdict, reason, now_utc=now_utc, read_back=seen.value)


def ended(
    expectation: Expectation, verdict: Verdict, reason: str, *, now_utc: datetime, read_back: float | None = None
) -> Outcome:
    """The outcome that closes an expectation."""
    return Outcome(
        expectation.command,
        now_utc,
        verdict,
        reason,
        before=expectation.before,
        read_back=read_back,
        number=expectation.number,
        reference=expectation.reference,
        latency_s=max(0.0, (now_utc - expectation.opened_utc).total_seconds()),
    )


def reconcile(
    kept: Sequence[Expectation], unfinished: Collection[int] | None
) -> tuple[tuple[Expectation, ...], frozenset[int]]:
    """After a restart: which expectations are watched on, and which commands nobody can tell the end of.

    Args:
        kept: expectations of the run before.
        unfinished: numbers of the audit's commands without an end; None when there is no audit to ask.
    """
    if unfinished is None:
        return tuple(kept), frozenset()
    watched = tuple(expectation for expectation in kept if expectation.number in unfinished)
    return watched, frozenset(unfinished) - {expectation.number for expectation in watched}


@dataclass(frozen=True, slots=True)
class _Fresh:
    """Readings that are younger than a command."""

    read: Read
    after_utc: datetime

    def number(self, point: str | None) -> float | None:
        sample = None if point is None else self.read(point)
        if sample is None or sample.quality is not Quality.GOOD or sample.instant_utc <= self.after_utc:
            return None
        return sample.value


def _see(expectation: Expectation, fresh: _Fresh, site: SiteFile) -> Seen:
    command = expectation.command
    if command.kind is Kind.RUN_REQUEST and command.subject in site.units:
        return _see_run(command, fresh, site)
    if command.kind is Kind.MODE_REQUEST and command.subject in site.units:
        return _see_mode(command, fresh, site)
    if command.kind is Kind.STAGE and command.subject in site.units:
        return _see_stage(command, fresh, site.units[command.subject])
    if command.kind is Kind.PUMP and command.subject in site.pumps:
        return _see_pump(command, fresh, site)
    if command.kind in (Kind.ISOLATING_VALVE, Kind.DISCHARGE_VALVE) and command.subject in site.valves:
        valve = site.valves[command.subject]
        # Without feedback nobody says where it stands: its command register is no proof.
        position = None if valve.feedback is None else fresh.number(f"{valve.device}.{valve.feedback}")
        if position is None:
            return NOT_YET
        arrived = abs(position - command.value) <= POSITION_RATIO
        return Seen(True if arrived else None, "valve_not_proven", position)
    stood = command.value if expectation.read_back is None else expectation.read_back
    return _see_standing(replace(command, value=stood), fresh)


def _see_standing(command: Command, fresh: _Fresh) -> Seen:
    """A register that still holds what was written; another value may be the device's own."""
    value = fresh.number(command.point)
    if value is None:
        return NOT_YET
    stands = abs(value - command.value) <= STANDS.get(command.kind, EXACT) + EXACT
    return Seen(True if stands else None, "replaced", value)


def _see_pump(command: Command, fresh: _Fresh, site: SiteFile) -> Seen:
    pump = site.pumps[command.subject]
    running = fresh.number(f"{pump.device}.{pump.feedback}")
    if running is None:
        return NOT_YET
    followed = (running >= 0.5) is (command.value == 1.0)  # noqa: PLR2004 - middle between off and on
    if followed and command.value == 1.0 and pump.power_point is not None:
        # A feedback contact may stick; a motor that turns draws power.
        power_kw = fresh.number(pump.power_point)
        if power_kw is None or power_kw <= 0.0:
            return Seen(None, "no_power", running)
    return Seen(True if followed else None, "pump_not_proven", running)


def _see_run(command: Command, fresh: _Fresh, site: SiteFile) -> Seen:
    unit = site.units[command.subject]
    meter = site.meters.units.get(command.subject)
    electric_kw = fresh.number(unit.point("electric_power"))
    if electric_kw is None and meter is not None:
        electric_kw = fresh.number(f"{meter}.electric_power")
    number = _state_number(unit, fresh, electric_kw=electric_kw)
    state = None if number is None else round(number)
    if state is None:
        return NOT_YET
    stands = electric_kw is None or electric_kw < STOPPED_RATIO * unit.heat_kw_rated
    if command.value == 0.0:
        off = state in (UnitState.OFF, UnitState.TRIPPED) and stands
        return Seen(True if off else None, "unit_not_stopped", number)
    if state == UnitState.TRIPPED:
        return Seen(followed=False, reason="unit_tripped", value=number)
    if fresh.number(unit.point("remote")) == 0.0:
        return Seen(followed=False, reason="unit_local", value=number)
    if state == UnitState.RUNNING and (electric_kw is None or not stands):
        return Seen(followed=True, reason="", value=number)
    return Seen(None, "no_power" if state == UnitState.RUNNING else "unit_not_started", number)


def _state_number(unit: Unit, fresh: _Fresh, *, electric_kw: float | None) -> float | None:
    """State of a unit by its register; of one on contacts by its contact, or by its power, and by its fault."""
    if unit.actuation != CONTACTS:
        return fresh.number(unit.point("state"))
    shown = fresh.number(unit.point("running"))
    if unit.point("running") is not None:
        runs = None if shown is None else shown >= HALF
    else:
        runs = None if electric_kw is None else electric_kw >= RUNNING_RATIO * unit.heat_kw_rated
    if runs is None:
        return None
    if not runs and (fresh.number(unit.point("fault")) or 0.0) >= HALF:
        return float(UnitState.TRIPPED)
    return float(UnitState.RUNNING if runs else UnitState.OFF)


def _see_stage(command: Command, fresh: _Fresh, unit: Unit) -> Seen:
    """A stage shows by its feedback, where it has one; a number that is a limit need only stand."""
    if regulates_itself(unit):
        return _see_standing(command, fresh)
    contacts, feedbacks = unit.points.stage_contacts, unit.points.stage_feedbacks
    if command.point in contacts and feedbacks:
        point: str | None = feedbacks[contacts.index(command.point)]
        wanted = command.value
    elif command.point == unit.point("stage_request") and unit.point("stage_actual") is not None:
        point, wanted = unit.point("stage_actual"), float(stage_of(command, unit) or 0)
    else:
        return _see_standing(command, fresh)
    shown = fresh.number(point)
    if shown is None:
        return NOT_YET
    # A stop takes all stages away at once.
    followed = shown == wanted or (shown < wanted <= 1.0 and command.point not in contacts)
    return Seen(True if followed else None, "stage_not_shown", shown)


def _see_mode(command: Command, fresh: _Fresh, site: SiteFile) -> Seen:
    """A running unit must be in its mode; one that stands must have it in its register."""
    unit = site.units[command.subject]
    state = fresh.number(unit.point("state"))
    actual = fresh.number(unit.point("mode_actual"))
    if state is not None and round(state) == UnitState.RUNNING and actual is not None:
        return Seen(True if actual == command.value else None, "mode_not_taken", actual)
    return _see_standing(command, fresh)
