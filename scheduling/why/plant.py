"""Why units run or rest, what demand and limits of power force, and why something is lacking."""

from collections.abc import Iterator

import numpy as np

from scheduling.plan import POWER_TOL_KW, Plan, Reason, ReasonCode, grid_kw_of
from scheduling.request import Floats, Group, Loop, PlanRequest, UnitState
from scheduling.why.figures import Spans, aux_capacity_kw, blocks, direct_price, heat_words, money, unit_capacity_kw

AT_PEAK_RATIO = 0.005
"""Grid power this near the demand peak counts as held at it."""
NAMES_SAID = 4


def demand_reasons(request: PlanRequest, plan: Plan) -> Iterator[Reason]:
    """Where grid power stands at the demand of the month."""
    grid_kw = grid_kw_of(request, plan)
    for period in request.demand:
        price = period.cny_per_kw_month * period.month_share
        if price <= 0:
            continue
        window = grid_kw[period.from_step : period.to_step]
        peak_kw = max(period.peak_so_far_kw, float(window.max()))
        rise_cny = (peak_kw - period.peak_so_far_kw) * price
        held = blocks(window >= peak_kw * (1.0 - AT_PEAK_RATIO))
        if not held:
            continue
        metered_kw = period.peak_so_far_kw if period.measured_kw is None else period.measured_kw
        metered = metered_kw >= period.peak_so_far_kw - POWER_TOL_KW
        if peak_kw - period.peak_so_far_kw > POWER_TOL_KW:
            above_zh = "" if metered else f",本月迟早要用到 {period.peak_so_far_kw:.0f} kW"
            above_en = "" if metered else f" ({period.peak_so_far_kw:.0f} kW will be needed this month anyway)"
            zh = (
                f"需量由 {metered_kw:.0f} 升到 {peak_kw:.0f} kW{above_zh},本月多付 {money(rise_cny)} 元:"
                "负荷、蓄能和机组的限制之下,再压低更贵"
            )
            en = (
                f"demand rises from {metered_kw:.0f} to {peak_kw:.0f} kW{above_en}, {money(rise_cny)} CNY this "
                "month: with these loads, stores and units less would cost more"
            )
            code_saves = None
        else:
            zh = f"电网功率压在本月已有需量 {peak_kw:.0f} kW 以内"
            en = f"grid power is held at the demand of {peak_kw:.0f} kW that is paid already"
            if not metered:
                zh = f"电网功率压在 {peak_kw:.0f} kW 以内,本月迟早要用到这么多(已计量 {metered_kw:.0f} kW)"
                en = (
                    f"grid power is held at the demand of {peak_kw:.0f} kW that this month is expected to need anyway "
                    f"({metered_kw:.0f} kW metered)"
                )
            zh += f":每多 1 kW 多付 {price:.1f} 元"
            en += f": each kW more costs {price:.1f} CNY"
            code_saves = price
        # One line says it, however often power comes near: from the first such step to the last.
        yield Reason(
            from_step=period.from_step + held[0][0],
            to_step=period.from_step + held[-1][1],
            name="grid",
            code="demand_peak",
            zh=zh,
            en=en,
            saves_cny=code_saves,
        )


def cap_reasons(request: PlanRequest, plan: Plan) -> Iterator[Reason]:
    """Where grid power stands at a limit, or passes it."""
    grid_kw = grid_kw_of(request, plan)
    other_kw = request.per_step(request.other_load_kw)
    for cap in request.grid_caps:
        part = slice(cap.from_step, cap.to_step)
        window = grid_kw[part]
        over_kw = max(0.0, float(window.max()) - cap.cap_kw)
        near = blocks(window >= cap.cap_kw * (1.0 - AT_PEAK_RATIO))
        if not near:
            continue
        if over_kw > POWER_TOL_KW:
            other_most_kw = float(other_kw[part].max())
            alone = other_most_kw > cap.cap_kw
            zh = f"电网上限 {cap.cap_kw:.0f} kW 最多超出 {over_kw:.0f} kW" + (
                f":其他用电本身已达 {other_most_kw:.0f} kW" if alone else ":为了供够负荷,机组不能再少"
            )
            en = f"the grid limit of {cap.cap_kw:.0f} kW is passed by up to {over_kw:.0f} kW: " + (
                f"other consumers alone take {other_most_kw:.0f} kW"
                if alone
                else "the load allows no less from the units"
            )
        else:
            zh = f"电网功率压在上限 {cap.cap_kw:.0f} kW 以内"
            en = f"grid power is held under the limit of {cap.cap_kw:.0f} kW"
        yield Reason(
            from_step=cap.from_step + near[0][0],
            to_step=cap.from_step + near[-1][1],
            name=cap.name,
            code="grid_cap",
            zh=zh,
            en=en,
        )


