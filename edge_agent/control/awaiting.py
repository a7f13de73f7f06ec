"""Commands whose effect is awaited, from their proof on until the plant has followed, or has not in its time.

What counts as an effect is in `effect.py`; who writes is in `executor.py`.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from edge_agent.control.command import Alarm, Expectation, Outcome, Verdict
from edge_agent.control.effect import Read, ended, expect, judge_effect
from edge_agent.settings.model import SiteFile

LOG = logging.getLogger(__name__)


class Awaiting:
    """All of one executor, at most one a point.

    Args:
        site: times, and which points show the effect.
        read: last samples.
        expectations: those of the run before.
    """

    def __init__(self, site: SiteFile, *, read: Read, expectations: Sequence[Expectation] = ()) -> None:
        self._site = site
        self._read = read
        self._awaited = {expectation.command.point: expectation for expectation in expectations}
        self._ineffective: dict[str, tuple[Expectation, Outcome]] = {}

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """Commands whose effect is awaited."""
        return tuple(self._awaited.values())

    def opened(self, outcome: Outcome, *, read_back: float | None) -> list[Outcome]:
        """A command was written; the one before it to the same point ends here.

        Args:
            outcome: what became of it; only a verified one is awaited.
            read_back: what the register held then, where that is what must stand; None: the value that was written.
        """
        point = outcome.command.point
        before = self._awaited.pop(point, None)
        closed = []
        if before is not None:
            values = f"by {outcome.number}"
            closed.append(ended(before, Verdict.SUPERSEDED, values, now_utc=outcome.instant_utc))
        if outcome.verdict is Verdict.VERIFIED:
            self._awaited[point] = expect(
                outcome.command,
                number=outcome.number,
                now_utc=outcome.instant_utc,
                site=self._site,
                before=outcome.before,
                reference=outcome.reference,
                read_back=read_back,
            )
        return closed

    def watch(self, now_utc: datetime) -> list[Outcome]:
        """Commands that have come to their end by now."""
        for point, (expectation, _) in list(self._ineffective.items()):
            late = judge_effect(expectation, now_utc=now_utc, read=self._read, site=self._site)
            if late is not None and late.verdict is Verdict.EFFECTED:
                del self._ineffective[point]  # late, but there; its end in the audit stays what it was
        found: list[Outcome] = []
        for point, expectation in list(self._awaited.items()):
            outcome = judge_effect(expectation, now_utc=now_utc, read=self._read, site=self._site)
            if outcome is None:
                continue
            del self._awaited[point]
            found.append(outcome)
            if outcome.verdict is Verdict.NO_EFFECT:
                self._ineffective.setdefault(point, (expectation, outcome))
                LOG.warning(
                    "command without effect number=%d point=%s value=%s reason=%s",
                    outcome.number,
                    point,
                    outcome.command.value,
                    outcome.reason,
                )
            else:
                self._ineffective.pop(point, None)
        return found

    def given_up(self, now_utc: datetime) -> list[Outcome]:
        """Ends all: what stands in the plant is somebody else's from now on, and no fault of our commands."""
        ends = [ended(entry, Verdict.SUPERSEDED, "mode_left", now_utc=now_utc) for entry in self._awaited.values()]
        self._awaited.clear()
        self._ineffective.clear()
        return ends

    def shift(self, by: timedelta) -> None:
        """Moves all instants with the site's clock, which has been set."""
        self._awaited = {
            point: replace(entry, opened_utc=entry.opened_utc + by, until_utc=entry.until_utc + by)
            for point, entry in self._awaited.items()
        }

    def alarms(self) -> list[Alarm]:
        """Commands that the plant did not follow."""
        return [
            Alarm(
                "command_no_effect",
                point,
                outcome.instant_utc,
                {"point": point, "wrote": outcome.command.value, "reason": outcome.reason, "number": outcome.number},
            )
            for point, (_, outcome) in self._ineffective.items()
        ]
