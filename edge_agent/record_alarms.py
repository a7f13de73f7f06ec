"""What the operator must know of records, time and files.

A store that refuses or fills, a damaged file, a clock nobody keeps, a changed tariff that could not be taken over.

Nothing here stops heat: control and polling go on through all of it.
"""

from datetime import datetime

from edge_agent.clock_quality import ClockQuality
from edge_agent.control.command import Alarm
from edge_agent.settings.finding import Finding
from edge_agent.store.rows import StoreUsage

NEARLY_FULL_RATIO = 0.8
MEGABYTE = 1_000_000


class RecordAlarms:
    """Remembers since when each of them stands."""

    def __init__(self) -> None:
        self._since_utc: dict[str, datetime] = {}

    def standing(
        self,
        now_utc: datetime,
        *,
        usage: StoreUsage,
        refuses: str,
        clock: ClockQuality,
        tariff: Finding | None = None,
    ) -> list[Alarm]:
        """The alarms of this moment.

        Args:
            now_utc: the site's clock.
            usage: room in the store.
            refuses: why the store takes nothing; empty: it does.
            clock: how far the clock is trusted; that it was set is control's alarm.
            tariff: what is wrong with a changed tariff.yaml; None: nothing.
        """
        found: dict[tuple[str, str], dict[str, float | str]] = {}
        if refuses:
            found["store_refuses", "store"] = {"reason": refuses}
        foreign = usage.disk_free_bytes < usage.quota_bytes - usage.used_bytes
        if usage.full_ratio >= NEARLY_FULL_RATIO:
            found["store_nearly_full", "store"] = {
                "used_mb": round(usage.used_bytes / MEGABYTE),
                "quota_mb": round(usage.quota_bytes / MEGABYTE),
            }
        if foreign:
            found["disk_filled", "store"] = {"free_mb": round(usage.disk_free_bytes / MEGABYTE)}
        if usage.damaged:
            found["store_damaged", "store"] = {"files": ", ".join(usage.damaged)}
        if usage.written_bytes > usage.write_budget_bytes:
            found["writes_over_budget", "store"] = {
                "written_mb": round(usage.written_bytes / MEGABYTE),
                "budget_mb": round(usage.write_budget_bytes / MEGABYTE),
            }
        if clock is ClockQuality.UNSYNCHRONISED:
            found["clock_unsynchronised", "clock"] = {}
        if tariff is not None:
            file = tariff.file.rpartition("/")[2]
            if tariff.line:
                found["tariff_rejected", "tariff"] = {"file": file, "line": tariff.line}
            else:
                found["tariff_unusable", "tariff"] = {"file": file}
        self._since_utc = {code: self._since_utc.get(code, now_utc) for code, _ in found}
        return [Alarm(code, device, self._since_utc[code], values) for (code, device), values in found.items()]
