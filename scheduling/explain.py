"""Why each block of a plan is as it is: for the operator, with the figures that decide.

Reasons are read off the finished plan, whatever made it, so they also hold for a rule plan. Prices are per kWh of
heat (or cold), because that is what is compared: a kWh charged now against a kWh made later.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scheduling.plan import ENERGY_TOL_KWH, POWER_TOL_KW, Plan, Reason, grid_kw_of, unit_electricity_kw
from scheduling.request import Floats, Group, Mode, PlanRequest, Storage

AT_PEAK_RATIO = 0.005
"""Grid power this near the demand peak counts as held at it."""
REASONS_MAX = 200


def with_reasons(request: PlanRequest, plan: Plan) -> Plan:
    """The plan with its reasons."""
    found = sorted(_reasons(request, plan), key=lambda reason: (reason.from_step, reason.to_step, reason.name))
    return plan.model_copy(update={"reasons": tuple(found[:REASONS_MAX])})


def _reasons(request: PlanRequest, plan: Plan) -> Iterator[Reason]:
    for store in request.storages:
        yield from _store_reasons(request, plan, store)
    grid_kw = grid_kw_of(request, plan)
    yield from _demand_reasons(request, grid_kw)
    yield from _cap_reasons(request, grid_kw)
    yield from _unit_reasons(request, plan)
    yield from _unmet_reasons(request, plan)


def blocks(on: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[from, to) of every run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


@dataclass(frozen=True, slots=True)
class _HeatPrices:
    """What a kWh of heat costs in each step, charged into the store and made directly."""

    charge: Floats
    direct: Floats


def _heat_price(request: PlanRequest, modes: Sequence[tuple[Group, Mode]]) -> Floats:
    """Cheapest electricity cost of a kWh of output of these modes at full load, pumps included [CNY/kWh]."""
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


def _heat_prices(request: PlanRequest, store: Storage) -> _HeatPrices:
    charging = [(g, m) for g in request.groups for m in g.modes if m.storage == store.name]
    direct = [(g, m) for g in request.groups for m in g.modes if m.storage is None and m.loop == store.loop]
    extra = np.array(request.price_cny_per_kwh) * store.pump_kw_per_kw
    return _HeatPrices(_heat_price(request, charging) + extra, _heat_price(request, direct or charging))


def _words(request: PlanRequest, store: Storage) -> tuple[str, str]:
    medium = next(loop.medium for loop in request.loops if loop.name == store.loop)
    return ("热", "heat") if medium == "heat" else ("冷", "cold")


def _store_reasons(request: PlanRequest, plan: Plan, store: Storage) -> Iterator[Reason]:
    said = plan.storages[store.name]
    hours = request.grid.hours
    charge_kw, discharge_kw = np.array(said.charge_kw), np.array(said.discharge_kw)
    prices, (zh, en) = _heat_prices(request, store), _words(request, store)
    # What it replaces: the mean price of direct heat where the store gives, weighted with what it gives.
    given_kwh = discharge_kw * hours
    for first, last in blocks(charge_kw > POWER_TOL_KW):
        taken_kwh = float((charge_kw * hours)[first:last].sum())
        cost = _paid_price(request, plan, store, first, last)
        later = given_kwh[last:]
        if later.sum() > ENERGY_TOL_KWH:
            worth = float(np.average(prices.direct[last:], weights=later))
            yield Reason(
                from_step=first,
                to_step=last,
                name=store.name,
                code="charge_cheap",
                zh=f"蓄{zh} {taken_kwh:.0f} kWh:此时每 kWh {zh} {cost:.3f} 元,放出时直供为 {worth:.3f} 元,"
                f"不蓄约多花 {(worth - cost) * taken_kwh:.0f} 元",
                en=f"store {taken_kwh:.0f} kWh of {en} at {cost:.3f} CNY/kWh; made directly when it is used it would "
                f"cost {worth:.3f}: not storing costs about {(worth - cost) * taken_kwh:.0f} CNY more",
            )
        else:
            end = store.terminal
            yield Reason(
                from_step=first,
                to_step=last,
                name=store.name,
                code="terminal",
                zh=f"为计划末的储量蓄{zh} {taken_kwh:.0f} kWh:每 kWh {cost:.3f} 元,"
                f"末期欠缺计 {end.short_cny_per_kwh:.3f} 元",
                en=f"store {taken_kwh:.0f} kWh for the end of the plan at {cost:.3f} CNY/kWh; "
                f"a missing kWh counts {end.short_cny_per_kwh:.3f}",
            )
    for first, last in blocks(discharge_kw > POWER_TOL_KW):
        energy_kwh = float(given_kwh[first:last].sum())
        here = float(np.average(prices.direct[first:last], weights=given_kwh[first:last]))
        cheapest = float(prices.charge.min())
        if here >= cheapest:
            yield Reason(
                from_step=first,
                to_step=last,
                name=store.name,
                code="discharge_dear",
                zh=f"放{zh} {energy_kwh:.0f} kWh:此时直供每 kWh {zh} {here:.3f} 元,最低蓄{zh}成本 {cheapest:.3f} 元,"
                f"少花电费约 {here * energy_kwh:.0f} 元",
                en=f"give {energy_kwh:.0f} kWh of stored {en}: making it now costs {here:.3f} CNY/kWh, "
                f"storing it costs {cheapest:.3f} at best; saves about {here * energy_kwh:.0f} CNY of electricity now",
            )
            continue
        # Making it now would be the cheaper way: what stands in its way are times and starts, not the price.
        yield Reason(
            from_step=first,
            to_step=last,
            name=store.name,
            code="min_time",
            zh=f"放{zh} {energy_kwh:.0f} kWh:此时直供每 kWh {zh} 本来只要 {here:.3f} 元,但机组还在最短停机时间内、"
            "功率已用足,或为这一段不值得起动",
            en=f"give {energy_kwh:.0f} kWh of stored {en}: making it now would cost only {here:.3f} CNY/kWh, but units "
            "are within their minimum rest, fully used, or not worth a start for so short a while",
        )
    if float((charge_kw * hours).sum()) <= ENERGY_TOL_KWH:
        yield _do_not_charge(request, store, prices)


def _paid_price(request: PlanRequest, plan: Plan, store: Storage, first: int, last: int) -> float:
    """Electricity cost per kWh of output of the units that really charge in a block [CNY/kWh]."""
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


def _do_not_charge(request: PlanRequest, store: Storage, prices: _HeatPrices) -> Reason:
    zh, en = _words(request, store)
    cheap, dear = float(prices.charge.min()), float(prices.direct.max())
    step = int(np.argmin(prices.charge))
    hours = float(request.grid.hours[step:].sum())
    kept_ratio = (1.0 - store.loss_fraction_per_h) ** (hours / 2)
    if cheap / kept_ratio >= dear:
        why_zh, why_en = "蓄放不合算", "storing does not pay"
    elif store.soc_kwh >= 0.95 * store.capacity_kwh:
        why_zh, why_en = "已蓄满", "it is full already"
    else:
        why_zh, why_en = (
            "差价抵不过启停、损失,或没有空余能力",
            "the gain does not carry starts and losses, or no capacity is left",
        )
    return Reason(
        from_step=0,
        to_step=request.grid.steps,
        name=store.name,
        code="do_not_charge",
        zh=f"不蓄{zh}:最低蓄{zh}成本每 kWh {cheap:.3f} 元,直供最高 {dear:.3f} 元;{why_zh}",
        en=f"do not store {en}: storing costs at least {cheap:.3f} CNY/kWh, making it directly at most {dear:.3f}; "
        f"{why_en}",
    )


def _demand_reasons(request: PlanRequest, grid_kw: Floats) -> Iterator[Reason]:
    for period in request.demand:
        if period.cny_per_kw_month <= 0:
            continue
        window = grid_kw[period.from_step : period.to_step]
        peak_kw = max(period.peak_so_far_kw, float(window.max()))
        rise_kw = peak_kw - period.peak_so_far_kw
        price = period.cny_per_kw_month * period.month_share
        if rise_kw > POWER_TOL_KW:
            zh = (
                f"需量由 {period.peak_so_far_kw:.0f} 升至 {peak_kw:.0f} kW,多付 {rise_kw * price:.0f} 元:负荷压不到更低"
            )
            en = (
                f"demand rises from {period.peak_so_far_kw:.0f} to {peak_kw:.0f} kW, {rise_kw * price:.0f} CNY: "
                "the load allows no less"
            )
        else:
            zh = f"电网功率压在已有需量 {peak_kw:.0f} kW 以下:每多 1 kW 多付 {price:.1f} 元"
            en = (
                f"grid power is held at the demand of {peak_kw:.0f} kW that is paid already: "
                f"each kW more costs {price:.1f} CNY"
            )
        for first, last in blocks(window >= peak_kw * (1.0 - AT_PEAK_RATIO)):
            yield Reason(
                from_step=period.from_step + first,
                to_step=period.from_step + last,
                name="grid",
                code="demand_peak",
                zh=zh,
                en=en,
            )


def _cap_reasons(request: PlanRequest, grid_kw: Floats) -> Iterator[Reason]:
    for cap in request.grid_caps:
        window = grid_kw[cap.from_step : cap.to_step]
        over_kw = max(0.0, float(window.max()) - cap.cap_kw)
        near = window >= cap.cap_kw * (1.0 - AT_PEAK_RATIO)
        if not near.any():
            continue
        if over_kw > POWER_TOL_KW:
            price = cap.penalty_cny_per_kwh
            zh = f"电网功率上限 {cap.cap_kw:.0f} kW 最多超出 {over_kw:.0f} kW,每超 1 kWh 计 {price:.2f} 元"
            en = f"grid limit of {cap.cap_kw:.0f} kW is passed by up to {over_kw:.0f} kW at {price:.2f} CNY/kWh"
        else:
            zh = f"电网功率压在上限 {cap.cap_kw:.0f} kW 以内"
            en = f"grid power is held under the limit of {cap.cap_kw:.0f} kW"
        for first, last in blocks(near):
            yield Reason(
                from_step=cap.from_step + first,
                to_step=cap.from_step + last,
                name=cap.name,
                code="grid_cap",
                zh=zh,
                en=en,
            )


def _unit_reasons(request: PlanRequest, plan: Plan) -> Iterator[Reason]:
    begin = np.concatenate([[0.0], np.cumsum(request.grid.minutes)])
    for group in request.groups:
        for unit in group.units:
            running = np.array([mode is not None for mode in plan.units[unit.name].mode])
            need_min = group.min_up_minutes if unit.on else group.min_down_minutes
            left_min = need_min - unit.minutes_in_state
            if left_min > 0:
                last = int(np.searchsorted(begin, left_min - 1e-6))
                state_zh, state_en = ("运行", "run") if unit.on else ("停机", "rest")
                yield Reason(
                    from_step=0,
                    to_step=max(1, min(last, request.grid.steps)),
                    name=unit.name,
                    code="min_time",
                    zh=f"最短{state_zh}时间还差 {left_min:.0f} 分钟,须保持{state_zh}",
                    en=f"must {state_en} {left_min:.0f} min more of its minimum time",
                )
            if not running.any():
                out = not request.available(unit).any()
                yield Reason(
                    from_step=0,
                    to_step=request.grid.steps,
                    name=unit.name,
                    code="unit_not_needed",
                    zh="不可用(检修、闭锁或手动)" if out else "其余机组与蓄能已够用,不必开机",
                    en="not available (service, lock-out or manual)"
                    if out
                    else "the other units and the stores are enough",
                )


def _unmet_reasons(request: PlanRequest, plan: Plan) -> Iterator[Reason]:
    for loop in request.loops:
        unmet_kw = np.array(plan.loops[loop.name].unmet_kw)
        zh, en = ("热", "heat") if loop.medium == "heat" else ("冷", "cold")
        for first, last in blocks(unmet_kw > POWER_TOL_KW):
            lack_kwh = float((unmet_kw * request.grid.hours)[first:last].sum())
            yield Reason(
                from_step=first,
                to_step=last,
                name=loop.name,
                code="short_capacity",
                zh=f"缺{zh} {lack_kwh:.0f} kWh,最多缺 {unmet_kw[first:last].max():.0f} kW:机组、蓄能、辅助热源合计不够",
                en=f"{lack_kwh:.0f} kWh of {en} are lacking, up to {unmet_kw[first:last].max():.0f} kW: "
                "units, stores and auxiliaries together are too small",
            )
