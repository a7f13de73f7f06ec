"""`edge-agent probe`: with the value on the meter's screen finds address, type, order and scale. Reads only."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_agent.cli.common import Common, Exit, emit, shared_options

if TYPE_CHECKING:
    from drivers.bus.base import Bus
    from drivers.commissioning.expected import Expected
    from drivers.commissioning.mbpoll import Line, Question
    from drivers.commissioning.physics import Check
    from drivers.commissioning.probe import Answer
    from drivers.commissioning.reach import Reached
    from drivers.commissioning.search import Candidate, Declared
    from drivers.profile import Profile
    from edge_agent.settings.load import Configuration

SHOWN_MAX = 6
LOOKS_MAX = 4
"""Numbers asked for at a terminal before it is left at several candidates."""


@dataclass(slots=True)
class Place:
    """A unit on a wire, as this verb needs it."""

    device: str
    bus: "Bus"
    unit: int
    line: "Line"
    profile: "Profile | None" = None
    configuration: "Configuration | None" = None


@dataclass(slots=True)
class Wish:
    """One point that is looked for, and the numbers its screen shows, in the order of time."""

    point: str | None
    expected: "list[Expected]"
    looks: "list[tuple[Reached, Expected]]" = field(default_factory=list)


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
@click.option(
    "--address", type=click.IntRange(0, 465_536), help="资料上的地址 / address on the data sheet: 30 or 40031."
)
@click.option("--function", type=click.Choice(["3", "4"]), help="3 保持 / holding, 4 输入 / input registers.")
@click.option(
    "--pause",
    "pause_s",
    type=click.FloatRange(0, 3600),
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
    address: int | None,
    function: str | None,
    pause_s: float,
    name: str,
    write_to: Path | None,
    via_service: bool,
) -> None:
    """Reads, searches, checks by physics, prints the YAML line and the same question for mbpoll."""
    from drivers.commissioning.probe import documented  # noqa: PLC0415 - heavy
    from drivers.commissioning.search import Declared  # noqa: PLC0415

    place = _place(common, where, unit=unit, baud=baud, framing=framing, via_service=via_service)
    point = _point(common, place, where)
    wishes = _wishes(common, place, point, expects)
    if not wishes:
        _show(common, place, point)
    kind = None if function is None else int(function)
    declared = Declared(kind) if address is None else documented(address, function=kind)
    answers = asyncio.run(
        _probe(common, place, wishes, declared if address is not None or kind else None, pause_s=pause_s)
    )
    _report(common, place, wishes, answers, name=name)
    if write_to is not None:
        _write(common, place, wishes, answers, path=write_to, name=name)
    sys.exit(Exit.OK if all(answer.decided for answer in answers) else Exit.FINDING)


# ------------------------------------------------------------------------------------------------- what is asked for


def _place(
    common: Common, where: tuple[str, ...], *, unit: int | None, baud: int, framing: str, via_service: bool
) -> Place:
    """Finds the device, in the configuration or on the wire that is named."""
    from drivers.commissioning.scan import Setting  # noqa: PLC0415 - heavy
    from edge_agent.cli import wires  # noqa: PLC0415
    from edge_agent.field import ServiceBus, Target, ask_wire  # noqa: PLC0415

    wires.quiet()
    if where[0] not in ("rtu", "tcp"):
        return _configured(common, where[0], via_service=via_service)
    if len(where) < 2 or unit is None:  # noqa: PLR2004 - kind and place
        wires.end(
            common,
            "probe",
            Exit.USAGE,
            zh=f"probe {where[0]} 后面要写串口或主机,并用 --unit 给出站号",
            en=f"probe {where[0]} needs a port or host, and --unit with the unit number",
        )
    if where[0] == "rtu":
        target = Target(port=where[1], setting=Setting(baud, framing))
    else:
        target = wires.parse_host(common, "probe", where[1])
    owned = wires.owned_bus(common, "probe", target, via_service=via_service)
    bus: Bus
    if owned is None:
        bus = ask_wire(target, timeout_s=1.0)
    else:
        bus = ServiceBus(owned[0], state_dir=owned[1].site.storage_media.state_dir)
    return Place(f"{where[0]} {where[1]} --unit {unit}", bus, unit, target.line)


def _configured(common: Common, device: str, *, via_service: bool) -> Place:
    from drivers.commissioning.mbpoll import Line  # noqa: PLC0415 - heavy
    from edge_agent.cli import wires  # noqa: PLC0415
    from edge_agent.field import ServiceBus, service_runs, target_of  # noqa: PLC0415
    from edge_agent.settings.load import load_configuration  # noqa: PLC0415
    from edge_agent.wiring import build_buses  # noqa: PLC0415

    configuration = load_configuration(common.config)
    entry = configuration.devices.devices.get(device)
    if entry is None:
        known = ", ".join(configuration.devices.devices)
        wires.end(
            common,
            "probe",
            Exit.USAGE,
            zh=f"没有设备 {device};已配置: {known}。未配置的用 probe rtu 串口 --unit 站号",
            en=f"no device {device}; configured: {known}. One that is not yet: probe rtu PORT --unit N",
        )
    state_dir = configuration.site.storage_media.state_dir
    bus: Bus
    if service_runs(state_dir):
        if not via_service:
            wires.busy(common, "probe", entry.bus)
        bus = ServiceBus(entry.bus, state_dir=state_dir)
    else:
        bus = build_buses(configuration)[entry.bus]
    target = target_of(configuration.devices.buses[entry.bus])
    line = Line("HOST", port=502) if target is None else target.line
    return Place(device, bus, entry.unit, line, configuration.profiles[device], configuration)


def _point(common: Common, place: Place, where: tuple[str, ...]) -> str | None:
    """The point on the command line, if there is one and the device has it."""
    from edge_agent.cli import wires  # noqa: PLC0415 - heavy

    rest = where[1:] if place.profile is not None else where[2:]
    if not rest:
        return None
    if len(rest) > 1 or place.profile is None:
        wires.end(
            common, "probe", Exit.USAGE, zh=f"多余的参数: {' '.join(rest)}", en=f"too many words: {' '.join(rest)}"
        )
    return _known_point(common, place.profile, rest[0].removeprefix(f"{place.device}."))


def _known_point(common: Common, profile: "Profile", point: str) -> str:
    from drivers.profile_check import nearest  # noqa: PLC0415 - heavy
    from edge_agent.cli import wires  # noqa: PLC0415

    if point not in profile.points:
        wires.end(
            common,
            "probe",
            Exit.USAGE,
            zh=f"{profile.name} 没有测点 {point}{nearest(point, profile.points)}",
            en=f"{profile.name} has no point {point}{nearest(point, profile.points)}",
        )
    return point


def _wishes(common: Common, place: Place, point: str | None, expects: tuple[str, ...]) -> list[Wish]:
    """Numbers by point; without a name they belong to the point on the command line."""
    from drivers.commissioning.expected import parse_expected  # noqa: PLC0415 - heavy
    from drivers.errors import GiveUpPoint  # noqa: PLC0415
    from edge_agent.cli import wires  # noqa: PLC0415

    wishes: dict[str | None, Wish] = {}
    for text in expects:
        name, mark, number = text.rpartition("=")
        named = point if not mark else name.strip()
        if mark and place.profile is not None and named is not None:
            named = _known_point(common, place.profile, named.removeprefix(f"{place.device}."))
        try:
            expected = parse_expected(number)
        except GiveUpPoint as fault:
            wires.end(common, "probe", Exit.USAGE, zh=str(fault), en=str(fault))
        wishes.setdefault(named, Wish(named, [])).expected.append(expected)
    return list(wishes.values())


# ------------------------------------------------------------------------------------------------------------ reading


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
    reached = await look(place.bus, place.unit, spans, profile=place.profile)
    if not reached.image:
        _unreachable(common, place, reached)
    wish.looks.append((reached, expected))


def _unreachable(common: Common, place: Place, reached: "Reached") -> None:
    from edge_agent.cli import wires  # noqa: PLC0415 - heavy

    if reached.refused:
        code = next(iter(reached.refused.values()))
        zh = f"{place.device}: 设备在,但拒绝了所有读取(异常 {code}):查功能码和地址"
        en = f"{place.device}: it is there and refuses every read (exception {code}): check function and address"
    elif reached.damaged:
        zh = f"{place.device}: 只有杂乱字节:查波特率、校验、终端电阻,以及是否有两台同号"
        en = f"{place.device}: stray bytes only: check speed, parity, terminator, and for two units of one number"
    else:
        zh = f"{place.device}: 没有应答:查供电、接线、站号、波特率;edge-agent scan 可以查找"
        en = f"{place.device}: silence: check power, wires, unit number, speed; edge-agent scan finds them"
    wires.end(common, "probe", Exit.DEVICE, zh=zh, en=en)


def _conclude(place: Place, wish: Wish, stated: "Declared | None") -> "Answer":
    from drivers.commissioning.probe import conclude  # noqa: PLC0415 - heavy

    return conclude(wish.looks, declared=_declared(place, wish, stated), profile=place.profile, point=wish.point)


# ------------------------------------------------------------------------------------------------- what was found


def _report(common: Common, place: Place, wishes: list[Wish], answers: "list[Answer]", *, name: str) -> None:
    """Prints candidates, the YAML line and the mbpoll command of every point."""
    if common.as_json:
        points = [_as_json(place, wish, answer, name=name) for wish, answer in zip(wishes, answers, strict=True)]
        emit("probe/1", {"device": place.device, "unit": place.unit, **points[0], "points": points})
        return
    for wish, answer in zip(wishes, answers, strict=True):
        for line in _lines(common, place, wish, answer, name=name):
            click.echo(line)


def _as_json(place: Place, wish: Wish, answer: "Answer", *, name: str) -> dict[str, object]:
    matches = []
    for one in answer.judged:
        candidate = one.candidate
        asked = _question(place, candidate, answer.reached)
        matches.append(
            {
                "function": candidate.function,
                "address": candidate.address,
                "type": candidate.encoding.type,
                "order": candidate.encoding.letters,
                "scale": float(candidate.scale),
                "unit": candidate.unit,
                "value": candidate.value,
                "registers": list(candidate.registers(answer.reached.image)),
                "exact": not candidate.moving,
                "unlikely_bits": round(candidate.unlikely_bits, 2),
                "checks": [_check_json(check) for check in one.checks],
                "mbpoll": asked.command,
                "mbpoll_shows": asked.shows,
            }
        )
    return {
        "point": wish.point,
        "expected": wish.looks[-1][1].value,
        "matches": matches,
        "decided": answer.decided,
        "as_documented": answer.as_documented,
        "factor": None if answer.factor is None else float(answer.factor),
        "yaml": None if answer.as_documented else _yaml(place, wish, answer, name=name) or None,
    }


def _check_json(check: "Check") -> dict[str, object]:
    return {
        "law": check.code,
        "points": list(check.points),
        "value": check.value,
        "expected": check.expected,
        "holds": check.holds,
    }


def _question(place: Place, candidate: "Candidate", reached: "Reached") -> "Question":
    from drivers.commissioning.mbpoll import question  # noqa: PLC0415 - heavy

    return question(
        place.line,
        unit=place.unit,
        function=candidate.function,
        address=candidate.address,
        encoding=candidate.encoding,
        registers=candidate.registers(reached.image),
    )


def _changes(place: Place, wish: Wish, answer: "Answer") -> dict[str, object]:
    """Keys that the file needs: of a change of the device's point, or of a new point."""
    from drivers.commissioning.probe import keys, scaled_parts  # noqa: PLC0415 - heavy

    spec = None if place.profile is None or wish.point is None else place.profile.points[wish.point]
    if answer.factor is not None and spec is not None:
        return scaled_parts(spec, answer.factor)
    return keys(answer.judged[0].candidate, spec) if answer.judged else {}


