"""A tariff that changes while the service runs: taken over once it is whole, never when it is wrong."""
# ruff: noqa: ANN001 - fixtures and parameters are known by their names

import os
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from edge_agent.settings.load import load_configuration
from edge_agent.settings.tariff_feed import TariffFeed
from scheduling.tariff.price import price_at

ZONE = ZoneInfo("Asia/Shanghai")
NIGHT = datetime(2026, 8, 1, 18, tzinfo=UTC)
"""Two in the morning: valley."""


class Plant:
    """A folder whose tariff is edited; each edit has a time of change of its own, whatever the clock's grain."""

    def __init__(self, plant) -> None:
        self.file = plant.folder / "tariff.yaml"
        self.text = self.file.read_text(encoding="utf-8")
        self.feed = TariffFeed(plant.folder, load_configuration(plant.folder).tariff, zone=ZONE)
        self._edits = 0
        assert [self.look()[0] for _ in range(3)] == [False, True, False], "looked at once more after the start"

    def write(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")
        self._edits += 1
        os.utime(self.file, ns=(self._edits, self._edits))

    def with_purchase(self, cny_per_kwh: float) -> str:
        assert self.text.count("purchase: 0.389702") == 1
        return self.text.replace("purchase: 0.389702", f"purchase: {cny_per_kwh}")

    def look(self) -> tuple[bool, float]:
        """A minute later: whether there is something to read, and the price after reading."""
        changed = self.feed.changed()
        return changed, round(price_at(self.feed.current(), NIGHT, zone=ZONE).cny_per_kwh, 6)


@pytest.fixture
def edited(plant) -> Plant:
    return Plant(plant)


def test_a_changed_file_is_taken_over_when_it_has_been_seen_alike_twice(edited: Plant) -> None:
    _, before = edited.look()
    assert edited.look() == (False, before)
    edited.write(edited.with_purchase(0.5))
    assert edited.look() == (False, before), "an editor may still be writing"
    changed, after = edited.look()
    assert changed
    assert after > before
    assert edited.feed.rejected is None
    assert edited.look() == (False, after)


def test_what_changed_between_loading_and_starting_is_seen(plant) -> None:
    tariff = load_configuration(plant.folder).tariff
    plant.replace("tariff.yaml", "purchase: 0.389702", "purchase: 0.5")
    feed = TariffFeed(plant.folder, tariff, zone=ZONE)
    assert feed.current() is tariff
    assert [feed.changed(), feed.changed()] == [False, True]
    assert feed.current() != tariff


def test_a_file_that_may_not_be_read_is_taken_over_once_it_may(edited: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written by root for root only: whoever gives the right to read it changes neither its time nor its size."""
    _, before = edited.look()
    edited.write(edited.with_purchase(0.5))
    with monkeypatch.context() as closed:
        closed.setattr("pathlib.Path.read_bytes", _refuse)
        closed.setattr("builtins.open", _refuse)
        closed.setattr("pathlib.Path.open", _refuse)
        assert [edited.look()[1] for _ in range(3)] == [before] * 3
        assert edited.feed.rejected is not None
        assert edited.feed.rejected.line == 0
    edited.file.chmod(0o640)
    edited.look()
    changed, after = edited.look()
    assert (changed, edited.feed.rejected) == (True, None)
    assert after > before


def _refuse(*_arguments: object, **_options: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_good_market_prices_outlast_a_bad_file_whatever_else_is_edited(edited: Plant, caplog) -> None:
    prices = edited.file.parent / "prices.csv"
    good = "start,cny_per_kwh\n2026-08-02T02:00,0.05\n"
    prices.write_text(good, encoding="utf-8")
    named = edited.text.replace("market: null", "market: {file: prices.csv}")
    edited.write(named)
    edited.look()
    edited.look()
    _, priced = edited.look()
    prices.write_text("start,cny_per_kwh\nnonsense", encoding="utf-8")
    assert [edited.look()[1] for _ in range(2)] == [priced] * 2
    edited.write(named + "# a remark\n")
    assert [edited.look()[1] for _ in range(3)] == [priced] * 3
    assert caplog.text.count("market prices: not taken over") == 2, "once for each time that it was read"
    away = prices.rename(prices.with_suffix(".away"))
    edited.write(named + "# another\n")
    assert [edited.look()[1] for _ in range(3)] == [priced] * 3
    away.write_text(good.replace("0.05", "0.15"), encoding="utf-8")
    away.rename(prices)
    changed, dearer = edited.look()
    assert changed
    assert dearer > priced


def test_a_file_that_goes_on_changing_is_waited_for(edited: Plant) -> None:
    _, before = edited.look()
    for number in range(4):
        edited.write(edited.text[: 200 + number])  # cut short, and longer each time
        assert edited.look() == (False, before)
    assert edited.feed.rejected is None


def test_a_wrong_one_changes_nothing_and_is_told_until_it_is_mended(edited: Plant, caplog) -> None:
    _, before = edited.look()
    edited.write(edited.with_purchase(0.5).replace("purchase: 0.5", "purchase: cheap"))
    assert [edited.look() for _ in range(4)] == [(False, before), (True, before), (False, before), (False, before)]
    rejected = edited.feed.rejected
    assert rejected is not None
    line = edited.text[: edited.text.index("purchase: 0.389702")].count("\n") + 1
    assert rejected.line == line
    assert caplog.text.count(f"tariff not taken over, the last good one holds: tariff.yaml line {line}") == 1
    edited.write(edited.with_purchase(0.5))
    edited.look()
    changed, after = edited.look()
    assert (changed, edited.feed.rejected) == (True, None)
    assert after > before


def test_a_file_that_is_gone_for_a_while_changes_nothing(edited: Plant) -> None:
    _, before = edited.look()
    edited.file.unlink()
    assert [edited.look() for _ in range(3)] == [(False, before)] * 3
    edited.write(edited.with_purchase(0.5))
    assert edited.look() == (False, before)
    assert edited.look()[0]


def test_a_market_file_that_it_names_from_now_on_is_read_with_it(edited: Plant) -> None:
    edited.look()
    prices = edited.file.parent / "prices.csv"
    prices.write_text("start,cny_per_kwh\n2026-08-02T02:00,0.05\n", encoding="utf-8")
    edited.write(edited.text.replace("market: null", "market: {file: prices.csv}"))
    edited.look()
    assert edited.look()[0]
    priced = edited.look()[1]
    prices.write_text("start,cny_per_kwh\n2026-08-02T02:00,0.15\n", encoding="utf-8")
    os.utime(prices, ns=(99, 99))
    changed, dearer = edited.look()
    assert changed
    assert dearer > priced
