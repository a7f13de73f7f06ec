"""Why a store is charged, emptied or left alone, block by block, and what not doing it would cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from scheduling.plan import ENERGY_TOL_KWH, POWER_TOL_KW, Plan, Reason, ReasonCode, grid_kw_of
from scheduling.request import Floats, PlanRequest, Storage
from scheduling.why.figures import (
    HeatPrices,
    Spans,
    aux_capacity_kw,
    heat_prices,
    heat_words,
    joined_blocks,
    money,
    paid_price,
    unit_capacity_kw,
)

FULL_RATIO = 0.95
"""A store this full counts as full."""
WORTH_SAYING_CNY = 0.5
"""A smaller sum is not worth an operator's time."""
WINDOWS_SAID = 2


@dataclass(frozen=True, slots=True)
class _Otherwise:
    """What would happen if a stretch of discharge were made by units instead."""

    lack_kw: float
    demand_kw: float
    demand_cny: float
    cap_kw: float


class _Case:
    """One store of one plan, with what its blocks have in common."""

    def __init__(self, request: PlanRequest, plan: Plan, store: Storage, *, spans: Spans) -> None:
        said = plan.storages[store.name]
        self.request, self.plan, self.store, self.spans = request, plan, store, spans
        self.hours = request.grid.hours
        self.charge_kw, self.discharge_kw = np.array(said.charge_kw), np.array(said.discharge_kw)
        self.soc_kwh = np.concatenate([[store.soc_kwh], np.array(said.soc_kwh)])
        self.prices: HeatPrices = heat_prices(request, store)
        self.zh, self.en = heat_words(request, store.loop)
        charges, gives = self.charge_kw > POWER_TOL_KW, self.discharge_kw > POWER_TOL_KW
        self.charged = joined_blocks(charges, parted_by=gives, minutes=request.grid.minutes)
        self.given = joined_blocks(gives, parted_by=charges, minutes=request.grid.minutes)
        self.grid_kw = grid_kw_of(request, plan)
        units_kw = sum(unit_capacity_kw(request, store.loop).values(), start=np.zeros(request.grid.steps))
        self.capacity_kw: Floats = units_kw + aux_capacity_kw(request, store.loop)
        self.load_kw = np.array(next(loop.load_kw for loop in request.loops if loop.name == store.loop))
        # A loop that no unit serves straight away lives from its store: there is nothing to compare with.
        self.alone = not any(m.loop == store.loop and m.storage is None for g in request.groups for m in g.modes)

    def kept_ratio(self, hours: float) -> float:
        """Share of stored heat that is left after a while."""
        return float((1.0 - self.store.loss_fraction_per_h) ** max(0.0, hours))

    def share(self, step: int) -> str:
        """How full the store is at the start of a step, for people."""
        return f"{max(0.0, 100.0 * self.soc_kwh[step] / self.store.capacity_kwh):.0f}"

    def hour(self, step: int) -> float:
        """Start of a step [h after the start of the plan]."""
        return float(self.hours[:step].sum())

    def uses_of(self, first: int, last: int) -> list[tuple[int, int]]:
        """The discharge blocks that a charge block serves: those before the next charge, else all later ones."""
        later = [block for block in self.given if block[0] >= last]
        before = min((block[0] for block in self.charged if block[0] > first), default=self.request.grid.steps)
        return [block for block in later if block[0] < before] or later

    def otherwise(self, first: int, last: int) -> _Otherwise:
        """What units would have to do in a discharge block without the store."""
        part = slice(first, last)
        lack_kw = np.maximum(0.0, np.minimum(self.discharge_kw, self.load_kw - self.capacity_kw))[part]
        price = np.array(self.request.price_cny_per_kwh)
        electric_ratio = np.where(price != 0, self.prices.direct / np.where(price != 0, price, 1.0), 0.0)[part]
        grid_kw = self.grid_kw[part] + (self.discharge_kw[part] - lack_kw) * electric_ratio
        rise_kw = demand_cny = over_kw = 0.0
        for period in self.request.demand:
            inside = slice(max(first, period.from_step) - first, max(0, min(last, period.to_step) - first))
            if grid_kw[inside].size:
                planned_kw = max(period.peak_so_far_kw, float(self.grid_kw[period.from_step : period.to_step].max()))
                more_kw = max(0.0, float(grid_kw[inside].max()) - planned_kw)
                rise_kw = max(rise_kw, more_kw)
                demand_cny += more_kw * period.cny_per_kw_month * period.month_share
        for cap in self.request.grid_caps:
            inside = slice(max(first, cap.from_step) - first, max(0, min(last, cap.to_step) - first))
            if grid_kw[inside].size:
                over_kw = max(over_kw, float(grid_kw[inside].max()) - cap.cap_kw)
        return _Otherwise(float(lack_kw.max(initial=0.0)), rise_kw, demand_cny, max(0.0, over_kw))

    def stored_price(self, first: int) -> tuple[float, bool]:
        """What the heat given from a step on has cost, and whether this plan stored it; else what storing costs."""
        before = [block for block in self.charged if block[1] <= first]
        if not before:
            return float(self.prices.charge.min()), False
        begin, end = before[-1]
        cost = paid_price(self.request, self.plan, self.store, first=begin, last=end)
        return cost / self.kept_ratio(self.hour(first) - self.hour(end)), True


