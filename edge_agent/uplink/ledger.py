"""Adds up what became of records: per stream, day and point, every missing period by name and every gap by cause.

What is expected follows from the calendar, not from what is there: from the first record that the ledger knows, period
after period without a hole. It knows no disk and no wire; days are those of the site's calendar.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from edge_agent.rollup import Period, rfc3339
from edge_agent.store.rows import Delivery, Fate

STRENGTH = {
    Fate.REPLACED: -1,
    Fate.EVICTED: 0,
    Fate.STORED: 1,
    Fate.SENT: 2,
    Fate.REFUSED: 3,
    Fate.CONSUMED: 4,
    Fate.FETCHED: 5,
    Fate.ACKNOWLEDGED: 6,
}
"""Where a period has several records, the one that corrects the others counts; of those of several databases (a lost
one was made anew) the one that has come furthest."""
NOT_MADE = "not_made"
"""The period has ended and there is no record of it."""
HELD = frozenset({Fate.ACKNOWLEDGED, Fate.FETCHED})
"""Proven: the platform says that it has it, or has asked for it and was served."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A period that the platform is not proven to hold.

    Attributes:
        period: which.
        why: fate of its record, or `not_made`.
        reason: the platform's or the store's own word, where there is one.
    """

    period: Period
    why: str
    reason: str = ""


@dataclass(slots=True)
class PointTally:
    """One point of one stream.

    Attributes:
        expected: periods that had to report it.
        good: with a valid value.
        sent: of its records, those sent at least once.
        acknowledged: those that the platform says it has stored, or has fetched itself.
        unacknowledged: delivered, but nothing says that they were stored.
        backfilled: whose first sending was not on time.
        evicted: dropped undelivered.
        causes: why there was no valid value, in periods.
    """

    expected: int = 0
    good: int = 0
    sent: int = 0
    acknowledged: int = 0
    unacknowledged: int = 0
    backfilled: int = 0
    evicted: int = 0
    causes: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Account:
    """One stream over a span.

    Attributes:
        stream: its name.
        from_utc: first start looked at; later than asked for when the ledger begins later.
        to_utc: first start not looked at; earlier than asked for when that is not over yet.
        expected: periods that had to be delivered.
        fates: how many have come how far; `not_made` counts as well.
        sent_again: sendings beyond the first.
        backfilled: records whose first sending was not on time.
        corrected: periods whose first record was replaced by a correcting one.
        missing: periods that are not delivered, each by name.
        unproven: periods that were delivered without an acknowledgement, each by name.
        points: by code.
    """

    stream: str
    from_utc: datetime
    to_utc: datetime
    expected: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    sent_again: int = 0
    backfilled: int = 0
    corrected: list[Period] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    unproven: list[Missing] = field(default_factory=list)
    points: dict[str, PointTally] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """Periods that the platform is proven to hold."""
        return sum(self.fates[fate] for fate in HELD)

    @property
    def ratio(self) -> float | None:
        """Share of the expected periods that the platform is proven to hold; None when none was expected."""
        return self.held / self.expected if self.expected else None

    @property
    def good_ratio(self) -> float | None:
        """Share of the expected values that were measured and valid; None when none was expected."""
        expected = sum(tally.expected for tally in self.points.values())
        return sum(tally.good for tally in self.points.values()) / expected if expected else None


def account(
    deliveries: Iterable[Delivery], *, stream: str, period_min: int, from_utc: datetime, to_utc: datetime
) -> Account:
    """Adds up a span.

    Args:
        deliveries: what became of the stream's records that begin in [from, to), in any order.
        stream: its name.
        period_min: length of its periods today [min]; what was delivered in others is taken as it was.
        from_utc: start of the first expected period; not before the first record that the ledger knows.
        to_utc: periods that end after it are not expected yet.
    """
    best: dict[tuple[datetime, int], Delivery] = {}
    corrected: set[tuple[datetime, int]] = set()
    for delivery in deliveries:
        key = (delivery.start_utc, delivery.period_min)
        if delivery.kind != "record":
            continue
        if key in best and delivery.epoch == best[key].epoch:
            corrected.add(key)
            best[key] = max(delivery, best[key], key=lambda one: one.seq)
        elif key not in best or STRENGTH[delivery.fate] > STRENGTH[best[key].fate]:
            best[key] = delivery
    found = Account(stream, from_utc, to_utc)
    expected_utc = from_utc
    for (start_utc, length_min), delivery in sorted(best.items()):
        period = Period(start_utc, length_min)
        if period.end_utc > to_utc:
            continue
        _note_absent(found, from_utc=expected_utc, to_utc=start_utc, period_min=length_min)
        _note(found, delivery, period)
        if (start_utc, length_min) in corrected:
            found.corrected.append(period)
        expected_utc = max(expected_utc, period.end_utc)
    _note_absent(found, from_utc=expected_utc, to_utc=to_utc, period_min=period_min)
    return found


def _note_absent(found: Account, *, from_utc: datetime, to_utc: datetime, period_min: int) -> None:
    period = Period(from_utc, period_min)
    while period.end_utc <= to_utc:
        found.expected += 1
        found.fates[NOT_MADE] += 1
        found.missing.append(Missing(period, NOT_MADE))
        period = period.next()


def _note(found: Account, delivery: Delivery, period: Period) -> None:
    fate = delivery.fate
    found.expected += 1
    found.fates[fate] += 1
    found.sent_again += max(0, delivery.sent_count - 1)
    found.backfilled += delivery.backfilled
    if fate is Fate.CONSUMED:
        found.unproven.append(Missing(period, fate))
    elif fate not in HELD:
        found.missing.append(Missing(period, fate, delivery.reason or ""))
    cause_of = {place: cause for cause, places in delivery.gaps.items() for place in places}
    for place, code in enumerate(delivery.codes):
        tally = found.points.setdefault(code, PointTally())
        tally.expected += 1
        tally.sent += delivery.sent_count > 0
        tally.acknowledged += fate in HELD
        tally.unacknowledged += fate is Fate.CONSUMED
        tally.backfilled += delivery.backfilled
        tally.evicted += fate is Fate.EVICTED
        if place in cause_of:
            tally.causes[cause_of[place]] += 1
        else:
            tally.good += 1


def runs(missing: Sequence[Missing]) -> list[tuple[datetime, datetime, int, str, str]]:
    """Neighbours that miss for the same reason as one: start, end, how many, why, reason."""
    found: list[tuple[datetime, datetime, int, str, str]] = []
    for entry in missing:
        last = found[-1] if found else None
        if last is not None and last[1] == entry.period.start_utc and last[3:] == (entry.why, entry.reason):
            found[-1] = (last[0], entry.period.end_utc, last[2] + 1, entry.why, entry.reason)
        else:
            found.append((entry.period.start_utc, entry.period.end_utc, 1, entry.why, entry.reason))
    return found


def day_bounds(day: date, *, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """A day of the site's calendar as instants in UTC."""
    first, last = (datetime.combine(date_, time.min, zone) for date_ in (day, day + timedelta(days=1)))
    utc = ZoneInfo("UTC")
    return first.astimezone(utc), last.astimezone(utc)