def unit_reasons(request: PlanRequest, plan: Plan, *, spans: Spans) -> Iterator[Reason]:
    """Minimum times at the beginning, what each unit's run serves, and why some do not run at all."""
    capacity_kw = {loop.name: unit_capacity_kw(request, loop.name) for loop in request.loops}
    lacks = {name for loop in request.loops for name in _idle_while_lacking(request, plan, loop)}
    for group in request.groups:
        for unit in group.units:
            yield from _minimum_time(request, group, unit)
            if not any(mode is not None for mode in plan.units[unit.name].mode):
                yield _rests(request, group, unit, lacking=unit.name in lacks)
                continue
            for mode in group.modes:
                if mode.storage is None:
                    yield from _serves(
                        request, plan, unit.name, mode=mode.name, loop=mode.loop, capacity_kw=capacity_kw[mode.loop]
                    )
            yield from _outages(request, unit, spans=spans)


def aux_reasons(request: PlanRequest, plan: Plan) -> Iterator[Reason]:
    """Why a boiler, a heater or a network gives heat beside the units."""
    grid_kw = grid_kw_of(request, plan)
    for aux in request.aux:
        output_kw = np.array(plan.aux[aux.name].output_kw)
        zh, en = heat_words(request, aux.loop)
        units_kw = sum(unit_capacity_kw(request, aux.loop).values(), start=np.zeros(request.grid.steps))
        given_kw = sum(
            (np.array(plan.storages[s.name].discharge_kw) for s in request.storages if s.loop == aux.loop),
            start=np.zeros(request.grid.steps),
        )
        load_kw = np.array(next(loop.load_kw for loop in request.loops if loop.name == aux.loop))
        price = direct_price(request, aux.loop)
        own = request.per_step(aux.cost_cny_per_kwh) + aux.electricity_kw_per_kw * request.per_step(
            request.price_cny_per_kwh
        )
        for first, last in blocks(output_kw > POWER_TOL_KW):
            part = slice(first, last)
            mean_kw = float(np.average(output_kw[part], weights=request.grid.hours[part]))
            here, cost = float(price[part].mean()), float(own[part].mean())
            lack_kw = float((load_kw - units_kw - given_kw)[part].max())
            head_zh = f"供{zh},平均 {mean_kw:.0f} kW:每 kWh {cost:.3f} 元,机组现做 {here:.3f} 元"
            head_en = f"serves {en}, {mean_kw:.0f} kW on average: {cost:.3f} CNY/kWh, units {here:.3f}"
            code: ReasonCode = "serve_load"
            if lack_kw > POWER_TOL_KW:
                code = "short_capacity"
                head_zh += f";机组全开也最多缺 {lack_kw:.0f} kW"
                head_en += f"; units at full load would leave up to {lack_kw:.0f} kW lacking"
            elif _at_limit(request, grid_kw, first, last):
                code = "grid_cap"
                head_zh += ";电网功率已到上限或本月需量"
                head_en += "; grid power stands at its limit or at the demand of the month"
            elif cost > here and _one_more(request, plan, aux.loop, first=first, last=last):
                head_zh += ";为这一段再起一台机组不划算"
                head_en += "; starting one more unit for it would not pay"
            yield Reason(from_step=first, to_step=last, name=aux.name, code=code, zh=head_zh, en=head_en)


def _one_more(request: PlanRequest, plan: Plan, loop: str, *, first: int, last: int) -> bool:
    """Whether a unit stands still in a stretch that might have been started for it."""
    return any(
        request.available(unit)[first:last].any()
        and None in plan.units[unit.name].mode[first:last]
        and (request.days[first] > 0 or _may_start_first_day(group, unit))
        for group in request.groups
        if any(mode.loop == loop and mode.storage is None for mode in group.modes)
        for unit in group.units
    )


def _at_limit(request: PlanRequest, grid_kw: Floats, first: int, last: int) -> bool:
    """Whether grid power stands at a cap or a demand peak anywhere in a stretch."""
    limits = [(cap.from_step, cap.to_step, cap.cap_kw) for cap in request.grid_caps]
    limits += [
        (p.from_step, p.to_step, max(p.peak_so_far_kw, float(grid_kw[p.from_step : p.to_step].max())))
        for p in request.demand
        if p.cny_per_kw_month * p.month_share > 0
    ]
    return any(
        bool((grid_kw[max(first, begin) : min(last, end)] >= most_kw * (1.0 - AT_PEAK_RATIO)).any())
        for begin, end, most_kw in limits
        if max(first, begin) < min(last, end)
    )


