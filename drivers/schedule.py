"""When which point is due, how devices of one line keep out of step, how much of a line silent units may take. Pure.

Instants are handed in. Which registers go into one request is the business of `drivers.read_plan`.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from drivers.profile import Profile

DUE_SLACK_RATIO = 0.5
"""A point is due when all but this share of the device's period has passed: callers wake a little early or late, and
points of one device that come due within a cycle share their requests."""
DEAD_SHARE_MAX = 0.05
"""Share of a line's time that all dead units together may take."""
DEAD_LINE_SHARE_MAX = 0.5
"""... and where nobody answers at all: there is nobody to be protected."""
OUT_S = 10.0
"""A line is out when the last request to each of its units failed, and nobody answered for this time."""
PROBE_MIN_S = 10.0
"""A dead unit is tried again after this wall time at the earliest."""
FAILING_SHARE_MAX = 0.2
"""Share of a line's time that unanswered requests to units not yet given up may take, beyond a first burst."""
BURST_MISSES = 4
"""Unanswered requests that a line forgives at once; then whoever failed last waits, and nothing is repeated."""


def point_periods(profile: Profile, *, period_s: float) -> dict[str, float]:
    """How often each point of a device is read [s]: its own period or the device's, never faster than it is renewed.

    Args:
        profile: of the device.
        period_s: of the device, as in devices.yaml.
    """
    refresh_s = profile.timing.refresh_s or 0.0
    return {name: max(spec.period_s or period_s, refresh_s) for name, spec in profile.points.items()}


def phases_s(periods_s: Sequence[float]) -> list[float]:
    """Spreads devices of one line, so that those with the same period do not come due together.

    Args:
        periods_s: `(count,)` of the devices [s].

    Returns:
        `(count,)` delay of each device's grid [s].
    """
    alike = Counter(periods_s)
    seen: Counter[float] = Counter()
    phases: list[float] = []
    for period_s in periods_s:
        phases.append(period_s * seen[period_s] / alike[period_s])
        seen[period_s] += 1
    return phases


class PointSchedule:
    """When the points of one device are due.

    Args:
        periods_s: of each point [s].
        period_s: of the device: how often somebody asks [s].
    """

    def __init__(self, periods_s: Mapping[str, float], *, period_s: float) -> None:
        self._periods = {name: timedelta(seconds=own_s) for name, own_s in periods_s.items()}
        self._soon = timedelta(seconds=period_s)
        self._slack = DUE_SLACK_RATIO * self._soon
        self._due_utc: dict[str, datetime] = {}

    def take(self, now_utc: datetime) -> set[str]:
        """Names the points that are due, and sets when they are due again."""
        due = {name for name in self._periods if self._is_due(name, now_utc)}
        for name in due:
            period = self._periods[name]
            planned_utc = self._due_utc.get(name, now_utc) + period
            # On the grid of the first reading, so that jitter does not add up; anew if periods were missed.
            self._due_utc[name] = planned_utc if now_utc < planned_utc <= now_utc + 2 * period else now_utc + period
        return due

    def soon(self, names: Iterable[str], now_utc: datetime) -> None:
        """Makes slow points due again after one period of the device: they do not wait their own after an outage."""
        soon_utc = now_utc + self._soon
        for name in self._periods.keys() & set(names):
            self._due_utc[name] = min(soon_utc, self._due_utc.get(name, soon_utc))

    def _is_due(self, name: str, now_utc: datetime) -> bool:
        """Whether a point is to be read now; a due time too far ahead means that the clock was set back."""
        if name not in self._due_utc:
            return True
        ahead = self._due_utc[name] - now_utc
        return ahead <= self._slack or ahead > 2 * self._periods[name]


