"""Files of every older schema are brought to the newest with all that they hold; landed scripts never change."""

import hashlib
import json
import sqlite3
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drivers.sample import good
from edge_agent.rollup import Period, microseconds
from edge_agent.store import audit, database, frame_codec, frames, rollup_codec
from edge_agent.store.reader import read_samples
from edge_agent.store.rows import AuditEntry, OutboxEntry
from edge_agent.store.store import Store

START = datetime(2026, 1, 15, 0, 30, tzinfo=UTC)
EPOCH = "00112233aabbccdd"
LANDED = {
    "schema": ["7ead8764", "40767028", "667efd43", "dc94daa1"],
    "frames": ["dc15c62c", "27e1d3b9", "ff0ba208"],
}
"""First eight digits of the SHA-256 of each script, oldest first: plants have files that were made by them."""


@pytest.mark.parametrize("kind", LANDED)
def test_a_script_that_has_landed_never_changes(kind: str) -> None:
    found = [hashlib.sha256(script.encode()).hexdigest()[:8] for script in database.scripts(kind)]
    assert found[: len(LANDED[kind])] == LANDED[kind], "make a new script instead"
    assert len(found) == len(LANDED[kind]), "note the new script here, and give its tables rows below"


def old_file(path: Path, kind: str, version: int) -> sqlite3.Connection:
    """A file as the release with so many scripts made it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    for script in database.scripts(kind)[:version]:
        connection.executescript(script)
    connection.execute(f"PRAGMA user_version = {version}")
    return connection


def fill_state(connection: sqlite3.Connection, version: int) -> None:
    """Something in each table of version 1, and in what later versions have added for delivery."""
    start_us = microseconds(START)
    connection.execute("INSERT INTO point VALUES (1, 'a.x')")
    layout, blob = rollup_codec.encode([], ids={})
    connection.execute(
        "INSERT INTO rollup (period_min, start_us, layout, columns) VALUES (15, ?, ?, ?)", (start_us, layout, blob)
    )
    connection.execute("INSERT INTO stream (uplink, epoch, seq_last, seq_sent_max) VALUES ('owner', ?, 2, 1)", (EPOCH,))
    for seq in (1, 2):
        connection.execute(
            "INSERT INTO outbox (uplink, seq, start_us, period_min, payload, sent_count)"
            " VALUES ('owner', ?, ?, 15, ?, ?)",
            (seq, start_us + (seq - 1) * 900_000_000, b'{"seq":%d}' % seq, seq == 1),
        )
        if version > 1:
            connection.execute(
                "INSERT INTO delivery (uplink, epoch, seq, kind, start_us, period_min, made_us, digest, state)"
                " VALUES ('owner', ?, ?, 'record', ?, 15, 0, x'', ?)",
                (EPOCH, seq, start_us, "sent" if seq == 1 else "stored"),
            )
    audit.append(connection, AuditEntry(START, "liu", "c", "p", None, "auto", None, "changed", "r", None))
    connection.execute("INSERT INTO plan (made_us, plan) VALUES (?, '{}')", (start_us,))
    connection.execute("INSERT INTO state VALUES ('mode', '\"auto\"')")


@pytest.mark.parametrize("version", range(1, len(LANDED["schema"]) + 1))
async def test_state_of_every_release_goes_on(tmp_path: Path, version: int) -> None:
    connection = old_file(tmp_path / "state.db", "schema", version)
    fill_state(connection, version)
    connection.close()
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    rows = await store.outbox_due("owner", 10)
    assert [(row.epoch, row.seq, row.payload, row.sent_count) for row in rows] == [
        (EPOCH, 1, b'{"seq":1}', 1),
        (EPOCH, 2, b'{"seq":2}', 0),
    ]
    assert await store.last_period_end_utc(15) == START + timedelta(minutes=15)
    assert await store.get_state("mode") == '"auto"'
    assert await store.latest_plan() == (START, "{}")
    assert await store.audit_broken_at() is None
    assert [entry.actor for entry in await store.audit_entries(5)] == ["liu"]
    status = await store.outbox_status("owner")
    assert (status.due, status.acknowledged, status.backlog) == (2, 0, 2)
    await store.close_period(
        Period(START + timedelta(hours=1), 15), [], [OutboxEntry("owner", lambda epoch, seq: f"{epoch}{seq}".encode())]
    )
    assert [row.seq for row in await store.outbox_due("owner", 10)] == [1, 2, 3]
    await store.close()


@pytest.mark.parametrize("version", range(1, len(LANDED["frames"]) + 1))
@pytest.mark.parametrize("written", [False, True])
async def test_days_of_every_release_are_read_and_go_on(tmp_path: Path, version: int, *, written: bool) -> None:
    (tmp_path / "frames").mkdir()
    path = frames.day_path(tmp_path / "frames", START.date())
    connection = old_file(path, "frames", version)
    connection.execute("INSERT INTO point (id, name, unit) VALUES (4, 'a.x', 'kW')")
    connection.execute("INSERT INTO word VALUES (2, '')")
    at_us = microseconds(START)
    blob = frame_codec.encode(frame_codec.Columns((4,), (at_us,), (1.5,), (192,), (2,), (0.0,)))
    connection.execute(
        "INSERT INTO frame (seq, instant_us, elapsed_us, boot, sample_min_us, sample_max_us, layout, crc, blob)"
        " VALUES (7, ?, 5, 'b', ?, ?, 1, ?, ?)",
        (at_us, at_us, at_us, zlib.crc32(blob), blob),
    )
    connection.close()
    expected = [(7, good("a.x", START, 1.5, "kW"))]
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    if written:  # the service goes on in the same day, and packs it later
        later_utc = START + timedelta(minutes=1)
        expected.append((1_000_008, good("a.x", later_utc, 2.5, "kW")))
        for instant_utc, value in ((later_utc, 2.5), (START + timedelta(days=2), 3.5)):
            await store.append_frame([good("a.x", instant_utc, value, "kW")], instant_utc=instant_utc, elapsed_s=0.0)
        while await store.tend_once():
            pass
    found = list(read_samples(tmp_path, START, START + timedelta(days=1)))
    assert [(stored.frame, stored.sample) for stored in found] == expected
    (minute, *_) = await store.rollups_between(60, START, START + timedelta(minutes=2))
    assert (minute.mean, minute.count) == (1.5, 1)
    await store.close()


def fill_one(connection: sqlite3.Connection, version: int, seq: int, payload: bytes) -> None:
    """One more undelivered record, in a transaction of its own."""
    start_us = microseconds(START) + seq * 900_000_000
    connection.execute("BEGIN")
    connection.execute(
        "INSERT INTO outbox (uplink, seq, start_us, period_min, payload) VALUES ('owner', ?, ?, 15, ?)",
        (seq, start_us, payload),
    )
    if version > 1:
        connection.execute(
            "INSERT INTO delivery (uplink, epoch, seq, kind, start_us, period_min, made_us, digest, state)"
            " VALUES ('owner', ?, ?, 'record', ?, 15, 0, x'', 'stored')",
            (EPOCH, seq, start_us),
        )
    connection.execute("UPDATE stream SET seq_last = ?", (seq,))
    connection.execute("COMMIT")


@pytest.mark.parametrize("version", range(1, len(LANDED["schema"]) + 1))
async def test_a_state_at_its_quota_is_migrated_and_goes_on(tmp_path: Path, version: int) -> None:
    """Older releases let the file grow to its limit; a service that does not start heats no house."""
    path = tmp_path / "state.db"
    quota_mb = 2
    connection = old_file(path, "schema", version)
    connection.execute(f"PRAGMA max_page_count = {quota_mb * 500_000 // database.PAGE_BYTES}")
    fill_state(connection, version)
    payload = b"{" + bytes(range(32, 127)) * 8
    due = 2

    def fill_up() -> None:
        nonlocal due
        while True:
            fill_one(connection, version, due + 1, payload)
            due += 1

    with pytest.raises(sqlite3.OperationalError, match="full"):
        fill_up()
    connection.close()
    assert due > 800
    store = await Store.open(tmp_path, quota_mb=quota_mb, raw_days=90)
    assert await store.audit_broken_at() is None
    assert await store.get_state("mode") == '"auto"'
    for number in range(40):  # the service goes on: room is made, and what went is declared
        period = Period(START + timedelta(days=30, minutes=15 * number), 15)
        assert await store.close_period(period, [], [OutboxEntry("owner", lambda epoch, seq: f"{epoch}{seq}".encode())])
        await store.put_state(f"key{number}", '"' + "x" * 4000 + '"')
        await store.tend_once()
    rows = await store.outbox_due("owner", 10_000, waiting_max=10_000)
    records = [row for row in rows if row.kind == "record"]
    assert {row.payload for row in records} >= {payload}
    status = await store.outbox_status("owner")
    declared = [json.loads(row.payload) for row in rows if row.kind == "gap"]
    assert len(records) + status.evicted == due + 40, "there, or dropped and counted"
    rollups = await store.gaps_between(START, START + timedelta(days=400))
    assert status.evicted > 0
    assert sum(gap["count"] for gap in declared) == status.evicted + sum(gap.count for gap in rollups)
    assert (await store.usage()).full_ratio < 1.0
    await store.close()
