"""Draws SUPPORTED.md from the shipped profiles: which models are known, how far each was proven, what bites.

Usage: draw_supported.py [--check]     (--check writes nothing and fails when the file is not what the profiles say)
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

from drivers.catalogue import shipped
from drivers.profile import HeatBalance, Order, PointSpec, Profile
from drivers.profile_file import parse_profile

REPOSITORY = Path(__file__).resolve().parent.parent
TABLE = REPOSITORY / "SUPPORTED.md"
HEAD = REPOSITORY / "tools" / "supported_head.md"
"""What stands above the tables."""
CATEGORIES = {
    "heat_meter": "热量表 / heat meters",
    "electricity_meter": "电能表 / electricity meters",
    "heat_pump": "热泵机组 / heat-pump units",
    "chiller": "冷水(热泵)机组 / chillers",
    "vfd": "变频器 / variable-frequency drives",
    "temperature_module": "温度模块 / temperature modules",
    "station_io": "站内 IO / station inputs and outputs",
}
COLUMNS = ("型号 / model", "名称 / name", "厂家 / maker", "点 / points", "可写 / writable")
COLUMNS += ("等级 / level", "可信度 / confidence", "特点 / special")
LEVELS = {"documented": "文档 documented", "simulated": "仿真 simulated", "recorded": "实录 recorded"}
CONFIDENCES = {"high": "高 high", "medium": "中 medium", "low": "低 low"}
GENERIC = "generic"
WRITES_MANY = 16


def profiles() -> list[Profile]:
    """Every shipped profile, in the order of its id."""
    files = {name: YAML().load(path.read_text(encoding="utf-8")) for name, path in sorted(shipped().items())}
    return [parse_profile(data, name=name) for name, data in files.items()]


def number(value: float) -> str:
    """A number as people write it."""
    return f"{value:g}"


def special(profile: Profile) -> Iterator[str]:
    """What sets a model apart, as the keys of its profile say it."""
    limits, specs = profile.limits, profile.points.values()
    rules = [spec.write for spec in specs if spec.write is not None]
    if not limits.block_read:
        yield "一次一个点 / one point a read"
    elif limits.registers_max < 125:  # noqa: PLR2004 - the protocol's own limit
        yield f"一次最多 {limits.registers_max} 个寄存器 / at most {limits.registers_max} registers"
    if limits.silent_beyond:
        yield "出错不回异常 / no exceptions"
    if any(part.word_order is Order.LOW_FIRST for spec in specs for part in spec.parts if part.type.registers > 1):
        yield "低字在前 / low word first"
    if any(spec.times for spec in specs):
        yield "乘互感器变比 / times transformer ratio"
    if any(isinstance(check, HeatBalance) for check in profile.checks):
        yield "热平衡校核 / heat balance checked"
    if any(not isinstance(check, HeatBalance) for check in profile.checks):
        yield "分相之和校核 / sum of phases checked"
    if any("counts" in spec.en for spec in specs):
        yield "部分点的单位在现场设定 / some units are set on site"
    if rules and all(rule.function == WRITES_MANY for rule in rules):
        yield "只用功能码 16 写 / written by function 16 only"
    if any(rule.unlock for rule in rules):
        yield "先解锁再写 / unlocked first"
    if any(rule.limits_by for rule in rules):
        yield "限值随模式 / bounds follow the mode"
    if any(rule.state_values for rule in rules):
        yield "指令与状态分开 / command and state apart"
    for seconds in sorted({rule.keep_alive_s for rule in rules if rule.keep_alive_s is not None}):
        yield f"看门狗 {number(seconds)} s / watchdog {number(seconds)} s"
    if any(rule.pulse for rule in rules):
        yield "脉冲指令 / pulse"
    for seconds in sorted({rule.wait_s for rule in rules if rule.wait_s and not rule.pulse}):
        yield f"指令间隔 {number(seconds)} s / {number(seconds)} s between commands"
    if any(rule.safe is not None for rule in rules):
        yield "指令有时效 / commands expire"
    if profile.identity:
        yield "可认表 / tells meters apart"


def bounds(spec: PointSpec) -> str:
    """What may be written to a point."""
    rule = spec.write
    assert rule is not None
    if spec.values:
        codes = [code for code in spec.values if rule.value_min <= code <= rule.value_max]
        what = " ".join(f"{number(code)}={spec.values[code].zh}" for code in codes)
    else:
        what = f"{number(rule.value_min)}..{number(rule.value_max)} {spec.unit}".strip()
    return f"`{spec.name}` {what}"


def rows(known: list[Profile]) -> Iterator[str]:
    """The tables, one a category."""
    for category, title in CATEGORIES.items():
        here = [profile for profile in known if profile.category == category]
        if not here:
            continue
        yield ""
        yield f"## {title}"
        yield ""
        yield f"| {' | '.join(COLUMNS)} |"
        yield "|---" * len(COLUMNS) + "|"
        for profile in here:
            writable = [spec for spec in profile.points.values() if spec.write is not None]
            cells = (
                f"[{profile.name}](#{profile.name})",
                f"{profile.zh}<br>{profile.en}",
                profile.maker,
                str(len(profile.points)),
                str(len(writable)) if writable else "只读 / no",
                LEVELS[profile.level.value],
                CONFIDENCES[profile.confidence],
                "<br>".join(special(profile)),
            )
            yield f"| {' | '.join(cells)} |"


def details(known: list[Profile]) -> Iterator[str]:
    """What bites, model by model."""
    yield ""
    yield "## 各型号须知 / What to know about each model"
    for profile in known:
        yield ""
        yield f"### {profile.name}"
        yield ""
        yield f"{profile.zh} / {profile.en}"
        yield ""
        for quirk in profile.quirks:
            yield f"- {quirk.zh}"
            yield f"  {quirk.en}"
        writable = [spec for spec in profile.points.values() if spec.write is not None]
        if writable and profile.maker != GENERIC:
            yield f"- 可写的点 / writable: {'; '.join(map(bounds, writable))}"
        yield f"- 来源 / sources: {'; '.join(profile.sources)}"


def text() -> str:
    """The whole file."""
    known = profiles()
    real = [profile for profile in known if profile.maker != GENERIC]
    simulated = sum(profile.level.value == "simulated" for profile in real)
    count = (
        f"\n实际型号 {len(real)} 个,其中 {simulated} 个有独立的仿真寄存器表。"
        f"/ {len(real)} real models, {simulated} of them with a simulated map of their own.\n"
    )
    return HEAD.read_text(encoding="utf-8") + count + "\n".join([*rows(known), *details(known)]) + "\n"


def main() -> int:
    """Draws, or checks."""
    drawn = text()
    if "--check" in sys.argv[1:]:
        if TABLE.is_file() and TABLE.read_text(encoding="utf-8") == drawn:
            return 0
        print("SUPPORTED.md is not what the profiles say: make supported")
        return 1
    TABLE.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
