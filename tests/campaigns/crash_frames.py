"""Judges by frames: what the export holds against the wires, and what the platform holds against the export.

It holds under any clock. A stamp of a clock that was wrong is brought back to the plant's time by the record of what
the clock was set to (the site sets it); a record is looked for where the stamps of its samples say, right or wrong.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

from crash_site import PERIOD_MIN, POINTS, POLL_S, CrashSite

from hil_sim.score import (
    REPORTED_TOLERANCE_RELATIVE,
    VALUE_TOLERANCE,
    VALUE_TOLERANCE_RELATIVE,
    ExportedSample,
    judge_samples,
)

SAME_INSTANT_S = 1e-5
"""Stamps are whole microseconds."""
PERIOD_S = 60.0 * PERIOD_MIN
HOLD_S = 2 * POLL_S
"""A reading holds until the next one, for two of its periods at most. Source: docs, "Records"."""
MEASURED_RATIO_MIN = 0.5
"""Share of a period that must be measured for a valid value. Source: docs, "Records"."""
DOUBT_RATIO = 0.02
"""Around that share both answers are right."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What does not hold.

    Attributes:
        wrong: GOOD samples that were not on the wire, in words.
        undelivered: measured, and neither delivered nor declared, in words.
        untrue: delivered values that no sample bears out, in words.
    """

    wrong: Sequence[str]
    undelivered: Sequence[str]
    untrue: Sequence[str]


def judge_frames(exported: Sequence[ExportedSample], site: CrashSite, *, due: Collection[datetime]) -> Faults:
    """Compares export, wires and platform.

    Args:
        exported: every sample of every frame.
        site: with its wires and its platform.
        due: begins of the periods of which the platform must have a record.
    """
    undelivered, untrue = _judge_records(exported, site, due=due)
    return Faults(wrong_samples(exported, site), undelivered, untrue)


# ------------------------------------------------------------------------------------------------------------ samples
def wrong_samples(exported: Iterable[ExportedSample], site: CrashSite) -> list[str]:
    """GOOD samples whose value was not on the wire at the instant that their stamp means."""
    wrong: list[str] = []
    doubtful = [one for one in exported if one.good and not _served_then(site, one)]
    for sample in doubtful:
        readings = [replace(sample, instant_s=true_s) for true_s in site.true_instants(sample.instant_s)]
        verdicts = [judge_samples([one], promised=[], log=site.log) for one in readings]
        if all(verdict.wrong_count for verdict in verdicts):
            words = verdicts[0].wrong[0] if verdicts else f"{sample.point}: no clock ever showed {sample.instant_s}"
            wrong.append(words)
    return wrong


def _served_then(site: CrashSite, sample: ExportedSample) -> bool:
    """Whether the value was served at the sample's own instant, or just before it and another one at it.

    While time stands still, a point has several values at one instant, and what was on its way then is stamped with it.
    """
    device, _, quantity = sample.point.partition(".")
    instants_s, values = site.log.served.get((device, quantity), ([], []))
    value = sample.value
    if value is None:
        return False
    for true_s in site.true_instants(sample.instant_s):
        low = bisect_left(instants_s, true_s - SAME_INSTANT_S)
        high = bisect_right(instants_s, true_s + SAME_INSTANT_S)
        for served in values[max(0, low - 1) : high] if high > low else ():
            if served is not None and abs(served - value) <= VALUE_TOLERANCE_RELATIVE * max(1.0, abs(served)):
                return True
    return False


# ------------------------------------------------------------------------------------------------------------ records
def _judge_records(
    exported: Sequence[ExportedSample], site: CrashSite, *, due: Collection[datetime]
) -> tuple[list[str], list[str]]:
    samples: dict[str, list[ExportedSample]] = defaultdict(list)
    for sample in exported:
        samples[sample.point].append(sample)
    gaps = site.platform.declared("gap")
    undelivered: list[str] = []
    untrue: list[str] = []
    for point, code, aggregate in POINTS:
        found = sorted(samples[point], key=lambda sample: (sample.instant_s, sample.good))
        instants_s = [sample.instant_s for sample in found]
        held = site.platform.readings(code)
        for begin in sorted({*due, *held}):
            begin_s = begin.timestamp()
            near = found[bisect_left(instants_s, begin_s - HOLD_S) : bisect_left(instants_s, begin_s + PERIOD_S)]
            value, _ = held.get(begin, (None, 0))
            where = f"{point} ({code}) {begin.isoformat()}"
            if value is not None:
                good = [sample.value for sample in near if sample.good and sample.value is not None]
                if not _follows(value, good, aggregate=aggregate):
                    untrue.append(f"{where}: reported {value}, frames hold {_span(good)}")
            elif begin in due and not _declared(gaps, point, begin_s):
                ratio = measured_ratio(near, begin_s=begin_s)
                if ratio > MEASURED_RATIO_MIN + DOUBT_RATIO:
                    said = "invalid" if begin in held else "nothing"
                    frames = sorted({sample.frame for sample in near if sample.good})
                    undelivered.append(f"{where}: {ratio:.0%} measured in frames {frames}, reported {said}")
    return undelivered, untrue


def measured_ratio(near: Sequence[ExportedSample], *, begin_s: float) -> float:
    """Share of a period in which a GOOD reading held.

    Args:
        near: the point's samples of the period and shortly before it, in the order of their stamps.
        begin_s: begin of the period.
    """
    covered_s = 0.0
    ends_s = [*(following.instant_s for _, following in pairwise(near)), begin_s + PERIOD_S]
    for sample, next_s in zip(near, ends_s, strict=bool(near)):
        if sample.good and sample.value is not None:
            until_s = min(next_s, sample.instant_s + HOLD_S, begin_s + PERIOD_S)
            covered_s += max(0.0, until_s - max(sample.instant_s, begin_s))
    return covered_s / PERIOD_S


def _follows(value: float, good: Sequence[float], *, aggregate: str) -> bool:
    if not good:
        return False
    slack = max(VALUE_TOLERANCE, REPORTED_TOLERANCE_RELATIVE * max(abs(item) for item in good))
    if aggregate == "last":
        return any(abs(value - item) <= slack for item in good)
    return min(good) - slack <= value <= max(good) + slack


def _span(values: Sequence[float]) -> str:
    return f"{min(values)} .. {max(values)}" if values else "nothing"


def _declared(gaps: Iterable[Mapping[str, object]], point: str, begin_s: float) -> bool:
    """Whether the platform was told that a point of a period will never come."""
    for gap in gaps:
        low, high = (datetime.fromisoformat(str(gap[key])).astimezone(UTC).timestamp() for key in ("from", "to"))
        points = gap["points"]
        if low < begin_s + PERIOD_S and high > begin_s and (not isinstance(points, list) or point in points):
            return True
    return False
