"""Whether a valve follows its commands: where a healthy one may stand by now, against where it is read. Pure.

A command that is superseded by the next one before its effect can show proves nothing (`effect.py`); a modulating valve
is commanded so all day. Here no command need stand: from a reading on, the positions that any healthy valve may have
reached are reckoned. One moves towards a command that stood within the last `valve_margin_s` (its dead time), needs its
travel time for the whole stroke at most, however fast it is, and rests within its dead band. A reading outside of that
is late; one that stays late for travel time and margin without coming nearer is stuck.

Source: plant-operation notes, section 3 (position proven within `valve_travel_s` + margin), section 10 (valve stuck).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from edge_agent.control.command import Alarm, Command, Kind, Outcome, Verdict
from edge_agent.control.memory import Told, ValveMemory
from edge_agent.control.view import PlantView
from edge_agent.settings.model import SiteFile

DEADBAND_RATIO = 0.05
"""A healthy drive may rest this far from its command: hysteresis of a cheap positioner. Ours."""
READING_RATIO = 0.05
"""Error of a position that is read. Ours: a transmitter's usual accuracy is 2 %."""
APART_RATIO = DEADBAND_RATIO + READING_RATIO
"""A valve that is never commanded farther than this from where it is read is not known to be stuck."""
FOREIGN_RATIO = 0.05
"""A register that shows another command than ours by more than this was written by somebody else, or has come back from
a loss of power. Ours."""
ROUNDING_RATIO = 1e-6
Standing = Callable[[str], float | None]
"""What stands in a point: the younger of its last reading and the last proven write."""
TOLD_MAX = 200
"""Commands kept of a valve whose position nobody reads any more; then it begins anew."""
VALVES = frozenset({Kind.ISOLATING_VALVE, Kind.DISCHARGE_VALVE})


@dataclass(frozen=True, slots=True)
class Travel:
    """What a valve is given: time for its whole stroke, and for what is beside it [s]."""

    travel_s: float
    margin_s: float

    @property
    def stuck_s(self) -> float:
        """A valve is late for at least so long before it counts as stuck [s]."""
        return self.travel_s + self.margin_s


# ----------------------------------------------------------------------------------------------------------- one valve


def told(memory: ValveMemory, ratio: float, *, from_utc: datetime, until_utc: datetime) -> ValveMemory:
    """Notes a command; what stood before the first one that is noted is not known.

    Args:
        memory: of the valve.
        ratio: where it was sent, 0 closed .. 1 open.
        from_utc: it may stand from then on.
        until_utc: the one before it may have stood until then: the frame left in between.
    """
    before = memory.told or (Told(0.0, from_utc), Told(1.0, from_utc))
    ended = tuple(entry if entry.until_utc is not None else replace(entry, until_utc=until_utc) for entry in before)
    return replace(memory, told=(*ended, Told(ratio, from_utc)))


def read(memory: ValveMemory, ratio: float, *, read_utc: datetime, given: Travel) -> ValveMemory:
    """Takes a reading of the position: where the valve may be now, and whether it is late.

    Args:
        memory: of the valve, with all commands that were given until the reading.
        ratio: where it is read.
        read_utc: when; one that is not younger than the last one, or than the first command, changes nothing.
        given: its times.
    """
    known_utc = memory.read_utc or (memory.told[0].since_utc if memory.told else None)
    if known_utc is None or read_utc <= known_utc:
        return memory
    moved = _moved(memory, read_utc, given)
    low, high = ratio - READING_RATIO, ratio + READING_RATIO
    late = high < moved.lowest_ratio or low > moved.highest_ratio
    if not late:
        # What is read tells where it is; what was reckoned tells which way it must go on.
        moved = replace(moved, lowest_ratio=max(moved.lowest_ratio, low), highest_ratio=min(moved.highest_ratio, high))
    return _late(moved, ratio, late=late)


def stuck(memory: ValveMemory, *, given: Travel) -> bool:
    """Whether the last reading shows that the valve does not follow."""
    if memory.late_utc is None or memory.read_utc is None:
        return False
    return (memory.read_utc - memory.late_utc).total_seconds() >= given.stuck_s


def _moved(memory: ValveMemory, now_utc: datetime, given: Travel) -> ValveMemory:
    """The positions that a healthy valve may have come to since the last reading."""
    since_utc = memory.read_utc or memory.told[0].since_utc
    window_utc = since_utc - timedelta(seconds=given.margin_s)
    standing = tuple(entry for entry in memory.told if entry.until_utc is None or entry.until_utc > window_utc)
    ratios = [entry.ratio for entry in standing if entry.since_utc <= now_utc]
    lowest_told, highest_told = min(ratios), max(ratios)
    stroke = max(0.0, (now_utc - since_utc).total_seconds()) / given.travel_s
    lowest, highest = memory.lowest_ratio, memory.highest_ratio
    # A fast valve may be there already; a slow one must have left what lies beyond all of the commands.
    lowest = min(lowest_told, max(lowest, min(lowest + stroke, lowest_told - DEADBAND_RATIO)))
    highest = max(highest_told, min(highest, max(highest - stroke, highest_told + DEADBAND_RATIO)))
    return replace(memory, told=standing, read_utc=now_utc, lowest_ratio=lowest, highest_ratio=highest)


