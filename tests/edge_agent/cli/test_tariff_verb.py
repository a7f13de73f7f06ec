"""`edge-agent tariff show/price/bill` on the shipped example plant."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_agent.cli.tariff import command

CONFIG = Path(__file__).parents[3] / "config" / "plants" / "ground-office"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments, "--config", str(CONFIG)])


def test_show_lists_the_bands_of_a_day_in_order() -> None:
    done = run("show", "2026-08-15", "--json")
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["schema"] == "tariff/1"
    spans = [(b["from"], b["to"], b["band"]) for b in answer["bands"]]
    assert spans[0] == ("00:00", "07:00", "valley")
    assert ("16:00", "17:00", "sharp") in spans
    assert spans[-1] == ("23:00", "24:00", "valley")
    assert [end for _, end, _ in spans[:-1]] == [start for start, _, _ in spans[1:]]


def test_price_steps_agree_with_the_published_prices() -> None:
    done = run("price", "--from", "2026-08-15T10:00", "--to", "2026-08-15T12:00", "--step", "30", "--json")
    prices = json.loads(done.stdout)["prices"]
    assert [p["band"] for p in prices] == ["peak", "peak", "sharp", "sharp"]
    assert prices[0]["start"] == "2026-08-15T02:00:00Z"
    assert prices[0]["cny_per_kwh"] == pytest.approx(0.85578675, abs=1e-6)
    assert prices[3]["cny_per_kwh"] == pytest.approx(0.98049175, abs=1e-6)


def test_the_worked_bill(tmp_path: Path) -> None:
    start = datetime(2026, 7, 31, 16, tzinfo=UTC)
    rows = [f"{start + timedelta(minutes=15 * n):%Y-%m-%dT%H:%M:%SZ},100.0" for n in range(31 * 96)]
    load = tmp_path / "load.csv"
    load.write_text("\n".join(["start,electric_kw", *rows]), encoding="utf-8")
    done = run("bill", "--from", "2026-08-01", "--to", "2026-09-01", "--load", str(load), "--json")
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["energy_cny"] == pytest.approx(48158.85, abs=0.01)
    assert answer["by_band"]["sharp"]["cost_cny"] == pytest.approx(9118.57, abs=0.01)
    fixed = answer["demand"]["2026-08"]
    assert fixed["peak_kw"] == 100.0
    assert answer["total_cny"] == pytest.approx(48158.85 + fixed["demand_cny"] + fixed["capacity_cny"], abs=0.01)
    load.write_text("\n".join(["start,electric_kw", *rows[1:]]), encoding="utf-8")
    short = run("bill", "--from", "2026-08-01", "--to", "2026-09-01", "--load", str(load), "--lang", "en")
    assert short.exit_code == 2
    assert "1 rows are missing" in short.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ["show", "15.8.2026"],
        ["price", "--from", "2026-08-15", "--to", "2026-08-14"],
        ["price", "--from", "later", "--to", "2026-08-14"],
    ],
)
def test_wrong_usage_ends_with_2(wrong: list[str]) -> None:
    assert run(*wrong).exit_code == 2
