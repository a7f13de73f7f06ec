"""Quota and full disk: what goes first, declared before it goes; the service goes on, and recovers by itself."""

import json
import os
import random
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drivers.sample import good
from edge_agent.errors import StoreFault
from edge_agent.rollup import Period
from edge_agent.store import frames, room, state_room, wear
from edge_agent.store.facts import Keep, PointFacts
from edge_agent.store.reader import read_samples
from edge_agent.store.rows import Gap, OutboxEntry
from edge_agent.store.state import EVICTION_KEY
from edge_agent.store.store import Store

FIRST = datetime(2026, 1, 15, 8, tzinfo=UTC)
DAY = timedelta(days=1)
FACTS = {
    "em.energy_total": PointFacts(10.0, Keep.TOTAL),
    "hm.flow": PointFacts(10.0, Keep.REPORTED),
    **{f"hp1.detail_{number}": PointFacts(10.0) for number in range(150)},
}


def entry(uplink: str = "owner") -> OutboxEntry:
    return OutboxEntry(uplink, lambda epoch, seq: f"{epoch}/{seq}".encode())


async def opened(state_dir: Path, *, quota_mb: int) -> Store:
    store = await Store.open(state_dir, quota_mb=quota_mb, raw_days=400)
    store.expect(FACTS)
    return store


async def scan(store: Store, instant_utc: datetime, dice: random.Random) -> int:
    """A frame whose numbers cannot be compressed."""
    samples = [good(point, instant_utc, dice.random() * 1000 / 3, "kW") for point in FACTS]
    return await store.append_frame(samples, instant_utc=instant_utc, elapsed_s=0.0)


async def days(store: Store, count: int, *, first: int = 0, scans: int = 80) -> None:
    dice = random.Random(first)  # noqa: S311 - repeatable noise
    for day in range(first, first + count):
        for number in range(scans):
            await scan(store, FIRST + day * DAY + timedelta(seconds=40 * number), dice)


async def tended(store: Store) -> None:
    while await store.tend_once():
        pass


def left(state_dir: Path) -> list[tuple[int, set[str]]]:
    """Days that hold something, and of what kinds."""
    found: dict[int, set[str]] = {}
    for stored in read_samples(state_dir, FIRST - DAY, FIRST + 100 * DAY):
        kind = "detail" if "detail" in stored.sample.point else stored.sample.point.partition(".")[2]
        found.setdefault((stored.sample.instant_utc - FIRST).days, set()).add(kind)
    return sorted(found.items())


async def test_details_of_the_oldest_day_go_first_and_every_eviction_is_declared(tmp_path: Path) -> None:
    store = await opened(tmp_path, quota_mb=2)
    await store.close_period(Period(FIRST + 50 * DAY, 15), [], [entry()])  # nothing before it is still to be made
    (row,) = await store.outbox_due("owner", 9)
    await days(store, 9)
    await tended(store)
    everything = {"energy_total", "flow", "detail"}
    kept = left(tmp_path)
    assert [day for day, _ in kept] == list(range(9)), "totals of every day are still there"
    assert [kinds for _, kinds in kept] == sorted((kinds for _, kinds in kept), key=len), "the oldest have least"
    assert kept[0][1] == {"energy_total", "flow"}
    assert kept[-1][1] == everything
    assert (await store.usage()).full_ratio <= 1.0
    gaps = await store.gaps_between(FIRST - DAY, FIRST + 100 * DAY)
    assert [gap.reason for gap in gaps] == ["quota"] * len(gaps)
    assert gaps[0].points == tuple(sorted(f"hp1.detail_{number}" for number in range(150)))
    assert (gaps[0].from_utc, gaps[0].count) == (FIRST, 80)
    assert gaps[0].to_utc == FIRST + timedelta(seconds=3160, microseconds=1)
    rows = await store.outbox_due("owner", 100)
    declared = [json.loads(one.payload) for one in rows if one.kind == "gap"]
    assert [(one["from"], one["count"]) for one in declared] == [
        (gap.from_utc.isoformat().replace("+00:00", "Z"), gap.count) for gap in gaps
    ]
    assert rows[0].kind == "gap", "what is gone is told before everything else"
    assert row.seq in [one.seq for one in rows], "an undelivered record outlives history"
    await days(store, 12, first=9, scans=20)
    await tended(store)
    kept = left(tmp_path)
    assert (await store.usage()).full_ratio <= 1.0
    assert kept[-1] == (20, everything)
    assert kept[0][1] == {"energy_total"}
    await store.close()


async def test_days_that_are_still_needed_go_after_all_others(tmp_path: Path) -> None:
    store = await opened(tmp_path, quota_mb=2)
    # Days from 2 on are needed: an undelivered record begins on day 4.
    await store.close_period(Period(FIRST + 4 * DAY, 15), [], [entry()])
    await days(store, 10)
    await tended(store)
    kept = left(tmp_path)
    assert kept[0][0] == 2, "whole days that nobody needs went before a detail of the others"
    await store.close()


