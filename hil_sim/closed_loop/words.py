"""The season's figures and days as people read them, zh and en."""

from collections.abc import Iterator, Mapping
from typing import Final

from hil_sim.closed_loop.season import Day
from hil_sim.show import Screen

LINES: Final = (
    ("cost_cny", "电费", "electricity cost", "CNY"),
    ("stored_heat_cny", "罐内余热价值", "value of the heat gained in the tank", "CNY"),
    ("cost_with_stored_heat_cny", "计入余热的费用", "cost with that heat priced", "CNY"),
    ("electricity_kwh", "用电", "electricity", "kWh"),
    ("peak_kw", "15 分钟最大功率", "highest 15-minute power", "kW"),
    ("heat_delivered_kwh", "供热量", "heat delivered", "kWh"),
    ("heat_charged_kwh", "蓄热量", "heat charged", "kWh"),
    ("heat_charged_valley_ratio", "其中谷段", "of it in the valley", ""),
    ("supply_degc_min", "最低供水温度", "lowest supply", "degC"),
    ("discomfort_kelvin_hours", "偏冷", "too cold", "K h"),
    ("unit_starts", "机组启动", "unit starts", ""),
    ("protection_trips", "保护停机", "protective trips", ""),
    ("plans", "计划", "plans", ""),
    ("plan_seconds_median", "求解用时 (中位)", "seconds a plan (median)", "s"),
    ("plans_cut_short", "未达间隙即停的计划", "plans stopped by the time limit", ""),
    ("energy_residual_relative", "能量余差", "energy residual", ""),
    ("wall_seconds", "用时", "took", "s"),
)


def day_line(day: Day, screen: Screen) -> str:
    """One line for a day that has ended."""
    planned = "-" if day.planned_cny is None else f"{day.planned_cny:.0f}"
    return screen.pick(
        f"{day.date}  电费 {day.cost_cny:.0f} 元 (计划 {planned})  供热 {day.heat_kwh:.0f} kWh  "
        f"罐存 {day.stored_kwh:.0f} kWh  启动 {day.starts}  计划 {day.plans}",
        f"{day.date}  cost {day.cost_cny:.0f} CNY (planned {planned})  heat {day.heat_kwh:.0f} kWh  "
        f"tank {day.stored_kwh:.0f} kWh  starts {day.starts}  plans {day.plans}",
    )


def lines(result: Mapping[str, object], screen: Screen) -> Iterator[str]:
    """The score in words."""
    yield screen.paint(
        f" {result['plant']}  {result['first_day']} .. {result['last_day']}  {result['strategy']}  "
        f"{screen.pick('预测', 'forecast')} {result['forecast']}  seed {result['seed']}",
        "title",
    )
    for key, zh, en, unit in LINES:
        value = result[key]
        shown = "-" if value is None else f"{value:,.4g}" if isinstance(value, float) and abs(value) < 1 else None
        if shown is None:
            shown = f"{value:,.1f}" if isinstance(value, float) else str(value)
        yield f" {screen.pick(zh, en):<40} {shown:>14} {screen.pick('元', unit) if unit == 'CNY' else unit}".rstrip()
    violations = result["invariant_violations"]
    if isinstance(violations, list):
        yield from (f" {screen.paint(screen.pick('违反', 'broken'), 'bad')}: {text}" for text in violations)
