"""`edge-agent probe` without a number: registers and values of a device as configured, or what an unknown one holds."""

import asyncio
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from edge_agent.cli.common import Common, Exit, emit
from edge_agent.cli.probe_place import Place, unreachable
from edge_agent.cli.probe_report import check_json, physics_words
from edge_agent.cli.progress import Bar

if TYPE_CHECKING:
    from drivers.commissioning.reach import Reached
    from drivers.commissioning.search import Declared


def show(common: Common, place: Place, point: str | None, *, declared: "Declared") -> None:
    """Reads the device as configured (or what an unknown one holds), shows registers and values, checks by physics.

    Args:
        common: what every verb shares.
        place: the device.
        point: only this one; None: all.
        declared: with an address: only the registers around it.
    """
    from drivers.commissioning.physics import check  # noqa: PLC0415
    from drivers.commissioning.probe import look, spans_around, spans_of, values_of  # noqa: PLC0415 - heavy

    profile = place.profile
    spans = spans_around(declared) if profile is None or declared.address is not None else spans_of(profile)
    bar, label = Bar(common), common.pick("读寄存器", "registers")

    async def read() -> "Reached":
        await place.bus.open()
        try:
            return await look(place.bus, place.unit, spans, progress=lambda done, total: bar.draw(label, done, total))
        finally:
            await place.bus.close()

    reached = asyncio.run(read())
    bar.end()
    if not reached.image:
        unreachable(common, place, reached)
    if profile is None or declared.address is not None:
        _show_registers(common, place, reached, zeros=declared.address is not None)
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
                "checks": [check_json(one) for one in checks],
            },
        )
    else:
        for line in _point_lines(common, place, names, values, reached):
            click.echo(line)
        for one in checks:
            click.echo(f"  {physics_words(common, (one,))}  ({', '.join(one.points)})")
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


def _show_registers(common: Common, place: Place, reached: "Reached", *, zeros: bool) -> None:
    """What registers hold; of a whole unknown device only those that are not zero."""
    from drivers.commissioning.mbpoll import read_question  # noqa: PLC0415 - heavy

    held = {key: word for key, word in sorted(reached.image.items()) if word or zeros}
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
    filled = sum(bool(word) for word in reached.image.values())
    first = next(iter(reached.image))
    click.echo("mbpoll: " + read_question(place.line, unit=place.unit, function=first[0], address=first[1], count=8))
    common.say(
        f"读到 {len(reached.image)} 个寄存器,{filled} 个非零。给出 --expect 表上数值 可找到它",
        f"{len(reached.image)} registers read, {filled} are not zero. --expect VALUE finds the one on the screen",
    )
