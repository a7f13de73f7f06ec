"""The plant as control sees it at one instant: fresh and trusted values by role, None for everything else.

Built from the site file and the process image; the rest of control reads neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from drivers.sample import Quality, Sample
from edge_agent.image import ProcessImage
from edge_agent.settings.model import Pump, SiteFile, Unit, Valve
from edge_agent.settings.unit_points import CONTACTS

WATER_KWH_PER_M3_K = 1.149
"""Heat held by a cubic metre of water a kelvin [kWh/(m3 K)]: 4.186 kJ/(kg K) x 988 kg/m3 (50 degC) / 3600."""
WATER_KG_PER_M3 = 988.0
"""Density of water at 50 degC [kg/m3]."""
SECONDS_PER_HOUR = 3600.0
HALF = 0.5
"""Middle between off and on."""
RUNNING_RATIO = 0.02
"""Electric power from this share of the rated heat on shows that a compressor runs. Ours, as `STOPPED_RATIO`."""


class UnitState(IntEnum):
    """State register of a unit, in the numbers of the house map (profiles translate other makes)."""

    OFF = 0
    STARTING = 1
    RUNNING = 2
    STOPPING = 3
    TRIPPED = 4


MODE_NUMBERS: Mapping[str, int] = {"direct": 1, "charge": 2}
"""Unit modes of the site file and their number in the mode registers of the house map."""
MODE_NAMES: Mapping[int, str] = {number: name for name, number in MODE_NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class UnitView:
    """Feedback of one unit; None: not known now.

    Attributes:
        state_utc: when the state was read; None if it is not known now.
        mode_actual: direct, charge; None while off or not known.
        load_ratio: in its own word; of a staged unit without one, that of the stages that show.
        stage: how many stages run, as far as they show; 0 while it does not run.
        run_request, mode_request, supply_setpoint_degc, capacity_limit_ratio: what stands in the command registers.
        stage_commanded: how many stages are let run there.
    """

    state: UnitState | None = None
    state_utc: datetime | None = None
    mode_actual: str | None = None
    remote: bool | None = None
    alarm_code: int | None = None
    load_ratio: float | None = None
    user_flow: bool | None = None
    source_flow: bool | None = None
    user_supply_degc: float | None = None
    user_return_degc: float | None = None
    source_inlet_degc: float | None = None
    source_outlet_degc: float | None = None
    electric_kw: float | None = None
    starts_total: int | None = None
    run_request: bool | None = None
    mode_request: str | None = None
    supply_setpoint_degc: float | None = None
    capacity_limit_ratio: float | None = None
    stage: int | None = None
    stage_commanded: int | None = None

    @property
    def known(self) -> bool:
        """Whether its state and its control place are known."""
        return self.state is not None and self.remote is not None


@dataclass(frozen=True, slots=True)
class PumpView:
    """A pump: what it does and what it was told."""

    running: bool | None = None
    commanded: bool | None = None


@dataclass(frozen=True, slots=True)
class ValveView:
    """A valve: where it stands, when that was read, and what it was told, 0 closed .. 1 open."""

    position_ratio: float | None = None
    commanded_ratio: float | None = None
    read_utc: datetime | None = None


@dataclass(frozen=True, slots=True)
class StorageView:
    """A tank.

    Attributes:
        layers_degc: from top to bottom; a missing one takes the value between its neighbours. Empty: too few known.
        energy_kwh: usable heat between the site's two temperatures; None if too few layers are known.
        capacity_kwh: the same of a full tank.
        heat_kw: of its meter, positive while charging.
    """

    layers_degc: tuple[float, ...] = ()
    energy_kwh: float | None = None
    capacity_kwh: float = 0.0
    heat_kw: float | None = None

    @property
    def top_degc(self) -> float | None:
        """Temperature at the top."""
        return self.layers_degc[0] if self.layers_degc else None

    @property
    def bottom_degc(self) -> float | None:
        """Temperature at the bottom."""
        return self.layers_degc[-1] if self.layers_degc else None


@dataclass(frozen=True, slots=True)
class LoopView:
    """A loop: its temperatures, and load and flow of its meter.

    Attributes:
        supply_degc, return_degc: as control takes them: the header's, or what `water.py` has found more plausible.
        load_kw, flow_kg_per_s: of the meter.
        supplies_degc, returns_degc: what header and meter show.
        hot_degc: supply that protection against heat goes by: at least two sensors show as much, or there is only one;
            None: not weighed, `supply_degc` counts.
    """

    supply_degc: float | None = None
    return_degc: float | None = None
    load_kw: float | None = None
    flow_kg_per_s: float | None = None
    supplies_degc: tuple[float | None, float | None] = (None, None)
    returns_degc: tuple[float | None, float | None] = (None, None)
    hot_degc: float | None = None

    @property
    def protection_degc(self) -> float | None:
        """Supply temperature against which the limits of too hot are held."""
        return self.supply_degc if self.hot_degc is None else self.hot_degc


@dataclass(frozen=True, slots=True)
class MainMeterView:
    """The main electricity meter, as far as a demand window needs it; None: not known, or the meter does not tell.

    Attributes:
        read_utc: when its power was read.
        power_kw: drawn by the whole plant.
        energy_kwh: its register.
        running_kw: demand of its present window so far (point `demand_running`).
        elapsed_s: age of that window (point `demand_elapsed`).
    """

    read_utc: datetime | None = None
    power_kw: float | None = None
    energy_kwh: float | None = None
    running_kw: float | None = None
    elapsed_s: float | None = None


@dataclass(frozen=True, slots=True)
class PlantView:
    """Everything at one instant."""

    instant_utc: datetime
    outdoor_degc: float | None
    electric_kw: float | None
    units: Mapping[str, UnitView]
    pumps: Mapping[str, PumpView]
    valves: Mapping[str, ValveView]
    storages: Mapping[str, StorageView]
    loops: Mapping[str, LoopView]
    source_inlet_degc: Mapping[str, float | None]
    main_meter: MainMeterView = MainMeterView()


class _Reader:
    """Reads the image at one instant with the site's age limit."""

    def __init__(self, image: ProcessImage, *, now_utc: datetime, stale_s: float) -> None:
        self._image = image
        self._now_utc = now_utc
        self._stale_s = stale_s

    def sample(self, point: str) -> Sample | None:
        sample = self._image.get(point)
        if sample is None or sample.quality is not Quality.GOOD:
            return None
        age_s = (self._now_utc - sample.instant_utc).total_seconds()
        # A reading far from the future was taken before the clock was set back: its age is not known.
        return sample if abs(age_s) <= self._stale_s else None

    def number(self, point: str) -> float | None:
        sample = self.sample(point)
        return None if sample is None else sample.value

    def switch(self, point: str) -> bool | None:
        number = self.number(point)
        return None if number is None else number >= HALF


