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

from drivers.bus.base import Bus, Span
from drivers.codec import PointCodec
from drivers.errors import DeviceRefused, DriverError, LineDown, NoAnswer, ProtocolFault
from drivers.link import UnitLink
from drivers.memory import DeviceMemory
from drivers.profile import Access, PointSpec, Profile
from drivers.read_plan import Read, Want, read_plan
from drivers.sample import Cause, Quality, Sample, bad
from drivers.wear import WriteCount
from drivers.writing import WriteOutcome, Writer

log = logging.getLogger(__name__)

DUE_SLACK_RATIO = 0.5
"""A point is due when all but this share of the device's period has passed: callers wake a little early or late."""
PLANS_MAX = 64
"""Read plans kept; different sets of due points beyond that mean an odd mixture of periods."""
SOON_AGAIN = (Cause.NO_ANSWER, Cause.PROTOCOL, Cause.LINE_DOWN)
"""Causes that may be gone at the next poll; a refused point is asked for at its own period."""


@dataclass(slots=True)
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
        may_write: asked before every write; False: not one frame leaves.
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
        may_write: Callable[[], bool] = lambda: True,
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
        self._link = UnitLink(bus, unit, elapsed_s=elapsed_s)
        self._writer = Writer(
            self._link,
            points=profile.points,
            codecs=self._codecs,
            memory=self._memory,
            now_utc=now_utc,
            elapsed_s=elapsed_s,
            may_write=may_write,
        )
        self._readable = [key for key, spec in profile.points.items() if spec.access is not Access.WRITE]
        self._due_utc: dict[str, datetime] = {}
        self._plans: dict[tuple[str, ...], list[Read]] = {}
        self._ratio_names = {word for spec in profile.points.values() for word in spec.times}
        self._ratios: dict[str, float] = {}
        self._failing: dict[str, Cause] = {}
        self._failing_since_s = 0.0
        self._told = False

    @property
    def fault(self) -> Cause:
        """Why points of this device cannot be fetched at present; NONE when all can."""
        return next(iter(self._failing.values()), Cause.NONE)

    @property
    def dead(self) -> bool:
        """Whether it has been silent so long that it is only probed now and then."""
        return self._link.dead

    # ----------------------------------------------------------------------------------------------------- reading

    async def poll(self) -> list[Sample]:
        """Reads all points that are due.

        Returns:
            One sample per due point; a point that could not be read is BAD with its cause. Empty when nothing is due.
        """
        names = self._take_due()
        readings: dict[str, _Reading] = {}
        for read in self._plan(names):
            registers, cause = await self._fetch(read)
            instant_utc = self._now_utc()
            for name in read.names:
                value = None
                why = cause
                if registers is not None:
                    codec = self._codecs[name]
                    offset = codec.first - read.span.address
                    value, why = codec.decode(registers[offset : offset + codec.count])
                readings[name] = _Reading(instant_utc, value, why)
            self._note(read.names, cause)
            if cause in SOON_AGAIN:  # a slow point does not wait its whole period after an outage
                soon_utc = instant_utc + timedelta(seconds=self.period_s)
                self._due_utc.update({name: min(soon_utc, self._due_utc.get(name, soon_utc)) for name in read.names})
        if self.dead:
            self._ratios.clear()  # whatever answers next may be another meter with another ratio
        for name in self._ratio_names & readings.keys():
            reading = readings[name]
            if reading.value is not None and self._plausible(name, reading.value):
                self._ratios[name] = reading.value
        return [self._sample(name, readings) for name in names]

    def _take_due(self) -> tuple[str, ...]:
        """Names the due points, with those that they hang on, and sets when they are due again."""
        now_utc = self._now_utc()
        due = {name for name in self._readable if self._is_due(name, now_utc)}
        for name in due:
            period = self._period(name)
            planned_utc = self._due_utc.get(name, now_utc) + period
            # On the grid of the first reading, so that jitter does not add up; anew if periods were missed.
            self._due_utc[name] = planned_utc if now_utc < planned_utc <= now_utc + 2 * period else now_utc + period
        for name in tuple(due):
            spec = self.profile.points[name]
            if spec.needs_flow is not None:
                due.add(spec.needs_flow.point)  # flow and temperature must be of one instant
            due.update(word for word in spec.times if word not in self._ratios)
        return tuple(name for name in self._readable if name in due)

    def _is_due(self, name: str, now_utc: datetime) -> bool:
        """Whether a point is to be read now; a due time too far ahead means that the clock was set back."""
        if name not in self._due_utc:
            return True
        ahead = self._due_utc[name] - now_utc
        return ahead <= timedelta(seconds=DUE_SLACK_RATIO * self.period_s) or ahead > 2 * self._period(name)

    def _period(self, name: str) -> timedelta:
        return timedelta(seconds=self.profile.points[name].period_s or self.period_s)

    def _plan(self, names: tuple[str, ...]) -> list[Read]:
        """The cheapest reads for these points; remembered, because the same sets come again and again."""
        if names not in self._plans:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            groups: dict[str, list[PointSpec]] = {}
            for name in names:
                spec = self.profile.points[name]
                groups.setdefault(f"group {spec.atomic}" if spec.atomic else name, []).append(spec)
            wants = []
            for specs in groups.values():
                first = min(spec.first for spec in specs)
                end = max(spec.first + spec.count for spec in specs)
                wants.append(Want(tuple(spec.name for spec in specs), Span(specs[0].function, first, end - first)))
            self._plans[names] = read_plan(wants, cost=self._bus.cost, limits=self.profile.limits)
        return self._plans[names]

    async def _fetch(self, read: Read) -> tuple[Sequence[int] | None, Cause]:
        """One request of a poll, repeated once if the unit was answering until now."""
        if self._link.resting:
            return None, Cause.NO_ANSWER
        again = self._link.answering
        while True:
            try:
                registers = await self._link.ask(read.span)
            except (NoAnswer, ProtocolFault) as error:
                log.debug("no reading device=%s span=%s error=%s", self.name, read.span, error)
                if not again:
                    return None, Cause.PROTOCOL if isinstance(error, ProtocolFault) else Cause.NO_ANSWER
                again = False
            except DriverError as error:
                log.debug("no reading device=%s span=%s error=%s", self.name, read.span, error)
                return None, _cause(error)
            else:
                return registers, Cause.NONE

    def _note(self, names: Sequence[str], cause: Cause) -> None:
        """Logs the begin and the end of a fault, once each."""
        if not self._failing:
            self._failing_since_s = self._elapsed_s()
        for name in names:
            if cause is Cause.NONE:
                self._failing.pop(name, None)
            else:
                self._failing[name] = cause
        # A line that is down has been reported by the line itself, once for all its devices.
        if not self._told and cause not in (Cause.NONE, Cause.LINE_DOWN):
            self._told = True
            log.warning(
                "device cannot be read device=%s bus=%s unit=%d cause=%s", self.name, self._bus.name, self.unit, cause
            )
        elif self._told and not self._failing:
            self._told = False
            down_s = self._elapsed_s() - self._failing_since_s
            log.warning(
                "device is read again device=%s bus=%s unit=%d down_s=%.1f",
                self.name,
                self._bus.name,
                self.unit,
                down_s,
            )

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


def _cause(error: DriverError) -> Cause:
    if isinstance(error, LineDown):
        return Cause.LINE_DOWN
    return Cause.REFUSED if isinstance(error, DeviceRefused) else Cause.PROTOCOL
