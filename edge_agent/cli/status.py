"""`edge-agent status`: what the running service is doing, on one screen."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge_agent import local_api
from edge_agent.cli.common import Common, Exit, emit, shared_options
from edge_agent.cli.override import order_words
from edge_agent.cli.plan_show import method_words


@click.command(help="正在运行的服务在做什么 / what the running service is doing.")
@shared_options
def command(common: Common) -> None:
    """Asks the service over its local socket; exit status 1 while an alarm stands."""
    from edge_agent.settings.load import load_site  # noqa: PLC0415 - heavy

    site = load_site(common.config)
    answer: dict[str, Any] = local_api.ask(site.storage_media.state_dir, "status")
    if common.as_json:
        emit("status/1", answer)
    else:
        for line in _lines(common, answer, zone=ZoneInfo(site.site.timezone)):
            click.echo(line)
    sys.exit(Exit.FINDING if answer["alarms"] else Exit.OK)


def _bus_line(common: Common, name: str, bus: Mapping[str, Any]) -> str:
    pick = common.pick
    state = pick(
        *{"up": ("正常", "up"), "down": ("断开", "down"), "silent": ("无设备应答", "no unit answers")}[bus["state"]]
    )
    load = "-" if bus["load"] is None else f"{100 * bus['load']:.0f} %"
    wanted = "-" if bus["load_wanted"] is None else f"{100 * bus['load_wanted']:.0f} %"
    parts = [
        pick(
            f"总线 {name} {state},请求 {bus['requests']} 无应答 {bus['silent']} 错误 {bus['damaged']},"
            f"实测占用 {load},按采集计划 {wanted}",
            f"bus {name} {state}, requests {bus['requests']} silent {bus['silent']} damaged {bus['damaged']}, "
            f"measured load {load}, by the read plan {wanted}",
        )
    ]
    if bus["overloaded"]:
        parts.append(pick("采集周期无法保证", "cannot keep its periods"))
    if bus["polls_skipped"]:
        parts.append(pick(f"跳过 {bus['polls_skipped']} 次采集", f"{bus['polls_skipped']} polls skipped"))
    if bus["poll_failures"]:
        parts.append(pick(f"程序故障 {bus['poll_failures']} 次", f"{bus['poll_failures']} polls broke"))
    if bus["dead"]:
        names = ", ".join(bus["dead"])
        parts.append(pick(f"失联 {names}", f"dead: {names}"))
    if bus["holes"]:
        names = ", ".join(f"{device} {count}" for device, count in bus["holes"].items())
        parts.append(pick(f"地址空洞 {names}", f"address holes: {names}"))
    return pick(";", "; ").join(parts)


def records_line(common: Common, records: Mapping[str, Any]) -> str:
    """Room for records and what is written a day, on one line."""
    used, quota, written, budget = (
        round(records[key]) for key in ("used_mb", "quota_mb", "written_today_mb", "write_budget_mb")
    )
    clock = {
        "synchronised": ("时钟已同步", "clock synchronised"),
        "unsynchronised": ("时钟未同步", "clock not synchronised"),
        "stepped": ("时钟刚被调整", "clock has just been set"),
    }[records["clock"]]
    return common.pick(
        f"存储 {used} / {quota} MB,今天写盘 {written} MB(预算 {budget} MB),{clock[0]}",
        f"records {used} / {quota} MB, written today {written} MB (budget {budget} MB), {clock[1]}",
    )


def deciding(name: str, unit: Mapping[str, Any], orders: Sequence[Mapping[str, Any]]) -> list[int]:
    """Numbers of the standing orders that can have decided what a unit shall do.

    Args:
        name: of the unit.
        unit: as the service shows it.
        orders: those that stand.
    """
    stops = [order["number"] for order in orders if order["kind"] == "stop" and order["subject"] in (None, name)]
    if stops:
        return stops[-1:]
    if unit["wanted"] and unit["wanted_mode"] == "charge":
        return [order["number"] for order in orders if order["kind"] == "charge"]
    # It rests because the tank is held, or heats because the tank shall not, or the others charge it.
    return [order["number"] for order in orders if order["kind"] in ("charge", "hold")]


def _numbers(common: Common, numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers))
    return common.pick(f" {shown} 号", f" no. {shown}") if shown else ""


def _advice_lines(common: Common, advice: Mapping[str, Any], *, local: Callable[[str | None], str]) -> Iterator[str]:
    """What following the plan would have saved: the open window, the last one, and all known ones."""
    from edge_agent.texts.catalogue import text  # noqa: PLC0415 - only for people

    pick = common.pick
    for key, zh, en in (("so_far", "至今", "so far"), ("last", "上次", "last")):
        score = advice[key]
        if score is None:
            continue
        begun, ended = local(score["from"]), local(score["to"])
        if score["saved_cny"] is None:
            words = text(score["reason"])
            yield pick(
                f"建议评分 {zh} {begun} 至 {ended}: 不能比较,{words.zh}",
                f"advice {en}, {begun} to {ended}: cannot be compared, {words.en}",
            )
            continue
        (low, high), actual = score["saved_cny"], score["actual_cny"]
        yield pick(
            f"建议评分 {zh} {begun} 至 {ended}: 实际电费 {actual:.0f} 元,照计划可省 {low:.0f} 至 {high:.0f} 元",
            f"advice {en}, {begun} to {ended}: paid {actual:.0f} CNY, "
            f"the plan would have saved {low:.0f} to {high:.0f} CNY",
        )
    if advice["total_saved_cny"] is not None and advice["windows_known"] > 1:
        (low, high), count = advice["total_saved_cny"], advice["windows_known"]
        yield pick(
            f"建议评分 共 {count} 段: 照计划可省 {low:.0f} 至 {high:.0f} 元(按计划的模型,不含需量电费)",
            f"advice, {count} windows: the plan would have saved {low:.0f} to {high:.0f} CNY "
            "(by the planner's model, without the demand charge)",
        )


def _lines(common: Common, answer: Mapping[str, Any], *, zone: ZoneInfo) -> Iterator[str]:
    from edge_agent.texts.catalogue import text  # noqa: PLC0415 - only for people
    from scheduling.tariff.bands import BAND_ZH  # noqa: PLC0415

    pick = common.pick

    def local(instant: str | None) -> str:
        return "-" if instant is None else f"{datetime.fromisoformat(instant).astimezone(zone):%m-%d %H:%M}"

    speed = answer["clock"]["speed"]
    simulated = pick(f"  (仿真 {speed:g}x)", f"  (simulated {speed:g}x)") if answer["clock"]["simulated"] else ""
    yield f"{answer['name']}  {answer['clock']['local'][:16].replace('T', ' ')}{simulated}"
    mode, asked = text(f"mode_{answer['mode']}"), text(f"mode_{answer['mode_asked']}")
    since, who = local(answer["mode_since"]), f"{answer['mode_by']}: {answer['mode_reason']}"
    if answer["mode"] == answer["mode_asked"]:
        yield pick(f"方式 {mode.zh},{since} 起,{who}", f"mode {mode.en} since {since}, {who}")
    else:
        yield pick(f"方式 {mode.zh}({asked.zh} {since} 起,{who})", f"mode {mode.en} ({asked.en} since {since}, {who})")
    for order in answer["orders"]:
        line = order_words(common, order, zone=zone)
        waits = "" if order["waits"] is None else f" ({getattr(text(order['waits']), common.language)})"
        yield pick(f"人工指令 {line}{waits}", f"order {line}{waits}")
    change, price_cny = local(answer["next_change"]), f"{answer['cny_per_kwh']:.4f}"
    band, next_band = (pick(BAND_ZH[answer[key]], answer[key]) if answer[key] else "-" for key in ("band", "next_band"))
    yield pick(
        f"电价 {band} {price_cny} 元/kWh,{change} 转 {next_band}",
        f"price {band} {price_cny} CNY/kWh, {next_band} from {change}",
    )
    for name, tank in answer["storage"].items():
        energy = "-" if tank["energy_kwh"] is None else f"{tank['energy_kwh']:.0f} kWh"
        yield pick(f"蓄能 {name} {energy}", f"storage {name} {energy}")
    for name, unit in answer["units"].items():
        waits = ", ".join(getattr(text(code), common.language) for code in unit["waiting"])
        layer = unit["because"] if answer["mode"] in ("auto", "manual") else None
        named = "" if layer in (None, "plan", "sequence") else getattr(text(f"because_{layer}"), common.language)
        if layer == "operator":
            named += _numbers(common, deciding(name, unit, answer["orders"]))
        yield (
            f"{name:<6} {pick(unit['zh'], unit['en'])}"
            + (f"  {named}" if named else "")
            + (pick(f"  等待: {waits}", f"  waits: {waits}") if waits else "")
        )
    for note in answer["notes"]:
        words = text(note)
        yield pick(f"控制 {words.zh}", f"control: {words.en}")
    plan = answer["plan"]
    if plan is None:
        yield pick("计划 还没有", "plan: none yet")
    else:
        made, cost_cny = local(plan["made_utc"]), f"{plan['objective_cny']:.0f}"
        zh, en = method_words(plan["method"], plan["gap"])
        yield pick(
            f"计划 {made} 制定:{zh},{cost_cny} 元;理由: edge-agent plan --why",
            f"plan made {made}: {en}, {cost_cny} CNY; reasons: edge-agent plan --why",
        )
        change = plan.get("change")
        if change is not None:
            figures = {key: f"{change[key]:.0f}" for key in ("gain_cny", "least_cny") if change[key] is not None}
            words = text(f"plan_change_{change['code']}", **figures)
            yield pick(f"     {words.zh}", f"     {words.en}")
    for assumption in answer.get("corrections", ()):
        if assumption["learned"]:
            yield pick(f"实测修正 {assumption['zh']}", f"learned: {assumption['en']}")
    yield from _advice_lines(common, answer["advice"], local=local)
    for name, uplink in answer["uplinks"].items():
        link = pick("已连接", "connected") if uplink["connected"] else pick("未连接", "not connected")
        due, held, backlog = (uplink[key] for key in ("due", "acknowledged", "backlog"))
        yield pick(
            f"上传 {name} {link},应传 {due} 已确认 {held} 积压 {backlog}",
            f"uplink {name} {link}, due {due} acknowledged {held} backlog {backlog}",
        )
        if uplink["fault"]:
            yield f"       {uplink['fault']}"
    for name, bus in answer["buses"].items():
        yield _bus_line(common, name, bus)
    yield records_line(common, answer["records"])
    if answer["recorder"]["failing_since"] is not None:
        since = local(answer["recorder"]["failing_since"])
        yield pick(f"存储 {since} 起写不进磁盘", f"store: the disk has refused since {since}")
    for name, device in answer["devices"].items():
        if device["dead"]:
            words = text(device["fault"] or "no_answer")
            yield pick(f"设备 {name}: {words.zh}", f"device {name}: {words.en}")
    for alarm in answer["alarms"]:
        words = text(alarm["code"], **{"device": alarm["device"], "unit": alarm["device"], **alarm["values"]})
        yield pick(
            f"报警 {local(alarm['since'])} {alarm['device']}: {words.zh}。{words.hint_zh}",
            f"alarm {local(alarm['since'])} {alarm['device']}: {words.en}. {words.hint_en}",
        )
