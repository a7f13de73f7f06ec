"""Weather by seed: repeatable, and statistically a winter of Beijing."""

import csv
import math
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from hil_sim.plant.weather import Weather

MEASURED = Path(__file__).parents[4] / "shared" / "data" / "weather" / "beijing_city_2013_03_2015_08.csv"
SEASON_DAYS = 121
SEEDS = range(12)
Figures = dict[str, float]


def _correlation(left: list[float], right: list[float]) -> float:
    left_mean, right_mean = sum(left) / len(left), sum(right) / len(right)
    both = sum((a - left_mean) * (b - right_mean) for a, b in zip(left, right, strict=True))
    left_square = sum((a - left_mean) ** 2 for a in left)
    return both / math.sqrt(left_square * sum((b - right_mean) ** 2 for b in right))


def _figures(days: list[list[float]]) -> Figures:
    """Winter mean, minimum, mean swing, its spread, persistence of daily means, spread of daily means."""
    hours = [degc for day in days for degc in day]
    means = [sum(day) / len(day) for day in days]
    swings = [max(day) - min(day) for day in days]
    mean, swing = sum(hours) / len(hours), sum(swings) / len(swings)
    return {
        "mean": mean,
        "minimum": min(hours),
        "swing": swing,
        "swing_sd": math.sqrt(sum((k - swing) ** 2 for k in swings) / len(swings)),
        "persistence": _correlation(means[1:], means[:-1]),
        "daily_sd": math.sqrt(sum((k - mean) ** 2 for k in means) / len(means)),
        "warmest_hour": max(range(24), key=lambda hour: sum(day[hour] for day in days)),
        "coldest_hour": min(range(24), key=lambda hour: sum(day[hour] for day in days)),
    }


def _simulated(seed: int) -> Figures:
    weather = Weather(seed)
    start_s = datetime(2013, 11, 14, 16, tzinfo=UTC).timestamp()  # midnight in Beijing
    return _figures(
        [
            [weather.outdoor_degc(start_s + 3600.0 * (24 * day + hour)) for hour in range(24)]
            for day in range(SEASON_DAYS)
        ]
    )


@pytest.fixture(scope="module")
def simulated() -> Figures:
    winters = [_simulated(seed) for seed in SEEDS]
    return {name: sum(winter[name] for winter in winters) / len(winters) for name in winters[0]}


@pytest.fixture(scope="module")
def measured() -> Figures:
    if not MEASURED.exists():
        pytest.skip("shared/data/weather is not beside the project")
    by_day = {}
    with MEASURED.open() as file:
        for row in csv.DictReader(file):
            if row["T_db_C"]:
                by_day.setdefault(row["time_local"][:10], []).append(float(row["T_db_C"]))
    winters = []
    for year in (2013, 2014):
        names = [name for name in sorted(by_day) if f"{year}-11-15" <= name < f"{year + 1}-03-16"]
        winters.append(_figures([by_day[name] for name in names if len(by_day[name]) == 24]))
    return {name: sum(winter[name] for winter in winters) / len(winters) for name in winters[0]}


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("mean", 0.7),
        ("minimum", 2.0),
        ("swing", 0.8),
        ("swing_sd", 0.8),
        ("persistence", 0.10),
        ("daily_sd", 0.6),
        ("warmest_hour", 1.0),
        ("coldest_hour", 1.5),
    ],
)
def test_the_mean_of_twelve_winters_is_that_of_the_measured_ones(
    simulated: Figures, measured: Figures, name: str, tolerance: float
) -> None:
    assert simulated[name] == pytest.approx(measured[name], abs=tolerance)


def test_levels_without_the_measured_set(simulated: Figures) -> None:
    # Winter mean of the city station 1.05 degC in 2013/14 and 2014/15. Source: PRSA data, UCI data set 501.
    assert simulated["mean"] == pytest.approx(1.05, abs=0.7)
    assert -15.0 < simulated["minimum"] < -9.5


def test_winters_differ_between_seeds_and_cold_ones_exist() -> None:
    means = [_simulated(seed)["mean"] for seed in SEEDS]
    assert 0.3 < max(means) - min(means) < 4.0
    assert Weather(1, shift_k=-1.3).outdoor_degc(1.7e9) == pytest.approx(Weather(1).outdoor_degc(1.7e9) - 1.3)


def test_any_instant_can_be_asked_first() -> None:
    instants_s = [1.76e9 + 1000.0 * number for number in range(500)]
    forward = Weather(7)
    backward = Weather(7)
    there = [forward.outdoor_degc(instant_s) for instant_s in instants_s]
    back = [backward.outdoor_degc(instant_s) for instant_s in reversed(instants_s)]
    assert there == back[::-1]
    assert there != [Weather(8).outdoor_degc(instant_s) for instant_s in instants_s]


def test_temperature_has_no_steps_and_humidity_stays_in_range() -> None:
    weather = Weather(3)
    values = [weather.outdoor_degc(1.767e9 + 300.0 * number) for number in range(12 * 24 * 10)]
    assert max(abs(after - before) for before, after in pairwise(values)) < 0.8
    humidity = [weather.humidity_percent(1.767e9 + 3600.0 * number) for number in range(24 * 30)]
    assert min(humidity) >= 8.0
    assert max(humidity) <= 98.0
    assert 25.0 < sum(humidity) / len(humidity) < 60.0
