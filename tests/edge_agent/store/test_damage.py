"""Damaged files: the service starts within seconds, nothing that is readable is lost, nothing is invented."""

import asyncio
import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from drivers.sample import Sample, good
from edge_agent.clock import stopwatch
from edge_agent.clock_quality import ClockQuality
from edge_agent.errors import StoreFault
from edge_agent.rollup import Period, Rollup
from edge_agent.store import database, frames, salvage_state
from edge_agent.store.damage import sound_rows
from edge_agent.store.reader import read_samples
from edge_agent.store.rows import AuditEntry, Gap, OutboxEntry, OutboxRow, Receipt
from edge_agent.store.store import Store
from edge_agent.store.stream_marks import StreamMarks

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FRAMES = 500
"""Eighty minutes: the first quarter hours are packed."""
PERIODS = 60
START_S_MAX = 5.0
PAGE = database.PAGE_BYTES


@dataclass(frozen=True)
class Truth:
    """A store before the damage."""

    folder: Path
    samples: dict[int, list[Sample]]
    rows: dict[int, OutboxRow]
    rollups: list[Rollup]
    audit: list[AuditEntry]


def entry(number: int) -> OutboxEntry:
    return OutboxEntry("owner", lambda epoch, seq: json.dumps([epoch, seq, number, "x" * 300]).encode())


async def build(folder: Path) -> Truth:
    store = await Store.open(folder, quota_mb=64, raw_days=400)
    dice = random.Random(4)  # noqa: S311 - repeatable values
    for number in range(FRAMES):
        instant_utc = NOON + timedelta(seconds=10 * number)
        samples = [good(f"dev{place}.point", instant_utc, dice.random() * 100, "kW") for place in range(12)]
        await store.append_frame(samples, instant_utc=instant_utc, elapsed_s=0.0, clock=ClockQuality.SYNCHRONISED)
    period = Period(NOON, 15)
    for number in range(PERIODS):
        rollups = [
            Rollup(f"dev{place}.point", period.start_utc, 15, *[1.5 + place] * 5, 1.0, 90) for place in range(12)
        ]
        await store.close_period(period, rollups, [entry(number)])
        period = period.next()
    for number in range(40):
        await store.audit(AuditEntry(NOON, "plan", "c", f"p{number}", 0.0, 1.0, None, "issued", "r" * 100, 1.0, number))
    await store.put_state("control.memory", '{"phase": "running"}')
    rows = await store.outbox_due("owner", 9)
    await store.outbox_mark_sent("owner", [row.seq for row in rows])
    await store.outbox_settle("owner", [Receipt(rows[0].epoch, hwm=3)], instant_utc=NOON)
    while await store.tend_once():
        pass
    rows = await store.outbox_due("owner", 1000)
    rollups = await store.rollups("dev3.point", 15, NOON, NOON + 9 * DAY)
    entries = await store.audit_entries(1000)
    await store.close()
    return Truth(folder, exported(folder), {row.seq: row for row in rows}, rollups, entries)


def exported(folder: Path) -> dict[int, list[Sample]]:
    found: dict[int, list[Sample]] = {}
    for stored in read_samples(folder, NOON - DAY, NOON + 9 * DAY):
        found.setdefault(stored.frame, []).append(stored.sample)
    return {frame: sorted(samples, key=lambda sample: sample.point) for frame, samples in found.items()}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return asyncio.run(build(tmp_path_factory.mktemp("truth")))


def copied(truth: Truth, folder: Path) -> Path:
    shutil.copytree(truth.folder, folder, dirs_exist_ok=True)
    return folder


