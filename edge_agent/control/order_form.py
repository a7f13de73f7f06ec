"""An order as it is typed, shown and logged. Pure.

Whether it may be given is judged in `order_rules.py`; what it does is in `layers.py`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from edge_agent.control.modes import Refusal
from edge_agent.control.order_rules import next_time, with_subject
from edge_agent.control.orders import Order, OrderKind
from edge_agent.settings.model import SiteFile


def typed_order(arguments: Mapping[str, object], *, site: SiteFile, now_utc: datetime) -> Order | Refusal:
    """The order that was typed; its end is reckoned on the site's clock."""
    kind = OrderKind(str(arguments.get("kind", "")))
    subject = arguments.get("subject")
    zone = ZoneInfo(site.site.timezone)
    until_utc = now_utc if kind is OrderKind.RELEASE else _end(arguments, now_utc, zone)
    if until_utc is None:
        return Refusal("order_end_unknown", {"until": str(arguments.get("until") or "?")})
    number = arguments.get("number") if kind is OrderKind.RELEASE else None
    order = Order(
        kind,
        None if subject is None else str(subject),
        until_utc,
        str(arguments.get("by", "")).strip(),
        str(arguments.get("reason", "")).strip(),
        now_utc,
        number if isinstance(number, int) else 0,
    )
    return with_subject(order, site)


def _end(arguments: Mapping[str, object], now_utc: datetime, zone: ZoneInfo) -> datetime | None:
    lasts_s, until = arguments.get("lasts_s"), arguments.get("until")
    if isinstance(lasts_s, (int, float)) and abs(lasts_s) < timedelta.max.total_seconds() / 1e3:
        return now_utc + timedelta(seconds=lasts_s)
    if not isinstance(until, str):
        return None
    at_local = next_time(until, now_local=now_utc.astimezone(zone))
    if at_local is not None:
        return at_local.astimezone(now_utc.tzinfo)
    try:
        instant = datetime.fromisoformat(until)
    except ValueError:
        return None
    return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(now_utc.tzinfo)


def order_dict(order: Order) -> dict[str, object]:
    """An order for status and command line."""
    return {
        "number": order.number,
        "kind": order.kind,
        "subject": order.subject,
        "until": instant_text(order.until_utc),
        "by": order.by,
        "reason": order.reason,
        "made": instant_text(order.made_utc),
    }


def point_of(order: Order) -> str:
    """What an order is called in the audit, where a command has its point."""
    return f"order {order.number} {order.subject or '*'}" if order.number else f"orders {order.subject or '*'}"


def logged(order: Order) -> str:
    """An order in the log."""
    until = order.until_utc.isoformat(timespec="seconds")
    subject = order.subject or "*"
    return f"kind={order.kind} subject={subject} until={until} by={order.by} reason={order.reason}"


def instant_text(instant_utc: datetime) -> str:
    """An instant for status and audit."""
    return instant_utc.isoformat(timespec="seconds").replace("+00:00", "Z")
