"""The verdict on a span over all streams: their accounts, the daily records, and whether the chain is whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from edge_agent.rollup import instant, microseconds
from edge_agent.settings.model import UplinkFile
from edge_agent.store.rows import ChainedDay, Delivery
from edge_agent.uplink.daily import first_start
from edge_agent.uplink.ledger import Account, account
from edge_agent.uplink.streams import streams

GRACE = timedelta(minutes=2)
"""A period is due this long after its end: it is closed only when its last samples are stored."""


class Ledger(Protocol):
    """What the verdict needs of the database."""

    def stream_names(self) -> list[str]:
        """Streams that were ever given a number."""
        ...

    def deliveries(self, uplink: str, from_us: int, to_us: int) -> list[Delivery]:
        """What became of the records of a span."""
        ...

    def ledger_begin_us(self, uplink: str) -> int | None:
        """Start of the oldest record known of a stream."""
        ...

    def completeness(self, uplink: str, from_day: str, to_day: str) -> list[ChainedDay]:
        """Daily records that hold."""
        ...

    def completeness_broken_at(self) -> int | None:
        """Where the chain is broken."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the ledger says of a span.

    Attributes:
        accounts: by stream.
        begins_utc: first record that the ledger knows, by stream.
        days: daily records of the span, by stream.
        silent: configured streams that were never given a number: nothing was due yet, or the service never ran.
        chain_broken_at: first daily record that does not fit the chain; None: it is whole.
    """

    accounts: Mapping[str, Account]
    begins_utc: Mapping[str, datetime]
    days: Mapping[str, Sequence[ChainedDay]]
    chain_broken_at: int | None
    silent: Sequence[str] = ()

    @property
    def complete(self) -> bool:
        """Something was due, nothing is missing, everything is proven, nothing was changed, and no stream is silent."""
        due = any(found.expected for found in self.accounts.values())
        lacking = any(found.missing or found.unproven for found in self.accounts.values())
        return due and not lacking and not self.silent and self.chain_broken_at is None


def judge(
    ledger: Ledger,
    uplink_file: UplinkFile,
    *,
    plant: str,
    zone: ZoneInfo,
    from_utc: datetime,
    to_utc: datetime,
    now_utc: datetime,
    only: str | None = None,
) -> Verdict:
    """Adds up a span of every stream, also of those that are no longer configured but still owe records.

    Args:
        ledger: the database.
        uplink_file: uplink.yaml as it is today.
        plant: name of the plant for uplinks that state none.
        zone: of the site's calendar.
        from_utc: first start.
        to_utc: first start no longer looked at.
        now_utc: the present on the site's clock; what has not ended yet is not due.
        only: this uplink or stream alone.
    """
    configured = streams(uplink_file, plant=plant)
    accounts: dict[str, Account] = {}
    begins: dict[str, datetime] = {}
    days: dict[str, Sequence[ChainedDay]] = {}
    for name in ledger.stream_names():
        stream = configured.get(name)
        if only is not None and only not in {name, name.partition("@")[0]}:
            continue
        begin_us = ledger.ledger_begin_us(name)
        if begin_us is None:
            continue
        begins[name] = instant(begin_us)
        every = ledger.deliveries(name, microseconds(from_utc), microseconds(to_utc))
        found = [entry for entry in every if entry.kind == "record"]
        if stream is None and not found:
            continue
        # The length in force is that of the last record: the platform may have set it.
        period_min = found[-1].period_min if found or stream is None else stream.entry.period_min
        last_utc = max((entry.start_utc + timedelta(minutes=entry.period_min) for entry in found), default=from_utc)
        # A stream that is no longer configured owes nothing new.
        until_utc = last_utc if stream is None else min(to_utc, max(now_utc - GRACE, last_utc))
        accounts[name] = account(
            found,
            stream=name,
            period_min=period_min,
            from_utc=max(begins[name], first_start(from_utc, period_min)),
            to_utc=until_utc,
        )
        days[name] = ledger.completeness(
            name, from_utc.astimezone(zone).date().isoformat(), to_utc.astimezone(zone).date().isoformat()
        )
    silent = [name for name in configured if name not in begins and only in {None, name, name.partition("@")[0]}]
    return Verdict(accounts, begins, days, ledger.completeness_broken_at(), silent)
