"""`make fuzz`: hostile bytes, registers, profiles, packets of platforms: a checked answer, a cause, or a counted fault.

Never an exception that the drivers do not name, never a value that no valid frame for this very request carried. What
is valid is decided here by an oracle of its own (bit-wise check sum, fields compared one by one), not by the drivers.

Each frame has a number; the seed, the kind and the number give the same frame again: `--replay KIND:NUMBER`. The last
line is one JSON object with the counts; exit status 1 when one frame failed.
"""

import argparse
import asyncio
import copy
import json
import math
import multiprocessing
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # the folder is no package, and PYTHONSAFEPATH keeps it off the path

from fuzz_packets import HttpAnswers, Packets
from fuzz_packets import Wrong as WrongPacket
from ruamel.yaml import YAML

from drivers.bus.base import BusCounts, Span, UnitTiming
from drivers.bus.modbus_rtu import ModbusRtuBus
from drivers.bus.modbus_tcp import ModbusTcpBus
from drivers.catalogue import shipped
from drivers.codec import PointCodec
from drivers.device import Device
from drivers.errors import DeviceRefused, DriverError, GiveUpPoint, LineDown, NoAnswer, ProfileFault, ProtocolFault
from drivers.profile import Access, Profile
from drivers.profile_file import parse_profile
from drivers.read_plan import LineCost
from drivers.sample import Quality
from hil_sim.devices.tcp import TcpServer
from hil_sim.line import SerialLine
from hil_sim.wire_log import WireLog

FRAMES_DEFAULT = 1_000_000
SHARES: Mapping[str, float] = {
    "rtu": 0.70,
    "packet": 1.0,
    "http": 0.1,
    "registers": 0.20,
    "poll": 0.06,
    "profile": 0.018,
    "tcp": 0.02,
    "terminal": 0.002,
}
"""How many of each kind to a frame asked for; packets of a platform come on top of the frames of the field bus.
The last two go through real sockets and terminals, which takes time."""
CHUNK = {
    "packet": 5_000,
    "http": 10_000,
    "rtu": 10_000,
    "registers": 10_000,
    "poll": 1_000,
    "profile": 200,
    "tcp": 400,
    "terminal": 50,
}
BYTES_MAX = 300
FAILURES_SHOWN = 20
WRITES = (5, 6, 15, 16)
TERMINAL_TIMEOUT_S = 0.015
TCP_TIMEOUT_S = 0.02
ASK_S_MAX = 10.0
"""A call that takes longer hangs."""


class Wrong(Exception):
    """The drivers did what they must never do; the message says what."""


