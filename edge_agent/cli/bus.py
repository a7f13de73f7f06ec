"""`edge-agent bus`: polls with the real read plan and compares with what the wire allows. Reads only."""

import asyncio
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from edge_agent.cli.common import Common, Exit, emit, shared_options

if TYPE_CHECKING:
    from drivers.commissioning.survey import Figures
    from edge_agent.settings.load import Configuration

LEAP = timedelta(days=1)
"""The clock that the devices see leaps by this from cycle to cycle, so that every point is due."""


@click.command(help="总线轮询能力与实测,只读 / what polling costs on each bus; reads only.")
@click.argument("names", nargs=-1)
@click.option("--cycles", type=click.IntRange(1, 10_000), default=5, show_default=True, help="轮数 / how often.")
@click.option("--via-service", is_flag=True, help="经正在运行的服务 / through the running service.")
@shared_options
def command(common: Common, names: tuple[str, ...], *, cycles: int, via_service: bool) -> None:
    """Measures and advises; exit status 1: requests failed or a bus cannot keep its periods; 3: none answers."""
    from edge_agent.cli import wires  # noqa: PLC0415 - heavy
    from edge_agent.field import service_runs  # noqa: PLC0415
    from edge_agent.settings.load import load_configuration  # noqa: PLC0415

    wires.quiet()
    configuration = load_configuration(common.config)
    for name in names:
        if name not in configuration.devices.buses:
            known = ", ".join(configuration.devices.buses)
            wires.end(
                common,
                "bus",
                Exit.USAGE,
                zh=f"没有总线 {name};已配置: {known}",
                en=f"no bus {name}; configured: {known}",
            )
    if service_runs(configuration.site.storage_media.state_dir):
        if not via_service:
            wires.busy(common, "bus", names[0] if names else next(iter(configuration.devices.buses)))
    elif via_service:
        wires.end(common, "bus", Exit.USAGE, zh="--via-service: 服务没有运行", en="--via-service: no service runs")
    found = asyncio.run(_survey(configuration, names or tuple(configuration.devices.buses), cycles, lent=via_service))
    if common.as_json:
        emit("bus/1", {"buses": {name: _as_json(one) for name, one in found.items()}, "via_service": via_service})
    else:
        for line in _lines(common, configuration, found):
            click.echo(line)
    dead = all(one.errors >= one.requests for one in found.values())
    faulty = any(one.errors or one.load_ratio > 1 for one in found.values())
    sys.exit(Exit.DEVICE if dead else Exit.FINDING if faulty else Exit.OK)


async def _survey(
    configuration: "Configuration", names: tuple[str, ...], cycles: int, *, lent: bool
) -> "dict[str, Figures]":
    """One bus after the other, so that the processor time belongs to it."""
    from drivers.bus.base import Bus  # noqa: PLC0415 - heavy
    from drivers.commissioning.survey import LineShape, Stopwatch, figures  # noqa: PLC0415
    from edge_agent.clock import cpu_s, elapsed_s  # noqa: PLC0415
    from edge_agent.field import ServiceBus, target_of  # noqa: PLC0415
    from edge_agent.wiring import build_buses, build_devices, open_bus  # noqa: PLC0415

    clock = _LeapingClock()
    state_dir = configuration.site.storage_media.state_dir
    buses: Mapping[str, Bus] = build_buses(configuration)
    if lent:
        buses = {name: ServiceBus(name, state_dir=state_dir) for name in buses}
    watches = {name: Stopwatch(bus, elapsed_s=elapsed_s) for name, bus in buses.items()}
    devices = build_devices(configuration, buses=watches, clock=clock)
    found = {}
    for name in names:
        members = [device for key, device in devices.items() if configuration.devices.devices[key].bus == name]
        if not members:
            continue
        watch = watches[name]
        await open_bus(name, watch)
        try:
            for device in members:  # learns what the wire learns; not counted
                await device.poll()
            watch.asked.clear()
            cycles_s, device_s, points = [], dict.fromkeys((device.name for device in members), 0.0), 0
            start_cpu_s = cpu_s()
            for _ in range(cycles):
                clock.instant_utc += LEAP
                start_s, points = elapsed_s(), 0
                for device in members:
                    from_s = elapsed_s()
                    points += len(await device.poll())
                    device_s[device.name] += elapsed_s() - from_s
                cycles_s.append(elapsed_s() - start_s)
            spent_cpu_s = cpu_s() - start_cpu_s
        finally:
            await watch.close()
        if not watch.asked:
            continue
        target = target_of(configuration.devices.buses[name])
        setting = None if target is None or lent else target.setting
        found[name] = figures(
            watch.asked,
            cycles_s=cycles_s,
            points=points,
            cpu_s=spent_cpu_s,
            load_ratio=sum(device_s[device.name] / cycles / device.period_s for device in members),
            line=None if setting is None else LineShape(setting.baud, setting.character_s),
        )
    return found


