"""How the field bus stood a fault, counted on the wires: periods of the others, recovery, outcomes, unwanted frames.

What was right and wrong is judged from the wire log and from what `edge-agent export` hands out; nothing is taken from
the agent's own counters. Times are the site's; a bench runs at 1x, so they are wall times as well.
"""

import statistics
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from hil_sim.bus_periods import INTERVALS_MIN, NO_HOLDS, LineHolds, UnitPeriods, unit_periods
from hil_sim.score import ExportedSample
from hil_sim.wire_log import WireLog

STALE_S: Final = 1.5
"""A GOOD value must have left its device at most this long before its stamp: an answer, not a memory [s]."""
OUTCOME_PERIODS_MAX: Final = 4.0
"""Every point that is due gets a sample, GOOD or not, at the latest after so many of its periods."""
PROBE_S_MIN: Final = 10.0
PROBE_MISSES: Final = 20.0
"""A dead unit is probed every max(10 s, 20 misses); a miss is time-out and quarantine."""
SLACK_S: Final = 1.0
"""For the answer itself and a busy machine [s]."""
SELDOM_RATIO: Final = 0.5
"""A point with less than this share of its device's samples has a slow period of its own."""
REGULAR_SERVES_MIN: Final = 3
"""Served so often since the end of its fault, a unit counts as polled again."""


@dataclass(frozen=True, slots=True)
class FaultWindow:
    """When something was wrong, and for whom."""

    begin_s: float
    end_s: float
    touched: frozenset[str]


@dataclass(slots=True)
class BusVerdict:
    """What `judge_bus` found; the score carries it under these names."""

    stale_values: int = 0
    stale_first: list[str] = field(default_factory=list)
    age_s_max: float = 0.0
    outcome_gaps: list[str] = field(default_factory=list)
    periods: dict[str, UnitPeriods] = field(default_factory=dict)
    recovery_s: dict[str, float | None] = field(default_factory=dict)
    bad_elsewhere: int = 0
    bad_touched: int = 0
    uncertain: int = 0
    good_touched_during: int = 0
    good_touched_after: int = 0


def regular_instants(log: WireLog, device: str) -> list[float]:
    """When a device answered a poll: the instants of its most served quantity."""
    longest: list[float] = []
    for (name, _), (instants, _) in list(log.served.items()):
        if name == device and len(instants) > len(longest):
            longest = instants
    return list(longest)


def polled_again(log: WireLog, devices: Iterable[str], *, since_s: float) -> bool:
    """True once each device has answered several polls since an instant."""
    return all(
        len(instants) - bisect_right(instants, since_s) >= REGULAR_SERVES_MIN
        for instants in (regular_instants(log, device) for device in devices)
    )


def judge_bus(
    samples: Sequence[ExportedSample],
    *,
    log: WireLog,
    periods_s: Mapping[str, float],
    faults: Sequence[FaultWindow],
    first_s: float,
    last_s: float,
    holds: Callable[[str], LineHolds] = lambda _device: NO_HOLDS,
) -> BusVerdict:
    """Judges a run.

    Args:
        samples: what was exported.
        log: what was asked and served.
        periods_s: how often each device is polled.
        faults: what was wrong when.
        first_s: begin of the judged time: the agent was up, every device had been asked.
        last_s: its end.
        holds: what kept the line of a device waiting; nothing on TCP.
    """
    verdict = BusVerdict()
    touched = frozenset[str]().union(*(fault.touched for fault in faults))
    # Nobody is on its own grid before its second reading: the first round is done at once.
    begin_s = max(min((fault.begin_s for fault in faults), default=first_s), first_s + max(periods_s.values()))
    by_point: dict[str, list[ExportedSample]] = defaultdict(list)
    for sample in samples:
        by_point[sample.point].append(sample)
    for device, period_s in periods_s.items():
        if device in touched:
            continue
        instants_s = [instant_s for instant_s in regular_instants(log, device) if begin_s <= instant_s <= last_s]
        regular = unit_periods(instants_s, period_s=period_s, holds=holds(device))
        if regular is not None:
            verdict.periods[device] = regular
        else:
            verdict.outcome_gaps.append(f"{device}: answered {len(instants_s)} times in {last_s - begin_s:.0f} s")
    for point, series in by_point.items():
        series.sort(key=lambda sample: sample.instant_s)
        _judge_point(point, series, verdict, log=log, touched=touched, faults=faults)
    _judge_outcomes(by_point, verdict, periods_s=periods_s, faults=faults, first_s=first_s, last_s=last_s)
    for device in touched:
        if max(fault.end_s for fault in faults if device in fault.touched) >= last_s - SLACK_S:
            continue  # it never ended: nothing to recover from
        mine = [series for point, series in by_point.items() if point.partition(".")[0] == device]
        most = max((len(series) for series in mine), default=0)
        mine = [series for series in mine if len(series) >= SELDOM_RATIO * most]
        verdict.recovery_s[device] = recovery_s(device, mine, faults=faults, period_s=periods_s[device])
    return verdict


