"""Spans of periods that were not closed: a clock had jumped over them, and nobody knows whether they have been. Pure.

They are closed as soon as their time is seen to pass, or when the clock is vouched for: what lies before a right clock
has been.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from edge_agent.rollup import Period, period_at

UNVOUCHED_MAX = timedelta(days=7)
"""What is longer than this is closed as a rest of the plant only when a time service vouches for the clock."""

Span = tuple[datetime, datetime]
"""From the start of the first period to the end of the last."""


@dataclass(slots=True)
class LeftOut:
    """The spans, by length of the periods [min], oldest first."""

    spans: dict[int, list[Span]] = field(default_factory=dict)

    def add(self, length_min: int, from_utc: datetime, to_utc: datetime) -> None:
        """Leaves a span out; both bounds are boundaries of the length."""
        if from_utc < to_utc:
            self.spans[length_min] = sorted([*self.spans.get(length_min, []), (from_utc, to_utc)])

    def remove(self, period: Period) -> None:
        """Takes a period out: it has been closed."""
        kept: list[Span] = []
        for from_utc, to_utc in self.spans.get(period.length_min, []):
            if from_utc <= period.start_utc < to_utc:
                kept += [span for span in ((from_utc, period.start_utc), (period.end_utc, to_utc)) if span[0] < span[1]]
            else:
                kept.append((from_utc, to_utc))
        self.spans[period.length_min] = kept

    def following(self, period: Period) -> Period:
        """The period itself, or the first one behind the span that leaves it out."""
        for from_utc, to_utc in self.spans.get(period.length_min, []):
            if from_utc <= period.start_utc < to_utc:
                return period_at(to_utc, period.length_min)
        return period

    def due(self, until_utc: datetime, *, since_utc: datetime, vouched: bool, trusted: bool) -> Iterator[Period]:
        """Periods that have been after all: of each span the first one, if any.

        Args:
            until_utc: time has passed up to here.
            since_utc: from here on it was watched.
            vouched: what lies before has passed as well.
            trusted: a time service says so.
        """
        for length_min, spans in self.spans.items():
            for from_utc, to_utc in spans:
                first = period_at(from_utc, length_min)
                if not (vouched and (trusted or to_utc - from_utc <= UNVOUCHED_MAX)) and first.end_utc <= since_utc:
                    first = period_at(since_utc, length_min)
                if first.start_utc < to_utc and first.end_utc <= until_utc:
                    yield first

    def to_json(self) -> str:
        """As it is kept."""
        return json.dumps(
            {
                str(length): [[begin.isoformat(), end.isoformat()] for begin, end in spans]
                for length, spans in self.spans.items()
                if spans
            }
        )


def read_left_out(text: str | None) -> LeftOut:
    """What was kept."""
    kept = json.loads(text or "{}")
    return LeftOut(
        {
            int(length): [(datetime.fromisoformat(begin), datetime.fromisoformat(end)) for begin, end in spans]
            for length, spans in kept.items()
        }
    )
