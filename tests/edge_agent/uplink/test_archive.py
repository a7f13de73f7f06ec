"""Records of any span come from the rollups, byte for byte as they were first made, whatever the outbox holds."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drivers.sample import Cause, Quality, Sample, good
from edge_agent.rollup import Period
from edge_agent.settings.model import UplinkFile
from edge_agent.store.rows import Receipt
from edge_agent.store.store import Store
from edge_agent.uplink import archive as archive_module
from edge_agent.uplink.archive import Archive
from edge_agent.uplink.gap_causes import NOT_READ, NOT_RUNNING, TOO_FEW, gap_causes
from edge_agent.uplink.periods import PeriodCloser
from edge_agent.uplink.record import decode, encode
from edge_agent.uplink.streams import streams

START = datetime(2026, 1, 15, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PORTION = 10
UPLINKS = UplinkFile.model_validate(
    {
        "uplinks": {
            "owner": {"transport": "mqtt_json", "broker": "mqtt://127.0.0.1", "period_min": 1},
            "city": {"transport": "mohurd_tcp", "servers": ["a:1", "b:2"], "period_min": 1},
        },
        "points": [{"point": "em.power", "code": "01"}, {"point": "hm.heat", "code": "02", "aggregate": "last"}],
    }
)


async def test_what_was_delivered_long_ago_is_made_again_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "PORTION_PERIODS_MAX", PORTION)
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    closer = PeriodCloser(store, UPLINKS, plant="bj", period_s=lambda _: 30.0, period_s_max=30.0, grace_s=1.0)
    count = PORTION + 5
    for step in range(2 * count + 1):
        instant_utc = START + step * MINUTE / 2
        await store.append_frame([good("em.power", instant_utc, step / 7, "kW")], instant_utc=instant_utc, elapsed_s=0)
        await closer.close_due(instant_utc)
    while await closer.close_due(START + (count + 1) * MINUTE):
        pass
    rows = await store.outbox_due("owner", 10_000)
    assert len(rows) >= count
    await store.outbox_mark_sent("owner", [row.seq for row in rows])
    await store.outbox_settle("owner", [Receipt(rows[0].epoch, rows[-1].seq)], instant_utc=START)
    assert await store.outbox_due("owner", 1) == []

    archive = Archive(store, UPLINKS, plant="bj")
    portions = [portion async for portion in archive.records("owner", None, None)]
    assert len(portions[0]) == PORTION
    records = [record for portion in portions for record in portion]
    assert records == [decode(row.payload, period_min=1) for row in rows]
    for record, row in zip(records, rows, strict=True):
        made_utc = datetime.fromisoformat(row.payload.split(b'"sent_at":"')[1].split(b'"')[0].decode())
        assert encode(record, epoch=row.epoch, seq=row.seq, sent_at_utc=made_utc) == row.payload
    some = [r async for p in archive.records("city@a:1", START + 3 * MINUTE, START + 5 * MINUTE) for r in p]
    assert [record.period for record in some] == [Period(START + n * MINUTE, 1) for n in (3, 4)]
    await store.close()


def test_each_server_of_an_uplink_is_a_stream_of_its_own() -> None:
    found = streams(UPLINKS, plant="bj")
    assert [(name, stream.server) for name, stream in found.items()] == [
        ("owner", None),
        ("city@a:1", "a:1"),
        ("city@b:2", "b:2"),
    ]


def test_a_missing_value_has_a_cause() -> None:
    samples = [
        Sample("a.x", START, None, "kW", Quality.BAD, Cause.NO_ANSWER),
        Sample("a.x", START, None, "kW", Quality.BAD, Cause.NO_ANSWER),
        Sample("a.x", START, None, "kW", Quality.BAD, Cause.CANNOT_DECODE),
        good("b.y", START, 1.0, "kW"),
    ]
    causes = gap_causes(samples, points={"a.x", "b.y", "c.z"}, running=True)
    assert causes == {"a.x": "no_answer", "b.y": TOO_FEW, "c.z": NOT_READ}
    assert gap_causes([], points={"a.x"}, running=False) == {"a.x": NOT_RUNNING}
