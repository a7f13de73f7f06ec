"""Polls the devices into the process image, and keeps what was read: one frame a scan, committed before it counts.

Each bus has one poller; a device is due by the age of its data, not by a global scan. It does not know what the
samples mean.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from drivers.device import Device
from drivers.sample import Sample
from drivers.schedule import phases_s
from edge_agent.clock import Clock, next_instant, sleep_until
from edge_agent.errors import StoreFault
from edge_agent.image import ProcessImage
from edge_agent.to_the_end import to_the_end

LOG = logging.getLogger(__name__)

PENDING_SAMPLE_COUNT_MAX = 200_000
"""Samples held in memory while the disk refuses; beyond it the oldest go, and are counted: they were never accepted."""


class Pending:
    """Samples that were read and not yet committed, in the order of reading."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()
        self.dropped_count = 0

    def put(self, samples: Sequence[Sample]) -> None:
        """Adds samples; at the limit the oldest give way."""
        self._samples.extend(samples)
        while len(self._samples) > PENDING_SAMPLE_COUNT_MAX:
            self._samples.popleft()
            self.dropped_count += 1

    def take(self) -> list[Sample]:
        """All pending samples; they are no longer held here."""
        taken = list(self._samples)
        self._samples.clear()
        return taken

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._samples)

    def give_back(self, samples: Sequence[Sample]) -> None:
        """Puts samples back in front after a failed commit."""
        self._samples.extendleft(reversed(samples))
        self.put(())


LOAD_WINDOW_S = 60.0
"""Wall time over which the load of a bus is told [s]."""
LOAD_STEP_S = 1.0
LATE_RATIO_MAX = 0.8
"""A poll that could not begin on its instant is made up at once within this share of the period; a later one is left
out, for the next instant has nearly come."""
AHEAD_RATIO_MAX = 1.5
"""An instant more periods ahead than this means that the clock was set back."""


@dataclass(slots=True)
class BusWatch:
    """What polling makes of one bus.

    Attributes:
        polls: polls of a device that ended as they should.
        failures: polls that broke on a fault of ours; each cost one device one poll.
        skipped: polls left out because the one before took too long: the bus cannot keep the periods.
    """

    polls: int = 0
    failures: int = 0
    skipped: int = 0
    _marks: deque[tuple[float, float]] = field(default_factory=deque)

    def mark(self, *, now_s: float, busy_s: float) -> None:
        """Notes how long the bus has been busy in all [s], at a reading of the stop-watch [s]."""
        if self._marks and now_s - self._marks[-1][0] < LOAD_STEP_S:
            return
        self._marks.append((now_s, busy_s))
        while len(self._marks) > 2 and self._marks[1][0] <= now_s - LOAD_WINDOW_S:  # noqa: PLR2004 - begin and end
            self._marks.popleft()

    @property
    def load_ratio(self) -> float | None:
        """Share of the last minute that the bus was busy; None: not known yet."""
        if not self._marks or self._marks[-1][0] <= self._marks[0][0]:
            return None
        (begin_s, before_s), (end_s, after_s) = self._marks[0], self._marks[-1]
        return (after_s - before_s) / (end_s - begin_s)


