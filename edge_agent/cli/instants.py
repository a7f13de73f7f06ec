"""Reads the instants that people type (UTC with Z, an offset, or the site's own time), and shows instants to them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import click


def instant(text: str, *, zone: ZoneInfo) -> datetime:
    """An instant in UTC.

    Args:
        text: ISO 8601: 2026-01-12T00:00Z, 2026-01-12T08:00+08:00, or without zone (2026-01-12T08:00) in the site's.
        zone: the site's zone.

    Raises:
        click.BadParameter: not an instant.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r}: 时刻写成 2026-01-12T08:00(站点时区)或 2026-01-12T00:00Z / write an instant like that"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return moment.astimezone(UTC)


def local(moment: str | None, zone: ZoneInfo) -> str:
    """An instant on the site's clock, with the zone's distance from UTC; `-`: none."""
    if moment is None:
        return "-"
    return datetime.fromisoformat(moment).astimezone(zone).isoformat(sep=" ", timespec="seconds")
