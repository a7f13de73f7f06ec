"""The plant as control sees it at one instant: fresh and trusted values by role, None for everything else.

Built from the site file and the process image; the rest of control reads neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from drivers.sample import Quality, Sample
from edge_agent.image import ProcessImage
from edge_agent.settings.model import SiteFile

WATER_KWH_PER_M3_K = 1.149
"""Heat held by a cubic metre of water a kelvin [kWh/(m3 K)]: 4.186 kJ/(kg K) x 988 kg/m3 (50 degC) / 3600."""
WATER_KG_PER_M3 = 988.0
"""Density of water at 50 degC [kg/m3]."""
SECONDS_PER_HOUR = 3600.0
AHEAD_S_MAX = 5.0
"""A reading may be this much younger than the instant of the view [s]: it came while the cycle began. Ours."""


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
        run_request, mode_request, supply_setpoint_degc, capacity_limit_ratio: what stands in the command registers.
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
    """A valve: where it stands and what it was told, 0 closed .. 1 open."""

    position_ratio: float | None = None
    commanded_ratio: float | None = None


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
    """A loop: header temperatures, and load and flow of its meter."""

    supply_degc: float | None = None
    return_degc: float | None = None
    load_kw: float | None = None
    flow_kg_per_s: float | None = None


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
        # A reading from the future was taken before the clock was set back: its age is not known.
        return sample if -AHEAD_S_MAX <= age_s <= self._stale_s else None

    def number(self, point: str) -> float | None:
        sample = self.sample(point)
        return None if sample is None else sample.value

    def whole(self, point: str) -> int | None:
        number = self.number(point)
        return None if number is None else round(number)

    def switch(self, point: str) -> bool | None:
        number = self.number(point)
        return None if number is None else number >= 0.5  # noqa: PLR2004 - middle between off and on


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
        units={name: _unit(read, unit.device) for name, unit in site.units.items()},
        pumps={
            name: PumpView(
                running=read.switch(f"{pump.device}.{pump.feedback}"),
                commanded=read.switch(f"{pump.device}.{pump.command}"),
            )
            for name, pump in site.pumps.items()
        },
        valves={
            name: ValveView(
                position_ratio=read.number(f"{valve.device}.{valve.feedback or valve.point}"),
                commanded_ratio=read.number(f"{valve.device}.{valve.point}"),
            )
            for name, valve in site.valves.items()
        },
        storages={name: _storage(site, read, name) for name in site.storages},
        loops={name: _loop(site, read, name) for name in site.loops},
        source_inlet_degc=sources,
    )


def _unit(read: _Reader, device: str) -> UnitView:
    state_sample = read.sample(f"{device}.state")
    state = None
    if state_sample is not None and state_sample.value is not None:
        number = round(state_sample.value)
        state = UnitState(number) if number in UnitState._value2member_map_ else None
    mode_number = read.whole(f"{device}.mode_actual")
    request_number = read.whole(f"{device}.mode_request")
    return UnitView(
        state=state,
        state_utc=state_sample.instant_utc if state_sample is not None and state is not None else None,
        mode_actual=None if mode_number is None else MODE_NAMES.get(mode_number),
        remote=read.switch(f"{device}.remote"),
        alarm_code=read.whole(f"{device}.alarm_code"),
        load_ratio=read.number(f"{device}.load_ratio"),
        user_flow=read.switch(f"{device}.user_flow"),
        source_flow=read.switch(f"{device}.source_flow"),
        user_supply_degc=read.number(f"{device}.user_supply_temperature"),
        user_return_degc=read.number(f"{device}.user_return_temperature"),
        source_inlet_degc=read.number(f"{device}.source_inlet_temperature"),
        source_outlet_degc=read.number(f"{device}.source_outlet_temperature"),
        electric_kw=read.number(f"{device}.electric_power"),
        starts_total=read.whole(f"{device}.starts_total"),
        run_request=read.switch(f"{device}.run_request"),
        mode_request=None if request_number is None else MODE_NAMES.get(request_number),
        supply_setpoint_degc=read.number(f"{device}.supply_setpoint"),
        capacity_limit_ratio=read.number(f"{device}.capacity_limit"),
    )


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
    supply_degc = read.number(loop.supply_point)
    return_degc = read.number(loop.return_point)
    flow_m3_per_h = read.number(f"{loop.meter}.flow")
    return LoopView(
        # The heat meter's own sensors stand in when the header's are lost.
        supply_degc=read.number(f"{loop.meter}.supply_temperature") if supply_degc is None else supply_degc,
        return_degc=read.number(f"{loop.meter}.return_temperature") if return_degc is None else return_degc,
        load_kw=read.number(f"{loop.meter}.heat_power"),
        flow_kg_per_s=None if flow_m3_per_h is None else flow_m3_per_h * WATER_KG_PER_M3 / SECONDS_PER_HOUR,
    )
