"""What a device needs from a wire, whatever the wire is. No frame, no socket, no port."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from drivers.errors import DeviceRefused, DriverError, NoAnswer
from drivers.profile import Limits
from drivers.read_plan import LineCost, Span

__all__ = ["Bus", "BusCounts", "Registers", "Span", "UnitTiming", "refusal"]

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
NO_LIMITS = Limits()
"""Of a unit whose model is not known."""


@dataclass(frozen=True, slots=True)
class UnitTiming:
    """What is known of a unit before it is first asked; the wire learns the rest of its pace. None: the wire's default.

    Attributes:
        timeout_s: wall time from the end of a request after which it will not answer [s].
        guard_s: rest that it needs between its answer and the next request to it [s].
        latest_answer_s: wall time after which even a late answer can come no more [s].
        connect_delay_s: rest that it needs after a connection is made, before the first request [s].
        limits: what it may be asked at all, where the wire itself asks something (a proof that it is in step).
    """

    timeout_s: float | None = None
    guard_s: float = 0.0
    latest_answer_s: float | None = None
    connect_delay_s: float = 0.0
    limits: Limits = NO_LIMITS


@dataclass(slots=True)
class BusCounts:
    """What happened on a wire since it was made; read it, do not change it.

    Attributes:
        requests: frames sent.
        answers: answers accepted (refusals by the device included).
        silent: requests that nobody answered.
        damaged: something came that was not the answer; never a value.
        late: answers that came after they were given up, and were thrown away.
        stray_bytes: bytes that nobody asked for.
        reopened: times that the port or the connection came back.
        echoed: requests that the adapter gave back (line echo) and that were taken off; above 0: the line echoes.
        writes: frames sent with a function code that writes.
        busy_s: wall time spent on transactions, rests after failures included [s].
        cpu_s: processor time of the wire's own thread; 0 where it has none [s].
    """

    requests: int = 0
    answers: int = 0
    silent: int = 0
    damaged: int = 0
    late: int = 0
    stray_bytes: int = 0
    reopened: int = 0
    echoed: int = 0
    writes: int = 0
    busy_s: float = 0.0
    cpu_s: float = 0.0


class Registers(tuple[int, ...]):  # noqa: SLOT001 - a tuple has no room for slots of its own
    """What a wire answered that knows when: its thread took the answer in, whenever the event loop comes to it.

    Attributes:
        complete_s: when the answer was complete, on the machine's stop-watch [s].
    """

    complete_s: float

    def __new__(cls, values: Iterable[int], complete_s: float) -> Self:
        """Makes it of registers, or of bits as 0 and 1."""
        made = super().__new__(cls, values)
        made.complete_s = complete_s
        return made


class Bus(Protocol):
    """A wire with units on it.

    Attributes:
        name: as in devices.yaml.
        cost: what a read costs here; the read plan asks.
        counts: what happened on it.
    """

    name: str
    cost: LineCost
    counts: BusCounts

    def expect(self, unit: int, timing: UnitTiming) -> None:
        """Tells the pace of a unit, before `open`."""
        ...

    def miss_s(self, unit: int) -> float:
        """What an unanswered request to a unit costs the wire: time-out, and the rest that follows it [s]."""
        ...

    async def open(self) -> None:
        """Starts the wire; a wire that is not there is not an error, it keeps reopening itself."""
        ...

    async def close(self) -> None:
        """Ends the wire; waiting callers get `LineDown`."""
        ...

    async def read(self, span: Span, *, unit: int) -> tuple[int, ...]:
        """Fetches registers, or bits as 0 and 1; raises only `drivers.errors`.

        A wire with a thread of its own returns `Registers`; of another one, whose answers the event loop itself takes
        in, nobody knows an earlier instant than that of the return.
        """
        ...

    async def write(
        self,
        address: int,
        values: Sequence[int],
        *,
        unit: int,
        function: int,
        permit: Callable[[], bool] | None = None,
    ) -> None:
        """Sends registers or bits and checks the echo; raises only `drivers.errors`.

        `LineDown` means that not one byte has left; a connection lost later is `NoAnswer`. `permit` is asked right
        before the first byte is sent, perhaps from another thread; if it says no, nothing leaves: `WriteForbidden`.
        """
        ...


def refusal(code: int, what: str) -> DriverError:
    """Builds the error for a Modbus exception answer; a gateway that reports a silent unit counts as silence."""
    text = f"{what}: exception {code} ({EXCEPTIONS.get(code, 'unknown')})"
    return NoAnswer(text) if code in GATEWAY_SILENCE else DeviceRefused(text, code=code)
