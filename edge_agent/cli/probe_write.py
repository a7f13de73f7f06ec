"""Writes what `edge-agent probe` has found into devices.yaml or a new profile, and shows the difference first."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_agent.cli.common import Common, Exit
from edge_agent.cli.probe_place import Place, Wish
from edge_agent.cli.probe_report import changes_of, yaml_line

if TYPE_CHECKING:
    from drivers.commissioning.probe import Answer


def write(common: Common, place: Place, wishes: list[Wish], answers: "list[Answer]", *, path: Path, name: str) -> None:
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
        changes = changes_of(place, wish, answer)
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
        lines.append("  " + yaml_line(place, wish, answer, name=name))
    return "\n".join(lines) + "\n"
