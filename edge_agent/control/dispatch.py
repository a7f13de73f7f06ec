"""From plan and plant to what units and tank shall do now: keeps the supply temperature, whatever the plan says.

A load off the plan is met by the tank first, then by the load of running units, then by a charging unit that turns to
the loop, then by one more unit. A unit leaves the loop only when what remains can carry it. Pure: the regulators' state
is `LoopMemory`. Starting and stopping a unit is the business of `sequence.py`; what may be written, that of `guard.py`.

Source: plant-operation notes, sections 6 and 8; scheduling notes, section 8 (follow the plan unit by unit).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from edge_agent.control.command import Alarm, Because
from edge_agent.control.intent import BandOutlook, Intent, UnitIntent, plan_intent, plan_usable
from edge_agent.control.memory import PREPARING, ControlMemory, LoopMemory, Phase
from edge_agent.control.regulate import (
    LOAD_RATIO_MIN,
    UNIT_RISE_K,
    VALVE_CLOSE_PER_S,
    curve_degc,
    discharge_kw_possible,
    leaving_degc,
    tank_lasts_s,
    unit_flow_kg_per_s,
    valve_ratio,
)
from edge_agent.control.sequence import Want, path_open, run_long_enough, start_obstacles
from edge_agent.control.view import LoopView, PlantView, StorageView
from edge_agent.settings.model import SiteFile
from scheduling.plan import Plan

Capacities = Mapping[str, Mapping[str, float]]
"""Heat at full load [kW] by unit and mode."""

START_AHEAD = timedelta(minutes=5)
"""A unit needs about this long from its first valve to real heat: planned starts begin this much earlier. Ours,
measured in lockstep with the simulated plant: pumps, proofs and lead 4 min, compressor 1 min."""
SETTLED_S = 300.0
"""A unit counts as carrying its share this long after it runs. Ours: loaded at 0.5 %/s, heat after 3 min."""
BAND_K = 1.0
"""Supply may be this far off its set-point before anything but regulation acts. Ours."""
TOO_WARM_K = 0.4
"""A supply this far above its set-point with all units at their lowest load: their heat finds no use. Well before
their own thermostats stop them. Ours."""
OFFSET_K = 0.3
"""Units are asked for a little more than the mixing demands: pipes and sensors lose some. Ours."""
LOOSE_K = 1.0
"""A unit whose load is limited gets a set-point this much higher, so that its limit decides. Ours."""
OUTDOOR_MEAN_S = 1800.0
"""Time constant of the outdoor temperature for the heating curve; the building itself is slower. Ours."""
TRIM_S = 600.0
"""Integral time of the slow correction of the units' set-point. Ours."""
TRIM_K_MIN, TRIM_K_MAX = -2.0, 3.0
TANK_HELPS_K = 1.0
"""The tank is of use while its top is this far above what is needed; half of it once it is in use. Ours."""
WANTED_KW = 20.0
"""A planned discharge below this is none."""
FULL_K = 1.5
"""The tank is full when its bottom is this close to the charging set-point. Ours: units charge badly with less lift."""
EMPTIED_K = 5.0
"""... and counts as not full again when the bottom is this far below."""
FULL_RATIO = 0.985
FULL_AGAIN_RATIO = 0.93
TANK_ENDS_S = 900.0
"""A tank that lasts less than this is followed by a unit's start: START_AHEAD and some."""
TANK_COVERS_S = 1800.0
"""A unit is let go on the tank's account only if the tank lasts at least this long."""
SHORT_S = 60.0
"""An imminent lack must be seen this long before a unit is started for it: one reading is none. Ours."""
NEAR_MIN_K = 1.5
"""This close to the lower limit nothing waits. Ours."""
STOP_APART_S = 180.0
"""Least time between two units leaving the loop, so that what remains can follow. Ours."""
UNLOAD_S = 420.0
"""A unit that leaves its load to the tank is let go after this time at the latest, if the supply holds. Ours."""
UNLOADED_RATIO = 0.45
REST = timedelta(minutes=30)
"""A unit that was stopped because its heat found no use rests this long, whatever the plan says. Ours."""
TAKEN_OVER_RATIO = 0.5
"""The tank has taken over when it gives at least this share of what the staying and unloading units do not give."""
HAND_OVER_RATIO = 0.8
"""Share of a leaving unit's heat for which the discharge valve opens at once; regulation does the rest. Ours."""
USED_RATIO = 0.97
"""Share of the rated capacity counted on: source temperatures vary."""
PEAK_BANDS = frozenset({"sharp", "peak"})
VALLEY_BANDS = frozenset({"valley", "deep_valley"})
RULE_LOAD_RATIO = 1.1
"""Without a plan, units for this share of the measured load run."""
RULE_DISCHARGE_RATIO = 0.15
"""Without a plan, the tank feeds a peak if it holds at least this share."""


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What dispatch wants of one loop.

    Attributes:
        wants: by unit.
        discharge_ratio: opening of the discharge valve; None: leave it.
        tank_used: the tank's way must be open.
        memory: of the loop.
        setpoint_degc: supply temperature aimed at.
        because: plan or rule.
        notes: codes of what is done beyond the plan, for the operator.
        alarms: what is wrong with the loop.
    """

    wants: Mapping[str, Want]
    discharge_ratio: float | None
    tank_used: bool
    memory: LoopMemory
    setpoint_degc: float
    because: Because
    notes: tuple[str, ...] = ()
    alarms: tuple[Alarm, ...] = ()


def dispatch(
    loop_name: str,
    memory: ControlMemory,
    *,
    site: SiteFile,
    view: PlantView,
    plan: Plan | None,
    bands: BandOutlook,
    capacities: Capacities,
) -> Dispatched:
    """Decides for one heat loop.

    Args:
        loop_name: the loop.
        memory: units adopted to the present.
        site: limits and times.
        view: the plant now.
        plan: the last plan; older than two hours or ended: a rule stands in.
        bands: the tariff around now.
        capacities: heat at full load by unit and mode; a unit that is missing counts with its rating.
    """
    return _Dispatch(loop_name, memory, site=site, view=view, plan=plan, bands=bands, capacities=capacities).decide()


def storage_of_loop(site: SiteFile, loop_name: str) -> str | None:
    """The water tank that feeds a loop; the first if there are several."""
    names = (
        name for name, storage in site.storages.items() if storage.loop == loop_name and storage.kind == "hot_water"
    )
    return next(names, None)


@dataclass(slots=True)
class _Duty:
    """What a unit shall do, while it is being decided."""

    mode: str | None
    load_kw: float
    because: Because
    planned: str | None = None
    unloading: bool = False


@dataclass(slots=True)
class _Balance:
    """Heat of the loop as it stands."""

    load_kw: float | None = None
    direct_kw: float = 0.0
    short_kw: float = 0.0
    lasts_s: float = math.inf
    tank_kw: float = 0.0
    handed_kw: float = 0.0
    notes: list[str] = field(default_factory=list)


class _Dispatch:
    """One decision for one loop; the order of the steps is that of `decide`."""

    def __init__(
        self,
        loop_name: str,
        memory: ControlMemory,
        *,
        site: SiteFile,
        view: PlantView,
        plan: Plan | None,
        bands: BandOutlook,
        capacities: Capacities,
    ) -> None:
        self.name = loop_name
        self.site = site
        self.view = view
        self.bands = bands
        self.plan = plan
        self.capacities = capacities
        self.now_utc = view.instant_utc
        self.config = site.loops[loop_name]
        self.loop: LoopView = view.loops[loop_name]
        self.storage_name = storage_of_loop(site, loop_name)
        self.storage = None if self.storage_name is None else site.storages[self.storage_name]
        self.tank = StorageView() if self.storage_name is None else view.storages[self.storage_name]
        self.units = tuple(name for name, unit in site.units.items() if unit.loop == loop_name)
        self.memories = {name: memory.unit(name) for name in self.units}
        before = memory.loop(loop_name)
        self.before = before
        self.setpoint_degc = self._setpoint_degc()
        self.state = replace(before, outdoor_degc=self._outdoor_degc())
        self.balance = _Balance()
        self.duties: dict[str, _Duty] = {}
        self.following = plan_usable(plan, self.now_utc)

    # ------------------------------------------------------------------------------------------------------- order

    def decide(self) -> Dispatched:
        self._note_tank()
        now = self._intent(self.now_utc)
        soon = self._intent(self.now_utc + START_AHEAD)
        self._assign(now, soon)
        self._end_charging()
        self._weigh()
        discharging = self._wants_tank(now)
        self._meet_lack(discharging=discharging)
        self._meet_surplus()
        through_tank = self._release(discharging=discharging)
        discharging = discharging or through_tank
        return self._finish(now, soon, discharging=discharging)

    # ---------------------------------------------------------------------------------------------------- set-point

    def _outdoor_degc(self) -> float | None:
        """Outdoor temperature for the heating curve: a slow mean, so that a fluttering sensor moves no set-point."""
        seen_degc, kept_degc = self.view.outdoor_degc, self.before.outdoor_degc
        if seen_degc is None or kept_degc is None:
            return kept_degc if seen_degc is None else seen_degc
        return kept_degc + (seen_degc - kept_degc) * -math.expm1(-self._step_s() / OUTDOOR_MEAN_S)

    def _setpoint_degc(self) -> float:
        outdoor_degc = self._outdoor_degc()
        # An unknown outdoor temperature counts as the design day: comfort before cost.
        known_degc = self.config.design_outdoor_degc if outdoor_degc is None else outdoor_degc
        wanted_degc = curve_degc(self.config.supply_setpoint_degc, known_degc)
        lowest_degc = min(self.config.supply_degc_min + BAND_K, self.config.supply_degc_max)
        return min(max(wanted_degc, lowest_degc), self.config.supply_degc_max)

    def _floor_degc(self) -> float:
        """Supply below which tank and units act beyond the plan; at least half a band above the limit."""
        return max(self.setpoint_degc - BAND_K, self.config.supply_degc_min + 0.5 * BAND_K)

    # ------------------------------------------------------------------------------------------------------- intent

    def _intent(self, instant_utc: datetime) -> Intent:
        if self.following and self.plan is not None:
            storage_of = {name: unit.storage for name, unit in self.site.units.items()}
            intent = plan_intent(self.plan, instant_utc, storage_of=storage_of)
            if intent is not None:
                return intent
        return self._rule()

    def _rule(self) -> Intent:
        """Direct units for the measured load and a tenth; the tank is charged in the valley and feeds the peak."""
        load_kw = self.loop.load_kw
        direct = [name for name in self.units if self._in_direct(name)]
        usable = [name for name in self.units if self._available(name)]
        if load_kw is None:
            keep = {name: UnitIntent("direct", self._capacity_kw(name, "direct")) for name in direct}
            return Intent(keep, {}, Because.RULE)
        band = self.bands.current_band
        needed_kw = load_kw * RULE_LOAD_RATIO
        to_loop_kw: dict[str, float] = {}
        if self.storage_name is not None and band in PEAK_BANDS and self._peak_tank():
            possible_kw = self._tank_kw()
            to_loop_kw[self.storage_name] = min(load_kw, possible_kw)
            needed_kw = max(0.0, needed_kw - possible_kw)
        units: dict[str, UnitIntent] = {}
        # Units that already serve the loop first, then those that rested longest from starting.
        order = sorted(usable, key=lambda name: (name not in direct, len(self.memories[name].starts_utc)))
        served_kw = 0.0
        for name in order:
            capacity_kw = self._capacity_kw(name, "direct")
            # A running unit stays until a tenth more than the need would be left without it.
            slack_kw = 0.1 * capacity_kw if name in direct else 0.0
            if served_kw < needed_kw + slack_kw and needed_kw > 1.0:
                units[name] = UnitIntent("direct", min(capacity_kw, needed_kw))
                served_kw += capacity_kw
        if band in VALLEY_BANDS and not self.state.tank_full and self.tank.layers_degc:
            for name in order:
                if name not in units and "charge" in self.site.units[name].modes:
                    units[name] = UnitIntent("charge", self._capacity_kw(name, "charge"))
        return Intent(units, to_loop_kw, Because.RULE)

    def _peak_tank(self) -> bool:
        energy_kwh = self.tank.energy_kwh
        if energy_kwh is None:
            return False
        least_ratio = RULE_DISCHARGE_RATIO * (0.4 if self.before.discharging else 1.0)
        return energy_kwh > least_ratio * self.tank.capacity_kwh and self._tank_helps()

    def _assign(self, now: Intent, soon: Intent) -> None:
        """Each unit's duty by the plan; one that starts within minutes begins now."""
        for name in self.units:
            present, next_ = now.unit(name), soon.unit(name)
            chosen = present if present.mode is not None else next_
            mode = chosen.mode if chosen.mode in self.site.units[name].modes else None
            rested_until_utc = self.before.rested_until_utc.get(name)
            if rested_until_utc is not None and self.now_utc < rested_until_utc and mode == "direct":
                mode = None
            self.duties[name] = _Duty(mode, chosen.load_kw, now.because, planned=mode)
        self.state = replace(
            self.state,
            rested_until_utc={
                name: until for name, until in self.before.rested_until_utc.items() if until > self.now_utc
            },
        )

    def _end_charging(self) -> None:
        """Charging ends before a peak, and when the tank is full."""
        peak_utc = self.bands.next_peak_utc
        margin = timedelta(minutes=self.site.control.charge_end_margin_min)
        at_peak: Intent | None = None
        if peak_utc is not None and timedelta(0) <= peak_utc - self.now_utc <= margin:
            at_peak = self._intent(peak_utc + timedelta(seconds=1)) if self.following else Intent()
        for name, duty in self.duties.items():
            if duty.mode != "charge":
                continue
            if at_peak is not None and at_peak.unit(name).mode != "charge":
                duty.mode = at_peak.unit(name).mode
                duty.load_kw = at_peak.unit(name).load_kw
            elif self.state.tank_full:
                duty.mode = None

    # --------------------------------------------------------------------------------------------------------- heat

    def _note_tank(self) -> None:
        storage, tank = self.storage, self.tank
        if storage is None or tank.bottom_degc is None or tank.energy_kwh is None:
            return
        share = tank.energy_kwh / max(tank.capacity_kwh, 1.0)
        full = self.state.tank_full
        if tank.bottom_degc > storage.charge_setpoint_degc - FULL_K or share >= FULL_RATIO:
            full = True
        elif tank.bottom_degc < storage.charge_setpoint_degc - EMPTIED_K or share < FULL_AGAIN_RATIO:
            full = False
        self.state = replace(self.state, tank_full=full)

    def _weigh(self) -> None:
        """What the running and starting units can give, what is missing, and how long the tank can give it."""
        balance = self.balance
        balance.load_kw = self.loop.load_kw
        balance.tank_kw = self._tank_kw() if self._tank_helps() else 0.0
        balance.direct_kw = USED_RATIO * sum(
            self._capacity_kw(name, "direct")
            for name, duty in self.duties.items()
            if self._in_direct(name) or (duty.mode == "direct" and self.memories[name].phase in PREPARING)
        )
        if balance.load_kw is None:
            return
        balance.short_kw = max(0.0, balance.load_kw - balance.direct_kw)
        if self.storage is None or balance.tank_kw <= 0.0:
            balance.lasts_s = 0.0 if balance.short_kw > 1.0 else math.inf
        else:
            balance.lasts_s = tank_lasts_s(
                self.storage, self.tank, needed_kw=balance.short_kw, return_degc=self.loop.return_degc
            )

    def _tank_helps(self) -> bool:
        """Whether the tank's top is warm enough to be of use for the loop."""
        top_degc, supply_degc = self.tank.top_degc, self.loop.supply_degc
        if top_degc is None or supply_degc is None:
            return False
        needed_degc = min(self.setpoint_degc, supply_degc)
        margin_k = TANK_HELPS_K * (0.5 if self.before.discharging else 1.0)
        return top_degc > needed_degc + margin_k

    def _tank_kw(self) -> float:
        if self.storage is None or self.tank.top_degc is None or self.loop.return_degc is None:
            return 0.0
        return discharge_kw_possible(self.storage, top_degc=self.tank.top_degc, return_degc=self.loop.return_degc)

    def _capacity_kw(self, name: str, mode: str) -> float:
        return self.capacities.get(name, {}).get(mode, self.site.units[name].heat_kw_rated)

    def _available(self, name: str) -> bool:
        memory = self.memories[name]
        return memory.phase not in (Phase.UNKNOWN, Phase.LOCAL, Phase.TRIPPED) and not memory.locked_out

    def _in_direct(self, name: str) -> bool:
        """Whether a unit gives its heat to the loop, or has been asked to."""
        memory = self.memories[name]
        return (
            memory.mode == "direct"
            and memory.phase in (Phase.STARTING, Phase.RUNNING)
            and memory.idle_since_utc is None
        )

    def _settled(self, name: str) -> bool:
        since_utc = self.memories[name].running_since_utc
        if since_utc is None or not self._in_direct(name):
            return False
        return (self.now_utc - since_utc).total_seconds() >= SETTLED_S

    def _wants_tank(self, now: Intent) -> bool:
        """Whether the tank shall hold the supply at its set-point: planned, or until units have taken over."""
        if self.storage_name is None or not self._tank_helps():
            return False
        if now.to_loop_kw.get(self.storage_name, 0.0) > WANTED_KW:
            return True
        if not self.before.discharging:
            return False
        if self.balance.short_kw > self._notable_kw():
            return True
        awaited = [name for name, duty in self.duties.items() if duty.mode == "direct" and not self._settled(name)]
        return any(self.memories[name].phase in PREPARING or self._in_direct(name) for name in awaited)

    # --------------------------------------------------------------------------------------------- lack and surplus

    def _meet_lack(self, *, discharging: bool) -> None:
        """Turns a charging unit to the loop, or starts one more, when tank and running units cannot hold the supply."""
        supply_degc = self.loop.supply_degc
        extra = {name: until for name, until in self.before.extra_until_utc.items() if self._available(name)}
        balance = self.balance
        if supply_degc is not None:
            near_min = supply_degc < self.config.supply_degc_min + NEAR_MIN_K
            cold = supply_degc < self._floor_degc()
            imminent = self._imminent()
            lack_since_utc = (self.before.lack_since_utc or self.now_utc) if cold or imminent else None
            lack_s = 0.0 if lack_since_utc is None else (self.now_utc - lack_since_utc).total_seconds()
            self.state = replace(self.state, lack_since_utc=lack_since_utc)
            tank_works = balance.tank_kw > 0.0 and (self.before.discharge_ratio or 0.0) < USED_RATIO
            urgent = lack_s >= SHORT_S and (imminent or (near_min and cold))
            patient = lack_s >= self.site.control.stage_up_s and not tank_works
            starting = any(self._in_direct(name) and not self._settled(name) for name in self.units)
            if urgent or (patient and not starting):
                name = self._one_more(urgent=urgent)
                if name is not None:
                    hold = timedelta(seconds=self.site.units[name].min_on_s)
                    extra[name] = self.now_utc + hold
                    self.state = replace(self.state, lack_since_utc=None)
        # An extra unit stays for its minimum run, then as long as the others cannot carry the load (see _release).
        extra = {name: until for name, until in extra.items() if until > self.now_utc}
        for name in extra:
            duty = self.duties[name]
            if duty.mode != "direct":
                self.duties[name] = _Duty("direct", self._capacity_kw(name, "direct"), Because.COMFORT)
                balance.notes.append("unit_extra")
        self.state = replace(self.state, extra_until_utc=extra)
        if discharging and balance.lasts_s < TANK_ENDS_S:
            balance.notes.append("tank_ends")

    def _imminent(self) -> bool:
        """Whether the units are too few for the load and the tank will not bridge the start of another."""
        balance = self.balance
        return balance.short_kw > self._notable_kw() and balance.lasts_s < TANK_ENDS_S

    def _notable_kw(self) -> float:
        """A lack of heat worth acting on; readings and ratings are not better than this."""
        return 0.1 * min(self._capacity_kw(name, "direct") for name in self.units)

    def _one_more(self, *, urgent: bool) -> str | None:
        """The unit that helps soonest: one that charges now, else one that may be started."""
        for name in self.units:
            memory = self.memories[name]
            if self.duties[name].mode == "direct" or "direct" not in self.site.units[name].modes:
                continue
            if memory.phase is Phase.RUNNING and memory.mode == "charge" and memory.idle_since_utc is None:
                return name
        candidates = [
            name
            for name in self.units
            if self.duties[name].mode is None
            and self.memories[name].phase is Phase.OFF
            and not start_obstacles(name, self.memories[name], mode="direct", view=self.view, site=self.site)
        ]
        # A planned stop that has not begun costs no start at all.
        staying = [name for name in self.units if self.duties[name].mode is None and self._in_direct(name)]
        if staying and urgent:
            return staying[0]
        return min(candidates, key=lambda name: len(self.memories[name].starts_utc), default=None)

    def _meet_surplus(self) -> None:
        """Lets a unit rest whose heat finds no use, after the valve has closed and all units are at their lowest."""
        supply_degc = self.loop.supply_degc
        direct = [name for name in self.units if self._in_direct(name)]
        low = [self.view.units[name].load_ratio for name in direct]
        too_warm = (
            supply_degc is not None
            and supply_degc > self.setpoint_degc + TOO_WARM_K
            and (self.before.discharge_ratio or 0.0) <= 1.0 - USED_RATIO
            and len(direct) > 1
            and all(ratio is not None and ratio <= LOAD_RATIO_MIN + 0.1 for ratio in low)
        )
        since_utc = (self.before.surplus_since_utc or self.now_utc) if too_warm else None
        self.state = replace(self.state, surplus_since_utc=since_utc)
        if since_utc is None or (self.now_utc - since_utc).total_seconds() < self.site.control.stage_up_s:
            return
        for name in reversed(direct):
            unit, memory = self.site.units[name], self.memories[name]
            if run_long_enough(unit, memory, self.now_utc):
                self.duties[name].mode = None
                rested = {**self.state.rested_until_utc, name: self.now_utc + REST}
                extra = {key: until for key, until in self.state.extra_until_utc.items() if key != name}
                self.state = replace(self.state, rested_until_utc=rested, extra_until_utc=extra, surplus_since_utc=None)
                self.balance.notes.append("unit_rests")
                return

    # ------------------------------------------------------------------------------------------------------ release

    def _release(self, *, discharging: bool) -> bool:
        """Lets units leave the loop one by one, each only when the rest can carry the load.

        Returns:
            Whether the tank must take over for one that leaves.
        """
        before = self.before.unloading_since_utc
        leaving = [name for name in self.units if self._in_direct(name) and self.duties[name].mode != "direct"]
        leaving.sort(key=lambda name: name not in before)  # who has begun goes first
        unloading: dict[str, datetime] = {}
        last_utc = self.before.stopped_utc
        turn_free = last_utc is None or (self.now_utc - last_utc).total_seconds() >= STOP_APART_S
        through_tank = False
        for name in leaving:
            duty, memory = self.duties[name], self.memories[name]
            may_stop = duty.mode is not None or run_long_enough(self.site.units[name], memory, self.now_utc)
            if not may_stop or memory.phase is Phase.STARTING:
                self._keep(name, unloading=discharging)
                continue
            verdict = self._can_leave(name) if turn_free else None
            if verdict is None:
                self._keep(name)
                continue
            turn_free = False
            if verdict == "tank":
                through_tank = True
                if not path_open(self.site, self.view, self.storage_name):
                    self._keep(name)  # first the way, then the load
                    continue
                since_utc = before.get(name, self.now_utc)
                if not self._has_unloaded(name, since_utc):
                    unloading[name] = since_utc
                    self._keep(name, unloading=True)
                    if name not in before:
                        self._hand_over_kw(name, lowest_ratio=LOAD_RATIO_MIN)
                    continue
                self._hand_over_kw(name, lowest_ratio=0.0)
            last_utc = self.now_utc
        self.state = replace(self.state, unloading_since_utc=unloading, stopped_utc=last_utc)
        return through_tank

    def _keep(self, name: str, *, unloading: bool = False) -> None:
        """Keeps a unit on the loop although the plan has other uses for it."""
        self.duties[name] = replace(self.duties[name], mode="direct", because=Because.COMFORT, unloading=unloading)

    def _hand_over_kw(self, name: str, *, lowest_ratio: float) -> None:
        """Notes the heat that a unit is about to stop giving: the valve need not wait until the supply feels it."""
        load_ratio = self.view.units[name].load_ratio or 0.0
        self.balance.handed_kw += max(0.0, load_ratio - lowest_ratio) * self._capacity_kw(name, "direct")

    def _can_leave(self, name: str) -> str | None:
        """What carries the load when a unit leaves the loop: the other units, the tank, or nothing (None)."""
        load_kw, supply_degc = self.balance.load_kw, self.loop.supply_degc
        if load_kw is None or supply_degc is None:
            return None
        others_kw = USED_RATIO * sum(
            self._capacity_kw(other, "direct")
            for other in self.units
            if other != name and self._settled(other) and self.duties[other].mode == "direct"
        )
        if others_kw >= load_kw and supply_degc > self._floor_degc():
            return "units"
        if self.storage_name is None or self.storage is None or not self._tank_helps():
            return None
        missing_kw = max(0.0, load_kw - others_kw)
        lasts_s = tank_lasts_s(self.storage, self.tank, needed_kw=missing_kw, return_degc=self.loop.return_degc)
        enough = missing_kw <= self.balance.tank_kw and lasts_s >= TANK_COVERS_S
        return "tank" if enough else None

    def _has_unloaded(self, name: str, since_utc: datetime) -> bool:
        """Whether the tank has taken over: way open, valve moving water, supply holding, unit at low load."""
        supply_degc = self.loop.supply_degc
        if supply_degc is None or not path_open(self.site, self.view, self.storage_name):
            return False
        if supply_degc < self.setpoint_degc - 0.5 * BAND_K or (self.before.discharge_ratio or 0.0) > USED_RATIO:
            return False
        load_ratio = self.view.units[name].load_ratio
        given_kw = (self.before.discharge_ratio or 0.0) * self.balance.tank_kw
        units_kw = sum(
            (self.view.units[other].load_ratio or 0.0) * self._capacity_kw(other, "direct")
            for other in self.units
            if self._in_direct(other)
        )
        rest_kw = (self.balance.load_kw or 0.0) - units_kw
        if given_kw < TAKEN_OVER_RATIO * rest_kw:
            return False
        low = load_ratio is not None and load_ratio <= UNLOADED_RATIO
        return low or (self.now_utc - since_utc).total_seconds() >= UNLOAD_S

    # ----------------------------------------------------------------------------------------------------- commands

    def _finish(self, now: Intent, soon: Intent, *, discharging: bool) -> Dispatched:
        supply_degc = self.loop.supply_degc
        ratio = self._valve(discharging=discharging)
        cold = supply_degc is not None and supply_degc < self._floor_degc() + 0.3 * BAND_K
        present_kw, next_kw = (
            intent.to_loop_kw.get(self.storage_name, 0.0) if self.storage_name else 0.0 for intent in (now, soon)
        )
        charging = any(
            memory.mode == "charge" and memory.phase not in (Phase.OFF, Phase.UNKNOWN)
            for memory in self.memories.values()
        )
        used = discharging or charging or (ratio or 0.0) > 0.0 or max(present_kw, next_kw) > WANTED_KW
        used = used or (cold and self._tank_helps())
        loosened = self._loosened(discharging=discharging, ratio=ratio)
        self.state = replace(
            self.state,
            discharging=discharging,
            loosened=loosened,
            tank_used_utc=self.now_utc if used else self.before.tank_used_utc,
            trim_k=self._trim_k(discharging=discharging),
        )
        wants = {
            # Planned loads are kept while the plan lets the tank do the balance; else the units give what is needed.
            name: self._want(name, duty, limited=discharging and present_kw > WANTED_KW and not loosened)
            for name, duty in self.duties.items()
        }
        return Dispatched(
            wants=wants,
            discharge_ratio=ratio,
            tank_used=used,
            memory=self.state,
            setpoint_degc=self.setpoint_degc,
            because=now.because,
            notes=tuple(dict.fromkeys(self.balance.notes)),
            alarms=self._alarms(),
        )

    def _want(self, name: str, duty: _Duty, *, limited: bool) -> Want:
        unit = self.site.units[name]
        ratio = self._ratio(duty.load_kw, self._capacity_kw(name, "direct"))
        if duty.unloading or duty.planned != "direct":
            ratio = LOAD_RATIO_MIN if limited or duty.unloading else 1.0
        held = (limited and duty.because is not Because.COMFORT) or duty.unloading
        setpoints = {"direct": self._direct_degc(name, ratio=ratio if held else None)}
        limits = {"direct": ratio if held else 1.0}
        if unit.storage is not None:
            setpoints["charge"] = self.site.storages[unit.storage].charge_setpoint_degc
            charging = duty.planned == "charge"
            limits["charge"] = self._ratio(duty.load_kw, self._capacity_kw(name, "charge")) if charging else 1.0
        return Want(
            on=duty.mode is not None,
            mode=duty.mode,
            setpoint_degc=setpoints,
            limit_ratio=limits,
            because=duty.because,
        )

    @staticmethod
    def _ratio(load_kw: float, capacity_kw: float) -> float:
        """Load limit for a planned heat; a plan for nearly all is a plan for all."""
        ratio = load_kw / capacity_kw + 0.01
        return 1.0 if ratio >= USED_RATIO else max(LOAD_RATIO_MIN, round(ratio, 3))

    def _direct_degc(self, name: str, *, ratio: float | None) -> float:
        """Leaving temperature asked of a unit on the loop, such that it gives its share, or the planned load."""
        unit = self.site.units[name]
        return_degc = self.loop.return_degc
        wanted_degc = self.setpoint_degc
        if return_degc is not None:
            flow = sum(
                unit_flow_kg_per_s(self.site.units[other].heat_kw_rated)
                for other in self.units
                if self._in_direct(other)
            )
            wanted_degc = leaving_degc(
                wanted_degc=self.setpoint_degc,
                return_degc=return_degc,
                unit_kg_per_s=flow,
                loop_kg_per_s=self.loop.flow_kg_per_s,
            )
        asked_degc = wanted_degc + OFFSET_K + self.state.trim_k
        if ratio is not None:
            asked_degc = wanted_degc + LOOSE_K
            if unit.actuation != "capacity_ratio" and ratio < 1.0:
                # Such a unit can only be told a temperature: the one that belongs to the planned load.
                asked_degc = min(asked_degc, self._degc_for(name, ratio))
        lowest_degc, highest_degc = self.config.supply_degc_min - BAND_K, self.config.supply_degc_max
        return round(min(max(asked_degc, lowest_degc), highest_degc), 1)

    def _degc_for(self, name: str, ratio: float) -> float:
        """Leaving temperature at which a unit carries a load ratio: its present rise scaled, or the usual rise."""
        seen = self.view.units[name]
        inlet_degc = seen.user_return_degc if seen.user_return_degc is not None else self.loop.return_degc
        if inlet_degc is None:
            return self.setpoint_degc
        rise_k = UNIT_RISE_K
        if (
            seen.user_supply_degc is not None
            and seen.user_return_degc is not None
            and seen.load_ratio is not None
            and seen.load_ratio >= LOAD_RATIO_MIN
            and self._settled(name)
        ):
            rise_k = min(max((seen.user_supply_degc - seen.user_return_degc) / seen.load_ratio, 3.0), 8.0)
        # Not quite down to the lowest load: there the unit's own thermostat would stop it.
        return inlet_degc + rise_k * max(ratio, LOAD_RATIO_MIN + 0.05)

    def _trim_k(self, *, discharging: bool) -> float:
        """Slow correction of what mixing and pipes lose, only while the units alone hold the supply."""
        trim_k = self.before.trim_k
        supply_degc = self.loop.supply_degc
        settled = [name for name in self.units if self._settled(name)]
        moving = any(self._in_direct(name) and name not in settled for name in self.units)
        if supply_degc is None or discharging or moving or not settled or (self.before.discharge_ratio or 0.0) > 0.0:
            return trim_k
        error_k = self.setpoint_degc - supply_degc
        ratios = [self.view.units[name].load_ratio for name in settled]
        full = all(ratio is not None and ratio >= USED_RATIO for ratio in ratios)
        lowest = all(ratio is not None and ratio <= LOAD_RATIO_MIN + 0.1 for ratio in ratios)
        if (error_k > 0.0 and full) or (error_k < 0.0 and lowest):
            return trim_k  # more, or less, is not to be had: winding up would only overshoot later
        step_s = min(self._step_s(), 2.0 * self.site.control.cycle_s)
        return min(max(trim_k + error_k * step_s / TRIM_S, TRIM_K_MIN), TRIM_K_MAX)

    def _step_s(self) -> float:
        before_utc = self.before.regulated_utc
        return 0.0 if before_utc is None else max(0.0, (self.now_utc - before_utc).total_seconds())

    def _valve(self, *, discharging: bool) -> float | None:
        """Opening of the discharge valve: holds the set-point when the tank is wanted, else the band's lower edge."""
        supply_degc = self.loop.supply_degc
        if self.storage is None or self.storage_name is None:
            return None
        valve = self.view.valves[self.storage.discharge_valve]
        before_ratio = self.before.discharge_ratio
        if before_ratio is None:
            before_ratio = valve.commanded_ratio
        self.state = replace(self.state, regulated_utc=self.now_utc)
        if supply_degc is None or before_ratio is None:
            return None  # blind: what stands stays
        if not path_open(self.site, self.view, self.storage_name) or not (discharging or self._tank_helps()):
            self.state = replace(self.state, discharge_ratio=0.0, error_k=None)
            return 0.0
        target_degc = self.setpoint_degc if discharging else self._floor_degc()
        error_k = target_degc - supply_degc
        error_before_k = self.before.error_k if discharging == self.before.discharging else None
        step_s = min(self._step_s(), 3.0 * self.site.control.cycle_s)
        lift_k = 0.0
        if self.tank.top_degc is not None and self.loop.return_degc is not None:
            lift_k = self.tank.top_degc - self.loop.return_degc
        ratio = valve_ratio(before_ratio, error_k=error_k, error_before_k=error_before_k, step_s=step_s, lift_k=lift_k)
        if self.balance.handed_kw > 0.0 and self.balance.tank_kw > 0.0:
            ratio = min(1.0, ratio + HAND_OVER_RATIO * self.balance.handed_kw / self.balance.tank_kw)
        if not discharging and error_k < 0.0:
            ratio = min(ratio, max(0.0, before_ratio - VALVE_CLOSE_PER_S * step_s))
        self.state = replace(self.state, discharge_ratio=ratio, error_k=error_k)
        return round(ratio, 3)

    def _loosened(self, *, discharging: bool, ratio: float | None) -> bool:
        """Whether units may give more than planned because the tank gives all it can and the supply still sags."""
        supply_degc = self.loop.supply_degc
        if not discharging or ratio is None or supply_degc is None:
            return False
        if ratio >= USED_RATIO and supply_degc < self.setpoint_degc - 0.5 * BAND_K:
            return True
        return self.before.loosened and ratio > 0.6  # noqa: PLR2004 - released well below where it began

    def _alarms(self) -> tuple[Alarm, ...]:
        supply_degc = self.loop.supply_degc
        alarms: list[Alarm] = []
        if supply_degc is None:
            alarms.append(Alarm("reading_missing", self.name, self.now_utc, {"point": self.config.supply_point}))
        else:
            for code, beyond, limit_degc in (
                ("supply_too_cold", supply_degc < self.config.supply_degc_min, self.config.supply_degc_min),
                ("supply_too_hot", supply_degc > self.config.supply_degc_max, self.config.supply_degc_max),
            ):
                if beyond:
                    values: dict[str, float | str] = {"supply_degc": round(supply_degc, 1), "limit_degc": limit_degc}
                    alarms.append(Alarm(code, self.name, self.now_utc, values))
        if self.storage_name is not None and not self.tank.layers_degc:
            values = {"storage": self.storage_name}
            alarms.append(Alarm("tank_sensors_missing", self.storage_name, self.now_utc, values))
        if self.plan is not None and not self.following:
            age_min = round((self.now_utc - self.plan.made_utc).total_seconds() / 60.0)
            alarms.append(Alarm("plan_stale", self.name, self.now_utc, {"age_min": age_min}))
        return tuple(alarms)
