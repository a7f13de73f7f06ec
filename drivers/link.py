"""One unit behind a bus: asks it, writes to it, keeps count of its silence, and leaves it alone while it is dead.

A unit that does not answer costs its neighbours their turn; how often it may be tried is decided here. What the
registers mean is the business of `drivers.device`.
"""

from collections.abc import Callable, Sequence

from drivers.bus.base import Bus, Span
from drivers.errors import DeviceRefused, NoAnswer, ProtocolFault

DEAD_AFTER = 3
"""Unanswered requests in a row after which a unit is taken for dead."""
PROBE_MIN_S = 10.0
"""A dead unit is tried again after this wall time at the earliest ..."""
PROBE_MISSES = 20
"""... and after this many times what an unanswered request costs: alone it then costs its line at most a twentieth."""


class UnitLink:
    """A unit on a bus.

    Args:
        bus: the wire.
        unit: its Modbus address.
        elapsed_s: stop-watch of the machine [s].
    """

    def __init__(self, bus: Bus, unit: int, *, elapsed_s: Callable[[], float]) -> None:
        self.bus = bus
        self.unit = unit
        self._elapsed_s = elapsed_s
        self._missed = 0
        self._probe_at_s = float("-inf")

    @property
    def answering(self) -> bool:
        """Whether its last request was answered (or there was none yet)."""
        return self._missed == 0

    @property
    def dead(self) -> bool:
        """Whether it has been silent so long that it is only probed now and then."""
        return self._missed >= DEAD_AFTER

    @property
    def resting(self) -> bool:
        """Whether it is dead and the time for the next probe has not come."""
        return self.dead and self._elapsed_s() < self._probe_at_s

    async def ask(self, span: Span) -> Sequence[int]:
        """One read on the wire.

        Raises:
            DriverError: as `Bus.read`.
        """
        try:
            registers = await self.bus.read(span, unit=self.unit)
        except (NoAnswer, ProtocolFault):
            self._miss()
            raise
        except DeviceRefused:
            self._missed = 0  # a refusal is a sign of life
            raise
        self._missed = 0
        return registers

    async def send(self, address: int, values: Sequence[int], *, function: int) -> None:
        """One write on the wire, sent once.

        Raises:
            DriverError: as `Bus.write`.
        """
        try:
            await self.bus.write(address, values, unit=self.unit, function=function)
        except (NoAnswer, ProtocolFault):
            self._miss()
            raise
        self._missed = 0

    def _miss(self) -> None:
        self._missed += 1
        self._probe_at_s = self._elapsed_s() + max(PROBE_MIN_S, PROBE_MISSES * self.bus.miss_s(self.unit))