def _yaml(place: Place, wish: Wish, answer: "Answer", *, name: str) -> str:
    """The line for the file."""
    from edge_agent.settings.patch import flow  # noqa: PLC0415 - heavy

    changes = _changes(place, wish, answer)
    if not changes:
        return ""
    if place.profile is not None and wish.point is not None:
        return f"{place.device}: points: {flow({wish.point: changes})}"
    named = wish.point or name
    return f"{named}: {flow({'zh': named, 'en': named, **changes})}"


def _lines(common: Common, place: Place, wish: Wish, answer: "Answer", *, name: str) -> list[str]:
    from edge_agent.cli.wires import table  # noqa: PLC0415 - heavy

    pick = common.pick
    expected = wish.looks[-1][1]
    title = f"{place.device}{'.' + wish.point if wish.point else ''} = {expected.shown} {expected.unit}".rstrip()
    if answer.factor is not None:
        return [title, *_whole_lines(common, place, wish, answer)]
    if not answer.judged:
        span = len(answer.reached.image)
        return [
            title,
            pick(
                f"  读到 {span} 个寄存器,没有一种解释与之相符。核对表上数值;用 --address 给出资料上的地址",
                f"  {span} registers read, nothing in them shows this."
                " Check the number, or give the data sheet's --address",
            ),
        ]
    rows = []
    for number, one in enumerate(answer.judged[:SHOWN_MAX]):
        candidate = one.candidate
        words = " ".join(f"0x{word:04X}" for word in candidate.registers(answer.reached.image))
        mark = ("=" if answer.decided else "?") if number == 0 else " "
        rows.append(
            [
                mark,
                f"FC{candidate.function} {candidate.address}",
                words,
                f"{candidate.encoding.type} {candidate.encoding.letters}",
                f"x {float(candidate.scale):g} {candidate.unit}".rstrip(),
                f"{candidate.value:.8g} {expected.unit or candidate.unit}".rstrip(),
                _physics(common, one.checks) or (pick("数值在变?", "it moved?") if candidate.moving else ""),
            ]
        )
    lines = [title, *("  " + line for line in table(rows))]
    first = answer.judged[0].candidate
    if len(answer.judged) > SHOWN_MAX:
        lines.append(
            pick(f"  ... 另有 {len(answer.judged) - SHOWN_MAX} 种", f"  ... {len(answer.judged) - SHOWN_MAX} more")
        )
    lines.append("  " + _verdict(common, place, wish, answer))
    line = _yaml(place, wish, answer, name=name)
    broken = first.moving or any(not check.holds for check in answer.judged[0].checks)
    if line and not answer.as_documented and not broken:
        lines.append("  YAML:   " + line + ("" if answer.decided else pick("   # 还不能确定", "   # not decided")))
    asked = _question(place, first, answer.reached)
    lines.append("  mbpoll: " + asked.command)
    lines.append(pick(f"          应显示 {asked.shows}", f"          must show {asked.shows}"))
    return lines