class SilenceBudget:
    """How much of one line its silent units may take, so that the others keep their periods.

    A dead unit gets slots: the next one after max(10 s, 20 x what a miss costs), and as far behind the slot of any
    other dead unit, so that all of them together take a twentieth at most. When one comes back, the others move up
    into the time that it no longer takes. A unit that fails but is not dead yet draws on a common account that refills
    with a fifth of the time.

    Where all units fail, it is the line or the host that is out: each dead one is tried every 10 s, and when the first
    one answers, the others are tried at once.
    """

    def __init__(self) -> None:
        self._units: set[int] = set()
        self._failing: set[int] = set()
        self._heard_at_s = float("-inf")
        self._slots_s: dict[int, float] = {}
        self._costs_s: dict[int, float] = {}
        self._tried_s: dict[int, float] = {}
        self._probed_s = float("-inf")
        self._lost_s = 0.0
        self._lost_at_s = float("-inf")
        self._miss_s = 0.0
        self._lent_misses = 0
        self._lent_slot_s = float("-inf")

    @property
    def dead_units(self) -> Collection[int]:
        """Units that are only probed now and then."""
        return self._slots_s.keys()

    @property
    def probe_interval_s(self) -> float:
        """Wall time after which each dead unit is probed again, with as many dead units as there are now [s]."""
        share_max = DEAD_LINE_SHARE_MAX if self._all_fail else DEAD_SHARE_MAX
        return max(PROBE_MIN_S, sum(self._costs_s.values()) / share_max)

    @property
    def _all_fail(self) -> bool:
        return bool(self._units) and self._units <= self._failing

    def _line_is_out(self, now_s: float) -> bool:
        return self._all_fail and now_s - self._heard_at_s >= OUT_S

    def expect(self, unit: int) -> None:
        """Notes that a unit hangs on the line; only who knows all of them can tell a line from its units."""
        self._units.add(unit)

    def missed(self, unit: int, *, cost_s: float, now_s: float, dead: bool) -> None:
        """Notes a request that nobody answered.

        Args:
            unit: whom it went to.
            cost_s: what it cost the line [s].
            now_s: stop-watch [s].
            dead: whether the unit is given up.
        """
        self._miss_s = cost_s
        self._failing.add(unit)
        if unit in self._slots_s:  # a probe of a dead unit is paid by its slot
            self._probed_s = now_s
        else:
            self._lost_s = self._account_s(now_s) + cost_s
            self._lost_at_s = now_s
        if dead:
            pause_s = cost_s / DEAD_SHARE_MAX
            others_s = [slot_s for other, slot_s in self._slots_s.items() if other != unit]
            last_s = max([*others_s, self._lent_slot_s])
            self._slots_s[unit] = max(now_s + max(PROBE_MIN_S, pause_s), last_s + pause_s)
            self._costs_s[unit] = cost_s
            self._tried_s[unit] = now_s

    def heard(self, unit: int, *, now_s: float) -> None:
        """Notes that a unit answers; if it was dead, or nobody else answered, those still dead close ranks.

        Args:
            unit: who answered.
            now_s: stop-watch [s].
        """
        line_is_back = self._line_is_out(now_s)
        self._failing.discard(unit)
        self._heard_at_s = now_s
        if unit not in self._slots_s and not line_is_back:
            return
        for kept in (self._slots_s, self._costs_s, self._tried_s):
            kept.pop(unit, None)
        free_s = self._probed_s  # a probe in vain is paid by the time since the one before, whoever that went to
        for other in sorted(self._slots_s, key=self._slots_s.__getitem__):
            pause_s = self._costs_s[other] / DEAD_SHARE_MAX
            slot_s = max(self._tried_s[other] + max(PROBE_MIN_S, pause_s), free_s + pause_s)
            slot_s = now_s if line_is_back else slot_s
            self._slots_s[other] = min(self._slots_s[other], slot_s)  # their order stays, nobody moves back
            free_s = max(self._slots_s[other], now_s)

    def may_ask(self, unit: int, *, now_s: float) -> bool:
        """Whether a unit whose last request was not answered may be asked now."""
        if unit in self._slots_s:
            slot_s = self._slots_s[unit]
            if self._line_is_out(now_s):
                slot_s = min(slot_s, self._tried_s[unit] + self.probe_interval_s)
            return now_s >= slot_s
        return self._account_s(now_s) < BURST_MISSES * self._miss_s or not self._miss_s

    def lent_in_vain(self, *, cost_s: float, now_s: float) -> None:
        """Notes that a read lent to somebody else than the line's own units met silence.

        A first burst is forgiven; then such reads queue for slots among the dead units, as if they went to one more.
        """
        pause_s = cost_s / DEAD_SHARE_MAX
        if now_s > self._lent_slot_s + BURST_MISSES * pause_s:
            self._lent_misses = 0  # it has been quiet long enough to pay for another burst
        self._lent_misses += 1
        self._lent_slot_s = max(self._lent_slot_s, now_s)
        if self._lent_misses >= BURST_MISSES:
            self._lent_slot_s = max([now_s, *self._slots_s.values()]) + pause_s

    def lent_at_s(self, now_s: float) -> float:
        """From when on a read may be lent that perhaps meets silence [s]."""
        return max(now_s, self._lent_slot_s)

    def _account_s(self, now_s: float) -> float:
        """What is still owed for unanswered requests [s]."""
        if not self._lost_s:
            return 0.0
        return max(0.0, self._lost_s - FAILING_SHARE_MAX * (now_s - self._lost_at_s))