async def test_an_eviction_cut_short_is_finished_and_declared_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened(tmp_path, quota_mb=1)
    await store.close_period(Period(FIRST + 50 * DAY, 15), [], [])
    await days(store, 4)

    def killed(*_: object, **__: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(room, "carry_out", killed)
        with pytest.raises(StoreFault, match="killed"):
            await tended(store)
    await store.close()
    (gap,) = await _gaps(tmp_path)
    store = await opened(tmp_path, quota_mb=1)
    await store.tend_once()
    assert await store.gaps_between(FIRST, FIRST + 100 * DAY) == [gap]
    assert left(tmp_path)[0] == (0, {"energy_total", "flow"})
    assert await store.get_state(EVICTION_KEY) == ""
    await store.close()


async def _gaps(state_dir: Path) -> list[Gap]:
    store = await opened(state_dir, quota_mb=1)
    gaps = await store.gaps_between(FIRST, FIRST + 100 * DAY)
    await store.close()
    return gaps


async def test_todays_file_alone_over_its_quota_gives_its_packed_details(tmp_path: Path) -> None:
    store = await opened(tmp_path, quota_mb=2)
    dice = random.Random(5)  # noqa: S311 - repeatable noise
    promised = set()
    for number in range(1000):
        promised.add(await scan(store, FIRST + timedelta(seconds=40 * number), dice))
        if number % 100 == 0:
            await tended(store)
    assert (await store.usage()).evicted > 0
    found = {stored.frame for stored in read_samples(tmp_path, FIRST, FIRST + DAY, {"em.energy_total"})}
    assert found == promised, "totals of all frames are there"
    assert {gap.reason for gap in await store.gaps_between(FIRST, FIRST + DAY)} == {"quota"}
    await store.close()


async def test_state_gives_plans_then_rollups_then_records_never_gaps_nor_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    make_room = state_room.make_room

    def noted(connection: sqlite3.Connection) -> str:
        removed = make_room(connection)
        order.append(removed.partition(" ")[2].split()[0])
        return removed

    monkeypatch.setattr(state_room, "make_room", noted)
    store = await opened(tmp_path, quota_mb=2)
    period = Period(FIRST, 15)
    noise = os.urandom(700).hex()
    for _ in range(120):
        await store.put_plan(FIRST, f'"{noise}"')
    due = 0
    while "undelivered" not in order:
        payload = noise[:300]
        await store.close_period(
            period, [], [OutboxEntry("owner", lambda epoch, seq, text=payload: f"{epoch} {seq} {text}".encode())]
        )
        due += 1
        period = period.next()
        if due % 10 == 0:
            store._parts.state.make_room()
    assert (await store.usage()).full_ratio <= 1.0
    kinds = [kind for place, kind in enumerate(order) if kind not in order[:place]]
    assert kinds == ["plans", "rollups", "undelivered"]
    status = await store.outbox_status("owner")
    rows = await store.outbox_due("owner", 10_000)
    assert status.evicted > 0
    assert sum(row.kind == "gap" for row in rows) > 0
    assert len([row for row in rows if row.kind == "record"]) + status.evicted == due, "dropped and counted, or there"
    await store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB, where the machine lets us make one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place))
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("no leave to mount a small disk")
    yield place
    subprocess.run(("umount", "-l", str(place)), check=True)


async def test_others_fill_the_disk_the_ballast_helps_and_space_brings_everything_back(small_disk: Path) -> None:
    store = await opened(small_disk, quota_mb=10)
    dice = random.Random(1)  # noqa: S311 - repeatable noise
    promised = [await scan(store, FIRST, dice)]
    await store.tend_once()
    assert (await store.usage()).ballast
    foreign = small_disk / "foreign"
    with pytest.raises(OSError, match="space"):
        foreign.write_bytes(bytes(4_000_000))
    refused = 0
    for number in range(1, 2000):
        try:
            promised.append(await scan(store, FIRST + timedelta(seconds=10 * number), dice))
        except StoreFault:
            refused += 1
            break
    assert len(promised) > 10, "the ballast carried it on"
    assert refused == 1
    usage = await store.usage()
    assert not usage.ballast
    assert usage.disk_free_bytes < 50_000
    foreign.unlink()
    promised.append(await scan(store, FIRST + timedelta(seconds=20_000), dice))
    await tended(store)
    assert (await store.usage()).ballast
    await store.close()
    assert {stored.frame for stored in read_samples(small_disk, FIRST, FIRST + DAY)} == set(promised)