def _whole_lines(common: Common, place: Place, wish: Wish, answer: "Answer") -> list[str]:
    """A point of several parts: right as it stands, or by another factor."""
    from drivers.commissioning.mbpoll import read_question  # noqa: PLC0415 - heavy

    assert place.profile is not None
    assert wish.point is not None
    assert answer.factor is not None
    spec = place.profile.points[wish.point]
    pick = common.pick
    if answer.as_documented:
        lines = ["  " + pick("与配置一致,无需修改", "as configured: nothing to change")]
    elif not answer.decided:
        lines = [
            "  "
            + pick("与配置相差 2 % 以内,数值在变的话再试", "within 2 % of the configuration: if it moves, try again")
        ]
    else:
        times = f"{float(answer.factor):.6g}"
        lines = [
            "  "
            + pick(
                f"各部分须乘 {times}(表内单位或倍率设置不同)", f"all parts x {times} (unit or multiplier of the meter)"
            ),
            "  YAML:   " + _yaml(place, wish, answer, name=""),
        ]
    words = read_question(place.line, unit=place.unit, function=spec.function, address=spec.first, count=spec.count)
    return [*lines, "  mbpoll: " + words]


def _physics(common: Common, checks: "tuple[Check, ...]") -> str:
    from edge_agent.texts.catalogue import text  # noqa: PLC0415 - heavy

    words = []
    for check in checks:
        law = getattr(text(f"law_{check.code}"), common.language)
        other = "" if check.expected is None else f" {check.value:.4g}/{check.expected:.4g}"
        words.append(f"{law}{other} {common.pick('符合', 'holds') if check.holds else common.pick('不符', 'FAILS')}")
    return "; ".join(words)


