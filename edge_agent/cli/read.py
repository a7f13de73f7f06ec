"""`edge-agent read`: samples now, from the running service's image, or from the devices where no service runs."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from edge_agent import local_api
from edge_agent.cli.common import Common, Exit, emit, shared_options
from edge_agent.errors import ServiceUnreachable

WATCH_S = 2.0


@click.command(help="读取设备或测点的当前值 / read devices or points now (a device, a point, or all).")
@click.argument("names", nargs=-1)
@click.option("--watch", is_flag=True, help="持续刷新,Ctrl-C 结束 / again and again until Ctrl-C.")
@shared_options
def command(common: Common, names: tuple[str, ...], *, watch: bool) -> None:
    """Reads and prints; never writes to a device. Exit status 3 when nothing that was asked for could be read."""
    from edge_agent.settings.load import load_configuration  # noqa: PLC0415 - heavy

    if watch and common.as_json:
        raise click.UsageError("--watch 与 --json 不能同用 / --watch and --json do not go together")
    configuration = load_configuration(common.config)
    known = {f"{device}.{point}" for device, profile in configuration.profiles.items() for point in profile.points}
    for name in names:
        if name not in configuration.profiles and name not in known:
            click.echo(f"没有这个设备或测点 / no such device or point: {name}", err=True)
            sys.exit(Exit.USAGE)
    while True:
        samples = [
            sample
            for sample in _samples(common.config, configuration.site.storage_media.state_dir)
            if not names or sample["point"] in names or str(sample["point"]).partition(".")[0] in names
        ]
        if common.as_json:
            emit("read/1", {"samples": samples})
        else:
            _show(common, samples)
        if not watch:
            sys.exit(Exit.OK if any(sample["quality"] != "BAD" for sample in samples) else Exit.DEVICE)
        time.sleep(WATCH_S)


def _samples(config: Path, state_dir: Path) -> list[dict[str, object]]:
    try:
        answer = local_api.ask(state_dir, "read")
    except ServiceUnreachable:
        from edge_agent.app import build_clock, read_once  # noqa: PLC0415 - heavy: opens the buses
        from edge_agent.settings.load import load_configuration  # noqa: PLC0415
        from edge_agent.status import sample_dict  # noqa: PLC0415

        configuration = load_configuration(config)
        read = asyncio.run(read_once(configuration))
        now_utc = build_clock(configuration).now_utc()
        return [sample_dict(sample, now_utc=now_utc) for sample in read]
    samples = answer["samples"]
    assert isinstance(samples, list)
    return samples


def _show(common: Common, samples: Sequence[dict[str, object]]) -> None:
    width = max((len(str(sample["point"])) for sample in samples), default=0)
    for sample in samples:
        value = sample["value"]
        shown = f"{value:14.3f}" if isinstance(value, float | int) else f"{'-':>14}"
        quality = "" if sample["quality"] == "GOOD" else f"  {sample['quality']} {sample['cause']}"
        age = common.pick(f"{sample['age_s']:.0f} 秒前", f"{sample['age_s']:.0f} s ago")
        goes_on = ""
        if sample["correction"] and isinstance(value, float | int) and isinstance(sample["correction"], float):
            total = value + sample["correction"]
            goes_on = common.pick(f"  续计 {total:.3f}", f"  goes on from before: {total:.3f}")
        click.echo(f"{sample['point']!s:<{width}} {shown} {sample['unit']!s:<5} {age}{goes_on}{quality}")
