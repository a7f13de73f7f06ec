"""The paced line: real terminals, raw frames, exact wire time, silence where silence belongs."""

import statistics
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import serial
from pymodbus.client import ModbusSerialClient
from pymodbus.framer import FramerRTU

from edge_agent.clock import elapsed_s
from hil_sim.devices.catalogue import MODELS
from hil_sim.devices.server import DeviceServer
from hil_sim.line import SerialLine, request_bytes, with_crc
from hil_sim.wire_faults import WireFaults
from hil_sim.wire_log import WireLog

FAST_BAUD = 115200
NOW_S = 1.7e9
LONG_S = 5.0
"""Time-out [s] of a read that will be answered."""

LineMaker = Callable[..., SerialLine]


def device(model: str, unit: int, log: WireLog) -> DeviceServer:
    written: dict[str, float] = {}
    return DeviceServer(
        f"{model}_{unit}",
        unit,
        model,
        truth=lambda name: written.get(name, 42.0),
        command=written.__setitem__,
        seed=1,
        now_s=lambda: NOW_S,
        log=log,
    )


@pytest.fixture
def log() -> WireLog:
    return WireLog()


@pytest.fixture
def make_line(log: WireLog) -> Iterator[LineMaker]:
    lines: list[SerialLine] = []

    def make(devices: Sequence[DeviceServer], **options: object) -> SerialLine:
        settings: dict[str, object] = {"baud": FAST_BAUD, "turnaround_s": 0.002} | options
        faults = settings.pop("faults", WireFaults())
        line = SerialLine("rs485_1", devices, now_s=lambda: NOW_S, wall_s=elapsed_s, log=log, **settings)  # type: ignore[arg-type] # test options
        line.faults = faults  # type: ignore[assignment] # test options
        line.start()
        lines.append(line)
        return line

    yield make
    for line in lines:
        line.stop()


def keep_silent_s(duration_s: float) -> None:
    """Lets the line be silent: the silence is what is being tested, there is no condition to wait for."""
    end_s = elapsed_s() + duration_s
    while elapsed_s() < end_s:
        pass


def wait_until(condition: Callable[[], bool]) -> None:
    end_s = elapsed_s() + LONG_S
    while not condition():
        assert elapsed_s() < end_s, "the condition did not come true"


def read_request(unit: int, function: int, address: int, *, count: int) -> bytes:
    return with_crc(struct.pack(">BBHH", unit, function, address, count))


def exchange(port: serial.Serial, request: bytes, answer_bytes: int) -> bytes:
    port.write(request)
    return port.read(answer_bytes)


def test_the_check_sum_is_the_one_of_the_standard() -> None:
    for frame in (b"\x01\x03\x00\x00\x00\x24", b"\x28\x10\x00\x00\x00\x02\x04\x00\x01\x00\x02", b"\x00"):
        assert with_crc(frame)[len(frame) :] == FramerRTU.compute_CRC(frame).to_bytes(2, "big")


@pytest.mark.parametrize(
    ("frame", "length"),
    [
        (b"\x01\x03\x00\x00\x00\x02\xc4\x0b", 8),
        (b"\x01\x06\x00\x00", 8),
        (b"\x01\x10\x00\x00\x00\x02\x04", 13),
        (b"\x01\x10\x00\x00", None),
        (b"\x01\x0f\x00\x00\x00\x09\x02", 11),
        (b"\x01", None),
        (b"\x01\x2b\x0e\x01\x00", None),
    ],
)
def test_requests_tell_their_length(frame: bytes, length: int | None) -> None:
    assert request_bytes(frame) == length


