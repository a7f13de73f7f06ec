"""The agent with somebody in it who commands nonsense: what the guard is for. Started by a campaign, never by a user.

Arguments: `guarded` or `unguarded`, then those of `edge-agent`. In both, from the tenth cycle on, each cycle is given
one command more: a pump off under a unit that runs. Guarded: the agent as it is, whose guard must refuse it. Unguarded:
its guard lets everything pass, and the plant's own judge must count what comes of it.

Nothing of this is in the product: the process patches itself before the agent begins.
"""

import sys
from collections.abc import Sequence
from typing import Any

from edge_agent.control import executor
from edge_agent.control.command import Because, Command, Kind
from edge_agent.control.guard import ALLOWED
from edge_agent.control.view import PlantView, UnitState

CYCLES_BEFORE = 10


def plant_rogue() -> None:
    """Adds the nonsense to every cycle of this process."""
    honest = executor.Executor.carry_out
    cycles = 0

    async def carry_out(
        self: executor.Executor, commands: Sequence[Command], *, view: PlantView, **others: Any
    ) -> list[Any]:
        nonlocal cycles
        cycles += 1
        return await honest(self, [*commands, *(rogue(view) if cycles > CYCLES_BEFORE else ())], view=view, **others)

    executor.Executor.carry_out = carry_out  # type: ignore[method-assign]


def rogue(view: PlantView) -> list[Command]:
    """A pump off under the first unit that runs."""
    for name, unit in view.units.items():
        if unit.state is UnitState.RUNNING:
            pump = f"p_source_{name[-1]}"
            return [Command(f"io1.{pump}", 0.0, Kind.PUMP, pump, Because.SEQUENCE)]
    return []


def take_guard_away() -> None:
    """Lets every command of this process pass."""
    executor.judge = lambda *_command, **_view: ALLOWED  # type: ignore[attr-defined]


def main() -> None:
    """Patches, then is the agent."""
    from edge_agent.cli import main as agent  # noqa: PLC0415 - after the patch

    plant_rogue()
    if sys.argv.pop(1) == "unguarded":
        take_guard_away()
    agent()


if __name__ == "__main__":
    main()
