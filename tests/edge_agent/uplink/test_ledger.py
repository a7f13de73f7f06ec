"""The ledger: every period that is due is there by name, whatever became of it, and the chain shows any change."""

import json
import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.cli.upload_show import Shown, verify_lines
from edge_agent.rollup import Period, Rollup, microseconds
from edge_agent.settings.model import UplinkFile
from edge_agent.store.reader import read_ledger
from edge_agent.store.rows import Delivery, Fate, OutboxEntry, Proof, Receipt
from edge_agent.store.store import Store
from edge_agent.uplink.archive import Archive
from edge_agent.uplink.corrections import Corrections
from edge_agent.uplink.daily import RECONCILED_A_LOOK_MAX, Daily
from edge_agent.uplink.ledger import NOT_MADE, account, runs
from edge_agent.uplink.record import build_record, encode
from edge_agent.uplink.streams import streams
from edge_agent.uplink.verdict import Verdict, judge

ZONE = ZoneInfo("Asia/Shanghai")
MIDNIGHT = datetime(2026, 1, 14, 16, tzinfo=UTC)
"""15 January begins in Shanghai."""
DAY = date(2026, 1, 15)
HOUR = timedelta(hours=1)
CITY = "city@p:4400"
UPLINKS = UplinkFile.model_validate(
    {
        "uplinks": {
            "city": {"transport": "mohurd_tcp", "servers": ["p:4400"], "period_min": 60, "reconcile": "daily"},
        },
        "points": [{"point": "em.power", "code": "01"}, {"point": "hm.heat", "code": "02"}],
    }
)


def delivery(hour: int, fate: Fate, *, seq: int = 1, gaps: dict[str, tuple[int, ...]] | None = None) -> Delivery:
    return Delivery(
        uplink=CITY,
        epoch="e",
        seq=seq,
        kind="record",
        start_utc=MIDNIGHT + hour * HOUR,
        period_min=60,
        made_utc=MIDNIGHT,
        digest=b"",
        codes=("01", "02"),
        gaps=gaps or {},
        fate=fate,
        sent_count=0 if fate is Fate.STORED else 2,
        backfilled=fate is Fate.ACKNOWLEDGED,
        settled_utc=None,
        reason="schema" if fate is Fate.REFUSED else None,
    )


@given(st.lists(st.sampled_from([None, *Fate]), max_size=30))
def test_every_due_period_is_counted_once_and_named_unless_held(hours: list[Fate | None]) -> None:
    rows = [delivery(hour, fate) for hour, fate in enumerate(hours) if fate is not None]
    found = account(
        reversed(rows), stream=CITY, period_min=60, from_utc=MIDNIGHT, to_utc=MIDNIGHT + len(hours) * HOUR + HOUR / 2
    )
    assert found.expected == len(hours) == sum(found.fates.values())
    named = {entry.period.start_utc: entry.why for entry in [*found.missing, *found.unproven]}
    assert named == {
        MIDNIGHT + hour * HOUR: NOT_MADE if fate is None else str(fate)
        for hour, fate in enumerate(hours)
        if fate not in {Fate.ACKNOWLEDGED, Fate.FETCHED}
    }
    assert sum(count for _, _, count, _, _ in runs(found.missing)) == len(found.missing)


def test_points_are_told_apart_and_gaps_have_causes() -> None:
    rows = [
        delivery(0, Fate.ACKNOWLEDGED),
        delivery(1, Fate.CONSUMED, gaps={"no_answer": (1,)}),
        delivery(2, Fate.STORED, gaps={"no_answer": (1,), "not_read": (0,)}),
        delivery(2, Fate.REFUSED, gaps={"not_running": (0, 1)}),  # made anew after a lost database: further than stored
    ]
    found = account(rows, stream=CITY, period_min=60, from_utc=MIDNIGHT, to_utc=MIDNIGHT + 3 * HOUR)
    first, second = found.points["01"], found.points["02"]
    assert (first.expected, first.good, first.sent, first.acknowledged, first.unacknowledged) == (3, 2, 3, 1, 1)
    assert dict(second.causes) == {"no_answer": 1, "not_running": 1}
    assert found.missing[0].reason == "schema"
    assert found.sent_again == 3