def day_record(day: date, found: Account, *, period_min: int) -> dict[str, object]:
    """A day's completeness as it is chained: all figures, every missing period, every gap with its cause."""
    return {
        "v": 1,
        "stream": found.stream,
        "day": day.isoformat(),
        "period_min": period_min,
        "expected": found.expected,
        "fates": {str(fate): count for fate, count in sorted(found.fates.items())},
        "sent_again": found.sent_again,
        "backfilled": found.backfilled,
        **({"corrected": [period.start_utc.isoformat() for period in found.corrected]} if found.corrected else {}),
        "missing": [[entry.period.start_utc.isoformat(), entry.why] for entry in found.missing],
        "unproven": [entry.period.start_utc.isoformat() for entry in found.unproven],
        "points": {code: point_dict(tally) for code, tally in sorted(found.points.items())},
    }


def point_dict(tally: PointTally) -> dict[str, object]:
    """One point's figures; causes only where there are any."""
    figures: dict[str, object] = {
        "expected": tally.expected,
        "good": tally.good,
        "sent": tally.sent,
        "acknowledged": tally.acknowledged,
        "unacknowledged": tally.unacknowledged,
        "backfilled": tally.backfilled,
        "evicted": tally.evicted,
    }
    return figures | ({"causes": dict(sorted(tally.causes.items()))} if tally.causes else {})


def account_dict(found: Account) -> dict[str, object]:
    """A stream's account as JSON: every missing period stands there by itself."""
    return {
        "from": rfc3339(found.from_utc),
        "to": rfc3339(found.to_utc),
        "expected": found.expected,
        "acknowledged": found.fates[Fate.ACKNOWLEDGED],
        "fetched": found.fates[Fate.FETCHED],
        "unacknowledged": found.fates[Fate.CONSUMED],
        "waiting": found.fates[Fate.STORED] + found.fates[Fate.SENT],
        "refused": found.fates[Fate.REFUSED],
        "evicted": found.fates[Fate.EVICTED],
        "not_made": found.fates[NOT_MADE],
        "backfilled": found.backfilled,
        "sent_again": found.sent_again,
        "corrected": [rfc3339(period.start_utc) for period in found.corrected],
        "completeness": found.ratio,
        "valid_ratio": found.good_ratio,
        "missing": [_missing_dict(entry) for entry in found.missing],
        "unproven": [_missing_dict(entry) for entry in found.unproven],
        "points": {code: point_dict(tally) for code, tally in sorted(found.points.items())},
    }


def _missing_dict(entry: Missing) -> dict[str, object]:
    return {
        "start": rfc3339(entry.period.start_utc),
        "period_min": entry.period.length_min,
        "why": entry.why,
        **({"reason": entry.reason} if entry.reason else {}),
    }
