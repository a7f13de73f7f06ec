"""Raw frames: what goes in comes out, numbers only rise, damage is set aside, old days go."""

import logging
import sqlite3
import zlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.sample import Cause, Quality, Sample, bad, good
from edge_agent.errors import StoreFault
from edge_agent.rollup import Period
from edge_agent.store import frame_codec, frames
from edge_agent.store.frame_numbers import BLOCK, LEAP, FrameNumbers
from edge_agent.store.reader import read_samples
from edge_agent.store.rows import OutboxEntry, Receipt
from edge_agent.store.store import Store

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 1, 15, tzinfo=UTC)
DAY = timedelta(days=1)
FAR = timedelta(days=400)


def scan(instant_utc: datetime, *, count: int = 3, value: float = 1.5) -> list[Sample]:
    return [good(f"tt1.temperature_{number}", instant_utc, value + number, "degC") for number in range(count)]


async def opened(state_dir: Path, *, raw_days: int = 90) -> Store:
    return await Store.open(state_dir, quota_mb=64, raw_days=raw_days)


def exported(state_dir: Path) -> list:
    return list(read_samples(state_dir, NOON - FAR, NOON + FAR))


async def test_samples_come_back_as_they_were_accepted(tmp_path: Path) -> None:
    samples = [
        good("hm_user.heat_power", NOON, 1234.567890123, "kW"),
        Sample("hm_user.supply_temperature", NOON, 41.0, "degC", Quality.UNCERTAIN, Cause.NO_FLOW),
        bad("hp1.state", NOON + timedelta(microseconds=7), "", Cause.NO_ANSWER),
    ]
    store = await opened(tmp_path)
    frame = await store.append_frame(samples, instant_utc=NOON, elapsed_s=12.5)
    found = await store.samples_between(NOON, NOON + timedelta(seconds=1))
    assert [(stored.frame, stored.sample) for stored in found] == [(frame, sample) for sample in samples]
    only = await store.samples_between(NOON, NOON + timedelta(seconds=1), points={"hp1.state"})
    assert [stored.sample for stored in only] == samples[2:]
    # Another process reads while the service has the file open.
    assert [stored.sample for stored in exported(tmp_path)] == samples
    await store.close()
    assert [stored.sample for stored in exported(tmp_path)] == samples


