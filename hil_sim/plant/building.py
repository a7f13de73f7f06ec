"""Office and hotel: two zones with thermal mass, radiators with thermostatic valves, gains and ventilation by the hour.

Each zone is a 2R2C network: room (air and furniture) and structure; outdoor air acts on the room through windows and
ventilation, and on the structure through walls. Its radiators are one water node: the thermostatic valve lets a share
of the zone's flow through, the rest passes by to the return, so that the loop's flow stays constant. What the zone
takes follows the supply temperature at once, through the water, and over hours the thermostats answer.
"""

from dataclasses import dataclass, replace

from hil_sim.plant.noise import HourlyNoise
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K, SECONDS_PER_HOUR
from hil_sim.plant.weather import DAY_S, LOCAL_OFFSET_S

EMITTER_EXPONENT = 1.3
"""Exponent of a radiator. Source: EN 442-2, typical value of panel radiators."""

THERMOSTAT_BAND_K = 1.2
VALVE_MIN_RATIO = 0.02
GAIN_NOISE_RATIO = 0.15
VENTILATION_NOISE_RATIO = 0.20
NOISE_MEMORY_H = 3.0
COIL_RETURN_DEGC_MIN = 25.0
"""A fresh-air coil cools the return no further than this. Design assumption."""


@dataclass(frozen=True, slots=True)
class ZoneDesign:
    """What a zone is built of; 24 hourly values begin at local midnight. All of it is a design assumption.

    Attributes:
        flow_kg_per_s: its part of the loop's flow.
        emitter_kw_per_k_n: radiators: heat = this x (water - room)^1.3.
        emitter_water_kg: water in radiators and branches.
        room_kj_per_k: air, furniture, inner surfaces.
        structure_kj_per_k: walls and slabs.
        window_kw_per_k: windows and leakage, room to outdoor.
        wall_kw_per_k: structure to outdoor.
        inner_kw_per_k: room to structure.
        ventilation_kw_per_k: fresh air per hour of the day.
        gain_kw: people, light, machines, sun on average, per hour of the day.
        setpoint_degc: of the thermostatic valves, per hour of the day.
        weekend_gain_ratio: gains and ventilation on Saturday and Sunday relative to a working day.
        weekend_setpoint_degc: highest set-point on Saturday and Sunday.
    """

    flow_kg_per_s: float
    emitter_kw_per_k_n: float
    emitter_water_kg: float
    room_kj_per_k: float
    structure_kj_per_k: float
    window_kw_per_k: float
    wall_kw_per_k: float
    inner_kw_per_k: float
    ventilation_kw_per_k: tuple[float, ...]
    gain_kw: tuple[float, ...]
    setpoint_degc: tuple[float, ...]
    weekend_gain_ratio: float
    weekend_setpoint_degc: float


def _by_hours(*blocks: tuple[int, float]) -> tuple[float, ...]:
    """Writes out 24 hourly values from (hours, value) blocks."""
    values = tuple(value for hours, value in blocks for _ in range(hours))
    if len(values) != 24:  # noqa: PLR2004 - hours of a day
        raise ValueError(f"{len(values)} hours instead of 24")
    return values


def _between(values: tuple[float, ...], hour: int, next_hour: int, *, share: float) -> float:
    return values[hour] + (values[next_hour] - values[hour]) * share


OFFICE = ZoneDesign(
    flow_kg_per_s=36.0,
    emitter_kw_per_k_n=32.0,
    emitter_water_kg=24_000.0,
    room_kj_per_k=1.6e6,
    structure_kj_per_k=9.0e6,
    window_kw_per_k=17.0,
    wall_kw_per_k=12.0,
    inner_kw_per_k=160.0,
    ventilation_kw_per_k=_by_hours((6, 6.0), (1, 11.0), (3, 17.0), (8, 15.0), (2, 10.0), (4, 6.0)),
    gain_kw=_by_hours((7, 30.0), (1, 70.0), (4, 190.0), (1, 160.0), (5, 190.0), (2, 100.0), (4, 40.0)),
    setpoint_degc=_by_hours((5, 20.7), (14, 21.4), (5, 20.7)),
    weekend_gain_ratio=0.45,
    weekend_setpoint_degc=20.7,
)

HOTEL = ZoneDesign(
    flow_kg_per_s=24.0,
    emitter_kw_per_k_n=22.5,
    emitter_water_kg=16_000.0,
    room_kj_per_k=0.9e6,
    structure_kj_per_k=5.0e6,
    window_kw_per_k=11.0,
    wall_kw_per_k=7.0,
    inner_kw_per_k=100.0,
    ventilation_kw_per_k=_by_hours((6, 9.0), (4, 12.0), (7, 8.0), (6, 13.0), (1, 10.0)),
    gain_kw=_by_hours((6, 60.0), (4, 75.0), (7, 55.0), (6, 90.0), (1, 70.0)),
    setpoint_degc=_by_hours((6, 21.5), (4, 22.0), (7, 21.6), (6, 22.2), (1, 21.8)),
    weekend_gain_ratio=1.1,
    weekend_setpoint_degc=22.2,
)


