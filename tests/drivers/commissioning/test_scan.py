"""Scanning, on a wire that exists in the mind: its time passes only while it is asked."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from drivers.bus.base import BusCounts, Span, UnitTiming
from drivers.commissioning.scan import Progress, Scan, Setting, Sign, order
from drivers.errors import DeviceRefused, LineDown, NoAnswer, ProtocolFault
from drivers.profile import Profile
from drivers.read_plan import LineCost

RIGHT = Setting(9600, "8N1")
GAP_CHARACTERS = 3.5


@dataclass
class Wire:
    """What hangs on the wire, and its clock.

    Attributes:
        slow_s: unit -> turnaround [s]; all others take `turnaround_s`.
        answers: unit -> exception code; 0: registers.
        picky: unit -> the only span it answers; to everything else it is silent.
    """

    answers: Mapping[int, int]
    slow_s: Mapping[int, float] = field(default_factory=dict)
    picky: Mapping[int, Span] = field(default_factory=dict)
    noisy: frozenset[int] = frozenset()
    setting: Setting | None = RIGHT
    turnaround_s: float = 0.02
    now_s: float = 0.0
    late: list[float] = field(default_factory=list)
    asked: list[tuple[Setting | None, int, Span]] = field(default_factory=list)
    reads_only: bool = True
    missing: bool = False

    async def pause(self, seconds: float) -> None:
        self.now_s += seconds

    def open_wire(self, setting: Setting | None, timeout_s: float) -> "Bus":
        return Bus(self, setting, timeout_s)


class Bus:
    """The wire at one setting."""

    def __init__(self, wire: Wire, setting: Setting | None, timeout_s: float) -> None:
        self.name = "mind"
        self.cost = LineCost.tcp(turnaround_s=0.02)
        self.counts = BusCounts()
        self._wire, self._setting, self._timeout_s = wire, setting, timeout_s

    def expect(self, unit: int, timing: UnitTiming) -> None:
        raise NotImplementedError

    def miss_s(self, unit: int) -> float:
        raise NotImplementedError

    async def open(self) -> None: ...

    async def close(self) -> None:
        self._wire.late.clear()

    async def read(self, span: Span, *, unit: int) -> tuple[int, ...]:
        await asyncio.sleep(0)
        wire = self._wire
        if wire.missing:
            raise LineDown("no port")
        wire.asked.append((self._setting, unit, span))
        character_s = 0.0 if self._setting is None else self._setting.character_s
        wire.now_s += (GAP_CHARACTERS + 8) * character_s
        arrived = [when for when in wire.late if when <= wire.now_s + self._timeout_s]
        wire.late = [when for when in wire.late if when not in arrived]
        self.counts.stray_bytes += 7 * len(arrived)
        there = unit in wire.answers and unit not in wire.noisy
        if self._setting != wire.setting:
            wire.now_s += self._timeout_s
            if unit in wire.answers:
                self.counts.damaged += 1
                raise ProtocolFault("rubbish")
            raise NoAnswer("silence")
        turnaround_s = wire.slow_s.get(unit, wire.turnaround_s)
        if unit in wire.noisy:
            wire.now_s += self._timeout_s
            self.counts.damaged += 1
            raise ProtocolFault("two answer at once")
        if not there or wire.picky.get(unit, span) != span:
            wire.now_s += self._timeout_s
            raise NoAnswer("silence")
        if turnaround_s > self._timeout_s:
            wire.late.append(wire.now_s + turnaround_s)
            wire.now_s += self._timeout_s
            raise NoAnswer("late")
        wire.now_s += turnaround_s + (5 if wire.answers[unit] else 7) * character_s
        if wire.answers[unit]:
            raise DeviceRefused("no", code=wire.answers[unit])
        return (1,) * span.count

    async def write(self, address: int, values: Sequence[int], *, unit: int, function: int, **_: object) -> None:
        self._wire.reads_only = False
        pytest.fail(f"a scan wrote {values} to {unit}, {address}, {function}")


def scanner(wire: Wire, *, units: Sequence[int] = range(1, 248), profiles: Sequence[Profile] = ()) -> Scan:
    return Scan(
        wire.open_wire, units=list(units), profiles=list(profiles), elapsed_s=lambda: wire.now_s, pause=wire.pause
    )


async def test_units_are_found_each_by_its_own_kind_of_answer() -> None:
    wire = Wire({1: 0, 5: 1, 17: 2, 200: 0})
    scan = scanner(wire)
    await scan.serial([RIGHT])
    units = scan.result.units
    assert {unit: (found.sign, found.code) for unit, found in units.items()} == {
        1: (Sign.REGISTERS, None),
        5: (Sign.EXCEPTION, 1),
        17: (Sign.EXCEPTION, 2),
        200: (Sign.REGISTERS, None),
    }
    assert all(found.turnaround_s == pytest.approx(0.02, abs=0.002) for found in units.values())
    assert scan.result.finished
    assert wire.reads_only


async def test_a_scan_of_247_numbers_takes_a_tenth_of_asking_each_patiently() -> None:
    """The brute force: every number, a second each."""
    wire = Wire({1: 0, 2: 0, 5: 0})
    scan = scanner(wire)
    await scan.serial([RIGHT])
    brute_s = 247 * (1.0 + 11.5 * RIGHT.character_s)
    assert set(scan.result.units) == {1, 2, 5}
    assert wire.now_s < brute_s / 8, wire.now_s


@pytest.mark.parametrize("turnaround_s", [0.05, 0.2, 0.5, 0.8, 1.1])
@pytest.mark.parametrize("unit", [2, 30, 100, 247])
async def test_a_slow_unit_is_heard_late_and_asked_again(turnaround_s: float, unit: int) -> None:
    wire = Wire({1: 0, unit: 0}, slow_s={unit: turnaround_s})
    scan = scanner(wire)
    await scan.serial([RIGHT])
    assert set(scan.result.units) == {1, unit}
    assert scan.result.units[unit].turnaround_s == pytest.approx(turnaround_s, abs=0.01)


async def test_the_right_setting_is_found_and_only_there_all_numbers_are_asked() -> None:
    wire = Wire({12: 0, 99: 0}, setting=Setting(2400, "8E1"))
    scan = scanner(wire)
    await scan.serial([Setting(9600, "8N1"), Setting(19200, "8E1"), Setting(2400, "8E1"), Setting(4800, "8N1")])
    assert set(scan.result.units) == {12, 99}
    assert scan.result.setting == Setting(2400, "8E1")
    asked_elsewhere = {unit for setting, unit, _ in wire.asked if setting != wire.setting}
    assert max(asked_elsewhere) <= 32


async def test_a_unit_beyond_the_likely_numbers_is_found_as_well() -> None:
    wire = Wire({180: 0}, setting=Setting(19200, "8E1"))
    scan = scanner(wire)
    await scan.serial([Setting(9600, "8N1"), Setting(19200, "8E1")])
    assert set(scan.result.units) == {180}


async def test_two_units_of_one_number_are_noise_and_never_registers() -> None:
    wire = Wire({3: 0, 7: 0}, noisy=frozenset({7}))
    scan = scanner(wire)
    await scan.serial([RIGHT])
    assert scan.result.units[3].sign is Sign.REGISTERS
    assert scan.result.units[7].sign is Sign.NOISE


async def test_a_unit_that_is_silent_to_bad_requests_is_asked_what_it_answers() -> None:
    wire = Wire({4: 0}, picky={4: Span(4, 0, 1)})
    scan = scanner(wire)
    await scan.serial([RIGHT])
    assert set(scan.result.units) == {4}


async def test_an_empty_line_ends_with_nothing() -> None:
    wire = Wire({})
    scan = scanner(wire)
    await scan.serial([RIGHT, Setting(19200, "8E1")])
    assert not scan.result.units
    assert scan.result.finished


async def test_a_missing_port_is_an_error_not_an_empty_line() -> None:
    with pytest.raises(LineDown):
        await scanner(Wire({1: 0}, missing=True)).serial([RIGHT])


async def test_a_tcp_device_that_ignores_the_number_is_one_device() -> None:
    wire = Wire(dict.fromkeys(range(256), 0), setting=None)
    scan = scanner(wire)
    await scan.tcp()
    assert scan.result.same_everywhere
    assert set(scan.result.units) == {1}
    assert len(wire.asked) < 10


async def test_units_behind_a_gateway() -> None:
    wire = Wire({11: 0, 12: 2}, setting=None)
    scan = scanner(wire, units=[*range(1, 40), 255])
    await scan.tcp()
    assert set(scan.result.units) == {11, 12}


async def test_an_interrupted_scan_keeps_what_it_found() -> None:
    wire = Wire({1: 0, 2: 0, 150: 0})
    scan = scanner(wire)

    def stop(progress: Progress) -> None:
        if progress.total > 100 and progress.done > 20:
            raise KeyboardInterrupt

    scan._progress = stop
    with pytest.raises(KeyboardInterrupt):
        await scan.serial([RIGHT])
    assert set(scan.result.units) == {1, 2}
    assert not scan.result.finished


def test_factory_settings_of_known_models_go_first() -> None:
    assert order([(9600, "8N1"), (19200, "8E1")], [])[0] == RIGHT