async def test_the_span_is_half_open_and_reaches_over_midnight(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    midnight = datetime(2026, 1, 16, tzinfo=UTC)
    for offset_s in (-20, -10, 0, 10):
        instant_utc = midnight + timedelta(seconds=offset_s)
        # The frame is written a little after its samples were read: those before midnight lie in the next day's file.
        await store.append_frame(scan(instant_utc), instant_utc=instant_utc + timedelta(seconds=12), elapsed_s=0.0)
    assert [day for day, _ in frames.day_files(tmp_path / "frames")] == [date(2026, 1, 15), date(2026, 1, 16)]
    found = await store.samples_between(midnight - timedelta(seconds=10), midnight + timedelta(seconds=10))
    assert {stored.sample.instant_utc for stored in found} == {midnight - timedelta(seconds=10), midnight}
    assert await store.first_instant_utc() == midnight - timedelta(seconds=20)
    await store.close()


async def test_numbers_rise_over_restarts_and_lost_files(tmp_path: Path) -> None:
    numbers = []
    for lose in (False, True, True):
        store = await opened(tmp_path)
        numbers += [await store.append_frame(scan(NOON), instant_utc=NOON, elapsed_s=0.0) for _ in range(3)]
        await store.close()
        if lose:
            for path in (tmp_path / "frames").iterdir():
                path.unlink()
    assert numbers == list(range(1, 10))


def test_numbers_leap_after_a_kill_and_after_losing_the_mark(tmp_path: Path) -> None:
    path = tmp_path / "frame_sequence"
    first = FrameNumbers(path, used_max=0)
    assert [first.next() for _ in range(3)] == [1, 2, 3]
    second = FrameNumbers(path, used_max=3)  # the first was never closed
    assert second.next() == BLOCK + 1
    path.write_text("torn")
    third = FrameNumbers(path, used_max=BLOCK + 1)
    assert third.next() > BLOCK + LEAP


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["next", "kill", "close"]), max_size=40))
def test_no_number_is_given_twice(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    path = tmp_path_factory.mktemp("numbers") / "frame_sequence"
    numbers = FrameNumbers(path, used_max=0)
    given_numbers: list[int] = []
    for step in steps:
        if step == "next":
            given_numbers.append(numbers.next())
            continue
        if step == "close":
            numbers.close()
        numbers = FrameNumbers(path, used_max=0)
    assert given_numbers == sorted(set(given_numbers))


async def test_a_damaged_day_is_set_aside_and_numbers_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = await opened(tmp_path)
    for second_s in range(40):
        await store.append_frame(scan(NOON, count=60), instant_utc=NOON + timedelta(seconds=second_s), elapsed_s=0.0)
    await store.close()
    path = frames.day_path(tmp_path / "frames", NOON.date())
    content = bytearray(path.read_bytes())
    for at in range(4096 * 3, len(content), 4096):
        content[at : at + 64] = bytes(64)
    path.write_bytes(content)
    store = await opened(tmp_path)
    with caplog.at_level(logging.ERROR):
        frame = await store.append_frame(scan(NOON), instant_utc=NOON, elapsed_s=0.0)
    await store.close()
    assert frame == 41
    assert "set aside" in caplog.text
    assert path.with_name(f"{path.name}.damaged-1").exists()
    assert [stored.frame for stored in exported(tmp_path)] == [41, 41, 41]


async def test_one_damaged_frame_costs_that_frame_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = await opened(tmp_path)
    for _ in range(3):
        await store.append_frame(scan(NOON, count=1), instant_utc=NOON, elapsed_s=0.0)
    await store.close()
    connection = sqlite3.connect(frames.day_path(tmp_path / "frames", NOON.date()))
    connection.execute("UPDATE frame SET crc = crc + 1 WHERE seq = 2")
    connection.commit()
    connection.close()
    assert [stored.frame for stored in exported(tmp_path)] == [1, 3]
    assert "CRC-32" in caplog.text


OLD_FRAME = "78016362606060046226206630b8fc2ddb838d811d4a838418bc263b8069861ff507802a991800caed08c8"
"""A frame as releases before corrections wrote it: 1234.5 GOOD, and 7 us later a reading that failed."""


def test_frames_of_older_releases_are_read() -> None:
    blob = bytes.fromhex(OLD_FRAME)
    columns = frame_codec.decode(blob, layout=1, crc=4020769893)
    assert (columns.points, columns.qualities, columns.causes) == ((1, 2), (192, 0), (1, 2))
    assert columns.instants_us == (1768478400000000, 1768478400000007)
    assert [frame_codec.value(number) for number in columns.values] == [1234.5, None]
    assert columns.corrections == (0.0, 0.0)
    assert (columns.layout, frame_codec.encode(columns)) == (1, blob), "without corrections they can read ours"


async def test_corrections_of_totals_come_back(tmp_path: Path) -> None:
    total = Sample("hm.heat_total", NOON, 23.0, "kWh", Quality.GOOD, correction=5015.25)
    samples = [good("hm.flow", NOON, 1.5, "m3/h"), total]
    store = await opened(tmp_path)
    await store.append_frame(scan(NOON), instant_utc=NOON, elapsed_s=0.0)
    await store.append_frame(samples, instant_utc=NOON, elapsed_s=0.0)
    await store.close()
    with sqlite3.connect(frames.day_path(tmp_path / "frames", NOON.date())) as connection:
        assert connection.execute("SELECT layout FROM frame ORDER BY seq").fetchall() == [(1,), (2,)]
    connection.close()
    assert [stored.sample for stored in exported(tmp_path)][-2:] == samples


@pytest.mark.parametrize("correction", [0.0, 5.5])
def test_a_flipped_bit_never_decodes(correction: float) -> None:
    columns = frame_codec.Columns((1,), (2,), (3.0,), (192,), (1,), (correction,))
    blob = frame_codec.encode(columns)
    crc = zlib.crc32(blob)
    assert frame_codec.decode(blob, layout=columns.layout, crc=crc) == columns
    for at in range(len(blob) * 8):
        damaged = bytearray(blob)
        damaged[at // 8] ^= 1 << (at % 8)
        with pytest.raises(StoreFault):
            frame_codec.decode(bytes(damaged), layout=1, crc=crc)
    with pytest.raises(StoreFault):
        frame_codec.decode(blob, layout=9, crc=crc)


async def test_a_second_service_is_kept_out(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    with pytest.raises(StoreFault, match="another service"):
        await opened(tmp_path)
    await store.close()
    again = await opened(tmp_path)
    await again.close()
    with pytest.raises(StoreFault, match="closed"):
        await again.append_frame(scan(NOON), instant_utc=NOON, elapsed_s=0.0)


async def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    first = await store.append_frame(scan(NOON), instant_utc=NOON, elapsed_s=0.0)
    parts = store._parts
    real = parts.frames._connection
    assert real is not None
    (pages,) = real.execute("PRAGMA page_count").fetchone()
    real.execute(f"PRAGMA max_page_count = {pages}")
    noise = [good(f"x.p{number}", NOON, number / 7, "kW") for number in range(2000)]
    with pytest.raises(StoreFault, match="full"):
        await store.append_frame(noise, instant_utc=NOON, elapsed_s=0.0)
    # The file is opened afresh, with its ordinary limit: what was refused is accepted, names and all.
    last = await store.append_frame(noise, instant_utc=NOON, elapsed_s=0.0)
    assert last > first
    found = await store.samples_between(NOON, NOON + timedelta(seconds=1))
    assert {stored.frame for stored in found} == {first, last}
    await store.close()


async def live(store: Store, midnight_utc: datetime, *, quarters: int = 96) -> None:
    """A day of which every quarter of an hour has a frame."""
    for number in range(quarters):
        instant_utc = midnight_utc + number * timedelta(minutes=15)
        await store.append_frame(scan(instant_utc, count=1), instant_utc=instant_utc, elapsed_s=0.0)


def days_left(state_dir: Path) -> list[int]:
    return [(day - MIDNIGHT.date()).days for day, _ in frames.day_files(state_dir / "frames")]


async def test_old_days_go_but_never_before_they_are_delivered(tmp_path: Path) -> None:
    store = await opened(tmp_path, raw_days=2)
    for day in range(6):
        await live(store, MIDNIGHT + day * DAY)
    assert days_left(tmp_path) == [0, 1, 2, 3, 4, 5]  # no period is closed yet: everything is needed
    await store.close_period(Period(NOON + 4 * DAY, 15), [], [])
    await live(store, MIDNIGHT + 6 * DAY)
    assert days_left(tmp_path) == [2, 3, 4, 5, 6]
    await store.close_period(
        Period(NOON + 6 * DAY, 15), [], [OutboxEntry("owner", lambda epoch, seq: f"{epoch}{seq}".encode())]
    )
    await store.close_period(Period(NOON + 20 * DAY, 15), [], [])
    await live(store, MIDNIGHT + 21 * DAY)
    await live(store, MIDNIGHT + 22 * DAY)
    assert days_left(tmp_path) == [4, 5, 6, 21, 22]  # day 6 waits for its acknowledgement
    (row,) = await store.outbox_due("owner", 5)
    await store.outbox_mark_sent("owner", [row.seq])
    await store.outbox_settle("owner", [Receipt(row.epoch, 1)], instant_utc=NOON)
    await live(store, MIDNIGHT + 23 * DAY, quarters=1)
    assert days_left(tmp_path) == [21, 22, 23]
    await store.close()


WRONG = {
    "ahead once": [datetime(2040, 5, 1, 3, tzinfo=UTC)],
    "ahead again and again": [datetime(2040, 5, day, 3, tzinfo=UTC) for day in range(1, 9)],
    "dead at the boot": [datetime(2000, 1, 1, tzinfo=UTC)],
    "to and fro": [
        datetime(2040, 5, 1, tzinfo=UTC),
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(2031, 1, 1, tzinfo=UTC),
    ],
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_a_wrong_clock_removes_nothing_that_is_to_be_kept(tmp_path: Path, wrong: list[datetime]) -> None:
    store = await opened(tmp_path, raw_days=3)
    await store.close_period(Period(datetime(2050, 1, 1, tzinfo=UTC), 15), [], [])  # periods hold nothing back
    for day in range(5):
        await live(store, MIDNIGHT + day * DAY)
    assert days_left(tmp_path) == [1, 2, 3, 4]
    promised = set()
    for instant_utc in [*wrong, MIDNIGHT + 5 * DAY]:  # right again at last
        promised.add(await store.append_frame(scan(instant_utc, value=9.0), instant_utc=instant_utc, elapsed_s=0.0))
        assert {day for day in days_left(tmp_path) if 0 <= day < 9} >= {2, 3, 4}, "three days are promised"
        assert frames.day_path(tmp_path / "frames", instant_utc.date()).exists(), "the open file"
    found = read_samples(tmp_path, datetime(1999, 1, 1, tzinfo=UTC), datetime(2041, 1, 1, tzinfo=UTC))
    assert {stored.frame for stored in found} >= promised, "what the wrong clock has stamped was promised as well"
    for day in range(5, 10):
        await live(store, MIDNIGHT + day * DAY)
    left = days_left(tmp_path)
    assert [day for day in left if 0 <= day <= 9] == [6, 7, 8, 9], "and then things go on as ever"
    assert min(left) >= 0, "what was stamped years ago goes when it is really old"
    await store.close()


async def test_a_day_that_cannot_be_read_goes_when_it_is_old(tmp_path: Path) -> None:
    store = await opened(tmp_path, raw_days=2)
    await store.close_period(Period(datetime(2050, 1, 1, tzinfo=UTC), 15), [], [])
    frames.day_path(tmp_path / "frames", (MIDNIGHT - DAY).date()).write_bytes(bytes(9999))
    for day in range(2):
        await live(store, MIDNIGHT + day * DAY)
    assert days_left(tmp_path) == [-1, 0, 1]
    await live(store, MIDNIGHT + 2 * DAY, quarters=1)
    assert days_left(tmp_path) == [0, 1, 2]
    await store.close()
