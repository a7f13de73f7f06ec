"""Temperature that a water or ground source is expected to have while heat is drawn from it; from its own last days.

A field that rests warms up and one that is drawn on cools down by several kelvin within minutes: pipes and grout carry
the heat, and their resistance costs the more the more is drawn. What the units see at this moment says little of the
night, and a mean says too much of it: at full load the simulated field is 1.5 K below its mean, and four units give
170 kW less than a plan by the mean believes, all of it missing in the tank. Air is forecast, not looked up here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from scheduling.plan import Plan, unit_flows
from scheduling.request import PlanRequest
from scheduling.timegrid import TimeGrid

LOOK_BACK_H: Final = 48
"""Hours that count [h]: two days, so that every hour of the tariff is in it twice."""
DRAWN_KW_MIN: Final = 20.0
"""An hour with less heat drawn says nothing: what the sensor sees then is the plant room."""
DRAWN_HOURS_MIN: Final = 3
"""With fewer hours that count nothing is said."""
RESPONSE_HOURS_MIN: Final = 12
"""With fewer, what heat drawn does to the temperature cannot be told from weather and chance. Ours."""
RESPONSE_SPREAD_MIN: Final = 0.3
"""Draws must differ by this share of the greatest; else their effect cannot be seen. Ours."""
RESPONSE_K_MAX: Final = 8.0
"""The greatest draw is believed to cool its source by no more than this. Ours: twice a well-built field's."""
DAY_H: Final = 24


@dataclass(frozen=True, slots=True)
class Response:
    """A source against the heat drawn from it: `degc = rest - k x heat`, within the draws that have been seen.

    Attributes:
        mean_degc: of all hours, each weighed with its heat.
        rest_degc: at no draw.
        kelvin_per_kw: cooler by this for each kW, warmer for heat put in.
        least_kw, greatest_kw: draws of either sign on record, between which it is believed.
    """

    mean_degc: float
    rest_degc: float
    kelvin_per_kw: float
    least_kw: float
    greatest_kw: float

    def degc(self, drawn_kw: float) -> float:
        """Temperature at a draw; a unit that starts while nothing is drawn draws at least the least on record."""
        return self.rest_degc - self.kelvin_per_kw * min(max(drawn_kw, self.least_kw), self.greatest_kw)


def response_of(inlet_degc: Sequence[float], heat_kw: Sequence[float]) -> Response | None:
    """How the water that came from a source followed the heat drawn from it.

    Each hour is weighed with its heat. Where draws hardly differ, or few hours are known, their mean stands for all.

    Args:
        inlet_degc: hourly means; NaN where an hour is not known.
        heat_kw: heat drawn in the same hours; negative where heat is put in.

    Returns:
        None where too few hours are known for anything.
    """
    pairs = [
        (degc, kw)
        for degc, kw in zip(inlet_degc, heat_kw, strict=True)
        if math.isfinite(degc) and math.isfinite(kw) and abs(kw) >= DRAWN_KW_MIN
    ]
    if len(pairs) < DRAWN_HOURS_MIN:
        return None
    degc, kw = np.array(pairs).T
    weight = np.abs(kw)
    mean_degc, mean_kw = float(np.average(degc, weights=weight)), float(np.average(kw, weights=weight))
    least_kw, greatest_kw = float(kw.min()), float(kw.max())
    most_kw = float(weight.max())
    slope = 0.0
    if len(pairs) >= RESPONSE_HOURS_MIN and greatest_kw - least_kw >= RESPONSE_SPREAD_MIN * most_kw:
        spread = float(np.average((kw - mean_kw) ** 2, weights=weight))
        slope = -float(np.average((kw - mean_kw) * (degc - mean_degc), weights=weight)) / spread
        slope = min(max(slope, 0.0), RESPONSE_K_MAX / most_kw)
    return Response(mean_degc, mean_degc + slope * mean_kw, slope, least_kw, greatest_kw)


def drawn_by_plan_kw(plan: Plan, request: PlanRequest, grid: TimeGrid) -> dict[str, list[float | None]]:
    """Heat that a plan draws from each source in the steps of another grid; None in those beyond its end.

    Args:
        plan: made for `request`.
        request: its task.
        grid: steps that are asked for.
    """
    drawn = unit_flows(request, plan.units).source_kw
    steps = [request.grid.time_grid.step_at(middle_utc) for middle_utc in _middles(grid)]
    return {name: [None if step is None else float(kw[step]) for step in steps] for name, kw in drawn.items()}


def ahead_degc(
    response: Response,
    grid: TimeGrid,
    *,
    heat_kw: Sequence[float],
    end_utc: datetime,
    planned_kw: Sequence[float | None] = (),
) -> list[float]:
    """Temperature of a source in each step, for what will be drawn: as planned, and as at that hour of the last days.

    Both count alike where both are known: a plan that follows from a temperature must not alone decide the next one.

    Args:
        response: of the source.
        grid: the steps.
        heat_kw: hourly means of the heat drawn up to `end_utc`; NaN where an hour is not known.
        end_utc: a full hour.
        planned_kw: heat that the plan in force draws, one value a step; empty: there is none.
    """
    out = []
    for number, middle_utc in enumerate(_middles(grid)):
        hour = int((middle_utc - end_utc) // timedelta(hours=1)) % DAY_H
        same_hour = [kw for kw in heat_kw[len(heat_kw) % DAY_H + hour :: DAY_H] if math.isfinite(kw)]
        known = [sum(same_hour) / len(same_hour)] if same_hour else []
        planned = planned_kw[number] if planned_kw else None
        known += [] if planned is None else [planned]
        out.append(response.degc(sum(known) / len(known) if known else response.greatest_kw))
    return out


def _middles(grid: TimeGrid) -> list[datetime]:
    return [
        start_utc + timedelta(seconds=length_s / 2.0)
        for start_utc, length_s in zip(grid.starts_utc(), grid.lengths_s, strict=True)
    ]
