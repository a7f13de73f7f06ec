"""`edge-agent tariff show/price/bill` on the shipped example plant."""

import asyncio
import csv
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_agent.cli.tariff import command
from edge_agent.expectation import Expectation
from edge_agent.image import ProcessImage
from edge_agent.rollup import Period, Rollup
from edge_agent.settings.files import FILES
from edge_agent.settings.load import load_configuration
from edge_agent.store.store import Store
from scheduling.timegrid import TimeGrid

TARIFFS = Path(__file__).parents[3] / "config" / "tariffs"
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


def august(folder: Path) -> Path:
    """100 kW through August 2026, row by row."""
    start = datetime(2026, 7, 31, 16, tzinfo=UTC)
    load = folder / "load.csv"
    with load.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["start", "electric_kw"])
        rows.writerows((f"{start + timedelta(minutes=15 * n):%Y-%m-%dT%H:%M:%SZ}", 100) for n in range(31 * 96))
    return load


@pytest.mark.parametrize(("zone", "published"), [("America/New_York", True), ("Asia/Shanghai", False)])
def test_the_worked_bill_from_a_host_anywhere(tmp_path: Path, zone: str, *, published: bool) -> None:
    """The program itself: 48158.85 for energy and 5200 for demand, wherever the host believes to be.

    Source: published prices of August 2026, two-part, 1-10 kV: 93 h sharp, 186 h peak, 217 h flat, 248 h valley. The
    shipped file makes its prices from the components, which the notice gives with fewer digits: a cent a band.
    """
    name = "beijing-commercial-two-part-1-10kv"
    if published:
        text = (TARIFFS / f"{name}.yaml").read_text(encoding="utf-8")
        levels = "bands_cny_per_kwh: {sharp: 0.98049175, peak: 0.85578675, flat: 0.62196575, valley: 0.38814475}\n"
        text, count = re.subn(r"components_cny_per_kwh:.*?valley: 0.4}\n", levels, text, flags=re.DOTALL)
        assert count == 1
        name = str(tmp_path / "published.yaml")
        Path(name).write_text(text, encoding="utf-8")
    period = ["--from", "2026-08-01", "--to", "2026-09-01", "--load", str(august(tmp_path))]
    tariff = ["--tariff", name, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "edge_agent", "tariff", "bill", *period, *tariff],
        env={**os.environ, "TZ": zone},
        capture_output=True,
        check=True,
        text=True,
    )
    answer = json.loads(done.stdout)
    assert answer["energy_cny"] == pytest.approx(48158.85, abs=0.01)
    assert answer["total_cny"] == pytest.approx(53358.85, abs=0.01)
    wanted = {"sharp": (93, 9118.57), "peak": (186, 15917.63), "flat": (217, 13496.66), "valley": (248, 9625.99)}
    assert {band: line["hours"] for band, line in answer["by_band"].items()} == {b: h for b, (h, _) in wanted.items()}
    for band, (_, cny) in wanted.items():
        assert answer["by_band"][band]["cost_cny"] == pytest.approx(cny, abs=0.005 if published else 0.0101)
    assert answer["demand"]["2026-08"] == {"peak_kw": 100.0, "demand_cny": 5200.0, "capacity_cny": 0.0}
    assert sum(answer["by_component"].values()) == pytest.approx(48158.85, abs=0.03)


def test_people_read_the_bill_in_their_language(tmp_path: Path) -> None:
    words = ["bill", "--from", "2026-08-01", "--to", "2026-09-01", "--load", str(august(tmp_path))]
    words += ["--tariff", "beijing-commercial-two-part-1-10kv", "--lang"]
    english, chinese = run(*words, "en").stdout, run(*words, "zh").stdout
    assert "53,358.85 CNY" in english
    assert "53,358.85 元" in chinese
    assert "48,158.85 元" in chinese
    assert "尖峰" in chinese
    assert not re.search("[\u4e00-\u9fff]", english.split("\n", 1)[1])


@pytest.mark.parametrize("rows", ["{t},nan", "{t},100\n{t},100", "{t}", "soon,1"])
def test_a_load_that_cannot_be_is_refused_with_its_line(tmp_path: Path, rows: str) -> None:
    load = tmp_path / "load.csv"
    load.write_text("start,electric_kw\n" + rows.format(t="2026-08-01T00:00"), encoding="utf-8")
    done = run("bill", "--from", "2026-08-01", "--to", "2026-08-02", "--load", str(load), "--lang", "en")
    assert done.exit_code == 2


