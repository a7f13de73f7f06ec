"""What following the plan would have cost, against what the plant really did over the same hours. Pure.

In mode advise the plant goes its own way, so a plan made a quarter of an hour later starts from where the plant has
gone. Only a plan that is followed from its beginning to its end is a whole: the one made when the window opened. It is
compared with the measured electricity at the same prices, and made comparable honestly:

- electricity that no unit uses is taken as it was, not as it was expected;
- heat that was needed beyond the expectation, and heat that is left in the tanks, is charged to the plan. What a
  kilowatt-hour of heat costs is not known to the fen: it lies between the cheapest and the dearest of the window.

So the saving is an interval. It is by the planner's model of the plant, for energy only, without the demand charge; and
where the comparison would be a guess there is no figure, but the reason for it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from scheduling.plan import Plan
from scheduling.request import PlanRequest

VERSION = 1
QUARTER = timedelta(minutes=15)
QUARTER_H = 0.25
WINDOW_COUNT = 96
"""Quarters of a full window: a day and a night, so that charging and its use both lie in it."""
WINDOW_COUNT_MIN = 24
"""A window that ends earlier says nothing: 6 h. Ours."""
KNOWN_RATIO_MIN = 0.95
"""Share of the quarters that must be measured. Ours."""
HEAT_OFF_RATIO_MAX = 0.3
"""The heat that must be charged to the plan, as a share of all heat; beyond it the comparison is a guess. Ours."""
COP_HEAT_KW_MIN = 50.0
"""Quarters with less planned heat say nothing of what heat costs. Ours."""
SCORES_KEPT = 31


@dataclass(frozen=True, slots=True)
class Quarter:
    """A quarter of an hour of the plan that would have been followed.

    Attributes:
        cny_per_kwh: price.
        electric_kw: drawn from the grid, other electricity included.
        heat_kw: made by the units.
        load_kw: expected of the loops.
        stored_kwh: in all tanks at its end.
    """

    cny_per_kwh: float
    electric_kw: float
    heat_kw: float
    load_kw: float
    stored_kwh: float


@dataclass(frozen=True, slots=True)
class Window:
    """The hours that are compared.

    Attributes:
        start_utc: begin, on a quarter.
        plan: quarter by quarter.
        stored_kwh: in all tanks at the begin.
        other_kw: electricity that no unit uses, as the plan expected it.
        seen_stored_kwh: what the tanks really held at the end of each quarter so far; None: not known.
        seen_other_kw: what other electricity really was; None: not known.
        obstacle: code of why it cannot be compared; empty if nothing is known against it.
    """

    start_utc: AwareDatetime
    plan: tuple[Quarter, ...]
    stored_kwh: float
    other_kw: float
    seen_stored_kwh: tuple[float | None, ...] = ()
    seen_other_kw: tuple[float | None, ...] = ()
    obstacle: str = ""

    @property
    def end_utc(self) -> datetime:
        """The end of the part that has been seen."""
        return self.start_utc + QUARTER * len(self.seen_stored_kwh)

    @property
    def full(self) -> bool:
        """Whether all of it has been seen."""
        return len(self.seen_stored_kwh) >= len(self.plan)

    def cut(self) -> "Window":
        """The part that has been seen, as a whole window."""
        return replace(self, plan=self.plan[: len(self.seen_stored_kwh)])

    def seen(self, *, stored_kwh: float | None, other_kw: float | None) -> "Window":
        """With one more quarter seen."""
        return replace(
            self,
            seen_stored_kwh=(*self.seen_stored_kwh, stored_kwh),
            seen_other_kw=(*self.seen_other_kw, other_kw),
        )


@dataclass(frozen=True, slots=True)
class Score:
    """The result of a window.

    Attributes:
        start_utc, end_utc: its hours.
        actual_cny: the measured electricity at its prices.
        planned_cny: the plan's, least and most; None when it is not known.
        saved_cny: what following it would have saved, least and most; None when it is not known.
        obstacle: code of why it is not known; empty if it is.
    """

    start_utc: AwareDatetime
    end_utc: AwareDatetime
    actual_cny: float | None = None
    planned_cny: tuple[float, float] | None = None
    saved_cny: tuple[float, float] | None = None
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """Everything that is remembered: the open window, and the last scores, oldest first."""

    window: Window | None = None
    scores: tuple[Score, ...] = ()

    def scored(self, score: Score) -> "Advice":
        """With a window ended."""
        return Advice(None, (*self.scores, score)[-SCORES_KEPT:])

    @property
    def total_cny(self) -> tuple[float, float] | None:
        """Least and most that would have been saved in all known windows; None without any."""
        known = [score.saved_cny for score in self.scores if score.saved_cny is not None]
        return (sum(low for low, _ in known), sum(high for _, high in known)) if known else None


def open_window(plan: Plan, request: PlanRequest) -> Window | None:
    """A window that begins with a plan; None when the plan does not begin on a quarter or is too short for a day.

    Args:
        plan: just made.
        request: its task: prices, loads, what the tanks held.
    """
    start_utc = plan.grid_start_utc
    steps = _quarters(plan.step_minutes)
    if steps is None or start_utc.timestamp() % QUARTER.total_seconds() != 0.0:
        return None
    load_kw = [sum(loop.load_kw[step] for loop in request.loops) for step in range(len(plan.step_minutes))]
    heat_kw = [sum(unit.load_kw[step] for unit in plan.units.values()) for step in range(len(plan.step_minutes))]
    stored_kwh = [sum(tank.soc_kwh[step] for tank in plan.storages.values()) for step in range(len(plan.step_minutes))]
    begin_kwh = sum(tank.soc_kwh for tank in request.storages)
    other_kw = request.per_step(request.other_load_kw)
    quarters = []
    for step, share in steps:
        before_kwh = begin_kwh if step == 0 else stored_kwh[step - 1]
        quarters.append(
            Quarter(
                cny_per_kwh=request.price_cny_per_kwh[step],
                electric_kw=plan.grid_kw[step],
                heat_kw=heat_kw[step],
                load_kw=load_kw[step],
                stored_kwh=before_kwh + share * (stored_kwh[step] - before_kwh),
            )
        )
    obstacle = "advice_other_heat" if plan.aux else ""
    return Window(start_utc, tuple(quarters), begin_kwh, float(other_kw[0]), obstacle=obstacle)


def _quarters(step_minutes: Sequence[float]) -> list[tuple[int, float]] | None:
    """Step of each quarter, and how much of the step has gone at its end; None when steps are no whole quarters."""
    found: list[tuple[int, float]] = []
    for step, minutes in enumerate(step_minutes):
        count = round(minutes / 15.0)
        if count < 1 or abs(minutes - 15.0 * count) > 1e-6:  # noqa: PLR2004 - no rounding of a step's length
            return None
        found += [(step, (part + 1) / count) for part in range(count)]
        if len(found) >= WINDOW_COUNT:
            return found[:WINDOW_COUNT]
    return None


def judge(window: Window, *, electric_kw: Mapping[datetime, float], heat_kw: Mapping[datetime, float]) -> Score:
    """What the plan would have saved over the part of a window that has been seen.

    Args:
        window: as it was seen.
        electric_kw: measured means of the main meter, by the start of their quarter.
        heat_kw: measured heat to the loops, likewise.
    """
    count = len(window.seen_stored_kwh)
    score = Score(window.start_utc, window.end_utc)
    quarters = window.plan[:count]
    starts = [window.start_utc + QUARTER * number for number in range(count)]
    known = [number for number, start in enumerate(starts) if start in electric_kw and start in heat_kw]
    actual_cny = sum(electric_kw[starts[number]] * QUARTER_H * quarters[number].cny_per_kwh for number in known)
    if count < WINDOW_COUNT_MIN:
        return replace(score, obstacle="advice_too_short")
    if len(known) < KNOWN_RATIO_MIN * count:
        return replace(score, obstacle="advice_not_measured")
    score = replace(score, actual_cny=actual_cny)
    if window.obstacle:
        return replace(score, obstacle=window.obstacle)
    ended_kwh = window.seen_stored_kwh[-1]
    if ended_kwh is None:
        return replace(score, obstacle="advice_storage_unknown")
    heat_prices = _heat_prices(window, quarters)
    if heat_prices is None:
        return replace(score, obstacle="advice_no_heat_planned")
    planned_cny = 0.0
    more_kwh = ended_kwh - quarters[-1].stored_kwh
    for number in known:
        quarter = quarters[number]
        seen_other_kw = window.seen_other_kw[number]
        other_kw = 0.0 if seen_other_kw is None else seen_other_kw - window.other_kw
        planned_cny += (quarter.electric_kw + other_kw) * QUARTER_H * quarter.cny_per_kwh
        more_kwh += (heat_kw[starts[number]] - quarter.load_kw) * QUARTER_H
    delivered_kwh = sum(heat_kw[starts[number]] * QUARTER_H for number in known)
    if abs(more_kwh) > HEAT_OFF_RATIO_MAX * max(delivered_kwh, 1.0):
        return replace(score, obstacle="advice_load_differs")
    ends_cny = sorted(planned_cny + more_kwh * price for price in heat_prices)
    low_cny, high_cny = ends_cny[0], ends_cny[1]
    return replace(score, planned_cny=(low_cny, high_cny), saved_cny=(actual_cny - high_cny, actual_cny - low_cny))


def _heat_prices(window: Window, quarters: Sequence[Quarter]) -> tuple[float, float] | None:
    """What a kilowatt-hour of heat costs in the plan, in its cheapest and its dearest hour [CNY/kWh]."""
    prices = [
        quarter.cny_per_kwh * max(0.0, quarter.electric_kw - window.other_kw) / quarter.heat_kw
        for quarter in quarters
        if quarter.heat_kw >= COP_HEAT_KW_MIN
    ]
    return (min(prices), max(prices)) if prices and math.isfinite(max(prices)) else None


@dataclass(frozen=True, slots=True)
class _Document:
    """What is kept across restarts."""

    version: int = VERSION
    advice: Advice = field(default_factory=Advice)


_DOCUMENT = TypeAdapter(_Document)


def write_advice(advice: Advice) -> str:
    """As JSON text."""
    return _DOCUMENT.dump_json(_Document(VERSION, advice)).decode()


def read_advice(text: str | None) -> Advice:
    """From JSON text; none, of another version or damaged: the score begins anew."""
    if not text:
        return Advice()
    try:
        document = _DOCUMENT.validate_json(text)
    except ValidationError:
        return Advice()
    return document.advice if document.version == VERSION else Advice()