def storage_reasons(request: PlanRequest, plan: Plan, store: Storage, *, spans: Spans) -> Iterator[Reason]:
    """Every block of a store, and why it is left alone where it is."""
    case = _Case(request, plan, store, spans=spans)
    for first, last in case.charged:
        yield _charge(case, first, last)
    for first, last in case.given:
        yield _give(case, first, last)
    yield from _held(case)
    if float((case.charge_kw * case.hours).sum()) <= ENERGY_TOL_KWH:
        yield _do_not_charge(case)


def _windows(case: _Case, uses: list[tuple[int, int]], *, seen_from: int) -> tuple[str, str]:
    zh, en = case.spans.list_words(uses[:WINDOWS_SAID], seen_from=seen_from)
    return (f"{zh} 等", f"{en} and later") if len(uses) > WINDOWS_SAID else (zh, en)


def _reason(
    case: _Case, block: tuple[int, int], code: ReasonCode, *, zh: str, en: str, saves_cny: float | None
) -> Reason:
    return Reason(
        from_step=block[0],
        to_step=block[1],
        name=case.store.name,
        code=code,
        zh=zh,
        en=en,
        saves_cny=None if saves_cny is None else round(saves_cny, 2),
    )


def _charge(case: _Case, first: int, last: int) -> Reason:
    taken_kwh = float((case.charge_kw * case.hours)[first:last].sum())
    mean_kw = taken_kwh / float(case.hours[first:last].sum())
    cost = paid_price(case.request, case.plan, case.store, first=first, last=last)
    level = f"{case.share(first)}→{case.share(last)} %"
    zh = f"蓄{case.zh} {taken_kwh:.0f} kWh(平均 {mean_kw:.0f} kW,{level}):"
    en = f"store {taken_kwh:.0f} kWh of {case.en} ({mean_kw:.0f} kW on average, {level}): "
    uses = case.uses_of(first, last)
    if case.alone and uses:
        when_zh, when_en = _windows(case, uses, seen_from=first)
        return _reason(
            case,
            (first, last),
            "serve_load",
            zh=f"{zh}每 kWh {cost:.3f} 元;这个环路只由它供{case.zh},留到 {when_zh} 用",
            en=f"{en}it costs {cost:.3f} CNY/kWh; only this store serves its loop, for use {when_en}",
            saves_cny=None,
        )
    end = case.store.terminal
    end_value = (
        end.short_cny_per_kwh if case.soc_kwh[-1] <= end.target_kwh + ENERGY_TOL_KWH else end.surplus_cny_per_kwh
    )
    if not uses:
        gain_cny = (end_value - cost) * taken_kwh
        return _reason(
            case,
            (first, last),
            "terminal",
            zh=f"{zh}此时每 kWh {cost:.3f} 元,留给计划之后用,以后再补约 {end_value:.3f} 元"
            + (f";不蓄约多花 {money(gain_cny)} 元" if gain_cny > WORTH_SAYING_CNY else ""),
            en=f"{en}it costs {cost:.3f} CNY/kWh now and is for the time after this plan, when making it up would "
            f"cost about {end_value:.3f}"
            + (f"; not storing would cost about {money(gain_cny)} CNY more" if gain_cny > WORTH_SAYING_CNY else ""),
            saves_cny=gain_cny,
        )
    steps = np.concatenate([np.arange(a, b) for a, b in uses])
    given_kwh = (case.discharge_kw * case.hours)[steps]
    worth = float(np.average(case.prices.direct[steps], weights=given_kwh))
    delay_h = float(np.average([case.hour(int(s)) for s in steps], weights=given_kwh)) - case.hour(last)
    used_kwh = min(taken_kwh * case.kept_ratio(delay_h), float(given_kwh.sum()))
    rest_kwh = max(0.0, taken_kwh - used_kwh / case.kept_ratio(delay_h))
    gain_cny = worth * used_kwh + end_value * rest_kwh - cost * taken_kwh
    when_zh, when_en = _windows(case, uses, seen_from=first)
    when_zh = f" {when_zh}" if when_zh[0].isdigit() else when_zh
    why_zh = f"此时每 kWh {case.zh} {cost:.3f} 元,留到{when_zh} 用,那时现做要 {worth:.3f} 元"
    why_en = f"it costs {cost:.3f} CNY per kWh of {case.en} now and is used {when_en}, when making it costs {worth:.3f}"
    if gain_cny > WORTH_SAYING_CNY:
        return _reason(
            case,
            (first, last),
            "charge_cheap",
            zh=f"{zh}{why_zh};不蓄约多花 {money(gain_cny)} 元",
            en=f"{en}{why_en}; not storing would cost about {money(gain_cny)} CNY more",
            saves_cny=gain_cny,
        )
    without = [case.otherwise(*block) for block in uses]
    lack_kw, demand_cny = max(w.lack_kw for w in without), max(w.demand_cny for w in without)
    code: ReasonCode = "min_time"
    more_zh = ";价差不大,是机组的最低负荷或最短运行时间让它多产出这些,先存起来"
    more_en = "; the price gap is small: a unit's lowest load or minimum run makes it, so it is kept"
    saves_cny: float | None = None
    if lack_kw > POWER_TOL_KW:
        code = "short_capacity"
        more_zh = f";不蓄则那时机组全开也最多缺 {lack_kw:.0f} kW"
        more_en = f"; without it up to {lack_kw:.0f} kW would be lacking then with every unit at full load"
    elif demand_cny > WORTH_SAYING_CNY:
        code, saves_cny = "demand_peak", demand_cny
        more_zh = f";不蓄则那时需量电费多 {money(demand_cny)} 元"
        more_en = f"; without it the demand charge would rise by {money(demand_cny)} CNY then"
    return _reason(
        case, (first, last), code, zh=f"{zh}{why_zh}{more_zh}", en=f"{en}{why_en}{more_en}", saves_cny=saves_cny
    )


