"""state.db: periods closed once, migrations, damage, audit chain, plans and own state."""

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.errors import StoreFault
from edge_agent.rollup import Period, Rollup
from edge_agent.store import audit, database
from edge_agent.store.rows import AuditEntry, OutboxEntry
from edge_agent.store.store import Store

START = datetime(2026, 1, 15, 0, 30, tzinfo=UTC)
PERIOD = Period(START, 15)


async def opened(state_dir: Path) -> Store:
    return await Store.open(state_dir, quota_mb=64, raw_days=90)


def rollup(point: str, period: Period = PERIOD, *, mean: float | None = 10.0) -> Rollup:
    return Rollup(point, period.start_utc, period.length_min, mean, mean, mean, mean, mean, 1.0 if mean else 0.0, 15)


def entry(uplink: str = "owner") -> OutboxEntry:
    return OutboxEntry(uplink, lambda epoch, seq: f"{epoch}/{seq}".encode())


async def test_closing_a_period_twice_changes_nothing(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    assert await store.close_period(PERIOD, [rollup("a.x"), rollup("a.y", mean=None)], [entry(), entry("city")])
    before = await store.outbox_due("owner", 10)
    assert not await store.close_period(PERIOD, [rollup("a.x", mean=99.0)], [entry(), entry("third")])
    assert await store.outbox_due("owner", 10) == before
    assert (await store.outbox_status("third")).due == 0
    assert await store.rollups("a.x", 15, START, PERIOD.end_utc) == [rollup("a.x")]
    assert await store.rollups("a.y", 15, START, PERIOD.end_utc) == [rollup("a.y", mean=None)]
    assert await store.last_period_end_utc(15) == PERIOD.end_utc
    assert await store.last_period_end_utc(30) is None
    assert await store.last_period_ends_utc() == {15: PERIOD.end_utc}
    await store.close()


async def test_a_record_that_cannot_be_made_leaves_the_period_open(tmp_path: Path) -> None:
    store = await opened(tmp_path)

    def broken(epoch: str, seq: int) -> bytes:
        raise ValueError(f"{epoch} {seq}")

    with pytest.raises(ValueError, match=" 1"):
        await store.close_period(PERIOD, [rollup("a.x")], [entry(), OutboxEntry("city", broken)])
    assert await store.last_period_end_utc(15) is None
    assert (await store.outbox_status("owner")).due == 0
    assert await store.close_period(PERIOD, [rollup("a.x")], [entry()])
    assert await store.rollups("a.x", 15, START, PERIOD.end_utc) == [rollup("a.x")]
    await store.close()


async def test_each_uplink_has_its_own_numbers_without_gaps(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    period = PERIOD
    for number in range(4):
        await store.close_period(period, [], [entry(), entry("city")] if number % 2 else [entry()])
        period = period.next()
    rows = await store.outbox_due("owner", 10)
    assert [row.seq for row in rows] == [1, 2, 3, 4]
    assert [row.payload for row in rows] == [f"{row.epoch}/{row.seq}".encode() for row in rows]
    city = await store.outbox_due("city", 10)
    assert [row.seq for row in city] == [1, 2]
    assert city[0].epoch != rows[0].epoch
    assert [row.start_utc for row in city] == [START + timedelta(minutes=15), START + timedelta(minutes=45)]
    await store.close()


async def test_plans_and_own_state_outlive_the_service(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    assert await store.latest_plan() is None
    assert await store.get_state("mode") is None
    await store.put_plan(START, '{"n": 1}')
    await store.put_plan(START, '{"n": 2}')
    await store.put_state("mode", '"monitor"')
    await store.put_state("mode", '"auto"')
    await store.close()
    store = await opened(tmp_path)
    assert await store.latest_plan() == (START, '{"n": 2}')
    assert await store.get_state("mode") == '"auto"'
    await store.close()


def command(number: int) -> AuditEntry:
    return AuditEntry(
        START + timedelta(seconds=number),
        "plan",
        "充电",
        "hp1.run_request",
        0.0,
        1.0,
        None,
        "unverified",
        "no answer",
        2.5,
    )


async def test_the_audit_is_a_chain_that_shows_any_change(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for number in range(5):
        await store.audit(command(number))
    assert await store.audit_entries(2) == [command(4), command(3)]
    assert await store.audit_broken_at() is None
    await store.close()
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute("""UPDATE audit SET entry = replace(entry, '"actor":"plan"', '"actor":"liu"') WHERE id = 3""")
    connection.commit()
    connection.close()
    store = await opened(tmp_path)
    assert await store.audit_broken_at() == 3
    await store.close()


async def test_commands_without_an_end_are_found(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for number, stages in enumerate(
        (["refused"], ["issued"], ["issued", "verified"], ["issued", "verified", "effected"])
    ):
        await store.audit(*(replace(command(0), number=number, outcome=stage) for stage in stages))
    await store.audit(replace(command(0), outcome="changed"))
    waiting = await store.audit_unfinished()
    assert {number: entry.outcome for number, entry in waiting.items()} == {1: "issued", 2: "verified"}
    assert audit.last_number(await store.audit_entries(100)) == 3
    await store.close()


async def test_a_removed_audit_entry_shows(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for number in range(4):
        await store.audit(command(number))
    await store.close()
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute("DELETE FROM audit WHERE id = 2")
    connection.commit()
    connection.close()
    store = await opened(tmp_path)
    assert await store.audit_broken_at() == 3
    await store.close()


@pytest.mark.parametrize("rot", [b"\xff", b"}", b'"', b"x"])
async def test_rot_in_one_entry_or_value_hides_no_other_and_ends_nothing(tmp_path: Path, rot: bytes) -> None:
    """Bits that flip within a text leave the database sound for SQLite: the service must not fail at its next start."""
    store = await opened(tmp_path)
    for number in range(4):
        await store.audit(replace(command(number), number=number, outcome="issued"))
    await store.put_state("mode", '"auto"')
    await store.close()
    connection = sqlite3.connect(tmp_path / "state.db")
    (text,) = connection.execute("SELECT CAST(entry AS BLOB) FROM audit WHERE id = 2").fetchone()
    at = text.index(b"outcome") + 1
    rotten = text[:at] + rot + text[at + 1 :]
    connection.execute("UPDATE audit SET entry = CAST(? AS TEXT) WHERE id = 2", (rotten,))
    connection.execute("UPDATE state SET value = CAST(x'22ff22' AS TEXT) WHERE key = 'mode'")
    connection.commit()
    connection.close()
    store = await opened(tmp_path)
    assert [entry.number for entry in await store.audit_entries(9)] == [3, 2, 0]
    assert await store.audit_broken_at() == 2
    assert sorted(await store.audit_unfinished()) == [0, 2, 3]
    assert await store.get_state("mode") is None
    await store.audit(command(4))
    assert await store.audit_broken_at() == 2
    await store.close()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in range(4096, len(content), 4096):
        content[at : at + 64] = bytes(64)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["flip", "header", "cut"])
async def test_a_damaged_state_is_set_aside_and_no_number_is_used_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    store = await opened(tmp_path)
    await store.close_period(PERIOD, [rollup("a.x")], [entry()])
    (old,) = await store.outbox_due("owner", 10)
    await store.close()
    path = tmp_path / "state.db"
    if damage == "flip":
        flip(path)
    elif damage == "header":
        path.write_bytes(b"not a database, " * 256 + path.read_bytes()[4096:])
    else:
        path.write_bytes(path.read_bytes()[: 4096 * 3])
    store = await opened(tmp_path)
    assert "set aside" in caplog.text
    assert (tmp_path / "state.db.damaged-1").exists()
    assert await store.close_period(Period(START + timedelta(days=1), 15), [rollup("a.x")], [entry()])
    *kept, new = [row for row in await store.outbox_due("owner", 10) if row.kind == "record"]
    assert kept in ([], [old]), "as it was, or declared as missing"
    assert (new.epoch, new.seq > old.seq) == (old.epoch, True)
    assert kept or [gap.reason for gap in await store.gaps_between(START - timedelta(days=30_000), START)] == [
        "damaged"
    ]
    await store.close()


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "state.db").touch()
    store = await opened(tmp_path)
    assert await store.close_period(PERIOD, [], [entry()])
    await store.close()


async def test_a_file_of_a_newer_release_is_not_touched(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreFault, match="newer release"):
        await opened(tmp_path)
    assert not (tmp_path / "state.db.damaged-1").exists()


def versions(path: Path) -> tuple[int, list[str]]:
    connection = sqlite3.connect(path)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    names = [
        name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    ]
    connection.close()
    return version, names


def test_migration_goes_step_by_step_and_each_step_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    first = "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7);"
    database.open_write(path, [first], bytes_max=10**7).close()
    assert versions(path) == (1, ["a"])
    broken = "CREATE TABLE b (x INTEGER); INSERT INTO nowhere VALUES (1);"
    with pytest.raises(sqlite3.OperationalError):
        database.open_write(path, [first, broken], bytes_max=10**7)
    assert versions(path) == (1, ["a"])
    second = "CREATE TABLE b AS SELECT x + 1 AS x FROM a;"
    connection = database.open_write(path, [first, second, "DROP TABLE a;"], bytes_max=10**7)
    assert connection.execute("SELECT x FROM b").fetchall() == [(8,)]
    connection.close()
    assert versions(path) == (3, ["b"])


@pytest.mark.parametrize("kind", ["schema", "frames"])
def test_every_shipped_schema_opens_and_is_marked(tmp_path: Path, kind: str) -> None:
    steps = database.scripts(kind)
    connection = database.open_write(tmp_path / "x.db", steps, bytes_max=10**7)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(steps),)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


async def test_a_folder_without_leave_to_write_is_said(tmp_path: Path) -> None:
    (tmp_path / "frames").write_text("a file where the folder should be")
    with pytest.raises(StoreFault):
        await opened(tmp_path)
