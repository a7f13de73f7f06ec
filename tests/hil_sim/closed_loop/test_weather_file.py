from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hil_sim.closed_loop.weather_file import WeatherFileWrong, read_weather

ZONE = ZoneInfo("Asia/Shanghai")
FROM_UTC = datetime(2026, 1, 11, 16, 0, tzinfo=UTC)
TO_UTC = FROM_UTC + timedelta(days=2)


def written(path: Path, *, year: int, days: int = 4, skip: range = range(0)) -> Path:
    begin = datetime(year, 1, 11, 0, 0)  # noqa: DTZ001 - site time, as a station's file has it
    rows = [f"{begin + timedelta(hours=hour)},{hour / 10}" for hour in range(24 * days) if hour not in skip]
    path.write_text("\n".join(["start,outdoor_degc", *rows]) + "\n", encoding="utf-8")
    return path


def test_straight_lines_between_rows_in_site_time(tmp_path: Path) -> None:
    file = written(tmp_path / "weather.csv", year=2026)
    weather = read_weather(file, zone=ZONE, seed=1, from_utc=FROM_UTC, to_utc=TO_UTC)
    assert weather.outdoor_degc(FROM_UTC.timestamp()) == pytest.approx(2.4)
    assert weather.outdoor_degc(FROM_UTC.timestamp() + 1800.0) == pytest.approx(2.45)
    assert 8.0 <= weather.humidity_percent(FROM_UTC.timestamp()) <= 98.0


def test_a_file_of_another_year_is_taken_by_its_dates(tmp_path: Path) -> None:
    file = written(tmp_path / "weather.csv", year=2014)
    weather = read_weather(file, zone=ZONE, seed=1, from_utc=FROM_UTC, to_utc=TO_UTC)
    assert weather.outdoor_degc(FROM_UTC.timestamp()) == pytest.approx(2.4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("when,degc\n", ":1: "),
        ("start,outdoor_degc\n", "no data"),
        ("start,outdoor_degc\n2026-01-12 00:00:00,warm\n", ":2: "),
        ("start,outdoor_degc\n2026-01-12 00:00:00,1\n2026-01-12 01:00:00,2\n", "covers"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "weather.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(WeatherFileWrong, match=words):
        read_weather(file, zone=ZONE, seed=1, from_utc=FROM_UTC, to_utc=TO_UTC)


def test_a_long_gap_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "weather.csv", year=2026, skip=range(40, 60))
    with pytest.raises(WeatherFileWrong, match="gaps"):
        read_weather(file, zone=ZONE, seed=1, from_utc=FROM_UTC, to_utc=TO_UTC)