def scaled(design: ZoneDesign, ratio: float) -> ZoneDesign:
    """The same zone in another size: temperatures and hours stay, all that grows with the floor is multiplied."""
    if ratio == 1.0:
        return design
    return replace(
        design,
        flow_kg_per_s=design.flow_kg_per_s * ratio,
        emitter_kw_per_k_n=design.emitter_kw_per_k_n * ratio,
        emitter_water_kg=design.emitter_water_kg * ratio,
        room_kj_per_k=design.room_kj_per_k * ratio,
        structure_kj_per_k=design.structure_kj_per_k * ratio,
        window_kw_per_k=design.window_kw_per_k * ratio,
        wall_kw_per_k=design.wall_kw_per_k * ratio,
        inner_kw_per_k=design.inner_kw_per_k * ratio,
        ventilation_kw_per_k=tuple(kw_per_k * ratio for kw_per_k in design.ventilation_kw_per_k),
        gain_kw=tuple(kw * ratio for kw in design.gain_kw),
    )


class Zone:
    """One zone with its states: radiator water, room, structure.

    Args:
        design: what it is built of.
        seed: of its noise.
        name: names its noise.
        start_degc: room temperature at the beginning.
    """

    __slots__ = (
        "_design",
        "_gain_noise",
        "_ventilation_noise",
        "emitted_kw",
        "gain_kw",
        "loss_kw",
        "room_degc",
        "structure_degc",
        "valve_ratio",
        "water_degc",
    )

    def __init__(self, design: ZoneDesign, *, seed: int, name: str, start_degc: float) -> None:
        self._design = design
        self._gain_noise = HourlyNoise(seed, f"gain {name}", memory_h=NOISE_MEMORY_H)
        self._ventilation_noise = HourlyNoise(seed, f"air {name}", memory_h=NOISE_MEMORY_H)
        self.room_degc = start_degc
        self.structure_degc = start_degc - 1.5
        self.water_degc = start_degc + 14.0
        self.valve_ratio = 0.6
        self.emitted_kw = 0.0
        self.gain_kw = 0.0
        self.loss_kw = 0.0

    @property
    def flow_kg_per_s(self) -> float:
        """The zone's part of the loop's flow [kg/s]."""
        return self._design.flow_kg_per_s

    def stored_kj(self) -> float:
        """Heat in water, room and structure above 0 degC [kJ]."""
        design = self._design
        return (
            design.emitter_water_kg * HEAT_CAPACITY_KJ_PER_KG_K * self.water_degc
            + design.room_kj_per_k * self.room_degc
            + design.structure_kj_per_k * self.structure_degc
        )

    def step(
        self, instant_s: float, step_s: float, *, outdoor_degc: float, supply_degc: float, circulating: bool = True
    ) -> float:
        """Moves the zone on by one step and returns the temperature of its return water [degC]."""
        design = self._design
        local_s = instant_s + LOCAL_OFFSET_S
        hours = local_s % DAY_S / SECONDS_PER_HOUR
        hour = int(hours)
        # Hourly values stand at the full hour; people and time switches do not change all at once.
        next_hour, share = (hour + 1) % 24, hours - hour
        weekend = int(local_s // DAY_S + 3) % 7 >= 5  # noqa: PLR2004 - 1970-01-01 was a Thursday; 5 and 6: Saturday, Sunday
        setpoint_degc = _between(design.setpoint_degc, hour, next_hour, share=share)
        activity_ratio = 1.0
        if weekend:
            setpoint_degc = min(setpoint_degc, design.weekend_setpoint_degc)
            activity_ratio = design.weekend_gain_ratio
        gain_noise = 1.0 + GAIN_NOISE_RATIO * self._gain_noise.at(instant_s)
        air_noise = max(0.3, 1.0 + VENTILATION_NOISE_RATIO * self._ventilation_noise.at(instant_s))
        gain_kw = _between(design.gain_kw, hour, next_hour, share=share)
        self.gain_kw = max(0.0, gain_kw * activity_ratio * gain_noise)
        fresh_kw_per_k = _between(design.ventilation_kw_per_k, hour, next_hour, share=share)
        leak_kw_per_k = design.window_kw_per_k + fresh_kw_per_k * min(1.0, activity_ratio) * air_noise

        opening_ratio = (setpoint_degc + 0.5 * THERMOSTAT_BAND_K - self.room_degc) / THERMOSTAT_BAND_K
        self.valve_ratio = min(1.0, max(VALVE_MIN_RATIO, opening_ratio))
        water_flow_kg_per_s = self.valve_ratio * design.flow_kg_per_s if circulating else 0.0
        above_k = self.water_degc - self.room_degc
        emitted_kw = design.emitter_kw_per_k_n * above_k**EMITTER_EXPONENT if above_k > 0.0 else 0.0
        return_degc = supply_degc + self.valve_ratio * (self.water_degc - supply_degc)

        inner_kw = design.inner_kw_per_k * (self.room_degc - self.structure_degc)
        leak_kw = leak_kw_per_k * (self.room_degc - outdoor_degc)
        wall_kw = design.wall_kw_per_k * (self.structure_degc - outdoor_degc)
        self.water_degc += (
            step_s
            * (water_flow_kg_per_s * (supply_degc - self.water_degc) - emitted_kw / HEAT_CAPACITY_KJ_PER_KG_K)
            / design.emitter_water_kg
        )
        self.room_degc += step_s * (emitted_kw + self.gain_kw - inner_kw - leak_kw) / design.room_kj_per_k
        self.structure_degc += step_s * (inner_kw - wall_kw) / design.structure_kj_per_k
        self.emitted_kw = emitted_kw
        self.loss_kw = leak_kw + wall_kw
        return return_degc


class Building:
    """Office and hotel on one pair of pipes.

    Args:
        seed: of its noise.
        ratio: its size against the example plant's.
    """

    __slots__ = ("circulating", "coil_kw", "extra_kw", "heat_kw", "return_degc", "zones")

    def __init__(self, *, seed: int, ratio: float = 1.0) -> None:
        self.zones = (
            Zone(scaled(OFFICE, ratio), seed=seed, name="office", start_degc=20.8),
            Zone(scaled(HOTEL, ratio), seed=seed, name="hotel", start_degc=21.5),
        )
        self.heat_kw = 0.0
        self.return_degc = 38.0
        self.circulating = True
        """Whether the load pump turns; it is the building's, not the controller's."""
        self.extra_kw = 0.0
        """What a fresh-air coil in the return would take besides; its heat leaves with the exhaust air."""
        self.coil_kw = 0.0
        """What the coil took in the last step."""

    @property
    def flow_kg_per_s(self) -> float:
        """Flow of the distribution loop [kg/s]."""
        return sum(zone.flow_kg_per_s for zone in self.zones) if self.circulating else 0.0

    @property
    def indoor_degc(self) -> float:
        """Room temperature, mean of the zones by their flow [degC]."""
        flow_kg_per_s = sum(zone.flow_kg_per_s for zone in self.zones)
        return sum(zone.flow_kg_per_s * zone.room_degc for zone in self.zones) / flow_kg_per_s

    def stored_kj(self) -> float:
        """Heat in all zones above 0 degC [kJ]."""
        return sum(zone.stored_kj() for zone in self.zones)

    def boundary_kw(self) -> float:
        """Gains minus losses of the last step: heat that crossed the walls inwards [kW]."""
        return sum(zone.gain_kw - zone.loss_kw for zone in self.zones) - self.coil_kw

    def step(self, instant_s: float, step_s: float, *, outdoor_degc: float, supply_degc: float) -> None:
        """Moves both zones on; `heat_kw` is then what they took, `return_degc` what they sent back."""
        mixed_kg_k_per_s = 0.0
        for zone in self.zones:
            zone_return_degc = zone.step(
                instant_s,
                step_s,
                outdoor_degc=outdoor_degc,
                supply_degc=supply_degc,
                circulating=self.circulating,
            )
            mixed_kg_k_per_s += zone.flow_kg_per_s * zone_return_degc
        flow_kg_per_s = self.flow_kg_per_s
        if flow_kg_per_s <= 0.0:
            self.heat_kw = self.coil_kw = 0.0
            return
        back_degc = mixed_kg_k_per_s / flow_kg_per_s
        capacity_kw_per_k = flow_kg_per_s * HEAT_CAPACITY_KJ_PER_KG_K
        self.coil_kw = min(self.extra_kw, capacity_kw_per_k * max(0.0, back_degc - COIL_RETURN_DEGC_MIN))
        self.return_degc = back_degc - self.coil_kw / capacity_kw_per_k
        self.heat_kw = flow_kg_per_s * HEAT_CAPACITY_KJ_PER_KG_K * (supply_degc - self.return_degc)

    def shortfall_kw(self, *, supply_degc: float, wanted_degc: float) -> float:
        """Heat that the radiators would give more with water at the wanted temperature, valves as they stand [kW].

        A quasi-steady estimate: the heat of a radiator grows with (water - room)^1.3, and its water follows its supply.
        """
        missing_kw = 0.0
        for zone in self.zones:
            now_k = supply_degc - zone.room_degc
            wanted_k = wanted_degc - zone.room_degc
            if wanted_k > now_k > 0.0:
                missing_kw += zone.emitted_kw * ((wanted_k / now_k) ** EMITTER_EXPONENT - 1.0)
        return missing_kw