def _minimum_time(request: PlanRequest, group: Group, unit: UnitState) -> Iterator[Reason]:
    need_min = group.min_up_minutes if unit.on else group.min_down_minutes
    left_min = need_min - unit.minutes_in_state
    if left_min <= 0 or not request.available(unit)[0]:
        return
    begin = np.concatenate([[0.0], np.cumsum(request.grid.minutes)])
    last = int(np.searchsorted(begin, left_min - 1e-6))
    zh, en = ("运行", "run") if unit.on else ("停机", "rest")
    yield Reason(
        from_step=0,
        to_step=max(1, min(last, request.grid.steps)),
        name=unit.name,
        code="min_time",
        zh=f"最短{zh}时间还差 {left_min:.0f} 分钟,须保持{zh}",
        en=f"must {en} {left_min:.0f} min more of its minimum time",
    )


def _rests(request: PlanRequest, group: Group, unit: UnitState, *, lacking: bool) -> Reason:
    enough_zh = "其余机组与蓄能已够用,多开只多付起动费"
    enough_en = "the others and the stores are enough; a start would only cost"
    if not request.available(unit).any():
        zh, en = "不可用(检修、闭锁、失联或手动)", "not available (service, lock-out, silent or manual)"
    elif not _may_start_first_day(group, unit):
        zh, en = (
            f"今天的起动次数已用完({group.max_starts_per_day} 次)",
            f"its {group.max_starts_per_day} starts of the day are used up",
        )
        if request.days[-1] > 0 and group.max_starts_per_day > 0:
            zh, en = f"{zh};其后{enough_zh}", f"{en}; after that {enough_en}"
    elif not unit.on and group.min_down_minutes - unit.minutes_in_state >= float(request.grid.minutes.sum()):
        zh, en = "须停满最短停机时间", "must rest for its minimum time"
    elif lacking:
        zh, en = "不开,见缺口的说明", "stays off; see what is said of the lack"
    else:
        zh, en = enough_zh, enough_en
    return Reason(from_step=0, to_step=request.grid.steps, name=unit.name, code="unit_not_needed", zh=zh, en=en)


def _may_start_first_day(group: Group, unit: UnitState) -> bool:
    return unit.on or unit.starts_today < group.max_starts_per_day


def _outages(request: PlanRequest, unit: UnitState, *, spans: Spans) -> Iterator[Reason]:
    for first, last in blocks(~request.available(unit)):
        zh, en = spans.words(first, last, seen_from=first)
        yield Reason(
            from_step=first,
            to_step=last,
            name=unit.name,
            code="unit_not_needed",
            zh=f"{zh} 不可用(指令停机、检修或手动)",
            en=f"not available {en} (ordered off, service or manual)",
        )


def _serves(
    request: PlanRequest, plan: Plan, name: str, *, mode: str, loop: str, capacity_kw: dict[str, Floats]
) -> Iterator[Reason]:
    """What a loop would lack without a unit that serves it."""
    said = plan.units[name]
    zh, en = heat_words(request, loop)
    load_kw = np.array(next(item.load_kw for item in request.loops if item.name == loop))
    # What the others that run could give at full load, and what stores and auxiliaries give as planned.
    others_kw = np.zeros(request.grid.steps)
    for other, most_kw in capacity_kw.items():
        if other != name:
            others_kw += np.where([on is not None for on in plan.units[other].mode], most_kw, 0.0)
    for store in request.storages:
        if store.loop == loop:
            stored = plan.storages[store.name]
            others_kw += np.array(stored.discharge_kw) - np.array(stored.charge_kw)
    for aux in request.aux:
        if aux.loop == loop:
            others_kw += np.array(plan.aux[aux.name].output_kw)
    for first, last in blocks(np.array([on == mode for on in said.mode])):
        part = slice(first, last)
        lack_kw = float((load_kw - others_kw)[part].max())
        given_kw = float(np.average(np.array(said.load_kw)[part], weights=request.grid.hours[part]))
        if lack_kw > POWER_TOL_KW:
            why_zh, why_en = f"不开最多缺 {lack_kw:.0f} kW", f"without it up to {lack_kw:.0f} kW would be lacking"
        else:
            why_zh = "与其余机组分担,各带部分负荷更省电,或停了再起不划算"
            why_en = "shares the load: part load needs less electricity, or a stop and a new start would not pay"
        yield Reason(
            from_step=first,
            to_step=last,
            name=name,
            code="serve_load",
            zh=f"供{zh},平均 {given_kw:.0f} kW:{why_zh}",
            en=f"serves {en}, {given_kw:.0f} kW on average: {why_en}",
        )