def build_view(site: SiteFile, image: ProcessImage, *, now_utc: datetime) -> PlantView:
    """Takes the plant out of the process image.

    Args:
        site: names the points of every part.
        image: last samples.
        now_utc: samples older than `control.stale_s` at this instant are not used.
    """
    read = _Reader(image, now_utc=now_utc, stale_s=site.control.stale_s)
    sources = {
        name: None if source.meter is None else read.number(f"{source.meter}.supply_temperature")
        for name, source in site.sources.items()
    }
    return PlantView(
        instant_utc=now_utc,
        outdoor_degc=read.number(site.meters.weather),
        electric_kw=read.number(f"{site.meters.electricity}.electric_power"),
        units={name: _unit(read, unit, meter=site.meters.units.get(name)) for name, unit in site.units.items()},
        pumps={
            name: PumpView(
                running=_pump_runs(read, pump),
                commanded=read.switch(f"{pump.device}.{pump.command}"),
            )
            for name, pump in site.pumps.items()
        },
        valves={name: _valve(read, valve) for name, valve in site.valves.items()},
        storages={name: _storage(site, read, name) for name in site.storages},
        loops={name: _loop(site, read, name) for name in site.loops},
        source_inlet_degc=sources,
        main_meter=_main_meter(read, site.meters.electricity),
    )


def _main_meter(read: _Reader, device: str) -> MainMeterView:
    power = read.sample(f"{device}.electric_power")
    if power is None:
        return MainMeterView()
    return MainMeterView(
        read_utc=power.instant_utc,
        power_kw=power.value,
        energy_kwh=read.number(f"{device}.energy_total"),
        running_kw=read.number(f"{device}.demand_running"),
        elapsed_s=read.number(f"{device}.demand_elapsed"),
    )


def _valve(read: _Reader, valve: Valve) -> ValveView:
    position = read.sample(f"{valve.device}.{valve.feedback or valve.point}")
    return ValveView(
        position_ratio=None if position is None else position.value,
        commanded_ratio=read.number(f"{valve.device}.{valve.point}"),
        read_utc=None if position is None else position.instant_utc,
    )


def _pump_runs(read: _Reader, pump: Pump) -> bool | None:
    """Whether a pump runs: by its feedback, and by its power where that is measured."""
    running = read.switch(f"{pump.device}.{pump.feedback}")
    if not running or pump.power_point is None:
        return running
    power_kw = read.number(pump.power_point)
    return None if power_kw is None else power_kw > 0.0


