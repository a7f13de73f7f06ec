"""What the plan asks for at an instant, or, without a usable plan, what a plain rule asks for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from edge_agent.control.command import Because
from scheduling.plan import Plan

PLAN_AGE_MAX = timedelta(hours=2)
"""An older plan is not followed: prices, weather and states have moved on. Ours."""
PLAN_AHEAD_MAX = timedelta(minutes=5)
"""A plan that was made so much later than now was made under another clock: its steps are not those of today."""


@dataclass(frozen=True, slots=True)
class BandOutlook:
    """The tariff around now.

    Attributes:
        current_band: sharp, peak, flat, valley, deep_valley; None when no tariff is known.
        next_peak_utc: when the next peak or sharp band begins; None if none is known.
        next_change_utc: when the band changes next.
        event_kw: limit of a demand-response call or another agreed limit in force; None: none.
        demand_kw: highest demand that is paid for anyway or planned, where demand is charged; None: it is not.
    """

    current_band: str | None = None
    next_peak_utc: datetime | None = None
    next_change_utc: datetime | None = None
    event_kw: float | None = None
    demand_kw: float | None = None


@dataclass(frozen=True, slots=True)
class UnitIntent:
    """A unit's mode (None: off), heat, and its share of what the unit can give, where that is known."""

    mode: str | None = None
    load_kw: float = 0.0
    load_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """What all shall do.

    Attributes:
        units: by unit name.
        to_loop_kw: heat that each storage shall give to its loop; heat that charging units pass on to it included.
        because: plan or rule.
    """

    units: Mapping[str, UnitIntent] = field(default_factory=dict)
    to_loop_kw: Mapping[str, float] = field(default_factory=dict)
    because: Because = Because.PLAN

    def unit(self, name: str) -> UnitIntent:
        """A unit's part; off when it has none."""
        return self.units.get(name, UnitIntent())


def plan_usable(plan: Plan | None, now_utc: datetime) -> bool:
    """Whether a plan may still be followed."""
    if plan is None or not -PLAN_AHEAD_MAX <= now_utc - plan.made_utc <= PLAN_AGE_MAX:
        return False
    return plan_step(plan, now_utc) is not None


def plan_step(plan: Plan, instant_utc: datetime) -> int | None:
    """Index of the step that holds an instant; the first one for an instant just before; None after the end."""
    gone_s = (instant_utc - plan.grid_start_utc).total_seconds()
    if gone_s < 0.0:
        return 0
    for index, minutes in enumerate(plan.step_minutes):
        gone_s -= minutes * 60.0
        if gone_s < 0.0:
            return index
    return None


def plan_intent(plan: Plan, instant_utc: datetime, *, storage_of: Mapping[str, str | None]) -> Intent | None:
    """What a plan asks for at an instant; None after its end.

    Args:
        plan: the plan.
        instant_utc: the instant.
        storage_of: storage that each unit charges.
    """
    index = plan_step(plan, instant_utc)
    if index is None:
        return None
    units = {
        name: UnitIntent(unit.mode[index], unit.load_kw[index], unit.load_ratio[index] if unit.load_ratio else None)
        for name, unit in plan.units.items()
    }
    to_loop_kw = {}
    for name, storage in plan.storages.items():
        made_kw = sum(
            unit.load_kw for key, unit in units.items() if unit.mode == "charge" and storage_of.get(key) == name
        )
        passed_kw = max(0.0, made_kw - storage.charge_kw[index])
        to_loop_kw[name] = storage.discharge_kw[index] + passed_kw
    return Intent(units, to_loop_kw)
