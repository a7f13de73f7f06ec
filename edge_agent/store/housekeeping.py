"""What nobody waits for and no scan is held up by: salvage, late rollups, packing, room, and how much of it there is.

One thing at a time, each a transaction or found out again after a start.
"""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial

from edge_agent.errors import StoreFault
from edge_agent.rollup import Period, Rollup, microseconds
from edge_agent.store import database, frames, history, recording, room, salvage_frames, wear
from edge_agent.store.parts import Parts
from edge_agent.store.reader import STATE_FILE
from edge_agent.store.rows import OutboxEntry, StoreUsage
from edge_agent.store.state import EVICTION_KEY, SALVAGED_KEY
from edge_agent.store.threads import Threads

LOG = logging.getLogger(__name__)

WRITTEN_KEY = "store.written"
NOTE_BYTES = 20_000_000
"""The count of what was written is kept each time it has grown by so much."""
EMERGENCY_STEPS = 200
"""When a quota is hit, room is made down to the ratio that housekeeping keeps, at most so many things at once."""
FIRST_SAMPLE_US = 600_000_000
"""A period whose day begins later than this after it has lost its first frames, or its day altogether [us]."""
SETTLED_US = 60_000_000
"""Rollups are made anew when frames are this far beyond the end of their period [us]."""
TEND_S = 5.0
"""Housekeeping looks for work this often [s, wall] ..."""
TEND_BUSY_S = 0.05
"""... and goes on after this, while there is some."""
Corrections = Callable[[Period, Sequence[Rollup]], Awaitable[list[OutboxEntry]]]
"""Makes the records that correct those of a period, out of its new rollups."""


