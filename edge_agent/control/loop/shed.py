"""Keeps the plant's electric power under its ceilings: charging gives way first, then loads on the loop. Pure.

Less load comes before a stop, a stop respects the unit's minimum run, and a start waits until it fits. Only a hard
ceiling may cost comfort: a soft one lets go as the supply nears its limit. Ceilings close at once and open slowly, so
that nothing flutters from one window to the next; what the plant draws beside this loop's units is taken as it is.

Source: plant-operation notes, section 8 (charging power and base load below the contract demand in every window).
"""

import math
from dataclasses import replace
from datetime import datetime, timedelta

from edge_agent.control.command import Alarm, Because
from edge_agent.control.demand_guard import Ceiling, Ceilings
from edge_agent.control.loop.case import Case
from edge_agent.control.memory import ASKED, PREPARING, Phase
from edge_agent.control.permissives import run_long_enough
from edge_agent.control.regulate import LOAD_RATIO_MIN

RESTORE_S = 600.0
"""A ceiling that has closed opens again at this pace: in this time by the whole of its limit. Ours."""
OTHER_FALLS_S = 600.0
"""What others draw is believed at once when it rises, and with this time constant when it falls. Ours."""
HEADROOM_RATIO = 0.05
"""Left to a unit on the loop above what it draws, so that it can follow its load. Share of its full power. Ours."""
MEASURED_MIN, MEASURED_MAX = 0.6, 1.5
"""A unit's power at full load as it is measured is believed within these shares of its figures. Ours."""
START_RATIO = 0.5
"""A unit is started for charging only if it could run at this load at least; one that runs may fall to its lowest."""
SHED_REST = timedelta(minutes=15)
"""A unit whose charging gave way is not started for it again before this. Ours: one window."""
CAP_STEP_RATIO = 0.03
"""A load limit is raised in steps of at least this; it is lowered at once."""
SOFT_NEAR_K, SOFT_FAR_K = 1.0, 2.0
"""A soft ceiling costs no comfort: it lets go between these distances of the supply from its lower limit. Ours."""


def narrow(case: Case, ceilings: Ceilings) -> None:
    """Takes from duties and loads what the ceilings do not allow."""
    if ceilings.hard is None and ceilings.soft is None:
        case.state = replace(case.state, held_kw={}, caps={}, other_kw=None)
        return
    _Shed(case, ceilings).narrow()


