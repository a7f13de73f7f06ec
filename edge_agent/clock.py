"""The only place that reads time: the site's clock (real, or shared with the simulated plant) and the stop-watch.

The site's clock drives scans, control, minimum times, rollups and plans. The stop-watch (`elapsed_s`) drives what
belongs to the machine: time-outs, serial gaps, solver deadlines. On a real site both run at the same rate.

A simulated clock is a small file that the simulator writes and every process of the site maps into memory: it says
which simulated instant belongs to which reading of the machine's monotonic clock, and how fast simulated time runs.
Layout, little-endian: 8 bytes mark `HILCLK01`, u64 sequence (odd while being written), f64 anchor on the monotonic
clock [s], f64 simulated instant at the anchor [s since 1970 UTC], f64 speed [simulated s per s], f64 lease [s]: time
stands still when the anchor is older than that, so a stalled simulator does not let hours pass unseen; f64 by how much
the site's clock is wrong [s], so that a clock that is set can be played.
"""

import ctypes
import functools
import math
import mmap
import os
import struct
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from edge_agent.clock_quality import ClockQuality, StepWatch, judge
from edge_agent.errors import ConfigurationFault

CLOCK_MARK = b"HILCLK01"
CLOCK_LAYOUT = struct.Struct("<8sQddddd")
ANCHORS_KEPT = 256
"""Changes of a simulated clock that are remembered: it renews its lease a few times a second."""
LONGEST_NAP_S = 0.2
"""Wall time after which a sleeper looks at the clock again: a change of speed is followed within this time."""
SET_BACK_S = 2.0
"""A clock that goes back by more wall time than this between two looks has been set; less is only waited for."""

BRACKET_S_MAX = 0.01
"""Two clocks read within this time were read at one moment [s]."""
BRACKET_COUNT_MAX = 5
"""A machine so busy that it interrupts every one of so many readings gets the last one."""


def elapsed_s() -> float:
    """Reading of the machine's monotonic clock [s]; only differences mean something."""
    return time.monotonic()


def cpu_s() -> float:
    """Processor time that this process has used, all threads [s]; only differences mean something."""
    return time.process_time()


@functools.cache
def _boot_id() -> str:
    """Which start of the machine this is; the monotonic clock counts from it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"process {os.getpid()}"


class Clock(Protocol):
    """What the service needs to know about time."""

    def now_utc(self) -> datetime:
        """The present instant on the site's clock."""
        ...

    def speed_ratio(self) -> float:
        """Site seconds per wall second; 1 on a real site."""
        ...

    def reading_s(self) -> float:
        """Reading of the stop-watch [s] that `at_utc` is asked about later; any thread may take one."""
        ...

    def at_utc(self, reading_s: float) -> datetime:
        """What the site's clock says, as it is set now, of a reading of the stop-watch not long ago [s]."""
        ...


TIMEX_BYTES = 256
"""More than `struct timex` has on any machine (208 with 64-bit long)."""
TIME_ERROR = 5
"""What adjtimex returns while the kernel's clock is not synchronised. Source: adjtimex(2), "Return value"."""
TIMESYNCD_MARK = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd touches this file when it has set the clock in this boot. Source: systemd-timesyncd.service(8)."""


def kernel_synchronised() -> bool:
    """Whether a time service (chrony with `rtcsync`, ntpd, timesyncd, PTP) keeps this machine's clock.

    The kernel knows: a time service clears STA_UNSYNC, and the kernel sets it again when the possible error has grown
    beyond 16 s, hours after the last word of a server. Source: adjtimex(2), chrony.conf(5) `rtcsync`.
    """
    try:
        answer = int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES)))
    except (OSError, AttributeError):
        answer = -1
    # Where adjtimex is forbidden (some sandboxes), timesyncd's own mark is the second-best witness.
    return TIMESYNCD_MARK.exists() if answer < 0 else answer != TIME_ERROR


class SiteClock(Clock, Protocol):
    """The site's clock, and beside it one that nobody sets: whoever minds minimum times looks at both."""

    def synchronised(self) -> bool:
        """Whether somebody keeps the clock right."""
        ...

    def steady(self) -> tuple[str, float, datetime]:
        """Site seconds that have really passed, whoever sets the clock; their epoch before, the site's clock behind.

        Both are read at one instant: at speed, a moment between two looks is seconds.
        """
        ...


class RealClock:
    """The machine's own clock."""

    def now_utc(self) -> datetime:
        """The present instant."""
        return datetime.now(UTC)

    def speed_ratio(self) -> float:
        """Always 1."""
        return 1.0

    def reading_s(self) -> float:
        """Reading of the machine's monotonic clock."""
        return elapsed_s()

    def at_utc(self, reading_s: float) -> datetime:
        """As much before the present instant as has passed since that reading."""
        _, steady_s, now_utc = self.steady()
        return now_utc - timedelta(seconds=steady_s - reading_s)

    def synchronised(self) -> bool:
        """What the machine's time service says."""
        return kernel_synchronised()

    def steady(self) -> tuple[str, float, datetime]:
        """The machine's boot and its monotonic clock, which goes on over restarts of the service."""
        before_s, now_utc, after_s = time.monotonic(), self.now_utc(), time.monotonic()
        for _ in range(BRACKET_COUNT_MAX):
            if after_s - before_s <= BRACKET_S_MAX:
                break
            before_s, now_utc, after_s = time.monotonic(), self.now_utc(), time.monotonic()
        return _boot_id(), (before_s + after_s) / 2, now_utc


