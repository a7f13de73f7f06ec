"""Closes periods: rolls up what was stored, makes every uplink's record, and puts both on the disk in one transaction.

Every period that ends is closed exactly once, also those in which the service did not run: their values are invalid,
their records exist. Periods are closed in the order of their ends over all lengths. Where a length begins is noted on
the disk before any period is closed, so that a kill at any moment neither skips nor repeats one. What a clock has
jumped over that nobody vouches for is left out, and closed when its time has really passed.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from edge_agent.clock_quality import ClockQuality
from edge_agent.rollup import (
    HOLD_PERIODS_MAX,
    Period,
    Reading,
    Rollup,
    period_at,
    roll_up_readings,
)
from edge_agent.settings.model import UplinkFile
from edge_agent.store.rows import OutboxEntry, StoredSample
from edge_agent.uplink.entries import make_entry
from edge_agent.uplink.gap_causes import NOT_RUNNING
from edge_agent.uplink.gap_causes import WRONG_CLOCK as WRONG_CLOCK_THEN
from edge_agent.uplink.left_out import LeftOut, read_left_out
from edge_agent.uplink.lengths import Lengths, lengths_key, may_be_set, read_lengths
from edge_agent.uplink.passed_time import DRIFT_S as ANCHOR_DRIFT_S
from edge_agent.uplink.passed_time import EARLIEST_S, Anchor, Passed, PassedTime, read_anchor
from edge_agent.uplink.record import build_record
from edge_agent.uplink.streams import streams

LOG = logging.getLogger(__name__)

HISTORY_MIN = 15
"""Rollups of this length are kept for every point, whatever the uplinks want [min]."""
BEGINNINGS_KEY = "periods.beginnings"
ANCHOR_KEY = "periods.clock"
LEFT_OUT_KEY = "periods.left_out"
FIRST_KEY = "periods.first"
"""Where a plant's records begin, by length: a clock that was ahead at the first boot may have put it too late."""
DAY_MIN = 1440
WRONG_CLOCK = timedelta(days=730)
"""No plant's service rests for so long: a clock that goes on by more was years wrong before it was set."""
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
        trusted: Callable[[], bool] = lambda: True,
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
            trusted: whether a time service vouches for the site's clock now.
        """
        self._store = store
        self._points = uplink_file.points
        self._streams = streams(uplink_file, plant=plant)
        self._lengths = {name: Lengths(stream.entry.period_min) for name, stream in self._streams.items()}
        self._period_s = period_s
        self._before = timedelta(seconds=HOLD_PERIODS_MAX * period_s_max)
        self._grace = timedelta(seconds=grace_s)
        self._period_s_max = period_s_max
        self._next: dict[int, Period] = {}
        self._steady = steady
        self._trusted = trusted
        self._passed: PassedTime | None = None
        self._kept: Anchor | None = None
        self._left_out = LeftOut()
        self._first_utc: dict[int, datetime] = {}
        self._jumped_to_utc: datetime | None = None
        """Where a clock went on that nobody vouches for, until what it jumped over is noted."""

    async def close_due(self, now_utc: datetime) -> int:
        """Closes periods that ended at least the grace ago; when many wait, the oldest of them.

        Args:
            now_utc: the present on the site's clock.

        Returns:
            How many were closed; when it is not 0, more may be waiting.

        Raises:
            StoreFault: the store refuses; the period stays open.
        """
        passed = await self._look()
        if passed is not None:
            if passed.until_s is None:
                return 0
            if passed.adopted:
                self._jumped_to_utc = datetime.fromtimestamp(passed.since_s, UTC)
            now_utc = datetime.fromtimestamp(passed.until_s, UTC)
        if not self._next and not await self._resume(passed, now_utc):
            return 0
        if passed is not None and (passed.trusted or self._jumped_to_utc is not None):
            await self._begin_earlier(datetime.fromtimestamp(passed.since_s, UTC))
        if self._jumped_to_utc is not None:
            await self._leave_out(self._jumped_to_utc)
            self._jumped_to_utc = None
        await self._keep_anchor()
        closed = 0
        while closed < PERIODS_A_CALL_MAX:
            before_utc = now_utc - self._grace
            late = [] if passed is None else list(self._late(passed, before_utc))
            period = min([*late, *self._next.values()], key=lambda one: (one.end_utc, one.length_min))
            if period.end_utc > before_utc:
                break
            if period not in late and now_utc - period.end_utc > WRONG_CLOCK and await self._leap(period):
                continue
            ran = passed is not None and period.start_utc.timestamp() >= passed.running_s
            await self._close(period, now_utc, absent=WRONG_CLOCK_THEN if ran and period in late else NOT_RUNNING)
            if period in late:
                self._left_out.remove(period)
                await self._store.put_state(LEFT_OUT_KEY, self._left_out.to_json())
            else:
                self._next[period.length_min] = self._left_out.following(period.next())
            closed += 1
        return closed

    async def _look(self) -> Passed | None:
        """How much time has passed; None: the site's clock is believed."""
        if self._steady is None:
            return None
        if self._passed is None:
            self._kept = read_anchor(await self._store.get_state(ANCHOR_KEY))
            self._passed = PassedTime(self._kept)
        epoch, steady_s, clock_utc = self._steady()
        return self._passed.look(epoch, steady_s=steady_s, clock_s=clock_utc.timestamp(), trusted=self._trusted())

    def _late(self, passed: Passed, until_utc: datetime) -> Iterator[Period]:
        """What was left out and has been after all."""
        since_utc = datetime.fromtimestamp(passed.since_s, UTC)
        return self._left_out.due(until_utc, since_utc=since_utc, vouched=passed.vouched, trusted=passed.trusted)

    async def _leave_out(self, since_utc: datetime) -> None:
        """Goes on with the period of an instant: what a clock has jumped over that nobody vouches for waits."""
        following = {length: period_at(since_utc, length) for length in self._next}
        ahead = {
            length: (self._next[length], period)
            for length, period in following.items()
            if period.start_utc > self._next[length].start_utc
        }
        if not ahead:
            return
        for length, (period, behind) in ahead.items():
            self._left_out.add(length, period.start_utc, behind.start_utc)
        await self._store.put_state(LEFT_OUT_KEY, self._left_out.to_json())
        self._next |= {length: behind for length, (_, behind) in ahead.items()}
        LOG.warning("periods that a clock has jumped over are left out to=%s", since_utc.isoformat())

    async def _begin_earlier(self, since_utc: datetime) -> None:
        """Takes in what lies before the first period: a clock that was ahead had put that too late."""
        earlier = {length: period_at(since_utc, length).start_utc for length in self._first_utc}
        earlier = {length: start_utc for length, start_utc in earlier.items() if start_utc < self._first_utc[length]}
        if not earlier:
            return
        for length, start_utc in earlier.items():
            self._left_out.add(length, start_utc, self._first_utc[length])
        await self._store.put_state(LEFT_OUT_KEY, self._left_out.to_json())
        self._first_utc |= earlier
        await self._note_first()

    async def _note_first(self) -> None:
        noted = {str(length): start_utc.isoformat() for length, start_utc in self._first_utc.items()}
        await self._store.put_state(FIRST_KEY, json.dumps(noted))

    async def _keep_anchor(self) -> None:
        """Keeps how the clocks stand to one another, so that a restart within the same boot knows."""
        anchor = None if self._passed is None else self._passed.anchor
        if anchor is None:
            return
        kept = self._kept
        if kept is None or kept.epoch != anchor.epoch or abs(kept.offset_s - anchor.offset_s) > ANCHOR_DRIFT_S:
            await self._store.put_state(ANCHOR_KEY, anchor.to_json())
            self._kept = anchor

    def period_min(self, stream: str, now_utc: datetime) -> int:
        """Length of a stream's periods at an instant [min]: as configured, or as its platform has set it."""
        return self._lengths[stream].at(now_utc)

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

    async def _resume(self, passed: Passed | None, now_utc: datetime) -> bool:
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
        start_utc = max(ends_utc.values()) if ends_utc else await self._beginning(passed, now_utc)
        if start_utc is None:
            return False
        self._left_out = read_left_out(await self._store.get_state(LEFT_OUT_KEY))
        following = {
            length: self._left_out.following(period_at(known_utc.get(length, start_utc), length))
            for length in lengths_min
        }
        beginnings = {str(length): period.start_utc.isoformat() for length, period in following.items()}
        await self._store.put_state(BEGINNINGS_KEY, json.dumps(noted | beginnings))
        first = json.loads(await self._store.get_state(FIRST_KEY) or "{}")
        self._first_utc = {int(length): datetime.fromisoformat(text) for length, text in first.items()}
        if not ends_utc and not first:
            self._first_utc = {length: period.start_utc for length, period in following.items()}
            await self._note_first()
        self._next = following
        LOG.info("periods go on from=%s", min(period.start_utc for period in self._next.values()).isoformat())
        return True

    async def _beginning(self, passed: Passed | None, now_utc: datetime) -> datetime | None:
        """Where a plant's records begin: at the first sample, but not at one that a wrong clock has stamped."""
        if passed is None:
            return await self._store.first_instant_utc()
        earliest_utc = datetime.fromtimestamp(EARLIEST_S, UTC)
        first_utc = await self._store.first_instant_utc(from_day=earliest_utc.date())
        if first_utc is None or first_utc > now_utc:
            return None
        since_utc = datetime.fromtimestamp(passed.since_s, UTC)
        return first_utc if first_utc >= since_utc - timedelta(seconds=2 * self._period_s_max) else since_utc

    async def _close(self, period: Period, now_utc: datetime, *, absent: str) -> None:
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
                await make_entry(
                    self._store,
                    uplink,
                    record,
                    points=self._points,
                    readings=readings,
                    now_utc=now_utc,
                    absent=absent,
                )
            )
        if not await self._store.close_period(period, list(rollups.values()), entries):
            LOG.warning(
                "period was closed before start=%s length_min=%d", period.start_utc.isoformat(), period.length_min
            )
