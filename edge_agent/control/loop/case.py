"""One decision for one loop while it is being made: what is known of units, tank and loop, and what is settled so far.

Only facts and small questions about them live here. Who decides what stands beside this file: duties, staging, release,
valve, setpoints. Pure.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from edge_agent.control.command import Alarm, Because
from edge_agent.control.intent import BandOutlook, plan_usable
from edge_agent.control.memory import PREPARING, ControlMemory, Phase
from edge_agent.control.permissives import draws_power
from edge_agent.control.regulate import curve_degc, discharge_kw_possible, tank_lasts_s
from edge_agent.control.view import LoopView, PlantView, StorageView
from edge_agent.settings.model import SiteFile
from scheduling.plan import Plan

Capacities = Mapping[str, Mapping[str, float]]
"""Heat at full load [kW] by unit and mode."""

SETTLED_S = 300.0
"""A unit counts as carrying its share this long after it runs. Ours: loaded at 0.5 %/s, heat after 3 min."""
BAND_K = 1.0
"""Supply may be this far off its set-point before anything but regulation acts. Ours."""
OUTDOOR_MEAN_S = 1800.0
"""Time constant of the outdoor temperature for the heating curve; the building itself is slower. Ours."""
TANK_HELPS_K = 1.0
"""The tank is of use while its top is this far above what is needed; half of it once it is in use. Ours."""
FULL_K = 1.5
"""The tank is full when its bottom is this close to the charging set-point. Ours: units charge badly with less lift."""
EMPTIED_K = 5.0
"""... and counts as not full again when the bottom is this far below."""
FULL_RATIO = 0.985
FULL_AGAIN_K = 0.9
"""... and it is so much cooler on the whole: the one alone flutters where a hot top or a cold bottom is left. Ours."""
LUKEWARM_RATIO = 0.75
"""... or its heat has gone down to this, though warm water comes back: a lukewarm tank is none that is full. Ours."""
EMPTIED_RATIO = 0.3
"""Of a tank that is charged over a small span the bottom needs to be below by no more than this share of it. Ours."""
REST = timedelta(minutes=30)
"""A unit that was stopped because its heat found no use rests this long, whatever the plan says. Ours."""
COP_ASSUMED = 3.0
"""Of a unit whose electricity at full load is not known: low, so that its power is overrated if anything. Ours."""
USED_RATIO = 0.97
"""Share of the rated capacity counted on: source temperatures vary."""


@dataclass(slots=True)
class Duty:
    """What a unit shall do, while it is being decided.

    Attributes:
        mode: None: off.
        load_kw: heat.
        because: who wants it.
        planned: mode by the plan.
        unloading: at the lowest load, before it stops or turns.
        load_ratio: share of what the unit can give at present temperatures, as planned; None: of its rating.
    """

    mode: str | None
    load_kw: float
    because: Because
    planned: str | None = None
    unloading: bool = False
    load_ratio: float | None = None


@dataclass(slots=True)
class Balance:
    """Heat of the loop as it stands.

    Attributes:
        load_kw: measured; None if not known.
        direct_kw: what the running and starting units can give.
        short_kw: what they lack for the load.
        lasts_s: how long the tank can give that.
        tank_kw: what the tank can give now.
        handed_kw: heat that units are about to stop giving, and the tank takes over.
        notes: codes of what is done beyond the plan.
    """

    load_kw: float | None = None
    direct_kw: float = 0.0
    short_kw: float = 0.0
    lasts_s: float = math.inf
    tank_kw: float = 0.0
    handed_kw: float = 0.0
    notes: list[str] = field(default_factory=list)


def storage_of_loop(site: SiteFile, loop_name: str) -> str | None:
    """The water tank that feeds a loop; the first if there are several."""
    names = (
        name for name, storage in site.storages.items() if storage.loop == loop_name and storage.kind == "hot_water"
    )
    return next(names, None)


class Case:
    """One decision for one loop.

    `before` is what was remembered, `state` what will be; `duties` and `balance` fill up on the way.
    """

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
        powers: Capacities,
    ) -> None:
        self.name = loop_name
        self.site = site
        self.view = view
        self.bands = bands
        self.plan = plan
        self.now_utc = view.instant_utc
        self.config = site.loops[loop_name]
        self.loop: LoopView = view.loops[loop_name]
        self.storage_name = storage_of_loop(site, loop_name)
        self.storage = None if self.storage_name is None else site.storages[self.storage_name]
        self.tank = StorageView() if self.storage_name is None else view.storages[self.storage_name]
        self.units = tuple(name for name, unit in site.units.items() if unit.loop == loop_name)
        self.memories = {name: memory.unit(name) for name in self.units}
        self.before = memory.loop(loop_name)
        self.following = plan_usable(plan, self.now_utc)
        self._capacities = capacities
        self._powers = powers
        outdoor_degc = self._outdoor_degc()
        self.setpoint_degc = self._setpoint_degc(outdoor_degc)
        self.state = replace(self.before, outdoor_degc=outdoor_degc)
        self.balance = Balance()
        self.duties: dict[str, Duty] = {}
        self.twins: dict[str, str] = {name: name for name in self.units}
        # What an operator has ordered (ordered.py), and the load limits of the power ceilings by mode (shed.py).
        self.stopped: dict[str, int] = {}  # by the order of this number
        self.charge_ordered: set[str] = set()
        self.held = False
        # Charging units pass heat through the tank to the loop because plan or operator want it (边蓄边供).
        self.through = False
        self.passed_kw = 0.0
        self.caps: dict[str, float] = {}
        self.alarms: list[Alarm] = []

    def note(self, code: str) -> None:
        """Notes what is done beyond the plan, for the operator."""
        if code not in self.balance.notes:
            self.balance.notes.append(code)

    # ------------------------------------------------------------------------------------------------------ set-point

    def _outdoor_degc(self) -> float | None:
        """Outdoor temperature for the heating curve: a slow mean, so that a fluttering sensor moves no set-point."""
        seen_degc, kept_degc = self.view.outdoor_degc, self.before.outdoor_degc
        if seen_degc is None or kept_degc is None:
            return kept_degc if seen_degc is None else seen_degc
        return kept_degc + (seen_degc - kept_degc) * -math.expm1(-self.step_s() / OUTDOOR_MEAN_S)

    def _setpoint_degc(self, outdoor_degc: float | None) -> float:
        # An unknown outdoor temperature counts as the design day: comfort before cost.
        known_degc = self.config.design_outdoor_degc if outdoor_degc is None else outdoor_degc
        wanted_degc = curve_degc(self.config.supply_setpoint_degc, known_degc)
        lowest_degc = min(self.config.supply_degc_min + BAND_K, self.config.supply_degc_max)
        return min(max(wanted_degc, lowest_degc), self.config.supply_degc_max)

    def floor_degc(self) -> float:
        """Supply below which tank and units act beyond the plan; at least half a band above the limit."""
        return max(self.setpoint_degc - BAND_K, self.config.supply_degc_min + 0.5 * BAND_K)

    def step_s(self) -> float:
        """Time since the regulators were last moved [s]."""
        before_utc = self.before.regulated_utc
        return 0.0 if before_utc is None else max(0.0, (self.now_utc - before_utc).total_seconds())

    # ----------------------------------------------------------------------------------------------------------- tank

    def note_tank(self) -> None:
        """Notes whether the tank is full, with hysteresis: by what leaves its bottom, not by the clock.

        The water that returns to a charging unit is that of the bottom; it tells even when the layers' sensors do not.
        """
        storage, tank = self.storage, self.tank
        if storage is None:
            return
        outlets = [self.view.units[name].user_return_degc for name in self.units if self._charges_long(name)]
        asked_degc = self.charge_degc(self.storage_name or "")
        if any(degc is not None and degc > asked_degc - FULL_K for degc in outlets):
            self.state = replace(self.state, tank_full=True)
            return
        if tank.bottom_degc is None or tank.energy_kwh is None:
            return
        # A tank that is charged cooler than it may be is full with less, and all distances shrink with its span.
        span_k = max(min(asked_degc, storage.degc_max) - storage.degc_min, 1.0)
        share = tank.energy_kwh / max(tank.capacity_kwh * span_k / (storage.degc_max - storage.degc_min), 1.0)
        emptied_k = FULL_K + min(EMPTIED_K - FULL_K, EMPTIED_RATIO * span_k)
        full = self.state.tank_full
        if tank.bottom_degc > asked_degc - FULL_K or share >= FULL_RATIO:
            full = True
        elif (tank.bottom_degc < asked_degc - emptied_k and share < 1.0 - FULL_AGAIN_K / span_k) or (
            tank.bottom_degc < asked_degc - 2.0 * FULL_K and share < LUKEWARM_RATIO
        ):
            full = False
        self.state = replace(self.state, tank_full=full)

    def charge_degc(self, storage_name: str) -> float:
        """Leaving temperature asked of a charging unit: the plan's within the site's two; without one the highest."""
        storage = self.site.storages[storage_name]
        highest_degc, lowest_degc = storage.charge_setpoint_degc, storage.charge_setpoint_degc_min
        if self.charge_ordered:
            return highest_degc  # who orders it wants a full tank
        planned = self.plan.storages.get(storage_name) if self.following and self.plan is not None else None
        if lowest_degc is None or planned is None or planned.charge_degc is None:
            return highest_degc
        return min(max(planned.charge_degc, lowest_degc), highest_degc)

    def _charges_long(self, name: str) -> bool:
        """Whether a unit has charged long enough for the water it gets to be the tank's."""
        since_utc = self.memories[name].mode_since_utc
        if not self.charging(name) or since_utc is None:
            return False
        return (self.now_utc - since_utc).total_seconds() >= SETTLED_S

    def tank_seen(self) -> bool:
        """Whether enough of the tank's temperatures are known."""
        return bool(self.tank.layers_degc)

    def tank_helps(self) -> bool:
        """Whether the tank's top is warm enough to be of use for the loop."""
        top_degc, supply_degc = self.tank.top_degc, self.loop.supply_degc
        if top_degc is None or supply_degc is None:
            return False
        needed_degc = min(self.setpoint_degc, supply_degc)
        margin_k = TANK_HELPS_K * (0.5 if self.before.discharging else 1.0)
        return top_degc > needed_degc + margin_k

    def tank_kw(self) -> float:
        """Heat that the tank can give now [kW]."""
        if self.storage is None or self.tank.top_degc is None or self.loop.return_degc is None:
            return 0.0
        return discharge_kw_possible(self.storage, top_degc=self.tank.top_degc, return_degc=self.loop.return_degc)

    def lasts_s(self, needed_kw: float) -> float:
        """How long the tank can give a heat [s]."""
        if self.storage is None:
            return 0.0
        return tank_lasts_s(self.storage, self.tank, needed_kw=needed_kw, return_degc=self.loop.return_degc)

    # ---------------------------------------------------------------------------------------------------------- units

    def capacity_kw(self, name: str, mode: str) -> float:
        """Heat of a unit at full load [kW]."""
        return self._capacities.get(name, {}).get(mode, self.site.units[name].heat_kw_rated)

    def power_kw(self, name: str, mode: str) -> float:
        """Electricity of a unit at full load [kW]."""
        return self._powers.get(name, {}).get(mode, self.capacity_kw(name, mode) / COP_ASSUMED)

    def available(self, name: str) -> bool:
        """Whether a unit may be counted on at all."""
        memory = self.memories[name]
        return memory.phase not in (Phase.UNKNOWN, Phase.LOCAL, Phase.TRIPPED) and not memory.locked_out

    def in_direct(self, name: str) -> bool:
        """Whether a unit gives its heat to the loop, or has been asked to."""
        memory = self.memories[name]
        return (
            memory.mode == "direct"
            and memory.phase in (Phase.STARTING, Phase.RUNNING)
            and memory.idle_since_utc is None
        )

    def expected(self, name: str) -> bool:
        """Whether a unit on the loop gives its heat, or may be expected to soon: one that keeps starting may not."""
        if not self.in_direct(name):
            return False
        memory = self.memories[name]
        if memory.phase is not Phase.STARTING or draws_power(self.site.units[name], self.view.units[name]):
            return True
        return memory.age_s(self.now_utc) < self.site.control.start_counts_s

    def charging(self, name: str) -> bool:
        """Whether a unit gives its heat to the tank."""
        memory = self.memories[name]
        return memory.mode == "charge" and memory.phase is Phase.RUNNING and memory.idle_since_utc is None

    def settled(self, name: str) -> bool:
        """Whether a unit has been on the loop long enough to carry its share."""
        since_utc = self.memories[name].running_since_utc
        if since_utc is None or not self.in_direct(name):
            return False
        return (self.now_utc - since_utc).total_seconds() >= SETTLED_S

    # -------------------------------------------------------------------------------------------------------- balance

    def weigh(self) -> None:
        """What the running and starting units can give, what is missing, and how long the tank can give it."""
        balance = self.balance
        balance.load_kw = self.loop.load_kw
        balance.tank_kw = self.tank_kw() if self.tank_helps() else 0.0
        balance.direct_kw = USED_RATIO * sum(
            self.capacity_kw(name, "direct")
            for name, duty in self.duties.items()
            if self.expected(name) or (duty.mode == "direct" and self.memories[name].phase in PREPARING)
        )
        if balance.load_kw is None:
            return
        balance.short_kw = max(0.0, balance.load_kw - balance.direct_kw)
        if balance.tank_kw <= 0.0:
            balance.lasts_s = 0.0 if balance.short_kw > 1.0 else math.inf
        else:
            balance.lasts_s = self.lasts_s(balance.short_kw)

    def notable_kw(self) -> float:
        """A lack of heat worth acting on; readings and ratings are not better than this."""
        return 0.1 * min((self.capacity_kw(name, "direct") for name in self.units), default=10.0)