# ------------------------------------------------------------------------------------------------------------ oracle
def bitwise_check_sum(frame: bytes) -> bytes:
    """CRC-16/MODBUS, one bit after the other. Source: MODBUS over Serial Line V1.02, appendix B."""
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, in the oracle's words."""

    unit: int
    function: int
    address: int
    count: int
    values: tuple[int, ...] = ()

    @property
    def answer_bytes(self) -> int:
        """Bytes of data in the right answer to a read."""
        return (self.count + 7) // 8 if self.function <= 2 else 2 * self.count

    def answer(self, dice: Random) -> bytes:
        """A right answer, without unit's frame around it: function and what follows."""
        if self.function in WRITES:
            return bytes((self.function,)) + self.echo()
        return bytes((self.function, self.answer_bytes)) + dice.randbytes(self.answer_bytes)

    def echo(self) -> bytes:
        """What a right answer to a write repeats."""
        if self.function == 5:
            return struct.pack(">HH", self.address, 0xFF00 if self.values[0] else 0)
        return struct.pack(">HH", self.address, self.values[0] if self.function == 6 else len(self.values))

    def carried(self, pdu: bytes) -> tuple[int, ...] | bool | None:
        """What a PDU says to this very request; None: it is not the answer to it."""
        if not pdu or pdu[0] != self.function:
            return None
        if self.function in WRITES:
            return pdu[1:] == self.echo() or None
        if len(pdu) != 2 + self.answer_bytes or pdu[1] != self.answer_bytes:
            return None
        if self.function <= 2:
            return tuple(pdu[2 + place // 8] >> place % 8 & 1 for place in range(self.count))
        return struct.unpack(f">{self.count}H", pdu[2:])


def rtu_answers(asked: Asked, received: bytes) -> dict[bytes, tuple[int, ...] | bool]:
    """Every valid RTU frame for this request anywhere in what was received, and what it carries."""
    length = 8 if asked.function in WRITES else 5 + asked.answer_bytes
    found = {}
    for start in range(len(received) - length + 1):
        frame = received[start : start + length]
        if frame[0] != asked.unit or frame[1] != asked.function or bitwise_check_sum(frame[:-2]) != frame[-2:]:
            continue
        carried = asked.carried(frame[1:-2])
        if carried is not None:
            found[frame] = carried
    return found


def rtu_refusal(asked: Asked, received: bytes) -> bool:
    """Whether a valid exception frame of this unit and function is in what was received."""
    for start in range(len(received) - 4):
        frame = received[start : start + 5]
        if frame[:2] == bytes((asked.unit, asked.function | 0x80)) and bitwise_check_sum(frame[:3]) == frame[3:]:
            return True
    return False


# ------------------------------------------------------------------------------------------------------ hostile bytes
def ask(dice: Random, *, writes: bool = True) -> Asked:
    """A request of any kind."""
    function = dice.choice((1, 2, 3, 3, 3, 4, 4, 4, *(WRITES if writes else ())))
    count = dice.choice((1, 2, dice.randint(1, 8), dice.randint(1, 120)))
    values: tuple[int, ...] = ()
    if function in WRITES:
        several = dice.randint(1, 10) if function in (15, 16) else 1
        values = tuple(dice.randint(0, 1 if function in (5, 15) else 0xFFFF) for _ in range(several))
    return Asked(dice.choice((1, 2, 17, 247)), function, dice.randint(0, 0xFFFF - 125), count, values)


def mutated(dice: Random, frame: bytes) -> bytes:
    """A frame that has suffered: flipped, cut, doubled, with something lost, put in, or around it."""
    for _ in range(dice.choice((0, 1, 1, 1, 2, 3))):
        if not frame:
            break
        place = dice.randrange(len(frame))
        kind = dice.randrange(8)
        if kind == 0:
            frame = frame[:place] + bytes((frame[place] ^ 1 << dice.randrange(8),)) + frame[place + 1 :]
        elif kind == 1:
            frame = frame[:place]
        elif kind == 2:
            frame = frame[place:]
        elif kind == 3:
            frame += frame
        elif kind == 4:
            frame = frame[:place] + frame[place + 1 :]
        elif kind == 5:
            frame = frame[:place] + dice.randbytes(dice.randint(1, 3)) + frame[place:]
        elif kind == 6:
            frame = dice.randbytes(dice.randint(1, 6)) + frame
        else:
            frame += dice.randbytes(dice.randint(1, 6))
    return frame[:BYTES_MAX]


def hostile_pdu(asked: Asked, dice: Random) -> bytes:
    """What a hostile slave says: right, nearly right, refusing, or anything."""
    right = asked.answer(dice)
    kind = dice.randrange(10)
    if kind <= 3:
        return right
    if kind == 4:
        return bytes((asked.function | 0x80,)) + dice.randbytes(dice.choice((0, 1, 1, 1, 2)))
    if kind == 5:
        return bytes((dice.choice((1, 2, 3, 4, 5, 6, 15, 16, 0, 0xFF)),)) + right[1:]
    if kind == 6 and len(right) > 1:
        return right[:1] + bytes((right[1] ^ 1 << dice.randrange(8),)) + right[2:]
    if kind == 7:
        other = Asked(asked.unit, asked.function, asked.address, dice.randint(1, 120), asked.values)
        return other.answer(dice)
    if kind == 8:
        return right[: dice.randint(0, len(right))]
    return dice.randbytes(dice.randint(0, 40))


def hostile_rtu(asked: Asked, dice: Random) -> bytes:
    """Bytes that come in after a request on a serial line."""
    if dice.randrange(8) == 0:
        return dice.randbytes(dice.randint(0, BYTES_MAX))
    unit = asked.unit if dice.randrange(6) else dice.randint(0, 255)
    body = bytes((unit,)) + hostile_pdu(asked, dice)
    frame = mutated(dice, body + bitwise_check_sum(body))
    if dice.randrange(6) == 0:  # an echo, somebody else's frame, or a second answer before or behind it
        other = bytes((dice.choice((asked.unit, 9)),)) + hostile_pdu(asked, dice)
        sealed = other + bitwise_check_sum(other)
        frame = sealed + frame if dice.randrange(2) else frame + sealed
    return frame


# ------------------------------------------------------------------------------------------------------------- kinds
def exchange_of(coroutine: Coroutine[Any, Any, Any], line: Any) -> Any:
    """The exchange that a bus hands to its line for a call."""
    taken: list[Any] = []

    async def transact(exchange: Any, **_: Any) -> Any:
        taken.append(exchange)
        raise NoAnswer("taken")

    line.transact = line.answered = transact
    try:
        coroutine.send(None)
    except NoAnswer:
        return taken[0]
    finally:
        coroutine.close()
    raise AssertionError("the bus asked nobody")


class Rtu:
    """Bytes to the exchange of a serial bus: what it takes out of them must be in them."""

    def __init__(self) -> None:
        self._bus = ModbusRtuBus("fuzz", port="-", baud=9600, framing="8N1", elapsed_s=lambda: 0.0)

    def one(self, dice: Random) -> str:
        """One frame."""
        asked = ask(dice)
        received = hostile_rtu(asked, dice)
        if asked.function in WRITES:
            call = self._bus.write(asked.address, asked.values, unit=asked.unit, function=asked.function)
            found = exchange_of(call, self._bus.line)
        else:
            span = Span(asked.function, asked.address, asked.count)
            found = exchange_of(self._bus.read(span, unit=asked.unit), self._bus.line)
        return judge_rtu(asked, received, lambda: found.look(received))


def judge_rtu(asked: Asked, received: bytes, look: Callable[[], Any]) -> str:
    """Holds what the exchange says against the oracle."""
    said: Any = None
    try:
        said = look()
    except (DeviceRefused, NoAnswer):  # a gateway's word that a unit is silent counts as silence
        if not rtu_refusal(asked, received):
            raise Wrong(f"{asked}: refused without an exception frame: {received.hex(' ')}") from None
        return "refused"
    carried = rtu_answers(asked, received)
    if said is None:
        if len(carried) == 1:
            raise Wrong(f"{asked}: the answer is there and was not found: {received.hex(' ')}")
        return "two answers, none believed" if carried else "nothing"
    if len(carried) > 1:
        raise Wrong(f"{asked}: two answers, and one was believed: {received.hex(' ')}")
    if said not in carried.values():
        raise Wrong(f"{asked}: took {said}, the frames carry {carried}: {received.hex(' ')}")
    return "answer"


class Registers:
    """Any registers to any point of any shipped profile: a finite value, or a cause."""

    def __init__(self) -> None:
        self._codecs = [PointCodec(spec) for profile in profiles().values() for spec in profile.points.values()]

    def one(self, dice: Random) -> str:
        """One set of registers."""
        codec = dice.choice(self._codecs)
        special = (0, 1, 0x7F, 0x7FFF, 0x7FC0, 0x7F80, 0xFF80, 0x8000, 0xFFFF, 0x9999, 0xAAAA)
        bits = codec.spec.function <= 2
        registers = tuple(
            dice.randint(0, 1) if bits else dice.choice(special) if dice.randrange(2) else dice.randint(0, 0xFFFF)
            for _ in range(codec.count)
        )
        value, cause = codec.decode(registers)
        if (value is None) != bool(cause):
            raise Wrong(f"{codec.spec.name}: {registers}: value {value} with cause {cause!r}")
        if value is None:
            return str(cause)
        if not math.isfinite(value):
            raise Wrong(f"{codec.spec.name}: {registers} became {value}")
        if codec.spec.access is not Access.READ:
            try:
                codec.encode(value)
            except GiveUpPoint:
                return "not writable"
        return "value"


class _HostileBus:
    """A wire in memory: registers of the right number, or whatever a wire may raise."""

    def __init__(self) -> None:
        self.name = "fuzz"
        self.counts = BusCounts()
        self.cost = LineCost.tcp(turnaround_s=0.005)
        self.dice = Random(0)
        self.served: dict[tuple[int, int], int] = {}

    def expect(self, unit: int, timing: UnitTiming) -> None:
        """Takes note of nothing."""

    def miss_s(self, unit: int) -> float:
        """Costs little."""
        del unit
        return 0.1

    async def open(self) -> None:
        """Is open."""

    async def close(self) -> None:
        """Stays open."""

    async def read(self, span: Span, *, unit: int) -> tuple[int, ...]:
        """Answers by the dice."""
        del unit
        dice = self.dice
        kind = dice.randrange(8)
        if kind == 0:
            raise dice.choice((NoAnswer("x"), ProtocolFault("x"), LineDown("x")))
        if kind == 1:
            raise DeviceRefused("x", code=dice.choice((1, 2, 3, 4, 5, 6, 99)))
        top = 1 if span.function <= 2 else 0xFFFF
        return tuple(dice.choice((0, top, dice.randint(0, top))) for _ in range(span.count))

    async def write(self, address: int, values: Any, *, unit: int, function: int, **_: object) -> None:
        """Is never to be written to."""
        raise Wrong(f"a poll wrote {values} to {address} of {unit} with function {function}")


class Poll:
    """Whole polls of a device on a hostile wire: a sample for each point, each with a value or a cause."""

    def __init__(self) -> None:
        self._devices: dict[str, tuple[Device, _HostileBus]] = {}
        self._profiles = profiles()
        self._now = [datetime(2027, 1, 13, tzinfo=UTC)]

    def one(self, dice: Random) -> str:
        """One poll."""
        model = dice.choice(sorted(self._profiles))
        if model not in self._devices:
            bus = _HostileBus()
            self._devices[model] = (
                Device(
                    model,
                    bus=bus,
                    unit=1,
                    profile=self._profiles[model],
                    period_s=10.0,
                    now_utc=lambda: self._now[0],
                    elapsed_s=lambda: self._now[0].timestamp(),  # noqa: PLW0108 - time goes on
                ),
                bus,
            )
        device, bus = self._devices[model]
        bus.dice = dice
        self._now[0] += timedelta(seconds=dice.choice((10, 10, 60, 3700)))
        samples = run(device.poll())
        for sample in samples:
            if sample.quality is Quality.GOOD:
                limits = device.points[sample.point].value_range
                if sample.value is None or not math.isfinite(sample.value):
                    raise Wrong(f"GOOD without a value: {sample}")
                if limits is not None and not limits[0] <= sample.value <= limits[1]:
                    raise Wrong(f"GOOD outside its range: {sample}")
            elif not sample.cause:
                raise Wrong(f"neither GOOD nor a cause: {sample}")
            elif sample.quality is Quality.BAD and sample.value is not None:
                raise Wrong(f"BAD with a value: {sample}")
        return f"with {min(samples, key=lambda sample: sample.quality).quality.name}" if samples else "nothing due"


class Profiles:
    """Profiles that somebody has broken: refused with the place of the fault, or usable."""

    def __init__(self) -> None:
        self._texts = mappings()

    def one(self, dice: Random) -> str:
        """One mapping."""
        name = dice.choice(sorted(self._texts))
        data = copy.deepcopy(self._texts[name])
        for _ in range(dice.choice((1, 1, 2, 5))):
            self._break(data, dice)
        try:
            profile = parse_profile(data, name=name)
        except ProfileFault:
            return "refused"
        for spec in profile.points.values():
            PointCodec(spec).decode((0,) * spec.count)
        return "usable"

    def _break(self, data: Any, dice: Random) -> None:
        """Changes something somewhere inside."""
        odd: tuple[Any, ...] = (
            *(None, True, -1, 0, 1, 70000, 1e308, math.nan, math.inf, "", "x", "制冷", "0x10", [], {}, [[]], {"a": 1}),
            *("u16", "f64", "kW", "kWh", "high_first", "rw", [0, 1], [1, 0], [{}], 2**70),
        )
        while True:
            if not isinstance(data, (dict, list)) or not data:
                return
            keys = list(data) if isinstance(data, dict) else list(range(len(data)))
            key = dice.choice(keys)
            if isinstance(data[key], (dict, list)) and dice.randrange(4):
                data = data[key]
                continue
            kind = dice.randrange(4)
            if kind == 0:
                del data[key]
            elif kind == 1 and isinstance(data, dict):
                data[dice.choice(("x", 3, None, "address", "type", "scale", "points", "parts"))] = dice.choice(odd)
            else:
                data[key] = dice.choice(odd)
            return


@dataclass(slots=True)
class _Slave:
    """A device of the simulated wires that says hostile things, and knows what it was asked."""

    unit: int
    name: str = "fuzz"
    late_s: float = 0.0
    asked: Asked = field(default_factory=lambda: Asked(1, 3, 0, 1))
    dice: Random = field(default_factory=lambda: Random(0))

    def requested(self, function: int) -> None:
        """Takes note of nothing."""

    def answer(self, request: bytes) -> bytes | None:
        """Something; the wire makes worse of it."""
        function, address, count = struct.unpack(">BHH", request)
        self.asked = Asked(self.unit, function, address, count)
        return self.asked.answer(self.dice)


class Terminal:
    """Hostile bytes through a real pseudo terminal and the whole serial line."""

    def __init__(self) -> None:
        self._slave = _Slave(1)
        self._sent = bytearray()
        self._line = SerialLine(
            "fuzz",
            [self._slave],
            baud=115200,
            turnaround_s=0.002,
            now_s=lambda: 0.0,
            wall_s=time.monotonic,
            log=WireLog(),
        )
        self._line.disturbance = self._disturb
        self._line.start()
        self._bus = ModbusRtuBus(
            "fuzz",
            port=self._line.path,
            baud=115200,
            framing="8N1",
            elapsed_s=time.monotonic,
            timeout_s=TERMINAL_TIMEOUT_S,
            latest_answer_s=2 * TERMINAL_TIMEOUT_S,
        )
        run(self._bus.open())

    def close(self) -> None:
        """Ends both ends."""
        run(self._bus.close())
        self._line.stop()

    def _disturb(self, _name: str, _frame: bytes) -> bytes:
        said = hostile_rtu(self._slave.asked, self._slave.dice)
        self._sent += said
        return said

    def one(self, dice: Random) -> str:
        """One request."""
        asked = Asked(1, dice.choice((3, 4)), dice.randint(0, 999), dice.randint(1, 40))
        self._slave.dice = dice
        del self._sent[:]
        said, label = asked_of(self._bus, asked)
        if label == "answer" and said not in rtu_answers(asked, bytes(self._sent)).values():
            raise Wrong(f"{asked}: took {said} out of {bytes(self._sent).hex(' ')}")
        if label == "refused" and not rtu_refusal(asked, bytes(self._sent)):
            raise Wrong(f"{asked}: refused without an exception frame: {bytes(self._sent).hex(' ')}")
        return label


class Tcp:
    """Hostile frames through a real socket and the guard around the library."""

    def __init__(self) -> None:
        self._slave = _Slave(1)
        self._sent = bytearray()
        self._number = b""
        self._server = TcpServer([self._slave])
        self._server.disturbance = self._disturb
        self._server.start("127.0.0.1", 0)
        self._bus = self._new_bus()

    def _new_bus(self) -> ModbusTcpBus:
        bus = ModbusTcpBus(
            "fuzz", host="127.0.0.1", port=self._server.port, elapsed_s=time.monotonic, timeout_s=TCP_TIMEOUT_S
        )
        run(bus.open())
        return bus

    def close(self) -> None:
        """Ends both ends."""
        run(self._bus.close())
        self._server.stop()

    def _disturb(self, _name: str, frame: bytes) -> bytes:
        dice, asked = self._slave.dice, self._slave.asked
        self._number = frame[:2]
        unit = asked.unit if dice.randrange(6) else dice.randint(0, 255)
        body = bytes((unit,)) + hostile_pdu(asked, dice)
        number = frame[:2] if dice.randrange(5) else dice.choice((b"\0\0", dice.randbytes(2)))
        protocol = b"\0\0" if dice.randrange(12) else dice.randbytes(2)
        length = len(body) if dice.randrange(8) else dice.randint(0, 0xFFFF)
        said = number + protocol + length.to_bytes(2, "big") + body
        if dice.randrange(3) == 0:
            said = mutated(dice, said)
        self._sent += said
        return said

    def one(self, dice: Random) -> str:
        """One request."""
        asked = Asked(1, dice.choice((3, 4)), dice.randint(0, 999), dice.randint(1, 120))
        self._slave.dice = dice
        del self._sent[:]
        said, label = asked_of(self._bus, asked)
        if label == "answer":
            body = bytes((asked.unit, asked.function, asked.answer_bytes)) + struct.pack(f">{asked.count}H", *said)
            frame = self._number + b"\0\0" + len(body).to_bytes(2, "big") + body
            if frame not in bytes(self._sent):
                raise Wrong(f"{asked}: took {said} out of {bytes(self._sent).hex(' ')}")
        if label == "refused" and bytes((asked.unit, asked.function | 0x80)) not in bytes(self._sent):
            raise Wrong(f"{asked}: refused without an exception frame: {bytes(self._sent).hex(' ')}")
        if label not in ("answer", "refused"):  # a host that misbehaved is given time; here the next one takes its turn
            run(self._bus.close())
            self._bus = self._new_bus()
        return label


def asked_of(bus: ModbusRtuBus | ModbusTcpBus, asked: Asked) -> tuple[tuple[int, ...], str]:
    """Asks over a real wire; whatever comes, it comes as a value or as one of the drivers' own errors."""
    span = Span(asked.function, asked.address, asked.count)
    try:
        said = run(asyncio.wait_for(bus.read(span, unit=asked.unit), ASK_S_MAX))
    except DeviceRefused:
        return (), "refused"
    except DriverError as error:
        return (), type(error).__name__
    return said, "answer"


KINDS: Mapping[str, Callable[[], Any]] = {
    "rtu": Rtu,
    "registers": Registers,
    "poll": Poll,
    "profile": Profiles,
    "tcp": Tcp,
    "terminal": Terminal,
    "packet": Packets,
    "http": HttpAnswers,
}


# ------------------------------------------------------------------------------------------------------------ running
_LOOPS: list[asyncio.AbstractEventLoop] = []


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine in this process' one loop: a connection must outlive the call."""
    if not _LOOPS:
        _LOOPS.append(asyncio.new_event_loop())
    return _LOOPS[0].run_until_complete(coroutine)


def close_loop() -> None:
    """Ends this process' loop."""
    while _LOOPS:
        _LOOPS.pop().close()


def mappings() -> dict[str, Any]:
    """The shipped profiles as parsed YAML."""
    return {
        name: YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))
        for name, path in shipped().items()
    }