async def test_the_ballast_is_given_and_the_frame_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a small disk, wherever the test runs: the full disk is SQLite's own error."""
    store = await opened(tmp_path, quota_mb=10)
    dice = random.Random(1)  # noqa: S311 - repeatable noise
    await scan(store, FIRST, dice)
    await store.tend_once()
    parts = store._parts
    connection = parts.frames._connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    monkeypatch.setattr(room, "free_bytes", lambda _folder: 0)
    samples = [good(f"x.p{number}", FIRST, number / 7, "kW") for number in range(2000)]
    assert await store.append_frame(samples, instant_utc=FIRST, elapsed_s=0.0) > 1
    assert not parts.ballast.laid
    assert not parts.ballast.lay(), "not while the disk is full"
    await store.close()


def test_writing_is_counted_by_day_and_over_restarts() -> None:
    meter = wear.read_note(None)
    day = FIRST.date()
    meter.look(day, 1000)
    meter.look(day, 5000)
    assert (meter.day_bytes, meter.before_bytes) == (5000, None)
    meter = wear.read_note(meter.note())
    meter.look(day, 300)
    assert meter.day_bytes == 5300
    meter.look(day + DAY, 400)
    assert (meter.day_bytes, meter.before_bytes) == (100, 5300)
    assert wear.process_bytes() >= 0


def test_a_day_file_that_is_no_database_stops_nothing(tmp_path: Path) -> None:
    for number in range(3):
        frames.day_path(tmp_path, (FIRST + number * DAY).date()).write_bytes(bytes(100_000))
    assert (
        room.next_eviction(tmp_path, bytes_max=1000, needed_from=(FIRST + 9 * DAY).date(), today=FIRST.date()) is None
    )


async def test_what_comes_after_a_declaration_is_not_what_it_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class of a day, declared by a run that died: what is packed until the next run carries it out stays."""
    store = await opened(tmp_path, quota_mb=1)
    await store.close_period(Period(FIRST + 50 * DAY, 15), [], [])
    await days(store, 4)
    with monkeypatch.context() as patch:
        patch.setattr(room, "carry_out", _killed)
        with pytest.raises(StoreFault, match="killed"):
            await tended(store)
    (gap,) = await store.gaps_between(FIRST, FIRST + 100 * DAY)
    assert (gap.from_utc, gap.count) == (FIRST, 80)
    dice = random.Random(9)  # noqa: S311 - repeatable noise
    late = {await scan(store, FIRST + timedelta(hours=2, seconds=number), dice) for number in range(30)}
    assert await store.append_frame(
        [good("hm.flow", FIRST + 4 * DAY, 1.0, "m3/h")], instant_utc=FIRST + 4 * DAY, elapsed_s=0.0
    )
    monkeypatch.setattr(room, "next_eviction", lambda *_, **__: None)
    await tended(store)
    assert await store.get_state(EVICTION_KEY) == ""
    found = list(read_samples(tmp_path, FIRST, FIRST + DAY, {"hp1.detail_0"}))
    assert {stored.frame for stored in found} == late, "declared and gone, or there"
    await store.close()


def _killed(*_: object, **__: object) -> None:
    raise OSError("killed")


async def test_a_whole_day_that_comes_to_life_again_loses_only_what_was_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened(tmp_path, quota_mb=64)
    await days(store, 2, scans=3)
    folder = tmp_path / "frames"
    monkeypatch.setattr(room, "frames_bytes", lambda _folder: 1 << 40)
    eviction = room.next_eviction(folder, bytes_max=1, needed_from=FIRST.date(), today=(FIRST + DAY).date())
    assert eviction is not None
    assert (eviction.keep, eviction.gap.count) == (None, 3)
    await store.put_state(EVICTION_KEY, room.note(eviction))
    dice = random.Random(9)  # noqa: S311 - repeatable noise
    back = await scan(store, FIRST + timedelta(hours=1), dice)  # the clock is set back by a day: the file is open again
    monkeypatch.setattr(room, "next_eviction", lambda *_, **__: None)
    await tended(store)
    after = await scan(store, FIRST + timedelta(hours=1, seconds=10), dice)
    assert {stored.frame for stored in read_samples(tmp_path, FIRST, FIRST + DAY / 2)} == {back, after}
    await store.close()


async def test_nothing_is_evicted_before_it_is_known_which_file_is_written(tmp_path: Path) -> None:
    store = await opened(tmp_path, quota_mb=64)
    await days(store, 1, scans=60)
    await tended(store)
    await store.close()
    store = await opened(tmp_path, quota_mb=1)
    store._parts.half_bytes = 50_000
    await tended(store)
    assert await store.gaps_between(FIRST - DAY, FIRST + DAY) == []
    assert left(tmp_path) == [(0, {"energy_total", "flow", "detail"})]
    await store.close()
