"""Alarms from cycle to cycle: one that goes on keeps its beginning, and a pump that runs down is not late yet. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from edge_agent.control.command import Alarm


class LastingAlarms:
    """What stood in the last cycle."""

    def __init__(self, *, pump_proof_s: float) -> None:
        """Gives a pump so long to stop [s]."""
        self._pump_proof_s = pump_proof_s
        self._slow: dict[str, datetime] = {}
        self._since_utc: dict[tuple[str, str], datetime] = {}

    def late(self, alarms: Sequence[Alarm], now_utc: datetime) -> list[Alarm]:
        """Pumps that still run although their time to stop is over; a pump that runs down is no fault."""
        self._slow = {alarm.device: self._slow.get(alarm.device, now_utc) for alarm in alarms}
        return [alarm for alarm in alarms if (now_utc - self._slow[alarm.device]).total_seconds() >= self._pump_proof_s]

    def all(self, alarms: Sequence[Alarm]) -> tuple[Alarm, ...]:
        """Gives an alarm that goes on the instant at which it began; of two of the same kind, the last one counts."""
        now: dict[tuple[str, str], Alarm] = {}
        for alarm in alarms:
            key = (alarm.code, alarm.device)
            since_utc = min(self._since_utc.get(key, alarm.since_utc), alarm.since_utc)
            now[key] = replace(alarm, since_utc=since_utc)
        self._since_utc = {key: alarm.since_utc for key, alarm in now.items()}
        return tuple(now.values())