def _flow(read: _Reader, *, switch: bool | None, meter_point: str | None, m3_per_h_min: float) -> bool | None:
    """Whether water flows: by the flow switch, and by the meter where there is one; each that is known must say so.

    Source: plant-operation notes, section 3, step 3.
    """
    if meter_point is None:
        return switch
    flow_m3_per_h = read.number(meter_point)
    metered = None if flow_m3_per_h is None else flow_m3_per_h >= m3_per_h_min
    if switch is None or metered is None:
        return metered if switch is None else (False if switch is False else None)
    return switch and metered


def _unit(read: _Reader, unit: Unit, *, meter: str | None) -> UnitView:
    """One unit, whatever carries its feedback: registers, or contacts and the electricity meter."""
    own = _Own(read, unit)
    electric_kw = own.number("electric_power")
    if electric_kw is None and meter is not None:
        electric_kw = read.number(f"{meter}.electric_power")
    run_request = own.switch("run_request")
    remote = own.switch("remote") if unit.point("remote") is not None else True
    if unit.actuation == CONTACTS:
        state, state_utc = _contact_state(read, unit, meter=meter, run_request=run_request)
        mode_request = _contact_mode(own, unit)
        mode_actual = mode_request if state in (UnitState.RUNNING, UnitState.STOPPING) else None
        fault = own.switch("fault")
        alarm_code = own.whole("alarm_code") if unit.point("alarm_code") else None if fault is None else int(fault)
    else:
        state_sample = own.sample("state")
        state = None
        if state_sample is not None and state_sample.value is not None:
            number = round(state_sample.value)
            state = UnitState(number) if number in UnitState._value2member_map_ else None
        state_utc = state_sample.instant_utc if state_sample is not None and state is not None else None
        mode_request = own.mode("mode_request", unit)
        mode_actual = own.mode("mode_actual", unit)
        alarm_code = own.whole("alarm_code")
    stage = _stage(own, unit, state)
    load_ratio = own.number("load_ratio")
    if load_ratio is None and unit.point("load_ratio") is None and stage is not None:
        ratios = unit.stage_ratios or (1.0,)
        load_ratio = 0.0 if stage == 0 else ratios[min(stage, len(ratios)) - 1]
    return UnitView(
        state=state,
        state_utc=state_utc,
        mode_actual=mode_actual,
        remote=remote,
        alarm_code=alarm_code,
        load_ratio=load_ratio,
        user_flow=_flow(
            read,
            switch=own.switch("user_flow"),
            meter_point=unit.user_flow_point,
            m3_per_h_min=unit.user_flow_m3_per_h_min,
        ),
        source_flow=_flow(
            read,
            switch=own.switch("source_flow"),
            meter_point=unit.source_flow_point,
            m3_per_h_min=unit.source_flow_m3_per_h_min,
        ),
        user_supply_degc=own.number("user_supply_temperature"),
        user_return_degc=own.number("user_return_temperature"),
        source_inlet_degc=own.number("source_inlet_temperature"),
        source_outlet_degc=own.number("source_outlet_temperature"),
        electric_kw=electric_kw,
        starts_total=own.whole("starts_total"),
        run_request=run_request,
        mode_request=mode_request,
        supply_setpoint_degc=own.number("supply_setpoint"),
        capacity_limit_ratio=own.number("capacity_limit"),
        stage=stage,
        stage_commanded=_stage_commanded(own, unit),
    )


class _Own:
    """Reads the points of one unit by what they carry; a role that it does not have is not known."""

    def __init__(self, read: _Reader, unit: Unit) -> None:
        self._read = read
        self._unit = unit

    def sample(self, role: str) -> Sample | None:
        point = self._unit.point(role)
        return None if point is None else self._read.sample(point)

    def number(self, role: str) -> float | None:
        sample = self.sample(role)
        return None if sample is None else sample.value

    def whole(self, role: str) -> int | None:
        number = self.number(role)
        return None if number is None else round(number)

    def switch(self, role: str) -> bool | None:
        number = self.number(role)
        return None if number is None else number >= HALF

    def switches(self, points: tuple[str, ...]) -> list[bool] | None:
        """Several contacts; None when one of them is not known."""
        seen = [self._read.switch(point) for point in points]
        known = [value for value in seen if value is not None]
        return known if len(known) == len(seen) else None

    def mode(self, role: str, unit: Unit) -> str | None:
        """The mode in a register; a unit without one knows no other than direct."""
        if unit.point(role) is None:
            return "direct"
        number = self.whole(role)
        return None if number is None else MODE_NAMES.get(number)


def _contact_mode(own: _Own, unit: Unit) -> str | None:
    if unit.point("charge_contact") is None:
        return "direct"
    charge = own.switch("charge_contact")
    return None if charge is None else "charge" if charge else "direct"


