"""state.db near its quota: which periods go, what is declared, and what is made of quarter hours again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.clock_quality import ClockQuality
from edge_agent.rollup import Period, Rollup, combine
from edge_agent.store import state_room
from edge_agent.store.rows import Gap
from edge_agent.store.store import Store

START = datetime(2026, 1, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FAR_UTC = START + timedelta(days=900)
QUARTERS = 8
"""Kept in these tests, instead of days of them."""
LENGTHS = (5, 15, 20, 60)


def rollup(period: Period, *, number: int) -> Rollup:
    return Rollup("em.power", period.start_utc, period.length_min, *[float(number)] * 5, good_ratio=1.0, count=number)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state.db that is always nearly full, whatever it holds."""
    monkeypatch.setattr(state_room, "ROOM_RATIO_MAX", 0.0)
    monkeypatch.setattr(state_room, "QUARTERS_KEPT", QUARTERS)
    monkeypatch.setattr(state_room, "ROLLUP_ROWS", 6)


async def filled(state_dir: Path, *, hours: int) -> Store:
    store = await Store.open(state_dir, quota_mb=64, raw_days=90)
    for length in LENGTHS:
        for number in range(hours * 60 // length):
            period = Period(START + number * length * MINUTE, length)
            assert await store.close_period(period, [rollup(period, number=number)], [])
    return store


async def starts(store: Store, length_min: int) -> list[int]:
    """Starts of the rows that are kept [min]."""
    found = store._parts.state_reader.rollups("em.power", length_min, 0, 1 << 60)
    return [(one.start_utc - START) // MINUTE for one in found]


async def gaps(store: Store) -> list[Gap]:
    return await store.gaps_between(START, FAR_UTC)


@pytest.mark.usefixtures("full")
async def test_only_what_quarter_hours_hold_goes_without_a_gap(tmp_path: Path) -> None:
    store = await filled(tmp_path, hours=12)
    kept_from = 12 * 60 - QUARTERS * 15 - 15
    told: list[tuple[int, int]] = []  # row length and how many gaps, after each removal
    while store._parts.state.make_room():
        left = {length: await starts(store, length) for length in LENGTHS}
        gone = [length for length in LENGTHS if 0 not in left[length]]
        told.append((gone.index(min(gone)), len(await gaps(store))))
        if gone == [60]:
            assert await gaps(store) == [], "hours are made of their quarters"
    assert {length: (await starts(store, length))[0] for length in LENGTHS} == {
        5: kept_from,
        15: kept_from,
        20: kept_from - kept_from % 20 + 20,
        60: kept_from - kept_from % 60 + 60,
    }
    declared = await gaps(store)
    for length in (5, 15, 20):
        spans = [(gap.from_utc, gap.to_utc) for gap in declared if (gap.to_utc - gap.from_utc) % (length * MINUTE)]
        assert all((high - low) > timedelta(0) for low, high in spans)
    per_length = {5: kept_from // 5, 15: kept_from // 15, 20: len(range(0, kept_from, 20))}
    assert sum(gap.count for gap in declared) == sum(per_length.values())
    assert {gap.reason for gap in declared} == {"quota"}
    await store.close()


@pytest.mark.usefixtures("full")
async def test_hours_that_went_are_made_of_their_quarters_again(tmp_path: Path) -> None:
    store = await filled(tmp_path, hours=12)
    before = await store.rollups_of_all(60, START, FAR_UTC, limit=99)
    while await starts(store, 15) == list(range(0, 720, 15)):
        assert store._parts.state.make_room()
        if 0 not in await starts(store, 5):
            break
    assert 0 not in await starts(store, 60)
    after = await store.rollups_of_all(60, START, FAR_UTC, limit=99)
    assert [period for period, _ in after] == [period for period, _ in before], "none is left out, none is told twice"
    quarters = [rollup(Period(START + n * 15 * MINUTE, 15), number=n) for n in range(4)]
    assert after[0][1]["em.power"] == combine(quarters, period=Period(START, 60))
    assert after[-1] == before[-1], "what is stored is given as it is"
    some = await store.rollups_of_all(60, START + 61 * MINUTE, START + 240 * MINUTE, limit=99)
    assert [(period.start_utc - START) // MINUTE for period, _ in some] == [120, 180]
    assert [period.start_utc for period, _ in await store.rollups_of_all(60, START, FAR_UTC, limit=2)] == [
        START,
        START + 60 * MINUTE,
    ]
    while store._parts.state.make_room():
        pass
    gone_utc = START + (await starts(store, 15))[0] * MINUTE
    left = await store.rollups_of_all(60, START, FAR_UTC, limit=99)
    assert [period for period, _ in left] == [period for period, _ in before if period.start_utc >= gone_utc]
    assert left[0][1]["em.power"].clock is ClockQuality.SYNCHRONISED
    await store.close()


async def test_a_length_that_was_never_closed_is_made_of_quarters_but_of_whole_ones_only(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    for number in (1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15, 40):
        period = Period(START + number * 15 * MINUTE, 15)
        await store.close_period(period, [rollup(period, number=number)], [])
    found = await store.rollups_of_all(60, START, FAR_UTC, limit=99)
    assert [(period.start_utc - START) // MINUTE for period, _ in found] == [60, 180]
    assert await store.rollups_of_all(20, START, FAR_UTC, limit=99) == []
    assert await store.rollups_of_all(5, START, FAR_UTC, limit=99) == []
    await store.close()