def cut(content: bytearray) -> bytearray:
    return content[: len(content) * 7 // 10]


def flip(content: bytearray) -> bytearray:
    dice = random.Random(8)  # noqa: S311 - repeatable damage
    for _ in range(64):
        content[dice.randrange(PAGE, len(content))] ^= 1 << dice.randrange(8)
    middle = len(content) // PAGE // 2 * PAGE
    content[middle : middle + 8] = b"\xff" * 8  # some where SQLite's own check sees them
    return content


def zero_page(content: bytearray) -> bytearray:
    page = len(content) // PAGE // 2
    content[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    return content


def bad_header(content: bytearray) -> bytearray:
    content[:100] = b"not a database, " * 6 + b"nope"
    return content


def bad_first_page(content: bytearray) -> bytearray:
    content[:PAGE] = os.urandom(PAGE)
    return content


def emptied(_content: bytearray) -> bytearray:
    return bytearray()


def noise(content: bytearray) -> bytearray:
    return bytearray(random.Random(2).randbytes(len(content)))  # noqa: S311 - repeatable damage


Damage = Callable[[bytearray], bytearray]


async def damaged_and_opened(folder: Path, file: str, damage: Damage) -> tuple[Store, float]:
    path = folder / file
    path.write_bytes(damage(bytearray(path.read_bytes())))
    passed_s = stopwatch()
    store = await Store.open(folder, quota_mb=64, raw_days=400)
    late_utc = NOON + timedelta(hours=3)
    await store.append_frame([good("dev0.point", late_utc, 1.0, "kW")], instant_utc=late_utc, elapsed_s=0.0)
    return store, passed_s()


@pytest.mark.parametrize(
    ("damage", "share_min"),
    [
        (cut, 0.4), (flip, 0.4), (zero_page, 0.8), (bad_header, 1.0),
        (bad_first_page, 1.0), (emptied, 0.0), (noise, 0.0),
    ],
)  # fmt: skip
async def test_a_damaged_day_gives_all_that_is_sound_and_invents_nothing(
    truth: Truth, tmp_path: Path, damage: Damage, share_min: float
) -> None:
    folder = copied(truth, tmp_path)
    file = f"frames/{NOON.date()}.db"
    store, start_s = await damaged_and_opened(folder, file, damage)
    while await store.tend_once():
        pass
    gaps = await store.gaps_between(NOON - DAY, NOON + 9 * DAY)
    await store.close()
    assert start_s < START_S_MAX
    found = exported(folder)
    found.pop(FRAMES + 1)
    for frame, samples in found.items():
        assert samples == truth.samples[frame], "as it was accepted, or not at all"
    assert len(found) >= share_min * FRAMES
    if found:
        inside = range(min(found), max(found) + 1)
        assert sum(gap.count for gap in gaps if gap.reason == "damaged") == len(inside) - len(found)
    again = await Store.open(folder, quota_mb=64, raw_days=400)
    while await again.tend_once():
        pass
    assert await again.gaps_between(NOON - DAY, NOON + 9 * DAY) == gaps, "declared once"
    await again.close()


@pytest.mark.parametrize(
    ("damage", "share_min"),
    [
        (cut, 0.0), (flip, 0.3), (zero_page, 0.7), (bad_header, 1.0),
        (bad_first_page, 1.0), (emptied, 0.0), (noise, 0.0),
    ],
)  # fmt: skip
async def test_a_damaged_state_keeps_epoch_and_numbers_and_accounts_for_each(
    truth: Truth, tmp_path: Path, damage: Damage, share_min: float
) -> None:
    folder = copied(truth, tmp_path)
    store, start_s = await damaged_and_opened(folder, "state.db", damage)
    assert start_s < START_S_MAX
    assert (await store.usage()).damaged == ("state.db.damaged-1",)
    rows = {row.seq: row for row in await store.outbox_due("owner", 1000) if row.kind == "record"}
    for seq, row in rows.items():
        assert (row.epoch, row.payload) == (truth.rows[seq].epoch, truth.rows[seq].payload)
    assert len(rows) >= share_min * len(truth.rows)
    # What comes next goes on in the same epoch, above every number that was ever given.
    await store.close_period(Period(NOON + 5 * DAY, 15), [], [entry(0)])
    fresh = [row for row in await store.outbox_due("owner", 1000) if row.start_utc == NOON + 5 * DAY]
    (epoch,) = {row.epoch for row in truth.rows.values()}
    assert (fresh[0].epoch, fresh[0].seq > PERIODS) == (epoch, True)
    status = await store.outbox_status("owner")
    assert status.due == status.acknowledged + status.backlog + status.evicted
    assert status.acknowledged <= 3
    gaps = [
        gap
        for gap in await store.gaps_between(datetime(1970, 1, 1, tzinfo=UTC), NOON + 900 * DAY)
        if gap.reason == "damaged"
    ]
    assert sum(gap.count for gap in gaps) == status.evicted
    # Rollups and audit: what is there is as it was.
    assert set(await store.rollups("dev3.point", 15, NOON, NOON + 4 * DAY)) <= set(truth.rollups)
    assert all(one in truth.audit for one in await store.audit_entries(1000))
    if share_min == 1.0:
        assert await store.get_state("control.memory") == '{"phase": "running"}'
        assert await store.rollups("dev3.point", 15, NOON, NOON + 4 * DAY) == truth.rollups
        assert await store.audit_broken_at() is None
        assert status.acknowledged == 3
    await store.close()


async def test_without_the_marks_a_new_epoch_begins_and_what_waits_is_declared(truth: Truth, tmp_path: Path) -> None:
    folder = copied(truth, tmp_path)
    (folder / "stream_sequence").write_bytes(b"torn")
    store, _ = await damaged_and_opened(folder, "state.db", zero_page)
    await store.close_period(Period(NOON + 5 * DAY, 15), [], [entry(0)])
    rows = await store.outbox_due("owner", 100)
    (epoch,) = {row.epoch for row in truth.rows.values()}
    assert {row.epoch for row in rows} & {epoch} == set()
    assert [row.seq for row in rows if row.kind == "record"] == [1]
    gaps = await store.gaps_between(NOON - DAY, NOON + 9 * DAY)
    assert sum(gap.count for gap in gaps) > 0.7 * len(truth.rows)
    await store.close()


def test_marks_are_ahead_of_every_number(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.execute("CREATE TABLE stream (uplink TEXT, epoch TEXT, seq_last INTEGER)")
    connection.execute("INSERT INTO stream VALUES ('owner', 'e1', 1)")
    marks = StreamMarks(tmp_path / "marks")
    marks.cover(connection)
    for last in range(2, 200):
        connection.execute("UPDATE stream SET seq_last = ?", (last,))
        marks.cover(connection)
        assert StreamMarks(tmp_path / "marks").reserved["owner"][1] >= last
    connection.execute("UPDATE stream SET epoch = 'e2', seq_last = 5")
    marks.cover(connection)
    assert StreamMarks(tmp_path / "marks").reserved["owner"][0] == "e2"
    marks.cover(connection, ahead=0)
    assert StreamMarks(tmp_path / "marks").reserved == {"owner": ("e2", 5)}
    connection.close()


@hypothesis_settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    file=st.sampled_from(["state.db", f"frames/{NOON.date()}.db"]),
    holes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 5000), st.integers(0, 255)), min_size=1, max_size=6
    ),
    keep=st.floats(0.05, 1.0),
)
def test_whatever_the_damage_the_service_starts_and_what_it_gives_is_true(
    truth: Truth,
    tmp_path_factory: pytest.TempPathFactory,
    file: str,
    holes: list[tuple[float, int, int]],
    keep: float,
) -> None:
    folder = copied(truth, tmp_path_factory.mktemp("damage"))

    def damage(content: bytearray) -> bytearray:
        for place, length, value in holes:
            at = int(place * len(content))
            content[at : at + length] = bytes((value,)) * len(content[at : at + length])
        return content[: int(keep * len(content))]

    async def run() -> None:
        store, _ = await damaged_and_opened(folder, file, damage)
        while await store.tend_once():
            pass
        for row in await store.outbox_due("owner", 1000):
            if row.kind == "record":
                assert row.payload == truth.rows[row.seq].payload
        await store.close()
        for frame, samples in exported(folder).items():
            if frame <= FRAMES:
                assert samples == truth.samples[frame]

    asyncio.run(run())
    shutil.rmtree(folder)