def _judge_point(
    point: str,
    series: Sequence[ExportedSample],
    verdict: BusVerdict,
    *,
    log: WireLog,
    touched: Collection[str],
    faults: Sequence[FaultWindow],
) -> None:
    device, _, quantity = point.partition(".")
    instants_s, _ = log.served.get((device, quantity), ([], []))
    end_s = max((fault.end_s for fault in faults if device in fault.touched), default=0.0)
    for sample in series:
        if sample.good:
            place = bisect_right(instants_s, sample.instant_s + 0.001)
            if place:
                verdict.age_s_max = max(verdict.age_s_max, sample.instant_s - instants_s[place - 1])
                gone_s = sample.instant_s - log.left_s(device, instants_s[place - 1])
                if gone_s > STALE_S:
                    verdict.stale_values += 1
                    verdict.stale_first.append(f"{point}: left its device {gone_s:.1f} s before")
            if device in touched:
                during = any(
                    fault.begin_s <= sample.instant_s < fault.end_s for fault in faults if device in fault.touched
                )
                verdict.good_touched_during += during
                verdict.good_touched_after += sample.instant_s >= end_s
        elif sample.value is not None:
            verdict.uncertain += 1
        elif device in touched:
            verdict.bad_touched += 1
        else:
            verdict.bad_elsewhere += 1


def _judge_outcomes(
    by_point: Mapping[str, Sequence[ExportedSample]],
    verdict: BusVerdict,
    *,
    periods_s: Mapping[str, float],
    faults: Sequence[FaultWindow],
    first_s: float,
    last_s: float,
) -> None:
    """Names the points that fell silent: due again and again, and neither a value nor a cause came."""
    begin_s = min((fault.begin_s for fault in faults), default=last_s)
    before = Counter(
        {point: sum(sample.instant_s < begin_s for sample in series) for point, series in by_point.items()}
    )
    for point, series in by_point.items():
        device = point.partition(".")[0]
        period_s = periods_s.get(device, 0.0)
        instants_s = [sample.instant_s for sample in series]
        mine = [other for other in by_point if other.partition(".")[0] == device]
        seldom = len(series) < SELDOM_RATIO * max(len(by_point[other]) for other in mine)
        # During an outage also what has a slow period of its own is due at each poll: who was seldom before, is.
        usual = max(before[other] for other in mine)
        seldom = seldom or (usual > 1 and before[point] <= SELDOM_RATIO * usual)
        if _slow(instants_s, period_s=period_s) or seldom:
            continue
        inside = [instant_s for instant_s in instants_s if first_s <= instant_s <= last_s]
        marks = [first_s, *inside, last_s]
        widest_s = max(later - earlier for earlier, later in pairwise(marks))
        if widest_s > OUTCOME_PERIODS_MAX * period_s:
            verdict.outcome_gaps.append(f"{point}: no outcome for {widest_s:.1f} s")


def recovery_s(
    device: str, series: Iterable[Sequence[ExportedSample]], *, faults: Sequence[FaultWindow], period_s: float
) -> float | None:
    """Time from the end of a device's last fault until each of its points is GOOD again; None: one never was.

    Points with a slow period of their own, and points that were not GOOD before either, are not asked.
    """
    windows = [fault for fault in faults if device in fault.touched]
    begin_s, end_s = min(fault.begin_s for fault in windows), max(fault.end_s for fault in windows)
    slowest_s: float | None = None
    for samples in series:
        good_s = [sample.instant_s for sample in samples if sample.good]
        known_s = samples[0].instant_s if samples else begin_s
        if _slow([sample.instant_s for sample in samples], period_s=period_s) or (
            known_s < begin_s and (not good_s or good_s[0] > begin_s)
        ):
            continue
        place = bisect_left(good_s, end_s)
        if place == len(good_s):
            return None
        slowest_s = max(slowest_s or 0.0, good_s[place] - end_s)
    return slowest_s


