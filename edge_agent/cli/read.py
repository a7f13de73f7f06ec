"""`edge-agent read`: samples now, from the running service's image, or from the devices where no service runs."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from edge_agent import local_api
from edge_agent.cli.common import Common, Exit, emit, shared_options
from edge_agent.errors import ServiceUnreachable

if TYPE_CHECKING:
    from edge_agent.settings.load import Configuration

WATCH_S = 2.0
Samples = Sequence[dict[str, object]]


@click.command(help="读取设备或测点的当前值 / read devices or points now (a device, a point, or all).")
@click.argument("names", nargs=-1)
@click.option(
    "--watch",
    is_flag=True,
    help="持续刷新,Ctrl-C 结束;与 --json 合用时每轮一行 / until Ctrl-C; --json: a line a round.",
)
@shared_options
def command(common: Common, names: tuple[str, ...], *, watch: bool) -> None:
    """Reads and prints; never writes to a device. Exit status 3 when nothing that was asked for could be read."""
    from edge_agent.cli.wires import quiet  # noqa: PLC0415 - heavy
    from edge_agent.settings.load import load_configuration  # noqa: PLC0415

    configuration = load_configuration(common.config)
    known = {f"{device}.{point}" for device, profile in configuration.profiles.items() for point in profile.points}
    for name in names:
        if name not in configuration.profiles and name not in known:
            click.echo(f"没有这个设备或测点 / no such device or point: {name}", err=True)
            sys.exit(Exit.USAGE)
    quiet()
    state_dir = configuration.site.storage_media.state_dir
    try:
        local_api.ask(state_dir, "ping")
    except ServiceUnreachable:
        samples = asyncio.run(_from_devices(common, configuration, names, watch=watch))
    else:
        samples = _from_service(common, configuration, names, watch=watch)
    sys.exit(Exit.OK if any(sample["quality"] != "BAD" for sample in samples) else Exit.DEVICE)


def _from_service(common: Common, configuration: "Configuration", names: Sequence[str], *, watch: bool) -> Samples:
    """Shows the service's image; with `watch` until Ctrl-C."""
    state_dir = configuration.site.storage_media.state_dir
    screen = Screen(common, configuration, names, watch=watch)
    while True:
        samples = local_api.ask(state_dir, "read")["samples"]
        assert isinstance(samples, list)
        shown = screen.show(samples)
        if not watch:
            return shown
        time.sleep(WATCH_S)


async def _from_devices(
    common: Common, configuration: "Configuration", names: Sequence[str], *, watch: bool
) -> Samples:
    """Reads the devices that were asked for, and only those; with `watch` until Ctrl-C."""
    from edge_agent.direct import DirectReader  # noqa: PLC0415 - heavy: opens the buses
    from edge_agent.image import sample_dict  # noqa: PLC0415

    screen = Screen(common, configuration, names, watch=watch)
    wanted = {name.partition(".")[0] for name in names} or set(configuration.profiles)
    async with DirectReader(configuration, wanted, period_s=WATCH_S) as reader:
        while True:
            samples, now_utc = await reader.read()
            shown = screen.show([sample_dict(sample, now_utc=now_utc) for sample in samples])
            if not watch:
                return shown
            await asyncio.sleep(WATCH_S)


class Screen:
    """Prints samples, in place while watching a terminal, and knows what it showed before.

    Args:
        common: what every verb shares.
        configuration: where the points that were named by themselves are found on the wire.
        names: devices and points that were asked for.
        watch: shown again and again.
    """

    def __init__(self, common: Common, configuration: "Configuration", names: Sequence[str], *, watch: bool) -> None:
        from edge_agent.field import question_of  # noqa: PLC0415 - heavy

        asked = (question_of(configuration, name) for name in names)
        self._questions = [question for question in asked if question is not None]
        self._common = common
        self._names = names
        self._watch = watch
        self._before: dict[str, object] | None = None

    def show(self, samples: Samples) -> Samples:
        """Shows those that were asked for, and returns them."""
        names = self._names
        wanted = [
            sample
            for sample in samples
            if not names or sample["point"] in names or str(sample["point"]).partition(".")[0] in names
        ]
        if self._common.as_json:
            emit("read/1", {"samples": wanted})
            return wanted
        if self._watch and sys.stdout.isatty():
            click.clear()
        _show(self._common, wanted, before=self._before)
        for question in self._questions:
            click.echo(f"mbpoll: {question}")
        if self._watch:
            self._before = {str(sample["point"]): sample["value"] for sample in wanted}
        return wanted


def _show(common: Common, samples: Samples, *, before: Mapping[str, object] | None = None) -> None:
    """Prints one line a point; with values of before also how much each has changed since."""
    from edge_agent.texts.catalogue import text  # noqa: PLC0415 - only for people

    width = max((len(str(sample["point"])) for sample in samples), default=0)
    for sample in samples:
        value = sample["value"]
        shown = f"{value:14.3f}" if isinstance(value, float | int) else f"{'-':>14}"
        changed = "" if before is None else f"{_change(value, before.get(str(sample['point']))):>12} "
        words = ""
        if sample["quality"] != "GOOD":
            quality, cause = text(f"quality_{str(sample['quality']).lower()}"), text(str(sample["cause"]))
            hint = common.pick(cause.hint_zh, cause.hint_en)
            words = f"  {common.pick(quality.zh, quality.en)}: {common.pick(cause.zh, cause.en)}" + (
                f" ({hint})" if hint else ""
            )
        age = common.pick(f"{sample['age_s']:.0f} 秒前", f"{sample['age_s']:.0f} s ago")
        goes_on = ""
        if sample["correction"] and isinstance(value, float | int) and isinstance(sample["correction"], float):
            total = value + sample["correction"]
            goes_on = common.pick(f"  续计 {total:.3f}", f"  goes on from before: {total:.3f}")
        click.echo(f"{sample['point']!s:<{width}} {shown} {sample['unit']!s:<5} {changed}{age}{goes_on}{words}")


def _change(value: object, before: object) -> str:
    """By how much a value has moved; empty where it has not, or where one of the two is not known."""
    if not isinstance(value, float | int) or not isinstance(before, float | int) or value == before:
        return ""
    return f"{value - before:+.3f}"
