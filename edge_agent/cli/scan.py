"""`edge-agent scan`: finds the units on a serial line or behind a TCP port. Reads only."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

import click

from edge_agent.cli.common import Common, Exit, emit, shared_options

if TYPE_CHECKING:
    from drivers.commissioning.mbpoll import Line
    from drivers.commissioning.scan import Progress, Result, Scan, Unit
    from edge_agent.cli.progress import Bar
    from edge_agent.field import Target


@click.group(help="查找总线上的设备,只读 / find the units on a bus; reads only.")
def command() -> None:
    """Groups the two kinds of wire."""


@command.command(help="串口 / a serial line.")
@click.argument("port")
@click.option("--baud", default="auto", show_default=True, help="波特率,可多个 / speeds: 9600 or 9600,19200.")
@click.option("--framing", default="auto", show_default=True, help="8N1 8E1 8O1 8N2.")
@click.option("--units", default="1-247", show_default=True, help="站号 / unit numbers: 1-247 or 1,5,10-20.")
@click.option("--guess/--no-guess", default=True, show_default=True, help="猜型号 / guess the models.")
@click.option("--via-service", is_flag=True, help="经正在运行的服务 / through the running service.")
@shared_options
def rtu(common: Common, port: str, *, baud: str, framing: str, units: str, guess: bool, via_service: bool) -> None:
    """Tries the usual settings until one brings answers, then asks all numbers at it."""
    from drivers.commissioning.scan import Scan, order  # noqa: PLC0415 - heavy
    from edge_agent.cli import wires  # noqa: PLC0415
    from edge_agent.clock import elapsed_s  # noqa: PLC0415
    from edge_agent.field import Target  # noqa: PLC0415
    from edge_agent.settings.load import known_profiles  # noqa: PLC0415

    wires.quiet()
    numbers = wires.parse_units(common, "scan", units, last=wires.UNIT_LAST)
    profiles = known_profiles(common.config) if guess else []
    settings = order(wires.parse_settings(common, "scan", baud, framing), profiles if baud == "auto" else ())
    open_wire = wires.wire_for_scan(common, "scan", Target(port=port, setting=settings[0]), via_service=via_service)
    if via_service:
        settings = settings[:1]
    bar, draw = _progress(common)
    scan = Scan(open_wire, units=numbers, profiles=profiles, elapsed_s=elapsed_s, progress=draw)
    _run(common, scan, lambda: scan.serial(settings), Target(port=port, setting=settings[0]), bar=bar)


@command.command(help="网口 / a TCP host or gateway: HOST or HOST:PORT.")
@click.argument("host")
@click.option("--units", default="1-247,255", show_default=True, help="站号 / unit numbers.")
@click.option("--guess/--no-guess", default=True, show_default=True, help="猜型号 / guess the models.")
@click.option("--via-service", is_flag=True, help="经正在运行的服务 / through the running service.")
@shared_options
def tcp(common: Common, host: str, *, units: str, guess: bool, via_service: bool) -> None:
    """Asks all numbers behind one connection."""
    from drivers.commissioning.scan import Scan  # noqa: PLC0415 - heavy
    from edge_agent.cli import wires  # noqa: PLC0415
    from edge_agent.clock import elapsed_s  # noqa: PLC0415
    from edge_agent.settings.load import known_profiles  # noqa: PLC0415

    wires.quiet()
    target = wires.parse_host(common, "scan", host)
    numbers = wires.parse_units(common, "scan", units, last=wires.TCP_UNIT_LAST)
    open_wire = wires.wire_for_scan(common, "scan", target, via_service=via_service)
    profiles = known_profiles(common.config) if guess else []
    bar, draw = _progress(common)
    scan = Scan(open_wire, units=numbers, profiles=profiles, elapsed_s=elapsed_s, progress=draw)
    _run(common, scan, scan.tcp, target, bar=bar)


def _run(
    common: Common, scan: "Scan", work: Callable[[], Coroutine[None, None, None]], target: "Target", *, bar: "Bar"
) -> None:
    """Runs a scan to its end or to Ctrl-C; what was found is shown either way."""
    from edge_agent.clock import elapsed_s  # noqa: PLC0415 - heavy

    start_s = elapsed_s()
    interrupted = False
    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        interrupted = True
    finally:
        bar.end()
    _report(common, scan.result, target, seconds=elapsed_s() - start_s)
    if interrupted:
        sys.exit(Exit.INTERRUPTED)
    sys.exit(Exit.OK if scan.result.units else Exit.DEVICE)


def _progress(common: Common) -> "tuple[Bar, Callable[[Progress], None]]":
    """The line on a terminal, and who draws it."""
    from edge_agent.cli.progress import Bar  # noqa: PLC0415 - heavy
    from edge_agent.cli.wires import setting_words  # noqa: PLC0415

    bar = Bar(common)
    steps = {"again": common.pick("再问", "again"), "guess": common.pick("型号", "models")}

    def draw(progress: "Progress") -> None:
        label = f"{setting_words(progress.setting)} {steps.get(progress.step, '')}".rstrip()
        bar.draw(label, progress.done, progress.total, found=progress.found)

    return bar, draw


def _report(common: Common, result: "Result", target: "Target", *, seconds: float) -> None:
    from dataclasses import replace  # noqa: PLC0415 - as all else here

    line = replace(target, setting=result.setting or target.setting).line
    units = [result.units[unit] for unit in sorted(result.units)]
    if common.as_json:
        emit(
            "scan/1",
            {
                "units": [
                    {
                        "unit": unit.unit,
                        "answer": str(unit.sign) if unit.code is None else f"exception {unit.code}",
                        "guess": unit.guesses[0].profile if unit.guesses else None,
                        "guesses": [{"profile": one.profile, "share": round(one.share, 3)} for one in unit.guesses],
                        "turnaround_s": None if unit.turnaround_s is None else round(unit.turnaround_s, 4),
                        "mbpoll": _mbpoll(line, unit),
                    }
                    for unit in units
                ],
                "seconds": round(seconds, 2),
                "baud": None if result.setting is None else result.setting.baud,
                "framing": None if result.setting is None else result.setting.framing,
                "asked": result.asked,
                "finished": result.finished,
                "same_everywhere": result.same_everywhere,
            },
        )
        return
    for text in _lines(common, result, target, units):
        click.echo(text)
    if units:
        click.echo("mbpoll: " + _mbpoll(line, units[0]))
    common.say(
        f"{seconds:.1f} 秒,{result.asked} 次询问,只读" + ("" if result.finished else "(未扫完)"),
        f"{seconds:.1f} s, {result.asked} questions, reads only" + ("" if result.finished else " (not finished)"),
    )


def _mbpoll(line: "Line", unit: "Unit") -> str:
    """The same question that the unit has answered."""
    from drivers.commissioning.mbpoll import read_question  # noqa: PLC0415 - heavy

    asked = unit.question
    return read_question(line, unit=unit.unit, function=asked.function, address=asked.address, count=asked.count)


def _lines(common: Common, result: "Result", target: "Target", units: "list[Unit]") -> list[str]:
    from edge_agent.cli.wires import setting_words, table  # noqa: PLC0415 - heavy

    pick = common.pick
    if not units:
        hint = (
            pick(
                "有杂乱字节:波特率、校验不对,或 A/B 接反、两台设备同号。用 --baud --framing 再试",
                "there were stray bytes: speed or parity is wrong, A and B are exchanged, or two units share a number."
                " Try --baud and --framing",
            )
            if result.noisy
            else pick(
                "没有任何应答:查供电、A/B 线、终端电阻,以及表计协议是否为 Modbus RTU",
                "silence: check power, the A and B wires, the terminator, and that the meter is set to Modbus RTU",
            )
        )
        return [pick("没有找到设备。", "no unit found. ") + hint]
    rows = [[pick("站号", "unit"), pick("应答", "answer"), pick("响应", "turnaround"), pick("型号猜测", "guess")]]
    for unit in units:
        turnaround = "-" if unit.turnaround_s is None else f"{1000 * unit.turnaround_s:.0f} ms"
        rows.append([str(unit.unit), _answer(common, unit), turnaround, _guess(common, unit)])
    lines = [setting_words(result.setting), *table(rows, right=(0, 2))]
    if result.same_everywhere:
        lines.append(
            pick(
                "设备对任何站号都应答:它不看站号,按一台设备配置",
                "the device answers to any number: it ignores them; configure it as one device",
            )
        )
    first = units[0].unit
    where = f"tcp {target.host}:{target.tcp_port}" if result.setting is None else f"rtu {target.port}"
    extra = "" if result.setting is None else f" --baud {result.setting.baud} --framing {result.setting.framing}"
    lines.append(
        pick("下一步: ", "next: ")
        + f"edge-agent probe {where} --unit {first}{extra} --expect "
        + pick("表上数值", "VALUE")
    )
    return lines


def _answer(common: Common, unit: "Unit") -> str:
    if unit.sign == "noise":
        return common.pick("杂乱字节:同号或校验不对", "stray bytes: two units of one number, or parity")
    if unit.code is not None:
        return common.pick(f"异常 {unit.code}(设备在)", f"exception {unit.code} (it is there)")
    return common.pick("寄存器", "registers")


def _guess(common: Common, unit: "Unit") -> str:
    if not unit.guesses:
        return common.pick("不认识的型号", "a model that is not known")
    return ", ".join(f"{guess.profile} {100 * guess.share:.0f} %" for guess in unit.guesses[:3])
