"""The picture: every line fits, Chinese and English align, colours are optional, and what matters is on it."""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil_sim.score import bands_between
from hil_sim.show import (
    WORDS,
    Event,
    Language,
    PlanStep,
    Screen,
    Snapshot,
    UnitView,
    Uploads,
    bar,
    clip,
    column,
    columns_of,
    duration,
    number,
    pad,
    render,
    render_score,
    summary_line,
)

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2027, 1, 13, 9, 42, tzinfo=ZONE)
MIDNIGHT = NOW.replace(hour=0, minute=0)
QUARTER = timedelta(minutes=15)


def snapshot() -> Snapshot:
    plan = [
        PlanStep(
            start=NOW.replace(minute=30) + QUARTER * index,
            end=NOW.replace(minute=45) + QUARTER * index,
            direct_kw=600.0,
            charge_kw=1100.0 if index > 53 else 0.0,
            discharge_kw=1300.0 if index < 12 else 0.0,
            soc_kwh=5000.0 + 10.0 * index,
        )
        for index in range(96)
    ]
    return Snapshot(
        title_zh="冬季工作日",
        title_en="a winter weekday",
        now=NOW,
        started=MIDNIGHT,
        ends=MIDNIGHT + timedelta(days=1),
        speed_ratio=118.0,
        speed_wanted_ratio=120.0,
        slow_reason_zh="控制器跟不上",
        slow_reason_en="agent falls behind",
        band="flat",
        price_cny_per_kwh=0.62196575,
        next_band="peak",
        next_band_at=NOW.replace(hour=10, minute=0),
        bands_ahead=bands_between(NOW, NOW + timedelta(hours=25)),
        outdoor_degc=-4.2,
        soc_ratio=0.68,
        stored_kwh=8322.0,
        tank_kw=-412.0,
        layers_degc=(55.0, 54.8, 54.1, 52.0, 48.3, 45.1, 44.2, 43.5, 42.9, 42.5),
        layer_degc_min=42.0,
        layer_degc_max=55.0,
        units=(
            UnitView("hp1", "running", "direct", 0.82, 492.0, 112.0, 4.4),
            UnitView("hp2", "running", "charge", 1.0, 558.0, 160.0, 3.49),
            UnitView("hp3", "tripped", "none", 0.0, 0.0, 0.4, None),
            UnitView("hp4", "off", "none", 0.0, 0.0, 0.4, None, "阀门到位中", "valves moving"),
        ),
        supply_degc=45.2,
        setpoint_degc=46.0,
        return_degc=39.9,
        room_degc=21.3,
        demand_kw=1420.0,
        delivered_kw=1422.0,
        electric_kw=333.0,
        plan=plan,
        plan_made=NOW.replace(minute=30),
        plan_method="milp",
        agent="up",
        agent_mode="auto",
        agent_starts=2,
        cost_cny=2310.0,
        no_storage_cny=3420.0,
        stored_heat_cny=342.0,
        electricity_kwh=4012.0,
        uploads=Uploads(38, 37, 1),
        frames_promised=8123,
        violations=0,
        alarms=[("hp3 故障停机,代码 2", "hp3 tripped, code 2")],
        events=[Event(NOW, "进入平段", "flat band begins"), Event(NOW, "控制器被终止", "agent killed", "bad")],
    )


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("columns", [72, 80, 100, 118, 160])
def test_no_line_is_wider_than_the_screen_and_colour_changes_no_width(columns: int, language: Language) -> None:
    plain = render(snapshot(), Screen(columns=columns, colour=False, language=language))
    coloured = render(snapshot(), Screen(columns=columns, colour=True, language=language))
    assert all(columns_of(line) <= columns for line in plain)
    assert [columns_of(line) for line in plain] == [columns_of(line) for line in coloured]
    assert not any("\x1b" in line for line in plain)
    assert any("\x1b[" in line for line in coloured)
    assert all(line.count("\x1b[") % 2 == 0 for line in coloured)  # every colour is taken back


def test_both_languages_show_the_same_rows_and_figures() -> None:
    zh, en = (render(snapshot(), Screen(columns=100, colour=False, language=language)) for language in ("zh", "en"))
    assert len(zh) == len(en)
    assert len(zh) <= 40
    for picture, words in (
        (
            zh,
            (
                "谷",
                "峰",
                "尖峰",
                "还有 18 分钟",
                "蓄热",
                "故障",
                "4.40",
                "不蓄热约 3 420 元",
                "应传 38",
                "控制器被终止",
            ),
        ),
        (
            en,
            (
                "valley",
                "peak",
                "in 18 min",
                "charge",
                "tripped",
                "4.40",
                "about 3 420 CNY",
                "due 38",
                "agent killed",
                "hp3 tripped",
                "valves moving",
            ),
        ),
    ):
        text = "\n".join(picture)
        assert all(word in text for word in words), [word for word in words if word not in text]


