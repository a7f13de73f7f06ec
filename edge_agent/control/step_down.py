"""When control takes itself back, how far, and when it comes back: a table and the reckoning over it. Pure.

Heat first: no step down switches anything off. What is closest to the fault gives way, and only for as long as needed:

    one unit          seen as local: no command, no heartbeat; its own panel goes on with it when its watchdog ends
    without the plan  still in command: comfort, heartbeats and protection go on; nothing is charged, no plan followed
    advise            nothing is written; every unit is released to its own panel by its watchdog; valves stay
    monitor           the same, and nothing is decided either

`RULES` says which cause leads where. A step down is kept across restarts and shown with its cause. Where the fault can
be seen to be over, control comes back by itself; one that keeps coming back, or needs judgement, waits for a person.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from edge_agent.control.command import Kind, Outcome, Verdict
from edge_agent.control.modes import Mode
from edge_agent.control.view import PlantView

VERSION = 1
CONTROL_FAILURES_PLAN = 3
"""Failures of the control cycle in a row after which the plan is left: what is special about it may be the fault."""
CONTROL_FAILURES_MAX = 6
"""... and after which control ends, before the service is given up (8): records and uploads go on. Ours."""
COMES_BACK_MAX = 3
"""A cause that has come and gone this often within a day needs a person the next time. Ours."""
DAY = timedelta(hours=24)
UNPROVEN_MAX = 5
"""Commands to one point of a unit that were not proven, in a row: with growing pauses some minutes. Ours."""
NO_EFFECT_MAX = 3
"""Commands to one point of a unit that it took and that moved nothing, in a row: each has had its whole time. Ours."""
UNIT_OUT_S = 1800.0
"""A unit whose commands fail is left alone this long, then tried again; twice as long the second time. Ours."""
JUMP_S = 300.0
"""A clock that is off by more than this from what the stop-watch says has jumped [s]. Ours."""
UNIT_REASONS = frozenset({"no_answer", "protocol", "refused", "locked", "read_back_failed", "read_back_differs"})
"""Reasons of `drivers.writing` that speak against a unit. A value that its profile does not take, or a line that is
down, is no fault of its."""
UNIT_KINDS = frozenset({Kind.RUN_REQUEST, Kind.MODE_REQUEST, Kind.SETPOINT, Kind.CAPACITY_LIMIT, Kind.STAGE})


class Cause(StrEnum):
    """Why control has taken itself back; code of `edge_agent/texts`."""

    BLIND = "down_blind"
    CONTROL_PLAN = "down_control_plan"
    CONTROL = "down_control"
    CLOCK = "down_clock"
    STORE = "down_store"
    AUDIT = "down_audit"
    ORDERS = "down_orders"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a cause leads to.

    Attributes:
        mode: the most that control may still do.
        follows_plan: whether a plan is followed, in auto.
        after_s: it must last this long first [s].
        back_after_s: gone for this long, control comes back by itself [s]; None: a person brings it back.
    """

    mode: Mode
    follows_plan: bool
    after_s: float
    back_after_s: float | None


