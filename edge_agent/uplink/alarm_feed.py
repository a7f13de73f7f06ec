"""Sends alarms to the uplinks that want them: one message when an alarm begins, one when it ends, ahead of all records.

What stood when the service last looked is kept, so that a restart neither repeats an alarm nor forgets its end; a kill
between the two writes sends one twice rather than never.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from edge_agent.texts.catalogue import text
from edge_agent.uplink.looking import look_for_ever

STANDING_KEY = "uplink.alarms.standing"
LOOK_S = 10.0
"""Alarms are looked at this often [s, site clock]: one that lasts shorter may not be sent."""

Alarm = Mapping[str, object]
"""code, device, since (ISO text or None), values."""


class AlarmStore(Protocol):
    """What the feed needs of the store."""

    async def put_alarm(self, uplinks: Sequence[str], payload: bytes, *, instant_utc: datetime) -> None:
        """Queues an alarm for streams."""
        ...

    async def get_state(self, key: str) -> str | None:
        """The JSON text under a key."""
        ...

    async def put_state(self, key: str, json_text: str) -> None:
        """Keeps a JSON text under a key."""
        ...


class AlarmFeed:
    """Watches what stands."""

    def __init__(
        self, store: AlarmStore, *, streams: Sequence[str], standing: Callable[[], Sequence[Alarm] | None]
    ) -> None:
        """Names the parts.

        Args:
            store: the outbox.
            streams: who wants alarms.
            standing: the alarms that stand now; None: not known yet.
        """
        self._store = store
        self._streams = tuple(streams)
        self._standing = standing
        self._known: dict[str, Alarm] | None = None

    async def look(self, now_utc: datetime) -> int:
        """Queues what has begun and what has ended since the last look; returns how many.

        Raises:
            StoreFault: the store refuses; the next look tries again.
        """
        standing = self._standing()
        if standing is None or not self._streams:
            return 0
        if self._known is None:
            self._known = dict(json.loads(await self._store.get_state(STANDING_KEY) or "{}"))
        now = {f"{alarm.get('code')} {alarm.get('device')}": alarm for alarm in standing}
        begun = [alarm for key, alarm in now.items() if key not in self._known]
        ended = [alarm for key, alarm in self._known.items() if key not in now]
        for alarm, until_utc in [*((one, None) for one in begun), *((one, now_utc) for one in ended)]:
            await self._store.put_alarm(self._streams, document(alarm, until_utc), instant_utc=now_utc)
        if begun or ended:
            known = {key: self._known.get(key, alarm) for key, alarm in now.items()}
            await self._store.put_state(STANDING_KEY, json.dumps(known, ensure_ascii=False))
            self._known = known
        return len(begun) + len(ended)

    async def run(self, *, now_utc: Callable[[], datetime], sleep_until: Callable[[datetime], Awaitable[None]]) -> None:
        """Looks for ever."""
        await look_for_ever(
            self.look, what_waits="alarms wait", every_s=LOOK_S, now_utc=now_utc, sleep_until=sleep_until
        )


def document(alarm: Alarm, until_utc: datetime | None) -> bytes:
    """An alarm as it waits in the outbox: code, device, since, until (null: it stands), words in both languages."""
    values = alarm.get("values")
    words = text(str(alarm.get("code")), **(dict(values) if isinstance(values, Mapping) else {}))
    body = {
        "code": alarm.get("code"),
        "device": alarm.get("device"),
        "since": alarm.get("since"),
        "until": None if until_utc is None else until_utc.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "zh": words.zh,
        "en": words.en,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
