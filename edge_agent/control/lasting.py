"""What does not fit together, and for how long: a while in which nobody can tell ends no doubt. Pure.

What the doubts are about is not here (`doubt.py`, `water.py`).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from edge_agent.control.memory import Doubt

HELD = timedelta(minutes=30)
"""A doubt that cannot be judged is kept for so long: readings come in one after the other after a restart, which takes
minutes; what was odd hours ago proves nothing now. Ours."""


class Doubts:
    """Doubts of one cycle."""

    def __init__(self, known: Mapping[str, Doubt], *, now_utc: datetime) -> None:
        """Goes on from what the cycle before has known."""
        self._known = {subject: doubt for subject, doubt in known.items() if now_utc - doubt.seen_utc <= HELD}
        self._now_utc = now_utc
        self._noted: dict[str, Doubt] = {}

    def since_utc(self, subject: str) -> datetime | None:
        """Since when it is odd, by the cycle before; None: it was not."""
        doubt = self._known.get(subject)
        return None if doubt is None else doubt.since_utc

    def note(self, subject: str, *, odd: bool | None) -> datetime | None:
        """Takes what this cycle sees; what nobody notes is forgotten.

        Args:
            subject: what may be odd.
            odd: whether it is; None: nobody can tell now, and what was odd stays so.

        Returns:
            Since when it is odd; None: it is not, or is not known to be.
        """
        doubt = self._known.get(subject)
        if odd:
            doubt = Doubt(self._now_utc if doubt is None else doubt.since_utc, self._now_utc)
        if doubt is None or odd is False:
            return None
        self._noted[subject] = doubt
        return doubt.since_utc

    def remembered(self) -> dict[str, Doubt]:
        """For the next cycle."""
        return self._noted
