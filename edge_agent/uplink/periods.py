"""Closes periods: rolls up what was stored, makes every uplink's record, and puts both on the disk in one transaction.

Every period that ends is closed exactly once, also those in which the service did not run: their values are invalid,
their records exist. Periods are closed in the order of their ends over all lengths. Where a length begins is noted on
the disk before any period is closed, so that a kill at any moment neither skips nor repeats one.
"""

import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Protocol

from edge_agent.clock_quality import ClockQuality
from edge_agent.rollup import (
    HOLD_PERIODS_MAX,
    Period,
    Reading,
    Rollup,
    microseconds,
    period_at,
    roll_up_readings,
)
from edge_agent.settings.model import UplinkFile
from edge_agent.store.rows import OutboxEntry, StoredSample
from edge_agent.uplink.gap_causes import gap_causes
from edge_agent.uplink.lengths import Lengths, lengths_key, may_be_set, read_lengths
from edge_agent.uplink.record import Record, build_record, encode
from edge_agent.uplink.streams import streams

LOG = logging.getLogger(__name__)

HISTORY_MIN = 15
"""Rollups of this length are kept for every point, whatever the uplinks want [min]."""
BEGINNINGS_KEY = "periods.beginnings"
DAY_MIN = 1440
WRONG_CLOCK = timedelta(days=730)
"""No plant's service rests for so long: a clock that goes on by more was years wrong before it was set."""
STEP_S = 30.0
"""A clock that goes this much off the steady one was set [s]."""
STAND_S = 900.0
"""A clock that was set is believed when it has stood for this long [s, site]."""
PERIODS_A_CALL_MAX = 8
"""Periods closed by one call: catching up after an outage does not hold up the scan that calls."""


class PeriodStore(Protocol):
    """What closing a period needs of the store."""

    async def first_instant_utc(self, *, from_day: date = date.min) -> datetime | None:
        """Instant of the oldest stored sample, of all or from a UTC day on."""
        ...

    async def last_period_ends_utc(self) -> dict[int, datetime]:
        """End of the last closed period by length."""
        ...

    async def readings_between(self, from_utc: datetime, to_utc: datetime) -> dict[str, list[Reading]]:
        """Readings of a span by point."""
        ...

    async def samples_between(
        self, from_utc: datetime, to_utc: datetime, *, points: Collection[str] | None = None
    ) -> list[StoredSample]:
        """Samples of a span."""
        ...

    async def clock_between(self, from_utc: datetime, to_utc: datetime) -> ClockQuality:
        """The worst that the clock was in a span."""
        ...

    async def get_state(self, key: str) -> str | None:
        """The JSON text under a key."""
        ...

    async def put_state(self, key: str, json_text: str) -> None:
        """Keeps a JSON text under a key."""
        ...

    async def close_period(self, period: Period, rollups: list[Rollup], records: list[OutboxEntry]) -> bool:
        """Stores rollups and records in one transaction, once."""
        ...


