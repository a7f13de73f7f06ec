"""What platforms command: another length of periods, new keys. Each goes into the audit and is told to the operator.

Keys themselves are never seen here; the transport keeps them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from edge_agent.store.rows import AuditEntry
from edge_agent.uplink.transports.base import KeyChanged

KEY_TOLD = timedelta(days=7)
"""For so long the operator is told that a platform has set a key: the credential file is to be changed."""


class CommandStore(Protocol):
    """What is kept of commands."""

    async def audit(self, *entries: AuditEntry) -> None:
        """Adds entries to the audit's chain."""
        ...

    async def get_state(self, key: str) -> str | None:
        """The JSON text under a key."""
        ...

    async def put_state(self, key: str, json_text: str) -> None:
        """Keeps a JSON text under a key."""
        ...


class Periods(Protocol):
    """Who makes periods."""

    def period_min(self, stream: str, now_utc: datetime) -> int:
        """Length of a stream's periods now [min]."""
        ...

    async def set_period(self, stream: str, period_min: int, *, now_utc: datetime) -> bool:
        """Gives a stream periods of another length."""
        ...


@dataclass(frozen=True, slots=True)
class KeyNews:
    """That a platform has set a key.

    Attributes:
        since_utc: when.
        kind: which one.
        fault: why the login with it failed; empty: it did not, or has not been tried yet.
    """

    since_utc: datetime
    kind: str
    fault: str


class Commanded:
    """Commands of all platforms."""

    def __init__(self, store: CommandStore, periods: Periods, *, now_utc: Callable[[], datetime]) -> None:
        """Names the parts; `now_utc` is the site's clock."""
        self._store = store
        self._periods = periods
        self._now_utc = now_utc

    def period_min(self, stream: str) -> int:
        """Length of a stream's periods now [min]."""
        return self._periods.period_min(stream, self._now_utc())

    async def period(self, stream: str, period_min: int) -> bool:
        """A platform wants periods of another length [min]; returns whether it gets them.

        Raises:
            StoreFault: the store refuses.
        """
        before_min = self.period_min(stream)
        accepted = await self._periods.set_period(stream, period_min, now_utc=self._now_utc())
        await self._note(
            stream,
            "period_min",
            old=before_min,
            wanted=period_min,
            outcome="accepted" if accepted else "refused",
            reason="" if accepted else "period",
        )
        return accepted

    async def key(self, stream: str, changed: KeyChanged) -> None:
        """A platform has set a key, or the first login with it has passed or failed.

        Raises:
            StoreFault: the store refuses; the key is kept all the same.
        """
        known = await self.key_news(stream)
        kind = known.kind if changed.in_use and known is not None else changed.kind
        since_utc = known.since_utc if changed.in_use and known is not None else self._now_utc()
        news = {"since": since_utc.isoformat(), "kind": kind, "fault": changed.fault}
        await self._store.put_state(_news_key(stream), json.dumps(news, ensure_ascii=False))
        outcome = "failed" if changed.fault else "in_use" if changed.in_use else "kept"
        await self._note(stream, f"key.{kind}", old=None, wanted=None, outcome=outcome, reason=changed.fault)

    async def key_news(self, stream: str) -> KeyNews | None:
        """That a platform has set a key of late.

        Raises:
            StoreFault: the store refuses.
        """
        text = await self._store.get_state(_news_key(stream))
        if text is None:
            return None
        kept = json.loads(text)
        news = KeyNews(datetime.fromisoformat(kept["since"]), str(kept["kind"]), str(kept["fault"]))
        return news if self._now_utc() - news.since_utc <= KEY_TOLD else None

    async def _note(
        self, stream: str, what: str, *, old: float | None, wanted: float | None, outcome: str, reason: str
    ) -> None:
        await self._store.audit(
            AuditEntry(
                instant_utc=self._now_utc(),
                actor=f"platform {stream}",
                cause="platform_command",
                point=f"uplink.{what}",
                old=old,
                wanted=wanted,
                read_back=None,
                outcome=outcome,
                reason=reason,
                latency_s=None,
            )
        )


def _news_key(stream: str) -> str:
    return f"uplink.{stream}.key_news"
