"""One simulated Modbus device: measures the plant, keeps its registers, obeys writes, logs what it serves.

The same object answers on a serial line and behind a TCP port. Not here: what a model shows (hil_sim.devices.maps),
frames, timing, sockets (hil_sim.line, hil_sim.devices.tcp).

Threads: a device is served by one wire, thus by one thread. `truth` and `command` are called in that thread, one call a
register quantity; the caller guards the plant. The fault switches may be thrown from any thread.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from hil_sim.devices.catalogue import MODELS
from hil_sim.devices.contents import Commanded, Content, FaultSwitches, Measured
from hil_sim.devices.instrument import Inside
from hil_sim.devices.pdu import (
    DEVICE_FAILURE,
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    Read,
    Refused,
    Write,
    exception_answer,
    parse,
    read_answer,
    write_answer,
)
from hil_sim.devices.registers import HOLDING, INPUT, Command, Trap
from hil_sim.plant.commands import CommandRefused
from hil_sim.wire_log import WireLog

SPANS_REMEMBERED_MAX: Final = 1000
"""A master reads the same few spans for ever; one that does not shall not fill the memory."""
SERIAL_NUMBERS: Final = range(10_000_000, 100_000_000)


class _Silence(Exception):
    """The device does not answer this request."""


@dataclass(frozen=True, slots=True)
class _Span:
    """What lies in a span of registers: settings (zero elsewhere), contents, and whether all of a content is inside."""

    settings: tuple[int, ...]
    contents: tuple[tuple[Content, bool], ...]


class DeviceServer:
    """A device of the simulated plant as its wire sees it.

    Attributes:
        name: name of the device in the plant, the wire log and the score.
        unit: its unit number on the wire.
        map: what it shows.
        muted: fault: neither answers nor obeys, as if without power.
        late_s: fault: every answer leaves this much later [wall s].
        serial: its serial number.
        writes: accepted writes of each command, those that changed nothing included.
        wear: those of them that wear a memory.
        harm: writes to registers that must not be written, by what they did.
        actions: how often the action behind a pulse that the master must put back ran.
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
            command: takes an accepted write: name, value [inside unit]; `truth` then returns that value. CommandRefused
                makes the answer an exception.
            seed: of the instrument errors; the same seed gives the same meters.
            now_s: simulated time [s since 1970].
            log: where every served value is noted.
        """
        self.name = name
        self.unit = unit
        self.map = MODELS[model]
        self.muted = False
        self.late_s = 0.0
        self.serial = Random(f"{seed}/{name}/serial").choice(SERIAL_NUMBERS)  # noqa: S311 - number of a simulated meter
        self.writes: Counter[str] = Counter()
        self.wear: Counter[str] = Counter()
        self.harm: Counter[str] = Counter()
        self.actions: Counter[str] = Counter()
        self._truth = truth
        self._command = command
        self._now_s = now_s
        self._log = log
        self._switches = FaultSwitches()
        self._functions = self.map.known_functions()
        self._measured = {
            quantity.name: Measured(
                quantity, device=name, order=self.map.order, seed=seed, serial=self.serial, switches=self._switches
            )
            for quantity in self.map.quantities
        }
        self._commanded: dict[tuple[int, int], Commanded] = {
            (command.function, command.number.address): Commanded(
                command, order=self.map.order, switches=self._switches
            )
            for command in self.map.commands
        }
        self._contents: tuple[tuple[int, Content, int], ...] = (
            *((q.function, self._measured[q.name], q.layout.count) for q in self.map.quantities),
            *((c.command.function, c, c.command.number.count) for c in self._commanded.values()),
        )
        self._settings = {(function, address): raw for function, address, raw in self.map.fixed}
        self._existing = {
            (block.function, address) for block in self.map.blocks for address in range(block.first, block.last + 1)
        }
        self._mute_holes: set[tuple[int, int]] = set()
        self._spans: dict[Read, _Span] = {}
        self._meter_read_s: float | None = None
        self._fed_s: float | None = None
        self._pulses: dict[str, float] = {}

    # ------------------------------------------------------------------------------------------------- fault switches
    def mute(self, on: bool) -> None:  # noqa: FBT001 - a switch, thrown as mute(True); the other ones likewise
        """Takes the device off the wire, or puts it back."""
        self.muted = on

    def delay(self, late_s: float) -> None:
        """Makes every answer leave later [wall s]; 0 ends it."""
        self.late_s = late_s

    def refuse(self, code: int) -> None:
        """Answers every request with an exception code; 0 ends it."""
        self._switches.exception = code

    def freeze(self, on: bool) -> None:  # noqa: FBT001
        """Shows for ever what it showed last; the log holds that too, since the device really says so."""
        self._switches.frozen = on

    def zero_counters(self, on: bool) -> None:  # noqa: FBT001
        """Makes counters show zero, as of a meter without its sensors; the log keeps the true ones."""
        self._switches.zeroed = on

    def swap_words(self, on: bool) -> None:  # noqa: FBT001
        """Turns the word order over, as after another firmware; the log keeps the true values."""
        self._switches.swapped = on

    def remove_sensor(self, quantity: str, on: bool = True) -> None:  # noqa: FBT001, FBT002
        """Shows the invalid mark of a quantity.

        Raises:
            KeyError: the device measures no such quantity.
        """
        measured = self._measured[quantity]
        (self._switches.absent.add if on else self._switches.absent.discard)(quantity)
        measured.look_again()

    def corrupt_value(self, quantity: str, delta: Inside, *, answers: int = 1) -> None:
        """Puts wrong registers on the wire for the next answers; the log keeps the true ones: a judge must notice.

        Raises:
            KeyError: the device measures no such quantity.
        """
        measured = self._measured[quantity]
        measured.corrupt_delta, measured.corrupt_answers = delta, answers

    def tear(self, quantity: str, *, answers: int = 1) -> None:
        """Serves a number of several registers caught between two values; the log keeps the true one.

        Raises:
            KeyError: the device measures no such quantity.
            ValueError: it lies in one register.
        """
        measured = self._measured[quantity]
        if measured.quantity.layout.count == 1:
            raise ValueError(f"{self.map.model} {quantity} lies in one register, which cannot be torn")
        measured.tear_answers = answers

    def jitter(self, quantity: str, amplitude: Inside, *, dice: Random) -> Callable[[], None]:
        """Lets a sensor flutter; the log follows: the device really says so. Returns what ends it.

        Raises:
            KeyError: the device measures no such quantity.
        """
        self._measured[quantity].look_again()
        steady = self._truth

        def fluttering(name: str) -> float:
            return steady(name) + (dice.uniform(-amplitude, amplitude) if name == quantity else 0.0)

        def end() -> None:
            self._truth = steady

        self._truth = fluttering
        return end

    def reset_counters(self, start: Inside = 0.0) -> None:
        """Lets every counter go on from another value; the log follows: the device really shows it."""
        for measured in self._measured.values():
            measured.restart(start)

    def exchange(self, *, start: Inside = 0.0) -> int:
        """Puts another meter of the model in its place: new errors, its own counts, the serial number returned."""
        former = self.serial
        self.serial = SERIAL_NUMBERS[(former - SERIAL_NUMBERS.start + 1_234_567) % len(SERIAL_NUMBERS)]
        for measured in self._measured.values():
            measured.serial = self.serial
            measured.restart(start, meter=f"{self.name}/{self.serial}")
        return self.serial

    def add_hole(self, function: int, first: int, last: int, *, silent: bool = False) -> None:
        """Takes registers away, first to last: reading them gets exception 2, or no answer."""
        gone = {(function, address) for address in range(first, last + 1)}
        if silent:
            self._mute_holes |= gone
        else:
            self._existing -= gone
        self._spans.clear()

    # ------------------------------------------------------------------------------------------------------- serving
    def requested(self, function: int) -> None:
        """Notes that a request frame has reached the device."""
        self._log.request(self.name, function=function, instant_s=self._now_s())

    def answer(self, request: bytes) -> bytes | None:
        """The answer to a request of this instant, both without unit number and check sum; None: silence."""
        if self.muted:
            return None
        self.settle()
        try:
            return self._respond(request)
        except _Silence:
            return None
        except Refused as refused:
            return None if self.map.silent else exception_answer(request[0], refused.code)

    def shown(self) -> dict[str, Inside | None]:
        """What every quantity and command shows now, as a look at the device's screen; None: no value."""
        now_s = self._now_s()
        for _, content, _ in self._contents:
            content.measure(now_s, self._truth)
            content.publish()
        return {content.name: content.inside for _, content, _ in self._contents}

    def settle(self) -> None:
        """Does what time alone does: pulses that end or repeat, the fall back to local of a device nobody talks to."""
        now_s = self._now_s()
        for commanded in self._commanded.values():
            command = commanded.command
            since_s = self._pulses.get(command.name)
            if since_s is not None and command.clears_itself_s is not None:
                if now_s >= since_s + command.clears_itself_s:
                    del self._pulses[command.name]
                    self._command(command.name, 0.0)
            elif since_s is not None and command.repeats_s is not None and now_s >= since_s + command.repeats_s:
                times = int((now_s - since_s) // command.repeats_s)
                self.actions[command.name] += times
                self._pulses[command.name] = since_s + times * command.repeats_s
        watchdog = self.map.watchdog
        if watchdog is not None and self._fed_s is not None and now_s > self._fed_s + watchdog.silence_s:
            self._fed_s = None
            for command in self.map.commands:
                if command.local is not None:
                    self._command(command.name, command.local)

    def _respond(self, request: bytes) -> bytes:
        function = request[0]
        if self._switches.exception:
            raise Refused(self._switches.exception)
        if function not in self._functions:
            raise Refused(ILLEGAL_FUNCTION)
        write, read = parse(request)
        if read is not None and function in (HOLDING, INPUT) and read.count > self.map.registers_per_read_max:
            raise Refused(ILLEGAL_VALUE)
        watchdog = self.map.watchdog
        if watchdog is not None and watchdog.fed_by is None:
            self._fed_s = self._now_s()
        if write is not None:
            self._write(write)
        return write_answer(request) if read is None else read_answer(function, self._read(read))

    # ------------------------------------------------------------------------------------------------------- reading
    def _read(self, read: Read) -> list[int]:
        span = self._spans.get(read)
        if span is None:
            span = self._span(read)
            if len(self._spans) < SPANS_REMEMBERED_MAX:
                self._spans[read] = span
        words = list(span.settings)
        now_s = self._now_s()
        if self.map.reads_meter_s:
            self._read_meter(now_s)
        for content, whole in span.contents:
            if not self.map.reads_meter_s or isinstance(content, Commanded):
                content.measure(now_s, self._truth)
                content.publish()
            shown = content.words_on_wire()
            if whole:
                self._log.serve(self.name, content.name, instant_s=now_s, value=content.inside)
            elif self.map.torn_when_split:
                shown = shown[::-1]
            for place, word in enumerate(shown, content.address - read.address):
                if 0 <= place < read.count:
                    words[place] = word
        return words

    def _read_meter(self, now_s: float) -> None:
        """A module between meter and wire: answers with what it read after an earlier request, then reads again.

        Nobody looks at the simulated plant between requests: a module that was not asked for a day answers first with
        values a day old; a real one reads its meter now and then by itself.
        """
        first = self._meter_read_s is None
        if self._meter_read_s is None or now_s >= self._meter_read_s + self.map.reads_meter_s:
            if not first:
                self._publish()
            for measured in self._measured.values():
                measured.measure(now_s, self._truth)
            self._meter_read_s = now_s
        if first:
            self._publish()

    def _publish(self) -> None:
        for measured in self._measured.values():
            measured.publish()

    def _span(self, read: Read) -> _Span:
        places = [(read.table, address) for address in range(read.address, read.address + read.count)]
        if not self._mute_holes.isdisjoint(places):
            raise _Silence
        if not self._existing.issuperset(places):
            raise Refused(ILLEGAL_ADDRESS)
        return _Span(
            tuple(self._settings.get(place, 0) for place in places),
            tuple(
                (content, read.address <= content.address and content.address + size <= read.address + read.count)
                for table, content, size in self._contents
                if table == read.table
                and content.address < read.address + read.count
                and read.address < content.address + size
            ),
        )

    # ------------------------------------------------------------------------------------------------------- writing
    def _write(self, write: Write) -> None:
        accepted: dict[str, tuple[Command, Inside]] = {}
        harm: list[Trap] = []
        place, end = write.address, write.address + len(write.words)
        while place < end:
            trap = self._trap_at(write.table, place)
            if trap is not None:
                harm.append(trap)
                place += 1
                continue
            commanded = self._commanded.get((write.table, place))
            if commanded is None:
                raise Refused(ILLEGAL_ADDRESS)
            offset = place - write.address
            words = write.words[offset : offset + commanded.command.number.count]
            if len(words) < commanded.command.number.count:
                raise Refused(ILLEGAL_VALUE)
            accepted[commanded.name] = (commanded.command, self._judged(commanded, words, accepted))
            place += len(words)
        self._obey(accepted, harm)  # all or none: a refused frame changes nothing

    def _judged(
        self, commanded: Commanded, words: tuple[int, ...], before: dict[str, tuple[Command, Inside]]
    ) -> Inside:
        """What is to be done with the words for a command, after what stands before them in the same frame."""
        command = commanded.command

        def held(name: str) -> Inside:
            return before[name][1] if name in before else self._truth(name)

        unlock = self.map.unlock
        if unlock is not None and command.name != unlock.command and held(unlock.command) != unlock.value:
            raise Refused(ILLEGAL_ADDRESS)
        inside = commanded.value_of(words)
        if inside is None:
            raise Refused(ILLEGAL_VALUE)
        slack = 0.5 * command.number.scale
        if command.hand_back is not None and command.local is not None and abs(inside - command.hand_back) < slack:
            return command.local
        low, high = command.low, command.high
        if command.limits_by is not None:
            other = held(command.limits_by.command)
            bounds = [(low, high) for value, low, high in command.limits_by.limits if value == other]
            if not bounds:
                raise Refused(ILLEGAL_VALUE)
            ((low, high),) = bounds
        judged = command.judge(inside, low=low, high=high)
        if judged is None:
            raise Refused(ILLEGAL_VALUE)
        return judged

    def _trap_at(self, table: int, address: int) -> Trap | None:
        if table != HOLDING:
            return None
        return next((trap for trap in self.map.traps if trap.first <= address <= trap.last), None)

    def _obey(self, accepted: dict[str, tuple[Command, Inside]], harm: list[Trap]) -> None:
        now_s = self._now_s()
        for name, (command, inside) in accepted.items():
            self.writes[name] += 1
            self.wear[name] += command.stored
            if self.map.watchdog is not None and self.map.watchdog.fed_by == name:
                self._fed_s = now_s
            if command.clears_itself_s is not None or command.repeats_s is not None:
                self._pulse(command, inside, now_s)
            try:
                self._command(name, inside)
            except CommandRefused as refusal:
                raise Refused(DEVICE_FAILURE) from refusal
        for trap in harm:
            self.harm[trap.harm] += 1
            if trap.clears_counters:
                self.reset_counters()

    def _pulse(self, command: Command, inside: Inside, now_s: float) -> None:
        if not inside:
            self._pulses.pop(command.name, None)
        elif command.name not in self._pulses:
            self._pulses[command.name] = now_s
            self.actions[command.name] += 1