def _contact_state(
    read: _Reader, unit: Unit, *, meter: str | None, run_request: bool | None
) -> tuple[UnitState | None, datetime | None]:
    """State of a unit that only shows whether it runs, by its contact or its power, and a fault contact if it has one.

    It is starting for nobody to see: off until it runs.
    """
    point = unit.point("running")
    own_power = unit.point("electric_power")
    power = own_power if own_power is not None else None if meter is None else f"{meter}.electric_power"
    sample = read.sample(point) if point is not None else None if power is None else read.sample(power)
    if sample is None or sample.value is None:
        return None, None
    runs = sample.value >= (HALF if point is not None else RUNNING_RATIO * unit.heat_kw_rated)
    instant_utc = sample.instant_utc
    fault_point = unit.point("fault")
    if fault_point is not None:
        fault = read.sample(fault_point)
        if fault is None or fault.value is None:
            return None, None
        if fault.value >= HALF and not runs:
            return UnitState.TRIPPED, fault.instant_utc
        instant_utc = min(instant_utc, fault.instant_utc)
    if not runs:
        return UnitState.OFF, instant_utc
    return (UnitState.STOPPING if run_request is False else UnitState.RUNNING), instant_utc


def _stage(own: _Own, unit: Unit, state: UnitState | None) -> int | None:
    """How many stages show that they run; of a unit without stages: whether it runs."""
    if state is None:
        return None
    if state not in (UnitState.RUNNING, UnitState.STOPPING):
        return 0 if unit.actuation == CONTACTS or unit.stage_ratios else None
    if unit.points.stage_feedbacks:
        shown = own.switches(unit.points.stage_feedbacks)
        return None if shown is None else 1 + sum(shown)
    if unit.point("stage_actual") is not None:
        return own.whole("stage_actual")
    return 1 if unit.actuation == CONTACTS and len(unit.stage_ratios) < 2 else None  # noqa: PLR2004 - on or off


def _stage_commanded(own: _Own, unit: Unit) -> int | None:
    if unit.points.stage_contacts:
        closed = own.switches(unit.points.stage_contacts)
        return None if closed is None else 1 + sum(closed)
    return own.whole("stage_request")


def _storage(site: SiteFile, read: _Reader, name: str) -> StorageView:
    storage = site.storages[name]
    capacity_kwh = storage.volume_m3 * WATER_KWH_PER_M3_K * (storage.degc_max - storage.degc_min)
    heat_kw = None if storage.meter is None else read.number(f"{storage.meter}.heat_power")
    layers_degc = fill_layers([read.number(point) for point in storage.layers])
    if not layers_degc:
        return StorageView(capacity_kwh=capacity_kwh, heat_kw=heat_kw)
    layer_kwh_per_k = storage.volume_m3 * WATER_KWH_PER_M3_K / len(layers_degc)
    energy_kwh = layer_kwh_per_k * sum(
        min(max(layer_degc - storage.degc_min, 0.0), storage.degc_max - storage.degc_min) for layer_degc in layers_degc
    )
    return StorageView(layers_degc=layers_degc, energy_kwh=energy_kwh, capacity_kwh=capacity_kwh, heat_kw=heat_kw)


def fill_layers(layers_degc: list[float | None]) -> tuple[float, ...]:
    """Gives a missing layer the value between its neighbours; empty when more than a third are missing.

    Top and bottom decide whether the tank can help and whether it is full: they take their neighbour's value.
    """
    known = [layer for layer, degc in enumerate(layers_degc) if degc is not None]
    if not known or 3 * (len(layers_degc) - len(known)) > len(layers_degc):
        return ()
    filled: list[float] = []
    for layer, degc in enumerate(layers_degc):
        if degc is not None:
            filled.append(degc)
            continue
        above = max((place for place in known if place < layer), default=None)
        below = min((place for place in known if place > layer), default=None)
        near = [layers_degc[place] for place in (above, below) if place is not None]
        filled.append(sum(value for value in near if value is not None) / len(near))
    return tuple(filled)


def _loop(site: SiteFile, read: _Reader, name: str) -> LoopView:
    loop = site.loops[name]
    supplies_degc = read.number(loop.supply_point), read.number(f"{loop.meter}.supply_temperature")
    returns_degc = read.number(loop.return_point), read.number(f"{loop.meter}.return_temperature")
    flow_m3_per_h = read.number(f"{loop.meter}.flow")
    return LoopView(
        # The heat meter's own sensors stand in when the header's are lost.
        supply_degc=next((degc for degc in supplies_degc if degc is not None), None),
        return_degc=next((degc for degc in returns_degc if degc is not None), None),
        load_kw=read.number(f"{loop.meter}.heat_power"),
        flow_kg_per_s=None if flow_m3_per_h is None else flow_m3_per_h * WATER_KG_PER_M3 / SECONDS_PER_HOUR,
        supplies_degc=supplies_degc,
        returns_degc=returns_degc,
    )
