"""Alarms: what is wrong with delivery itself, and those of the plant that travel ahead of all records."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.rollup import Period
from edge_agent.store.rows import OutboxEntry, OutboxStatus
from edge_agent.store.store import Store
from edge_agent.texts.catalogue import text
from edge_agent.uplink.alarm_feed import AlarmFeed
from edge_agent.uplink.alarms import uplink_alarms
from edge_agent.uplink.transports.mqtt_json import document

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PUMP = {
    "code": "uplink_backlog",
    "device": "p1",
    "since": "2026-01-15T11:00:00Z",
    "values": {"uplink": "x", "backlog": 3},
}


@pytest.mark.parametrize(
    ("changes", "down_s", "codes"),
    [
        ({}, 0.0, []),
        ({}, 59.0, []),
        ({}, 61.0, ["uplink_down"]),
        ({"backlog": 3, "oldest_utc": NOW - timedelta(hours=1)}, 0.0, []),
        ({"backlog": 5, "oldest_utc": NOW - timedelta(minutes=75)}, 0.0, ["uplink_backlog"]),
        ({"backlog": 1, "refused": 1, "oldest_utc": NOW - timedelta(days=9)}, 0.0, ["uplink_refused"]),
        ({"evicted": 7, "evicted_lately": 7}, 0.0, ["uplink_evicted"]),
        ({"evicted": 7}, 0.0, []),  # long ago: an alarm ends some day
    ],
)
def test_what_is_wrong_with_delivery_is_told_in_words(
    changes: dict[str, object], down_s: float, codes: list[str]
) -> None:
    figures: dict[str, object] = dict.fromkeys(("backlog", "due", "acknowledged", "resent", "refused"), 0)
    figures |= {"oldest_utc": None, "last_ack_utc": None, "refused_reason": "schema"} | changes
    status = OutboxStatus(**figures)  # type: ignore[arg-type] # figures by name
    found = uplink_alarms("city", status, down_s=down_s, fault="refused", period_min=15, now_utc=NOW)
    assert [alarm["code"] for alarm in found] == codes
    for alarm in found:
        values = alarm["values"]
        assert isinstance(values, Mapping)
        words = text(str(alarm["code"]), **values)
        assert "{" not in words.zh + words.en


async def test_an_alarm_travels_once_when_it_begins_and_once_when_it_ends_also_over_a_restart(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    await store.close_period(Period(NOW, 15), [], [OutboxEntry("owner", lambda e, s: f'{{"{e}":{s}}}'.encode())])
    standing: list[list[Mapping[str, object]] | None] = [None, [PUMP], [PUMP]]

    def feed() -> AlarmFeed:
        return AlarmFeed(store, streams=["owner"], standing=lambda: standing.pop(0))

    first = feed()
    assert [await first.look(NOW) for _ in range(3)] == [0, 1, 0]
    standing += [None, [PUMP], []]
    after_restart = feed()
    assert [await after_restart.look(NOW + timedelta(minutes=5)) for _ in range(3)] == [0, 0, 1]
    rows = await store.outbox_due("owner", 10, live_first=True)
    assert [row.kind for row in rows] == ["alarm", "alarm", "record"]
    bodies = [json.loads(document(row, plant="bj"))["alarms"][0] for row in rows[:2]]
    assert [(body["code"], body["device"], body["until"]) for body in bodies] == [
        ("uplink_backlog", "p1", None),
        ("uplink_backlog", "p1", "2026-01-15T12:05:00Z"),
    ]
    assert "积压 3 条" in bodies[0]["zh"]
    await store.close()
