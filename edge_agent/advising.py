"""Keeps the score of advise: opens and ends its windows, fetches what was measured, and remembers over restarts.

How a window is scored is in `control.advice`. It commands nothing, and a refusing disk costs only its own memory.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge_agent.control.advice import (
    QUARTER,
    Advice,
    Score,
    Window,
    judge,
    open_window,
    read_advice,
    write_advice,
)
from edge_agent.control.modes import Mode
from edge_agent.errors import StoreFault
from edge_agent.settings.model import SiteFile
from edge_agent.store.store import Store
from scheduling.plan import Plan
from scheduling.request import PlanRequest

LOG = logging.getLogger(__name__)

ADVICE_KEY = "advice"
GRACE = timedelta(minutes=10)
"""A quarter's measured means are there at the latest this long after its end."""
ROLLUP_MIN = 15


@dataclass(frozen=True, slots=True)
class Now:
    """What is seen in a control cycle.

    Attributes:
        instant_utc: when.
        mode: in force.
        plan, request: the last plan and its task; None before the first.
        stored_kwh: usable heat of each tank; None if not known.
    """

    instant_utc: datetime
    mode: Mode
    plan: Plan | None
    request: PlanRequest | None
    stored_kwh: Mapping[str, float | None]


class Advising:
    """The score of one site.

    Args:
        site: meters and loops.
        store: measured means, and what is remembered.
    """

    def __init__(self, site: SiteFile, *, store: Store) -> None:
        self._site = site
        self._store = store
        self.advice = Advice()
        self._failing = False

    async def prepare(self) -> None:
        """Takes up what the run before has kept."""
        self.advice = read_advice(await self._store.get_state(ADVICE_KEY))

    async def look(self, now: Now) -> None:
        """After a control cycle: begins, carries on or ends a window."""
        before = self.advice
        try:
            self.advice = await self._next(now)
            if self.advice != before:
                await self._store.put_state(ADVICE_KEY, write_advice(self.advice))
        except StoreFault as fault:
            # Who commands must not stumble over a score; it is tried again.
            if not self._failing:
                LOG.warning("the score of advise waits for the disk: %s", fault)
            self._failing = True
        else:
            self._failing = False

    async def _next(self, now: Now) -> Advice:
        window = self.advice.window
        if window is None:
            return Advice(_opened(now), self.advice.scores)
        if now.mode is not Mode.ADVISE and not window.full:
            window = window.cut()  # somebody else commands from here on
        if not window.full:
            return Advice(_carried_on(window, now), self.advice.scores)
        if not window.plan:
            return Advice(None, self.advice.scores)
        if now.instant_utc < window.end_utc + GRACE:
            return Advice(window, self.advice.scores)
        score = await self._judge(window)
        LOG.info(
            "advise scored from=%s to=%s saved_cny=%s reason=%s",
            score.start_utc.isoformat(timespec="minutes"),
            score.end_utc.isoformat(timespec="minutes"),
            score.saved_cny,
            score.obstacle or "-",
        )
        return self.advice.scored(score)

    async def so_far(self) -> Score | None:
        """The open window as it stands; None without one, or while the disk refuses."""
        window = self.advice.window
        try:
            return None if window is None else await self._judge(window)
        except StoreFault:
            return None

    async def _judge(self, window: Window) -> Score:
        electric_kw = await self._means(f"{self._site.meters.electricity}.electric_power", window.start_utc)
        heat_kw: dict[datetime, float] | None = None
        for loop in self._site.loops.values():
            means = await self._means(f"{loop.meter}.heat_power", window.start_utc)
            heat_kw = (
                means
                if heat_kw is None
                else {start: kw + means[start] for start, kw in heat_kw.items() if start in means}
            )
        return judge(window, electric_kw=electric_kw, heat_kw=heat_kw or {})

    async def _means(self, point: str, from_utc: datetime) -> dict[datetime, float]:
        rollups = await self._store.rollups(point, ROLLUP_MIN, from_utc, from_utc + timedelta(days=2))
        return {rollup.start_utc: rollup.mean for rollup in rollups if rollup.mean is not None}


def _opened(now: Now) -> Window | None:
    """A window that begins with the plan of this very quarter: only that one begins where the plant stands."""
    if now.mode is not Mode.ADVISE or now.plan is None or now.request is None:
        return None
    if not timedelta(0) <= now.instant_utc - now.plan.grid_start_utc < QUARTER:
        return None
    return open_window(now.plan, now.request)


def _carried_on(window: Window, now: Now) -> Window | None:
    """With the quarters that have ended; those whose end nobody saw are not known. None: the clock was set."""
    ended = (now.instant_utc - window.end_utc) // QUARTER
    if not 0 <= ended <= len(window.plan):
        return None
    known = [kwh for kwh in now.stored_kwh.values() if kwh is not None]
    stored_kwh = sum(known) if len(known) == len(now.stored_kwh) else None
    other_kw = None if now.request is None else float(now.request.per_step(now.request.other_load_kw)[0])
    for left in range(min(ended, len(window.plan) - len(window.seen_stored_kwh)), 0, -1):
        fresh = left == 1 and ended == 1
        window = window.seen(stored_kwh=stored_kwh if fresh else None, other_kw=other_kw if fresh else None)
    return window
