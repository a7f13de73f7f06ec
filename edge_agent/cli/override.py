"""`edge-agent override`: gives the running service an operator's order, always with an end, a name and a reason."""

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge_agent import local_api
from edge_agent.cli.common import Common, emit, shared_options

_LASTS = re.compile(r"(?:(\d+(?:\.\d+)?)\s*(?:h|小时))?\s*(?:(\d+)\s*(?:m(?:in)?|分钟|分))?")
_CLOCK = re.compile(r"\d{1,2}:\d{2}")


@click.command(
    help="人工指令: 蓄热、不蓄不放、停机、解除 / an operator's order, always with an end.\n\n"
    "\b\n"
    "charge [机组|蓄能]  用可用的机组蓄热 / charge with every unit that may\n"
    "hold   [蓄能]       不蓄也不放,供热仍优先 / neither charge nor discharge\n"
    "stop   [机组]       停机,不写机组就是全部 / do not run; without UNIT all of them\n"
    "release [机组|蓄能] 解除人工指令 / end orders before their time\n\n"
    "停用的机组(多次启动失败)用 edge-agent release / a locked-out unit: edge-agent release"
)
@click.argument("kind", type=click.Choice(["charge", "hold", "stop", "release"]))
@click.argument("unit", required=False)
@click.option("--until", help="结束 / end: 2h, 90min, 2小时, 18:30, 24:00, 2026-01-12T18:30; charge, hold, stop.")
@click.option(
    "--order", "number", type=click.IntRange(min=1), help="release: 只解除这一号 / end the order of this number only."
)
@click.option("--by", required=True, help="谁 / who orders it.")
@click.option("--reason", required=True, help="为什么 / why.")
@shared_options
def command(
    common: Common, kind: str, unit: str | None, *, until: str | None, number: int | None, by: str, reason: str
) -> None:
    """Prints the order now in force; a refusal ends with exit status 5 and the reason."""
    from edge_agent.settings.load import load_site  # noqa: PLC0415 - heavy

    if until is None and kind != "release":
        raise click.UsageError(
            "人工指令须有结束时刻: --until 2h / an order needs an end: --until 2h", click.get_current_context()
        )
    if number is not None and (kind != "release" or unit is not None):
        raise click.UsageError(
            "--order 只用于 release,不写机组 / --order goes with release, without a unit", click.get_current_context()
        )
    site = load_site(common.config)
    zone = ZoneInfo(site.site.timezone)
    ends = {} if until is None else end(until, zone)
    answer: dict[str, Any] = local_api.ask(
        site.storage_media.state_dir, "override", kind=kind, subject=unit, number=number, by=by, reason=reason, **ends
    )
    if common.as_json:
        emit("override/1", answer)
        return
    _say(common, answer, zone=zone)


def end(until: str, zone: ZoneInfo) -> dict[str, object]:
    """What was typed after --until, for the service: it reckons on the site's own clock.

    Args:
        until: a duration (2h, 1h30m, 90min, 2小时), a time of day (18:30: the next one; 24:00), or an instant.
        zone: the site's.

    Raises:
        click.BadParameter: none of them.
    """
    from edge_agent.cli.instants import instant  # noqa: PLC0415 - heavy

    text = until.strip().replace("：", ":")
    lasts = _LASTS.fullmatch(text)
    if text and lasts is not None:
        return {"lasts_s": float(lasts[1] or 0) * 3600.0 + float(lasts[2] or 0) * 60.0}
    if _CLOCK.fullmatch(text) and text.partition(":")[0].isdecimal():
        hour, minute = (int(part) for part in text.split(":"))
        if (hour <= 23 and minute <= 59) or (hour, minute) == (24, 0):  # noqa: PLR2004 - a time of day
            return {"until": text}
    try:
        return {"until": instant(text, zone=zone).isoformat()}
    except click.BadParameter as error:
        raise click.BadParameter(
            f"{until!r}: 写 2h、90min、2小时、18:30 或 2026-01-12T18:30(站点时区)/ write it like one of these"
        ) from error


def order_words(common: Common, order: dict[str, Any], *, zone: ZoneInfo) -> str:
    """An order on one line: what, until when, by whom, why."""
    from edge_agent.texts.catalogue import text  # noqa: PLC0415 - only for people

    all_of = text("all_units" if order["kind"] == "stop" else "all_storages")
    subject = order["subject"] or getattr(all_of, common.language)
    what = getattr(text(f"order_{order['kind']}", subject=subject), common.language)
    until = f"{datetime.fromisoformat(order['until']).astimezone(zone):%m-%d %H:%M}"
    return common.pick(
        f"{order['number']} 号 {what},到 {until},{order['by']}: {order['reason']}",
        f"no. {order['number']} {what} until {until}, {order['by']}: {order['reason']}",
    )


def _say(common: Common, answer: dict[str, Any], *, zone: ZoneInfo) -> None:
    from edge_agent.texts.catalogue import text  # noqa: PLC0415 - only for people

    if answer["override"] is not None:
        line = order_words(common, answer["override"], zone=zone)
        common.say(f"人工指令 {line}", f"order {line}")
    replaced = ", ".join(str(number) for number in answer["ended"])
    if replaced:
        common.say(f"已解除 {replaced} 号", f"ended: no. {replaced}")
    for note in answer["notes"]:
        words = text(note)
        common.say(f"注意 {words.zh}", f"note: {words.en}")
    if answer["override"] is None:
        left = [order_words(common, order, zone=zone) for order in answer["standing"]]
        common.say(*(("没有人工指令了", "no order stands any more") if not left else ("还在执行:", "still in force:")))
        for line in left:
            common.say(f"  {line}", f"  {line}")
