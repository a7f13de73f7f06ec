"""One unit behind a bus: asks it, writes to it, counts its silence, times its answers, lets it rest while it is dead.

A unit that does not answer costs its neighbours their turn; how often it may be tried is reckoned in
`drivers.schedule`. What the registers mean is the business of `drivers.device`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median

from drivers.bus.base import Bus, Registers, Span
from drivers.errors import DeviceRefused, NoAnswer, ProtocolFault, WriteForbidden
from drivers.schedule import SilenceBudget
from drivers.turns import Turns

DEAD_AFTER = 3
"""Unanswered requests in a row after which a unit is taken for dead ..."""
DEAD_AFTER_SHY = 4
"""... and of one that answers bad addresses with silence: the read, then three single points."""
SLOW_S = 0.25
"""An answer that is waited for longer than this [wall s] keeps the line from the others."""
PACES_KEPT = 9
PACES_MIN = 3
"""Answers timed before a unit's own turnaround is believed; the median of the last ones counts."""


@dataclass(frozen=True, slots=True)
class LineShare:
    """What the units of one line share.

    Attributes:
        turns: whose request goes next.
        silence: what silent units may take.
        gives_way_s: after which time a request lets those to other units pass that are still waiting [wall s]; it says
            None where the wire carries one request at a time, to its end.
    """

    turns: Turns = field(default_factory=Turns)
    silence: SilenceBudget = field(default_factory=SilenceBudget)
    gives_way_s: Callable[[], float | None] = lambda: None

    @asynccontextmanager
    async def turn(self, due_s: float) -> AsyncIterator[None]:
        """Waits for the turn of a request and holds it; an overdue one lets others pass where the wire can.

        Args:
            due_s: since when it is due [s].
        """
        async with self.turns.turn(due_s) as give_way:
            gives_way_s = self.gives_way_s()
            if gives_way_s is None:
                yield
                return
            overdue = asyncio.get_running_loop().call_later(gives_way_s, give_way)
            try:
                yield
            finally:
                overdue.cancel()


class UnitLink:
    """A unit on a bus.

    Args:
        bus: the wire.
        unit: its Modbus address.
        elapsed_s: stop-watch of the machine [s].
        share: shared with the other units of the line; None: alone on it.
        may_write: asked before every frame that writes; False: it does not leave. Without it none ever leaves.
        shy: it answers bad addresses with silence.
    """

    def __init__(
        self,
        bus: Bus,
        unit: int,
        *,
        elapsed_s: Callable[[], float],
        share: LineShare | None = None,
        may_write: Callable[[], bool] = lambda: False,
        shy: bool = False,
    ) -> None:
        self.bus = bus
        self.unit = unit
        self.share = share or LineShare()
        self.share.silence.expect(unit)
        self._elapsed_s = elapsed_s
        self._may_write = may_write
        self._dead_after = DEAD_AFTER_SHY if shy else DEAD_AFTER
        self._missed = 0
        self._silent = self._slow = False
        self._paces_s: deque[float] = deque(maxlen=PACES_KEPT)

    @property
    def answering(self) -> bool:
        """Whether its last request was answered (or there was none yet)."""
        return self._missed == 0

    @property
    def silent(self) -> bool:
        """Whether its last request was in vain, whatever that says of the unit."""
        return self._silent

    @property
    def slow(self) -> bool:
        """Whether its last answer kept the others waiting."""
        return self._slow

    @property
    def dead(self) -> bool:
        """Whether it has been silent so long that it is only probed now and then."""
        return self._missed >= self._dead_after

    @property
    def last_chance(self) -> bool:
        """Whether one more unanswered request takes it for dead."""
        return self._missed == self._dead_after - 1

    @property
    def resting(self) -> bool:
        """Whether it failed last and the line has no time for another try now."""
        return not self.answering and self.line_spent

    @property
    def line_spent(self) -> bool:
        """Whether the line has no time for another unanswered request now."""
        return not self.share.silence.may_ask(self.unit, now_s=self._elapsed_s())

    @property
    def turnaround_s(self) -> float | None:
        """How long it thinks before it answers, as seen so far [s]; None: not known yet."""
        return median(self._paces_s) if len(self._paces_s) >= PACES_MIN else None

    async def ask(self, span: Span, *, trial: bool = False) -> Sequence[int]:
        """One read on the wire, at once.

        Args:
            span: what to read.
            trial: silence may mean the addresses and does not count towards taking the unit for dead.

        Raises:
            DriverError: as `Bus.read`.
        """
        begin_s = self._elapsed_s()
        try:
            registers = await self.bus.read(span, unit=self.unit)
        except (NoAnswer, ProtocolFault):
            self._miss(trial=trial)
            raise
        except DeviceRefused:
            self._hear()  # a refusal is a sign of life
            raise
        self._hear()
        cost = self.bus.cost
        end_s = registers.complete_s if isinstance(registers, Registers) else self._elapsed_s()
        pace_s = end_s - begin_s - (cost.price_s(span) - cost.turnaround_s)
        self._slow = pace_s > SLOW_S
        if pace_s > 0.0:  # faster than the wire allows is no measurement
            self._paces_s.append(pace_s)
        return registers

    async def ask_in_turn(self, span: Span, *, due_s: float, trial: bool = False) -> Sequence[int]:
        """One read on the wire, when it is this request's turn; an overdue one lets others pass where the wire can.

        Args:
            span: what to read.
            due_s: since when it is due [s].
            trial: as in `ask`.

        Raises:
            DriverError: as `Bus.read`.
        """
        async with self.share.turn(due_s):
            return await self.ask(span, trial=trial)

    async def send(self, address: int, values: Sequence[int], *, function: int) -> None:
        """One write on the wire, sent once.

        Raises:
            WriteForbidden: the mode of the plant allows no write.
            DriverError: as `Bus.write`.
        """
        if not self._may_write():
            raise WriteForbidden(f"{self.bus.name}: unit {self.unit}: no write leaves in this mode")
        try:
            await self.bus.write(address, values, unit=self.unit, function=function, permit=self._may_write)
        except (NoAnswer, ProtocolFault):
            self._miss()
            raise
        self._hear()

    def _miss(self, *, trial: bool = False) -> None:
        self._silent = True
        self._missed += not trial
        self.share.silence.missed(self.unit, cost_s=self.bus.miss_s(self.unit), now_s=self._elapsed_s(), dead=self.dead)

    def _hear(self) -> None:
        self._silent = False
        self._missed = 0
        self.share.silence.heard(self.unit, now_s=self._elapsed_s())
