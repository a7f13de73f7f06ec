"""Once a day: chains the completeness of the day before, corrects that of days filled since, and reconciles.

Reconciling sends again what was delivered without an acknowledgement, under its old number and with the same bytes,
where the uplink asks for it (`reconcile: daily`).
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from edge_agent.rollup import Period, period_at
from edge_agent.store.rows import ChainedDay, Delivery, Fate, OutboxEntry
from edge_agent.uplink.archive import Archive
from edge_agent.uplink.corrections import Corrections
from edge_agent.uplink.entries import bytes_again
from edge_agent.uplink.ledger import account, day_bounds, day_record
from edge_agent.uplink.looking import look_for_ever
from edge_agent.uplink.streams import Stream

LOG = logging.getLogger(__name__)

LOOK_S = 600.0
"""The calendar is looked at this often [s, site clock]."""
AFTER_MIDNIGHT = timedelta(minutes=10)
"""A day is closed this long after its end: its last period has been made by then, and sent if the line is up."""
CORRECTED_DAYS_MAX = 40
"""Days back that are looked at for figures that have changed: longer than any outage that a platform fills."""
RECONCILED_A_LOOK_MAX = 100
"""Records that are queued again at one look."""
RECONCILED_SENT_MAX = 4
"""What was sent this often and is still only consumed is not sent again by itself."""
DAYS_A_LOOK_MAX = 3
"""Days chained at one look: after months without this the store is not held for minutes."""


DELIVERED = frozenset({Fate.CONSUMED, Fate.FETCHED, Fate.ACKNOWLEDGED})


class LedgerStore(Protocol):
    """What the daily round needs of the store."""

    async def deliveries(self, uplink: str, from_utc: datetime, to_utc: datetime) -> list[Delivery]:
        """What became of the records of a span."""
        ...

    async def ledger_span_utc(self, uplink: str) -> tuple[datetime, datetime] | None:
        """Starts of the oldest and of the newest record that the ledger knows."""
        ...

    async def deliveries_consumed(
        self, uplink: str, settled_before_utc: datetime, *, after_utc: datetime | None, limit: int, sent_max: int
    ) -> list[Delivery]:
        """Records that were delivered without an acknowledgement before an instant, oldest first."""
        ...

    async def completeness(self, uplink: str, from_day: date, to_day: date) -> list[ChainedDay]:
        """Daily records that hold."""
        ...

    async def append_day(self, uplink: str, day: date, record: Mapping[str, object]) -> None:
        """Chains a day."""
        ...

    async def replaced_starts_utc(self, uplink: str, from_utc: datetime) -> list[datetime]:
        """Starts of the periods from an instant on whose delivered record was corrected."""
        ...

    async def outbox_correct(self, period: Period, entry: OutboxEntry) -> None:
        """Queues a record that corrects an earlier one of its period."""
        ...

    async def outbox_send_again(self, uplink: str, payloads: Mapping[tuple[str, int], bytes]) -> int:
        """Puts delivered records back into the queue."""
        ...


class Daily:
    """The daily round over all streams."""

    def __init__(
        self,
        store: LedgerStore,
        archive: Archive,
        *,
        corrections: Corrections,
        streams: Sequence[Stream],
        zone: ZoneInfo,
    ) -> None:
        """Names the parts.

        Args:
            store: ledger and chain.
            archive: makes records anew for reconciling.
            corrections: makes what replaces a record that cannot be made again with the same bytes.
            streams: all of them.
            zone: of the site's calendar.
        """
        self._store = store
        self._archive = archive
        self._corrections = corrections
        self._streams = {stream.name: stream for stream in streams}
        self._zone = zone
        self._reconciled_to_utc: dict[str, datetime] = {}

    async def look(self, now_utc: datetime) -> int:
        """Chains what is due.

        Args:
            now_utc: the present on the site's clock.

        Returns:
            How many daily records were written.

        Raises:
            StoreFault: the store refuses; the next look tries again.
        """
        last_by_clock = (now_utc - AFTER_MIDNIGHT).astimezone(self._zone).date() - timedelta(days=1)
        written = 0
        for stream in self._streams.values():
            span_utc = await self._store.ledger_span_utc(stream.name)
            if span_utc is None:
                continue
            begin_utc, end_utc = span_utc
            # A clock that is far ahead must not chain days that have not been.
            last = min(last_by_clock, end_utc.astimezone(self._zone).date())
            first = max(begin_utc.astimezone(self._zone).date(), last - timedelta(days=CORRECTED_DAYS_MAX))
            known = {entry.day: entry.record for entry in await self._store.completeness(stream.name, first, last)}
            corrected = {
                start_utc.astimezone(self._zone).date()
                for start_utc in await self._store.replaced_starts_utc(
                    stream.name, day_bounds(first, zone=self._zone)[0]
                )
            }
            day, of_stream = first, 0
            while day <= last and of_stream < DAYS_A_LOOK_MAX:
                of_stream += await self._chain(
                    stream, day, begin_utc, known=known.get(day.isoformat()), settled=day not in corrected
                )
                day += timedelta(days=1)
            written += of_stream
            if stream.entry.reconcile == "daily":
                # The platform has read the day's last period after midnight.
                midnight_utc = day_bounds(last_by_clock, zone=self._zone)[1]
                await self._reconcile(stream, before_utc=midnight_utc + AFTER_MIDNIGHT)
        return written

    async def _chain(
        self,
        stream: Stream,
        day: date,
        begin_utc: datetime,
        *,
        known: Mapping[str, object] | None,
        settled: bool,
    ) -> bool:
        if settled and known is not None and not known.get("missing") and not known.get("unproven"):
            return False  # complete: only a correction can change it
        from_utc, to_utc = day_bounds(day, zone=self._zone)
        found = account(
            await self._store.deliveries(stream.name, from_utc, to_utc),
            stream=stream.name,
            period_min=stream.entry.period_min,
            from_utc=max(begin_utc, first_start(from_utc, stream.entry.period_min)),
            to_utc=to_utc,
        )
        record = day_record(day, found, period_min=stream.entry.period_min)
        if record == known:
            return False
        await self._store.append_day(stream.name, day, record)
        LOG.info(
            "day chained uplink=%s day=%s expected=%d held=%d missing=%d",
            stream.name,
            day,
            found.expected,
            found.held,
            len(found.missing),
        )
        return True

    async def _reconcile(self, stream: Stream, *, before_utc: datetime) -> None:
        """Queues what was consumed of earlier days and never acknowledged, also of an outage, a few at each look.

        Each look goes on behind the last: what the archive makes no more stays where it is and must not stop the rest.
        """
        waiting = await self._store.deliveries_consumed(
            stream.name,
            before_utc,
            after_utc=self._reconciled_to_utc.pop(stream.name, None),
            limit=RECONCILED_A_LOOK_MAX,
            sent_max=RECONCILED_SENT_MAX,
        )
        if len(waiting) == RECONCILED_A_LOOK_MAX:
            self._reconciled_to_utc[stream.name] = waiting[-1].start_utc
        for entry in waiting:
            end_utc = entry.start_utc + timedelta(minutes=entry.period_min)
            await self._queue_again(stream, entry.start_utc, end_utc, fates=frozenset({Fate.CONSUMED}))

    async def send_again(self, stream: str, from_utc: datetime, to_utc: datetime) -> int:
        """Puts all that was delivered of a span back into the queue, with the same bytes: the platform has lost it.

        What the archive no longer makes with the same bytes goes as a declared correction.

        Args:
            stream: name of the stream.
            from_utc: first start.
            to_utc: first start no longer wanted.

        Returns:
            How many go again.
        """
        return await self._queue_again(self._streams[stream], from_utc, to_utc, fates=DELIVERED)

    async def _queue_again(
        self, stream: Stream, from_utc: datetime, to_utc: datetime, *, fates: frozenset[Fate]
    ) -> int:
        wanted = {
            (entry.start_utc, entry.period_min): entry
            for entry in await self._store.deliveries(stream.name, from_utc, to_utc)
            if entry.kind == "record" and entry.fate in fates
        }
        again = corrected = 0
        async for portion in self._archive.records(stream.name, from_utc, to_utc):
            payloads = {}
            for record in portion:
                entry = wanted.get((record.period.start_utc, record.period.length_min))
                if entry is None:
                    continue
                correction = await self._corrections.of_record(stream.name, record)
                if correction is not None:
                    await self._store.outbox_correct(record.period, correction)
                    corrected += 1
                    continue
                told = await self._corrections.told(stream.name, record.period)
                payloads[entry.epoch, entry.seq] = bytes_again(record, told)
            if payloads:
                again += await self._store.outbox_send_again(stream.name, payloads)
        if again + corrected < len(wanted):
            LOG.warning(
                "not sent again: they wait already, or the archive has them no more uplink=%s records=%d from=%s to=%s",
                stream.name,
                len(wanted) - again - corrected,
                from_utc,
                to_utc,
            )
        return again + corrected

    async def run(self, *, now_utc: Callable[[], datetime], sleep_until: Callable[[datetime], Awaitable[None]]) -> None:
        """Looks for ever."""
        await look_for_ever(
            self.look, what_waits="daily ledger waits", every_s=LOOK_S, now_utc=now_utc, sleep_until=sleep_until
        )


def first_start(instant_utc: datetime, period_min: int) -> datetime:
    """Start of the first period that begins at an instant or after it."""
    period = period_at(instant_utc, period_min)
    return period.start_utc if period.start_utc == instant_utc else period.end_utc