def test_the_plan_stands_under_its_hours() -> None:
    lines = render(snapshot(), Screen(columns=118, colour=False, language="en"))
    price = next(line for line in lines if line.startswith(" price"))[9:]
    release = next(line for line in lines if line.startswith(" release"))[9:]
    charge = next(line for line in lines if line.startswith(" charge"))[9:]
    hours = lines[lines.index(next(line for line in lines if line.startswith(" price"))) - 1][9:]
    assert price.index("peak") == 2 == hours.index("10")  # 09:30, 09:45, then 10:00
    assert release[:12].strip() != ""
    assert release[12:96].strip() == ""
    assert charge[:54].strip() == ""
    assert price.index("valley") == 54 == len(charge) - len(charge.lstrip())


def test_the_saving_counts_the_heat_that_lies_in_the_store() -> None:
    screen = Screen(columns=118, colour=False, language="en")
    assert "(heat in store +342 CNY)" in "\n".join(render(snapshot(), screen))
    assert "saves 42.5%" in "\n".join(render(snapshot(), screen))  # 1 - (2310 - 342) / 3420
    dear = replace(snapshot(), cost_cny=4000.0, stored_heat_cny=0.0)
    assert "costs 17.0% more" in "\n".join(render(dear, screen))
    assert "saves" not in "\n".join(render(replace(snapshot(), no_storage_cny=50.0), screen))


def test_a_slow_run_and_a_dead_agent_are_told() -> None:
    slow = replace(snapshot(), speed_ratio=60.0, agent="down", agent_mode=None, plan=(), plan_made=None)
    text = "\n".join(render(slow, Screen(columns=100, colour=False, language="zh")))
    assert "60x / 120x 控制器跟不上" in text
    assert "控制器尚无计划" in text
    assert "停止" in text
    assert "118x /" not in "\n".join(render(snapshot(), Screen(columns=100, colour=False, language="zh")))


def test_the_line_for_a_log_says_the_same_in_one_line() -> None:
    for language in ("zh", "en"):
        line = summary_line(snapshot(), Screen(columns=80, colour=False, language=language))
        assert "\n" not in line
        assert all(part in line for part in ("01-13 09:42", "68%", "2/4", "45.2", "37/38", "118x"))


def test_the_score_shows_what_must_not_be_in_red() -> None:
    figures = {
        "scenario": "winter-day",
        "seed": 1,
        "cost_cny": 2310.04,
        "heat_charged_valley_ratio": 0.8123,
        "samples_lost": 2,
        "wrong_values": 0,
        "plans": {"milp": 95, "rule": 1},
        "energy_residual_relative": -1.2e-14,
        "unmet_heat_kwh": None,
        "invariant_violations": ["hp1 ran dry"],
        "failures": ["samples_lost = 2"],
        "expectations_missed": [],
    }
    lines = render_score(figures, Screen(columns=80, colour=True, language="en"))
    text = "\n".join(lines)
    assert "\x1b[1;31m2\x1b[0m" in text
    assert "\x1b[32m0\x1b[0m" in text
    assert "81.2%" in text
    assert "2 310.0 CNY" in text
    assert "milp 95 rule 1" in text
    assert "-1.2e-14" in text
    assert "failed\x1b[0m: samples_lost = 2" in text


@given(st.text(alphabet="aé谷峰█ ½，", max_size=30), st.integers(1, 40))
def test_padding_and_clipping_count_columns(text: str, columns: int) -> None:
    assert columns_of(pad(text, columns)) == max(columns, columns_of(text))
    clipped = clip(text, columns)
    assert columns_of(clipped) <= max(columns, 1)
    assert clipped == text or clipped.endswith("…")


def test_chinese_characters_are_two_columns_wide_and_colours_none() -> None:
    assert columns_of("谷a，") == 5
    assert columns_of("\x1b[1;31m谷\x1b[0m") == 2
    assert columns_of("e\u0301") == 1
    assert clip("\x1b[31m谷段电价\x1b[0m", 6) == "\x1b[31m谷段…\x1b[0m"


@given(st.floats(-0.5, 1.5), st.integers(1, 60))
def test_a_bar_is_as_wide_as_asked(ratio: float, cells: int) -> None:
    assert len(bar(ratio, cells)) == cells
    if not 0.0 < ratio < 1.0:
        assert bar(ratio, cells) == ("█" if ratio >= 1.0 else "░") * cells


def test_small_things() -> None:
    assert number(12345.6) == "12 346"
    assert number(-0.2) == "0"
    assert duration(timedelta(minutes=65), "zh") == "1 小时 05 分"
    assert duration(timedelta(minutes=-3), "en") == "0 min"
    assert [column(value, 8.0) for value in (0.0, 0.1, 4.0, 8.0, 99.0)] == [" ", "▁", "▄", "█", "█"]
    assert all(zh is not None and en is not None for zh, en in WORDS.values())
