"""Alarms about delivery itself: a line that is down, a backlog that grows old, refused and dropped records. Pure."""

from datetime import datetime, timedelta

from edge_agent.store.rows import OutboxStatus
from edge_agent.uplink.commanded import KeyNews

DOWN_S = 60.0
"""A line that is down for this long is told [s, wall]; shorter breaks heal by themselves."""
OLD_PERIODS = 4
"""A backlog whose oldest record is this many periods old is told."""


def uplink_alarms(
    name: str,
    status: OutboxStatus,
    *,
    down_s: float,
    fault: str,
    period_min: int,
    now_utc: datetime,
    key_news: KeyNews | None = None,
) -> list[dict[str, object]]:
    """What is wrong with a stream.

    Args:
        name: of the stream.
        status: of its outbox.
        down_s: for how long it has been without a connection [s, wall]; 0: it is connected.
        fault: why.
        period_min: length of its periods [min].
        now_utc: the present on the site's clock.
        key_news: that the platform has set a key of late.
    """
    found: list[dict[str, object]] = []

    def tell(code: str, since_utc: datetime | None, **values: object) -> None:
        since = None if since_utc is None else since_utc.isoformat(timespec="seconds").replace("+00:00", "Z")
        found.append({"code": code, "device": name, "since": since, "values": values})

    if down_s >= DOWN_S:
        tell("uplink_down", now_utc - timedelta(seconds=down_s), uplink=name, reason=fault)
    oldest_utc = status.oldest_utc
    if oldest_utc is not None and status.backlog > status.refused:
        age_periods = (now_utc - oldest_utc) / timedelta(minutes=period_min) - 1.0
        if age_periods >= OLD_PERIODS:
            tell("uplink_backlog", oldest_utc, uplink=name, backlog=status.backlog)
    if status.refused:
        tell("uplink_refused", None, count=status.refused, reason=status.refused_reason)
    if status.evicted_lately:
        tell("uplink_evicted", None, uplink=name, count=status.evicted_lately)
    if key_news is not None:
        code = "uplink_key_failed" if key_news.fault else "uplink_key_set"
        tell(code, key_news.since_utc, uplink=name, kind=key_news.kind, reason=key_news.fault)
    return found