def test_points_with_the_same_gaps_are_told_in_one_line_unless_each_is_asked_for() -> None:
    codes = tuple(f"{number:02d}" for number in range(6))
    gone = replace(
        delivery(0, Fate.ACKNOWLEDGED), codes=codes, gaps={"gap_wrong_clock": (0, 1, 2, 3), "no_answer": (5,)}
    )
    found = account([gone], stream=CITY, period_min=60, from_utc=MIDNIGHT, to_utc=MIDNIGHT + HOUR)
    verdict = Verdict({CITY: found}, {CITY: MIDNIGHT}, {}, None)

    def lines(*, by_point: bool) -> list[str]:
        shown = Shown(zone=ZONE, name="bj", codes=UPLINKS.points, by_point=by_point)
        told = verify_lines(verdict, shown, from_utc=MIDNIGHT, to_utc=MIDNIGHT + HOUR)
        return [en for _, en in told if "/1" in en]

    together, single = lines(by_point=False)
    assert together.startswith("    4 points")
    assert "the clock was wrong" in together
    assert single.startswith("    05 ")
    assert len(lines(by_point=True)) == 6


async def closed(store: Store, hours: range) -> None:
    for hour in hours:
        period = Period(MIDNIGHT + hour * HOUR, 60)
        value = float(hour)
        rollups = {
            name: Rollup(name, period.start_utc, 60, value, value, value, value, value, 1.0, 60)
            for name in ("em.power", "hm.heat")
        }
        record = build_record(rollups, UPLINKS.points, plant="bj", period=period)

        def made(epoch: str, seq: int, record=record, end_utc=period.end_utc) -> bytes:  # noqa: ANN001 - bound here
            return encode(record, epoch=epoch, seq=seq, sent_at_utc=end_utc)

        entry = OutboxEntry(CITY, made, made_utc=period.end_utc, codes=("01", "02"))
        await store.close_period(period, list(rollups.values()), [entry])


def daily_of(store: Store) -> Daily:
    return Daily(
        store,
        Archive(store, UPLINKS, plant="bj"),
        corrections=Corrections(store, UPLINKS, plant="bj", now_utc=lambda: MIDNIGHT + 30 * HOUR),
        streams=tuple(streams(UPLINKS, plant="bj").values()),
        zone=ZONE,
    )


async def sent(store: Store) -> str:
    rows = await store.outbox_due(CITY, 100)
    await store.outbox_mark_sent(CITY, [row.seq for row in rows])
    return rows[0].epoch