def test_show_says_where_it_comes_from_and_what_is_not_certain() -> None:
    done = run("show", "2026-05-20", "--tariff", "guangdong", "--lang", "en")
    assert done.exit_code == 0, done.stderr
    assert "2026-05-20 Wed" in done.stdout
    assert "demand  36 CNY/kW per month" in done.stdout
    assert "unverified tariff" in done.stderr
    assert "maximum temperature of 2026-05-20 is not known" in done.stderr
    chinese = run("show", "2026-08-15", "--tariff", "beijing-commercial-two-part-1-10kv", "--lang", "zh")
    assert "京发改规" in chinese.stdout
    assert chinese.stderr == ""


def test_price_gives_both_scenarios_of_an_unknown_day() -> None:
    done = run("price", "--from", "2026-05-20", "--to", "2026-05-21", "--step", "60", "--tariff", "guangdong", "--json")
    rows = json.loads(done.stdout)["prices"]
    assert rows[15]["cny_per_kwh"] == pytest.approx(1.0619)
    assert rows[15]["cny_per_kwh_if_hot"] == pytest.approx(1.3206)  # 0.60871 x 1.7 x 1.25 + 0.02706
    assert rows[3]["cny_per_kwh"] == rows[3]["cny_per_kwh_if_hot"]


def test_list_names_every_shipped_file() -> None:
    found = json.loads(run("list", "--json").stdout)["tariffs"]
    assert [row["name"] for row in found] == sorted(path.stem for path in TARIFFS.glob("*.yaml"))
    assert all((row["unverified"] is None) == row["name"].startswith("beijing-commercial") for row in found)