def profiles() -> dict[str, Profile]:
    """The shipped profiles."""
    return {name: parse_profile(data, name=name) for name, data in mappings().items()}


@contextmanager
def fuzzer(kind: str) -> Iterator[Any]:
    """One kind, ready."""
    found = KINDS[kind]()
    try:
        yield found
    finally:
        if hasattr(found, "close"):
            found.close()


def dice_of(seed: int, kind: str, number: int) -> Random:
    """The dice of one frame."""
    return Random(f"{seed}/{kind}/{number}")


def play(kind: str, *, seed: int, first: int, count: int) -> tuple[Counter[str], list[str]]:
    """Plays some frames of a kind; returns the outcomes and the failures in words."""
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    with fuzzer(kind) as found:
        for number in range(first, first + count):
            try:
                outcomes[f"{kind} {found.one(dice_of(seed, kind, number))}"] += 1
            except (Wrong, WrongPacket) as wrong:
                failures.append(f"--seed {seed} --replay {kind}:{number}: {wrong}")
            except Exception:  # noqa: BLE001 - any other exception out of the drivers is a failure, too
                failures.append(f"--seed {seed} --replay {kind}:{number}: {traceback.format_exc(limit=-4)}")
            if len(failures) >= FAILURES_SHOWN:
                break
    return outcomes, failures


