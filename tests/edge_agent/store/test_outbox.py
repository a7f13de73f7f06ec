"""The outbox: nothing leaves without an acknowledgement, whatever the platform says and wherever the service dies."""

import json
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_agent.rollup import Period
from edge_agent.store import outbox
from edge_agent.store.rows import OutboxEntry, OutboxRow, Receipt
from edge_agent.store.state import StateReader, StateWriter

START = datetime(2026, 1, 15, tzinfo=UTC)
UPLINK = "owner"


class Outbox(RuleBasedStateMachine):
    """Periods close, rows are sent, acknowledgements get lost, lie or come late, and the service is killed at will."""

    @initialize()
    def born(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "state.db"
        self.abandoned: list[StateWriter] = []
        self.period = Period(START, 15)
        self.writer = StateWriter(self.path, bytes_max=10**8)
        self.created: dict[int, bytes] = {}
        self.sent: list[int] = []
        self.platform: set[int] = set()
        self.confirmed: set[int] = set()
        self.epoch = ""

    def rows(self, limit: int = 1000, *, live_first: bool = False) -> list[OutboxRow]:
        reader = StateReader(self.path)
        try:
            return reader.outbox_due(UPLINK, limit=limit, skip=frozenset(), live_first=live_first)
        finally:
            reader.close()

    @rule()
    def a_period_ends(self) -> None:
        def encode(epoch: str, seq: int) -> bytes:
            assert self.epoch in ("", epoch)
            self.epoch = epoch
            self.created[seq] = f"{epoch} {seq} {self.period.start_utc}".encode()
            return self.created[seq]

        entries = [OutboxEntry(UPLINK, encode)]
        assert self.writer.close_period(self.period, [], entries)
        assert not self.writer.close_period(self.period, [], entries)
        self.period = self.period.next()

    @rule(limit=st.integers(1, 5), live_first=st.booleans(), arrives=st.booleans(), killed=st.booleans())
    def sends(self, limit: int, *, live_first: bool, arrives: bool, killed: bool) -> None:
        rows = self.rows(limit, live_first=live_first)
        seqs = [row.seq for row in rows]
        assert self.writer.mark_sent(UPLINK, seqs) == seqs
        if killed:
            self.is_killed()
            return
        for row in rows:
            self.sent.append(row.seq)
            if arrives:
                self.platform.add(row.seq)

    @rule(lost=st.booleans())
    def is_acknowledged(self, *, lost: bool) -> None:
        hwm = 0
        while hwm + 1 in self.platform:
            hwm += 1
        ranges = [(seq, seq) for seq in sorted(self.platform) if seq > hwm]
        if not lost and self.epoch:
            self.writer.settle(UPLINK, [Receipt(self.epoch, hwm, tuple(ranges))], instant_us=0)
            self.confirmed = set(self.platform)

    @rule(hwm=st.integers(-3, 200), foreign=st.booleans())
    def hears_a_lie(self, hwm: int, *, foreign: bool) -> None:
        """A foreign epoch, or a number above everything ever sent: ignored as a whole."""
        if not foreign and hwm <= max(self.sent_max(), 0):
            hwm = self.sent_max() + 1 + abs(hwm)
        epoch = "foreign" if foreign else self.epoch or "foreign"
        assert self.writer.settle(UPLINK, [Receipt(epoch, hwm)], instant_us=0) == [[]]

    def sent_max(self) -> int:
        row = self.writer._connection.execute("SELECT max(seq_sent_max) FROM stream").fetchone()
        return int(row[0] or 0)

    @rule()
    def is_killed(self) -> None:
        """Nobody closes anything; the next start finds the files as they are."""
        self.abandoned.append(self.writer)
        self.writer = StateWriter(self.path, bytes_max=10**8)

    @precondition(lambda self: self.created)
    @rule()
    def goes_on_until_all_is_delivered(self) -> None:
        for _ in range(len(self.created) + 1):
            rows = self.rows(3)
            if not rows:
                break
            self.writer.mark_sent(UPLINK, [row.seq for row in rows])
            self.sent += [row.seq for row in rows]
            self.platform |= {row.seq for row in rows}
            self.is_acknowledged(lost=False)
        assert self.platform >= set(self.created)

    @invariant()
    def nothing_unconfirmed_is_gone(self) -> None:
        rows = self.rows()
        assert [row.seq for row in rows] == [seq for seq in sorted(self.created) if seq not in self.confirmed]
        assert all(row.payload == self.created[row.seq] for row in rows)
        assert sorted(self.created) == list(range(1, len(self.created) + 1))

    @invariant()
    def the_status_adds_up(self) -> None:
        reader = StateReader(self.path)
        status = reader.outbox_status(UPLINK)
        reader.close()
        assert status.due == len(self.created)
        assert status.acknowledged == len(self.confirmed)
        assert status.backlog == status.due - status.acknowledged

    def teardown(self) -> None:
        for writer in [*self.abandoned, self.writer]:
            writer.close()
        self.folder.cleanup()


Outbox.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
test_outbox_under_any_crash = Outbox.TestCase


def filled(path: Path, count: int) -> StateWriter:
    writer = StateWriter(path, bytes_max=10**8)
    period = Period(START, 15)
    for _ in range(count):
        writer.close_period(period, [], [OutboxEntry(UPLINK, lambda epoch, seq: f"{epoch}{seq}".encode())])
        period = period.next()
    return writer


def test_live_goes_before_the_backlog_but_only_once(tmp_path: Path) -> None:
    writer = filled(tmp_path / "state.db", 6)
    reader = StateReader(tmp_path / "state.db")

    def due(limit: int, *skip: int) -> list[int]:
        rows = reader.outbox_due(UPLINK, limit=limit, skip=frozenset(skip), live_first=True)
        return [row.seq for row in rows]

    assert due(3) == [6, 1, 2]
    assert due(3, 6) == [1, 2, 3]
    assert due(0) == []
    writer.mark_sent(UPLINK, [6])
    assert due(10) == [1, 2, 3, 4, 5, 6]
    reader.close()
    writer.close()


def test_what_is_behind_the_newest_never_becomes_live_whatever_became_of_the_newest(tmp_path: Path) -> None:
    writer = filled(tmp_path / "state.db", 4)
    rows = writer.take(UPLINK, limit=1, skip=(), live_first=True, waiting_max=9)
    assert [(row.seq, row.live) for row in rows] == [(4, True)]
    writer.settle(UPLINK, [Receipt(rows[0].epoch, ranges=((4, 4),))], instant_us=0)
    rows = writer.take(UPLINK, limit=9, skip=(), live_first=True, waiting_max=9)
    assert [(row.seq, row.live) for row in rows] == [(1, False), (2, False), (3, False)]
    writer.close()


def test_a_row_whose_bytes_are_damaged_is_declared_and_stops_no_other(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    writer = filled(path, 4)
    with closing(sqlite3.connect(path)) as other:
        (payload,) = other.execute("SELECT payload FROM outbox WHERE seq = 2").fetchone()
        other.execute("UPDATE outbox SET payload = ? WHERE seq = 2", (payload[:-3] + bytes(3),))
        other.commit()
    rows = writer.take(UPLINK, limit=9, skip=(), live_first=True, waiting_max=9)
    assert [row.seq for row in rows] == [4, 1, 3]
    (gap,) = writer.take(UPLINK, limit=9, skip=(1, 3, 4), live_first=True, waiting_max=9)
    assert (gap.kind, json.loads(gap.payload)["reason"], json.loads(gap.payload)["count"]) == ("gap", "damaged", 1)
    reader = StateReader(path)
    assert reader.outbox_status(UPLINK).evicted == 1
    reader.close()
    writer.close()


def test_a_receipt_does_not_look_at_every_row_that_waits(tmp_path: Path) -> None:
    """Counted in steps of the database's machine, which no load of this machine changes."""
    steps = []
    for count in (50, 1000):
        path = tmp_path / f"{count}.db"
        writer = filled(path, count)
        rows = writer.take(UPLINK, limit=3, skip=(), live_first=False, waiting_max=3)
        writer.close()
        ticks = []
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.set_progress_handler(lambda ticks=ticks: ticks.append(1), 100)  # type: ignore[misc] # 0 goes on
            gone = outbox.settle(connection, UPLINK, Receipt(rows[0].epoch, 1, ((3, 3),)), instant_us=0)
        assert gone == [1, 3]
        steps.append(len(ticks))
    assert steps[1] < 2 * steps[0] + 10


def test_an_acknowledgement_removes_only_what_was_sent(tmp_path: Path) -> None:
    writer = filled(tmp_path / "state.db", 6)
    reader = StateReader(tmp_path / "state.db")
    writer.mark_sent(UPLINK, [6, 1])
    epoch = reader.outbox_due(UPLINK, limit=1, skip=frozenset(), live_first=False)[0].epoch
    # The platform claims everything up to 6, which is not above the highest sent; 2 to 5 never left.
    assert writer.settle(UPLINK, [Receipt(epoch, 6)], instant_us=5) == [[1, 6]]
    rows = reader.outbox_due(UPLINK, limit=9, skip=frozenset(), live_first=False)
    assert [row.seq for row in rows] == [2, 3, 4, 5]
    assert writer.settle(UPLINK, [Receipt(epoch, 0, ((5, 3),))], instant_us=5) == [[]]
    assert writer.mark_sent(UPLINK, [1, 2]) == [2]
    assert reader.outbox_status(UPLINK).resent == 0
    assert writer.mark_sent(UPLINK, [2]) == [2]
    assert reader.outbox_status(UPLINK).resent == 1
    reader.close()
    writer.close()


def test_a_refused_row_is_kept_and_does_not_block(tmp_path: Path) -> None:
    writer = filled(tmp_path / "state.db", 3)
    reader = StateReader(tmp_path / "state.db")
    epoch = reader.outbox_due(UPLINK, limit=1, skip=frozenset(), live_first=False)[0].epoch
    assert writer.settle(UPLINK, [Receipt(epoch, refused=((1, "never sent"),))], instant_us=0) == [[]]
    writer.mark_sent(UPLINK, [1])
    assert writer.settle(UPLINK, [Receipt("foreign", refused=((1, "schema"),))], instant_us=0) == [[]]
    assert writer.settle(UPLINK, [Receipt(epoch, refused=((1, "schema"),))], instant_us=0) == [[1]]
    rows = reader.outbox_due(UPLINK, limit=9, skip=frozenset(), live_first=False)
    assert [row.seq for row in rows] == [2, 3]
    status = reader.outbox_status(UPLINK)
    assert (status.backlog, status.refused, status.acknowledged) == (3, 1, 0)
    reader.close()
    writer.close()
