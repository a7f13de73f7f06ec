"""One simulated Modbus device: measures the plant, keeps its registers, obeys writes, logs what it serves.

The same object answers on a serial line and behind a TCP port; both go through one pymodbus `SimDevice`, so that both
wires have the same register semantics. Not here: frames, timing, sockets (hil_sim.line, hil_sim.devices.tcp).

Threads: a device is served by one wire, thus by one thread. `truth` and `command` are called in that thread, one call a
register quantity; the caller guards the plant. The fault switches may be thrown from any thread.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from pymodbus.constants import ExcCodes
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.simulator import DataType, SimData, SimDevice
from pymodbus.simulator.simcore import SimCore

from hil_sim.devices.catalogue import MODELS
from hil_sim.devices.encode import WordOrder, Words
from hil_sim.devices.instrument import Gauge, Inside
from hil_sim.devices.registers import HOLDING, INPUT, Command, Quantity
from hil_sim.wire_log import WireLog

WRITE_SINGLE: Final = 6
WRITE_SEVERAL: Final = 16
READS: Final = (HOLDING, INPUT)
SWITCH_OPEN_BELOW: Final = 0.5
EXCEPTION_BIT: Final = 0x80
SPANS_REMEMBERED_MAX: Final = 1000
"""A master reads the same few spans for ever; one that does not shall not fill the memory."""


class _Measured:
    """A quantity in its registers: measures when its update is due, remembers the words."""

    __slots__ = (
        "_gauge",
        "_order",
        "_quantity",
        "_update",
        "address",
        "corrupt_answers",
        "corrupt_delta",
        "inside",
        "name",
        "words",
    )

    def __init__(self, quantity: Quantity, *, device: str, order: WordOrder, seed: int) -> None:
        self._quantity = quantity
        self._gauge = Gauge(quantity.instrument, seed=seed, device=device, quantity=quantity.name)
        self._order = order
        self._update: int | None = None
        self.name = quantity.name
        self.address = quantity.layout.address
        self.words: Words = ()
        self.inside: Inside | None = None
        self.corrupt_delta = 0.0
        self.corrupt_answers = 0

    def measure(self, instant_s: float, truth: Callable[[str], float]) -> None:
        """Brings `words` and `inside` up to date."""
        update = self._gauge.update_number(instant_s)
        if self.words and update is not None and update == self._update:
            return
        quantity = self._quantity
        self._update = update
        if quantity.valid_while is not None and truth(quantity.valid_while) < SWITCH_OPEN_BELOW:
            shown = None
        elif quantity.constant is not None:
            shown = quantity.constant
        else:
            shown = self._gauge.reading(truth(quantity.name), update)
        self.words = quantity.layout.to_words(shown, self._order)
        self.inside = quantity.layout.to_inside(self.words, self._order)

    def words_on_wire(self) -> Words:
        """The words for one more answer: true ones, or wrong ones while the fault switch says so."""
        if not self.corrupt_answers:
            return self.words
        self.corrupt_answers -= 1
        return self._quantity.layout.to_words((self.inside or 0.0) + self.corrupt_delta, self._order)


class _Commanded:
    """A writable register. The plant keeps its content: the panel of a unit writes there as well as the wire."""

    __slots__ = ("_command", "_order", "address", "inside", "name", "words")

    def __init__(self, command: Command, *, order: WordOrder) -> None:
        self._command = command
        self._order = order
        self.name = command.name
        self.address = command.number.address
        self.words: Words = ()
        self.inside: Inside | None = None

    def measure(self, _instant_s: float, truth: Callable[[str], float]) -> None:
        """Brings `words` and `inside` up to date."""
        self.words = self._command.number.to_words(truth(self.name), self._order)
        self.inside = self._command.number.to_inside(self.words, self._order)

    def words_on_wire(self) -> Words:
        """The words for one more answer."""
        return self.words

    def value_of(self, raw: int) -> Inside | None:
        """The inside value of a raw one that is to be written; None if the device does not take it."""
        inside = self._command.number.to_inside((raw,), self._order)
        if inside is None or not self._command.accepts(inside):
            return None
        return min(max(inside, self._command.low), self._command.high)  # counts times scale may miss a limit by a hair


_Content = _Measured | _Commanded


class DeviceServer:
    """A device of the simulated plant as its wire sees it.

    Attributes:
        name: name of the device in the plant, the wire log and the score.
        unit: its unit number on the wire.
        map: what it shows.
        muted: fault: neither answers nor obeys, as if without power.
        late_s: fault: every answer leaves this much later [wall s].
    """

    def __init__(
        self,
        name: str,
        unit: int,
        model: str,
        *,
        truth: Callable[[str], float],
        command: Callable[[str, float], None],
        seed: int,
        now_s: Callable[[], float],
        log: WireLog,
    ) -> None:
        """Prepares the registers; the plant is not asked before the first request.

        Args:
            name: name of the device.
            unit: unit number, 1..247.
            model: a name of `hil_sim.devices.catalogue.MODELS`.
            truth: true value [inside unit] of a quantity or command of this device, by name.
            command: takes an accepted write: name, value [inside unit]; `truth` then returns that value.
            seed: of the instrument errors; the same seed gives the same meters.
            now_s: simulated time [s since 1970].
            log: where every served value is noted.
        """
        self.name = name
        self.unit = unit
        self.map = MODELS[model]
        self.muted = False
        self.late_s = 0.0
        self._truth = truth
        self._command = command
        self._now_s = now_s
        self._log = log
        order = self.map.order
        self._measured = {
            quantity.name: _Measured(quantity, device=name, order=order, seed=seed) for quantity in self.map.quantities
        }
        self._commanded = {command.number.address: _Commanded(command, order=order) for command in self.map.commands}
        self._contents: dict[int, tuple[tuple[_Content, int], ...]] = {
            INPUT: tuple((self._measured[q.name], q.layout.count) for q in self.map.quantities if q.function == INPUT),
            HOLDING: (
                *((self._measured[q.name], q.layout.count) for q in self.map.quantities if q.function == HOLDING),
                *((commanded, 1) for commanded in self._commanded.values()),
            ),
        }
        self._functions = {block.function for block in self.map.blocks} | (
            {WRITE_SINGLE, WRITE_SEVERAL} if self.map.commands else set()
        )
        self._spans: dict[tuple[int, int, int], tuple[tuple[_Content, bool], ...]] = {}
        self._decoder = DecodePDU(is_server=True)
        self._core = SimCore(self.sim_device(self._act_at_once))

    # ------------------------------------------------------------------------------------------------- fault switches
    def mute(self, on: bool) -> None:  # noqa: FBT001 - a switch, thrown as mute(True)
        """Takes the device off the wire, or puts it back."""
        self.muted = on

    def delay(self, late_s: float) -> None:
        """Makes every answer leave later [wall s]; 0 ends it."""
        self.late_s = late_s

    def corrupt_value(self, quantity: str, delta: Inside, *, answers: int = 1) -> None:
        """Puts wrong registers on the wire for the next answers; the log keeps the true ones: a judge must notice.

        Raises:
            KeyError: the device measures no such quantity.
        """
        measured = self._measured[quantity]
        measured.corrupt_delta, measured.corrupt_answers = delta, answers

    # ------------------------------------------------------------------------------------------------------- serving
    def requested(self, function: int) -> None:
        """Notes that a request frame has reached the device."""
        self._log.request(self.name, function=function, instant_s=self._now_s())

    def answer(self, request: bytes) -> bytes | None:
        """The answer to a request of this instant, both without unit number and check sum; None: silence."""
        if self.muted:
            return None
        function = request[0]
        if function not in self._functions:
            return bytes((function | EXCEPTION_BIT, ExcCodes.ILLEGAL_FUNCTION))
        pdu = self._decoder.decode(request)
        if pdu is None:
            return bytes((function | EXCEPTION_BIT, ExcCodes.ILLEGAL_VALUE))
        # pymodbus declares the data store that version 4 removes; its own servers pass a SimCore as well.
        response: ModbusPDU = _finish(pdu.datastore_update(self._core, self.unit))  # type: ignore[arg-type]
        return bytes((response.function_code,)) + response.encode()

    def sim_device(
        self,
        action: Callable[
            [int, int, int, int, list[int], list[int] | list[bool] | None], Coroutine[None, None, ExcCodes | None]
        ],
    ) -> SimDevice:
        """The device for a pymodbus server; the action brings the registers to life, see `act`."""
        # pymodbus wants four tables and refuses empty ones; coils that exist for it are refused in `act`.
        no_coils = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        return SimDevice(
            id=self.unit, simdata=(no_coils, list(no_coils), self._table(HOLDING), self._table(INPUT)), action=action
        )

    def act(
        self, function: int, start: int, address: int, *, count: int, registers: list[int], values: Sequence[int] | None
    ) -> ExcCodes | None:
        """Brings the registers of a read up to date and logs what they show, or judges and passes on a write.

        Args:
            function: function code of the request.
            start: address of registers[0].
            address: first address of the request.
            count: how many registers.
            registers: the table's registers, changed in place.
            values: raw values to be written; None for a read.

        Returns:
            The exception code to answer with, or None.
        """
        if function not in self._functions:
            return ExcCodes.ILLEGAL_FUNCTION
        if self.muted:
            return ExcCodes.DEVICE_FAILURE  # never leaves the server: the wire of a muted device is silent
        if values is not None:
            return self._write(address, values)
        if function in READS:
            if count > self.map.registers_per_read_max:
                return ExcCodes.ILLEGAL_VALUE
            self._refresh((function, address, count), start, registers)
        return None

    def _refresh(self, span: tuple[int, int, int], start: int, registers: list[int]) -> None:
        contents = self._spans.get(span)
        if contents is None:
            contents = self._contents_of(span)
            if len(self._spans) < SPANS_REMEMBERED_MAX:
                self._spans[span] = contents
        instant_s = self._now_s()
        for content, whole in contents:
            content.measure(instant_s, self._truth)
            words = content.words_on_wire()
            offset = content.address - start
            registers[offset : offset + len(words)] = words
            if whole:
                self._log.serve(self.name, content.name, instant_s=instant_s, value=content.inside)

    def _contents_of(self, span: tuple[int, int, int]) -> tuple[tuple[_Content, bool], ...]:
        """What lies in a span of registers, and whether all of it does."""
        function, first, count = span
        return tuple(
            (content, first <= content.address and content.address + size <= first + count)
            for content, size in self._contents[function]
            if content.address < first + count and first < content.address + size
        )

    def _write(self, address: int, values: Sequence[int]) -> ExcCodes | None:
        accepted: list[tuple[str, Inside]] = []
        for place, raw in enumerate(values, address):
            commanded = self._commanded.get(place)
            if commanded is None:
                return ExcCodes.ILLEGAL_ADDRESS
            inside = commanded.value_of(raw)
            if inside is None:
                return ExcCodes.ILLEGAL_VALUE
            accepted.append((commanded.name, inside))
        for name, inside in accepted:  # all or none: a refused frame changes nothing
            self._command(name, inside)
        return None

    def _table(self, function: int) -> list[SimData]:
        """The registers that exist for a function code, for pymodbus; only commands are writable."""
        raw_at = {address: raw for table, address, raw in self.map.fixed if table == function}
        table = [
            SimData(
                address,
                values=[raw_at.get(address, 0)],
                datatype=DataType.REGISTERS,
                readonly=not (function == HOLDING and address in self._commanded),
            )
            for block in self.map.blocks
            if block.function == function
            for address in range(block.first, block.last + 1)
        ]
        return table or [SimData(0, datatype=DataType.INVALID)]

    async def _act_at_once(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        return self.act(function, start, address, count=count, registers=registers, values=values)


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the coroutine returns
    """Result of a coroutine that never waits: a loop of its own would cost more than the answer."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError("the register store waited for something")
