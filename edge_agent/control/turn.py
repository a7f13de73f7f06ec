"""One cycle of one unit: what each step of its sequence looks at, and the commands that all of them give. Pure."""

from datetime import datetime

from edge_agent.control.command import Alarm, Because, Command, Kind
from edge_agent.control.memory import Phase, UnitMemory, enter
from edge_agent.control.permissives import path_open
from edge_agent.control.view import MODE_NUMBERS, PlantView, UnitView
from edge_agent.control.want import Want
from edge_agent.settings.model import Control, SiteFile, Unit


def run_command(site: SiteFile, name: str, *, on: bool, because: Because) -> Command:
    """Asks a unit to run, or not to."""
    return Command(f"{site.units[name].device}.run_request", float(on), Kind.RUN_REQUEST, name, because)


class Turn:
    """A unit in this cycle; its memory moves on as steps are proven.

    Attributes:
        memory: the present phase.
        age_s: how long it has been in that phase [s].
    """

    def __init__(
        self, name: str, memory: UnitMemory, *, want: Want, view: PlantView, site: SiteFile, may_request: bool
    ) -> None:
        self.name = name
        self.memory = memory
        self.want = want
        self.view = view
        self.site = site
        self.may_request = may_request
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
        return self.memory.mode != "charge" or path_open(self.site, self.view, self.config.storage)

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
        return run_command(self.site, self.name, on=True, because=self.want.because)

    def withdraw(self) -> tuple[Command, ...]:
        """Sees to it that it is not asked to run."""
        return (run_command(self.site, self.name, on=False, because=Because.SEQUENCE),)

    def mode_command(self) -> tuple[Command, ...]:
        """Asks for the mode that it is sequenced into."""
        if self.memory.mode is None:
            return ()
        number = float(MODE_NUMBERS[self.memory.mode])
        return (Command(f"{self.config.device}.mode_request", number, Kind.MODE_REQUEST, self.name, self.want.because),)

    def unit_commands(self) -> tuple[Command, ...]:
        """Mode, set-point and limit, in the order in which they may be written."""
        commands = [*self.mode_command()]
        want, mode = self.want, self.memory.mode
        if mode is None:
            return ()
        # A set-point belongs to a mode: that of a mode which the unit is not yet in would be wrong for it.
        if mode in want.setpoint_degc:
            point = f"{self.config.device}.supply_setpoint"
            commands.append(Command(point, want.setpoint_degc[mode], Kind.SETPOINT, self.name, want.because))
        if mode in want.limit_ratio and self.config.actuation == "capacity_ratio":
            point = f"{self.config.device}.capacity_limit"
            commands.append(Command(point, want.limit_ratio[mode], Kind.CAPACITY_LIMIT, self.name, want.because))
        return tuple(commands)
