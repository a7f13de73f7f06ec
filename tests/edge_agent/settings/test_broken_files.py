"""Real mistakes of operators: each must be found at its line and column, with the hint that mends it, and alone."""
# ruff: noqa: ANN001, RUF001 - fixtures and parameters are known by their names; full-width characters are the subject

import pytest

from edge_agent.settings.finding import render

HP1 = "hp1: {device: hp1, source: ground, loop: heating, storage: tank, modes: [direct, charge], identical_to: null,"
HP2 = "hp2: {device: hp2, source: ground, loop: heating, storage: tank, modes: [direct, charge], identical_to: hp1,"
TANK = "hm_tank:   {bus: rs485_1, unit: 2, profile: tuf2000m, period_s: 60}"
NET = 'plant_net: {tcp: "192.0.2.10:502", depth: 1}'
WS1 = "ws1: {bus: rs485_2, unit: 9, profile: xy_md0x, period_s: 60}"
RATIOS = "sharp: 1.92, peak: 1.6, flat: 1.0, valley: 0.4}"
SUMMER = "flat: [07:00-10:00, 13:00-16:00, 22:00-23:00]"
DATES = "dates: [07-01..08-31]"
FROM_2023 = "    source: 国网北京 2026-08 代理购电价格公告(转引)\n"
CURVE = "[[-10, 48], [5, 44], [15, 41]]"

