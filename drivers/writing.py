"""Writes one value to a device so that success is proven: rules, bounds, step, echo, read back, comparison.

It decides nothing about the plant; whoever asks for a write has been judged before. What may be written at all is said
by the profile alone.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from drivers.bus.base import Span
from drivers.codec import PointCodec
from drivers.errors import DeviceRefused, DriverError, GiveUpPoint, LineDown, NoAnswer, ProtocolFault
from drivers.link import UnitLink
from drivers.profile import PointSpec, WriteRule

TOLERANCE_FLOOR = 1e-6
"""Written and read back values are equal if they differ by less than this, whatever the rule says: float arithmetic."""
HOUR = timedelta(hours=1)


class Reason(StrEnum):
    """Why a write is not verified; empty when it is. Stable codes, worded in `edge_agent/texts`."""

    NONE = ""
    UNKNOWN_POINT = "unknown_point"
    NOT_WRITABLE = "not_writable"
    MONITOR_MODE = "monitor_mode"  # the mode of the plant allows no write to any device
    NOT_A_NUMBER = "not_a_number"
    OUT_OF_BOUNDS = "out_of_bounds"
    RATE_LIMIT = "rate_limit"
    NO_ANSWER = "no_answer"
    LINE_DOWN = "line_down"
    PROTOCOL = "protocol"
    REFUSED = "refused"
    READ_BACK_FAILED = "read_back_failed"
    READ_BACK_DIFFERS = "read_back_differs"


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What became of a write. Silence is not success.

    Attributes:
        verified: the device's own state point shows what was written.
        wrote: the value sent, rounded to step and register, in the inside unit; the wanted value when nothing was sent.
        read_back: what the state point showed; None if it was not read.
        reason: code of `Reason`, empty when verified.
    """

    verified: bool
    wrote: float
    read_back: float | None
    reason: str


class Writer:
    """Writes to one device.

    Args:
        link: the unit on its wire.
        points: what its profile says of each point.
        codecs: registers <-> values of each point.
        now_utc: site's clock.
        may_write: asked before every write; False: not one frame leaves.
    """

    def __init__(
        self,
        link: UnitLink,
        *,
        points: Mapping[str, PointSpec],
        codecs: Mapping[str, PointCodec],
        now_utc: Callable[[], datetime],
        may_write: Callable[[], bool],
    ) -> None:
        self._link = link
        self._points = points
        self._codecs = codecs
        self._now_utc = now_utc
        self._may_write = may_write
        self._written: dict[str, deque[datetime]] = {}

    async def write(self, name: str, value: float) -> WriteOutcome:
        """Writes one value and proves it: bounds, step, echo, read back of the state point, comparison.

        A write is sent once. If its echo is lost, the state point alone tells what became of it.

        Args:
            name: of the point in the profile.
            value: in the inside unit.
        """
        spec = self._points.get(name)
        if spec is None:
            return WriteOutcome(verified=False, wrote=value, read_back=None, reason=Reason.UNKNOWN_POINT)
        reason = self._refusal(spec, value)
        if reason is not Reason.NONE:
            return WriteOutcome(verified=False, wrote=value, read_back=None, reason=reason)
        assert spec.write is not None
        codec = self._codecs[name]
        step = spec.write.step
        wanted = min(max(round(value / step) * step, spec.write.value_min), spec.write.value_max) if step else value
        try:
            registers = codec.encode(wanted)
        except GiveUpPoint:
            return WriteOutcome(verified=False, wrote=wanted, read_back=None, reason=Reason.OUT_OF_BOUNDS)
        wrote = codec.decode(registers)[0]
        assert wrote is not None
        if spec.write.per_hour is not None:
            self._written.setdefault(name, deque(maxlen=spec.write.per_hour)).append(self._now_utc())
        try:
            await self._link.send(spec.first, registers, function=spec.write.function)
        except (NoAnswer, ProtocolFault) as error:
            outcome = await self._prove(spec.write, wrote)
            if outcome.verified:
                return outcome
            return WriteOutcome(verified=False, wrote=wrote, read_back=outcome.read_back, reason=_reason(error))
        except DriverError as error:
            return WriteOutcome(verified=False, wrote=wrote, read_back=None, reason=_reason(error))
        return await self._prove(spec.write, wrote)

    def _refusal(self, spec: PointSpec, value: float) -> Reason:
        """Why this write does not reach the wire; NONE if it may."""
        rule = spec.write
        if rule is None:
            return Reason.NOT_WRITABLE
        if not self._may_write():
            return Reason.MONITOR_MODE
        if not math.isfinite(value):
            return Reason.NOT_A_NUMBER
        if not rule.value_min - TOLERANCE_FLOOR <= value <= rule.value_max + TOLERANCE_FLOOR:
            return Reason.OUT_OF_BOUNDS
        if rule.per_hour is not None:
            sent = self._written.setdefault(spec.name, deque(maxlen=rule.per_hour))
            while sent and self._now_utc() - sent[0] >= HOUR:
                sent.popleft()
            if len(sent) >= rule.per_hour:
                return Reason.RATE_LIMIT
        if self._link.resting:
            return Reason.NO_ANSWER
        return Reason.NONE

    async def _prove(self, rule: WriteRule, wrote: float) -> WriteOutcome:
        """Reads the state point and compares."""
        codec = self._codecs[rule.state_point]
        span = Span(codec.spec.function, codec.first, codec.count)
        try:
            registers = await self._link.ask(span)
        except DriverError:
            return WriteOutcome(verified=False, wrote=wrote, read_back=None, reason=Reason.READ_BACK_FAILED)
        seen, _ = codec.decode(registers)
        if seen is None:
            return WriteOutcome(verified=False, wrote=wrote, read_back=None, reason=Reason.READ_BACK_FAILED)
        proofs = rule.state_values.get(wrote, (wrote,))
        close = any(abs(seen - proof) <= rule.tolerance + TOLERANCE_FLOOR for proof in proofs)
        return WriteOutcome(
            verified=close, wrote=wrote, read_back=seen, reason=Reason.NONE if close else Reason.READ_BACK_DIFFERS
        )


def _reason(error: DriverError) -> Reason:
    for kind, reason in ((NoAnswer, Reason.NO_ANSWER), (LineDown, Reason.LINE_DOWN), (DeviceRefused, Reason.REFUSED)):
        if isinstance(error, kind):
            return reason
    return Reason.PROTOCOL
