"""Every shipped profile is made wrong in one place at a time; a test of the default suite must notice each.

Usage: mutants.py      prints how many wrong profiles there were and which of them nothing noticed; none may be left.
"""

import copy
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from drivers.catalogue import shipped
from drivers.errors import ProfileFault
from drivers.profile import Profile
from drivers.profile_file import parse_profile

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "drivers"))

import test_profile_facts as facts
import test_profile_golden as golden

OTHER_TYPE = {"i16": "u16", "u16": "i16", "u32": "i32", "i32": "u32", "f32": "u32", "u64": "i64"}
OTHER_UNIT = {"kW": "W", "W": "kW", "kWh": "Wh", "Wh": "kWh", "degC": "degF", "GJ": "kWh", "m3/h": "L/h", "": "kW"}
OTHER_ORDER = {"high_first": "low_first", "low_first": "high_first"}
HOLDING, INPUT = 3, 4

Entry = dict[str, Any]


def wrong(data: Entry, point: str) -> Iterator[tuple[str, Entry]]:
    """One entry of a profile, wrong in one way at a time."""
    entry = data["points"][point]

    def changed(change: Callable[[Entry], None], place: int | None) -> Entry:
        new = copy.deepcopy(data)
        target = new["points"][point]
        change(target if place is None else target["parts"][place])
        return new

    for place in range(len(entry["parts"])) if "parts" in entry else (None,):
        part = entry if place is None else entry["parts"][place]
        order = part.get("word_order", data.get("word_order", "high_first"))
        ways: dict[str, tuple[str, object]] = {
            "address + 1": ("address", part["address"] + 1),
            "address - 1": ("address", part["address"] - 1),
            "scale x 10": ("scale", part.get("scale", 1) * 10),
            "byte order": ("byte_order", "low_first"),
        }
        if part["type"] in OTHER_TYPE:
            ways["type"] = ("type", OTHER_TYPE[part["type"]])
        if part["type"] in ("u32", "i32", "f32", "u64"):
            ways["word order"] = ("word_order", OTHER_ORDER[order])
        for way, (key, value) in ways.items():
            yield way, changed(lambda target, key=key, value=value: target.update({key: value}), place)  # type: ignore[misc]
    if entry["function"] in (HOLDING, INPUT):
        yield "function", changed(lambda target: target.update(function=HOLDING + INPUT - target["function"]), None)
    unit = OTHER_UNIT.get(entry.get("unit", ""))
    if unit is not None:
        yield "unit", changed(lambda target: target.update(unit=unit), None)


def noticed(name: str, profile: Profile) -> bool:
    """Whether one of the tests that hold profiles against documents fails."""
    known: Mapping[str, Profile] = {name: profile}
    for test in (
        facts.test_points_are_those_of_the_facts,
        facts.test_line_and_limits_are_those_of_the_facts,
        golden.test_registers_mean_what_the_makers_table_says,
    ):
        try:
            test(name, known)
        except (AssertionError, KeyError, IndexError):
            return True
    return False


def main() -> int:
    """Tries every wrong profile."""
    tried, unnoticed = 0, []
    for name, path in shipped().items():
        if name.startswith("generic_"):
            continue
        right = parse_profile(YAML().load(path.read_text(encoding="utf-8")), name=name)
        assert not noticed(name, right), f"{name}: the tests fail without any mistake"
        data = {key: copy.deepcopy(value) for key, value in right.data.items()}
        for point in right.points:
            for way, mutant in wrong(data, point):
                try:
                    profile = parse_profile(mutant, name=name)
                except ProfileFault:
                    continue
                tried += 1
                if not noticed(name, profile):
                    unnoticed.append(f"{name}.{point}: {way}")
    print(f"wrong profiles {tried}, noticed {tried - len(unnoticed)}")
    print("\n".join(unnoticed))
    return 1 if unnoticed or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
