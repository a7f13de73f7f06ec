"""How much time has really passed: the site's clock, as far as a time service or the steady clock bears it out. Pure.

A clock that is wrong must neither close hours that have not been nor hold up those that have: it reads no clock and
knows no period.
"""

import json
import logging
from dataclasses import dataclass

LOG = logging.getLogger(__name__)

STEP_S = 30.0
"""A clock that goes this much off the steady one was set [s]."""
TRUSTED_STAND_S = 60.0
"""A clock that was set and is vouched for is followed when it has stood for this long [s, site] ..."""
STAND_S = 900.0
"""... and one that nobody vouches for after this: a site without a time service must report as well [s, site]."""
STAND_LONG_S = 86_400.0
"""What stood for so long is taken for right, though nobody vouches for it [s, site]."""
EARLIEST_S = 1_735_689_600.0
"""2025-01-01: a clock before it that nobody vouches for has lost its battery [s since 1970 UTC]."""
DRIFT_S = 5.0
"""The anchor is written anew when the clock was slewed by this much [s]."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """Which reading of the site's clock belongs to which of the steady one.

    Attributes:
        epoch: what the steady clock counts from.
        offset_s: site's clock minus steady clock [s].
    """

    epoch: str
    offset_s: float

    def to_json(self) -> str:
        """As it is kept."""
        return json.dumps({"epoch": self.epoch, "offset_s": self.offset_s})


def read_anchor(text: str | None) -> Anchor | None:
    """What was kept; None: nothing."""
    if text is None:
        return None
    kept = json.loads(text)
    return Anchor(str(kept["epoch"]), float(kept["offset_s"]))


@dataclass(frozen=True, slots=True)
class Passed:
    """What a look has found.

    Attributes:
        until_s: time has passed up to here [s since 1970 UTC]; None: nothing is borne out yet.
        since_s: from here on the steady clock was watched under the present belief [s since 1970 UTC].
        running_s: since when this service has watched both clocks, by the present belief [s since 1970 UTC].
        vouched: all that lies before has passed, also what nobody has watched.
        trusted: a time service says so.
        adopted: a clock that nobody vouches for is followed from this look on: what it has jumped over may not have
            been.
    """

    until_s: float | None
    since_s: float = 0.0
    running_s: float = 0.0
    vouched: bool = False
    trusted: bool = False
    adopted: bool = False


class PassedTime:
    """Watches both clocks."""

    def __init__(self, kept: Anchor | None) -> None:
        """Begins with what an earlier run of the service knew.

        Args:
            kept: its anchor; holds as long as the steady clock counts from the same epoch.
        """
        self.anchor = kept
        self._since_steady_s: float | None = None  # of the present belief, on the steady clock
        self._stepped: tuple[float, float] | None = None  # another offset, and when it was first seen
        self._first_steady_s: float | None = None

    def look(self, epoch: str, *, steady_s: float, clock_s: float, trusted: bool) -> Passed:
        """What has passed by now.

        Args:
            epoch: what the steady clock counts from.
            steady_s: the steady clock [s].
            clock_s: the site's clock at the same moment [s since 1970 UTC].
            trusted: a time service vouches for it.
        """
        if self._first_steady_s is None or self._first_steady_s > steady_s:
            self._first_steady_s = steady_s
        offset_s = clock_s - steady_s
        known = self.anchor if self.anchor is not None and self.anchor.epoch == epoch else None
        if known is not None and abs(offset_s - known.offset_s) <= STEP_S:
            self._stepped = None
            return self._follow(epoch, steady_s=steady_s, offset_s=offset_s, trusted=trusted)
        if known is None and trusted:
            return self._follow(epoch, steady_s=steady_s, offset_s=offset_s, trusted=True, begin_s=self._first_steady_s)
        if self._stepped is None or abs(offset_s - self._stepped[0]) > STEP_S:
            self._stepped = (offset_s, steady_s)
            LOG.warning(
                "clock is not borne out, periods wait for it to stand step_s=%s",
                "unknown" if known is None else f"{offset_s - known.offset_s:.0f}",
            )
        stood_s = steady_s - self._stepped[1]
        if stood_s >= (TRUSTED_STAND_S if trusted else STAND_S) and (trusted or clock_s >= EARLIEST_S):
            begin_s, self._stepped = self._stepped[1], None
            return self._follow(
                epoch, steady_s=steady_s, offset_s=offset_s, trusted=trusted, begin_s=begin_s, stood=True
            )
        if known is None:
            return Passed(None)
        return Passed(min(clock_s, steady_s + known.offset_s), since_s=clock_s)

    def _follow(
        self,
        epoch: str,
        *,
        steady_s: float,
        offset_s: float,
        trusted: bool,
        begin_s: float | None = None,
        stood: bool = False,
    ) -> Passed:
        self.anchor = Anchor(epoch, offset_s)
        if begin_s is not None or self._since_steady_s is None:
            self._since_steady_s = steady_s if begin_s is None else begin_s
        first_s = self._since_steady_s if self._first_steady_s is None else self._first_steady_s
        long = steady_s - self._since_steady_s >= STAND_LONG_S
        return Passed(
            steady_s + offset_s,
            since_s=self._since_steady_s + offset_s,
            running_s=first_s + offset_s,
            vouched=trusted or long,
            trusted=trusted,
            adopted=stood and not trusted,
        )