def _late(memory: ValveMemory, ratio: float, *, late: bool) -> ValveMemory:
    """Since when the valve is late; over once it has come nearer to its command, or stands there."""
    missing = memory.told[-1].ratio - ratio
    rising = missing > 0.0
    if memory.late_utc is not None and abs(missing) > READING_RATIO:
        if rising is not memory.late_rising:
            return replace(memory, late_ratio=ratio, late_rising=rising)  # sent the other way: it must come from here
        nearer = ratio - memory.late_ratio if rising else memory.late_ratio - ratio
        if nearer <= READING_RATIO:
            farthest = min(ratio, memory.late_ratio) if rising else max(ratio, memory.late_ratio)
            return replace(memory, late_ratio=farthest)
    return replace(memory, late_utc=memory.read_utc if late else None, late_ratio=ratio, late_rising=rising)


# ------------------------------------------------------------------------------------------------------ all of a plant


@dataclass(frozen=True, slots=True)
class Valves:
    """What has been found: the plant, the valves' memory, and those that are stuck."""

    view: PlantView
    memory: Mapping[str, ValveMemory]
    alarms: tuple[Alarm, ...] = ()


def watch_valves(
    valves: Mapping[str, ValveMemory], *, standing: Standing, ours: bool, view: PlantView, site: SiteFile
) -> Valves:
    """Takes this cycle's readings of the valves: which are stuck, and where those stand that do not show it.

    A valve without position feedback is never found stuck. In the view it stands as commanded once it has had its time
    with that command, and nowhere before: its command register shows what it was told, not where it is.

    Args:
        valves: memory of the cycle before.
        standing: what stands in a point.
        ours: whether we command the valves; what they do for somebody else is not judged.
        view: the plant now.
        site: the valves and their times.
    """
    kept: dict[str, ValveMemory] = {}
    seen = dict(view.valves)
    alarms: list[Alarm] = []
    for name, valve in site.valves.items():
        position, given = view.valves[name], Travel(valve.travel_s, site.control.valve_margin_s)
        if valve.feedback is None:
            memory = _blind(valves.get(name), standing(f"{valve.device}.{valve.point}"), view=view, given=given)
            if memory is not None:
                kept[name] = memory
            stands_ratio = None if position.commanded_ratio is None or memory is None else _settled_ratio(memory)
            seen[name] = replace(position, position_ratio=stands_ratio, read_utc=None)
            continue
        memory = valves.get(name)
        if not ours or memory is None:
            continue
        kept[name] = memory
        if position.position_ratio is None or position.read_utc is None:
            continue
        now = kept[name] = read(memory, position.position_ratio, read_utc=position.read_utc, given=given)
        if stuck(now, given=given) and now.late_utc is not None:
            values: dict[str, float | str] = {
                "valve": name,
                "wanted_ratio": round(now.told[-1].ratio, 2),
                "position_ratio": round(position.position_ratio, 2),
            }
            alarms.append(Alarm("valve_stuck", name, now.late_utc, values))
    return Valves(replace(view, valves=seen), kept, tuple(alarms))


def _blind(memory: ValveMemory | None, ratio: float | None, *, view: PlantView, given: Travel) -> ValveMemory | None:
    """A valve that does not show where it is, followed by its command alone, whoever gives that."""
    if ratio is None:
        return None
    now_utc = view.instant_utc
    if memory is None or not memory.told or abs(memory.told[-1].ratio - ratio) > FOREIGN_RATIO:
        return told(ValveMemory(), ratio, from_utc=now_utc, until_utc=now_utc)
    since_utc = memory.read_utc or memory.told[0].since_utc
    return _moved(memory, now_utc, given) if now_utc > since_utc else memory


def _settled_ratio(memory: ValveMemory) -> float | None:
    """Where a healthy valve stands for certain; None while it may still be on its way."""
    told_ratio = memory.told[-1].ratio
    low = memory.lowest_ratio >= told_ratio - DEADBAND_RATIO - ROUNDING_RATIO
    high = memory.highest_ratio <= told_ratio + DEADBAND_RATIO + ROUNDING_RATIO
    return told_ratio if low and high else None


def note_commands(
    valves: Mapping[str, ValveMemory],
    commands: Sequence[Command],
    outcomes: Sequence[Outcome],
    *,
    standing: Standing,
    view: PlantView,
    present_utc: datetime,
    site: SiteFile,
) -> dict[str, ValveMemory]:
    """Notes what the valves were told in this cycle; one that somebody else has moved, or may have, begins anew.

    Args:
        valves: memory of this cycle.
        commands: this cycle's wishes: a valve is followed from its first one on.
        outcomes: what became of those that were written.
        standing: what stands in a point.
        view: the plant as this cycle saw it.
        present_utc: when the cycle's frames had left.
        site: the valves.
    """
    wished = {command.subject for command in commands if command.kind in VALVES}
    ends = {outcome.command.subject: outcome for outcome in outcomes if outcome.command.kind in VALVES}
    noted: dict[str, ValveMemory] = {}
    for name in sorted(wished | set(valves)):
        valve, end = site.valves[name], ends.get(name)
        ratio = standing(f"{valve.device}.{valve.point}")
        if ratio is None or view.valves[name].commanded_ratio is None:
            continue  # the station does not answer: its valves may go to rest meanwhile
        if end is not None and end.verdict is Verdict.UNVERIFIED:
            continue  # it may have been taken all the same
        memory = valves.get(name, ValveMemory())
        if end is not None and end.verdict is Verdict.VERIFIED:
            ratio = end.command.value
        elif memory.told and abs(memory.told[-1].ratio - ratio) <= FOREIGN_RATIO:
            noted[name] = memory
            continue
        else:
            memory = ValveMemory()
        if len(memory.told) >= TOLD_MAX:
            memory = ValveMemory()
        noted[name] = told(memory, ratio, from_utc=view.instant_utc, until_utc=present_utc)
    return noted
