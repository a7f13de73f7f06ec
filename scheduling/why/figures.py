"""Figures that reasons are made of: what heat costs, what units can give, stretches of steps in the plant's clock.

Prices are per kWh of heat (or cold), because that is what is compared: a kWh charged now against a kWh made later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from scheduling.plan import Plan, unit_electricity_kw
from scheduling.request import Floats, Group, Mode, PlanRequest, Storage

GAP_MIN = 60.0
"""Pauses up to this long do not part a block of charging or discharging [min]: nobody reads three of five minutes."""


def blocks(on: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[from, to) of every run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def joined_blocks(
    on: npt.NDArray[np.bool_], *, parted_by: npt.NDArray[np.bool_], minutes: Floats
) -> list[tuple[int, int]]:
    """Runs of true with short pauses taken in, unless something parts them.

    Args:
        on: per step.
        parted_by: steps that no block may reach across.
        minutes: length of every step.
    """
    out: list[tuple[int, int]] = []
    for first, last in blocks(on):
        if out:
            gap = slice(out[-1][1], first)
            if minutes[gap].sum() <= GAP_MIN and not parted_by[gap].any():
                out[-1] = (out[-1][0], last)
                continue
        out.append((first, last))
    return out


@dataclass(frozen=True, slots=True)
class HeatPrices:
    """What a kWh of heat costs in each step, charged into the store and made directly [CNY/kWh]."""

    charge: Floats
    direct: Floats


def _cheapest(request: PlanRequest, modes: Sequence[tuple[Group, Mode]]) -> Floats:
    """Cheapest electricity for a kWh of output of these modes at full load, pumps included [CNY/kWh]."""
    price = np.array(request.price_cny_per_kwh)
    ways = [
        price
        * (
            mode.curve[-1][1] * request.per_step(group.capacity_factor, 1.0) / request.per_step(group.cop_factor, 1.0)
            + group.pump_kw
        )
        / (mode.curve[-1][0] * mode.capacity_kw * request.per_step(group.capacity_factor, 1.0))
        for group, mode in modes
    ]
    return np.min(ways, axis=0) if ways else price


def heat_prices(request: PlanRequest, store: Storage) -> HeatPrices:
    """Of a store's loop."""
    charging = [(g, m) for g in request.groups for m in g.modes if m.storage == store.name]
    direct = [(g, m) for g in request.groups for m in g.modes if m.storage is None and m.loop == store.loop]
    extra = np.array(request.price_cny_per_kwh) * store.pump_kw_per_kw
    return HeatPrices(_cheapest(request, charging) + extra, _cheapest(request, direct or charging))


def direct_price(request: PlanRequest, loop: str) -> Floats:
    """Cheapest electricity for a kWh that units make straight for a loop [CNY/kWh]."""
    return _cheapest(request, [(g, m) for g in request.groups for m in g.modes if m.loop == loop and m.storage is None])


def paid_price(request: PlanRequest, plan: Plan, store: Storage, *, first: int, last: int) -> float:
    """Electricity per kWh of output of the units that really charge in a block [CNY/kWh]."""
    cost = output = 0.0
    weights = request.grid.hours[first:last]
    price = np.array(request.price_cny_per_kwh)[first:last]
    for group in request.groups:
        capacity, cop = request.per_step(group.capacity_factor, 1.0), request.per_step(group.cop_factor, 1.0)
        for mode in group.modes:
            if mode.storage != store.name:
                continue
            for unit in group.units:
                said = plan.units[unit.name]
                on = np.array([name == mode.name for name in said.mode])[first:last]
                load_kw = np.array(said.load_kw)
                drawn_kw = (
                    unit_electricity_kw(mode, load_kw, capacity_factor=capacity, cop_factor=cop)[first:last]
                    + group.pump_kw
                )
                cost += float((drawn_kw * price * weights)[on].sum())
                output += float((load_kw[first:last] * weights)[on].sum())
    pumps = store.pump_kw_per_kw * float(np.average(price, weights=weights))
    return cost / output + pumps if output > 0 else pumps


def unit_capacity_kw(request: PlanRequest, loop: str) -> dict[str, Floats]:
    """Most output of each unit into a loop per step, 0 where it is not available; what charges may pass through."""
    out: dict[str, Floats] = {}
    for group in request.groups:
        most_kw = max((m.capacity_kw * m.curve[-1][0] for m in group.modes if m.loop == loop), default=0.0)
        if most_kw > 0:
            factor = request.per_step(group.capacity_factor, 1.0)
            for unit in group.units:
                out[unit.name] = most_kw * factor * request.available(unit)
    return out


def aux_capacity_kw(request: PlanRequest, loop: str) -> Floats:
    """Most output of all auxiliaries of a loop per step."""
    return sum(
        (request.per_step(aux.max_kw) for aux in request.aux if aux.loop == loop), start=np.zeros(request.grid.steps)
    )


def heat_words(request: PlanRequest, loop: str) -> tuple[str, str]:
    """What a loop carries, in both languages."""
    medium = next(item.medium for item in request.loops if item.name == loop)
    return ("热", "heat") if medium == "heat" else ("冷", "cold")


def money(cny: float) -> str:
    """A sum for people: no false digits, thousands apart."""
    return f"{cny:.1f}" if abs(cny) < 10 else f"{cny:,.0f}".replace(",", " ")  # noqa: PLR2004 - a digit more below ten


class Spans:
    """Stretches of steps on the plant's clock."""

    def __init__(self, request: PlanRequest) -> None:
        zone = ZoneInfo(request.timezone)
        grid = request.grid.time_grid
        self._edges = [instant.astimezone(zone) for instant in (*grid.starts_utc(), grid.end_utc)]

    def at(self, step: int) -> datetime:
        """Start of a step; the number of steps: end of the plan."""
        return self._edges[step]

    def words(self, first: int, last: int, *, seen_from: int) -> tuple[str, str]:
        """A stretch as a reader at another step calls it, in both languages."""
        begin, end = self._edges[first], self._edges[last]
        zh, en = self._day(begin, seen=self._edges[seen_from])
        ending = "24:00" if f"{end:%H:%M}" == "00:00" else f"{end:%H:%M}"
        span = f"{begin:%H:%M}–{ending}"
        return f"{zh}{span}", f"{en}{span}"

    def list_words(self, windows: Sequence[tuple[int, int]], *, seen_from: int) -> tuple[str, str]:
        """Several stretches; a day is named once."""
        said_zh: list[str] = []
        said_en: list[str] = []
        before = seen_from
        for first, last in windows:
            zh, en = self.words(first, last, seen_from=before)
            if self._edges[first].date() != self._edges[before].date():
                zh, en = self.words(first, last, seen_from=seen_from)
            said_zh.append(zh)
            said_en.append(en)
            before = first
        return "、".join(said_zh), ", ".join(said_en)

    @staticmethod
    def _day(instant: datetime, *, seen: datetime) -> tuple[str, str]:
        days = (instant.date() - seen.date()).days
        return {0: ("", ""), 1: ("次日 ", "the next day ")}.get(days, (f"{instant:%m-%d} ", f"{instant:%m-%d} "))
