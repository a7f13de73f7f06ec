"""Checks of the hydraulic modes and of thresholds of protection that must not stand the wrong way round.

As in `check.py` they work on the files as they were read, and stay silent where a value has not even the right form.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from edge_agent.settings.finding import Finding
from edge_agent.settings.form import nearest
from edge_agent.settings.yaml_file import Document

UNIT_MODES = ("direct", "charge")
ORDERED = (("freeze_act_k", 1.0, "freeze_warn_k", 2.0), ("over_act_k", 1.0, "over_stop_k", 3.0))
"""Thresholds of `control` with their defaults: the first must not be above the second."""


def check_modes(site: Document) -> Iterator[Finding]:
    """Modes: do they exist for what units can do, and can they be told apart?"""
    yield from _thresholds(site)
    modes, units = site.data.get("operating_modes"), site.data.get("units")
    if not isinstance(modes, Mapping) or not modes:
        return
    covered: set[str] = set()
    alike: dict[str, str] = {}
    for code, mode in modes.items():
        if not isinstance(mode, Mapping) or not isinstance(mode.get("units_in"), list):
            return
        for index, unit_mode in enumerate(mode["units_in"]):
            if isinstance(unit_mode, str) and unit_mode not in UNIT_MODES:
                yield site.finding(
                    "not_one_of",
                    ("operating_modes", code, "units_in", index),
                    given=unit_mode,
                    allowed=", ".join(UNIT_MODES),
                    write=nearest(unit_mode, UNIT_MODES) or UNIT_MODES[0],
                )
        covered |= {unit_mode for unit_mode in mode["units_in"] if isinstance(unit_mode, str)}
        looks = repr((sorted(map(str, mode["units_in"])), _sorted(mode.get("valves")), _sorted(mode.get("pumps"))))
        if looks in alike:
            yield site.finding("modes_alike", ("operating_modes", code), at_key=True, name=code, other=alike[looks])
        alike.setdefault(looks, str(code))
    for name, unit in units.items() if isinstance(units, Mapping) else ():
        listed = unit.get("modes") if isinstance(unit, Mapping) else None
        for unit_mode in listed if isinstance(listed, list) else ():
            if unit_mode in UNIT_MODES and unit_mode not in covered:
                yield site.finding("mode_without_way", ("units", name, "modes"), name=name, mode=unit_mode)


def _sorted(value: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - what a file says
    return sorted((str(key), str(entry)) for key, entry in value.items()) if isinstance(value, Mapping) else []


def _thresholds(site: Document) -> Iterator[Finding]:
    control = site.data.get("control")
    for lower, lower_default, upper, upper_default in ORDERED if isinstance(control, Mapping) else ():
        low, high = control.get(lower, lower_default), control.get(upper, upper_default)
        if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low > high:
            given = lower if lower in control else upper
            yield site.finding("threshold_order", ("control", given), lower=lower, upper=upper)
