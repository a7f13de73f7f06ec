"""The weather service's file: good rows are taken over, bad ones are named by line and never stop the plant."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge_agent.settings.series_file import SeriesFault
from edge_agent.settings.weather_file import read_weather, weather_finding
from edge_agent.weather_feed import WeatherFeed

ZONE = ZoneInfo("Asia/Shanghai")
START_UTC = datetime(2026, 11, 30, 16, 0, tzinfo=UTC)
GOOD = "start,outdoor_degc\n2026-12-01T00:00,-1.0\n2026-12-01T03:00,-4.0\n2026-12-01T06:00,2.0\n"


def test_between_rows_the_temperature_is_drawn_straight(tmp_path: Path) -> None:
    path = tmp_path / "weather.csv"
    path.write_text(GOOD)
    found = WeatherFeed(path, zone=ZONE).hours(START_UTC, count=24)
    assert found is not None
    assert found.method == "service"
    assert found.outdoor_degc.tolist() == pytest.approx([-1.5, -2.5, -3.5, -3.0, -1.0, 1.0])
    assert found.error_k[0] == pytest.approx(0.72, abs=0.01)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("time,t\n", 1),
        ("start,outdoor_degc\nsoon,3\n", 2),
        ("start,outdoor_degc\n2026-12-01T00:00,nan\n", 2),
        ("start,outdoor_degc\n2026-12-01T00:00,99\n", 2),
        ("start,outdoor_degc\n2026-12-01T00:00,1,2\n", 2),
        ("start,outdoor_degc\n2026-12-01T00:00,1\n2026-12-01T00:00,2\n", 3),
        ("start,outdoor_degc\n2026-12-01T00:00,1\n2026-12-01T07:00,2\n", 3),
    ],
)
def test_a_bad_file_is_named_by_line(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "weather.csv"
    path.write_text(text)
    with pytest.raises(SeriesFault) as caught:
        read_weather(path, zone=ZONE)
    assert caught.value.line == line
    finding = weather_finding("weather.csv", caught.value)
    assert finding.severity == "warning"
    assert "start,outdoor_degc" in finding.hint_zh


def test_a_file_that_becomes_bad_keeps_the_last_good_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "weather.csv"
    path.write_text(GOOD)
    feed = WeatherFeed(path, zone=ZONE)
    before = feed.hours(START_UTC, count=3)
    path.write_text("start,outdoor_degc\nspoiled\n")
    after = feed.hours(START_UTC, count=3)
    assert before is not None
    assert after is not None
    assert after.outdoor_degc.tolist() == before.outdoor_degc.tolist()
    assert "line=2" in caplog.text
    path.write_text("start,outdoor_degc\n2026-12-01T00:00,5\n2026-12-01T06:00,5\n")
    renewed = feed.hours(START_UTC, count=3)
    assert renewed is not None
    assert renewed.outdoor_degc.tolist() == [5.0] * 3


def test_an_old_file_or_none_is_no_forecast(tmp_path: Path) -> None:
    path = tmp_path / "weather.csv"
    assert WeatherFeed(path, zone=ZONE).hours(START_UTC, count=3) is None
    path.write_text(GOOD)
    assert WeatherFeed(path, zone=ZONE).hours(START_UTC + timedelta(days=2), count=3) is None
    assert WeatherFeed(None, zone=ZONE).hours(START_UTC, count=3) is None
