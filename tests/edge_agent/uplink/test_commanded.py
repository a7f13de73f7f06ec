"""What a platform commands is in the audit and before the operator, also after a restart; a key is never seen."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge_agent.store.rows import OutboxStatus
from edge_agent.store.store import Store
from edge_agent.texts.catalogue import text
from edge_agent.uplink.alarms import uplink_alarms
from edge_agent.uplink.commanded import KEY_TOLD, Commanded
from edge_agent.uplink.transports.base import KeyChanged

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
CITY = "city@p:4400"


class Periods:
    """Makes periods of what was set last, but not of an hour."""

    def __init__(self) -> None:
        self.length_min = 15

    def period_min(self, _stream: str, _now_utc: datetime) -> int:
        return self.length_min

    async def set_period(self, _stream: str, period_min: int, *, now_utc: datetime) -> bool:
        assert now_utc == NOW
        if period_min == 60:
            return False
        self.length_min = period_min
        return True


async def alarms(commanded: Commanded, now_utc: datetime) -> list[dict[str, object]]:
    status = OutboxStatus(0, None, None, 0, 0, 0, 0)
    news = await commanded.key_news(CITY)
    return uplink_alarms(CITY, status, down_s=0.0, fault="", period_min=15, now_utc=now_utc, key_news=news)


async def test_a_period_that_a_platform_sets_is_in_the_audit(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    commanded = Commanded(store, Periods(), now_utc=lambda: NOW)
    assert await commanded.period(CITY, 30)
    assert commanded.period_min(CITY) == 30
    assert not await commanded.period(CITY, 60)
    entries = await store.audit_entries(9)
    told = [(entry.actor, entry.point, entry.old, entry.wanted, entry.outcome) for entry in reversed(entries)]
    assert told == [
        (f"platform {CITY}", "uplink.period_min", 15, 30, "accepted"),
        (f"platform {CITY}", "uplink.period_min", 30, 60, "refused"),
    ]
    assert await store.audit_unfinished() == {}
    assert await store.audit_broken_at() is None
    await store.close()


async def test_a_key_that_a_platform_sets_is_told_until_a_week_is_over(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    now_utc = NOW
    commanded = Commanded(store, Periods(), now_utc=lambda: now_utc)
    assert await alarms(commanded, NOW) == []
    await commanded.key(CITY, KeyChanged("aes_key"))
    commanded = Commanded(store, Periods(), now_utc=lambda: now_utc)  # a restart
    (alarm,) = await alarms(commanded, NOW)
    assert (alarm["code"], alarm["device"], alarm["since"]) == ("uplink_key_set", CITY, "2026-01-15T12:00:00Z")
    now_utc += timedelta(hours=1)
    await commanded.key(CITY, KeyChanged("login", in_use=True, fault="old one again"))
    (alarm,) = await alarms(commanded, now_utc)
    values = alarm["values"]
    assert isinstance(values, dict)
    assert (alarm["code"], alarm["since"], values["kind"]) == ("uplink_key_failed", "2026-01-15T12:00:00Z", "aes_key")
    words = text(str(alarm["code"]), **values)
    assert "old one again" in words.zh
    assert "old one again" in words.en
    now_utc = NOW + KEY_TOLD + timedelta(seconds=1)
    assert await alarms(commanded, now_utc) == []
    entries = await store.audit_entries(9)
    assert [(entry.point, entry.outcome) for entry in reversed(entries)] == [
        ("uplink.key.aes_key", "kept"),
        ("uplink.key.aes_key", "failed"),
    ]
    await store.close()
