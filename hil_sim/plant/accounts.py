"""The plant's own sums: heat, electricity, peaks, discomfort; and the start values of its meters."""

from dataclasses import dataclass

from hil_sim.plant.meter import HeatMeter, PowerMeter
from hil_sim.plant.noise import uniform
from hil_sim.plant.pipe_sensor import ROOM_DEGC

DISCOMFORT_TOLERANCE_K = 0.5
DEMAND_WINDOW_S = 900.0


@dataclass(slots=True)
class Accounts:
    """Sums since the beginning of the simulation.

    Attributes:
        delivered_kj: heat that the building took from the loop.
        charged_kj: heat that charging brought into the tank.
        discharged_kj: heat that the loop took out of the tank.
        electric_kj: electricity of the whole plant.
        net_in_kj: heat and electricity that crossed the border of the plant inwards.
        discomfort_kelvin_s: supply below its lower limit minus the tolerance.
        unmet_kj: what the radiators would have given more meanwhile.
        peak_kw: highest mean electricity over a complete quarter of an hour of the clock.
        supply_degc_min: lowest supply.
    """

    delivered_kj: float = 0.0
    charged_kj: float = 0.0
    discharged_kj: float = 0.0
    electric_kj: float = 0.0
    net_in_kj: float = 0.0
    discomfort_kelvin_s: float = 0.0
    unmet_kj: float = 0.0
    peak_kw: float = 0.0
    supply_degc_min: float = float("inf")
    _window_kj: float = 0.0
    _window_s: float = 0.0

    def add(
        self,
        step_s: float,
        *,
        delivered_kw: float,
        charged_kw: float,
        discharged_kw: float,
        electric_kw: float,
        net_in_kw: float,
        supply_degc: float,
    ) -> None:
        """Adds the means of a step."""
        self.delivered_kj += delivered_kw * step_s
        self.charged_kj += charged_kw * step_s
        self.discharged_kj += discharged_kw * step_s
        self.electric_kj += electric_kw * step_s
        self.net_in_kj += net_in_kw * step_s
        self.supply_degc_min = min(self.supply_degc_min, supply_degc)

    def add_cold(self, step_s: float, *, missing_k: float, unmet_kw: float) -> None:
        """Adds a step in which the supply was too cold."""
        self.discomfort_kelvin_s += missing_k * step_s
        self.unmet_kj += unmet_kw * step_s

    def window_mean_kw(self, electric_kw: float, step_s: float, *, end_s: float) -> float | None:
        """Adds to the demand window; its mean when the step has completed it, else None.

        Args:
            electric_kw: mean power of the step.
            step_s: length of the step [s].
            end_s: end of the step [s since 1970]; windows are quarters of an hour of the clock.
        """
        self._window_kj += electric_kw * step_s
        self._window_s += step_s
        if end_s % DEMAND_WINDOW_S >= step_s - 1e-6:
            return None
        whole = self._window_s >= DEMAND_WINDOW_S - step_s
        mean_kw = self._window_kj / self._window_s
        self._window_kj = self._window_s = 0.0
        if not whole:
            return None
        self.peak_kw = max(self.peak_kw, mean_kw)
        return mean_kw


@dataclass(frozen=True, slots=True)
class Meters:
    """The meters of the plant, and what the units' own counters showed at the beginning."""

    user: HeatMeter
    tank: HeatMeter
    source: HeatMeter
    main: PowerMeter
    units: tuple[PowerMeter, ...]
    run_hours_before: tuple[float, ...]
    starts_total_before: tuple[int, ...]


def meters_from_seed(seed: int, *, units: int, supply_degc: float, source_degc: float) -> Meters:
    """Meters with the start values of registers, as in a plant that has run for some years.

    Args:
        seed: of the plant's age.
        units: how many units there are.
        supply_degc: water in the supply [degC].
        source_degc: water from the ground [degC].
    """
    age = 0.5 + uniform(seed, "meters", 0)
    tank = HeatMeter(volume_m3=1.9e5 * age, heat_kwh=2.3e6 * age, water_degc=ROOM_DEGC)
    tank.volume_negative_m3 = 1.85e5 * age
    tank.heat_negative_kwh = 2.2e6 * age
    return Meters(
        user=HeatMeter(volume_m3=1.5e6 * age, heat_kwh=9.0e6 * age, water_degc=supply_degc),
        tank=tank,
        source=HeatMeter(volume_m3=1.7e6 * age, heat_kwh=6.6e6 * age, water_degc=source_degc),
        main=PowerMeter(energy_kwh=2.9e6 * age, idle_power_factor=0.78, rated_kw=700.0),
        units=tuple(
            PowerMeter(energy_kwh=(6.5e5 - 4e4 * position) * age, idle_power_factor=0.62, rated_kw=150.0)
            for position in range(units)
        ),
        run_hours_before=tuple(5200.0 * age - 310.0 * position for position in range(units)),
        starts_total_before=tuple(round(1600 * age) - 90 * position for position in range(units)),
    )