class _LeapingClock:
    """A clock on which every point is due in every cycle."""

    def __init__(self) -> None:
        self.instant_utc = datetime(2026, 1, 1, tzinfo=UTC)

    def now_utc(self) -> datetime:
        """The present instant."""
        return self.instant_utc

    def speed_ratio(self) -> float:
        """It stands still while a cycle runs."""
        return 1.0

    def reading_s(self) -> float:
        """Nothing here happens later than it is asked about."""
        return 0.0

    def at_utc(self, reading_s: float) -> datetime:  # noqa: ARG002 - it stands still
        """The present instant."""
        return self.instant_utc


def _as_json(one: "Figures") -> dict[str, object]:
    return {
        "cycles": one.cycles,
        "requests": round(one.requests / one.cycles, 2),
        "points": one.points,
        "cycle_s": round(one.cycle_s, 5),
        "wire_limit_s": round(one.wire_limit_s, 5),
        "efficiency": round(one.efficiency_ratio, 4),
        "errors": one.errors,
        "cpu_ms_per_transaction": round(one.cpu_ms, 3),
        "load_ratio": round(one.load_ratio, 4),
        "units": [
            {
                "unit": unit.unit,
                "requests": round(unit.requests / one.cycles, 2),
                "turnaround_s": None if unit.turnaround_s is None else round(unit.turnaround_s, 5),
                "errors": unit.errors,
            }
            for unit in one.units
        ],
        "advice": list(one.advice),
    }


def _lines(common: Common, configuration: "Configuration", found: "Mapping[str, Figures]") -> list[str]:
    from edge_agent.cli.wires import table  # noqa: PLC0415 - heavy
    from edge_agent.field import target_of  # noqa: PLC0415
    from edge_agent.texts.catalogue import text  # noqa: PLC0415

    pick = common.pick
    if not found:
        return [pick("没有可轮询的设备", "no device to poll")]
    rows = [
        [
            pick("总线", "bus"),
            pick("请求", "requests"),
            pick("测点", "points"),
            pick("一轮", "cycle"),
            pick("线路极限", "wire limit"),
            pick("效率", "efficiency"),
            pick("占用", "load"),
            pick("错误", "errors"),
            "CPU/" + pick("次", "request"),
        ]
    ]
    rows += [
        [
            name,
            f"{one.requests / one.cycles:.0f}",
            str(one.points),
            f"{1000 * one.cycle_s:.1f} ms",
            f"{1000 * one.wire_limit_s:.1f} ms",
            f"{one.efficiency_ratio:.3f}",
            f"{100 * one.load_ratio:.1f} %",
            str(one.errors),
            f"{one.cpu_ms:.2f} ms",
        ]
        for name, one in found.items()
    ]
    lines = list(table(rows, right=range(1, len(rows[0]))))
    names = {(entry.bus, entry.unit): key for key, entry in configuration.devices.devices.items()}
    for name, one in found.items():
        target = target_of(configuration.devices.buses[name])
        lines.append(f"{name}  {target if target is not None else 'rtu_over_tcp'}")
        units = [
            [
                names.get((name, unit.unit), "-"),
                pick("站号", "unit") + f" {unit.unit}",
                f"{unit.requests / one.cycles:.0f} " + pick("次", "requests"),
                "-" if unit.turnaround_s is None else f"{1000 * unit.turnaround_s:.1f} ms",
                pick(f"{unit.errors} 次失败", f"{unit.errors} failed") if unit.errors else "",
            ]
            for unit in sorted(one.units, key=lambda unit: -(unit.turnaround_s or 0.0))
        ]
        lines += ["  " + line for line in table(units, right=(2, 3))]
        for code in one.advice:
            words = text(code)
            lines.append("  -> " + pick(f"{words.zh}:{words.hint_zh}", f"{words.en}: {words.hint_en}"))
        if target is not None and one.units:
            from drivers.commissioning.mbpoll import read_question  # noqa: PLC0415 - heavy

            command_ = read_question(target.line, unit=one.units[0].unit, function=3, address=0, count=1)
            lines.append("  mbpoll: " + command_)
    return lines
