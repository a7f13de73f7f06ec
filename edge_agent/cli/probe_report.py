"""What `edge-agent probe` found: candidates, the line for the file, the same question for mbpoll; text or JSON."""

from typing import TYPE_CHECKING

import click

from edge_agent.cli.common import Common, emit
from edge_agent.cli.probe_place import Place, Wish

if TYPE_CHECKING:
    from drivers.commissioning.mbpoll import Question
    from drivers.commissioning.physics import Check
    from drivers.commissioning.probe import Answer
    from drivers.commissioning.reach import Reached
    from drivers.commissioning.search import Candidate


SHOWN_MAX = 6


def report(common: Common, place: Place, wishes: list[Wish], answers: "list[Answer]", *, name: str) -> None:
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
                "checks": [check_json(check) for check in one.checks],
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
        "yaml": None if answer.as_documented else yaml_line(place, wish, answer, name=name) or None,
    }


def check_json(check: "Check") -> dict[str, object]:
    """A law of physics as JSON."""
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


def changes_of(place: Place, wish: Wish, answer: "Answer") -> dict[str, object]:
    """Keys that the file needs: of a change of the device's point, or of a new point."""
    from drivers.commissioning.probe import keys, scaled_parts  # noqa: PLC0415 - heavy

    spec = None if place.profile is None or wish.point is None else place.profile.points[wish.point]
    if answer.factor is not None and spec is not None:
        return scaled_parts(spec, answer.factor)
    return keys(answer.judged[0].candidate, spec) if answer.judged else {}


def yaml_line(place: Place, wish: Wish, answer: "Answer", *, name: str) -> str:
    """The line for the file."""
    from edge_agent.settings.patch import flow  # noqa: PLC0415 - heavy

    changes = changes_of(place, wish, answer)
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
                physics_words(common, one.checks) or (pick("数值在变?", "it moved?") if candidate.moving else ""),
            ]
        )
    lines = [title, *("  " + line for line in table(rows))]
    first = answer.judged[0].candidate
    if len(answer.judged) > SHOWN_MAX:
        lines.append(
            pick(f"  ... 另有 {len(answer.judged) - SHOWN_MAX} 种", f"  ... {len(answer.judged) - SHOWN_MAX} more")
        )
    lines.append("  " + _verdict(common, place, wish, answer))
    line = yaml_line(place, wish, answer, name=name)
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
            "  YAML:   " + yaml_line(place, wish, answer, name=""),
        ]
    words = read_question(place.line, unit=place.unit, function=spec.function, address=spec.first, count=spec.count)
    return [*lines, "  mbpoll: " + words]


def physics_words(common: Common, checks: "tuple[Check, ...]") -> str:
    """Laws of physics in words."""
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
