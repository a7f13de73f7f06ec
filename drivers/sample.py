"""One reading of one point: when, what, and how far it may be trusted. No wire, no device."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum


class Quality(IntEnum):
    """How far a value may be trusted. The numbers are the ones the monitoring rules use: 192 valid, 0 invalid.

    Source: 可再生能源建筑应用示范项目数据监测系统技术导则 (2009), quality code; 64 is the usual OPC "uncertain".
    """

    BAD = 0
    UNCERTAIN = 64
    GOOD = 192


class Cause(StrEnum):
    """Why a sample is not GOOD; empty for a GOOD one. Stable codes, worded in `edge_agent/texts`."""

    NONE = ""
    NO_ANSWER = "no_answer"
    LINE_DOWN = "line_down"
    PROTOCOL = "protocol"
    REFUSED = "refused"
    INVALID_MARK = "invalid_mark"  # the device itself says "no value"
    CANNOT_DECODE = "cannot_decode"
    OUT_OF_RANGE = "out_of_range"
    NO_FLOW = "no_flow"  # a flow-dependent sensor without flow is not a reading
    STALE = "stale"
    COUNTER_BACK = "counter_back"  # a total that fell: roll-over, reset or another meter, until it is confirmed
    COUNTER_JUMP = "counter_jump"  # a total that grew faster than the plant can
    COUNTER_ZERO = "counter_zero"  # a total that shows 0 after it had counted
    TORN = "torn"  # a number of several registers, read while the meter renewed it
    FROZEN = "frozen"  # a measured value that has not moved by a bit for too long
    HEAT_BALANCE = "heat_balance"  # heat power that flow and temperatures do not bear out
    SUM_DIFFERS = "sum_differs"  # a total that is not the sum of its parts
    DISORDER = "disorder"  # several long numbers of the device make no sense: those that might are not believed either
    IDENTITY_CHANGED = "identity_changed"  # another serial number: another meter, until it is confirmed


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading.

    Attributes:
        point: `device.point`.
        instant_utc: when the answer was complete, on the site's clock.
        value: in the inside unit of the point; None when BAD.
        unit: inside unit: kW kWh degC K kPa m3 m3/h Hz A V % or "" for a code or switch.
        quality: GOOD, UNCERTAIN or BAD.
        cause: why not GOOD.
        correction: of a total that only grows: value + correction is the continuous total, over roll-over, reset and
            exchange of the meter; in the unit of the point. The value stays what the meter shows.
    """

    point: str
    instant_utc: datetime
    value: float | None
    unit: str
    quality: Quality
    cause: Cause = Cause.NONE
    correction: float = 0.0

    def __post_init__(self) -> None:
        if self.value is None:
            assert self.quality is Quality.BAD, f"{self.point}: no value, yet quality {self.quality.name}"
        else:
            assert self.quality is not Quality.BAD, f"{self.point}: BAD, yet a value"
            assert math.isfinite(self.value), f"{self.point}: value {self.value}"
        assert (self.quality is Quality.GOOD) == (self.cause is Cause.NONE), f"{self.point}: cause and quality differ"
        assert math.isfinite(self.correction), f"{self.point}: correction {self.correction}"
        assert self.instant_utc.tzinfo is not None, f"{self.point}: naive instant"


def good(point: str, instant_utc: datetime, value: float, unit: str) -> Sample:
    """A reading to be trusted."""
    return Sample(point, instant_utc, value, unit, Quality.GOOD)


def bad(point: str, instant_utc: datetime, unit: str, cause: Cause) -> Sample:
    """A reading that failed, and why."""
    return Sample(point, instant_utc, None, unit, Quality.BAD, cause)