def test_ranges_are_halved_down_to_the_holes() -> None:
    holes = {17, 18, 500}

    def read(low: int, high: int) -> list[tuple[int]]:
        if any(low <= hole <= high for hole in holes):
            raise sqlite3.DatabaseError("malformed")
        return [(key,) for key in range(max(low, 1), min(high, 1000) + 1)]

    assert {key for (key,) in sound_rows(read)} == set(range(1, 1001)) - holes


async def test_a_read_only_file_gives_way_to_its_copy(
    truth: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copied(truth, tmp_path)
    refused = []
    honest = database.open_write

    def open_write(path: Path, steps: list[str], *, bytes_max: int) -> sqlite3.Connection:
        if path.name == "state.db" and not refused:
            refused.append(path.stat().st_ino)
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None) as connection:
                connection.execute("CREATE TABLE x (y)")  # raises what a read-only file raises
        return honest(path, steps, bytes_max=bytes_max)

    monkeypatch.setattr(database, "open_write", open_write)
    store = await Store.open(folder, quota_mb=64, raw_days=400)
    assert "read-only" in caplog.text
    assert (folder / "state.db").stat().st_ino != refused[0]
    assert len(await store.outbox_due("owner", 1000)) == len(truth.rows)
    await store.close()


@pytest.mark.parametrize(
    ("number", "zh", "en"),
    [
        (30, "只读", "read-only"),
        (13, "没有权限", "no leave"),
        (28, "磁盘或配额已满", "quota is full"),
        (5, "更换磁盘", "replace it"),
    ],
)  # fmt: skip
async def test_a_folder_that_refuses_says_why_in_both_languages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, zh: str, en: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreFault) as refused:
        await Store.open(tmp_path / "state", quota_mb=64, raw_days=400)
    assert zh in str(refused.value)
    assert en in str(refused.value)


