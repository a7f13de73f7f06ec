"""`edge-agent prove`: one guarded command, attended: read, judge, confirm, write, read back, effect, restore, audit."""

import asyncio
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import click

from edge_agent.cli.common import Common, Exit, emit, shared_options

if TYPE_CHECKING:
    from drivers.profile import PointSpec
    from edge_agent.attended import Attempt, Step
    from edge_agent.settings.load import Configuration

EFFECTS_SHOWN_MAX = 12


@dataclass(slots=True)
class Told:
    """Steps in their order, told as they happen."""

    common: Common
    steps: "list[Step]" = field(default_factory=list)

    def __call__(self, step: "Step") -> None:
        """Keeps a step and says it."""
        from edge_agent.texts.catalogue import text  # noqa: PLC0415 - heavy

        self.steps.append(step)
        words = text(f"prove_{step.name}", **step.values)
        mark = {True: "ok", False: self.common.pick("不符", "FAILED"), None: ".."}[step.ok]
        self.common.say(f"  [{mark}] {words.zh}", f"  [{mark}] {words.en}")


@click.command(
    help="现场验证一条指令:写入、读回、看效果、恢复 / prove one command: write, read back, see the effect, restore.\n\n"
    "调试签字前、监测方式下也可用;须有人在现场 / allowed before commissioning is signed; somebody must be there."
)
@click.argument("device")
@click.option("--command", "point", required=True, help="指令测点 / point to be written, e.g. supply_setpoint.")
@click.option("--value", type=float, help="写入值 / value; without it one step away from the present one.")
@click.option(
    "--effect",
    "effect_s",
    type=click.FloatRange(0, 600),
    default=20.0,
    show_default=True,
    help="观察效果 s / watch for an effect.",
)
@click.option("--by", help="谁在现场 / who is at the plant.")
@click.option(
    "--yes-i-am-at-the-plant", "confirmed", is_flag=True, help="不询问(脚本)/ do not ask (scripts); needs --by."
)
@shared_options
def command(
    common: Common,
    device: str,
    *,
    point: str,
    value: float | None,
    effect_s: float,
    by: str | None,
    confirmed: bool,
) -> None:
    """Exit status: 0 proven, 1 not proven or not restored, 3 device unreachable or service running, 5 refused."""
    from edge_agent.attended import Attempt  # noqa: PLC0415 - heavy
    from edge_agent.cli import wires  # noqa: PLC0415
    from edge_agent.field import service_runs  # noqa: PLC0415
    from edge_agent.settings.load import load_configuration  # noqa: PLC0415

    wires.quiet()
    configuration = load_configuration(common.config)
    spec = _spec(common, configuration, device, point.removeprefix(f"{device}."))
    if service_runs(configuration.site.storage_media.state_dir):
        wires.busy_for_prove(common)
    if confirmed and not (by or "").strip():
        wires.end(
            common,
            "prove",
            Exit.USAGE,
            zh="--yes-i-am-at-the-plant 须同时用 --by 写明姓名",
            en="--yes-i-am-at-the-plant needs --by NAME",
        )
    told = Told(common)
    attempt = Attempt(configuration, device=device, spec=spec, value=value, tell=told, effect_s=effect_s)
    outcome, reason = "interrupted", ""
    interrupted = False
    try:
        outcome, reason = asyncio.run(attempt.run(lambda plan: _confirmed(common, plan, by=by, asked=not confirmed)))
    except KeyboardInterrupt:
        interrupted = True
    _report(common, attempt, told, outcome=outcome, reason=reason)
    if interrupted:
        sys.exit(Exit.INTERRUPTED)
    sys.exit({"proven": Exit.OK, "refused": Exit.REFUSED, "unreachable": Exit.DEVICE}.get(outcome, Exit.FINDING))


def _spec(common: Common, configuration: "Configuration", device: str, point: str) -> "PointSpec":
    from edge_agent.cli import wires  # noqa: PLC0415 - heavy

    profile = configuration.profiles.get(device)
    if profile is None:
        known = ", ".join(configuration.profiles)
        wires.end(
            common,
            "prove",
            Exit.USAGE,
            zh=f"没有设备 {device};已配置: {known}",
            en=f"no device {device}; configured: {known}",
        )
    if point not in profile.points:
        writable = ", ".join(name for name, spec in profile.points.items() if spec.write is not None) or "-"
        wires.end(
            common,
            "prove",
            Exit.USAGE,
            zh=f"{profile.name} 没有测点 {point};可写: {writable}",
            en=f"{profile.name} has no point {point}; writable: {writable}",
        )
    spec = profile.points[point]
    if spec.write is None:
        _refuse(common, "not_writable")
    return spec


def _refuse(common: Common, code: str) -> NoReturn:
    from edge_agent.cli import wires  # noqa: PLC0415 - heavy
    from edge_agent.texts.catalogue import text  # noqa: PLC0415

    words = text(code)
    wires.end(common, "prove", Exit.REFUSED, zh=f"拒绝: {words.zh}", en=f"refused: {words.en}")


def _confirmed(common: Common, plan: str, *, by: str | None, asked: bool) -> str | None:
    """The name of who confirmed at the terminal, or who was named beforehand; None: nobody."""
    if not asked:
        return by
    if not sys.stdin.isatty():
        click.echo(
            common.pick(
                "须在终端上由现场人员确认;脚本用 --yes-i-am-at-the-plant --by 姓名",
                "somebody at the plant must confirm at a terminal; scripts: --yes-i-am-at-the-plant --by NAME",
            ),
            err=True,
        )
        return None
    click.echo(plan, err=True)
    prompt = common.pick("现场已有人看着设备,可以写入?", "somebody watches the machine, and it may be written?")
    if not click.confirm(prompt, default=False, err=True):
        return None
    return by or str(click.prompt(common.pick("姓名", "name"), err=True)).strip() or None


def _report(common: Common, attempt: "Attempt", told: Told, *, outcome: str, reason: str) -> None:
    from edge_agent.texts.catalogue import text  # noqa: PLC0415 - heavy

    if common.as_json:
        emit(
            "prove/1",
            {
                "device": attempt.device,
                "command": attempt.spec.name,
                "steps": [{"step": step.name, "ok": step.ok, **step.values} for step in told.steps],
                "outcome": outcome,
                "reason": reason,
                "effects": [
                    {"point": name, "before": before, "after": after} for name, before, after in attempt.effects
                ],
                "mbpoll": attempt.mbpoll,
            },
        )
        return
    for name, before, after in attempt.effects[:EFFECTS_SHOWN_MAX]:
        click.echo(f"       {name}: {before:g} -> {after:g}")
    ended = text(f"outcome_{outcome}")
    why = text(reason) if reason else None
    common.say(
        f"结果: {ended.zh}" + (f": {why.zh}" if why else ""), f"outcome: {ended.en}" + (f": {why.en}" if why else "")
    )
    if attempt.mbpoll:
        click.echo(f"mbpoll: {attempt.mbpoll}")