def _verdict(common: Common, place: Place, wish: Wish, answer: "Answer") -> str:
    from drivers.commissioning.search import MOVING_RATIO  # noqa: PLC0415 - heavy

    pick = common.pick
    if answer.as_documented:
        return pick("与配置一致,无需修改", "as configured: nothing to change")
    if not answer.decided and answer.judged[0].candidate.moving:
        return pick(
            f"没有恰好相符的;差 {100 * MOVING_RATIO:.0f} % 以内的列在上面。数值在变的话,读表后马上再试",
            f"nothing fits exactly; within {100 * MOVING_RATIO:.0f} % is what is listed. If it moves, try again",
        )
    if not answer.decided:
        return pick(
            "还不能确定:数值变化后再给一次 --expect,位数越多越好",
            "not decided: give a second --expect when the value has changed; more digits say more",
        )
    first = answer.judged[0].candidate
    if place.profile is None or wish.point is None:
        return pick("唯一相符", "the only one that fits")
    off = first.address - place.profile.points[wish.point].first
    if off:
        return pick(
            f"唯一相符;地址与型号文件差 {off:+d}", f"the only one that fits; {off:+d} from the profile's address"
        )
    return pick("唯一相符;与型号文件不同,见 YAML", "the only one that fits; differs from the profile, see YAML")


