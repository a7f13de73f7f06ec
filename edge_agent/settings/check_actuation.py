"""Checks of what a unit can be told: points that must be there, stages that make sense, proofs without which no start.

As in `check.py` they work on the files as they were read, and stay silent where a value has not even the right form.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from drivers.profile import Access, Profile
from edge_agent.settings.finding import Finding
from edge_agent.settings.unit_points import (
    COMMANDS,
    CONTACTS,
    DEFAULTS,
    ONLY_STAGED,
    STAGED,
    foreign_roles,
    point_of,
)
from edge_agent.settings.yaml_file import Document, Path_

STAGE_KEYS = ("stage_ratios", "stage_up_s", "stage_down_s", "stage_proof_s")
RATIOS_MIN = 2
"""One stage is no stages: such a unit is on or off."""


def writable(profile: Profile, point: str) -> bool:
    """Whether a profile lets a point be written."""
    return point in profile.points and profile.points[point].access in {Access.READ_WRITE, Access.WRITE}


def check_actuation(site: Document, profiles: Mapping[str, Profile]) -> Iterator[Finding]:
    """Every unit: has it what its actuation needs, and nothing that means nothing to it?"""
    units = site.data.get("units")
    meters = site.data.get("meters")
    metered = meters.get("units") if isinstance(meters, Mapping) else None
    for name, unit in units.items() if isinstance(units, Mapping) else ():
        if isinstance(name, str) and isinstance(unit, Mapping) and unit.get("actuation") in DEFAULTS:
            has_meter = isinstance(metered, Mapping) and name in metered
            yield from _Unit(site, name, unit, profiles).findings(has_meter=has_meter)


class _Unit:
    """One unit of the file."""

    def __init__(self, site: Document, name: str, unit: Mapping[str, Any], profiles: Mapping[str, Profile]) -> None:
        self.site = site
        self.name = name
        self.unit = unit
        self.at: Path_ = ("units", name)
        self.profiles = profiles
        self.actuation: str = unit["actuation"]
        self.device = unit.get("device")
        points = unit.get("points")
        self.points: Mapping[str, Any] = points if isinstance(points, Mapping) else {}
        modes = unit.get("modes")
        self.charges = isinstance(modes, list) and "charge" in modes
        ratios = unit.get("stage_ratios")
        self.ratios: list[Any] = ratios if isinstance(ratios, list) else []

    def findings(self, *, has_meter: bool) -> Iterator[Finding]:
        yield from self._foreign()
        yield from self._ratios()
        yield from self._stages()
        yield from self._watchdog()
        for role in self._needed():
            yield from self._need(role)
        for role in COMMANDS:
            yield from self._writes(role, self.points.get(role))
        contacts = self.points.get("stage_contacts")
        for point in contacts if isinstance(contacts, list) else ():
            yield from self._writes("stage_contacts", point)
        if self.actuation == CONTACTS and self.points.get("running", "") is None and not has_meter:
            yield self.site.finding("unit_no_feedback", (*self.at, "points", "running"), at_key=True, name=self.name)

    def _watchdog(self) -> Iterator[Finding]:
        """A unit that hears no heartbeat does not go over to its own panel when we are gone: somebody must know."""
        if self._point("heartbeat") is None:
            where: Path_ = ("points", "heartbeat") if "heartbeat" in self.points else ()
            yield self.site.finding("unit_no_watchdog", (*self.at, *where), at_key=True, warning=True, name=self.name)

    def _foreign(self) -> Iterator[Finding]:
        """Keys that mean nothing to this actuation: somebody thought they did."""
        keys = [] if self.actuation in STAGED else [key for key in STAGE_KEYS if key in self.unit]
        places: list[Path_] = [(*self.at, key) for key in keys]
        foreign = foreign_roles(self.actuation)
        if self.actuation in STAGED and not self.ratios:
            foreign |= ONLY_STAGED
        places += [(*self.at, "points", role) for role in self.points if role in foreign]
        for place in places:
            yield self.site.finding("unit_key_foreign", place, at_key=True, key=place[-1], actuation=self.actuation)

    def _ratios(self) -> Iterator[Finding]:
        if self.actuation not in STAGED:
            return
        at = (*self.at, "stage_ratios")
        if not self.ratios:
            if self.actuation == "stages":
                yield self.site.finding("stages_missing", self.at, at_key=True, name=self.name)
            return
        numbers = [value for value in self.ratios if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) != len(self.ratios) or not all(math.isfinite(value) for value in numbers):
            return
        rises = all(after > before for before, after in pairwise(numbers))
        if len(numbers) < RATIOS_MIN or not rises or numbers[0] <= 0 or not math.isclose(numbers[-1], 1.0):
            yield self.site.finding("stage_ratios_form", at)

    def _stages(self) -> Iterator[Finding]:
        """What lets the stages in: one number, or a contact for each after the first, and not both."""
        if self.actuation not in STAGED or len(self.ratios) < RATIOS_MIN:
            return
        for key in ("stage_contacts", "stage_feedbacks"):
            contacts = self.points.get(key)
            if isinstance(contacts, list) and contacts and len(contacts) != len(self.ratios) - 1:
                yield self.site.finding(
                    "stage_contacts_count",
                    (*self.at, "points", key),
                    at_key=True,
                    key=key,
                    stages=len(self.ratios),
                    wanted=len(self.ratios) - 1,
                    given=len(contacts),
                )
        if self.points.get("stage_contacts") and isinstance(self.points.get("stage_request"), str):
            yield self.site.finding("stages_told_twice", (*self.at, "points", "stage_request"), at_key=True)

    def _needed(self) -> Iterator[str]:
        """Roles that must have a point."""
        yield "run_request"
        if self.charges:
            yield "charge_contact" if self.actuation == CONTACTS else "mode_request"
        if self.unit.get("pump_owner") != "unit":
            yield from ("user_flow", "source_flow")
        if self.actuation != CONTACTS:
            yield from ("state", "remote")
            for role in ("mode_actual", "mode_request", "alarm_code", "heartbeat"):
                if role not in self.points:
                    yield role
        else:
            yield from (role for role in ("running", "fault", "remote") if role not in self.points)
        if self.actuation in ("capacity_ratio", "supply_setpoint"):
            yield "supply_setpoint"
        if self.actuation == "capacity_ratio":
            yield "capacity_limit"
        if self.actuation in STAGED and self.ratios:
            if not self.points.get("stage_contacts"):
                yield "stage_request"
            if self.actuation == "stages" and "supply_setpoint" not in self.points:
                yield "supply_setpoint"
            elif self._point("supply_setpoint") is None:
                yield "user_supply_temperature"

    def _point(self, role: str) -> str | None:
        device = self.device if isinstance(self.device, str) else ""
        return point_of(role, actuation=self.actuation, device=device, points=self.points)

    def _need(self, role: str) -> Iterator[Finding]:
        point = self._point(role)
        if point is None:
            if role in self.points and not (self.points[role] is None or isinstance(self.points[role], str)):
                return  # not even the right form
            named: Path_ = ("points", role) if role in self.points else ("device",)
            where = (*self.at, *named)
            yield self.site.finding(
                "unit_lacks_role",
                where,
                at_key=role in self.points,
                name=self.name,
                role=role,
                actuation=self.actuation,
            )
            return
        if role in self.points:
            return  # does it exist, and may it be written: asked of every point that is named
        device, _, short = point.partition(".")
        profile = self.profiles.get(device)
        if profile is None:
            return
        told = role in {"capacity_limit", "supply_setpoint", "stage_request"}
        where = (*self.at, "actuation" if told else "device")
        if role in COMMANDS and not writable(profile, short):
            code = "device_lacks_command"
        elif short not in profile.points:
            code = "device_lacks_point"
        else:
            return
        yield self.site.finding(code, where, device=device, profile=profile.name, point=short)

    def _writes(self, role: str, given: object) -> Iterator[Finding]:
        """A command that is named in the file must be writable; that it exists is asked elsewhere."""
        if not isinstance(given, str):
            return
        device, _, short = given.partition(".")
        profile = self.profiles.get(device)
        if profile is not None and short in profile.points and not writable(profile, short):
            yield self.site.finding(
                "device_lacks_command",
                (*self.at, "points", role),
                device=device,
                profile=profile.name,
                point=short,
            )