def _give(case: _Case, first: int, last: int) -> Reason:
    weights = (case.discharge_kw * case.hours)[first:last]
    energy_kwh = float(weights.sum())
    mean_kw = energy_kwh / float(case.hours[first:last].sum())
    here = float(np.average(case.prices.direct[first:last], weights=weights))
    stored, ours = case.stored_price(first)
    without = case.otherwise(first, last)
    level = f"{case.share(first)}→{case.share(last)} %"
    zh = f"放{case.zh} {energy_kwh:.0f} kWh(平均 {mean_kw:.0f} kW,{level}):"
    en = f"give {energy_kwh:.0f} kWh of stored {case.en} ({mean_kw:.0f} kW on average, {level}): "
    if case.alone:
        return _reason(
            case,
            (first, last),
            "serve_load",
            zh=f"{zh}这个环路只由它供{case.zh}",
            en=f"{en}only this store serves its loop",
            saves_cny=None,
        )
    saves_cny = (here - stored) * energy_kwh + without.demand_cny
    zh += f"机组现做每 kWh {case.zh} {here:.3f} 元," + (
        f"存的{case.zh}{'只花' if stored <= here else '花了'} {stored:.3f} 元"
        if ours
        else f"以后再蓄最低 {stored:.3f} 元"
    )
    en += f"making it now costs {here:.3f} CNY/kWh, " + (
        f"what is stored cost {stored:.3f}" if ours else f"storing it anew costs {stored:.3f} at best"
    )
    if without.demand_kw > POWER_TOL_KW:
        zh += f";现做会把需量抬高 {without.demand_kw:.0f} kW"
        en += f"; making it now would raise the demand by {without.demand_kw:.0f} kW"
    if without.cap_kw > POWER_TOL_KW:
        zh += f";现做会超电网上限 {without.cap_kw:.0f} kW"
        en += f"; making it now would pass the grid limit by {without.cap_kw:.0f} kW"
    if without.lack_kw > POWER_TOL_KW:
        zh += f";机组全开也最多缺 {without.lack_kw:.0f} kW"
        en += f"; every unit at full load would leave up to {without.lack_kw:.0f} kW lacking"
    code: ReasonCode = "discharge_dear"
    if here < stored:
        code = "min_time"
        if without.lack_kw > POWER_TOL_KW:
            code = "short_capacity"
        elif without.cap_kw > POWER_TOL_KW:
            code = "grid_cap"
        elif without.demand_cny > WORTH_SAYING_CNY:
            code = "demand_peak"
    if code == "min_time":
        zh += ",本不该放;但机组还在最短停机时间内、功率已用足,或为这一段不值得起动"
        en += (
            ", so it would rather be made: but units are within their minimum rest, fully used, "
            "or not worth a start for so short a while"
        )
    if saves_cny > WORTH_SAYING_CNY and code != "min_time":
        zh += f";不放约多花 {money(saves_cny)} 元"
        en += f"; not giving it would cost about {money(saves_cny)} CNY more"
    said_cny = saves_cny if code in ("discharge_dear", "demand_peak") else None
    return _reason(case, (first, last), code, zh=zh, en=en, saves_cny=said_cny)


