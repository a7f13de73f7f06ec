"""`edge-agent prove`: one guarded command, attended: read, judge, confirm, write, read back, effect, restore, audit."""

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import click

from edge_agent.cli.common import Common, Exit, Finite, emit, shared_options

if TYPE_CHECKING:
    from drivers.profile import PointSpec
    from edge_agent.attempt import Step
    from edge_agent.settings.load import Configuration

EFFECTS_SHOWN_MAX = 12
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 120.0
"""The service says something at least so often, beside the time that an effect is watched for [s]."""


@dataclass(slots=True)
class Proof:
    """One proof as the terminal sees it.

    Attributes:
        common: what every verb shares.
        configuration: all files.
        device: name.
        point: to be written.
        value: to be written; None: one step away from what stands there.
        effect_s: how long an effect is watched for [s].
        by: who is at the plant.
        asked: whether the person is asked at the terminal.
        steps: in their order, told as they happen.
        effects: what has moved: point, before, after.
        outcome: code of the texts.
        reason: code of the texts, or empty.
    """

    common: Common
    configuration: "Configuration"
    device: str
    point: str
    value: float | None
    effect_s: float
    by: str | None
    asked: bool
    steps: "list[Step]" = field(default_factory=list)
    effects: list[tuple[str, float, float]] = field(default_factory=list)
    outcome: str = "interrupted"
    reason: str = ""

    def tell(self, step: "Step") -> None:
        """Keeps a step and says it."""
        from edge_agent.texts.catalogue import TEXTS, text  # noqa: PLC0415 - heavy

        self.steps.append(step)
        code = f"prove_{step.name}"
        if step.ok is False and f"{code}_failed" in TEXTS:
            code += "_failed"
        words = text(code, **{key: _plain(value) for key, value in step.values.items()})
        mark = {True: "ok", False: self.common.pick("不符", "FAILED"), None: ".."}[step.ok]
        self.common.say(f"  [{mark}] {words.zh}", f"  [{mark}] {words.en}")


def _plain(value: float | str | None) -> float | str | None:
    """46.0 as 46: as the meter's screen shows it."""
    return f"{value:.10g}" if isinstance(value, float) else value


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
    type=Finite(0, 600),
    default=20.0,
    show_default=True,
    help="观察效果 s / watch for an effect.",
)
@click.option("--by", help="谁在现场 / who is at the plant.")
@click.option(
    "--yes-i-am-at-the-plant", "confirmed", is_flag=True, help="不询问(脚本)/ do not ask (scripts); needs --by."
)
@click.option("--via-service", is_flag=True, help="经正在运行的服务 / through the running service.")
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
    via_service: bool,
) -> None:
    """Exit status: 0 proven, 1 not proven or not restored, 3 device unreachable or service running, 5 refused."""
    from edge_agent.cli import wires  # noqa: PLC0415 - heavy
    from edge_agent.field import service_runs  # noqa: PLC0415
    from edge_agent.settings.load import load_configuration  # noqa: PLC0415

    wires.quiet()
    configuration = load_configuration(common.config)
    spec = _spec(common, configuration, device, point.removeprefix(f"{device}."))
    if confirmed and not (by or "").strip():
        wires.end(
            common,
            "prove",
            Exit.USAGE,
            zh="--yes-i-am-at-the-plant 须同时用 --by 写明姓名",
            en="--yes-i-am-at-the-plant needs --by NAME",
        )
    if service_runs(configuration.site.storage_media.state_dir):
        if not via_service:
            wires.busy(common, "prove", configuration.devices.devices[device].bus)
    elif via_service:
        wires.end(common, "prove", Exit.USAGE, zh="--via-service: 服务没有运行", en="--via-service: no service runs")
    proof = Proof(common, configuration, device, spec.name, value, effect_s, by, asked=not confirmed)
    interrupted = _through_the_service(proof) if via_service else _alone(proof, spec)
    _report(proof)
    if interrupted:
        sys.exit(Exit.INTERRUPTED)
    statuses = {"proven": Exit.OK, "refused": Exit.REFUSED, "unreachable": Exit.DEVICE}
    sys.exit(statuses.get(proof.outcome, Exit.FINDING))


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
    wires.end(common, "prove", Exit.REFUSED, zh=words.zh, en=words.en)


# ------------------------------------------------------------------------------------------------- the two ways