@dataclass(slots=True)
class _Turn:
    """A device, its grid, and what its last poll came to."""

    device: Device
    start_utc: datetime
    phase_s: float
    due_utc: datetime
    running: bool = False
    late_utc: datetime | None = None
    fault: str = ""

    def next_due_utc(self, now_utc: datetime) -> datetime:
        """The next instant of the device's own grid."""
        period_s = self.device.period_s
        gone_s = (now_utc - self.start_utc).total_seconds() - self.phase_s
        return self.start_utc + timedelta(seconds=self.phase_s + (gone_s // period_s + 1) * period_s)


class BusPoller:
    """Polls the devices of one bus, each by its own period, with staggered phases.

    Polls of several devices run side by side; whose request goes next on the wire is settled there
    (`drivers.turns`). A poll that breaks costs one device one poll, whatever broke it.

    Args:
        bus: its name, for the log.
        devices: the units on it.
        clock: the site's clock.
        image: receives every sample.
        pending: receives every sample for the next frame.
        progress: called after each poll; feeds the watchdog.
        watch: counts.
    """

    def __init__(
        self,
        bus: str,
        devices: Sequence[Device],
        *,
        clock: Clock,
        image: ProcessImage,
        pending: Pending,
        progress: Callable[[], None],
        watch: BusWatch,
    ) -> None:
        self._bus = bus
        self._devices = devices
        self._clock = clock
        self._image = image
        self._pending = pending
        self._progress = progress
        self._watch = watch

    async def run(self) -> None:
        """Polls for ever."""
        if not self._devices:
            return
        start_utc = self._clock.now_utc()
        # The first round runs at once, so that control sees the whole plant soon; the phases spread from the second on.
        spread_s = phases_s([device.period_s for device in self._devices])
        turns = [
            _Turn(device, start_utc, phase_s, due_utc=start_utc)
            for device, phase_s in zip(self._devices, spread_s, strict=True)
        ]
        async with asyncio.TaskGroup() as group:
            while True:
                self._follow_clock(turns, self._clock.now_utc())
                turn = min(turns, key=lambda candidate: candidate.due_utc)
                await sleep_until(self._clock, turn.due_utc)
                if self._clock.now_utc() < turn.due_utc:  # the clock was set back meanwhile
                    continue
                if turn.running:
                    if turn.late_utc is not None:
                        self._watch.skipped += 1
                    turn.late_utc = turn.due_utc
                else:
                    turn.running = True
                    group.create_task(self._poll(turn), name=f"poll {turn.device.name}")
                turn.due_utc = turn.next_due_utc(self._clock.now_utc())

    def _follow_clock(self, turns: Sequence[_Turn], now_utc: datetime) -> None:
        """Brings instants that a clock set back has put out of reach back onto the grid, each at its own phase."""
        for turn in turns:
            ahead_s = (turn.due_utc - now_utc).total_seconds()
            if ahead_s > AHEAD_RATIO_MAX * turn.device.period_s:
                LOG.warning("clock was set back, polls follow it device=%s ahead_s=%.0f", turn.device.name, ahead_s)
                turn.due_utc = turn.next_due_utc(now_utc)

    async def _poll(self, turn: _Turn) -> None:
        """One poll of one device, and at once another one if its instant came meanwhile and is not long past."""
        while True:
            turn.late_utc = None
            await self._once(turn)
            late_utc = turn.late_utc
            if late_utc is None:
                break
            late_s = (self._clock.now_utc() - late_utc).total_seconds()
            if late_s > LATE_RATIO_MAX * turn.device.period_s:
                self._watch.skipped += 1
                break
        turn.running = False

    async def _once(self, turn: _Turn) -> None:
        device = turn.device
        try:
            samples = await device.poll()
        except Exception as error:
            self._watch.failures += 1
            fault = f"{type(error).__name__}: {error}"
            if fault != turn.fault:
                LOG.exception("poll failed device=%s bus=%s", device.name, self._bus)
            turn.fault = fault
        else:
            if turn.fault:
                LOG.warning("poll works again device=%s bus=%s after=%s", device.name, self._bus, turn.fault)
            turn.fault = ""
            self._watch.polls += 1
            self._image.put(samples)
            self._pending.put(samples)
        self._progress()


class Recorder:
    """Commits one frame a scan, promises it, and closes the periods that have ended."""

    def __init__(
        self,
        *,
        pending: Pending,
        append_frame: Callable[[Sequence[Sample], datetime], Awaitable[int]],
        close_due: Callable[[datetime], Awaitable[int]],
        promise: Callable[[int], None],
    ) -> None:
        self._pending = pending
        self._append_frame = append_frame
        self._close_due = close_due
        self._promise = promise
        self._failing_since_utc: datetime | None = None
        self.fault = ""
        """Why the store refuses; empty while it does not."""
        self.frame_count = 0

    @property
    def failing_since_utc(self) -> datetime | None:
        """Since when the store refuses, or None."""
        return self._failing_since_utc

    async def scan(self, now_utc: datetime) -> None:
        """One frame of all that was read since the last one, then the periods that ended before it.

        The order matters: a period is closed only after every sample read before `now_utc` is committed. A frame on its
        way to the disk is waited for, whoever wants to stop: afterwards its samples are in the store, or here again.
        """
        try:
            if self._pending:
                await to_the_end(self._commit(now_utc))
            await self._close_due(now_utc)
        except StoreFault as error:
            self.fault = str(error)
            if self._failing_since_utc is None:
                self._failing_since_utc = now_utc
                LOG.error("store refuses, samples wait in memory: %s", error)  # noqa: TRY400 - said once, no trace
            return
        self.fault = ""
        if self._failing_since_utc is not None:
            LOG.warning(
                "store accepts again after duration_s=%.0f", (now_utc - self._failing_since_utc).total_seconds()
            )
            self._failing_since_utc = None

    async def _commit(self, now_utc: datetime) -> None:
        samples = self._pending.take()
        try:
            sequence = await self._append_frame(samples, now_utc)
        except BaseException:
            self._pending.give_back(samples)
            raise
        self.frame_count += 1
        self._promise(sequence)

    async def run(self, *, clock: Clock, period_s: float, progress: Callable[[], None]) -> None:
        """Scans for ever, once a period [s, site clock]."""
        due_utc = clock.now_utc()
        while True:
            due_utc = next_instant(due_utc, clock.now_utc(), period_s=period_s)
            await sleep_until(clock, due_utc)
            await self.scan(clock.now_utc())
            progress()