def _slow(instants_s: Sequence[float], *, period_s: float) -> bool:
    """Whether a point has a slow period of its own, or too few samples to tell."""
    intervals_s = [later - earlier for earlier, later in pairwise(instants_s)]
    return len(intervals_s) < INTERVALS_MIN or statistics.median(intervals_s) > 2.0 * period_s


def recovery_bound_s(*, miss_s: float, period_s: float) -> float:
    """One probe interval, one cycle, and the answer itself [s].

    Args:
        miss_s: what an unanswered request costs: time-out and the rest that follows it.
        period_s: how often the unit is polled.
    """
    return max(PROBE_S_MIN, PROBE_MISSES * miss_s) + period_s + SLACK_S


def asked_at_once_ratio(log: WireLog, devices: Collection[str], *, first_s: float, window_s: float) -> float:
    """The largest share of all devices that was asked within a window: 1 when they are polled in step."""
    marks = sorted(
        (instant_s, device) for device in devices for instant_s in log.asked_s[device] if instant_s > first_s
    )
    inside: Counter[str] = Counter()
    begin = most = 0
    for instant_s, device in marks:
        inside[device] += 1
        while marks[begin][0] < instant_s - window_s:
            inside[marks[begin][1]] -= 1
            begin += 1
        most = max(most, sum(count > 0 for count in inside.values()))
    return most / len(devices) if devices else 0.0


def figures(verdict: BusVerdict, *, bounds_s: Mapping[str, float]) -> dict[str, object]:
    """The verdict as keys of the score.

    Args:
        verdict: of the run.
        bounds_s: by which time each device must have recovered.
    """
    recovered = {device: seconds for device, seconds in verdict.recovery_s.items() if seconds is not None}
    late = {
        device: seconds
        for device, seconds in verdict.recovery_s.items()
        if seconds is None or seconds > bounds_s[device]
    }
    units = list(verdict.periods.values())
    count = max(1, sum(len(unit.intervals) for unit in units))
    far = max(units, key=lambda unit: (unit.worst.broken, abs(unit.worst.length_s - unit.period_s)), default=None)
    worst = max(verdict.periods, key=lambda device: verdict.periods[device].off_ratio, default=None)
    return {
        "stale_values": verdict.stale_values,
        "stale_values_first": verdict.stale_first[:20],
        "value_age_s_max": round(verdict.age_s_max, 2),
        "outcome_gaps": verdict.outcome_gaps,
        "bad_elsewhere": verdict.bad_elsewhere,
        "bad_touched": verdict.bad_touched,
        "uncertain_samples": verdict.uncertain,
        "good_touched_during": verdict.good_touched_during,
        "good_touched_after": verdict.good_touched_after,
        "periods_off_ratio_max": None if worst is None else round(verdict.periods[worst].off_ratio, 4),
        "periods_held_ratio": round(sum(unit.held_count for unit in units) / count, 4) if units else None,
        "periods_excused": sum(not (interval.held or interval.broken) for unit in units for interval in unit.intervals),
        "periods_broken": [
            f"{device}: {interval.length_s:.2f} s from {interval.begin_s:.1f}, bound {interval.bound_s:.2f} s"
            for device, unit in sorted(verdict.periods.items())
            for interval in unit.broken
        ],
        "period_worst_s": None if far is None else round(far.worst.length_s, 3),
        "period_worst_bound_s": None if far is None else round(far.worst.bound_s, 3),
        "periods": {device: unit.as_score() for device, unit in sorted(verdict.periods.items())},
        "recovery_s": {
            device: None if seconds is None else round(seconds, 2) for device, seconds in verdict.recovery_s.items()
        },
        "recovery_s_max": round(max(recovered.values()), 2) if recovered else None,
        "recovery_bound_s": round(max((bounds_s[device] for device in verdict.recovery_s), default=0.0), 2),
        "recovered_late": sorted(late),
    }