def test_a_day_that_was_set_aside_is_found_by_its_name(tmp_path: Path) -> None:
    for name in ("2026-01-15.db.damaged-1", "2026-01-15.db.damaged-1-wal", "2026-01-14.db.damaged-2", "x.db.damaged-1"):
        (tmp_path / name).touch()
    assert [path.name for _, path in frames.set_aside(tmp_path)] == [
        "2026-01-14.db.damaged-2",
        "2026-01-15.db.damaged-1",
    ]


def test_every_table_is_salvaged(tmp_path: Path) -> None:
    connection = database.open_write(tmp_path / "x.db", database.scripts("schema"), bytes_max=10**7)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert {name for name in tables if not name.startswith("sqlite_")} == {table.name for table in salvage_state.TABLES}


@pytest.mark.parametrize("damage", ["emptied", "beheaded", "page lost"])
async def test_a_day_that_is_over_and_found_damaged_is_salvaged_and_what_is_gone_declared(
    tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "frames"
    store = await Store.open(tmp_path, quota_mb=64, raw_days=400)
    first_utc = datetime(2026, 1, 15, tzinfo=UTC)

    async def scan(at_utc: datetime) -> int:
        return await store.append_frame([good("a.x", at_utc, 1.0, "kW")], instant_utc=at_utc, elapsed_s=0.0)

    promised = [await scan(first_utc + number * timedelta(minutes=5)) for number in range(40)]
    later_utc = first_utc + timedelta(days=1, hours=2)
    after = await scan(later_utc)
    while await store.tend_once():
        pass
    await store.close()
    path = frames.day_path(folder, first_utc.date())
    whole = path.read_bytes()
    connection = sqlite3.connect(path)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'frame'").fetchone()
    connection.close()
    lost = {
        "emptied": b"",
        "beheaded": b"no database, no " * 256 + whole[4096:],  # packed anew when it was over: no other first page fits
        "page lost": whole[: 4096 * (page - 1)] + bytes(4096) + whole[4096 * page :],
    }[damage]
    path.write_bytes(lost)
    store = await Store.open(tmp_path, quota_mb=64, raw_days=400)
    after_that = await scan(later_utc + timedelta(seconds=10))
    while await store.tend_once():
        pass
    found = {stored.frame for stored in read_samples(tmp_path, first_utc, first_utc + timedelta(days=9))}
    assert found == {after, after_that} | (set(promised) if damage == "page lost" else set())
    gaps = await store.gaps_between(first_utc, first_utc + timedelta(days=9))
    if damage != "page lost":
        assert gaps == [Gap(None, first_utc, first_utc + timedelta(days=1), 0, "damaged")]
    else:
        assert gaps == []
    ((_, aside),) = frames.set_aside(folder)
    assert aside.read_bytes()[100:] == lost[100:], "what was found is kept as it was"
    await store.close()
    store = await Store.open(tmp_path, quota_mb=64, raw_days=400)
    await scan(later_utc + timedelta(seconds=20))
    while await store.tend_once():
        pass
    assert await store.gaps_between(first_utc, first_utc + timedelta(days=9)) == gaps, "declared once"
    await store.close()
