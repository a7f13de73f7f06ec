"""`edge-agent backtest`: what stored days would have cost by plan, by rule and without storage."""

import sys
from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import click

from edge_agent.cli.common import Common, Exit, emit, shared_options
from edge_agent.cli.solver_options import solver_options

if TYPE_CHECKING:
    from edge_agent.backtest import Replay

LIMIT_S = 5.0
GAP_SHARE = 0.003
Strategy = Literal["optimal", "rule", "no_storage"]
NAMES: Mapping[Strategy, tuple[str, str]] = {
    "optimal": ("优化计划", "optimal plan"),
    "rule": ("按常规规则", "a good operator's rule"),
    "no_storage": ("不蓄能", "without storage"),
}
WHY: Mapping[str, tuple[str, str]] = {
    "load_missing": ("热表数据不全", "the heat meter's record has gaps"),
    "tank_missing": ("没有水箱温度", "no temperatures of the tank"),
    "bad_task": ("当天的数据不成一个计划任务", "the day's figures make no task for a plan"),
    "no_plan": ("没有能遵守全部规则的计划", "no plan keeps every rule"),
}


@click.command(help="用历史数据回算计划的效益 / replay stored days: plan against rule and no storage.")
@click.option("--from", "from_text", required=True, help="首日,含 / first day, inside: 2026-01-12.")
@click.option("--to", "to_text", required=True, help="末日,不含 / day after the last: 2026-01-19.")
@solver_options(limit_s=LIMIT_S, gap_share=GAP_SHARE)
@shared_options
def command(common: Common, *, from_text: str, to_text: str, limit_s: float, gap_share: float) -> None:
    """Reads the store only, whether the service runs or not; exit status 1 when no day could be replayed."""
    first, last = _day(from_text), _day(to_text)
    if last <= first:
        raise click.UsageError("--to 应晚于 --from / --to must be later than --from")
    # The solver is loaded here and nowhere before: `--help` must stay quick.
    from edge_agent.backtest import STRATEGIES, Backtest  # noqa: PLC0415 - see above
    from edge_agent.clock import elapsed_s  # noqa: PLC0415 - see above
    from edge_agent.settings.load import load_configuration  # noqa: PLC0415 - see above
    from edge_agent.store.reader import read_means  # noqa: PLC0415 - see above

    configuration = load_configuration(common.config)
    state_dir = configuration.site.storage_media.state_dir

    def means(point: str, begin: datetime, end: datetime) -> Mapping[datetime, float]:
        return read_means(state_dir, point, 15, begin, end)

    def progress(day: date) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{day}", nl=False, err=True)

    begin_s = elapsed_s()
    backtest = Backtest(configuration, means=means, limit_s=limit_s, gap_ratio=gap_share, elapsed_s=elapsed_s)
    replay = backtest.run(first, last, progress=progress)
    if sys.stderr.isatty():
        click.echo("\r", nl=False, err=True)
    cost_cny = {name: round(replay.accounts[name].cost_cny, 2) if replay.days else None for name in STRATEGIES}
    if common.as_json:
        emit(
            "backtest/1",
            {
                "from": str(first),
                "to": str(last),
                "timezone": ZoneInfo(configuration.site.site.timezone).key,
                "days": len(replay.days),
                "days_left": [
                    {"day": str(left.day), "why": left.why, "detail": left.detail or None} for left in replay.left
                ],
                "warnings": list(replay.warnings),
                "load": "measured",
                "cost_cny": cost_cny,
                "bound_cny": None if replay.bound_cny is None else round(replay.bound_cny, 2),
                "actual_cny": None if replay.actual_cny is None else round(replay.actual_cny, 2),
                "peak_kw": {name: round(account.peak_kw, 1) for name, account in replay.accounts.items()},
                "unmet_kwh": {name: round(account.unmet_kwh, 1) for name, account in replay.accounts.items()},
                "seconds": round(elapsed_s() - begin_s, 1),
            },
        )
    else:
        _print(common, first, last, cost_cny=cost_cny, replay=replay)
    sys.exit(Exit.OK if replay.days else Exit.FINDING)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: 日期写成 2026-01-12 / write a day like 2026-01-12") from error


def _print(
    common: Common, first: date, last: date, *, cost_cny: Mapping[Strategy, float | None], replay: "Replay"
) -> None:
    from edge_agent.cli.plan_show import money, padded  # noqa: PLC0415 - only for people
    from edge_agent.cli.tariff_source import warn  # noqa: PLC0415 - only for people

    pick = common.pick
    count = len(replay.days)
    common.say(
        f"回算 {first} 至 {last}(不含):{count} 天,按实测负荷(事后已知)和当时电价",
        f"replay from {first} to {last} (not inside): {count} days, with the load that came and the prices of the time",
    )
    warn(common, replay.warnings)
    for left in replay.left:
        detail = f" ({left.detail})" if left.detail else ""
        common.say(
            f"  未算 {left.day}:{WHY[left.why][0]}{detail}", f"  left out {left.day}: {WHY[left.why][1]}{detail}"
        )
    optimal_cny = cost_cny["optimal"]
    if optimal_cny is None:
        return
    unit = pick("元", "CNY")
    for name, words in NAMES.items():
        cny = cost_cny[name] or 0.0
        account = replay.accounts[name]
        line = f"  {padded(pick(*words), 24)}{money(cny):>10} {unit}"
        if name != "optimal" and cny > 0:
            share = f"{100 * (cny - optimal_cny) / cny:.1f} %"
            line += pick(f"  优化计划省 {share}", f"  the optimal plan saves {share}")
        if account.unmet_kwh > 1.0:
            line += pick(f"  缺供 {account.unmet_kwh:.0f} kWh", f"  {account.unmet_kwh:.0f} kWh lacking")
        click.echo(line)
    for known_cny, zh, en in (
        (replay.bound_cny, "理论下限", "lower bound"),
        (replay.actual_cny, "实际(总表,不含起动磨损)", "in fact (meter, no wear)"),
    ):
        shown = pick("未知", "not known") if known_cny is None else f"{money(known_cny):>10} {unit}"
        click.echo(f"  {padded(pick(zh, en), 24)}{shown}")