def _alone(proof: Proof, spec: "PointSpec") -> bool:
    """Proves over our own wires; returns whether it was interrupted."""
    from edge_agent.attended import prove  # noqa: PLC0415 - heavy

    async def confirm(plan: str) -> str | None:
        with _signals(_ctrl_c, (signal.SIGINT,)):  # asyncio's handler would not end a question that waits
            return _confirmed(proof, plan)

    try:
        proof.outcome, proof.reason = asyncio.run(
            prove(
                proof.configuration,
                device=proof.device,
                spec=spec,
                value=proof.value,
                tell=proof.tell,
                effect_s=proof.effect_s,
                confirm=confirm,
                effects=proof.effects,
            )
        )
    except (KeyboardInterrupt, asyncio.CancelledError, click.Abort):
        return True
    return False


def _through_the_service(proof: Proof) -> bool:
    """Has the service prove, and confirms and shows here; returns whether it was interrupted."""
    from edge_agent import local_api  # noqa: PLC0415 - heavy

    wanted = {"device": proof.device, "command": proof.point, "value": proof.value, "effect_s": proof.effect_s}
    state_dir = proof.configuration.site.storage_media.state_dir
    stopped = False
    with local_api.conversation(state_dir, "prove", wanted) as talk:

        def stop() -> None:
            nonlocal stopped
            if not stopped:
                talk.say({"stop": True})
            stopped = True

        while proof.outcome == "interrupted":
            with _signals(stop):  # the old value is put back first, and that is waited for
                message = talk.hear(patience_s=PATIENCE_S + proof.effect_s)
            if message is None:
                proof.outcome, proof.reason = "unknown", "service_gone"
            elif not _take(proof, message, say=talk.say, stop=stop):
                break
    return stopped


def _take(
    proof: Proof, message: dict[str, object], *, say: Callable[[dict[str, object]], None], stop: Callable[[], None]
) -> bool:
    """Shows or answers one message of the service; False: it was the last one."""
    from edge_agent.attempt import Step  # noqa: PLC0415 - heavy

    step, plan, effects = message.get("step"), message.get("confirm"), message.get("effects")
    if isinstance(step, dict):
        proof.tell(Step(**step))
    elif isinstance(plan, str):
        try:
            say({"by": _confirmed(proof, plan)})
        except (KeyboardInterrupt, click.Abort):
            stop()
    elif "outcome" in message:
        proof.outcome, proof.reason = str(message["outcome"]), str(message.get("reason", ""))
        assert isinstance(effects, list)
        proof.effects = [(str(name), float(was), float(now)) for name, was, now in effects]
        return False
    return True


@contextmanager
def _signals(stop: Callable[[], None], numbers: Sequence[signal.Signals] = STOPS) -> Iterator[None]:
    """Instead of ending the process, these signals do something else."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ctrl_c() -> NoReturn:
    raise KeyboardInterrupt


# ------------------------------------------------------------------------------------------------- the person


def _confirmed(proof: Proof, plan: str) -> str | None:
    """The name of who confirmed at the terminal, or who was named beforehand; None: nobody."""
    common = proof.common
    if not proof.asked:
        return proof.by
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
    if proof.by is None:
        proof.by = str(click.prompt(common.pick("姓名", "name"), err=True)).strip() or None
    return proof.by


def _report(proof: Proof) -> None:
    from edge_agent.field import question_of  # noqa: PLC0415 - heavy
    from edge_agent.texts.catalogue import text  # noqa: PLC0415

    common = proof.common
    written = any(step.name == "write" for step in proof.steps)
    mbpoll = question_of(proof.configuration, f"{proof.device}.{proof.point}") if written else None
    if common.as_json:
        emit(
            "prove/1",
            {
                "device": proof.device,
                "command": proof.point,
                "steps": [{"step": step.name, "ok": step.ok, **step.values} for step in proof.steps],
                "outcome": proof.outcome,
                "reason": proof.reason,
                "effects": [{"point": name, "before": before, "after": after} for name, before, after in proof.effects],
                "mbpoll": mbpoll or "",
            },
        )
        return
    for name, before, after in proof.effects[:EFFECTS_SHOWN_MAX]:
        click.echo(f"       {name}: {before:g} -> {after:g}")
    ended = text(f"outcome_{proof.outcome}")
    why = text(proof.reason) if proof.reason else None
    common.say(
        f"结果: {ended.zh}" + (f": {why.zh}" if why else ""), f"outcome: {ended.en}" + (f": {why.en}" if why else "")
    )
    if mbpoll:
        click.echo(f"mbpoll: {mbpoll}")