def _chunk(job: tuple[str, int, int, int]) -> tuple[int, Counter[str], list[str]]:
    kind, seed, first, count = job
    outcomes, failures = play(kind, seed=seed, first=first, count=count)
    return count, outcomes, failures


def main() -> int:
    """Plays, prints, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=FRAMES_DEFAULT)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", default="", metavar="KIND:NUMBER")
    arguments = parser.parse_args()
    if arguments.replay:
        kind, _, number = arguments.replay.partition(":")
        with fuzzer(kind) as found:
            print(found.one(dice_of(arguments.seed, kind, int(number))))
        return 0
    jobs = []
    for kind, share in SHARES.items():
        total = max(1, round(share * arguments.frames))
        jobs += [
            (kind, arguments.seed, first, min(CHUNK[kind], total - first)) for first in range(0, total, CHUNK[kind])
        ]
    Random(arguments.seed).shuffle(jobs)  # slow and quick kinds mixed over both processes
    begin_s = time.monotonic()
    done, told_s = 0, begin_s
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for count, some, wrong in pool.imap_unordered(_chunk, jobs):
            done += count
            outcomes += some
            failures += wrong
            if time.monotonic() - told_s > 5.0:
                told_s = time.monotonic()
                print(f"{done} of {arguments.frames}, {len(failures)} failed", file=sys.stderr, flush=True)
    for text in failures[:FAILURES_SHOWN]:
        print(text)
    summary = {
        "target": "fuzz",
        "frames": sum(outcomes.values()) + len(failures),
        "failed": len(failures),
        "outcomes": dict(sorted(outcomes.items())),
        "seed": arguments.seed,
        "seconds": round(time.monotonic() - begin_s, 1),
    }
    print(json.dumps(summary, ensure_ascii=False))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
