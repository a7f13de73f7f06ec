"""Which of several identical units does what the plan gave to one of them: rotation by running hours. Pure.

The plan counts identical units and names the first that fit; here a running unit goes on before a standing one is
started, and of those that stand the one with the fewest hours starts, once the difference is worth it.

Source: plant-operation notes, section 6: rotation by running hours with hysteresis; a unit in hand or fault drops out
without stopping the rest.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

from edge_agent.control.memory import ASKED, PREPARING, Phase, UnitMemory
from edge_agent.settings.model import Unit


def identical_groups(units: Mapping[str, Unit]) -> list[list[str]]:
    """Units of the same make, mode and duty, two or more of them."""
    groups: dict[str, list[str]] = {}
    for name, unit in units.items():
        groups.setdefault(unit.identical_to or name, []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def rotate(
    groups: Iterable[Sequence[str]],
    planned: Mapping[str, str | None],
    *,
    memories: Mapping[str, UnitMemory],
    may_start: Callable[[str, str], bool],
    now_utc: datetime,
    rotate_h: float,
    barred: Collection[str] = (),
) -> dict[str, str]:
    """Whose planned duty each unit takes; its own where nothing else is said.

    Args:
        groups: identical units.
        planned: mode that the plan has for each unit, now or within minutes; None: off.
        memories: of each unit.
        may_start: whether nothing is in the way of a unit's start in a mode.
        now_utc: the present instant.
        rotate_h: difference of running hours from which units change places [h].
        barred: units that may take no duty of another, because an operator has stopped them.
    """
    taken = {name: name for name in planned}
    for group in groups:
        names = [name for name in group if name in planned and _ours(memories[name])]
        active = [name for name in names if memories[name].phase in ASKED | PREPARING]
        free = [name for name in active if planned[name] is None and name not in barred]
        for owner in (name for name in names if planned[name] is not None and name not in active):
            mode = planned[owner]
            assert mode is not None
            # One that already runs, or has been chosen before, and whose own duty is over.
            same = [name for name in free if memories[name].mode == mode]
            if same:
                _swap(taken, owner, same[0])
                free.remove(same[0])
                continue
            idle = [
                name
                for name in names
                if name not in (*active, *barred)
                and planned[name] is None
                and taken[name] == name
                and may_start(name, mode)
            ]
            least = min(idle, key=lambda name: memories[name].run_h(now_utc), default=None)
            if least is None:
                continue
            gained_h = memories[owner].run_h(now_utc) - memories[least].run_h(now_utc)
            if gained_h >= rotate_h or not may_start(owner, mode):
                _swap(taken, owner, least)
    return taken


def _ours(memory: UnitMemory) -> bool:
    return memory.phase not in (Phase.UNKNOWN, Phase.LOCAL, Phase.TRIPPED)


def _swap(taken: dict[str, str], owner: str, other: str) -> None:
    taken[owner], taken[other] = taken[other], taken[owner]
