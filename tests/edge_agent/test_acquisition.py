from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from drivers.sample import Sample, good
from edge_agent import acquisition
from edge_agent.acquisition import Pending, Recorder
from edge_agent.errors import StoreFault

NOON = datetime(2026, 1, 12, 4, tzinfo=UTC)


def sample(number: int) -> Sample:
    return good("a.t", NOON + timedelta(seconds=number), float(number), "degC")


class Disk:
    """Remembers frames in order; refuses while `full`."""

    def __init__(self) -> None:
        self.full = False
        self.frames: list[list[float | None]] = []
        self.closed: list[tuple[datetime, int]] = []

    async def append_frame(self, samples: Sequence[Sample], _instant_utc: datetime) -> int:
        if self.full:
            raise StoreFault("disk full")
        self.frames.append([item.value for item in samples])
        return len(self.frames)

    async def close_due(self, now_utc: datetime) -> int:
        self.closed.append((now_utc, len(self.frames)))
        return 0


def recorder(disk: Disk, pending: Pending, promised: list[int]) -> Recorder:
    return Recorder(pending=pending, append_frame=disk.append_frame, close_due=disk.close_due, promise=promised.append)


async def test_periods_close_only_after_what_was_read_before_is_committed() -> None:
    disk, pending, promised = Disk(), Pending(), list[int]()
    pending.put([sample(1), sample(2)])
    await recorder(disk, pending, promised).scan(NOON)
    assert disk.frames == [[1.0, 2.0]]
    assert disk.closed == [(NOON, 1)]
    assert promised == [1]


async def test_a_refusing_disk_loses_nothing_and_promises_nothing() -> None:
    disk, pending, promised = Disk(), Pending(), list[int]()
    part = recorder(disk, pending, promised)
    disk.full = True
    pending.put([sample(1)])
    await part.scan(NOON)
    assert part.failing_since_utc == NOON
    assert promised == []
    pending.put([sample(2)])
    disk.full = False
    await part.scan(NOON + timedelta(seconds=30))
    assert disk.frames == [[1.0, 2.0]]
    assert promised == [1]
    assert part.failing_since_utc is None


async def test_nothing_read_makes_no_frame_but_periods_go_on() -> None:
    disk, pending, promised = Disk(), Pending(), list[int]()
    await recorder(disk, pending, promised).scan(NOON)
    assert disk.frames == []
    assert disk.closed == [(NOON, 0)]


def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    pending = Pending()
    limit = acquisition.PENDING_SAMPLE_COUNT_MAX
    pending.put([sample(0)] * limit)
    pending.put([sample(1)])
    assert pending.dropped_count == 1
    assert len(pending.take()) == limit