# -------------------------------------------------------------------------------------- reading without a number


def _show(common: Common, place: Place, point: str | None) -> None:
    """Reads the device as configured (or what an unknown one holds), shows registers and values, checks by physics."""
    from drivers.commissioning.physics import check  # noqa: PLC0415
    from drivers.commissioning.probe import look, spans_around, spans_of, values_of  # noqa: PLC0415 - heavy
    from drivers.commissioning.search import Declared  # noqa: PLC0415

    profile = place.profile
    spans = spans_around(Declared()) if profile is None else spans_of(profile)

    async def read() -> "Reached":
        await place.bus.open()
        try:
            return await look(place.bus, place.unit, spans)
        finally:
            await place.bus.close()

    reached = asyncio.run(read())
    if not reached.image:
        _unreachable(common, place, reached)
    if profile is None:
        _show_registers(common, place, reached)
        sys.exit(Exit.OK)
    values = values_of(profile, reached.image)
    checks = check(values, profile=profile)
    if point is not None:
        checks = [one for one in checks if point in one.points]
    names = [name for name in profile.points if point in (None, name)]
    if common.as_json:
        emit(
            "probe/1",
            {
                "device": place.device,
                "unit": place.unit,
                "matches": _points_json(place, names, values, reached),
                "checks": [_check_json(one) for one in checks],
            },
        )
    else:
        for line in _point_lines(common, place, names, values, reached):
            click.echo(line)
        for one in checks:
            click.echo(f"  {_physics(common, (one,))}  ({', '.join(one.points)})")
    sys.exit(Exit.OK if all(one.holds for one in checks) else Exit.FINDING)


def _points_json(
    place: Place, names: list[str], values: Mapping[str, float], reached: "Reached"
) -> list[dict[str, object]]:
    from drivers.commissioning.encoding import REGISTERS, Encoding  # noqa: PLC0415 - heavy
    from drivers.commissioning.probe import plain  # noqa: PLC0415

    assert place.profile is not None
    rows: list[dict[str, object]] = []
    for name in names:
        spec = place.profile.points[name]
        part = spec.parts[0]
        kind = str(part.type)
        rows.append(
            {
                "point": name,
                "function": spec.function,
                "address": spec.first,
                "type": kind,
                "order": Encoding(kind, part.word_order, part.byte_order).letters if kind in REGISTERS else "",
                "scale": plain(part.scale),
                "unit": spec.unit,
                "value": values.get(name),
                "registers": [reached.image.get((spec.function, spec.first + n)) for n in range(spec.count)],
            }
        )
    return rows


def _point_lines(
    common: Common, place: Place, names: list[str], values: Mapping[str, float], reached: "Reached"
) -> list[str]:
    from drivers.commissioning.mbpoll import read_question  # noqa: PLC0415 - heavy
    from edge_agent.cli.wires import table  # noqa: PLC0415

    assert place.profile is not None
    rows = []
    for name in names:
        spec = place.profile.points[name]
        words = [reached.image.get((spec.function, spec.first + place_)) for place_ in range(spec.count)]
        shown = " ".join("----" if word is None else f"0x{word:04X}" for word in words)
        value = f"{values[name]:.6g} {spec.unit}".rstrip() if name in values else "-"
        rows.append([name, common.pick(spec.zh, spec.en), f"FC{spec.function} {spec.first}", shown, value])
    spec = place.profile.points[names[0]]
    command_ = read_question(place.line, unit=place.unit, function=spec.function, address=spec.first, count=spec.count)
    return [*table(rows), f"mbpoll: {command_}"]