class _Shed:
    """One decision: powers and budgets of this instant."""

    def __init__(self, case: Case, ceilings: Ceilings) -> None:
        self.case = case
        self.ceilings = ceilings
        self.drawn_kw = {name: self._drawn_kw(name) for name in case.units}
        self.other_kw = self._other_kw()
        self.held_kw = {
            code: self._held_kw(code, ceiling)
            for code, ceiling in (("hard", ceilings.hard), ("soft", ceilings.soft))
            if ceiling is not None
        }
        # What stops or is not ours to command is drawn whatever we want.
        self.fixed_kw = sum(self.drawn_kw[name] for name in case.units if not self._is_asked(name))

    # ----------------------------------------------------------------------------------------------------- powers

    def _is_asked(self, name: str) -> bool:
        return self.case.memories[name].phase in ASKED

    def _mode(self, name: str) -> str | None:
        """The mode a unit runs in, or is meant to start in."""
        memory, duty = self.case.memories[name], self.case.duties[name]
        if self._is_asked(name) and not (memory.phase is Phase.RUNNING and duty.mode == "direct"):
            return memory.mode
        return duty.mode

    def _full_kw(self, name: str, mode: str) -> float:
        """Electricity of a unit at full load: measured while it carries some, else from its figures."""
        seen, nominal_kw = self.case.view.units[name], self.case.power_kw(name, mode)
        same = self.case.memories[name].mode == mode and self._is_asked(name)
        if same and seen.electric_kw is not None and (seen.load_ratio or 0.0) >= LOAD_RATIO_MIN:
            measured_kw = seen.electric_kw / (seen.load_ratio or 1.0)
            return min(max(measured_kw, MEASURED_MIN * nominal_kw), MEASURED_MAX * nominal_kw)
        return nominal_kw

    def _drawn_kw(self, name: str) -> float:
        seen, memory = self.case.view.units[name], self.case.memories[name]
        if seen.electric_kw is not None:
            return max(0.0, seen.electric_kw)
        if memory.phase not in (*ASKED, Phase.STOPPING) or memory.idle_since_utc is not None:
            return 0.0
        ratio = 1.0 if seen.load_ratio is None else seen.load_ratio
        return ratio * self._nominal_kw(name)

    def _nominal_kw(self, name: str) -> float:
        return self.case.power_kw(name, self.case.memories[name].mode or "direct")

    def _other_kw(self) -> float:
        """What the plant draws beside this loop's units: up at once, down slowly; not seen: as last seen."""
        kept_kw, total_kw = self.case.before.other_kw, self.case.view.electric_kw
        if total_kw is None:
            return kept_kw or 0.0
        seen_kw = max(0.0, total_kw - sum(self.drawn_kw.values()))
        if kept_kw is None or seen_kw >= kept_kw:
            return seen_kw
        return kept_kw + (seen_kw - kept_kw) * -math.expm1(-self.case.step_s() / OTHER_FALLS_S)

    def _held_kw(self, code: str, ceiling: Ceiling) -> float:
        """The ceiling that is kept: what is drawn already may go on while the window has room, more is not begun."""
        drawn_kw = self.case.view.electric_kw or 0.0
        aim_kw = max(ceiling.steady_kw, min(ceiling.allowed_kw, drawn_kw))
        before_kw = self.case.before.held_kw.get(code)
        if before_kw is None or aim_kw <= before_kw:
            return aim_kw
        return min(aim_kw, before_kw + max(ceiling.steady_kw, 1.0) * self.case.step_s() / RESTORE_S)

    def _budget_kw(self, *codes: str) -> float:
        """What this loop's units may draw."""
        held_kw = min((self.held_kw[code] for code in codes if code in self.held_kw), default=math.inf)
        return held_kw - self.other_kw - self.fixed_kw

    # ----------------------------------------------------------------------------------------------------- narrow

    def narrow(self) -> None:
        """Charging, then starts and loads on the loop; then the limits are written down."""
        case = self.case
        charge_ratio = self._narrow_charging()
        # The loop comes before charging: what charging could still give up is the loop's to take.
        charging_kw = LOAD_RATIO_MIN * sum(self._full_kw(name, "charge") for name in self._units("charge"))
        hard_ratio = self._narrow_direct_hard(self._budget_kw("hard") - charging_kw)
        soft_ratio = self._narrow_direct_soft(self._budget_kw("soft") - charging_kw)
        wanted = {"charge": charge_ratio, "direct": min(hard_ratio, soft_ratio)}
        case.caps = {mode: self._cap(mode, ratio) for mode, ratio in wanted.items()}
        if case.caps["charge"] < 1.0:
            case.note("limit_charge_less")
        if case.caps["direct"] < 1.0:
            case.note("limit_load_less")
        self._alarm(hard=hard_ratio < 1.0)
        case.state = replace(
            case.state,
            held_kw=self.held_kw,
            caps={mode: ratio for mode, ratio in case.caps.items() if ratio < 1.0},
            other_kw=self.other_kw,
        )

    def _units(self, mode: str) -> list[str]:
        """Units that run, start or are wanted in a mode."""
        return [
            name
            for name in self.case.units
            if self._mode(name) == mode and (self._is_asked(name) or self.case.duties[name].mode == mode)
        ]

    def _needed_kw(self) -> float:
        """Electricity that the units on the loop need: what they draw and some; all of it while they are coming."""
        needed_kw = 0.0
        for name in self._units("direct"):
            full_kw = self._full_kw(name, "direct")
            drawn_kw = self.drawn_kw[name] + HEADROOM_RATIO * full_kw
            needed_kw += min(full_kw, drawn_kw) if self.case.settled(name) else full_kw
        return needed_kw

    def _narrow_charging(self) -> float:
        """Load limit of all that charge; units that would not even reach their lowest load give way, newest first."""
        room_kw = self._budget_kw("hard", "soft") - self._needed_kw()
        units = self._units("charge")
        for name in [name for name in reversed(units) if self._stands(name)]:
            full_kw = sum(self._full_kw(other, "charge") for other in units)
            if room_kw < START_RATIO * full_kw + self.case.site.units[name].pump_kw:
                self._give_way(name, "limit_start_waits")
                units.remove(name)
        while units and room_kw < LOAD_RATIO_MIN * sum(self._full_kw(name, "charge") for name in units):
            goes = self._may_go(units)
            if goes is None:
                return LOAD_RATIO_MIN
            self._give_way(goes, "limit_charge_stops")
            rest = {**self.case.state.charge_rest_until_utc, goes: self.case.now_utc + SHED_REST}
            self.case.state = replace(self.case.state, charge_rest_until_utc=rest)
            units.remove(goes)
        full_kw = sum(self._full_kw(name, "charge") for name in units)
        return 1.0 if full_kw <= 0.0 else min(1.0, max(LOAD_RATIO_MIN, room_kw / full_kw))

    def _narrow_direct_hard(self, budget_kw: float) -> float:
        units = self._units("direct")
        for name in [name for name in reversed(units) if self._stands(name)]:
            least_kw = LOAD_RATIO_MIN * sum(self._full_kw(other, "direct") for other in units)
            if budget_kw < least_kw + self.case.site.units[name].pump_kw:
                self._give_way(name, "limit_start_waits")
                units.remove(name)
        while units and budget_kw < LOAD_RATIO_MIN * sum(self._full_kw(name, "direct") for name in units):
            goes = self._may_go(units)
            if goes is None:
                return LOAD_RATIO_MIN
            self._give_way(goes, "limit_load_stops")
            units.remove(goes)
        return self._ratio(units, budget_kw)

    def _narrow_direct_soft(self, budget_kw: float) -> float:
        """The same for money: no unit stops for it, no start for comfort waits, and no load that the supply needs."""
        supply_degc = self.case.loop.supply_degc
        if supply_degc is None or math.isinf(budget_kw):
            return 1.0
        units = self._units("direct")
        for name in [name for name in reversed(units) if self._stands(name)]:
            full_kw = LOAD_RATIO_MIN * sum(self._full_kw(other, "direct") for other in units)
            comfort = self.case.duties[name].because in (Because.COMFORT, Because.OPERATOR)
            if budget_kw < full_kw and not comfort and supply_degc > self.case.floor_degc():
                self._give_way(name, "limit_start_waits")
                units.remove(name)
        above_k = supply_degc - self.case.config.supply_degc_min
        grip_ratio = min(1.0, max(0.0, (above_k - SOFT_NEAR_K) / (SOFT_FAR_K - SOFT_NEAR_K)))
        return 1.0 - grip_ratio * (1.0 - self._ratio(units, budget_kw))

    def _ratio(self, units: list[str], budget_kw: float) -> float:
        full_kw = sum(self._full_kw(name, "direct") for name in units)
        return 1.0 if full_kw <= 0.0 else min(1.0, max(LOAD_RATIO_MIN, budget_kw / full_kw))

    def _stands(self, name: str) -> bool:
        """Whether a unit has not even begun to start: it can wait at no cost."""
        return not self._is_asked(name) and self.case.memories[name].phase not in PREPARING

    def _may_go(self, units: list[str]) -> str | None:
        """The unit that gives way next: one that is still preparing, else the newest that has run its minimum."""
        preparing = [name for name in units if not self._is_asked(name)]
        if preparing:
            return preparing[-1]
        over = [
            name
            for name in units
            if self.case.memories[name].phase is Phase.RUNNING
            and run_long_enough(self.case.site.units[name], self.case.memories[name], self.case.now_utc)
        ]
        return max(over, key=lambda name: _since(self.case.memories[name].running_since_utc), default=None)

    def _give_way(self, name: str, note: str) -> None:
        duty = self.case.duties[name]
        self.case.duties[name] = replace(duty, mode=None, because=Because.LIMIT, unloading=False)
        self.case.note(note)

    def _cap(self, mode: str, ratio: float) -> float:
        """A new load limit: lowered at once, raised in steps."""
        kept_ratio = self.case.before.caps.get(mode, 1.0)
        ratio = math.floor(ratio * 100.0) / 100.0
        return ratio if ratio <= kept_ratio or ratio >= min(1.0, kept_ratio + CAP_STEP_RATIO) else kept_ratio

    def _alarm(self, *, hard: bool) -> None:
        """Limits that narrow are alarms for the operator: the hard one with its figures."""
        case = self.case
        if not any(note.startswith("limit_") for note in case.balance.notes):
            return
        ceiling = self.ceilings.hard
        soft_kw = self.held_kw.get("soft", math.inf)
        if ceiling is not None and (hard or self.held_kw["hard"] <= soft_kw):
            values: dict[str, float | str] = {
                "grid_kw": "?" if case.view.electric_kw is None else round(case.view.electric_kw),
                "limit_kw": round(ceiling.steady_kw),
            }
            case.alarms.append(Alarm("grid_limit", ceiling.code, case.now_utc, values))
        else:
            case.alarms.append(Alarm("demand_guard", "peak", case.now_utc))


def _since(instant_utc: datetime | None) -> float:
    return 0.0 if instant_utc is None else instant_utc.timestamp()
