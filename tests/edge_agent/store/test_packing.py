"""Packed quarters: bit for bit what was accepted, at a third of the size, whatever happens meanwhile."""

import math
import random
import sqlite3
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.sample import Cause, Quality, Sample, bad, good
from edge_agent.clock_quality import ClockQuality
from edge_agent.errors import StoreFault
from edge_agent.rollup import microseconds
from edge_agent.store import frame_reader, frames, packing, recording, segment_codec
from edge_agent.store.facts import Keep, PointFacts
from edge_agent.store.reader import read_samples
from edge_agent.store.segment_codec import Mark, Series
from edge_agent.store.store import Store

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
FAR = timedelta(days=400)
FLOATS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.integers(-(10**6), 10**6).map(lambda number: number / 10),
    st.integers(0, 10**7).map(lambda number: number * 25 / 9),
    st.sampled_from([0.0, -0.0, 1e300, 5e-324]),
)


@given(
    values=st.lists(st.one_of(FLOATS, st.none()), min_size=1, max_size=30),
    instants_us=st.lists(st.integers(0, 2**51), min_size=30, max_size=30),
    correction=FLOATS,
)
def test_every_bit_comes_back(values: list[float | None], instants_us: list[int], correction: float) -> None:
    count = len(values)
    marks = [Mark(5 + place, us, us % 977, 1, place % 4 or None, us, us + 1) for place, us in enumerate(instants_us)]
    series = [
        Series(
            9,
            tuple(range(count)),
            tuple(instants_us[:count]),
            tuple(math.nan if value is None else value for value in values),
            tuple(0 if value is None else 192 for value in values),
            tuple(1 + (value is None) for value in values),
            (correction,) * count,
        ),
        Series(4, (), (), (), (), (), ()),
    ]
    blob, crc = segment_codec.encode_checked(marks, series)
    _, (only,) = segment_codec.decode(blob, layout=segment_codec.LAYOUT, crc=crc, only=frozenset({4}))
    assert only == series[1]