def test_every_map_is_served_on_one_line_to_raw_frames(make_line: LineMaker, log: WireLog) -> None:
    devices = [device(model, unit, log) for unit, model in enumerate(sorted(MODELS), 1)]
    line = make_line(devices, baud=921600, turnaround_s=0.0)
    with serial.Serial(line.path, 921600, timeout=LONG_S) as port:
        for served in devices:
            for quantity in served.map.quantities:
                layout = quantity.layout
                keep_silent_s(0.0022)
                request = read_request(served.unit, quantity.function, layout.address, count=layout.count)
                bits = quantity.function in (1, 2)
                size = -(-layout.count // 8) if bits else 2 * layout.count
                answer = exchange(port, request, 5 + size)
                assert with_crc(answer[:-2]) == answer
                assert answer[:3] == bytes((served.unit, quantity.function, size))
                words: tuple[int, ...] = (
                    tuple(answer[3 + place // 8] >> place % 8 & 1 for place in range(layout.count))
                    if bits
                    else struct.unpack(f">{layout.count}H", answer[3:-2])
                )
                logged = log.latest(served.name, quantity.name, until_s=NOW_S)
                assert logged == (True, layout.to_inside(words, served.map.order))
    asked = sum(len(served.map.quantities) for served in devices)
    assert (line.statistics.requests, line.statistics.answers) == (asked, asked)
    assert line.statistics.crc_errors == line.statistics.failures == 0


def test_a_client_that_we_did_not_write_reads_and_writes(make_line: LineMaker, log: WireLog) -> None:
    line = make_line([device("generic_ground_unit", 11, log), device("eastron_sdm630", 12, log)])
    client = ModbusSerialClient(line.path, baudrate=FAST_BAUD, timeout=LONG_S, retries=0)
    assert client.connect()
    assert not client.write_registers(0, [1, 2, 550], device_id=11).isError()
    assert client.read_holding_registers(0, count=3, device_id=11).registers == [1, 2, 550]
    assert client.write_register(2, 600, device_id=11).exception_code == 3
    words = client.read_input_registers(52, count=2, device_id=12).registers
    watts = client.convert_from_registers(words, client.DATATYPE.FLOAT32)
    assert watts == pytest.approx(42e3, rel=0.02)
    client.close()
    assert log.write_frames() == 2


def test_no_answer_to_strangers_and_damaged_requests(make_line: LineMaker, log: WireLog) -> None:
    line = make_line([device("tuf2000m", 1, log)])
    good = read_request(1, 3, 0, count=2)
    with serial.Serial(line.path, FAST_BAUD, timeout=LONG_S) as port:
        port.write(read_request(77, 3, 0, count=2))
        wait_until(lambda: line.statistics.unknown_unit == 1)
        keep_silent_s(0.003)
        port.write(good[:-1] + bytes((good[-1] ^ 1,)))
        wait_until(lambda: line.statistics.crc_errors == 1)
        keep_silent_s(0.003)
        port.write(good[:5])  # half a request, then silence
        wait_until(lambda: line.statistics.crc_errors == 2)
        keep_silent_s(0.003)
        answer = exchange(port, good, 9)
    assert with_crc(answer[:-2]) == answer  # so nothing had been answered before
    assert log.frames["rs485_1/77", 3] == 1
    assert log.frames["tuf2000m_1", 3] == 1
    assert line.statistics.requests == 4
    assert line.statistics.gap_violations == 0


def test_a_request_may_come_in_pieces(make_line: LineMaker, log: WireLog) -> None:
    line = make_line([device("generic_station_io", 40, log)], baud=9600)
    request = with_crc(struct.pack(">BBHHB2H", 40, 16, 0, 2, 4, 1, 1))
    with serial.Serial(line.path, 9600, timeout=LONG_S) as port:
        for piece in (request[:1], request[1:6], request[6:]):
            port.write(piece)
        assert port.read(8)[:6] == request[:6]
    assert line.statistics.crc_errors == 0


def test_a_line_keeps_wire_time(make_line: LineMaker, log: WireLog) -> None:
    """36 registers at 9600 8N1: 8 + 77 characters and the turnaround, no less, and not much more on a busy machine."""
    line = make_line([device("tuf2000m", 1, log)], baud=9600, turnaround_s=0.01)
    ideal_s = (8 + 77) * 10 / 9600 + 0.01
    took_s = []
    with serial.Serial(line.path, 9600, timeout=LONG_S) as port:
        for _ in range(7):
            keep_silent_s(0.005)
            start_s = elapsed_s()
            assert len(exchange(port, read_request(1, 3, 0, count=36), 77)) == 77
            took_s.append(elapsed_s() - start_s)
    assert min(took_s) > 0.99 * ideal_s
    assert statistics.median(took_s) < 2 * ideal_s
    assert line.statistics.gap_violations == 0
    assert line.statistics.bytes == 7 * 85
    assert 0.75 * 7 * ideal_s < line.statistics.busy_s < 2 * 7 * ideal_s


def test_values_are_stamped_before_the_first_byte_can_be_read(make_line: LineMaker, log: WireLog) -> None:
    line = make_line([device("tuf2000m", 1, log)], baud=9600)
    with serial.Serial(line.path, 9600, timeout=LONG_S) as port:
        port.write(read_request(1, 3, 0, count=36))
        assert port.read(1)
        assert log.latest("tuf2000m_1", "return_temperature", until_s=NOW_S)[0]
        assert len(port.read(76)) == 76


@pytest.mark.parametrize("strict", [False, True])
def test_a_broken_gap_is_counted_and_a_strict_line_drops_the_request(
    make_line: LineMaker, log: WireLog, *, strict: bool
) -> None:
    line = make_line(
        [device("tuf2000m", 1, log)], baud=2400, turnaround_s=0.0, faults=WireFaults(strict=strict)
    )  # a gap of 14.6 ms
    request = read_request(1, 3, 0, count=2)
    with serial.Serial(line.path, 600, timeout=LONG_S) as port:
        sent = 0
        while line.statistics.gap_violations == 0:  # a busy machine may let us be too late for "at once"
            keep_silent_s(0.25)
            assert len(exchange(port, request, 9)) == 9
            port.write(request)  # at once
            sent += 2
            wait_until(lambda: line.statistics.requests == sent)  # noqa: B023 - waited for here
            if not (strict and line.statistics.gap_violations):
                assert len(port.read(9)) == 9
        keep_silent_s(0.25)
        assert len(exchange(port, request, 9)) == 9
    assert line.statistics.gap_violations == 1
    assert line.statistics.ignored == (1 if strict else 0)
    wait_until(lambda: line.statistics.answers == sent + (0 if strict else 1))  # counted behind the last byte


def test_a_muted_unit_is_silent_its_neighbour_is_not(make_line: LineMaker, log: WireLog) -> None:
    first, second = device("tuf2000m", 1, log), device("wb_m1w2", 2, log)
    line = make_line([first, second])
    first.mute(on=True)
    with serial.Serial(line.path, FAST_BAUD, timeout=LONG_S) as port:
        port.write(read_request(1, 3, 0, count=2))
        wait_until(lambda: log.frames["tuf2000m_1", 3] == 1)
        keep_silent_s(0.005)
        assert exchange(port, read_request(2, 4, 7, count=1), 7)[0] == 2
    assert line.statistics.answers == 1


def test_a_late_unit_answers_late(make_line: LineMaker, log: WireLog) -> None:
    meter = device("tuf2000m", 1, log)
    line = make_line([meter])
    meter.delay(0.1)
    with serial.Serial(line.path, FAST_BAUD, timeout=LONG_S) as port:
        start_s = elapsed_s()
        assert len(exchange(port, read_request(1, 3, 0, count=2), 9)) == 9
        assert elapsed_s() - start_s > 0.1


def test_the_wire_may_damage_answers(make_line: LineMaker, log: WireLog) -> None:
    line = make_line([device("tuf2000m", 1, log)])
    line.disturbance = lambda _name, frame: b"\x00" + frame
    with serial.Serial(line.path, FAST_BAUD, timeout=LONG_S) as port:
        answer = exchange(port, read_request(1, 3, 0, count=2), 10)
    assert answer[0] == 0
    assert with_crc(answer[1:-2]) == answer[1:]


def test_a_device_that_breaks_does_not_end_the_line(
    make_line: LineMaker, log: WireLog, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(name: str) -> float:
        raise LookupError(name)

    bad = DeviceServer("bad", 1, "tuf2000m", truth=broken, command=print, seed=1, now_s=lambda: NOW_S, log=log)
    line = make_line([bad, device("wb_m1w2", 2, log)])
    with serial.Serial(line.path, FAST_BAUD, timeout=LONG_S) as port:
        port.write(read_request(1, 3, 0, count=2))
        wait_until(lambda: line.statistics.failures == 1)
        keep_silent_s(0.003)
        assert exchange(port, read_request(2, 4, 7, count=1), 7)[0] == 2
    assert "cannot answer" in caplog.text


def test_a_fixed_name_in_use_is_not_taken_away(make_line: LineMaker, log: WireLog, tmp_path: Path) -> None:
    link = tmp_path / "ttyRS485_1"
    first = make_line([device("tuf2000m", 1, log)], link=link)
    node = link.readlink()
    with pytest.raises(FileExistsError, match="in use"):
        make_line([device("tuf2000m", 1, log)], link=link)
    assert link.readlink() == node, "the first one still has its name"
    first.stop()
    link.symlink_to("/dev/pts/999999")  # left by one that was killed
    make_line([device("tuf2000m", 1, log)], link=link).stop()
    assert not link.is_symlink()
    link.write_text("somebody's file", encoding="utf-8")
    with pytest.raises(FileExistsError):
        make_line([device("tuf2000m", 1, log)], link=link)
    assert link.read_text(encoding="utf-8") == "somebody's file"


def test_a_terminal_can_have_a_fixed_name_and_come_back(make_line: LineMaker, log: WireLog, tmp_path: Path) -> None:
    link = tmp_path / "ttyRS485_1"
    line = make_line([device("tuf2000m", 1, log)], link=link)
    for _ in range(2):
        assert line.path == str(link)
        with serial.Serial(line.path, FAST_BAUD, timeout=LONG_S) as port:
            assert len(exchange(port, read_request(1, 3, 0, count=2), 9)) == 9
        line.stop()
        assert not link.exists()
        line.start()


@pytest.fixture
def two_on_a_line(make_line: LineMaker, log: WireLog) -> Iterator[tuple[SerialLine, serial.Serial]]:
    """Units 1 (tuf2000m) and 2 (wb_m1w2), and a master's port with a long time-out."""
    line = make_line([device("tuf2000m", 1, log), device("wb_m1w2", 2, log)])
    with serial.Serial(line.path, FAST_BAUD, timeout=LONG_S) as port:
        yield line, port


READ_1 = read_request(1, 3, 0, count=2)
READ_2 = read_request(2, 4, 7, count=1)


def ask(port: serial.Serial, request: bytes, answer_bytes: int) -> bytes:
    keep_silent_s(0.003)
    return exchange(port, request, answer_bytes)


def good(frame: bytes) -> bool:
    return with_crc(frame[:-2]) == frame


def test_every_second_answer_is_late_and_others_are_served_meanwhile(
    two_on_a_line: tuple[SerialLine, serial.Serial],
) -> None:
    line, port = two_on_a_line
    late_s = 0.5
    line.faults = WireFaults(late_every=2, late_s=late_s, units=frozenset({1}))
    assert ask(port, READ_1, 9)[0] == 1
    start_s = elapsed_s()
    port.write(READ_1)
    wait_until(lambda: line.statistics.requests == 2)
    assert ask(port, READ_2, 7)[0] == 2
    assert port.in_waiting == 0, "the late one comes after it"
    assert port.read(9)[0] == 1
    assert elapsed_s() - start_s > late_s
    line.faults = WireFaults()
    assert good(ask(port, READ_1, 9))
    # The answer is heard before the line has counted it.
    wait_until(lambda: line.statistics.answers == 4)
    assert line.statistics.late == 1


def test_noise_cuts_garbage_and_flipped_bits_strike_as_often_as_set(
    two_on_a_line: tuple[SerialLine, serial.Serial],
) -> None:
    line, port = two_on_a_line
    line.faults = WireFaults(noise_every=2, noise_before=3, noise_after=2)
    assert good(ask(port, READ_1, 9))
    noisy = ask(port, READ_1, 14)
    assert good(noisy[3:-2])
    assert not good(noisy[:9])
    line.faults = WireFaults(cut_every=1)
    assert len(ask(port, READ_1, 4)) == 4
    line.faults = WireFaults(garbage_every=1)
    assert not good(ask(port, READ_1, 9))
    line.faults = WireFaults(flip_every=1)
    flipped, right = ask(port, READ_1, 9), b""
    line.faults = WireFaults(flip_every=1, units=frozenset({2}))
    right = ask(port, READ_1, 9)
    assert good(right)
    assert sum((one ^ other).bit_count() for one, other in zip(flipped[:3], right[:3], strict=True)) <= 1
    assert not good(flipped)
    assert line.statistics.damaged == 4
    assert port.in_waiting == 0


def test_an_echoing_adapter_gives_each_request_back_first(two_on_a_line: tuple[SerialLine, serial.Serial]) -> None:
    line, port = two_on_a_line
    line.faults = WireFaults(echo=True)
    both = ask(port, READ_1, 17)
    assert both[:8] == READ_1
    assert good(both[8:])
    stranger = read_request(77, 3, 0, count=2)
    assert ask(port, stranger, 8) == stranger
    assert line.statistics.echoed == 2
    assert line.statistics.gap_violations == 0


def test_a_slave_that_needs_a_rest_ignores_who_gives_none(two_on_a_line: tuple[SerialLine, serial.Serial]) -> None:
    line, port = two_on_a_line
    line.faults = WireFaults(min_gap_s=0.1)
    assert ask(port, READ_1, 9)[0] == 1
    keep_silent_s(0.003)
    port.write(READ_1)
    wait_until(lambda: line.statistics.ignored == 1)
    assert ask(port, READ_2, 7)[0] == 2, "another slave has rested"
    keep_silent_s(0.1)
    assert exchange(port, READ_1, 9)[0] == 1


def test_a_usb_adapter_hands_on_at_its_ticks(two_on_a_line: tuple[SerialLine, serial.Serial]) -> None:
    line, port = two_on_a_line
    line.faults = WireFaults(latency_s=0.05)
    # A full packet goes at once, the rest waits for a tick.
    for request, length in ((READ_1, 9), (read_request(1, 3, 0, count=36), 77)):
        answered_s = []
        for _ in range(6):
            assert good(ask(port, request, length))
            answered_s.append(elapsed_s())
        # Each at a tick of its own; whoever reads the first one late still sees four whole ones to the last.
        assert answered_s[-1] - answered_s[0] > 4 * 0.05


def test_bytes_that_nobody_asked_for(two_on_a_line: tuple[SerialLine, serial.Serial]) -> None:
    line, port = two_on_a_line
    line.babble(b"\x55" * 5)
    assert port.read(5) == b"\x55" * 5
    assert good(ask(port, READ_1, 9))
    assert line.statistics.babbled == 5
    assert line.statistics.answers == 1


def test_an_adapter_pulled_out_comes_back_as_another_node(make_line: LineMaker, log: WireLog, tmp_path: Path) -> None:
    link = tmp_path / "usb-adapter"
    line = make_line([device("tuf2000m", 1, log)], link=link)
    node = link.readlink()
    port = serial.Serial(line.path, FAST_BAUD, timeout=LONG_S)
    line.unplug()
    assert not link.is_symlink()
    with pytest.raises(serial.SerialException):
        port.read(1)
    port.close()
    line.plug_in()
    line.plug_in()  # it is in already
    assert link.readlink() != node
    with serial.Serial(line.path, FAST_BAUD, timeout=LONG_S) as back:
        assert good(exchange(back, READ_1, 9))


def test_two_devices_with_one_unit_number_are_refused(log: WireLog) -> None:
    with pytest.raises(ValueError, match="are not different"):
        SerialLine(
            "rs485_1",
            [device("tuf2000m", 1, log), device("wb_m1w2", 1, log)],
            baud=9600,
            now_s=lambda: NOW_S,
            wall_s=elapsed_s,
            log=log,
        )
