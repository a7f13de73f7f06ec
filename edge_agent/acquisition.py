"""Polls the devices into the process image, and keeps what was read: one frame a scan, committed before it counts.

Each bus has one poller, because a bus carries one request at a time; a device is due by the age of its data, not by a
global scan. It does not know what the samples mean.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from drivers.device import Device
from drivers.sample import Sample
from edge_agent.clock import Clock, sleep_until
from edge_agent.errors import StoreFault
from edge_agent.image import ProcessImage

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

    def give_back(self, samples: Sequence[Sample]) -> None:
        """Puts samples back in front after a failed commit."""
        self._samples.extendleft(reversed(samples))
        self.put(())


@dataclass(slots=True)
class _Turn:
    """A device and when it is due."""

    device: Device
    due_utc: datetime
    phase_s: float = field(default=0.0)


async def poll_bus(
    devices: Sequence[Device],
    *,
    clock: Clock,
    image: ProcessImage,
    pending: Pending,
    progress: Callable[[], None],
) -> None:
    """Polls the devices of one bus for ever, each by its own period, with staggered phases.

    Args:
        devices: the units on this bus.
        clock: the site's clock.
        image: receives every sample.
        pending: receives every sample for the next frame.
        progress: called after each poll; feeds the watchdog.
    """
    if not devices:
        return
    start_utc = clock.now_utc()
    # The first round runs at once, so that control sees the whole plant soon; the phases spread from the second on.
    turns = [
        _Turn(device, start_utc, phase_s=device.period_s * position / len(devices))
        for position, device in enumerate(devices)
    ]
    while True:
        turn = min(turns, key=lambda candidate: candidate.due_utc)
        await sleep_until(clock, turn.due_utc)
        samples = await turn.device.poll()
        image.put(samples)
        pending.put(samples)
        progress()
        turn.due_utc = _next_due_utc(turn, start_utc=start_utc, now_utc=clock.now_utc())


def _next_due_utc(turn: _Turn, *, start_utc: datetime, now_utc: datetime) -> datetime:
    """The next grid instant of the device's own phase; a poll that took too long skips instants, it never bunches."""
    period_s = turn.device.period_s
    gone_s = (now_utc - start_utc).total_seconds() - turn.phase_s
    return start_utc + timedelta(seconds=turn.phase_s + (gone_s // period_s + 1) * period_s)


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
        self.frame_count = 0

    @property
    def failing_since_utc(self) -> datetime | None:
        """Since when the store refuses, or None."""
        return self._failing_since_utc

    async def scan(self, now_utc: datetime) -> None:
        """One frame of all that was read since the last one, then the periods that ended before it.

        The order matters: a period is closed only after every sample read before `now_utc` is committed.
        """
        samples = self._pending.take()
        try:
            if samples:
                sequence = await self._append_frame(samples, now_utc)
                self.frame_count += 1
                self._promise(sequence)
                samples = []
            await self._close_due(now_utc)
        except StoreFault as error:
            self._pending.give_back(samples)
            if self._failing_since_utc is None:
                self._failing_since_utc = now_utc
                LOG.error("store refuses, samples wait in memory: %s", error)  # noqa: TRY400 - said once, no trace
            return
        if self._failing_since_utc is not None:
            LOG.warning(
                "store accepts again after duration_s=%.0f", (now_utc - self._failing_since_utc).total_seconds()
            )
            self._failing_since_utc = None

    async def run(self, *, clock: Clock, period_s: float, progress: Callable[[], None]) -> None:
        """Scans for ever, once a period [s, site clock]."""
        due_utc = clock.now_utc()
        while True:
            due_utc = max(due_utc + timedelta(seconds=period_s), clock.now_utc())
            await sleep_until(clock, due_utc)
            await self.scan(clock.now_utc())
            progress()
