"""A paced RS-485 line behind a pseudo terminal: the serial wire between the agent's port and the simulated meters.

A pseudo terminal moves bytes at once; a real line charges every character its time. This line does the same: a request
counts as arrived when its last character would have been on the wire, the answer starts after the turnaround, and its
characters are handed over when a real line would have delivered them, in portions as a UART's buffer does. It watches
the silence of 3.5 characters that the standard asks for before each request.

What the wire does wrong is set by `line.faults` (all of them, with examples: `hil_sim.wire_faults`), `line.babble`,
`line.unplug` and `line.plug_in`, while it runs and from any thread.

One thread a line: it sleeps the known times and wakes a few times an answer; an event loop would wake for every timer
of everybody. Not here: what the devices answer; they come as `Attached`.

Source: MODBUS over Serial Line Specification and Implementation Guide V1.02, 2.5.1.1 (silent intervals) and 6.2.2
(CRC).
"""

import contextlib
import heapq
import logging
import math
import os
import queue
import select
import threading
import time
import tty
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from hil_sim.wire_faults import FaultyWire, WireFaults
from hil_sim.wire_log import WireLog

logger = logging.getLogger(__name__)

GAP_CHARS: Final = 3.5
GAP_ABOVE_19200_S: Final = 0.00175
"""Fixed silence at more than 19200 baud. Source: as above, 2.5.1.1."""
GAP_BAUD_MAX: Final = 19200
GAP_SLACK_S: Final = 50e-6
"""A gap shorter by less than this is not called a violation: the terminal itself is no more exact."""
FRAME_BYTES_MIN: Final = 4
READ_BYTES_MAX: Final = 512
PORTION_BYTES: Final = 32
"""Characters handed over at a time: a UART with a driver in no hurry. Each waking costs up to 0.1 ms of CPU."""
PORTION_S: Final = 0.002
"""... or as many as fit into this time on a fast line, as a USB adapter does."""
USB_PACKET_BYTES: Final = 62
"""Bytes that a USB adapter hands on without waiting for its tick. Source: FTDI AN232B-04, 3.1 (64 less 2 of status)."""
STOP: Final = b"x"
LOOK: Final = b"l"
STOP_S_MAX: Final = 10.0
SHORT_REQUEST_BYTES: Final = 8
COUNTED_REQUESTS: Final = {15: 6, 16: 6, 23: 10}
"""Function codes whose request carries its own length, and the place of that byte in the frame."""


class Attached(Protocol):
    """What a line needs of a device that hangs on it."""

    name: str
    unit: int
    late_s: float

    def requested(self, function: int) -> None:
        """Notes that a request frame has reached the device."""
        ...

    def answer(self, request: bytes) -> bytes | None:
        """The answer to a request, both without unit number and check sum; None: silence."""
        ...


@dataclass(slots=True)
class LineStatistics:
    """What happened on a line.

    Attributes:
        requests: frames that came in, good or bad.
        answers: frames that went out.
        crc_errors: requests whose check sum was wrong, or that were no frame at all.
        gap_violations: requests that came before 3.5 characters of silence were over.
        ignored: requests that came too soon for a strict slave, or for one that needs a rest.
        unknown_unit: requests to a unit that nobody on the line has.
        failures: requests whose answer broke down inside the simulator (logged).
        late: answers that a fault made late (a device's own slowness is not counted).
        damaged: answers that a fault or the disturbance changed or swallowed.
        echoed: requests that the adapter gave back to the master.
        babbled: bytes sent that nobody asked for.
        bytes: characters on the wire, both ways.
        busy_s: time from the first character of a request to the last of its answer, in sum [wall s].
    """

    requests: int = 0
    answers: int = 0
    crc_errors: int = 0
    gap_violations: int = 0
    ignored: int = 0
    unknown_unit: int = 0
    failures: int = 0
    late: int = 0
    damaged: int = 0
    echoed: int = 0
    babbled: int = 0
    bytes: int = 0
    busy_s: float = 0.0


Disturbance = Callable[[str, bytes], bytes]
"""Makes of a device's answer frame what the wire carries: the frame, a damaged one, or nothing (b"")."""


def _crc_table() -> tuple[int, ...]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)  # noqa: PLW2901 - the register shifts in place
        table.append(crc)
    return tuple(table)


_CRC: Final = _crc_table()


