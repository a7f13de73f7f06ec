"""Control without an agent: what the unit's own panel does after its watchdog has run out.

Each unit then follows a thermostat on the supply header with the local set-point, in direct mode, and starts and stops
its own two pumps. It writes the same registers and pump commands that the agent writes, so that taking over and handing
back are bumpless: an agent that comes reads what runs. The next write to a register of the unit takes it over again.
"""

from hil_sim.plant.pump import Pump
from hil_sim.plant.unit import Mode, State, Unit

# Design assumptions.
WATCHDOG_S = 600.0
LOCAL_SETPOINT_DEGC = 44.0
LEAVING_ABOVE_SETPOINT_K = 1.0
START_BELOW_K = 0.3
START_STAGE_K = 0.4
START_DELAY_S = 120.0
STOP_ABOVE_K = 2.5
STAGE_DOWN_LOAD_RATIO = (0.0, 0.42, 0.60, 0.68)
"""By stage: a unit leaves when those before it can carry the rest, with a margin; the first never leaves."""
STAGE_DOWN_DELAY_S = 900.0
STAGE_DELAY_S = 300.0
OVERRUN_S = 120.0


class LocalControl:
    """The panel of one unit.

    Args:
        unit: whose requests it writes.
        pumps: source and user pump of the unit.
        stage: 0 for the unit that starts first and stops last.
        stages: how many units there are.
        instant_s: when the plant begins [s since 1970]; nobody has written yet, so the panel is in charge.
    """

    __slots__ = (
        "_cold_s",
        "_low_load_s",
        "_pumps",
        "_stage_down_delay_s",
        "_stage_down_load_ratio",
        "_start_below_k",
        "_start_delay_s",
        "_unit",
        "active",
        "hand",
        "powered",
        "selected_s",
        "touched_s",
    )

    def __init__(self, unit: Unit, pumps: tuple[Pump, Pump], *, stage: int, stages: int, instant_s: float) -> None:
        self._unit = unit
        self._pumps = pumps
        self._start_below_k = START_BELOW_K + START_STAGE_K * stage
        self._start_delay_s = START_DELAY_S * (1 + stage)
        # The last unit goes first.
        self._stage_down_delay_s = STAGE_DOWN_DELAY_S + STAGE_DELAY_S * (stages - 1 - stage)
        self._stage_down_load_ratio = STAGE_DOWN_LOAD_RATIO[stage]
        self._cold_s = 0.0
        self._low_load_s = 0.0
        self.active = True
        self.touched_s = instant_s - WATCHDOG_S
        self.selected_s: float | None = None
        """When a person turned the selector at the unit to local; None: it stands on remote."""
        self.hand: bool | None = None
        """While it stands on local: on or off by hand; None: by the thermostat."""
        self.powered = True

    def touch(self, instant_s: float) -> None:
        """Notes a write to a register of the unit or to one of its pumps: the agent lives and is in charge."""
        if self.selected_s is not None:
            return
        self.touched_s = instant_s
        self.active = False
        self._cold_s = self._low_load_s = 0.0

    def select_local(self, instant_s: float, *, hand: bool | None = None) -> None:
        """A person turns the selector to local: from now on the panel commands, whoever writes."""
        self.selected_s = instant_s
        self.active = True
        self.hand = hand

    def select_remote(self, instant_s: float) -> None:
        """A person turns it back; whoever commands from remote has the watchdog's time to come."""
        self.selected_s = None
        self.hand = None
        self.touch(instant_s)

    def step(self, instant_s: float, step_s: float, *, header_degc: float) -> None:
        """Takes over when the watchdog has run out, and then decides."""
        if not self.powered:
            return
        if not self.active:
            if instant_s - self.touched_s < WATCHDOG_S:
                return
            self.active = True
        unit = self._unit
        unit.mode_request = Mode.DIRECT
        unit.setpoint_degc = LOCAL_SETPOINT_DEGC + LEAVING_ABOVE_SETPOINT_K
        unit.capacity_limit_ratio = 1.0
        unit.stage_request = max(1, len(unit.kind.stages))
        cold = header_degc < LOCAL_SETPOINT_DEGC - self._start_below_k
        self._cold_s = self._cold_s + step_s if cold and not unit.run_request else 0.0
        low = unit.state is State.RUNNING and unit.load_ratio < self._stage_down_load_ratio
        self._low_load_s = self._low_load_s + step_s if low else 0.0
        if self.hand is not None:
            unit.run_request = self.hand
        elif self._cold_s >= self._start_delay_s:
            unit.run_request = True
        elif header_degc > LOCAL_SETPOINT_DEGC + STOP_ABOVE_K or self._low_load_s >= self._stage_down_delay_s:
            unit.run_request = False
        wanted = unit.run_request and unit.state is not State.TRIPPED
        pumps_on = wanted or unit.compressor_on or instant_s - unit.last_stop_s < OVERRUN_S
        for pump in self._pumps:
            pump.commanded = pumps_on
