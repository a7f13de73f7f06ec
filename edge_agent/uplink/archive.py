"""Serves a stream's records of any span from the stored rollups, whatever its outbox says.

A platform that has lost what it was sent, or asks for a span again, gets the same values: they are made anew from the
rollups by the rules that made them first. Points that were reported under other codes then are reported under today's.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Protocol

from edge_agent.rollup import EPOCH_UTC, Period, Rollup
from edge_agent.settings.model import UplinkFile
from edge_agent.uplink.lengths import lengths_key, read_lengths
from edge_agent.uplink.record import Record, build_record
from edge_agent.uplink.streams import streams

FAR_UTC = datetime.max.replace(tzinfo=UTC)
PORTION_PERIODS_MAX = 96
"""Periods read at a time: a query for years holds neither the store nor memory."""


class RollupStore(Protocol):
    """What the archive needs of the store."""

    async def get_state(self, key: str) -> str | None:
        """The JSON text under a key."""
        ...

    async def rollups_of_all(
        self, period_min: int, from_utc: datetime, to_utc: datetime, *, limit: int
    ) -> Sequence[tuple[Period, Mapping[str, Rollup]]]:
        """Closed periods that begin in [from, to), oldest first, each with the rollups of all points."""
        ...


class Archive:
    """Records of the past."""

    def __init__(self, store: RollupStore, uplink_file: UplinkFile, *, plant: str) -> None:
        """Names the parts.

        Args:
            store: where the rollups are.
            uplink_file: who gets what.
            plant: name of the plant for uplinks that state none.
        """
        self._store = store
        self._points = uplink_file.points
        self._streams = streams(uplink_file, plant=plant)

    async def records(
        self, stream: str, from_utc: datetime | None, to_utc: datetime | None, *, period_min: int | None = None
    ) -> AsyncIterator[list[Record]]:
        """Records of the periods that begin in [from, to), oldest first, in portions of a bounded size.

        Args:
            stream: name of the stream.
            from_utc: first start; None: from the first period that was ever closed.
            to_utc: the first start no longer wanted; None: up to the last closed period.
            period_min: length of the periods [min]; None: as the stream had them at the time.

        Raises:
            StoreFault: the store refuses.
        """
        entry = self._streams[stream]
        lengths = read_lengths(await self._store.get_state(lengths_key(stream)), configured_min=entry.entry.period_min)
        end_utc = to_utc or FAR_UTC
        bounds = [EPOCH_UTC, *(since_utc for since_utc, _ in lengths.changes), FAR_UTC]
        for since_utc, until_utc in pairwise(bounds):
            length_min = lengths.at(since_utc) if period_min is None else period_min
            begin_utc = max(since_utc, from_utc or EPOCH_UTC)
            while True:
                found = await self._store.rollups_of_all(
                    length_min, begin_utc, min(until_utc, end_utc), limit=PORTION_PERIODS_MAX
                )
                if not found:
                    break
                yield [
                    build_record(rollups, self._points, plant=entry.plant, period=period) for period, rollups in found
                ]
                begin_utc = found[-1][0].start_utc + timedelta(microseconds=1)
