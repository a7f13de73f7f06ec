"""What docs/tariffs.md tells operators to write can be loaded, and does what is said beside it."""

import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge_agent.settings.files import shipped_config
from edge_agent.settings.load import load_tariff
from scheduling.tariff.price import price_at

GUIDE = (Path(__file__).parents[3] / "docs" / "tariffs.md").read_text(encoding="utf-8")
MONTH, EXTRAS = re.findall(r"```yaml\n(.*?)```", GUIDE, flags=re.DOTALL)
BASE = shipped_config() / "tariffs" / "beijing-commercial-two-part-1-10kv.yaml"
ZONE = ZoneInfo("Asia/Shanghai")


def test_next_months_prices(tmp_path: Path) -> None:
    text = BASE.read_text(encoding="utf-8")
    assert text.count("events: []\n") == 1
    file = tmp_path / "tariff.yaml"
    file.write_text(text.replace("events: []\n", MONTH + "events: []\n"), encoding="utf-8")
    price = price_at(load_tariff(str(file), zone=ZONE), datetime(2026, 9, 15, 3, tzinfo=UTC), zone=ZONE)
    assert price.warnings == ()
    flat = 0.385210 + 0.012101 + 0.205 - 0.010020 + 0.02716875
    assert price.cny_per_kwh == pytest.approx(flat + 0.6 * 0.385210)


def test_market_ladder_and_green_power(tmp_path: Path) -> None:
    text = BASE.read_text(encoding="utf-8").replace("market: null\n", "").replace("green_power: []\n", EXTRAS)
    file = tmp_path / "tariff.yaml"
    file.write_text(text, encoding="utf-8")
    (tmp_path / "prices.csv").write_text("start,cny_per_kwh\n2026-08-15T11:00,0.3\n", encoding="utf-8")
    price = price_at(load_tariff(str(file), zone=ZONE), datetime(2026, 8, 15, 3, tzinfo=UTC), zone=ZONE)
    assert price.band == "sharp"
    assert price.cny_per_kwh == pytest.approx(0.3 + 0.012228 + 0.205 - 0.012133 + 0.02716875 + 0.2 * 0.03)
