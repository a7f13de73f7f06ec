"""Lends the service's wires for single reads of the commissioning verbs. No read is lent that could write.

A lent read takes a turn like any poll and goes behind those that are due; silence that it meets is paid from the
line's own budget for silent units, so that a scan through the service never takes more of a line than those may.
"""

import math
from collections.abc import Callable, Mapping

from drivers.bus.base import UNIT_MAX, Bus, Span
from drivers.bus.modbus_tcp import ModbusTcpBus
from drivers.errors import DeviceRefused, DriverError, LineDown, NoAnswer, ProtocolFault
from drivers.link import LineShare
from drivers.profile import ADDRESS_MAX, BITS_PER_READ_MAX, REGISTERS_PER_READ_MAX
from drivers.read_plan import READ_FUNCTION_BITS_LAST
from edge_agent.errors import EdgeAgentError

READ_FUNCTIONS = (1, 2, 3, 4)
TCP_UNIT_MAX = 255
BEHIND_S = 5.0
"""A lent read queues as if it had come due so much later [s]: polls that are due go first, and it is not starved."""


class Lender:
    """Lends wires.

    Args:
        buses: by name.
        shares: what the units of each line share.
        elapsed_s: stop-watch of the machine [s].
    """

    def __init__(
        self, buses: Mapping[str, Bus], *, shares: Mapping[str, LineShare], elapsed_s: Callable[[], float]
    ) -> None:
        self._buses = buses
        self._shares = shares
        self._elapsed_s = elapsed_s

    async def read(self, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """One read: `bus`, `unit`, `function`, `address`, `count`.

        Returns:
            `registers`; or `wait_s`: nothing was asked, the line has no time for another silent unit until then; or
            `fault`: what the wire said.

        Raises:
            EdgeAgentError: no such bus, or not a legal read.
        """
        bus, unit, span = self._legal(arguments)
        share = self._shares[bus.name]
        async with share.turn(self._elapsed_s() + BEHIND_S):
            wait_s = share.silence.lent_at_s(self._elapsed_s()) - self._elapsed_s()
            if wait_s > 0:
                return {"wait_s": math.ceil(1000 * wait_s) / 1000}
            try:
                return {"registers": list(await bus.read(span, unit=unit))}
            except DeviceRefused as error:
                return {"fault": "refused", "code": error.code, "message": str(error)}
            except DriverError as error:
                if isinstance(error, NoAnswer | ProtocolFault):
                    share.silence.lent_in_vain(cost_s=bus.miss_s(unit), now_s=self._elapsed_s())
                kinds: dict[type[DriverError], str] = {NoAnswer: "no_answer", LineDown: "line_down"}
                return {"fault": kinds.get(type(error), "protocol"), "message": str(error)}

    def _legal(self, arguments: Mapping[str, object]) -> tuple[Bus, int, Span]:
        numbers = [arguments.get(key) for key in ("unit", "function", "address", "count")]
        bus = self._buses.get(str(arguments.get("bus")))
        if bus is None or not all(isinstance(number, int) for number in numbers):
            raise EdgeAgentError("bus_read: 参数不对 / bad arguments")
        unit, function, address, count = (int(str(number)) for number in numbers)
        # Unit 0 is a broadcast on a serial line; on TCP, 0 and 255 mean the device that has the connection.
        units = range(TCP_UNIT_MAX + 1) if isinstance(bus, ModbusTcpBus) else range(1, UNIT_MAX + 1)
        legal = unit in units and function in READ_FUNCTIONS and 0 <= address <= address + count - 1 <= ADDRESS_MAX
        if not legal or count > (BITS_PER_READ_MAX if function <= READ_FUNCTION_BITS_LAST else REGISTERS_PER_READ_MAX):
            raise EdgeAgentError("bus_read: 参数超出范围 / arguments out of range")
        return bus, unit, Span(function, address, count)
