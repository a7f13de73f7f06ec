"""The market's price file: read with the configuration; whatever is wrong is a warning with its line."""
# ruff: noqa: ANN001 - fixtures and parameters are known by their names

import os
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from edge_agent.settings.load import load_configuration
from edge_agent.settings.tariff_feed import TariffFeed
from scheduling.tariff.price import price_at

HEAD = "start,cny_per_kwh\n"


def test_prices_reach_the_tariff(plant) -> None:
    plant.replace("tariff.yaml", "market: null", "market: {file: prices.csv}")
    rows = ["2026-08-01T00:00,0.31", "2026-08-01T00:15,0.29", "2026-07-31T16:30Z,-0.01"]
    (plant.folder / "prices.csv").write_text(HEAD + "\n".join(rows), encoding="utf-8")
    configuration = load_configuration(plant.folder)
    series = configuration.tariff.market_series
    assert series is not None
    assert series.interval_min == 15
    assert series.at(datetime(2026, 7, 31, 16, 20, tzinfo=UTC)) == 0.29
    assert series.at(datetime(2026, 7, 31, 16, 30, tzinfo=UTC)) == -0.01
    assert "market_file" not in [warning.code for warning in configuration.warnings]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, 0),
        ("", 1),
        (HEAD, 0),
        ("when,price\n2026-08-01T00:00,0.3\n", 1),
        (HEAD + "2026-08-01T00:00,0.3\n1.8.2026,0.3\n", 3),
        (HEAD + "2026-08-01T00:00,nan\n", 2),
        (HEAD + "2026-08-01T00:00,0.3\n2026-08-01T00:15,0,3\n", 3),
        (HEAD + "2026-08-01T00:00,0.3\n2026-08-01T00:00,0.3\n", 3),
        (HEAD + "2026-08-01T00:30,0.3\n2026-08-01T00:00,0.3\n", 3),
        (HEAD + "2026-08-01T00:00,0.3\n2026-08-01T00:15,0.3\n2026-08-01T00:20,0.3\n", 4),
        (HEAD + "2026-08-01T00:10,0.3\n2026-08-01T00:25,0.3\n", 2),
    ],
)
def test_a_bad_file_is_a_warning_with_its_line_and_nothing_of_it_counts(plant, content: str | None, line: int) -> None:
    plant.replace("tariff.yaml", "market: null", "market: {file: prices.csv}")
    if content is not None:
        (plant.folder / "prices.csv").write_text(content, encoding="utf-8")
    configuration = load_configuration(plant.folder)
    assert configuration.tariff.market_series is None
    (found,) = [warning for warning in configuration.warnings if warning.code == "market_file"]
    assert (found.file, found.line) == ("prices.csv", line)
    assert found.zh
    assert found.hint_zh


def test_a_new_file_is_taken_over_and_a_bad_one_is_not(plant, caplog) -> None:
    """A spot price arrives while the service runs; a file cut short keeps the prices that were good."""
    plant.replace("tariff.yaml", "market: null", "market: {file: prices.csv}")
    file, zone = plant.folder / "prices.csv", ZoneInfo("Asia/Shanghai")
    tariff = load_configuration(plant.folder).tariff
    feed = TariffFeed(plant.folder, tariff, zone=zone)
    assert [feed.changed(), feed.changed()] == [False, True], "looked at once more after the start"
    assert feed.current() is tariff
    noon = datetime(2026, 8, 1, 4, tzinfo=UTC)

    def price() -> tuple[float, bool]:
        found = price_at(feed.current(), noon, zone=zone)
        return found.cny_per_kwh, "market_price_missing:2026-08-01" in found.warnings

    calendar_cny_per_kwh = price_at(tariff, noon, zone=zone).cny_per_kwh
    assert price() == (calendar_cny_per_kwh, True)
    for number, (content, wanted) in enumerate(
        [
            ("2026-08-01T12:00,0.25\n", 0.25),
            ("2026-08-01T12:00,0.31\n", 0.31),
            ("2026-08-01T12:00,0.3\n2026-08-01T13", 0.31),
        ]
    ):
        file.write_text(HEAD + content, encoding="utf-8")
        os.utime(file, ns=(number, number))  # another time of change, whatever the clock's grain
        assert feed.changed()
        assert price() == (wanted, False)
        assert not feed.changed(), "read, good or bad"
    assert caplog.text.count("market prices: not taken over file=prices.csv line=3") == 1
    file.unlink()
    assert price() == (0.31, False)