RULES: Mapping[Cause, Rule] = {
    # Until then the units are held as they are, with their heartbeat. Afterwards nobody knows what they should do: the
    # panels have their own sensors, and start what is needed.
    Cause.BLIND: Rule(Mode.ADVISE, follows_plan=False, after_s=1800.0, back_after_s=600.0),
    Cause.CONTROL_PLAN: Rule(Mode.AUTO, follows_plan=False, after_s=0.0, back_after_s=3600.0),
    Cause.CONTROL: Rule(Mode.MONITOR, follows_plan=False, after_s=0.0, back_after_s=None),
    # Heat needs no hour of the day; prices and the plan do.
    Cause.CLOCK: Rule(Mode.AUTO, follows_plan=False, after_s=0.0, back_after_s=900.0),
    # Commands that cannot be kept are few without the plan; a disk is no reason to let a building go cold.
    Cause.STORE: Rule(Mode.AUTO, follows_plan=False, after_s=1800.0, back_after_s=300.0),
    # Somebody, or a disk, has changed what was commanded in the past: a person must have seen it.
    Cause.AUDIT: Rule(Mode.AUTO, follows_plan=False, after_s=0.0, back_after_s=None),
    # Perhaps somebody works on a unit that was stopped for it.
    Cause.ORDERS: Rule(Mode.AUTO, follows_plan=False, after_s=0.0, back_after_s=None),
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is wrong now.

    Attributes:
        blind: no supply temperature, or no unit is known.
        control_failures: control cycles that broke in a row.
        clock_jumped: the clock has jumped since the last look.
        clock_behind: it shows less than the service has seen before its start.
        store_refuses: journal or records are not kept.
        audit_broken_at: number of the first entry that does not fit; None: the chain is whole, or a person has seen it.
        orders_lost: the orders of the run before cannot be read.
    """

    blind: bool = False
    control_failures: int = 0
    clock_jumped: bool = False
    clock_behind: bool = False
    store_refuses: bool = False
    audit_broken_at: int | None = None
    orders_lost: bool = False

    def causes(self) -> frozenset[Cause]:
        """What it amounts to."""
        found = {
            Cause.BLIND: self.blind,
            Cause.CONTROL_PLAN: self.control_failures >= CONTROL_FAILURES_PLAN,
            Cause.CONTROL: self.control_failures >= CONTROL_FAILURES_MAX,
            Cause.CLOCK: self.clock_jumped or self.clock_behind,
            Cause.STORE: self.store_refuses,
            Cause.AUDIT: self.audit_broken_at is not None,
            Cause.ORDERS: self.orders_lost,
        }
        return frozenset(cause for cause, wrong in found.items() if wrong)


@dataclass(frozen=True, slots=True)
class Down:
    """One step down in force.

    Attributes:
        since_utc: when it was taken.
        person: it stays until a person asks for auto again.
        well_utc: the cause has been gone since; None while it is there.
    """

    since_utc: AwareDatetime
    person: bool
    well_utc: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class UnitOut:
    """A unit that has been taken out of control.

    Attributes:
        since_utc: since when.
        point: the point whose commands were not proven.
        again_utc: it is tried again then; None: a person must release it.
    """

    since_utc: AwareDatetime
    point: str
    again_utc: AwareDatetime | None


@dataclass(frozen=True, slots=True)
class StepDowns:
    """Everything that is remembered of it.

    Attributes:
        downs: in force, by cause.
        bad_utc: causes that are there and have not lasted long enough, since when.
        came_utc: when each cause led to a step down within the last day.
        unproven: commands in a row that were not proven, or moved nothing (`... effect`), by unit and point.
        out: units out of control.
        out_utc: when each unit was taken out within the last day.
    """

    downs: Mapping[Cause, Down] = field(default_factory=dict)
    bad_utc: Mapping[Cause, AwareDatetime] = field(default_factory=dict)
    came_utc: Mapping[Cause, tuple[AwareDatetime, ...]] = field(default_factory=dict)
    unproven: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    out: Mapping[str, UnitOut] = field(default_factory=dict)
    out_utc: Mapping[str, tuple[AwareDatetime, ...]] = field(default_factory=dict)

    def mode(self, asked: Mode) -> Mode:
        """The mode in force under the one a person has asked for: never more than that."""
        return min([asked, *(RULES[cause].mode for cause in self.downs)], key=tuple(Mode).index)

    @property
    def follows_plan(self) -> bool:
        """Whether a plan may be followed."""
        return all(RULES[cause].follows_plan for cause in self.downs)


def clock_jumped(site_s: float, *, steady_s: float) -> bool:
    """Whether the site's clock has moved otherwise than time has passed.

    Args:
        site_s: by how much it has moved [s].
        steady_s: site seconds that have really passed [s].
    """
    return abs(site_s - steady_s) > JUMP_S


# ------------------------------------------------------------------------------------------------------- the whole site


def weigh(state: StepDowns, evidence: Evidence, *, now_utc: datetime) -> StepDowns:
    """Takes the steps that the evidence asks for, and back those whose cause is gone.

    Args:
        state: as it stands.
        evidence: what is wrong now.
        now_utc: the site's clock; after a jump all waiting begins anew.
    """
    if evidence.clock_jumped:
        state = _begun_anew(state, now_utc)
    wrong = evidence.causes()
    bad_utc = {cause: state.bad_utc.get(cause, now_utc) for cause in wrong}
    downs = dict(state.downs)
    came_utc = dict(state.came_utc)
    for cause, since_utc in bad_utc.items():
        if cause in downs:
            downs[cause] = replace(downs[cause], well_utc=None)
        elif (now_utc - since_utc).total_seconds() >= RULES[cause].after_s:
            recent = _recent(came_utc.get(cause, ()), now_utc)
            person = RULES[cause].back_after_s is None or len(recent) >= COMES_BACK_MAX
            downs[cause] = Down(now_utc, person)
            came_utc[cause] = (*recent, now_utc)
    for cause in [cause for cause in downs if cause not in wrong]:
        down = replace(downs[cause], well_utc=downs[cause].well_utc or now_utc)
        downs[cause] = down
        back_after_s = RULES[cause].back_after_s
        assert down.well_utc is not None
        well_s = (now_utc - down.well_utc).total_seconds()
        if not down.person and back_after_s is not None and well_s >= back_after_s:
            del downs[cause]
    return replace(state, downs=downs, bad_utc=bad_utc, came_utc=came_utc)


def acknowledged(state: StepDowns, evidence: Evidence) -> StepDowns:
    """A person asks for auto again: what only waited for him is over, and what is still there begins anew."""
    wrong = evidence.causes()
    downs = {
        cause: replace(down, person=False)
        for cause, down in state.downs.items()
        if cause in wrong and RULES[cause].back_after_s is not None
    }
    return replace(state, downs=downs, bad_utc={}, came_utc={})


def _begun_anew(state: StepDowns, now_utc: datetime) -> StepDowns:
    downs = {cause: replace(down, well_utc=None) for cause, down in state.downs.items()}
    return replace(state, downs=downs, bad_utc=dict.fromkeys(state.bad_utc, now_utc), out=_due_again(state, now_utc))


def _due_again(state: StepDowns, now_utc: datetime) -> dict[str, UnitOut]:
    """Units that are out wait at most as long as the longest wait from now: their end was reckoned by another clock."""
    latest_utc = now_utc + timedelta(seconds=2.0 * UNIT_OUT_S)
    return {
        name: out if out.again_utc is None else replace(out, again_utc=min(out.again_utc, latest_utc))
        for name, out in state.out.items()
    }


def _recent(instants: Iterable[datetime], now_utc: datetime) -> tuple[datetime, ...]:
    return tuple(instant for instant in instants if timedelta(0) <= now_utc - instant < DAY)


# --------------------------------------------------------------------------------------------------------- single units


def weigh_units(state: StepDowns, outcomes: Iterable[Outcome], *, now_utc: datetime) -> StepDowns:
    """Takes units out of control whose commands are not proven again and again, and tries them again later.

    Args:
        state: as it stands.
        outcomes: of the last cycle.
        now_utc: the site's clock.
    """
    out = {name: entry for name, entry in state.out.items() if entry.again_utc is None or now_utc < entry.again_utc}
    unproven = {name: dict(points) for name, points in state.unproven.items()}
    out_utc = dict(state.out_utc)
    for outcome in outcomes:
        name, point = outcome.command.subject, outcome.command.point
        if outcome.command.kind not in UNIT_KINDS or name in out:
            continue
        points = unproven.setdefault(name, {})
        effect = f"{point} effect"
        if outcome.verdict is Verdict.VERIFIED:
            points.pop(point, None)
        elif outcome.verdict is Verdict.EFFECTED:
            points.pop(effect, None)
        elif outcome.verdict is Verdict.UNVERIFIED and outcome.reason in UNIT_REASONS:
            points[point] = points.get(point, 0) + 1
        elif outcome.verdict is Verdict.NO_EFFECT and outcome.reason != "replaced":
            # A set-point that the unit puts back is its own control's business: the executor leaves it alone.
            points[effect] = points.get(effect, 0) + 1
        if points.get(point, 0) >= UNPROVEN_MAX or points.get(effect, 0) >= NO_EFFECT_MAX:
            recent = _recent(out_utc.get(name, ()), now_utc)
            wait = timedelta(seconds=UNIT_OUT_S * 2 ** min(len(recent), 1))
            again_utc = None if len(recent) + 1 >= COMES_BACK_MAX else now_utc + wait
            out[name] = UnitOut(now_utc, point, again_utc)
            out_utc[name] = (*recent, now_utc)
            del unproven[name]
    kept = {name: points for name, points in unproven.items() if points}
    return replace(state, out=out, unproven=kept, out_utc=out_utc)


def unit_released(state: StepDowns, name: str) -> StepDowns:
    """A person has found why a unit did not take its commands."""
    return replace(
        state,
        out={other: out for other, out in state.out.items() if other != name},
        out_utc={other: instants for other, instants in state.out_utc.items() if other != name},
        unproven={other: points for other, points in state.unproven.items() if other != name},
    )


def without(view: PlantView, out: Iterable[str]) -> PlantView:
    """The plant with units that are out of control seen as local: nobody commands, beats, counts on or plans them."""
    units = dict(view.units)
    for name in out:
        if name in units and units[name].remote:
            units[name] = replace(units[name], remote=False)
    return replace(view, units=units)


# -------------------------------------------------------------------------------------------------------------- as text


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept across restarts.

    Attributes:
        state: the step-downs.
        control_failures: control cycles that broke in a row.
        seen_utc: the latest instant on which the service has run.
        seen_epoch, seen_steady_s: the clock that nobody sets, at that instant [s].
        audit_seen: number of the broken entry that a person has seen; None: none.
        order_count: how many orders were ever given, should the orders themselves be lost.
    """

    state: StepDowns = field(default_factory=StepDowns)
    control_failures: int = 0
    seen_utc: AwareDatetime | None = None
    seen_epoch: str = ""
    seen_steady_s: float = 0.0
    audit_seen: int | None = None
    order_count: int = 0
    version: int = VERSION


_KEPT = TypeAdapter(Kept)


def write_kept(kept: Kept) -> str:
    """As JSON text."""
    return _KEPT.dump_json(kept).decode()


def read_kept(text: str | None) -> Kept:
    """From JSON text; none, of another version or damaged: nothing is remembered, and what is wrong shows again."""
    if not text:
        return Kept()
    try:
        kept = _KEPT.validate_json(text)
    except ValidationError:
        return Kept()
    return kept if kept.version == VERSION else Kept()
