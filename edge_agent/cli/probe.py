"""`edge-agent probe`: with the value on the meter's screen finds address, type, order and scale. Reads only."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_agent.cli.common import Common, Exit, Finite, shared_options
from edge_agent.cli.probe_place import Place, Wish, place_of, point_of, unreachable, wishes_of
from edge_agent.cli.probe_report import report
from edge_agent.cli.probe_show import show
from edge_agent.cli.probe_write import write
from edge_agent.cli.progress import Bar

if TYPE_CHECKING:
    from drivers.commissioning.expected import Expected
    from drivers.commissioning.probe import Answer
    from drivers.commissioning.search import Declared


ADDRESS_MAX = 0xFFFF
KINDS = {3: ("保持寄存器", "holding register"), 4: ("输入寄存器", "input register")}
NOTATION_MIN = 10_000
"""Numbers from here on may carry the kind of register in front."""
LOOKS_MAX = 4
"""Numbers asked for at a terminal before it is left at several candidates."""


@click.command(
    help="按表计显示值核对寄存器,只读 / find a register by the value on the meter's screen; reads only.\n\n"
    "probe DEVICE [POINT]  ·  probe rtu PORT --unit N  ·  probe tcp HOST[:PORT] --unit N"
)
@click.argument("where", nargs=-1, required=True)
@click.option(
    "--expect",
    "expects",
    multiple=True,
    help="表上数值,可带单位和测点 / VALUE[UNIT] or POINT=VALUE[UNIT]; twice: a later number of the same point.",
)
@click.option(
    "--unit", type=click.IntRange(0, 255), help="站号(未配置的设备)/ unit number of a device not yet configured."
)
@click.option("--baud", type=click.IntRange(300, 921_600), default=9600, show_default=True)
@click.option("--framing", type=click.Choice(["8N1", "8E1", "8O1", "8N2"]), default="8N1", show_default=True)
@click.option("--address", help="资料上的地址 / address on the data sheet: 30, 40031 or 0x1E (never taken for 4xxxx).")
@click.option("--function", type=click.Choice(["3", "4"]), help="3 保持 / holding, 4 输入 / input registers.")
@click.option(
    "--pause",
    "pause_s",
    type=Finite(0, 3600),
    default=10.0,
    show_default=True,
    help="两次读数间隔 s / between two numbers of one point.",
)
@click.option("--name", default="point", show_default=True, help="新测点名 / name of a new point in the YAML line.")
@click.option(
    "--write",
    "write_to",
    type=click.Path(dir_okay=False, path_type=Path),
    help="写入 devices.yaml,或新建型号文件 / change devices.yaml, or make a new profile file.",
)
@click.option("--via-service", is_flag=True, help="经正在运行的服务 / through the running service.")
@shared_options
def command(
    common: Common,
    where: tuple[str, ...],
    *,
    expects: tuple[str, ...],
    unit: int | None,
    baud: int,
    framing: str,
    address: str | None,
    function: str | None,
    pause_s: float,
    name: str,
    write_to: Path | None,
    via_service: bool,
) -> None:
    """Reads, searches, checks by physics, prints the YAML line and the same question for mbpoll."""
    from drivers.commissioning.search import Declared  # noqa: PLC0415 - heavy

    place = place_of(common, where, unit=unit, baud=baud, framing=framing, via_service=via_service)
    point = point_of(common, place, where)
    wishes = wishes_of(common, place, point, expects)
    kind = None if function is None else int(function)
    declared = Declared(kind) if address is None else _documented(common, address, function=kind)
    if not wishes:
        show(common, place, point, declared=declared)
    answers = asyncio.run(
        _probe(common, place, wishes, declared if address is not None or kind else None, pause_s=pause_s)
    )
    report(common, place, wishes, answers, name=name)
    if write_to is not None:
        write(common, place, wishes, answers, path=write_to, name=name)
    sys.exit(Exit.OK if all(answer.decided for answer in answers) else Exit.FINDING)


def _documented(common: Common, text: str, *, function: int | None) -> "Declared":
    """What --address means; says so where a number is not the address that goes over the wire."""
    from drivers.commissioning.probe import documented  # noqa: PLC0415 - heavy
    from drivers.commissioning.search import Declared  # noqa: PLC0415
    from edge_agent.cli import wires  # noqa: PLC0415

    plain = text.strip().lower()
    exact = plain.startswith("0x")
    try:
        number = int(plain, 16 if exact else 10)
    except ValueError:
        number = -1
    declared = Declared(function, number) if exact else documented(number, function=function)
    if number < 0 or declared.address is None or declared.address > ADDRESS_MAX:
        wires.end(
            common,
            "probe",
            Exit.USAGE,
            zh=f"--address {text}: 应为 0-{ADDRESS_MAX}、40031 之类的资料编号,或 0x1E",
            en=f"--address {text}: 0-{ADDRESS_MAX}, a number such as 40031, or 0x1E",
        )
    if declared.address != number:
        kind_zh, kind_en = KINDS[declared.function or 0]
        click.echo(
            common.pick(
                f"注意: {number} 按资料编号理解为第 {declared.address + 1} 个{kind_zh}(FC{declared.function},地址 "
                f"{declared.address})。若它就是报文里的地址,写 --address 0x{number:X}",
                f"note: {number} is taken for {kind_en} {declared.address + 1} of a data sheet (FC{declared.function}, "
                f"address {declared.address}). If it is the address on the wire, say --address 0x{number:X}",
            ),
            err=True,
        )
    elif function is not None and not exact and number >= NOTATION_MIN:
        click.echo(
            common.pick(
                f"注意: {number} 按报文里的地址理解(FC{function})",
                f"note: {number} is taken for the address on the wire (FC{function})",
            ),
            err=True,
        )
    return declared


async def _probe(
    common: Common, place: Place, wishes: list[Wish], stated: "Declared | None", *, pause_s: float
) -> "list[Answer]":
    """Reads as often as there are numbers, and asks for more of them at a terminal while something is undecided."""
    await place.bus.open()
    try:
        for number in range(max(len(wish.expected) for wish in wishes)):
            if number:
                await asyncio.sleep(pause_s)
            for wish in wishes:
                if number < len(wish.expected):
                    await _look(common, place, wish, stated, wish.expected[number])
        answers = [_conclude(place, wish, stated) for wish in wishes]
        while sys.stdin.isatty() and not common.as_json:
            open_ = [
                number
                for number, answer in enumerate(answers)
                if answer.judged and not answer.decided and len(wishes[number].looks) < LOOKS_MAX
            ]
            if not open_:
                break
            for number in open_:
                wish = wishes[number]
                typed = _ask_again(common, wish, answers[number])
                if typed is None:
                    return answers
                await _look(common, place, wish, stated, typed)
                answers[number] = _conclude(place, wish, stated)
        return answers
    finally:
        await place.bus.close()


def _ask_again(common: Common, wish: Wish, answer: "Answer") -> "Expected | None":
    from drivers.commissioning.expected import parse_expected  # noqa: PLC0415 - heavy
    from drivers.errors import GiveUpPoint  # noqa: PLC0415

    count = len(answer.judged)
    prompt = common.pick(
        f"{wish.point or '测点'}: 还有 {count} 种可能。等数值变化后,输入表上现在的数(回车结束)",
        f"{wish.point or 'point'}: {count} candidates. When it has changed, type what the meter shows (Enter ends)",
    )
    while True:
        typed = click.prompt(prompt, default="", show_default=False, err=True)
        if not typed:
            return None
        try:
            return parse_expected(typed)
        except GiveUpPoint as fault:
            click.echo(str(fault), err=True)


def _declared(place: Place, wish: Wish, stated: "Declared | None") -> "Declared":
    from drivers.commissioning.probe import declared_of  # noqa: PLC0415 - heavy
    from drivers.commissioning.search import Declared  # noqa: PLC0415

    if stated is not None:
        return stated
    if place.profile is not None and wish.point is not None:
        return declared_of(place.profile.points[wish.point])
    return Declared()


async def _look(common: Common, place: Place, wish: Wish, stated: "Declared | None", expected: "Expected") -> None:
    from drivers.commissioning.probe import look, spans_around, spans_of  # noqa: PLC0415 - heavy

    declared = _declared(place, wish, stated)
    if declared.address is None and place.profile is not None:
        spans = spans_of(place.profile)
    else:
        registers = 4 if place.profile is None or wish.point is None else max(4, place.profile.points[wish.point].count)
        spans = spans_around(declared, registers=registers)
    bar = Bar(common)
    label = common.pick("读寄存器", "registers")
    reached = await look(
        place.bus, place.unit, spans, profile=place.profile, progress=lambda done, total: bar.draw(label, done, total)
    )
    bar.end()
    if not reached.image:
        unreachable(common, place, reached)
    wish.looks.append((reached, expected))


def _conclude(place: Place, wish: Wish, stated: "Declared | None") -> "Answer":
    from drivers.commissioning.probe import conclude  # noqa: PLC0415 - heavy

    return conclude(wish.looks, declared=_declared(place, wish, stated), profile=place.profile, point=wish.point)