def test_a_faulty_tariff_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = (TARIFFS / "gansu.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace("valley: [10:00-16:00]", "valley: [10:00-15:00]"), encoding="utf-8")
    done = run("show", "2026-08-01", "--tariff", str(file), "--lang", "en")
    assert done.exit_code == 2
    assert "mine.yaml:9:9" in done.stderr
    assert "no band holds at 15:00-16:00" in done.stderr


# ----------------------------------------------------------------------------------------------------- with a history

NOON = datetime(2026, 5, 20, 4, tzinfo=UTC)
DAY = datetime(2026, 5, 19, 16, tzinfo=UTC)


def site_with(tmp_path: Path, tariff: str) -> Path:
    """The example plant with another tariff and a state folder of its own."""
    folder = tmp_path / "site"
    folder.mkdir()
    for file in FILES:
        shutil.copy(CONFIG / file, folder / file)
    shutil.copy(TARIFFS / f"{tariff}.yaml", folder / "tariff.yaml")
    site = (folder / "site.yaml").read_text(encoding="utf-8")
    site, count = re.subn(r"state_dir: \S+?([,\s])", f"state_dir: {tmp_path / 'state'}\\1", site)
    assert count == 1
    (folder / "site.yaml").write_text(site, encoding="utf-8")
    return folder


def quarter(point: str, start: datetime, mean: float) -> Rollup:
    return Rollup(
        point=point, start_utc=start, period_min=15, mean=mean, minimum=mean, maximum=mean, first=mean, last=mean,
        good_ratio=1.0, count=90,
    )  # fmt: skip


async def record(folder: Path, *, since: datetime, count: int, electric_kw: float, outdoor_degc: float) -> None:
    site = load_configuration(folder).site
    store = await Store.open(site.storage_media.state_dir, quota_mb=100, raw_days=10)
    for n in range(count):
        start = since + timedelta(minutes=15 * n)
        means = {f"{site.meters.electricity}.electric_power": electric_kw, site.meters.weather: outdoor_degc}
        await store.close_period(Period(start, 15), [quarter(p, start, v) for p, v in means.items()], [])
    await store.close()


async def planned_cny_per_kwh(folder: Path, grid: TimeGrid) -> list[float]:
    configuration = load_configuration(folder)
    media = configuration.site.storage_media
    store = await Store.open(media.state_dir, quota_mb=100, raw_days=10)
    try:
        expectation = Expectation(configuration, store=store, image=ProcessImage())
        live = await expectation.live_state(grid.start_utc, grid=grid, units={}, storage_kwh={"tank": 0.0})
    finally:
        await store.close()
    return list(live.price_cny_per_kwh)


@pytest.mark.parametrize(
    ("tariff", "start"),
    [
        ("guangdong", DAY + timedelta(hours=9)),
        ("beijing-rural-heating", datetime(2026, 10, 31, 12, 0, tzinfo=UTC)),
        ("jiangxi", DAY + timedelta(hours=1, minutes=15)),
        ("beijing-commercial-two-part-1-10kv", datetime(2026, 12, 31, 9, 30, tzinfo=UTC)),
    ],
)
def test_verb_planner_and_bill_have_one_price(tmp_path: Path, tariff: str, start: datetime) -> None:
    """The same records, the same instants: a hot day, a ladder's count, rounding, half-hour edges."""
    folder = site_with(tmp_path, tariff)
    asyncio.run(record(folder, since=DAY, count=48, electric_kw=100.0, outdoor_degc=36.0))
    grid = TimeGrid(start, 900.0, 96)
    planned = asyncio.run(planned_cny_per_kwh(folder, grid))
    begin, end = (f"{t:%Y-%m-%dT%H:%M:%SZ}" for t in (grid.start_utc, grid.end_utc))
    period = ["--from", begin, "--to", end, "--json", "--config", str(folder)]
    printed = json.loads(CliRunner().invoke(command, ["price", *period]).stdout)["prices"]
    assert [row["cny_per_kwh"] for row in printed] == pytest.approx(planned, abs=1e-8)
    if tariff == "guangdong" and start.month == 5:
        assert printed[8]["band"] == "sharp"  # 11:00: the morning's records have passed 35 degC
    load = tmp_path / "one.csv"
    kw = [1000.0 if n == 37 else 0.0 for n in range(96)]  # 250 kWh: so little that the ladder's lowest step holds
    lines = [f"{t:%Y-%m-%dT%H:%M:%SZ},{x}" for t, x in zip(grid.starts_utc(), kw, strict=True)]
    load.write_text("\n".join(["start,electric_kw", *lines]), encoding="utf-8")
    billed = json.loads(CliRunner().invoke(command, ["bill", *period, "--load", str(load)]).stdout)
    assert billed["energy_cny"] == pytest.approx(planned[37] * 250, abs=0.006)


def test_a_hot_day_of_the_records_makes_the_price_sharp(tmp_path: Path) -> None:
    folder = site_with(tmp_path, "guangdong")
    asyncio.run(record(folder, since=DAY, count=48, electric_kw=100.0, outdoor_degc=36.0))
    done = run_at(folder, "price", "--from", "2026-05-20T15:00", "--to", "2026-05-20T16:00", "--json")
    assert {row["band"] for row in json.loads(done)["prices"]} == {"sharp"}


def run_at(folder: Path, *arguments: str) -> str:
    done = CliRunner().invoke(command, [*arguments, "--config", str(folder)])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_a_bill_of_the_records_says_what_is_missing(tmp_path: Path) -> None:
    folder = site_with(tmp_path, "jiangxi")
    asyncio.run(record(folder, since=DAY, count=90, electric_kw=200.0, outdoor_degc=20.0))
    bill = json.loads(run_at(folder, "bill", "--from", "2026-05-20", "--to", "2026-05-21", "--json"))
    assert bill["quarters_missing"] == 6
    assert "load_incomplete:6" in bill["warnings"]
    assert sum(line["electric_kwh"] for line in bill["by_band"].values()) == pytest.approx(90 * 50.0)
    none = CliRunner().invoke(
        command, ["bill", "--from", "2026-06-20", "--to", "2026-06-21", "--config", str(folder), "--lang", "en"]
    )
    assert none.exit_code == 1
    assert "give a load with --load" in none.stderr


def test_the_ladder_counts_from_the_records_or_from_what_is_said(tmp_path: Path) -> None:
    folder = site_with(tmp_path, "henan-rural")  # by month: 180 and 260 kWh, +0.05 and +0.30
    began = datetime(2026, 4, 30, 16, tzinfo=UTC)
    asyncio.run(record(folder, since=began, count=192, electric_kw=4.5, outdoor_degc=20.0))  # 216 kWh in two days
    third = ["--from", "2026-05-03T12:00", "--to", "2026-05-03T13:00", "--json"]
    assert "tier_unknown" in json.loads(run_at(folder, "price", *third))["warnings"]  # half a day is not recorded
    midnight = ["--from", "2026-05-03", "--to", "2026-05-03T01:00", "--json"]
    found = json.loads(run_at(folder, "price", *midnight))
    assert found["warnings"] == []
    assert found["prices"][0]["cny_per_kwh"] == pytest.approx(0.44 + 0.05)
    load = tmp_path / "load.csv"
    rows = [f"2026-05-03T00:{m:02d},100" for m in (0, 15, 30, 45)]
    load.write_text("\n".join(["start,electric_kw", *rows]), encoding="utf-8")
    bill = json.loads(run_at(folder, "bill", *midnight, "--load", str(load)))
    assert bill["by_component"]["tier"] == pytest.approx((260 - 216) * 0.05 + 56 * 0.3)
    said = json.loads(run_at(folder, "bill", *midnight, "--load", str(load), "--used-kwh", "300"))
    assert said["by_component"]["tier"] == pytest.approx(30.0)


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


@pytest.mark.parametrize(
    ("language", "words"), [("zh", "按容量 1250 kVA x 33 元"), ("en", "capacity 1250 kVA x 33 CNY")]
)
def test_a_capacity_charge_is_not_shown_as_demand(tmp_path: Path, language: str, words: str) -> None:
    shown = run(
        "bill", "--from", "2026-08-01", "--to", "2026-09-01", "--load", str(august(tmp_path)), "--lang", language
    )
    (line,) = (line for line in shown.stdout.splitlines() if "2026-08 " in line)
    assert words in line
    assert "41,250.00" in line
    assert "需量" not in line
    assert "demand" not in line


def test_a_demand_charge_names_peak_and_price(tmp_path: Path) -> None:
    text = (CONFIG / "tariff.yaml").read_text(encoding="utf-8")
    tariff = tmp_path / "demand.yaml"
    text, count = re.subn(r"capacity_cny_per_kva_month: .*\n +capacity_kva: .*", "demand_cny_per_kw_month: 52", text)
    assert count == 1
    tariff.write_text(text, encoding="utf-8")
    shown = run(
        "bill", "--from", "2026-08-01", "--to", "2026-09-01", "--load", str(august(tmp_path)), "--tariff", str(tariff)
    )
    assert "peak demand 100.0 kW x 52 CNY" in shown.stdout
    assert "5,200.00" in shown.stdout
    assert "capacity 1250" not in shown.stdout


@pytest.mark.parametrize(("typed", "meant"), [("guandong", "guangdong"), ("peking", "beijing-"), ("anhui2", "anhui")])
def test_a_misspelt_tariff_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    done = run("show", "--tariff", typed, "--lang", "en")
    assert done.exit_code == 2
    assert f"did you mean {meant}" in done.stderr
    assert "tariff list" in done.stderr


def test_what_is_typed_wrong_is_said_in_words(tmp_path: Path) -> None:
    span = ("--from", "2026-08-02", "--to", "2026-08-01")
    assert "--to 2026-08-01 不晚于 --from 2026-08-02" in run("price", *span, "--lang", "zh").stderr
    for path, words in ((tmp_path / "none.csv", "没有这个文件"), (tmp_path, "")):
        done = run("bill", "--from", "2026-08-01", "--to", "2026-08-02", "--load", str(path), "--lang", "zh")
        assert done.exit_code == 2
        assert words in done.stderr
        assert "Errno" not in done.stderr


def test_days_before_the_first_prices_and_calendar_are_called_so() -> None:
    done = run("show", "2020-01-01", "--json")
    assert json.loads(done.stdout)["warnings"] == ["price_before_first:2020-01", "calendar_before_first:2020-01"]
    assert "earliest" in run("show", "2020-01-01", "--lang", "en").stderr
    assert "last published" not in run("show", "2020-01-01", "--lang", "en").stderr


def test_the_list_marks_what_is_unverified_once() -> None:
    for line in run("list", "--lang", "zh").stdout.splitlines():
        assert line.count("未核实") <= 1


def test_the_bill_has_a_line_for_each_call_and_the_sites_demand_window(tmp_path: Path) -> None:
    folder = site_with(tmp_path, "beijing-commercial-two-part-1-10kv")
    called = "{from: 2026-08-03T17:00, to: 2026-08-03T19:00, grid_kw_max: 40, pays_cny_per_kwh: 3.0, reason: call}"
    for name, old, new in (
        ("tariff.yaml", r"events: \[\]", f"events: [{called}]"),
        ("site.yaml", r"demand_window_min: 15", "demand_window_min: 30"),
    ):
        text, count = re.subn(old, new, (folder / name).read_text(encoding="utf-8"))
        assert count == 1
        (folder / name).write_text(text, encoding="utf-8")
    load = august(tmp_path)
    rows = load.read_text(encoding="utf-8").splitlines()
    rows[5] = rows[5].replace(",100", ",300")
    load.write_text("\n".join(rows), encoding="utf-8")
    words = ["bill", "--from", "2026-08-01", "--to", "2026-09-01", "--load", str(load), "--config", str(folder)]
    answer = json.loads(CliRunner().invoke(command, [*words, "--json"]).stdout)
    assert answer["events"] == {"call": 360.0}
    assert answer["demand"]["2026-08"]["peak_kw"] == 200.0, "half an hour of 300 and 100 kW"
    assert answer["total_cny"] == pytest.approx(answer["energy_cny"] + 200.0 * 52.0 + 360.0, abs=0.01)
    said = CliRunner().invoke(command, [*words, "--lang", "en"]).stdout
    assert re.search(r"above called limits\n\s+call\s+360\.00 CNY", said)