def with_crc(frame: bytes) -> bytes:
    """A frame with its check sum behind it, low byte first."""
    crc = 0xFFFF
    for byte in frame:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return frame + crc.to_bytes(2, "little")


def request_bytes(frame: bytes) -> int | None:
    """How long a request is by its own account; None: its function code does not tell, or too little of it is there."""
    if len(frame) < FRAME_BYTES_MIN:
        return None
    function = frame[1]
    if function in (1, 2, 3, 4, 5, 6):
        return SHORT_REQUEST_BYTES
    place = COUNTED_REQUESTS.get(function)
    if place is None or len(frame) <= place:
        return None
    return place + 1 + frame[place] + 2


class SerialLine:
    """One RS-485 line with the devices on it.

    Attributes:
        name: name of the line.
        path: the terminal that a master opens; set by `start`.
        baud: speed that the line charges for.
        char_s: time of a character at it [s].
        statistics: what happened on it.
        disturbance: what the wire does to answers, as a function; None: nothing.
    """

    def __init__(
        self,
        name: str,
        devices: Sequence[Attached],
        *,
        baud: int,
        bits_per_char: int = 10,
        turnaround_s: float = 0.010,
        now_s: Callable[[], float],
        wall_s: Callable[[], float],
        log: WireLog,
        link: Path | None = None,
        seed: int = 0,
    ) -> None:
        """Lays the line out; `start` opens it.

        Args:
            name: name of the line.
            devices: what hangs on it, each with its own unit number.
            baud: characters go at this speed, whatever speed the master sets at the terminal.
            bits_per_char: 10 for 8N1, 11 with parity or a second stop bit (a pseudo terminal cannot carry parity).
            turnaround_s: from the end of a request to the start of the answer [wall s]; never less than 3.5 characters.
            now_s: simulated time [s since 1970].
            wall_s: monotonic wall time [s].
            log: requests to units that nobody has are noted here as "NAME/UNIT".
            link: a fixed name for the terminal, made at `start`, as a udev rule would.
            seed: of the random bytes that faults put on the wire.

        Raises:
            ValueError: two devices with one unit number.
        """
        self.name = name
        self.baud = baud
        self.path = str(link) if link is not None else ""
        self.statistics = LineStatistics()
        self.disturbance: Disturbance | None = None
        self._devices = {device.unit: device for device in devices}
        if len(self._devices) != len(devices):
            raise ValueError(f"line {name}: unit numbers {sorted(device.unit for device in devices)} are not different")
        self.char_s = bits_per_char / baud
        self._gap_s = GAP_CHARS * self.char_s if baud <= GAP_BAUD_MAX else GAP_ABOVE_19200_S
        self._turnaround_s = max(turnaround_s, self._gap_s)
        self._portion = max(PORTION_BYTES, round(PORTION_S / self.char_s))
        self._now_s = now_s
        self._wall_s = wall_s
        self._log = log
        self._link = link
        self._seed = seed
        self._wire = FaultyWire(WireFaults(), seed=seed)
        self._unasked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._late: list[tuple[float, int, bytes]] = []  # heap: due instant, unit, bytes
        self._answered_s: dict[int, float] = {}
        self._line = self._terminal = self._wake_read = self._wake_write = -1
        self._node = ""
        self._quiet_since_s = -math.inf
        self._poll, self._line_poll = select.poll(), select.poll()
        self._thread: threading.Thread | None = None

    @property
    def faults(self) -> WireFaults:
        """What the wire does wrong at present; set it at any time, from any thread."""
        return self._wire.faults

    @faults.setter
    def faults(self, faults: WireFaults) -> None:
        self._wire = FaultyWire(faults, seed=self._seed)

    def babble(self, data: bytes) -> None:
        """Puts bytes on the wire that nobody asked for, behind a transaction in progress."""
        self._unasked.put(data)
        if self._thread is not None:
            os.write(self._wake_write, LOOK)

    def start(self) -> None:
        """Opens the terminal and serves it until `stop`; the node is another one than last time."""
        self._line, self._terminal = (
            os.openpty()
        )  # the second end stays open here: else a leaving master would hang the line up
        if os.ttyname(self._terminal) == self._node:  # the kernel hands out the lowest free number
            former = self._line, self._terminal
            self._line, self._terminal = os.openpty()
            for descriptor in former:
                os.close(descriptor)
        self._claim_link(os.ttyname(self._terminal))
        tty.setraw(self._terminal)
        os.set_blocking(self._line, False)
        self._wake_read, self._wake_write = os.pipe()
        self._poll, self._line_poll = select.poll(), select.poll()
        self._line_poll.register(self._line, select.POLLIN)
        self._poll.register(self._line, select.POLLIN)
        self._poll.register(self._wake_read, select.POLLIN)
        self.path = self._node = os.ttyname(self._terminal)
        if self._link is not None:
            self._link.unlink(missing_ok=True)  # of a line that was killed
            self._link.symlink_to(self.path)
            self.path = str(self._link)
        self._quiet_since_s = -math.inf
        self._late.clear()
        self._answered_s.clear()
        self._thread = threading.Thread(target=self._run, name=f"line-{self.name}", daemon=True)
        self._thread.start()

    def _claim_link(self, node: str) -> None:
        """Makes sure that nobody else uses the fixed name; one that leads nowhere was left by a line that was killed.

        Raises:
            FileExistsError: it is in use.
        """
        link = self._link
        if link is None or not (link.is_symlink() or link.exists()):
            return
        if link.is_symlink() and (not link.exists() or self._leads_to(node)):
            return
        os.close(self._line)
        os.close(self._terminal)
        where = f" -> {link.readlink()}" if link.is_symlink() else ""
        raise FileExistsError(
            f"{link}{where}: 已被占用(另一台仿真设备?),先结束它或换一个名称"
            " / is in use (by another simulated device?): end that one or take another name"
        )

    def _leads_to(self, node: str) -> bool:
        """Whether the fixed name leads to this terminal."""
        return self._link is not None and self._link.is_symlink() and str(self._link.readlink()) == node

    def stop(self) -> None:
        """Ends the thread and closes the terminal; a master that has it open sees it hang up."""
        if self._thread is None:
            return
        os.write(self._wake_write, STOP)
        self._thread.join(STOP_S_MAX)
        self._thread = None
        if self._link is not None and self._leads_to(self._node):  # first the name, as udev does
            self._link.unlink(missing_ok=True)
        for descriptor in (self._line, self._terminal, self._wake_read, self._wake_write):
            os.close(descriptor)

    def unplug(self) -> None:
        """Pulls the adapter out: the terminal hangs up, its name is gone, late answers are lost."""
        self.stop()

    def plug_in(self) -> None:
        """Puts the adapter back: same link, another device node."""
        if self._thread is None:
            self.start()

    # ------------------------------------------------------------------------------------------------------- thread
    def _run(self) -> None:
        while True:
            nap_ms = None if not self._late else max(0, math.ceil((self._late[0][0] - self._wall_s()) * 1e3))
            ready = {descriptor for descriptor, _ in self._poll.poll(nap_ms)}
            if self._wake_read in ready and STOP in os.read(self._wake_read, READ_BYTES_MAX):
                return
            try:
                if self._line in ready:
                    self._transaction()
                self._send_late(until_s=self._wall_s())
                while not self._unasked.empty():
                    data = self._unasked.get()
                    self.statistics.babbled += len(data)
                    self._put(data, max(self._wall_s(), self._quiet_since_s))
            except Exception:  # one request that breaks a device must not silence the line for the rest of the run
                self.statistics.failures += 1
                logger.exception("line cannot answer line=%s", self.name)

    def _transaction(self) -> None:
        wire, statistics = self._wire, self.statistics
        frame, begin_s, end_s, gap_kept = self._receive()
        statistics.requests += 1
        statistics.bytes += len(frame)
        statistics.gap_violations += not gap_kept
        self._quiet_since_s = end_s
        if wire.faults.echo:
            statistics.echoed += 1
            self._hand_over(frame, begin_s, latency_s=wire.faults.latency_s)
        unit = frame[0]
        rested_s = begin_s - self._answered_s.get(unit, -math.inf)
        too_soon = rested_s < wire.faults.min_gap_s and wire.concerns(unit)
        if too_soon or (wire.faults.strict and not gap_kept):
            statistics.ignored += 1
            if unit in self._devices:
                self._log.hold(self._devices[unit].name, instant_s=self._now_s())
            return
        if len(frame) < FRAME_BYTES_MIN or with_crc(frame[:-2]) != frame:
            statistics.crc_errors += 1
            return
        device = self._devices.get(unit)
        if device is None:
            statistics.unknown_unit += 1
            self._log.request(f"{self.name}/{unit}", function=frame[1], instant_s=self._now_s())
            return
        device.requested(frame[1])
        answer_s = end_s + self._turnaround_s
        self._send_late(until_s=answer_s)
        self._sleep_until(answer_s)
        taken_s = self._now_s()
        content = device.answer(frame[1:-2])
        if content is None:
            self._log.hold(device.name, instant_s=taken_s)
            return
        meant = answer = with_crc(frame[:1] + content)
        if self.disturbance is not None:
            answer = self.disturbance(device.name, answer)
        late_s = 0.0
        if answer:
            answer, late_s = wire.answer(unit, answer)
        statistics.damaged += answer != meant
        statistics.late += late_s > 0
        late_s += device.late_s
        if answer != meant or late_s > 0:
            self._log.hold(device.name, instant_s=taken_s)
        if not answer:
            return
        if late_s > 0:
            end_s = self._now_s()
            self._log.postpone(device.name, begin_s=taken_s, end_s=end_s, left_s=end_s + late_s)
            heapq.heappush(self._late, (answer_s + late_s, unit, answer))
            return
        statistics.answers += 1  # before it can be heard: whoever has the answer finds it counted
        self._put(answer, answer_s)
        self._answered_s[unit] = self._quiet_since_s
        statistics.busy_s += self._quiet_since_s - begin_s

    def _send_late(self, *, until_s: float) -> None:
        """Sends the late answers that are due; one that finds the line taken follows at once behind."""
        while self._late and self._late[0][0] <= until_s:
            due_s, unit, answer = heapq.heappop(self._late)
            self._sleep_until(due_s)
            begin_s = max(self._wall_s(), self._quiet_since_s)
            self.statistics.answers += 1
            self._put(answer, begin_s)
            self._answered_s[unit] = self._quiet_since_s
            self.statistics.busy_s += self._quiet_since_s - begin_s

    def _receive(self) -> tuple[bytes, float, float, bool]:
        """A request, the instants of its first and last character on the wire, and whether silence went before it."""
        arrived_s = self._wall_s()
        frame = os.read(self._line, READ_BYTES_MAX)
        gap_kept = arrived_s - self._quiet_since_s > self._gap_s - GAP_SLACK_S
        begin_s = max(arrived_s, self._quiet_since_s)
        end_s = begin_s + len(frame) * self.char_s
        while len(frame) < READ_BYTES_MAX:
            expected = request_bytes(frame)
            if expected is not None and len(frame) >= expected:
                break
            silence_s = end_s + self._gap_s - self._wall_s()
            if not self._line_poll.poll(max(0, math.ceil(silence_s * 1e3))):
                break
            more = os.read(self._line, READ_BYTES_MAX)
            end_s = max(end_s, self._wall_s()) + len(more) * self.char_s
            frame += more
        return frame, begin_s, end_s, gap_kept

    def _put(self, data: bytes, begin_s: float) -> None:
        """Sends bytes towards the master; the line is quiet again after the last of them."""
        self.statistics.bytes += len(data)
        self._quiet_since_s = self._hand_over(data, begin_s, latency_s=self._wire.faults.latency_s)

    def _hand_over(self, data: bytes, begin_s: float, *, latency_s: float) -> float:
        """Hands bytes over, each portion when its last character has passed; returns when the last one did."""
        end_s = begin_s
        start = 0
        while start < len(data):
            if latency_s > 0:
                portion = data[start : start + USB_PACKET_BYTES]
                full_s = begin_s + (start + len(portion)) * self.char_s
                tick_s = math.ceil((begin_s + (start + 1) * self.char_s) / latency_s) * latency_s
                if tick_s < full_s:  # the tick comes before the packet is full: it takes what is there
                    portion = portion[: max(1, int((tick_s - begin_s) / self.char_s) - start)]
                ready_s = tick_s if len(portion) < USB_PACKET_BYTES else min(tick_s, full_s)
            else:
                portion = data[start : start + self._portion]
                ready_s = begin_s + (start + len(portion)) * self.char_s
            self._sleep_until(ready_s)
            end_s = self._wall_s()  # before the write: from then on the master may count its silence
            with contextlib.suppress(
                BlockingIOError
            ):  # nobody reads and the terminal is full: a real line loses it too
                os.write(self._line, portion)
            start += len(portion)
        return max(end_s, begin_s + len(data) * self.char_s)

    def _sleep_until(self, instant_s: float) -> None:
        wait_s = instant_s - self._wall_s()
        if wait_s > 0:
            time.sleep(wait_s)
