"""What the building alone takes, with its supply on the heating curve: the past on record, the future known for sure.

The building's noise depends on seed and instant only, so that a copy of it lives through the very same hours as the
building in the plant will; what differs is a supply that control lets swing, which its thermostats even out.
"""

from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Final

from hil_sim.plant.building import Building
from hil_sim.plant.office import SUPPLY_CURVE, interpolate
from hil_sim.plant.weather import Weather
from scheduling.timegrid import TimeGrid

STEP_S: Final = 60.0
QUARTER_S: Final = 900.0
SETTLE: Final = timedelta(days=2)
"""A building begins from a guess; after so long its walls have forgotten it."""
HISTORY: Final = timedelta(days=84)
"""As far as the forecast looks back."""
SEASON_BEGINS: Final = (11, 15)
"""Month and day of the first heat in Beijing; before it there is no load to remember."""


def _run(building: Building, weather: Weather, from_s: float, to_s: float) -> Iterator[tuple[float, float]]:
    """Heat [kW] and outdoor temperature [degC] of each step."""
    instant_s = from_s
    while instant_s < to_s - STEP_S / 2.0:
        outdoor_degc = weather.outdoor_degc(instant_s)
        supply_degc = interpolate(SUPPLY_CURVE, outdoor_degc)
        building.step(instant_s, STEP_S, outdoor_degc=outdoor_degc, supply_degc=supply_degc)
        yield max(0.0, building.heat_kw), outdoor_degc
        instant_s += STEP_S


def record_begins(start_utc: datetime, *, zone_offset: timedelta) -> datetime:
    """Since when a service that runs at an instant of the heating season has load on record."""
    local = start_utc + zone_offset
    year = local.year if (local.month, local.day) >= SEASON_BEGINS else local.year - 1
    season_utc = datetime(year, *SEASON_BEGINS, tzinfo=UTC) - zone_offset
    return max(season_utc, start_utc - HISTORY)


def recorded(
    weather: Weather, *, seed: int, ratio: float, from_utc: datetime, to_utc: datetime
) -> tuple[dict[datetime, float], dict[datetime, float]]:
    """Quarter-hour means of load [kW] and outdoor temperature [degC] between two instants on quarters.

    Args:
        weather: as it was.
        seed: of the building's noise.
        ratio: its size against the example plant's.
        from_utc: first instant.
        to_utc: last one.
    """
    building = Building(seed=seed, ratio=ratio)
    begin_s = from_utc.timestamp()
    for _ in _run(building, weather, begin_s - SETTLE.total_seconds(), begin_s):
        pass
    load_kw: dict[datetime, float] = {}
    outdoor_degc: dict[datetime, float] = {}
    quarter_utc = from_utc
    while quarter_utc < to_utc:
        first_s = quarter_utc.timestamp()
        steps = [*_run(building, weather, first_s, first_s + QUARTER_S)]
        load_kw[quarter_utc] = sum(heat for heat, _ in steps) / len(steps)
        outdoor_degc[quarter_utc] = sum(degc for _, degc in steps) / len(steps)
        quarter_utc += timedelta(seconds=QUARTER_S)
    return load_kw, outdoor_degc


def known_load_kw(building: Building, weather: Weather, grid: TimeGrid, *, now_s: float) -> list[float]:
    """Mean heat that the building will take in each step of a grid [kW].

    Args:
        building: as it is now; it is left alone.
        weather: as it will be.
        grid: of the plan.
        now_s: the instant up to which the building has lived [s since 1970 UTC].
    """
    ahead = deepcopy(building)
    start_s = grid.start_utc.timestamp()
    means: list[float] = []
    position_s = now_s
    for edge_s in grid.edges_s[1:]:
        end_s = start_s + edge_s
        heats = [heat for heat, _ in _run(ahead, weather, position_s, end_s)]
        position_s += STEP_S * len(heats)
        means.append(sum(heats) / len(heats) if heats else (means[-1] if means else max(0.0, building.heat_kw)))
    return means