async def test_what_the_archive_makes_no_more_does_not_stop_the_reconciling_of_the_rest(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    await closed(store, range(RECONCILED_A_LOOK_MAX + 10))
    rows = await store.outbox_take(CITY, 1000, skip=(), waiting_max=1000)
    receipt = Receipt(rows[0].epoch, len(rows), proof=Proof.CONSUMED)
    await store.outbox_settle(CITY, [receipt], instant_utc=MIDNIGHT)
    await store.close()
    with sqlite3.connect(tmp_path / "state.db") as gone:
        gone.execute(
            "DELETE FROM rollup WHERE start_us IN (SELECT start_us FROM rollup ORDER BY start_us LIMIT ?)",
            (RECONCILED_A_LOOK_MAX,),
        )
    gone.close()
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    daily = daily_of(store)
    for look in range(2):
        await daily.look(MIDNIGHT + (24 * 7 + look) * HOUR)
    waiting = await store.outbox_due(CITY, 1000)
    assert sorted(row.seq for row in waiting) == list(range(RECONCILED_A_LOOK_MAX + 1, len(rows) + 1))
    await store.close()


async def test_a_platform_that_only_reads_is_asked_again_until_it_says_that_it_stores(tmp_path: Path) -> None:
    """Consumed is not held: verify names the periods; the daily round sends the same bytes once more; then it is."""
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    daily = daily_of(store)
    await closed(store, range(24))
    before = {row.seq: row.payload for row in await store.outbox_due(CITY, 100)}
    epoch = await sent(store)
    await store.outbox_settle(CITY, [Receipt(epoch, 24, proof=Proof.CONSUMED)], instant_utc=MIDNIGHT)
    status = await store.outbox_status(CITY)
    assert (status.backlog, status.acknowledged, status.unacknowledged) == (0, 0, 24)

    def verdict():  # noqa: ANN202 - as judge returns it
        with read_ledger(tmp_path) as ledger:
            return judge(
                ledger,
                UPLINKS,
                plant="bj",
                zone=ZONE,
                from_utc=MIDNIGHT,
                to_utc=MIDNIGHT + 24 * HOUR,
                now_utc=MIDNIGHT + 25 * HOUR,
            )

    assert len(verdict().accounts[CITY].unproven) == 24
    assert not verdict().complete
    assert await daily.look(MIDNIGHT + 24 * HOUR) == 0  # the day has ended this minute: not yet
    assert await daily.look(MIDNIGHT + 25 * HOUR) == 1
    assert await daily.look(MIDNIGHT + 26 * HOUR) == 0
    rows = await store.outbox_due(CITY, 100)
    assert {row.seq: row.payload for row in rows} == before
    assert all(row.again and not row.live for row in rows)
    await store.outbox_mark_sent(CITY, [row.seq for row in rows])
    await store.outbox_settle(CITY, [Receipt(epoch, 0, ((1, 24),))], instant_utc=MIDNIGHT + 26 * HOUR)
    assert verdict().complete
    assert await daily.look(MIDNIGHT + 26 * HOUR) == 1  # the day's record is corrected by a new one
    (day,) = await store.completeness(CITY, DAY, DAY)
    assert (day.number, day.record["fates"]) == (2, {"acknowledged": 24})
    assert verdict().days[CITY] == [day]
    await store.close()


async def test_a_query_proves_what_was_only_consumed_and_nothing_else(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    await closed(store, range(4))
    epoch = await sent(store)
    await store.outbox_settle(CITY, [Receipt(epoch, 0, ((1, 2),), proof=Proof.CONSUMED)], instant_utc=MIDNIGHT)
    asked = [Period(MIDNIGHT + hour * HOUR, 60) for hour in range(4)]
    others = [Period(MIDNIGHT + hour * HOUR, 30) for hour in range(4)]
    assert await store.outbox_fetched(CITY, others, instant_utc=MIDNIGHT) == 0  # periods of another length
    assert await store.outbox_fetched(CITY, asked, instant_utc=MIDNIGHT) == 2
    fates = [entry.fate for entry in await store.deliveries(CITY, MIDNIGHT, MIDNIGHT + 9 * HOUR)]
    assert fates == [Fate.FETCHED, Fate.FETCHED, Fate.SENT, Fate.SENT]
    await store.close()


def change(store: Store, hour: int, value: float) -> None:
    """What the archive has of an hour is another value now, as after late samples."""
    period = Period(MIDNIGHT + hour * HOUR, 60)
    rollups = [
        Rollup(name, period.start_utc, 60, value, value, value, value, value, 1.0, 60)
        for name in ("em.power", "hm.heat")
    ]
    parts = store._parts
    parts.state.mark_stale(microseconds(period.start_utc), microseconds(period.end_utc))
    (stale,) = [one for one in parts.state_reader.stale(9) if one.period == period]
    assert parts.state.refresh(stale, rollups)


async def test_what_the_archive_has_otherwise_goes_again_as_a_declared_correction(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    daily = daily_of(store)
    await closed(store, range(24))
    epoch = await sent(store)
    await store.outbox_settle(CITY, [Receipt(epoch, 24)], instant_utc=MIDNIGHT)
    assert await daily.look(MIDNIGHT + 25 * HOUR) == 1
    change(store, 3, 99.0)
    assert await daily.send_again(CITY, MIDNIGHT + 2 * HOUR, MIDNIGHT + 4 * HOUR) == 2
    assert "record corrected" in caplog.text
    same, correction = await store.outbox_due(CITY, 9)
    assert (same.seq, same.again) == (3, True)
    assert (correction.seq, correction.again, correction.live) == (25, False, False)
    message = json.loads(correction.payload)
    assert message["corrects"] == {"epoch": epoch, "seq": 4}
    assert [entry["value"] for entry in message["records"]] == [99.0, 99.0]
    # Until it is taken, the period is not proven; the day that was complete is chained anew.
    status = await store.outbox_status(CITY)
    assert (status.replaced, status.acknowledged, status.due) == (1, 23, 25)
    await daily.look(MIDNIGHT + 26 * HOUR)
    (day,) = await store.completeness(CITY, DAY, DAY)
    assert day.record["fates"] == {"acknowledged": 23, "stored": 1}
    await sent(store)
    await store.outbox_settle(CITY, [Receipt(epoch, 25)], instant_utc=MIDNIGHT)
    # An old receipt, an old refusal: the first record is not brought back.
    await store.outbox_settle(CITY, [Receipt(epoch, 0, ((4, 4),))], instant_utc=MIDNIGHT)
    with read_ledger(tmp_path) as ledger:
        verdict = judge(
            ledger,
            UPLINKS,
            plant="bj",
            zone=ZONE,
            from_utc=MIDNIGHT,
            to_utc=MIDNIGHT + 24 * HOUR,
            now_utc=MIDNIGHT + 25 * HOUR,
        )
    found = verdict.accounts[CITY]
    assert verdict.complete
    assert (found.expected, found.held, [period.start_utc for period in found.corrected]) == (
        24,
        24,
        [MIDNIGHT + 3 * HOUR],
    )
    shown = Shown(zone=ZONE, name="bj", codes=UPLINKS.points, by_point=False)
    lines = [en for _, en in verify_lines(verdict, shown, from_utc=MIDNIGHT, to_utc=MIDNIGHT + 24 * HOUR)]
    assert any("1 corrected" in line for line in lines)
    # Told the same now: nothing more to correct.
    assert await daily.send_again(CITY, MIDNIGHT + 3 * HOUR, MIDNIGHT + 4 * HOUR) == 1
    (row,) = await store.outbox_due(CITY, 9)
    assert (row.seq, row.again, row.payload) == (25, True, correction.payload)
    await store.close()


async def test_a_correction_never_overtakes_the_record_that_it_corrects(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    await closed(store, range(3))
    change(store, 1, 99.0)
    corrections = Corrections(store, UPLINKS, plant="bj", now_utc=lambda: MIDNIGHT + 30 * HOUR)
    ((period, rollups),) = await store.rollups_of_all(60, MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR, limit=1)
    (entry,) = await corrections.of_period(period, list(rollups.values()))
    await store.outbox_correct(period, entry)
    first = await store.outbox_take(CITY, 9, skip=(), waiting_max=9)
    assert [row.seq for row in first] == [3, 1, 2]
    assert await store.outbox_take(CITY, 9, skip=(1, 2, 3), waiting_max=9) == []
    await store.outbox_settle(CITY, [Receipt(first[0].epoch, 3)], instant_utc=MIDNIGHT)
    assert [row.seq for row in await store.outbox_take(CITY, 9, skip=(), waiting_max=9)] == [4]
    fates = [one.fate for one in await store.deliveries(CITY, MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR)]
    assert fates == [Fate.REPLACED, Fate.SENT]
    await store.close()


async def test_where_nothing_was_due_nothing_is_proven(tmp_path: Path) -> None:
    """Neither a stream without any record nor a span before the first one is complete."""

    def verdict(from_utc: datetime) -> Verdict:
        with read_ledger(tmp_path) as ledger:
            return judge(
                ledger,
                UPLINKS,
                plant="bj",
                zone=ZONE,
                from_utc=from_utc,
                to_utc=from_utc + 24 * HOUR,
                now_utc=MIDNIGHT + 25 * HOUR,
            )

    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    found = verdict(MIDNIGHT)
    assert (found.complete, list(found.silent), dict(found.accounts)) == (False, [CITY], {})
    await closed(store, range(24))
    epoch = await sent(store)
    await store.outbox_settle(CITY, [Receipt(epoch, 24)], instant_utc=MIDNIGHT)
    assert verdict(MIDNIGHT).complete
    before = verdict(MIDNIGHT - 240 * HOUR)
    assert (before.complete, before.silent, before.accounts[CITY].expected) == (False, [], 0)
    shown = Shown(zone=ZONE, name="bj", codes=UPLINKS.points, by_point=False)
    lines = [en for _, en in verify_lines(before, shown, from_utc=MIDNIGHT, to_utc=MIDNIGHT + HOUR)]
    assert lines[-1].startswith("verdict: nothing was due")
    await store.close()


async def test_an_old_receipt_does_not_take_what_was_queued_again(tmp_path: Path) -> None:
    """Queued again, refused or retried: only a receipt after the new sending settles a row."""
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    daily = daily_of(store)
    await closed(store, range(9))
    epoch = await sent(store)
    (taken,) = await store.outbox_settle(CITY, [Receipt(epoch, 9, refused=((8, "schema"),))], instant_utc=MIDNIGHT)
    assert sorted(taken) == list(range(1, 10))
    assert (await store.outbox_status(CITY)).refused == 1
    assert await daily.send_again(CITY, MIDNIGHT, MIDNIGHT + 5 * HOUR) == 5
    assert await store.outbox_retry_refused(CITY) == 1
    await store.outbox_settle(CITY, [Receipt(epoch, 9)], instant_utc=MIDNIGHT)
    assert (await store.outbox_status(CITY)).backlog == 6
    before = (await store.outbox_status(CITY)).resent
    await sent(store)
    await store.outbox_settle(CITY, [Receipt(epoch, 9)], instant_utc=MIDNIGHT)
    status = await store.outbox_status(CITY)
    assert (status.backlog, status.acknowledged, status.resent - before) == (0, 9, 6)
    await store.close()


async def test_a_changed_daily_record_breaks_the_chain(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    for day in range(3):
        await store.append_day(CITY, DAY + timedelta(days=day), {"expected": day})
    await store.close()
    with read_ledger(tmp_path) as ledger:
        assert ledger.completeness_broken_at() is None
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute("UPDATE completeness SET record = replace(record, '1', '9') WHERE id = 2")
    connection.commit()
    connection.close()
    with read_ledger(tmp_path) as ledger:
        assert ledger.completeness_broken_at() == 2
