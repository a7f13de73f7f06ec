"""What units give for what they are told: learned each cycle, kept in memory, told to planner and screen."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from edge_agent.control.actuation import Load, learn, load_given, stage_alarms, stage_count
from edge_agent.control.command import Alarm
from edge_agent.control.memory import ControlMemory
from edge_agent.control.view import PlantView
from edge_agent.control.want import Want
from edge_agent.settings.model import Performance, SiteFile


class Loads:
    """Of all units of a site.

    Args:
        site: the site file.
        performance: what each unit needs for what it gives; without it electricity says nothing of its load.
    """

    def __init__(self, site: SiteFile, performance: Mapping[str, Performance]) -> None:
        self._site = site
        self._performance = performance
        self._learned_utc: datetime | None = None

    def given_ratio(self, name: str, memory: ControlMemory, view: PlantView) -> float | None:
        """Share of its full heat that a unit gives now."""
        performance = self._performance.get(name)
        figures = None if performance is None else performance.modes.get(memory.unit(name).mode or "")
        return load_given(self._site.units[name], view.units[name], figures)

    def learn(self, memory: ControlMemory, wants: Mapping[str, Want], view: PlantView) -> ControlMemory:
        """The memory with what each unit has shown that it gives for what it was told."""
        now_utc = view.instant_utc
        before_utc, self._learned_utc = self._learned_utc, now_utc
        if before_utc is None:
            return memory
        # Two cycles at most: what happened while we were away is not known.
        step_s = min((now_utc - before_utc).total_seconds(), 2.0 * self._site.control.cycle_s)
        achieved = dict(memory.achieved)
        for name, unit in self._site.units.items():
            kept = memory.unit(name)
            known = learn(
                achieved.get(name, {}),
                unit,
                kept,
                told_ratio=wants[name].limit_ratio.get(kept.mode or ""),
                given_ratio=self.given_ratio(name, memory, view),
                step_s=step_s,
                now_utc=now_utc,
            )
            if known:
                achieved[name] = known
        return replace(memory, achieved=achieved)

    def alarms(self, memory: ControlMemory, view: PlantView) -> list[Alarm]:
        """Stages that do not show, or give nothing."""
        return [
            alarm
            for name, unit in self._site.units.items()
            for alarm in stage_alarms(
                name,
                unit,
                memory.unit(name),
                seen=view.units[name],
                given_ratio=self.given_ratio(name, memory, view),
                now_utc=view.instant_utc,
            )
        ]

    def of(self, name: str, memory: ControlMemory, view: PlantView) -> Load:
        """One unit's load, for the report."""
        unit = self._site.units[name]
        return Load(
            unit.actuation,
            stage=memory.unit(name).stage,
            stages=stage_count(unit),
            given_ratio=self.given_ratio(name, memory, view),
            achieved=memory.achieved.get(name, {}),
        )