class PeriodCloser:
    """Closes what has ended whenever it is asked."""

    def __init__(
        self,
        store: PeriodStore,
        uplink_file: UplinkFile,
        *,
        plant: str,
        period_s: Callable[[str], float],
        period_s_max: float,
        grace_s: float,
        steady: Callable[[], tuple[str, float, datetime]] | None = None,
    ) -> None:
        """Wires the closer.

        Args:
            store: where samples come from and rollups and records go.
            uplink_file: who gets what.
            plant: name of the plant for uplinks that state none.
            period_s: expected distance of two readings of a point [s].
            period_s_max: the longest of them [s].
            grace_s: a period is closed this long after its end [s, site clock], when its last samples are stored.
            steady: a clock that nobody sets, with the site's clock beside it; None: the site's clock is believed.
        """
        self._store = store
        self._points = uplink_file.points
        self._streams = streams(uplink_file, plant=plant)
        self._lengths = {name: Lengths(stream.entry.period_min) for name, stream in self._streams.items()}
        self._period_s = period_s
        self._before = timedelta(seconds=HOLD_PERIODS_MAX * period_s_max)
        self._grace = timedelta(seconds=grace_s)
        self._next: dict[int, Period] = {}
        self._steady = steady
        self._offset_s: float | None = None
        self._stepped: tuple[float, float] | None = None  # new offset, and when on the steady clock

    async def close_due(self, now_utc: datetime) -> int:
        """Closes periods that ended at least the grace ago; when many wait, the oldest of them.

        Args:
            now_utc: the present on the site's clock.

        Returns:
            How many were closed; when it is not 0, more may be waiting.

        Raises:
            StoreFault: the store refuses; the period stays open.
        """
        if not self._next and not await self._resume():
            return 0
        now_utc = self._believed(now_utc)
        closed = 0
        while closed < PERIODS_A_CALL_MAX:
            period = min(self._next.values(), key=lambda candidate: (candidate.end_utc, candidate.length_min))
            if now_utc < period.end_utc + self._grace:
                break
            if now_utc - period.end_utc > WRONG_CLOCK and await self._leap(period):
                continue
            await self._close(period, now_utc)
            self._next[period.length_min] = period.next()
            closed += 1
        return closed

    def _believed(self, now_utc: datetime) -> datetime:
        """The present, but no later than the steady clock bears out until a clock that was set has stood for a while.

        Otherwise a clock that is ahead for minutes would close hours that have not been, empty and for ever.
        """
        if self._steady is None:
            return now_utc
        _, steady_s, clock_utc = self._steady()
        offset_s = clock_utc.timestamp() - steady_s
        if self._offset_s is None or abs(offset_s - self._offset_s) <= STEP_S:
            self._offset_s, self._stepped = offset_s, None
            return now_utc
        if self._stepped is None or abs(offset_s - self._stepped[0]) > STEP_S:
            self._stepped = (offset_s, steady_s)
            LOG.warning("clock was set, periods wait for it to stand step_s=%.0f", offset_s - self._offset_s)
        if steady_s - self._stepped[1] >= STAND_S:
            self._offset_s, self._stepped = offset_s, None
            return now_utc
        return min(now_utc, datetime.fromtimestamp(steady_s + self._offset_s, UTC))

    async def set_period(self, stream: str, period_min: int, *, now_utc: datetime) -> bool:
        """Gives a stream periods of another length, from the next boundary on that both lengths have.

        Args:
            stream: name of the stream.
            period_min: the length that its platform wants [min].
            now_utc: the present on the site's clock.

        Returns:
            False: it is not a length that may be set, or nothing was ever closed yet.

        Raises:
            StoreFault: the store refuses; the old length holds.
        """
        lengths = self._lengths[stream]
        if not may_be_set(period_min) or not self._next:
            return False
        # Periods up to the one that is under way keep their length, also those that wait to be closed.
        under_way = period_at(now_utc, lengths.at(now_utc))
        changed = lengths.changed(
            period_min, after_utc=max(under_way.end_utc, self._next[under_way.length_min].start_utc)
        )
        if changed == lengths:
            return True
        begin_utc = changed.changes[-1][0] if changed.changes else under_way.end_utc
        if period_min not in self._next:
            noted = json.loads(await self._store.get_state(BEGINNINGS_KEY) or "{}")
            await self._store.put_state(BEGINNINGS_KEY, json.dumps(noted | {str(period_min): begin_utc.isoformat()}))
        await self._store.put_state(lengths_key(stream), changed.to_json())
        self._next.setdefault(period_min, Period(begin_utc, period_min))
        self._lengths[stream] = changed
        LOG.warning("periods change uplink=%s period_min=%d from=%s", stream, period_min, begin_utc.isoformat())
        return True

    async def _leap(self, period: Period) -> bool:
        """Goes on with the next stored sample where a clock that was years wrong has left nothing in between.

        Returns:
            False when there is something: then every period of it is closed.
        """
        midnight_utc = period_at(period.start_utc, DAY_MIN).end_utc
        if await self._store.readings_between(period.start_utc, midnight_utc):
            return False
        next_utc = await self._store.first_instant_utc(from_day=midnight_utc.date())
        if next_utc is None or next_utc - period.end_utc <= WRONG_CLOCK:
            return False
        LOG.warning("periods leap over years without a sample from=%s to=%s", period.start_utc, next_utc)
        self._next = {length: period_at(next_utc, length) for length in self._next}
        return True

    async def _resume(self) -> bool:
        """Finds where to go on: after the last closed period, else with the period of the first sample."""
        for name, stream in self._streams.items():
            kept = await self._store.get_state(lengths_key(name))
            self._lengths[name] = read_lengths(kept, configured_min=stream.entry.period_min)
        lengths_min = {HISTORY_MIN}
        for lengths in self._lengths.values():
            lengths_min |= {lengths.configured_min, *(length for _, length in lengths.changes)}
        ends_utc = await self._store.last_period_ends_utc()
        noted = json.loads(await self._store.get_state(BEGINNINGS_KEY) or "{}")
        known_utc = {int(length): datetime.fromisoformat(text) for length, text in noted.items()} | ends_utc
        # A length that is new to an old store begins where the others stand: it does not repeat the plant's history.
        start_utc = max(ends_utc.values()) if ends_utc else await self._store.first_instant_utc()
        if start_utc is None:
            return False
        following = {length: period_at(known_utc.get(length, start_utc), length) for length in lengths_min}
        beginnings = {str(length): period.start_utc.isoformat() for length, period in following.items()}
        await self._store.put_state(BEGINNINGS_KEY, json.dumps(noted | beginnings))
        self._next = following
        LOG.info("periods go on from=%s", min(period.start_utc for period in self._next.values()).isoformat())
        return True

    async def _close(self, period: Period, now_utc: datetime) -> None:
        readings = await self._store.readings_between(period.start_utc - self._before, period.end_utc)
        clock = await self._store.clock_between(period.start_utc, period.end_utc)
        rollups = {
            point: replace(
                roll_up_readings(found, point=point, period=period, period_s=self._period_s(point)), clock=clock
            )
            for point, found in readings.items()
        }
        entries = []
        for uplink, stream in self._streams.items():
            if self._lengths[uplink].at(period.start_utc) != period.length_min:
                continue
            record = build_record(rollups, self._points, plant=stream.plant, period=period)
            entries.append(
                OutboxEntry(
                    uplink,
                    partial(_encode, record=record, now_utc=now_utc),
                    made_utc=now_utc,
                    codes=tuple(point.code for point in record.points),
                    gaps=await self._gaps(record, readings),
                )
            )
        if not await self._store.close_period(period, list(rollups.values()), entries):
            LOG.warning(
                "period was closed before start=%s length_min=%d", period.start_utc.isoformat(), period.length_min
            )

    async def _gaps(self, record: Record, readings: Mapping[str, list[Reading]]) -> dict[str, tuple[int, ...]]:
        """Places of a record without a valid value, by cause."""
        missing = [place for place, point in enumerate(record.points) if point.value is None]
        if not missing:
            return {}
        period = record.period
        points = {self._points[place].point for place in missing}
        start_us = microseconds(period.start_utc)
        running = any(instant_us >= start_us for point in readings.values() for instant_us, _ in point)
        stored = await self._store.samples_between(period.start_utc, period.end_utc, points=points) if running else []
        causes = gap_causes([entry.sample for entry in stored], points=points, running=running)
        found: dict[str, tuple[int, ...]] = {}
        for place in missing:
            cause = causes[self._points[place].point]
            found[cause] = (*found.get(cause, ()), place)
        return found


def _encode(epoch: str, seq: int, *, record: Record, now_utc: datetime) -> bytes:
    return encode(record, epoch=epoch, seq=seq, sent_at_utc=now_utc)