def _show_registers(common: Common, place: Place, reached: "Reached") -> None:
    """An unknown device: what it holds that is not zero."""
    from drivers.commissioning.mbpoll import read_question  # noqa: PLC0415 - heavy

    held = {key: word for key, word in sorted(reached.image.items()) if word}
    if common.as_json:
        emit(
            "probe/1",
            {
                "device": place.device,
                "unit": place.unit,
                "matches": [],
                "registers": [{"function": f, "address": a, "value": word} for (f, a), word in held.items()],
                "read": len(reached.image),
            },
        )
        return
    for (function, address), word in held.items():
        click.echo(f"FC{function} {address:5d}  0x{word:04X}  {word:5d}")
    first = next(iter(reached.image))
    click.echo("mbpoll: " + read_question(place.line, unit=place.unit, function=first[0], address=first[1], count=8))
    common.say(
        f"读到 {len(reached.image)} 个寄存器,{len(held)} 个非零。给出 --expect 表上数值 可找到它",
        f"{len(reached.image)} registers read, {len(held)} are not zero. --expect VALUE finds the one on the screen",
    )


# ------------------------------------------------------------------------------------------------------------ writing


def _write(common: Common, place: Place, wishes: list[Wish], answers: "list[Answer]", *, path: Path, name: str) -> None:
    """Shows the difference, then writes: a change of devices.yaml, or a new profile file."""
    import difflib  # noqa: PLC0415 - only here

    from edge_agent.cli import wires  # noqa: PLC0415 - heavy

    if not all(answer.decided for answer in answers):
        wires.end(
            common,
            "probe",
            Exit.FINDING,
            zh="还不能确定,没有写入",
            en="not decided: nothing was written",
        )
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    after = _new_text(common, place, wishes, answers, before, path=path, name=name)
    if after == before:
        common.say("与文件一致,无需写入", "the file says so already")
        return
    for line in difflib.unified_diff(before.splitlines(), after.splitlines(), str(path), str(path), lineterm=""):
        click.echo(line, err=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(after, encoding="utf-8", newline="")
    temporary.replace(path)
    common.say(f"已写入 {path};运行 edge-agent check", f"written: {path}; run edge-agent check")


def _new_text(
    common: Common,
    place: Place,
    wishes: list[Wish],
    answers: "list[Answer]",
    before: str,
    *,
    path: Path,
    name: str,
) -> str:
    from edge_agent.cli import wires  # noqa: PLC0415 - heavy
    from edge_agent.settings.patch import with_point  # noqa: PLC0415

    if place.profile is None:
        if before:
            wires.end(
                common,
                "probe",
                Exit.USAGE,
                zh=f"{path} 已存在;新型号请写到新文件,已有文件请手工加入上面的 YAML 行",
                en=f"{path} exists; a new profile needs a new file, or add the YAML line above by hand",
            )
        return _profile_text(place, wishes, answers, name=name)
    if not before:
        wires.end(common, "probe", Exit.USAGE, zh=f"没有文件 {path}", en=f"no file {path}")
    text = before
    for wish, answer in zip(wishes, answers, strict=True):
        assert wish.point is not None
        changes = _changes(place, wish, answer)
        if changes and not answer.as_documented:
            text = with_point(text, device=place.device, point=wish.point, keys=changes, file=path.name)
    return text


def _profile_text(place: Place, wishes: list[Wish], answers: "list[Answer]", *, name: str) -> str:
    lines = [
        "# 由 edge-agent probe 生成,按资料补全 / made by edge-agent probe: complete it from the maker's table",
        "zh: 新型号",
        "en: New model",
        "maker: unknown",
        "category: other",
        "level: documented",
        "confidence: low",
        "sources:",
        f"  - {place.device}, edge-agent probe",
        "points:",
    ]
    for wish, answer in zip(wishes, answers, strict=True):
        lines.append("  " + _yaml(place, wish, answer, name=name))
    return "\n".join(lines) + "\n"
