"""What a device needs from a wire, whatever the wire is. No frame, no socket, no port."""

from collections.abc import Sequence
from typing import Protocol

from drivers.errors import DeviceRefused, DriverError, NoAnswer
from drivers.read_plan import LineCost, Span

__all__ = ["Bus", "Span", "refusal"]

UNIT_MAX = 247
"""Source: MODBUS over Serial Line V1.02, 2.2."""
EXCEPTIONS = {
    1: "function not supported",
    2: "no such address",
    3: "value not allowed",
    4: "device failure",
    5: "accepted, still working",
    6: "busy",
    8: "memory parity error",
    10: "gateway has no path",
    11: "device behind the gateway is silent",
}
"""Source: Modbus Application Protocol Specification V1.1b3, 7."""
GATEWAY_SILENCE = (10, 11)


class Bus(Protocol):
    """A wire with units on it.

    Attributes:
        name: as in devices.yaml.
        cost: what a read costs here; the read plan asks.
        timeout_s: wall time after which an answer is given up, without the bytes' own time [s].
    """

    name: str
    cost: LineCost
    timeout_s: float

    async def open(self) -> None:
        """Starts the wire; a wire that is not there is not an error, it keeps reopening itself."""
        ...

    async def close(self) -> None:
        """Ends the wire; waiting callers get `LineDown`."""
        ...

    async def read(self, span: Span, *, unit: int) -> tuple[int, ...]:
        """Fetches registers, or bits as 0 and 1; raises only `drivers.errors`."""
        ...

    async def write(self, address: int, values: Sequence[int], *, unit: int, function: int) -> None:
        """Sends registers or bits and checks the echo; raises only `drivers.errors`."""
        ...


def refusal(code: int, what: str) -> DriverError:
    """Builds the error for a Modbus exception answer; a gateway that reports a silent unit counts as silence."""
    text = f"{what}: exception {code} ({EXCEPTIONS.get(code, 'unknown')})"
    return NoAnswer(text) if code in GATEWAY_SILENCE else DeviceRefused(text, code=code)