def _idle_while_lacking(request: PlanRequest, plan: Plan, loop: Loop) -> dict[str, Floats]:
    """Units that stand still, though they may run, while their loop lacks something: what each could give then."""
    lacking = np.array(plan.loops[loop.name].unmet_kw) > POWER_TOL_KW
    out: dict[str, Floats] = {}
    for name, most_kw in unit_capacity_kw(request, loop.name).items():
        idle_kw = np.where([mode is None for mode in plan.units[name].mode], most_kw, 0.0) * lacking
        if idle_kw.any():
            out[name] = idle_kw
    return out


def unmet_reasons(request: PlanRequest, plan: Plan) -> Iterator[Reason]:
    """What a loop lacks, and what stands in the way of giving it."""
    for loop in request.loops:
        unmet_kw = np.array(plan.loops[loop.name].unmet_kw)
        zh, en = heat_words(request, loop.name)
        idle = _idle_while_lacking(request, plan, loop)
        capacity_kw = sum(
            unit_capacity_kw(request, loop.name).values(), start=np.zeros(request.grid.steps)
        ) + aux_capacity_kw(request, loop.name)
        for first, last in blocks(unmet_kw > POWER_TOL_KW):
            part = slice(first, last)
            lack_kwh = float((unmet_kw * request.grid.hours)[part].sum())
            worst = first + int(np.argmax(unmet_kw[part]))
            spare = {name: kw for name, kw in idle.items() if kw[worst] > POWER_TOL_KW}
            why_zh, why_en = _why_lacking(
                request, loop, worst=worst, spare=spare, capacity_kw=float(capacity_kw[worst]), lack_kwh=lack_kwh
            )
            most_kw = float(unmet_kw[part].max())
            yield Reason(
                from_step=first,
                to_step=last,
                name=loop.name,
                code="short_capacity",
                zh=f"缺{zh} {lack_kwh:.0f} kWh,最多缺 {most_kw:.0f} kW:{why_zh}",
                en=f"{lack_kwh:.0f} kWh of {en} are lacking, up to {most_kw:.0f} kW: {why_en}",
            )


def _why_lacking(
    request: PlanRequest, loop: Loop, *, worst: int, spare: dict[str, Floats], capacity_kw: float, lack_kwh: float
) -> tuple[str, str]:
    """What stands in the way in the worst step of a lack."""
    out = [u.name for g in request.groups for u in g.units if not request.available(u)[worst]]
    out_zh = f",{'、'.join(out[:NAMES_SAID])} 不可用" if out else ""
    out_en = f"; {', '.join(out[:NAMES_SAID])} not available" if out else ""
    made_cny = float(direct_price(request, loop.name)[worst])
    if spare and made_cny >= loop.unmet_cny_per_kwh:
        told = f"{made_cny:.3f}", f"{loop.unmet_cny_per_kwh:.3f}"
        return (
            f"现做每 kWh {told[0]} 元,不低于缺口的计价 {told[1]} 元",
            f"making it costs {told[0]} CNY/kWh, no less than the {told[1]} at which a lack is priced",
        )
    if not spare:
        held = [s.name for s in request.storages if s.loop == loop.name and request.flow_caps_kw(s)[1][worst] <= 0]
        held_zh = f",{'、'.join(held)} 有指令不得放" if held else ""
        held_en = f"; {', '.join(held)} is ordered to give nothing" if held else ""
        load_kw = loop.load_kw[worst]
        told_en = f"the load is {load_kw:.0f} kW, all units and auxiliaries give {capacity_kw:.0f} kW"
        return (
            f"负荷 {load_kw:.0f} kW,机组和辅助热源全开 {capacity_kw:.0f} kW,蓄能补不上{out_zh}{held_zh}",
            f"{told_en}, and the stores cannot make up for it{out_en}{held_en}",
        )
    names_zh, names_en = "、".join(list(spare)[:NAMES_SAID]), ", ".join(list(spare)[:NAMES_SAID])
    charged = [p for p in request.demand if p.from_step <= worst < p.to_step and p.cny_per_kw_month > 0]
    capped = [c for c in request.grid_caps if c.from_step <= worst < c.to_step]
    sourced = any(s.limit_kw is not None or s.energy_limit_kwh is not None for s in request.sources)
    causes = [
        (bool(charged), "需量电费", "the demand charge"),
        (bool(capped), "电网上限", "the grid limit"),
        (sourced, "热源侧上限", "the source's limit"),
        (True, "最短停机时间、每日起动次数", "minimum rests and starts a day"),
    ]
    zh = "、".join(zh for applies, zh, _ in causes if applies)
    en = ", ".join(en for applies, _, en in causes if applies)
    penalty_cny = lack_kwh * loop.unmet_cny_per_kwh
    return (
        f"{names_zh} 停着没用,受限于{zh}之一(缺口按 {money(penalty_cny)} 元计价){out_zh}",
        f"{names_en} stays off: one of {en} stands in the way (the lack is priced at {money(penalty_cny)} CNY){out_en}",
    )