class Housekeeper:
    """Tends an open store."""

    def __init__(self, parts: Parts, threads: Threads) -> None:
        """Names what is tended, and where the work is done."""
        self._parts = parts
        self._threads = threads
        self._meter: wear.WriteMeter | None = None
        self._noted_bytes = 0
        self._salvaged: set[str] | None = None
        self._corrections: Corrections | None = None

    def correct_with(self, corrections: Corrections) -> None:
        """Names who makes the records that correct those of a period whose rollups were made anew."""
        self._corrections = corrections

    async def run(self) -> None:
        """For ever; a disk that refuses is said once and tried again."""
        fault = ""
        while True:
            busy = False
            try:
                busy = await self.once()
                fault = ""
            except StoreFault as error:
                if str(error) != fault:
                    LOG.error("housekeeping waits: %s", error)  # noqa: TRY400 - said once, no trace
                fault = str(error)
            await asyncio.sleep(TEND_BUSY_S if busy else TEND_S)

    async def once(self) -> bool:
        """One piece of housekeeping; returns whether more is waiting."""
        await self._count_writes()
        # What is packed needs less room and can go class by class: first that, then evictions.
        return await self._salvage() or await self._recompute_stale() or await self._pack() or await self._make_room()

    async def usage(self) -> StoreUsage:
        """How much room there is."""
        parts = self._parts
        state_bytes = await self._threads.read(partial(room.used_bytes, parts.state_dir / STATE_FILE))
        frames_bytes = await self._threads.read(partial(room.frames_bytes, parts.folder))
        meter = self._meter or wear.WriteMeter()
        damaged = [path for folder in (parts.state_dir, parts.folder) for path in folder.glob("*.damaged-*")]
        return StoreUsage(
            used_bytes=state_bytes + frames_bytes,
            quota_bytes=2 * parts.half_bytes,
            full_ratio=max(state_bytes, frames_bytes) / parts.half_bytes,
            disk_free_bytes=room.free_bytes(parts.state_dir),
            ballast=parts.ballast.laid,
            evicted=parts.evicted_count,
            written_bytes=meter.day_bytes,
            written_before_bytes=meter.before_bytes,
            write_budget_bytes=wear.BUDGET_BYTES_A_DAY,
            damaged=tuple(sorted(path.name for path in damaged if not path.name.endswith(("-wal", "-shm")))),
        )

    async def _count_writes(self) -> None:
        parts = self._parts
        if self._meter is None:
            noted = await self._threads.read(partial(parts.state_reader.get_state, WRITTEN_KEY))
            self._meter = wear.read_note(noted)
        if parts.newest_us:
            self._meter.look(frames.day_of(parts.newest_us), wear.process_bytes())
            if self._meter.day_bytes - self._noted_bytes >= NOTE_BYTES or self._meter.day_bytes < self._noted_bytes:
                self._noted_bytes = self._meter.day_bytes
                await self._threads.write(partial(parts.state.put_state, WRITTEN_KEY, self._meter.note()))

    async def _salvage(self) -> bool:
        """Takes what is sound out of one damaged day file that was set aside."""
        parts = self._parts
        if self._salvaged is None:
            noted = await self._threads.read(partial(parts.state_reader.get_state, SALVAGED_KEY))
            self._salvaged = set(json.loads(noted or "[]"))
        waiting = await self._threads.tend(partial(frames.set_aside, parts.folder))
        for day, aside in waiting:
            if aside.name in self._salvaged:
                continue
            target = frames.day_path(parts.folder, day)
            found = await self._threads.tend(partial(salvage_frames.salvage, aside, target, bytes_max=parts.half_bytes))
            if found.span_us is None:  # how much it was is not known, but that it was
                found = replace(found, gaps=(salvage_frames.whole_day(day),))
            self._salvaged.add(aside.name)
            note = json.dumps(sorted(self._salvaged & {path.name for _, path in waiting}))
            await self._threads.write(partial(parts.state.salvaged, found, note=note))
            parts.tender.touched(target)
            LOG.warning("salvaged file=%s frames=%d gaps=%d", aside.name, found.frames, len(found.gaps))
            return True
        return False

    async def _recompute_stale(self) -> bool:
        """Recomputes the rollups of one period to which samples came late."""
        parts = self._parts
        # What is still under way is made of the frames whenever it is asked for: it is not corrected frame by frame.
        until_us = parts.newest_us - SETTLED_US if parts.newest_us else None
        waiting = await self._threads.read(partial(parts.state_reader.stale, 1, until_us=until_us))
        for stale in waiting:
            fresh = await self._threads.tend(partial(self._from_frames, stale.period))
            if not await self._threads.read(partial(self._frames_are_whole, stale.period)):
                stored = await self._threads.read(partial(parts.state_reader.period, stale.period))
                fresh = history.richer(stored, fresh)
            entries = [] if self._corrections is None else await self._corrections(stale.period, fresh)
            if await self._threads.write(partial(parts.state.refresh, stale, fresh, entries)):
                LOG.info(
                    "rollups recomputed with late samples start=%s length_min=%d",
                    stale.period.start_utc.isoformat(),
                    stale.period.length_min,
                )
        return bool(waiting)

    def _from_frames(self, period: Period) -> list[Rollup]:
        parts = self._parts
        return list(history.from_frames(parts.folder, [period], points=None, period_s_max=parts.period_s_max))

    def _frames_are_whole(self, period: Period) -> bool:
        """Whether nothing that the period was made of has gone since."""
        folder = self._parts.folder
        from_us, to_us = microseconds(period.start_utc), microseconds(period.end_utc)
        first_us = frames.first_instant_us(folder, from_day=frames.day_of(from_us) - timedelta(days=1))
        if first_us is None or first_us > from_us + FIRST_SAMPLE_US:
            return False
        if not frames.made_in_order(folder, frames.day_of(from_us)):
            return False
        return not self._parts.state_reader.gaps(from_us, to_us)

    async def _pack(self) -> bool:
        """Packs a quarter of an hour; a day that is found damaged on the way is set aside, to be salvaged."""
        parts = self._parts
        if not parts.newest_us:
            return False
        more = await self._threads.tend(partial(parts.tender.pack, parts.newest_us))
        for day, reason in parts.tender.take_damaged():
            await self._threads.write(partial(_set_aside, parts, day, reason))
            more = True
        return more

    async def _make_room(self) -> bool:
        """Removes one thing when the quota is reached: declared first, then removed."""
        parts = self._parts
        removed = await self._threads.write(parts.state.make_room)
        if removed:
            LOG.warning("state.db nears its quota, removed=%s", removed)
            return True
        await self._threads.tend(parts.ballast.lay)
        note = await self._threads.read(partial(parts.state_reader.get_state, EVICTION_KEY))
        if note:  # declared by a run that died before it had removed it
            eviction = room.read_note(note)
        else:
            needed_from = await self._threads.read(partial(recording.needed_from, parts.state_reader))
            found = await self._threads.tend(partial(self._next_eviction, needed_from))
            if found is None:
                return False
            eviction = found
            await self._threads.write(partial(parts.state.declare_eviction, eviction.gap, note=room.note(eviction)))
        if eviction.keep is None:
            await self._threads.write(partial(room.remove_file, parts.folder, eviction))
        else:
            await self._threads.tend(partial(room.carry_out, parts.folder, eviction, bytes_max=parts.half_bytes))
        await self._threads.write(partial(parts.state.put_state, EVICTION_KEY, ""))
        parts.evicted_count += 1
        return True

    def _next_eviction(self, needed_from: date) -> room.Eviction | None:
        parts = self._parts
        if not parts.newest_us:  # which file is being written is not known yet
            return None
        return room.next_eviction(
            parts.folder, bytes_max=parts.half_bytes, needed_from=needed_from, today=frames.day_of(parts.newest_us)
        )


def _set_aside(parts: Parts, day: date, reason: str) -> None:
    """In the writing thread, which alone knows whether the file is open; an open one is looked at when it is opened."""
    path = frames.day_path(parts.folder, day)
    if parts.frames.day != day and path.exists():
        database.set_aside(path, reason=reason)
        parts.tender.touched(path)


def make_room_at_once(parts: Parts) -> bool:
    """Makes room in the writing thread, for what it is about to write; returns whether there is any."""
    try:
        made = 0
        while made < EMERGENCY_STEPS and parts.state.make_room():
            made += 1
        if made:
            return True
        eviction = room.newest_details(parts.folder, frames.day_of(parts.newest_us))
        if eviction is None:
            return False
        parts.state.declare_eviction(eviction.gap, note=room.note(eviction))
        room.carry_out(parts.folder, eviction, bytes_max=parts.half_bytes)
        parts.state.put_state(EVICTION_KEY, "")
    except (sqlite3.Error, OSError) as error:
        LOG.error("no room can be made: %s", error)  # noqa: TRY400 - the reason is enough
        return False
    parts.evicted_count += 1
    return True