# file, text that stands there once, what an operator made of it (⟦ before the place), code, part of the Chinese hint
GRAMMAR = [
    # characters of a Chinese input method
    ("site.yaml", "  name: 示范能源站", "  name⟦：示范能源站", "wide_colon", "name: 示范能源站"),
    ("site.yaml", "meters:\n", "meters⟦：\n", "wide_colon", "改成:meters:"),
    ("devices.yaml", TANK, TANK.replace("1, unit", "1⟦， unit"), "wide_comma", "rs485_1, unit: 2"),
    ("devices.yaml", TANK, TANK.replace("unit: 2", "unit⟦：2"), "wide_colon", "unit: 2, profile"),
    ("devices.yaml", TANK, TANK.replace("60", "⟦６０"), "wide_digits", "period_s: 60"),
    ("devices.yaml", TANK, TANK.replace("rs485_1", "rs485_⟦１"), "wide_letters", "bus: rs485_1"),
    ("devices.yaml", TANK, TANK.replace("unit: 2", "unit⟦:2"), "colon_without_blank", "unit: 2"),
    ("tariff.yaml", SUMMER, SUMMER.replace("07:00-10:00", "07:00⟦～10:00"), "wide_dash", "07:00-10:00"),
    ("tariff.yaml", SUMMER, SUMMER.replace("07:00-10:00, ", "07:00-10:00⟦，"), "wide_comma", "07:00-10:00, 13"),
    ("tariff.yaml", SUMMER, SUMMER.replace("13:00-16:00", "13⟦：00-16:00"), "wide_digits", "13:00-16:00"),
    ("tariff.yaml", "dates: [07-01..08-31]", "dates: [⟦07-01～08-31]", "wide_dash", "[07-01..08-31]"),
    ("site.yaml", "  name: 示范能源站", "  name: ⟦“示范能源站”", "wide_quote", '"示范能源站"'),
    ("site.yaml", "  cycle_s: 30\n", "  cycle_s: 30 ⟦＃ 秒\n", "wide_comment", "cycle_s: 30 # 秒"),
    ("site.yaml", "  cycle_s: 30\n", "⟦\u3000\u3000cycle_s: 30\n", "wide_blank", "半角空格"),
    ("site.yaml", "  cycle_s: 30\n", "⟦\tcycle_s: 30\n", "tab", "空格"),
    ("site.yaml", "  cycle_s: 30\n", "⟦\u00a0\u00a0cycle_s: 30\n", "wide_blank", "cycle"),
    # YAML's grammar
    ("site.yaml", "  cycle_s: 30\n", "   cycle_s: 30\n", "yaml_indent", "左端对齐"),
    ("site.yaml", "  cycle_s: 30\n", "  cycle_s: 30\n    ⟦stale_s: 60\n", "yaml_indent", "左端对齐"),
    ("site.yaml", "  cycle_s: 30\n", "  cycle_s⟦:30\n", "colon_without_blank", "cycle_s: 30"),
    ("site.yaml", "  cycle_s: 30\n", "  ⟦cycle_s 30\n", "yaml_colon_missing", "冒号"),
    ("site.yaml", "  cycle_s: 30\n", "  cycle_s⟦:30\n", "colon_without_blank", "cycle_s: 30"),
    ("tariff.yaml", "name: ", "name⟦:", "colon_without_blank", "缺空格"),
    ("site.yaml", "  cycle_s: 30\n", "  cycle_s: 30\n  ⟦cycle_s: 10\n", "duplicate_key", "只留一个"),
    ("site.yaml", "  name: 示范能源站", "  name: ⟦'示范能源站", "yaml_quote_open", "引号"),
    ("site.yaml", "  name: 示范能源站", "  name: 示范⟦: 能源站", "yaml_colon_in_value", "引号"),
    ("site.yaml", "  name: 示范能源站", "  name: ⟦@示范能源站", "yaml_needs_quotes", "引号"),
    ("site.yaml", "  name: 示范能源站", "  name: ⟦*示范能源站", "yaml_anchor", "引号"),
    ("site.yaml", "  name: 示范能源站", "  name: ⟦!示范 能源站", "yaml_tag", "标签"),
    ("site.yaml", "  cycle_s: 30\n", "  ⟦<<: {cycle_s: 30}\n", "yaml_merge", "原样写出"),
    ("devices.yaml", WS1, WS1.replace("{", "⟦{").replace("}", ""), "yaml_bracket", "补上"),
    ("devices.yaml", WS1, WS1.replace("9, profile:", "9 profile⟦:"), "yaml_bracket", "逗号"),
    ("tariff.yaml", "name: 北京 工商业 两部制 1-10 kV\n", "name: 北京\n⟦---\nx: 1\n", "yaml_second_document", "---"),
    ("tariff.yaml", "# 电价表 / what electricity costs\n", "⟦%YAML 1.1\n---\n", "yaml_directive", "删去"),
    ("tariff.yaml", "market: null", "market: nu⟦\x07ll", "control_character", "删去"),
]
FORM = [
    ("devices.yaml", TANK, TANK.replace("60", "⟦60秒"), "needs_number", "写 60"),
    ("devices.yaml", TANK, TANK.replace("unit: 2", 'unit: ⟦"2"'), "needs_whole_number", "写 2"),
    ("devices.yaml", TANK, TANK.replace("unit: 2", "unit: ⟦300"), "outside_bounds", "核对"),
    ("devices.yaml", TANK, TANK.replace("60", "⟦.inf"), "needs_finite_number", "普通的数"),
    ("devices.yaml", TANK, TANK.replace("period_s", "⟦period"), "unknown_key_near", "period_s"),
    ("devices.yaml", TANK, TANK.replace("hm_tank:   {bus: rs485_1, ", "⟦hm_tank:   {"), "missing_key", "bus"),
    ("devices.yaml", NET, NET.replace("depth: 1", "⟦depth:"), "value_missing", "冒号后"),
    ("devices.yaml", "framing: 8N1}   # 热量表", "framing: ⟦8n1}   # 热量表", "not_one_of", "写 8N1"),
    ("site.yaml", "  simulated: true ", "  simulated: ⟦yes ", "needs_true_or_false", "写 true"),
    ("site.yaml", 'area_code: "110108"', "area_code: ⟦110108", "needs_text", '"110108"'),
    ("site.yaml", "  id: ground-office", "  id: ⟦Ground_Office", "bad_form", "应符合"),
    ("site.yaml", "signed_on: 2026-11-01", "signed_on: ⟦2026-13-01", "needs_date", "2026-08-01"),
    ("site.yaml", CURVE, "[[-10, 48], ⟦[5], [15, 41]]", "needs_pair", "[-10, 48]"),
    ("site.yaml", CURVE, "⟦45", "needs_list", "[45]"),
    ("site.yaml", "limits:\n", "⟦limit:\n", "unknown_key_near", "limits"),
    (
        "site.yaml",
        "valves:\n",
        "valves:\n  ⟦1: {device: io1, point: valve_charge, travel_s: 90}\n",
        "key_needs_text",
        '"1"',
    ),
    ("tariff.yaml", RATIOS, RATIOS.replace("0.4", "⟦0.4倍"), "needs_number", "写 0.4"),
    ("tariff.yaml", RATIOS, RATIOS.replace("valley: 0.4", "valley: ⟦'0,4'"), "needs_number", "写 0.4,"),
    ("tariff.yaml", SUMMER, SUMMER.replace("07:00-10:00", "⟦7-10"), "period", ""),
    ("tariff.yaml", "dates: [07-01..08-31]", "dates: [⟦07-01..08-32]", "dates", ""),
    ("uplink.yaml", "period_min: 15 ", "period_min: ⟦0 ", "outside_bounds", "核对"),
]
ACROSS = [
    ("site.yaml", "    meter: hm_user ", "    meter: ⟦hm_usr ", "unknown_name_near", "hm_user"),
    ("site.yaml", "    meter: hm_user ", "    meter: ⟦ws1 ", "device_lacks_point", "型号文件"),
    ("site.yaml", "weather: ws1.temperature", "weather: ⟦ws1.outdoor", "unknown_name", "ws1.temperature"),
    ("site.yaml", "weather: ws1.temperature", "weather: ⟦ws2.temperature", "unknown_name_near", "ws1"),
    ("site.yaml", "weather: ws1.temperature", "weather: ⟦ws1", "point_form", "io1."),
    ("site.yaml", "tt1.temperature_2,", "⟦tt1.temperature_3,", "unknown_name_near", "tt1.temperature_2"),
    ("site.yaml", "tt1.temperature_2,", "⟦tt1.temperature_1,", "layer_twice", "每层"),
    ("site.yaml", "isolating_valve: v_charge", "isolating_valve: ⟦v_charg", "unknown_name_near", "v_charge"),
    (
        "site.yaml",
        "{name: 放热, valves: {v_charge: open,",
        "{name: 放热, valves: {⟦v_chrge: open,",
        "unknown_name_near",
        "v_charge",
    ),
    ("site.yaml", "point: valve_charge,", "point: ⟦valve_charge_position,", "device_lacks_command", "核对"),
    ("site.yaml", "feedback: p_user_4_running", "feedback: ⟦p_user_5_running", "unknown_name_near", "p_user_4_running"),
    ("site.yaml", HP1, HP1.replace("device: hp1", "device: ⟦hp9"), "unknown_name_near", "hp"),
    ("site.yaml", HP2, HP2.replace("identical_to: hp1", "identical_to: ⟦hp2"), "twin_itself", "删去"),
    ("site.yaml", HP2, HP2.replace("identical_to: hp1", "identical_to: ⟦hp7"), "unknown_name_near", "hp"),
    ("site.yaml", CURVE, "[[-10, 48], ⟦[-15, 44], [15, 41]]", "curve_not_rising", "由小到大"),
    ("site.yaml", CURVE, "[[-10, ⟦58], [5, 44], [15, 41]]", "curve_outside", "限值"),
    ("site.yaml", "design_outdoor_degc: -12", "design_outdoor_degc: ⟦20", "no_design_heat", "balance_outdoor_degc"),
    ("site.yaml", "    degc_max: 55 ", "    degc_max: ⟦40 ", "min_above_max", "核对"),
    ("site.yaml", "charge_setpoint_degc: 55", "charge_setpoint_degc: ⟦50", "charge_too_cold", "degc_max"),
    ("site.yaml", "charge_setpoint_degc_min: 46", "charge_setpoint_degc_min: ⟦56", "min_above_max", "核对"),
    ("site.yaml", "charge_setpoint_degc_min: 46", "charge_setpoint_degc_min: ⟦44.9", "charge_min_empty", "调高"),
    ("site.yaml", "timezone: Asia/Shanghai", "timezone: ⟦Asia/Shanghi", "unknown_zone", "Asia/Shanghai"),
    ("site.yaml", "timezone: Asia/Shanghai", "timezone: ⟦Asia/Beijing", "unknown_zone", "Asia/Shanghai"),
    ("site.yaml", "heating: 11-15..03-15", "heating: ⟦11-15..02-30", "season_form", "月-日"),
    ("site.yaml", "signed_by: hil-sim ", "signed_by: null ", "unsigned", "monitor"),
    ("site.yaml", "demand_window_min: 15", "demand_window_min: ⟦25", "window_form", "15"),
    ("site.yaml", "listen: 127.0.0.1:8080", "listen: ⟦127.0.0.1", "host_port", "127.0.0.1:8080"),
    ("devices.yaml", TANK, TANK.replace("rs485_1", "⟦rs485_3"), "unknown_name_near", "rs485"),
    ("devices.yaml", TANK, TANK.replace("tuf2000m", "⟦tuf2000"), "unknown_name_near", "tuf2000m"),
    ("devices.yaml", TANK, TANK.replace("unit: 2", "unit: ⟦1"), "unit_twice", "站号"),
    ("devices.yaml", TANK, TANK.replace("unit: 2", "unit: ⟦0"), "unit_broadcast", "1 至 247"),
    ("devices.yaml", TANK, TANK.replace("60}", "60, points: {⟦heat: {scale: 2}}}"), "profile_unknown_point", "points"),
    ("devices.yaml", NET, '⟦plant_net: {tcp: "192.0.2.10:502", serial: /dev/ttyS9, depth: 1}', "bus_kind", "留下一个"),
    ("devices.yaml", NET, 'plant_net: {rtu_over_tcp: "192.0.2.10:502", ⟦depth: 2}', "tcp_only", "删去"),
    ("devices.yaml", NET, NET.replace("depth: 1", "lenient_ids: true, depth: ⟦2"), "lenient_depth", "一个请求"),
    ("devices.yaml", NET, NET + '\n  net_2: {rtu_over_tcp: ⟦"192.0.2.10:502"}', "host_twice", "同一条总线"),
    ("devices.yaml", NET, NET.replace('"192.0.2.10:502"', '⟦"192.0.2.10"'), "host_port", "502"),
    ("devices.yaml", "usb-rs485-2", "usb-rs485-1", "port_twice", "一条总线"),
    ("uplink.yaml", "period_min: 15 ", "period_min: ⟦7 ", "period_form", "15"),
    ("uplink.yaml", "    plant: ground-office  ", "    plant: null  ", "uplink_lacks", "plant"),
    ("uplink.yaml", "broker: mqtt://127.0.0.1:1883", "broker: ⟦127.0.0.1:1883", "broker_form", "mqtts://"),
    ("uplink.yaml", "broker: mqtt://127.0.0.1:1883", "broker: ⟦mqtt://a:b@127.0.0.1:1883", "secret_in_file", "凭据"),
    ("uplink.yaml", "point: ws1.temperature,", "point: ⟦ws1.temp,", "unknown_name_near", "ws1.temperature"),
    ("tariff.yaml", SUMMER, SUMMER.replace(", 22:00-23:00", ""), "tariff_gap", "24"),
    ("tariff.yaml", SUMMER, SUMMER.replace("22:00-23:00", "⟦21:00-23:00"), "tariff_overlap", "重叠"),
    ("tariff.yaml", "applies_to: [purchase]", "applies_to: ⟦[purchases]", "tariff_component_unknown", "purchase"),
    ("tariff.yaml", "market: null", "market: {topic: ⟦spot/price}", "tariff_not_supported", "file"),
    ("tariff.yaml", "market: null", "market: ⟦{file: a.csv, topic: b}", "market", ""),
    (
        "tariff.yaml",
        "market: null",
        "market: {file: a.csv, replaces: ⟦[energy]}",
        "tariff_component_unknown",
        "purchase",
    ),
    ("tariff.yaml", RATIOS, RATIOS.replace("1.92", "⟦{of: peek, plus: 0.2}"), "relative_ratio", ""),
    ("tariff.yaml", RATIOS, RATIOS.replace("1.92", "⟦-1"), "outside_bounds", ""),
    ("tariff.yaml", DATES, "dates: [07-01..08-31]\n        ⟦day_max_degc: 35", "unknown_key_near", "day_max_degc_min"),
    ("tariff.yaml", DATES, "dates: [07-01..08-31]\n        seasons: ⟦[wet]", "tariff_season_unknown", "seasons"),
    ("tariff.yaml", DATES, "dates: [07-01..08-31]\n        only_for: {⟦kva: 315}", "unknown_key_near", "kva_min"),
    ("tariff.yaml", "market: null", "tiers: ⟦[{up_to_kwh: 2880, add_cny_per_kwh: 0}]", "tariff_tiers_order", "null"),
    ("tariff.yaml", "market: null", "class: {choices: ⟦[big]}", "tariff_choice_unused", ""),
    ("tariff.yaml", "market: null", "day_max_degc: {2026-08-01: ⟦hot}", "needs_number", ""),
    ("tariff.yaml", FROM_2023, FROM_2023 + "    rounding: {digits: 4, mode: ⟦nearest}\n", "not_one_of", "half_up"),
]


@pytest.mark.parametrize(("file", "old", "new", "code", "hint"), [*GRAMMAR, *FORM, *ACROSS])
def test_mistake_is_found_at_its_place_and_alone(plant, file: str, old: str, new: str, *, code: str, hint: str) -> None:
    line, column = plant.replace(file, old, new)
    errors = plant.inspect().errors
    assert [(error.file, error.code) for error in errors] == [(file, code)], [render(e, "zh") for e in errors]
    if line:
        assert (errors[0].line, errors[0].column) == (line, column), render(errors[0], "zh")
    assert hint in errors[0].hint_zh or hint in errors[0].zh, render(errors[0], "zh")
    assert errors[0].en
    assert errors[0].excerpt.strip()


def test_a_loop_of_cold_needs_a_summer_to_be_designed_for(plant) -> None:
    plant.replace("site.yaml", "    medium: heat\n", "    medium: cold\n")
    found = [error for error in plant.inspect().errors if error.code == "no_design_cold"]
    assert [error.excerpt.strip() for error in found] == ["design_outdoor_degc: -12"]
    assert "-12 °C 不高于" in found[0].zh