def test_a_flipped_bit_never_decodes() -> None:
    marks = [Mark(1, 2, 3, 4, None, 5, 6)]
    blob, crc = segment_codec.encode_checked(marks, [Series(1, (0,), (5,), (1.5,), (192,), (1,), (0.0,))])
    for at in range(len(blob) * 8):
        damaged = bytearray(blob)
        damaged[at // 8] ^= 1 << (at % 8)
        with pytest.raises(StoreFault):
            segment_codec.decode(bytes(damaged), layout=segment_codec.LAYOUT, crc=crc)
    with pytest.raises(StoreFault, match="layout"):
        segment_codec.decode(blob, layout=7, crc=crc)


def scan(instant_utc: datetime, number: int, dice: random.Random) -> list[Sample]:
    """Totals, temperatures in tenths, float32 powers, a reading that fails at times, a total with a correction."""
    later = instant_utc + timedelta(microseconds=dice.randrange(3_000_000))
    power = float(int(dice.uniform(0, 2**20))) / 2**10
    return [
        good("em.energy_total", instant_utc, 1000 + number / 100, "kWh"),
        Sample("hm.heat_total", later, float(number), "kWh", Quality.GOOD, correction=250.5),
        good("hm.flow", later, power, "m3/h"),
        Sample("hm.supply", later, number % 70 / 10, "degC", Quality.UNCERTAIN, Cause.NO_FLOW),
        *([bad("hp1.state", later, "", Cause.NO_ANSWER)] if number % 5 else [good("hp1.state", later, 3.0, "")]),
    ]


async def filled(state_dir: Path, count: int, *, start_utc: datetime = NOON) -> Store:
    store = await Store.open(state_dir, quota_mb=64, raw_days=90)
    store.expect({"em.energy_total": PointFacts(10.0, Keep.TOTAL), "hm.flow": PointFacts(10.0, Keep.REPORTED)})
    dice = random.Random(3)  # noqa: S311 - repeatable values
    for number in range(count):
        instant_utc = start_utc + timedelta(seconds=10 * number)
        clock = ClockQuality.UNSYNCHRONISED if number == 40 else ClockQuality.SYNCHRONISED
        await store.append_frame(
            scan(instant_utc, number, dice), instant_utc=instant_utc, elapsed_s=float(number), clock=clock
        )
    return store


def exported(state_dir: Path) -> list[tuple[int, Sample]]:
    return [(stored.frame, stored.sample) for stored in read_samples(state_dir, NOON - FAR, NOON + FAR)]


def rows(path: Path) -> tuple[int, list[tuple[int, int]]]:
    connection = sqlite3.connect(path)
    (count,) = connection.execute("SELECT count(*) FROM frame").fetchone()
    segments = connection.execute("SELECT seq_first, keep FROM segment ORDER BY seq_first, keep").fetchall()
    connection.close()
    return count, segments


async def test_housekeeping_packs_what_is_older_than_an_hour_and_nobody_sees_it(tmp_path: Path) -> None:
    store = await filled(tmp_path, 600)  # 100 min
    before = exported(tmp_path)
    minutes = [await store.rollups_between(60, NOON, NOON + timedelta(minutes=100)) for _ in range(1)]
    while await store.tend_once():
        pass
    path = frames.day_path(tmp_path / "frames", NOON.date())
    assert rows(path) == (600 - 180, [(first, keep) for first in (1, 91) for keep in (0, 1, 2)])
    after = exported(tmp_path)
    assert [frame for frame, _ in after] == [frame for frame, _ in before], "frame by frame, as accepted"
    assert Counter(map(repr, after)) == Counter(map(repr, before))
    assert [await store.rollups_between(60, NOON, NOON + timedelta(minutes=100))] == minutes
    only = await store.samples_between(NOON, NOON + timedelta(minutes=1), points={"hm.flow"})
    assert len(only) == 6 - sum(stored.sample.instant_utc >= NOON + timedelta(minutes=1) for stored in only)
    last = await store.append_frame([good("hm.flow", NOON, 1.0, "m3/h")], instant_utc=NOON, elapsed_s=0.0)
    assert last == 601
    await store.close()
    again = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    assert await again.append_frame([good("hm.flow", NOON, 1.0, "m3/h")], instant_utc=NOON, elapsed_s=0.0) == 602
    await again.close()


async def test_a_frame_that_cannot_be_read_stays_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await filled(tmp_path, 100)
    await store.close()
    path = frames.day_path(tmp_path / "frames", NOON.date())
    connection = sqlite3.connect(path)
    connection.execute("UPDATE frame SET instant_us = instant_us + 1 WHERE seq IN (7, 95)")
    connection.commit()
    connection.close()
    end_us = microseconds(NOON + timedelta(hours=1))
    after = 0
    for _ in range(10):
        more, after = packing.pack_next(path, before_us=end_us, after_seq=after, bytes_max=10**8)
        if not more:
            break
    assert rows(path)[0] == 2
    assert "CRC-32" in caplog.text
    assert {frame for frame, _ in exported(tmp_path)} == set(range(1, 101)) - {7, 95}


async def test_days_that_are_over_are_packed_whole_and_shrink(tmp_path: Path) -> None:
    store = await filled(tmp_path, 720, start_utc=datetime(2026, 1, 15, 22, 30, tzinfo=UTC))
    before = exported(tmp_path)
    path = frames.day_path(tmp_path / "frames", NOON.date())
    bytes_before = path.stat().st_size
    await store.append_frame(
        [good("hm.flow", NOON + timedelta(days=2), 1.0, "m3/h")], instant_utc=NOON + timedelta(days=2), elapsed_s=0.0
    )
    while await store.tend_once():
        pass
    await store.close()
    assert rows(path)[0] == 0
    assert path.stat().st_size < bytes_before / 2
    assert sorted(map(repr, exported(tmp_path)[: len(before)])) == sorted(map(repr, before))


async def test_a_reader_sees_every_frame_once_while_they_are_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look at the segments and that at the frames, all are packed, and a new point comes."""
    store = await filled(tmp_path, 360)
    path = frames.day_path(tmp_path / "frames", NOON.date())
    original = frame_reader.DayFile._rows
    packed: list[int] = []

    def rows_and_then_packing(
        self: frame_reader.DayFile, table: str, key: str, columns: str, span: tuple[int, int], *, order: str
    ) -> list[tuple[object, ...]]:
        found = original(self, table, key, columns, span, order=order)
        if table == "segment" and not packed:
            end_us = microseconds(NOON + timedelta(hours=2))
            while packing.pack_next(path, before_us=end_us, after_seq=0, bytes_max=10**8)[0]:
                packed.append(1)
            later_utc = NOON + timedelta(hours=1)
            recording.append(
                store._parts,
                [good("new.point", later_utc, 1.0, "kW"), bad("hm.flow", later_utc, "m3/h", Cause.STALE)],
                instant_utc=later_utc,
                elapsed_s=0.0,
                clock=None,
            )
        return found

    monkeypatch.setattr(frame_reader.DayFile, "_rows", rows_and_then_packing)
    readings = frame_reader.read_readings(tmp_path / "frames", microseconds(NOON - FAR), microseconds(NOON + FAR))
    assert len(packed) == 4
    assert len(readings.by_point["em.energy_total"]) == 360
    assert [frame for frame, _ in exported(tmp_path)][-1] == 361, "the next look sees what came meanwhile"
    assert len({frame for frame, _ in exported(tmp_path)}) == 361
    await store.close()


async def test_scans_do_not_wait_while_a_quarter_is_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await filled(tmp_path, 90)
    path = frames.day_path(tmp_path / "frames", NOON.date())
    encode_checked = segment_codec.encode_checked
    written: list[int] = []

    def encode_while_a_scan_comes(marks: list[Mark], series: list[Series]) -> tuple[bytes, int]:
        other = sqlite3.connect(path, timeout=0.0, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # raises at once where the packer holds the file
        other.execute("COMMIT")
        other.close()
        written.append(1)
        return encode_checked(marks, series)

    monkeypatch.setattr(segment_codec, "encode_checked", encode_while_a_scan_comes)
    end_us = microseconds(NOON + timedelta(hours=1))
    assert packing.pack_next(path, before_us=end_us, after_seq=0, bytes_max=10**8) == (True, 0)
    assert len(written) == 3
    assert rows(path)[0] == 0
    await store.close()
