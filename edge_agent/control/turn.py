"""One cycle of one unit: what each step of its sequence looks at, and the commands that all of them give. Pure."""

from collections.abc import Mapping
from datetime import datetime

from edge_agent.control.actuation import mode_commands, run_command, stage_commands, tell_load
from edge_agent.control.command import Alarm, Because, Command
from edge_agent.control.hydraulics import way_proven
from edge_agent.control.memory import Phase, UnitMemory, enter
from edge_agent.control.permissives import path_open
from edge_agent.control.view import PlantView, UnitView
from edge_agent.control.want import Want
from edge_agent.settings.model import Control, SiteFile, Unit


def stop_commands(site: SiteFile, name: str, *, because: Because) -> tuple[Command, ...]:
    """Asks a unit not to run, and lets no stage in beyond the first: the next start begins with one."""
    unit = site.units[name]
    stages = stage_commands(name, unit, stage=1, because=because)
    return (run_command(name, unit, on=False, because=because), *stages)


class Turn:
    """A unit in this cycle; its memory moves on as steps are proven.

    Attributes:
        memory: the present phase.
        age_s: how long it has been in that phase [s].
    """

    def __init__(
        self,
        name: str,
        memory: UnitMemory,
        *,
        want: Want,
        view: PlantView,
        site: SiteFile,
        may_request: bool,
        achieved: Mapping[str, float] | None = None,
    ) -> None:
        self.name = name
        self.memory = memory
        self.want = want
        self.view = view
        self.site = site
        self.may_request = may_request
        self.achieved: Mapping[str, float] = achieved or {}
        self.unit: UnitView = view.units[name]
        self.config: Unit = site.units[name]
        self.control: Control = site.control
        self.now_utc: datetime = view.instant_utc
        self.age_s = memory.age_s(self.now_utc)

    def go(self, phase: Phase) -> None:
        """The next phase begins now."""
        self.memory = enter(self.memory, phase, self.now_utc)
        self.age_s = 0.0

    # ---------------------------------------------------------------------------------------------------- proofs

    def path_ready(self) -> bool:
        """Whether the way of its mode is proven open."""
        mode = self.memory.mode
        if mode is not None and not way_proven(self.site, self.view, mode):
            return False
        return mode != "charge" or path_open(self.site, self.view, self.config.storage)

    def pump_runs(self, pump: str) -> bool:
        """Whether a pump's feedback proves that it runs."""
        return self.view.pumps[pump].running is True

    def pump_alarms(self) -> tuple[Alarm, ...]:
        """Pumps of ours that do not run although the unit needs them."""
        if self.config.pump_owner != "agent":
            return ()
        return tuple(
            Alarm("pump_stopped", pump, self.now_utc, {"pump": pump})
            for pump in (self.config.source_pump, self.config.user_pump)
            if self.view.pumps[pump].running is False
        )

    # -------------------------------------------------------------------------------------------------- commands

    def request(self) -> Command:
        """Asks it to run."""
        return run_command(self.name, self.config, on=True, because=self.want.because)

    def withdraw(self) -> tuple[Command, ...]:
        """Sees to it that it is not asked to run."""
        return stop_commands(self.site, self.name, because=Because.SEQUENCE)

    def mode_command(self) -> tuple[Command, ...]:
        """Asks for the mode that it is sequenced into."""
        mode = self.memory.mode
        return () if mode is None else mode_commands(self.name, self.config, mode=mode, because=self.want.because)

    def unit_commands(self) -> tuple[Command, ...]:
        """Mode, set-point, limit and stages, in the order in which they may be written; notes the stage in memory."""
        mode = self.memory.mode
        if mode is None:
            return ()
        # A set-point belongs to a mode: that of a mode which the unit is not yet in would be wrong for it.
        told = tell_load(
            self.name,
            self.config,
            self.memory,
            setpoint_degc=self.want.setpoint_degc.get(mode),
            limit_ratio=self.want.limit_ratio.get(mode),
            view=self.view,
            achieved=self.achieved,
            because=self.want.because,
            lowest_degc=self.site.loops[self.config.loop].supply_degc_min,
        )
        self.memory = told.memory
        return (*self.mode_command(), *told.commands)