class _Anchor(NamedTuple):
    """What the simulator has said: from an instant on time runs at a speed, for as long as a lease."""

    anchor_s: float
    simulated_s: float
    speed_ratio: float
    lease_s: float
    wrong_s: float

    def plant_s(self, reading_s: float) -> float:
        """The plant's instant [s since 1970] at a reading of the stop-watch."""
        return self.simulated_s + min(reading_s - self.anchor_s, self.lease_s) * self.speed_ratio


class SimulatedClock:
    """Reads the clock that the simulator keeps in a shared file."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._view = mmap.mmap(file.fileno(), CLOCK_LAYOUT.size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise ConfigurationFault(
                f"{path}: 没有仿真时钟,hil-sim 在运行吗? / no simulated clock; is hil-sim running?"
            ) from error
        if self._view[: len(CLOCK_MARK)] != CLOCK_MARK:
            raise ConfigurationFault(f"{path}: 不是仿真时钟文件 / not a simulated clock file")
        self._anchors: deque[_Anchor] = deque(maxlen=ANCHORS_KEPT)

    def _look(self) -> tuple[float, "_Anchor"]:
        """Reading of the stop-watch and what holds then: one undisturbed look at the file, which is remembered."""
        while True:
            _, before, *state = CLOCK_LAYOUT.unpack(self._view[: CLOCK_LAYOUT.size])
            now_s = elapsed_s()
            _, after, *_ = CLOCK_LAYOUT.unpack(self._view[: CLOCK_LAYOUT.size])
            # The simulator takes its anchor while the sequence is odd: a reading between two equal even ones fits it.
            if before == after and before % 2 == 0:
                anchor = _Anchor(*state)
                if not self._anchors or self._anchors[-1].anchor_s < anchor.anchor_s:
                    self._anchors.append(anchor)
                return now_s, anchor

    def _read(self) -> tuple[float, float, float]:
        """The plant's present instant [s since 1970], the speed, the clock's error [s]."""
        now_s, anchor = self._look()
        return anchor.plant_s(now_s), anchor.speed_ratio, anchor.wrong_s

    def now_utc(self) -> datetime:
        """The present simulated instant, as the site's clock shows it."""
        instant_s, _, wrong_s = self._read()
        return datetime.fromtimestamp(instant_s + wrong_s, UTC)

    def speed_ratio(self) -> float:
        """Simulated seconds per wall second; 0 while the simulator holds the clock."""
        return self._read()[1]

    def reading_s(self) -> float:
        """Reading of the stop-watch; what held then is remembered."""
        return self._look()[0]

    def at_utc(self, reading_s: float) -> datetime:
        """By what held at that reading: the speed may have changed since, or time have stood still."""
        _, now = self._look()
        held = next((anchor for anchor in reversed(tuple(self._anchors)) if anchor.anchor_s <= reading_s), now)
        return datetime.fromtimestamp(held.plant_s(reading_s) + now.wrong_s, UTC)

    def synchronised(self) -> bool:
        """The simulated time service: it knows when the clock is wrong."""
        return self._read()[2] == 0.0

    def steady(self) -> tuple[str, float, datetime]:
        """The plant's own time, which no clock that is set moves."""
        instant_s, _, wrong_s = self._read()
        return "simulated", instant_s, datetime.fromtimestamp(instant_s + wrong_s, UTC)


class ClockWatch:
    """Says at each frame how far the clock may be trusted."""

    def __init__(self, clock: SiteClock) -> None:
        """Looks at `clock`."""
        self._clock = clock
        self._steps = StepWatch()
        self.step_count = 0
        """How often the clock was seen to be set."""
        self.quality = self.look()
        """At the last look."""

    @property
    def step_s(self) -> float:
        """By how much the clock was last set [s]; 0: never seen."""
        return self._steps.step_s

    def look(self) -> ClockQuality:
        """The quality of this moment; a step is reported once."""
        epoch, steady_s, now_utc = self._clock.steady()
        stepped = self._steps.look(epoch, clock_s=now_utc.timestamp(), steady_s=steady_s)
        self.step_count += stepped
        self.quality = judge(synchronised=self._clock.synchronised(), stepped=stepped)
        return self.quality


async def sleep_until(clock: Clock, instant_utc: datetime) -> None:
    """Waits until the site's clock has reached an instant, following changes of its speed.

    It returns early when the clock is set back meanwhile: whoever waits reckons his instant anew.
    """
    before_s = math.inf
    while True:
        remaining_s = (instant_utc - clock.now_utc()).total_seconds()
        speed_ratio = clock.speed_ratio()
        if remaining_s <= 0 or remaining_s > before_s + SET_BACK_S * max(1.0, speed_ratio):
            return
        before_s = remaining_s
        wall_s = remaining_s / speed_ratio if speed_ratio > 0 else LONGEST_NAP_S
        await _nap(min(wall_s, LONGEST_NAP_S))


async def _nap(wall_s: float) -> None:
    import asyncio  # noqa: PLC0415 - heavy: verbs that ask for the date and never sleep do without

    await asyncio.sleep(wall_s)


def next_instant(due_utc: datetime, now_utc: datetime, *, period_s: float) -> datetime:
    """The instant after `due_utc` on a grid: at once if it has passed, at most one period ahead if the clock was set.

    Args:
        due_utc: the instant of the grid that has just been served.
        now_utc: site's clock.
        period_s: of the grid [s].
    """
    period = timedelta(seconds=period_s)
    return min(max(due_utc + period, now_utc), now_utc + period)


def stopwatch(read_s: Callable[[], float] = elapsed_s) -> Callable[[], float]:
    """A function that returns the wall time since this call [s]."""
    start_s = read_s()
    return lambda: read_s() - start_s
