"""Doubts readings that cannot be true: totals, frozen values, power against flow, sums, another meter. Pure.

A value is never altered. A reading in doubt becomes UNCERTAIN with its cause; a total carries the correction that makes
it continuous. What one reading means by itself (no value, out of range, no flow) is judged before, by the device.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from drivers.counting import CounterWatch
from drivers.profile import Check, HeatBalance, PointSpec, Profile, ValueType
from drivers.sample import Cause, Quality, Sample

log = logging.getLogger(__name__)

KEEP_S = 900.0
"""The last reading of each total is kept at this pace, and at once when a correction changes: growth that a meter loses
by a reset while the service is down is known to this time."""
SKEW_S_MAX = 5.0
"""Values compared with each other are of the same age but for this."""
AGAIN_COUNT = 3
"""So many comparisons in a row must fail before a value is doubted: instruments are not renewed at one instant."""
DISORDER_COUNT = 2
"""So many senseless numbers in one poll, and the order of the words is in doubt ..."""
ORDERLY_COUNT = 3
"""... until so many polls in a row without any."""
SENSELESS = (Cause.OUT_OF_RANGE, Cause.CANNOT_DECODE, Cause.COUNTER_BACK, Cause.COUNTER_JUMP, Cause.COUNTER_ZERO)
DT_K_MIN = 2.0
"""A heat balance at a smaller difference of temperatures says nothing: two sensors differ by some tenths."""
SPREAD_MIN = 2.0
"""A heat balance below this many times its absolute tolerance says nothing."""
KWH_PER_M3_K_AT_0_DEGC = 1.1692
KWH_PER_M3_K_PER_K = -0.000455
"""Heat that water carries a cubic metre and kelvin: density x heat capacity, a straight line through 1.160 at 20 and
1.133 at 80 degC, off by less than 0.2 % between 5 and 90 degC. Source: IAPWS-IF97, density and heat capacity of water
at 0.1 MPa (998.2, 988.0, 971.8 kg/m3; 4.184, 4.181, 4.196 kJ/(kg K) at 20, 50, 80 degC)."""


@dataclass(slots=True)
class _Still:
    """How long a value has not moved [s]."""

    value: float
    seen_utc: datetime
    still_s: float = 0.0


class Sanity:
    """Judges the readings of one device, poll by poll.

    Args:
        profile: its register map.
        kept: what `state` returned before the restart; what cannot be read of it is left out.
    """

    def __init__(self, profile: Profile, kept: object = None) -> None:
        sections = kept if isinstance(kept, dict) else {}
        totals = sections.get("totals")
        known = totals if isinstance(totals, dict) else {}
        refresh_s = profile.timing.refresh_s or 0.0
        self._counters = {
            name: CounterWatch(spec, refresh_s=refresh_s, kept=known.get(name))
            for name, spec in profile.points.items()
            if spec.counter is not None
        }
        self._checks = profile.checks
        self._failed = [0] * len(profile.checks)
        limits_s = ((name, spec.frozen_s) for name, spec in profile.points.items())
        self._frozen_s = {name: limit_s for name, limit_s in limits_s if limit_s is not None}
        self._still: dict[str, _Still] = {}
        identity = sections.get("identity")
        marks = identity if isinstance(identity, dict) else {}
        self._identity: dict[str, float | None] = {
            name: float(marks[name]) if isinstance(marks.get(name), int | float) else None for name in profile.identity
        }
        self._strange: dict[str, float] = {}
        self._steps_k = {name: _step(spec) for name, spec in profile.points.items()}
        self._long = {
            name for name, spec in profile.points.items() if max(part.type.registers for part in spec.parts) > 1
        }
        self._orderly_count = ORDERLY_COUNT
        self._kept_utc: datetime | None = None
        self._changed = False

    # ------------------------------------------------------------------------------------------------------- memory

    def state(self) -> dict[str, object]:
        """What must be known after a restart, as JSON-like data; its size is that of the profile."""
        totals = {name: watch.state() for name, watch in self._counters.items()}
        return {
            "totals": {name: entry for name, entry in totals.items() if entry is not None},
            "identity": {name: mark for name, mark in self._identity.items() if mark is not None},
        }

    def to_keep(self, now_utc: datetime) -> dict[str, object] | None:
        """The state if it is time to keep it: a correction or an identity has changed, or `KEEP_S` have passed."""
        if not self._counters and not self._identity:
            return None
        passed_s = KEEP_S if self._kept_utc is None else (now_utc - self._kept_utc).total_seconds()
        if not self._changed and 0 <= passed_s < KEEP_S:
            return None
        state = self.state()
        if state["totals"] or state["identity"]:
            self._changed, self._kept_utc = False, now_utc
            return state
        return None

    # ------------------------------------------------------------------------------------------------------ judging

    def judge(self, samples: Sequence[Sample]) -> list[Sample]:
        """Doubts what cannot be true among the samples of one poll.

        Returns:
            The same samples in the same order; values unaltered, quality never better than it was.
        """
        found = {sample.point.partition(".")[2]: sample for sample in samples}
        for name in self._identity.keys() & found.keys():
            found[name] = self._recognised(name, found[name])
        for name in self._counters.keys() & found.keys():
            found[name] = self._counted(name, found[name])
        for name in self._frozen_s.keys() & found.keys():
            found[name] = self._moving(name, found[name])
        for index, check in enumerate(self._checks):
            self._compare(index, check, found)
        self._put_in_doubt_together(found)
        return [found[sample.point.partition(".")[2]] for sample in samples]

    def _put_in_doubt_together(self, found: dict[str, Sample]) -> None:
        """Numbers of several registers whose words have changed places: some are absurd, and some look like values.

        One absurd number is its own matter. Where one is outside its range and another one makes no sense either, none
        of the device's long numbers is believed, until some polls without.
        """
        long = [name for name in found if name in self._long]
        causes = [found[name].cause for name in long]
        absurd = sum(cause in SENSELESS for cause in causes)
        if absurd >= DISORDER_COUNT and Cause.OUT_OF_RANGE in causes:
            self._orderly_count = 0
        elif long and self._orderly_count < ORDERLY_COUNT:
            self._orderly_count = 0 if absurd else self._orderly_count + 1
        if self._orderly_count < ORDERLY_COUNT:
            for name in long:
                found[name] = _doubted(found[name], Cause.DISORDER)

    def _counted(self, name: str, sample: Sample) -> Sample:
        """A total against its own past."""
        watch = self._counters[name]
        if sample.value is None:
            return sample
        if sample.quality is not Quality.GOOD:
            return replace(sample, correction=watch.correction)
        before = watch.correction
        cause, correction = watch.judge(sample.value, sample.instant_utc)
        if watch.correction != before:
            self._changed = True
            log.warning(
                "total goes on over a break of its meter point=%s shows=%s correction=%s", sample.point, sample.value,
                watch.correction,
            )  # fmt: skip
        return _doubted(replace(sample, correction=correction), cause)

    def _recognised(self, name: str, sample: Sample) -> Sample:
        """Which meter it is; another one is believed when it says so twice."""
        if sample.value is None or sample.quality is not Quality.GOOD:
            return sample
        known = self._identity[name]
        if known == sample.value:
            self._strange.pop(name, None)
            return sample
        if known is not None and self._strange.get(name) != sample.value:
            self._strange[name] = sample.value
            return _doubted(sample, Cause.IDENTITY_CHANGED)
        self._identity[name] = sample.value
        self._changed = True
        if known is not None:
            self._strange.pop(name, None)
            log.warning("another meter answers point=%s before=%.0f now=%.0f", sample.point, known, sample.value)
            for watch in self._counters.values():
                watch.believe()
        return sample

    def _moving(self, name: str, sample: Sample) -> Sample:
        """Whether a measured value moves at all; zero is what a plant at rest shows."""
        if sample.value is None or sample.value == 0:
            self._still.pop(name, None)
            return sample
        still = self._still.get(name)
        if still is None or still.value != sample.value:
            self._still[name] = _Still(sample.value, sample.instant_utc)
            return sample
        limit_s = self._frozen_s[name]
        # A gap, or a clock that was set, is not taken for standing still: half the limit at most at a time.
        passed_s = (sample.instant_utc - still.seen_utc).total_seconds()
        still.still_s += min(max(passed_s, 0.0), limit_s / 2)
        still.seen_utc = sample.instant_utc
        return _doubted(sample, Cause.FROZEN) if still.still_s >= limit_s else sample

    # ---------------------------------------------------------------------------------------------------- comparing

    def _compare(self, index: int, check: Check, found: dict[str, Sample]) -> None:
        """One check between points; only what it judges is doubted, not what it judges by."""
        if isinstance(check, HeatBalance):
            names: tuple[str, ...] = (check.power, check.flow, check.supply, check.return_)
            cause = Cause.HEAT_BALANCE
        else:
            names, cause = (check.total, *check.parts), Cause.SUM_DIFFERS
        samples = [found[name] for name in names if name in found]
        values = [sample.value for sample in samples if sample.value is not None and sample.quality is Quality.GOOD]
        instants = [sample.instant_utc for sample in samples]
        if len(values) < len(names) or (max(instants) - min(instants)).total_seconds() > SKEW_S_MAX:
            return
        agrees = (
            self._balances(check, values)
            if isinstance(check, HeatBalance)
            else _adds_up(values, tolerance_ratio=check.tolerance_ratio, tolerance=check.tolerance)
        )
        self._failed[index] = self._failed[index] + 1 if agrees is False else 0
        if self._failed[index] >= AGAIN_COUNT:
            found[names[0]] = _doubted(found[names[0]], cause)

    def _balances(self, check: HeatBalance, values: Sequence[float]) -> bool | None:
        """Power against flow and temperatures; None where they say nothing about each other."""
        power_kw, flow_m3_per_h, supply_degc, return_degc = values
        dt_k = supply_degc - return_degc
        carries = KWH_PER_M3_K_AT_0_DEGC + KWH_PER_M3_K_PER_K * (supply_degc + return_degc) / 2
        heat_kw = carries * flow_m3_per_h * dt_k
        step_k = self._steps_k[check.supply] + self._steps_k[check.return_]
        if abs(dt_k) < DT_K_MIN + step_k or abs(heat_kw) < SPREAD_MIN * check.tolerance:
            return None
        if heat_kw < 0 and abs(power_kw) <= check.tolerance:
            return None  # many meters count one direction only
        allowed_kw = check.tolerance_ratio * max(abs(heat_kw), abs(power_kw)) + check.tolerance
        allowed_kw += carries * abs(flow_m3_per_h) * step_k
        return abs(abs(power_kw) - abs(heat_kw)) <= allowed_kw


def _adds_up(values: Sequence[float], *, tolerance_ratio: float, tolerance: float) -> bool:
    """A total, which comes first, against its parts."""
    total, *parts = values
    size = max(abs(total), sum(abs(part) for part in parts))
    return abs(total - sum(parts)) <= tolerance_ratio * size + tolerance


def _doubted(sample: Sample, cause: Cause) -> Sample:
    """The sample with a doubt; the first doubt of a sample stays its cause."""
    if cause is Cause.NONE or sample.quality is not Quality.GOOD:
        return sample
    return replace(sample, quality=Quality.UNCERTAIN, cause=cause)


def _step(spec: PointSpec) -> float:
    """Half the step of its number: a whole number in a register is rounded."""
    whole = (part for part in spec.parts if part.type is not ValueType.F32)
    return max((abs(float(part.scale)) for part in whole), default=0.0) / 2
