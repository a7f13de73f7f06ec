"""Writes one frame a scan into the file of its day; lives in the store's writer thread."""

import sqlite3
import struct
import zlib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from drivers.sample import Sample
from edge_agent.clock_quality import ClockQuality
from edge_agent.rollup import microseconds
from edge_agent.store import database, frame_codec, names, words
from edge_agent.store.facts import PointFacts
from edge_agent.store.frames import KIND, day_path

_HEAD = struct.Struct("<qqqbq")


def frame_crc(blob: bytes, *, seq: int, instant_us: int, elapsed_us: int, clock: int | None, fold: int) -> int:
    """CRC-32 of a frame: of its bytes, and of the numbers beside them since there is a clock among these."""
    if clock is None:
        return zlib.crc32(blob)
    return zlib.crc32(blob, zlib.crc32(_HEAD.pack(seq, instant_us, elapsed_us, clock, fold)))


class FrameWriter:
    """The one writer of frames."""

    def __init__(self, folder: Path, *, bytes_max: int, facts: Mapping[str, PointFacts]) -> None:
        """Names the folder.

        Args:
            folder: folder of the day files; it exists.
            bytes_max: most bytes for one day's file.
            facts: what is known of the points, by name; may be filled later.
        """
        self._folder = folder
        self._bytes_max = bytes_max
        self._facts = facts
        self._day: date | None = None
        self._connection: sqlite3.Connection | None = None
        self._point_ids: dict[tuple[str, str], int] = {}
        self._word_ids: dict[str, int] = {}
        self._newest_us = 0
        self._fold = 0

    @property
    def day(self) -> date | None:
        """The day whose file is open."""
        return self._day

    def open_day(self, day: date) -> None:
        """Opens, and if need be creates, the file of a day; a damaged one is set aside.

        Raises:
            sqlite3.Error: the file cannot be opened.
            StoreFault: a newer release wrote it.
        """
        self.close()
        connection, _ = database.open_checked(
            day_path(self._folder, day), database.scripts(KIND), bytes_max=self._bytes_max
        )
        self._connection, self._day = connection, day
        self._point_ids = {}
        for number, name, unit, *known in connection.execute("SELECT id, name, unit, period_s, keep FROM point"):
            self._point_ids[name, unit] = number
            facts = self._facts.get(name)
            if facts is not None and known != [facts.period_s, facts.keep]:
                connection.execute(
                    "UPDATE point SET period_s = ?, keep = ? WHERE id = ?", (facts.period_s, facts.keep, number)
                )
        self._word_ids = {text: number for number, text in connection.execute("SELECT id, text FROM word")}
        tables = [
            connection.execute(f"SELECT max({column}), max(fold) FROM {table}").fetchone()  # noqa: S608 - own words
            for column, table in (("instant_us", "frame"), ("instant_max_us", "segment"))
        ]
        self._newest_us = max(newest_us or 0 for newest_us, _ in tables)
        self._fold = max(fold or 0 for _, fold in tables)

    def append(
        self,
        samples: Sequence[Sample],
        *,
        sequence: int,
        instant_us: int,
        elapsed_us: int,
        boot: str,
        clock: ClockQuality | None,
    ) -> None:
        """Commits one frame; when it returns, the frame is on the disk.

        Args:
            samples: at least one.
            sequence: number of the frame.
            instant_us: instant of the scan [us since 1970 UTC].
            elapsed_us: reading of the monotonic clock [us].
            boot: id of the machine's boot.
            clock: how far the clock was trusted; None: not known.

        Raises:
            sqlite3.Error: nothing was accepted.
        """
        assert self._connection is not None, "no day is open"
        connection = self._connection
        # The clock was set back within this day: what follows may repeat instants, and is told apart by the fold.
        fold = self._fold + (instant_us < self._newest_us)
        connection.execute("BEGIN IMMEDIATE")
        try:
            known = len(self._point_ids) + len(self._word_ids)
            layout, blob, span = self._encoded(samples)
            if len(self._point_ids) + len(self._word_ids) != known:
                names.keep(connection, self._point_ids, self._word_ids)
            quality = None if clock is None else int(clock)
            crc = frame_crc(blob, seq=sequence, instant_us=instant_us, elapsed_us=elapsed_us, clock=quality, fold=fold)
            connection.execute(
                "INSERT INTO frame (seq, instant_us, elapsed_us, boot, sample_min_us, sample_max_us, layout, crc, blob,"
                " clock, fold) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (sequence, instant_us, elapsed_us, boot, *span, layout, crc, blob, quality, fold),
            )
            connection.execute("COMMIT")
        except BaseException as error:
            if isinstance(error, sqlite3.Error):
                words.place(error, day_path(self._folder, self._day or date.min))
            # The dictionaries in memory may name rows that were rolled back: read them again with the file.
            self.close()
            raise
        self._newest_us, self._fold = instant_us, fold

    def _encoded(self, samples: Sequence[Sample]) -> tuple[int, bytes, tuple[int, int]]:
        instants_us = tuple(microseconds(sample.instant_utc) for sample in samples)
        columns = frame_codec.Columns(
            points=tuple(self._point_id(sample.point, sample.unit) for sample in samples),
            instants_us=instants_us,
            values=tuple(frame_codec.number(sample.value) for sample in samples),
            qualities=tuple(int(sample.quality) for sample in samples),
            causes=tuple(self._word_id(sample.cause) for sample in samples),
            corrections=tuple(sample.correction for sample in samples),
        )
        return columns.layout, frame_codec.encode(columns), (min(instants_us), max(instants_us))

    def _point_id(self, name: str, unit: str) -> int:
        number = self._point_ids.get((name, unit))
        if number is None:
            assert self._connection is not None
            facts = self._facts.get(name)
            # Salvage and packing name points and words in this file as well.
            ((number,),) = self._connection.execute(
                "INSERT INTO point (name, unit, period_s, keep) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE"
                " SET period_s = coalesce(?3, period_s), keep = coalesce(?4, keep) RETURNING id",
                (name, unit, None if facts is None else facts.period_s, None if facts is None else facts.keep),
            ).fetchall()
            self._point_ids[name, unit] = number
        return number

    def _word_id(self, text: str) -> int:
        number = self._word_ids.get(text)
        if number is None:
            assert self._connection is not None
            ((number,),) = self._connection.execute(
                "INSERT INTO word (text) VALUES (?) ON CONFLICT DO UPDATE SET text = text RETURNING id", (str(text),)
            ).fetchall()
            self._word_ids[text] = number
        return number

    def close(self) -> None:
        """Closes the open file; an open transaction is rolled back."""
        connection, self._connection, self._day = self._connection, None, None
        if connection is not None:
            connection.close()