def _held(case: _Case) -> Iterator[Reason]:
    """Limits that hold for a while: an order of a person, or work on the tank."""
    edges_s = case.request.grid.time_grid.edges_s
    start_utc = case.request.grid.start_utc
    for limit in case.store.limits:
        inside = [
            step
            for step, (begin_s, end_s) in enumerate(pairwise(edges_s))
            if begin_s < (limit.to_utc - start_utc).total_seconds()
            and end_s > (limit.from_utc - start_utc).total_seconds()
        ]
        if not inside:
            continue
        said = [
            (f"{zh}最多 {most_kw:.0f} kW", f"{en} at most {most_kw:.0f} kW") if most_kw else (f"不{zh}", f"no {en}")
            for zh, en, most_kw in (
                ("蓄", "charging", limit.charge_kw_max),
                ("放", "discharging", limit.discharge_kw_max),
            )
            if most_kw is not None
        ]
        until = _clock(limit.to_utc, case)
        yield _reason(
            case,
            (inside[0], inside[-1] + 1),
            "held",
            zh=f"{'、'.join(zh for zh, _ in said)}:人工指令或检修,到 {until} 为止",
            en=f"{', '.join(en for _, en in said)}: ordered by a person, until {until}",
            saves_cny=None,
        )


def _clock(instant_utc: datetime, case: _Case) -> str:
    return f"{instant_utc.astimezone(ZoneInfo(case.request.timezone)):%m-%d %H:%M}"


def _do_not_charge(case: _Case) -> Reason:
    store, prices = case.store, case.prices
    step = int(np.argmin(prices.charge))
    cheap = float(prices.charge[step])
    later = slice(step, None)
    dear_step = step + int(np.argmax(prices.direct[later]))
    dear = float(prices.direct[dear_step])
    kept_ratio = case.kept_ratio(case.hour(dear_step) - case.hour(step))
    room_kwh = store.capacity_kwh - float(case.soc_kwh[step])
    charge_cap_kw, _ = case.request.flow_caps_kw(store)
    loss = cheap / kept_ratio - dear
    saves_cny: float | None = None
    if float(charge_cap_kw[step]) <= POWER_TOL_KW:
        why_zh, why_en = "最便宜的时段有指令不得蓄", "charging is forbidden by an order while it is cheapest"
    elif store.soc_kwh >= FULL_RATIO * store.capacity_kwh:
        why_zh, why_en = "已蓄满", "it is full already"
    elif loss >= 0:
        saves_cny = loss * room_kwh
        why_zh = f"蓄放不合算,硬要蓄满约多花 {money(saves_cny)} 元"
        why_en = f"storing does not pay; filling it all the same would cost about {money(saves_cny)} CNY more"
    else:
        why_zh = f"价差每 kWh 只有 {-loss:.3f} 元,抵不过起动和损失,或那时机组没有余力"
        why_en = f"the gap of {-loss:.3f} CNY/kWh does not carry starts and losses, or units have nothing to spare then"
    return Reason(
        from_step=0,
        to_step=case.request.grid.steps,
        name=store.name,
        code="do_not_charge",
        zh=f"不蓄{case.zh}:最便宜时蓄每 kWh {cheap:.3f} 元,其后直接做最贵 {dear:.3f} 元;{why_zh}",
        en=f"do not store {case.en}: storing costs {cheap:.3f} CNY/kWh at its cheapest, making it directly later "
        f"{dear:.3f} at most; {why_en}",
        saves_cny=None if saves_cny is None else round(saves_cny, 2),
    )
