"""What comes late makes stored rollups truer, never poorer; and marking them costs one look along the key."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drivers.sample import good
from edge_agent.clock_quality import ClockQuality
from edge_agent.rollup import Period, Rollup, microseconds
from edge_agent.store import database, frames, rollup_table
from edge_agent.store.facts import Keep, PointFacts
from edge_agent.store.rows import Gap
from edge_agent.store.state import KIND
from edge_agent.store.store import Store

START = datetime(2026, 1, 15, 8, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
QUARTER = Period(START, 15)
POINTS = {"em.energy_total": PointFacts(60.0, Keep.TOTAL), "hp1.detail": PointFacts(60.0)}


async def opened(state_dir: Path) -> Store:
    store = await Store.open(state_dir, quota_mb=64, raw_days=90)
    store.expect(POINTS)
    return store


async def told(
    store: Store,
    instant_utc: datetime,
    value: float,
    *,
    clock: ClockQuality | None = None,
    points: tuple[str, ...] = (),
) -> None:
    samples = [good(point, instant_utc, value, "kWh") for point in points or POINTS]
    await store.append_frame(samples, instant_utc=instant_utc, elapsed_s=0.0, clock=clock)


async def a_closed_quarter(store: Store) -> dict[str, Rollup]:
    for minute in range(15):
        await told(store, START + minute * MINUTE, 1000.0 + minute)
    rollups = await store.rollups_between(900, START, START + MINUTE)
    await store.close_period(QUARTER, rollups, [])
    return {rollup.point: rollup for rollup in rollups}


async def kept(store: Store) -> dict[str, Rollup]:
    await told(store, START + 10 * DAY, 0.0)  # the quarter is over
    while await store.tend_once():
        pass
    ((_, rollups),) = await store.rollups_of_all(15, START, START + MINUTE, limit=1)
    return rollups


async def test_a_good_rollup_outlives_its_frames_whatever_comes_late(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    good_ones = await a_closed_quarter(store)
    await told(store, START + 9 * DAY, 5000.0)
    database.unlink(frames.day_path(tmp_path / "frames", START.date()))  # too old for raw frames
    await told(store, START + 3 * MINUTE, 9000.0)  # the clock is set back by nine days, for one frame
    assert await kept(store) == good_ones
    assert store._parts.state_reader.stale(9) == [], "and nobody tries again"
    await store.close()


async def test_what_is_left_after_an_eviction_is_made_anew_and_what_went_stays(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    before = await a_closed_quarter(store)
    connection = sqlite3.connect(frames.day_path(tmp_path / "frames", START.date()))
    rows = connection.execute("SELECT count(*) FROM frame").fetchone()
    assert rows == (15,)
    await store.put_gap(Gap(("hp1.detail",), START, START + 15 * MINUTE, 15, "quota"))
    await told(store, START + 4.5 * MINUTE, 1004.5, points=("em.energy_total",))  # late, beside fifteen frames
    connection.execute("DELETE FROM point WHERE name = 'hp1.detail'")  # as if its class were gone
    connection.execute("DELETE FROM names")
    connection.commit()
    connection.close()
    after = await kept(store)
    assert after["em.energy_total"].count == 16
    assert after["hp1.detail"] == before["hp1.detail"]
    await store.close()


async def test_a_better_clock_wins_and_of_two_as_good_the_later(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for minute in range(15):
        await told(store, START + minute * MINUTE, 1.0, clock=ClockQuality.SYNCHRONISED)
    (one, _) = await store.rollups_between(900, START, START + MINUTE)
    await store.close_period(QUARTER, [one], [])
    for minute in range(3, 6):
        await told(store, START + minute * MINUTE, 5002.0, clock=ClockQuality.UNSYNCHRONISED)
    assert (await kept(store))["em.energy_total"] == one, "nobody vouches for the later telling"
    for minute in range(15):
        await told(store, START + minute * MINUTE, 2.0, clock=ClockQuality.SYNCHRONISED)
    assert (await kept(store))["em.energy_total"].maximum == 2.0
    await store.close()


def test_marking_looks_along_the_key_only(tmp_path: Path) -> None:
    """Years of rollups are not read for a late frame: the plan names the key, and the time hardly grows."""
    connection = database.open_write(tmp_path / "state.db", database.scripts(KIND), bytes_max=1 << 30)
    blob = bytes(2000)

    def fill(first: int, count: int) -> None:
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO rollup (period_min, start_us, layout, columns) VALUES (15, ?, 1, ?)",
            ((number * 900_000_000, blob) for number in range(first, first + count)),
        )
        connection.execute("COMMIT")

    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    fill(0, 500)
    seen.clear()
    at_us = microseconds(START)
    for look in (
        lambda: rollup_table.mark_stale(connection, at_us, at_us + 1),
        lambda: rollup_table.last_ends_us(connection),
        lambda: rollup_table.first_start_us(connection, 15),
    ):
        look()
    connection.set_trace_callback(None)
    assert len(seen) >= 4
    for statement in seen:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert all(step.startswith("SEARCH rollup USING PRIMARY KEY") for step in plan), (statement, plan)
    assert rollup_table.last_ends_us(connection) == {15: 500 * 900_000_000}
    assert rollup_table.mark_stale(connection, 900_000_000, 2 * 900_000_000) == 1
    connection.close()
