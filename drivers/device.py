"""A unit on a bus: reads its points when they are due, with their quality, and writes to it so that success is proven.

How bytes travel is the business of `drivers.bus`, when a silent unit is left alone that of `drivers.link`, how a write
is proven that of `drivers.writing`; what the numbers are good for, that of the service.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from drivers.bus.base import Bus, Span, UnitTiming
from drivers.codec import PointCodec
from drivers.link import LineShare, UnitLink
from drivers.memory import DeviceMemory
from drivers.profile import PointSpec, Profile
from drivers.reading import Fetched, Reader
from drivers.sample import Cause, Quality, Sample, bad
from drivers.sanity import Sanity
from drivers.schedule import PointSchedule, point_periods
from drivers.wear import WriteCount
from drivers.writing import WriteOutcome, Writer

log = logging.getLogger(__name__)

CORRECTIONS = "corrections"
"""Section of the device's memory: what `drivers.sanity` must know after a restart."""
SOON_AGAIN = (Cause.NO_ANSWER, Cause.PROTOCOL, Cause.LINE_DOWN)
"""Causes that end with an outage: such points are read as soon as the unit answers, a refused one when it is due."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one poll got for one point, before it becomes a sample."""

    instant_utc: datetime
    value: float | None
    cause: Cause


class Device:
    """A unit on a bus.

    Args:
        name: as in devices.yaml.
        bus: the wire it hangs on.
        unit: its Modbus address.
        profile: its register map.
        period_s: how often its points are read, on the site's clock [s].
        now_utc: site's clock.
        elapsed_s: stop-watch of the machine [s].
        memory: what it knew before the last restart.
        may_write: asked before every write; False: not one frame leaves. Without it none ever leaves.
        share: what it shares with the other units of its line; None: it is alone on it.
        at_utc: what the site's clock says of a reading of the stop-watch [s]; None: both run at one rate.
    """

    def __init__(
        self,
        name: str,
        *,
        bus: Bus,
        unit: int,
        profile: Profile,
        period_s: float,
        now_utc: Callable[[], datetime],
        elapsed_s: Callable[[], float],
        memory: DeviceMemory | None = None,
        may_write: Callable[[], bool] = lambda: False,
        share: LineShare | None = None,
        at_utc: Callable[[float], datetime] | None = None,
    ) -> None:
        self.name = name
        self.unit = unit
        self.profile = profile
        self.period_s = period_s
        self.points: Mapping[str, PointSpec] = MappingProxyType(
            {f"{name}.{key}": spec for key, spec in profile.points.items()}
        )
        self._bus = bus
        self._now_utc = now_utc
        self._elapsed_s = elapsed_s
        self._memory = memory or DeviceMemory(name)
        self._codecs = {key: PointCodec(spec) for key, spec in profile.points.items()}
        bus.expect(unit, _pace(profile))
        self._link = UnitLink(
            bus,
            unit,
            elapsed_s=elapsed_s,
            share=share,
            may_write=may_write,
            shy=profile.limits.silent_beyond,
        )
        self._writer = Writer(
            self._link,
            points=profile.points,
            codecs=self._codecs,
            memory=self._memory,
            now_utc=now_utc,
            elapsed_s=elapsed_s,
            may_write=may_write,
        )
        self._reader = Reader(
            name,
            link=self._link,
            profile=profile,
            period_s=period_s,
            memory=self._memory,
            now_utc=now_utc,
            elapsed_s=elapsed_s,
            at_utc=at_utc or (lambda reading_s: now_utc() - timedelta(seconds=elapsed_s() - reading_s)),
        )
        periods_s = point_periods(profile, period_s=period_s)
        self._schedule = PointSchedule({key: periods_s[key] for key in self._reader.names}, period_s=period_s)
        self._sanity = Sanity(profile, self._memory.get(CORRECTIONS))
        self._ratio_names = {word for spec in profile.points.values() for word in spec.times}
        self._ratios: dict[str, float] = {}
        self._failing: dict[str, Cause] = {}
        self._refused: set[str] = set()
        self._broken: set[str] = set()  # points whose codec has raised: told once
        self._out = False
        self._out_since_s = 0.0

    @property
    def fault(self) -> Cause:
        """Why points of this device cannot be fetched at present, the gravest cause first; NONE when all can."""
        return min(self._failing.values(), key=lambda cause: cause not in SOON_AGAIN, default=Cause.NONE)

    @property
    def dead(self) -> bool:
        """Whether it has been silent so long that it is only probed now and then."""
        return self._link.dead

    @property
    def holes(self) -> Sequence[Span]:
        """Registers that it was seen to refuse."""
        return self._reader.holes

    # ----------------------------------------------------------------------------------------------------- reading

    async def poll(self) -> list[Sample]:
        """Reads all points that are due, and those that an outage kept from being read.

        Returns:
            One sample per due point; a point that could not be read is BAD with its cause. Empty when nothing is due
            (a dead unit may be probed all the same).
        """
        due = self._schedule.take(self._now_utc())
        missing = {name for name, cause in self._failing.items() if cause in SOON_AGAIN}
        if not due and (not self.dead or self._link.resting):
            return []
        names = self._with_needed(due | missing if self._link.answering else due)
        got = await self._reader.fetch(names)
        late = self._with_needed(missing) - names
        if late and self._link.answering:  # it has just come back
            got |= await self._reader.fetch(late)
            names |= late
        readings = {name: self._decode(name, got[name]) for name in self._reader.names if name in names}
        self._note({name: got[name].cause for name in readings})
        if self.dead:
            self._ratios.clear()  # whatever answers next may be another meter with another ratio
        for name in self._ratio_names & readings.keys():
            reading = readings[name]
            if reading.value is not None and self._plausible(name, reading.value):
                self._ratios[name] = reading.value
        marks = {name: readings[name].value for name in self.profile.identity if name in readings}
        await self._reader.identify({name: value for name, value in marks.items() if value is not None})
        samples = self._sanity.judge([self._sample(name, readings) for name in readings])
        kept = self._sanity.to_keep(self._now_utc())
        if kept is not None:
            await self._memory.put(CORRECTIONS, kept)
        return samples

    def _with_needed(self, names: set[str]) -> set[str]:
        """Adds the points that others hang on: flow and temperature must be of one instant, a ratio must be known."""
        specs = [self.profile.points[name] for name in names]
        flows = {spec.needs_flow.point for spec in specs if spec.needs_flow is not None}
        return names | flows | {word for spec in specs for word in spec.times if word not in self._ratios}

    def _decode(self, name: str, fetched: Fetched) -> _Reading:
        if fetched.registers is None:
            return _Reading(fetched.instant_utc, None, fetched.cause)
        try:
            value, cause = self._codecs[name].decode(fetched.registers)
        except Exception:  # a codec that breaks costs its point, never the neighbours nor the task that polls them
            if name not in self._broken:
                self._broken.add(name)
                log.exception("registers cannot be decoded device=%s point=%s", self.name, name)
            return _Reading(fetched.instant_utc, None, Cause.CANNOT_DECODE)
        return _Reading(fetched.instant_utc, value, cause)

    def _note(self, causes: Mapping[str, Cause]) -> None:
        """Logs the begin and the end of an outage, once each, and once a point that is refused twice in a row."""
        was_out = self._out
        for name, cause in causes.items():
            if cause is Cause.NONE:
                self._failing.pop(name, None)
                self._refused.discard(name)
                continue
            if cause is Cause.REFUSED and self._failing.get(name) is cause and name not in self._refused:
                self._refused.add(name)
                log.warning("device refuses a point device=%s point=%s", self.name, name)
            self._failing[name] = cause
        # A line that is down has been reported by the line itself, once for all its devices.
        out = [cause for cause in self._failing.values() if cause in (Cause.NO_ANSWER, Cause.PROTOCOL)]
        self._out = bool(out)
        where = f"device={self.name} bus={self._bus.name} unit={self.unit}"
        if self._out and not was_out:
            self._out_since_s = self._elapsed_s()
            log.warning("device cannot be read %s cause=%s points=%d", where, out[0], len(out))
        elif was_out and not self._out:
            log.warning("device is read again %s down_s=%.1f", where, self._elapsed_s() - self._out_since_s)

    def _sample(self, name: str, readings: Mapping[str, _Reading]) -> Sample:
        """Judges one reading: ratio, flow, range."""
        spec = self.profile.points[name]
        reading = readings[name]
        point = f"{self.name}.{name}"
        value, cause = reading.value, reading.cause
        if value is None:
            return bad(point, reading.instant_utc, spec.unit, cause)
        for word in spec.times:
            if word not in self._ratios:
                missing = readings[word].cause if word in readings else Cause.NONE
                return bad(
                    point, reading.instant_utc, spec.unit, missing if missing is not Cause.NONE else Cause.CANNOT_DECODE
                )
            value *= self._ratios[word]
        if not math.isfinite(value):
            return bad(point, reading.instant_utc, spec.unit, Cause.CANNOT_DECODE)
        if spec.needs_flow is not None:
            flow = readings[spec.needs_flow.point].value
            if flow is None or abs(flow) < spec.needs_flow.value_min:
                return bad(point, reading.instant_utc, spec.unit, Cause.NO_FLOW)
        if not self._plausible(name, value):
            return Sample(point, reading.instant_utc, value, spec.unit, Quality.UNCERTAIN, Cause.OUT_OF_RANGE)
        return Sample(point, reading.instant_utc, value, spec.unit, Quality.GOOD)

    def _plausible(self, name: str, value: float) -> bool:
        limits = self.profile.points[name].value_range
        return limits is None or limits[0] <= value <= limits[1]

    async def look(self, point: str) -> float | None:
        """Reads one point now, whatever its period, as a write is proven by it; its value is not judged.

        Raises:
            DriverError: as `UnitLink.ask`.
        """
        return await self._writer.see(point.removeprefix(f"{self.name}."))

    # ----------------------------------------------------------------------------------------------------- writing

    async def write(self, point: str, value: float) -> WriteOutcome:
        """Writes one value and proves it; see `drivers.writing`.

        Args:
            point: name in the profile, with or without the device in front.
            value: in the inside unit.
        """
        return await self._writer.write(point.removeprefix(f"{self.name}."), value)

    def renew(self, point: str, value: float) -> bool:
        """Says that a command is still wanted; False if it must be written again. See `Writer.renew`."""
        return self._writer.renew(point.removeprefix(f"{self.name}."), value)

    def room(self, point: str, *, frames: int) -> bool:
        """Whether so many commands in a row are within the point's limits of this hour and day."""
        return self._writer.room(point.removeprefix(f"{self.name}."), frames=frames)

    @property
    def serves(self) -> bool:
        """Whether it may ever need `serve`."""
        return self._writer.serves

    async def serve(self) -> None:
        """Does what it owes the device: pulses to be ended, expired commands, watchdogs. See `Writer.serve`."""
        await self._writer.serve()

    @property
    def write_counts(self) -> Mapping[str, WriteCount]:
        """Frames sent to each point, over all restarts."""
        return self._writer.counts


def _pace(profile: Profile) -> UnitTiming:
    """What the wire is told of a model before it has learned its pace."""
    timing = profile.timing
    return UnitTiming(
        timeout_s=timing.timeout_s,
        guard_s=timing.guard_s or 0.0,
        connect_delay_s=timing.connect_delay_s or 0.0,
        limits=profile.limits,
    )
