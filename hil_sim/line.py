"""A paced RS-485 line behind a pseudo terminal: the serial wire between the agent's port and the simulated meters.

A pseudo terminal moves bytes at once; a real line charges every character its time. This line does the same: a request
counts as arrived when its last character would have been on the wire, the answer starts after the turnaround, and its
characters are handed over when a real line would have delivered them, in portions as a UART's buffer does. It watches
the silence of 3.5 characters that the standard asks for before each request.

One thread a line: it sleeps the known times and wakes a few times an answer; an event loop would wake for every timer
of everybody. Not here: what the devices answer; they come as `Attached`.

Source: MODBUS over Serial Line Specification and Implementation Guide V1.02, 2.5.1.1 (silent intervals) and 6.2.2
(CRC).
"""

import contextlib
import logging
import math
import os
import select
import threading
import time
import tty
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

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
        ignored: requests that a strict line dropped for that.
        unknown_unit: requests to a unit that nobody on the line has.
        failures: requests whose answer broke down inside the simulator (logged).
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
        statistics: what happened on it.
        disturbance: what the wire does to answers; None: nothing.
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
        strict: bool = False,
        link: Path | None = None,
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
            strict: requests that break the gap are ignored, as some real slaves do.
            link: a fixed name for the terminal, made at `start`, as a udev rule would.

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
        self._char_s = bits_per_char / baud
        self._gap_s = GAP_CHARS * self._char_s if baud <= GAP_BAUD_MAX else GAP_ABOVE_19200_S
        self._turnaround_s = max(turnaround_s, self._gap_s)
        self._portion = max(PORTION_BYTES, round(PORTION_S / self._char_s))
        self._now_s = now_s
        self._wall_s = wall_s
        self._log = log
        self._strict = strict
        self._link = link
        self._line = self._terminal = self._wake_read = self._wake_write = -1
        self._quiet_since_s = -math.inf
        self._poll = select.poll()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Opens the terminal and serves it until `stop`."""
        self._line, self._terminal = (
            os.openpty()
        )  # the second end stays open here: else a leaving master would hang the line up
        tty.setraw(self._terminal)
        os.set_blocking(self._line, False)
        self._wake_read, self._wake_write = os.pipe()
        self._poll = select.poll()
        self._poll.register(self._line, select.POLLIN)
        self._poll.register(self._wake_read, select.POLLIN)
        self.path = os.ttyname(self._terminal)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self.path)
            self.path = str(self._link)
        self._quiet_since_s = -math.inf
        self._thread = threading.Thread(target=self._run, name=f"line-{self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes the terminal; a master that has it open sees it hang up."""
        if self._thread is None:
            return
        os.write(self._wake_write, b"x")
        self._thread.join(STOP_S_MAX)
        self._thread = None
        for descriptor in (self._line, self._terminal, self._wake_read, self._wake_write):
            os.close(descriptor)
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    # ------------------------------------------------------------------------------------------------------- thread
    def _run(self) -> None:
        while True:
            ready = {descriptor for descriptor, _ in self._poll.poll()}
            if self._wake_read in ready:
                return
            try:
                self._transaction()
            except Exception:  # one request that breaks a device must not silence the line for the rest of the run
                self.statistics.failures += 1
                logger.exception("line cannot answer line=%s", self.name)

    def _transaction(self) -> None:
        frame, begin_s, end_s, gap_kept = self._receive()
        statistics = self.statistics
        statistics.requests += 1
        statistics.bytes += len(frame)
        statistics.gap_violations += not gap_kept
        self._quiet_since_s = end_s
        if self._strict and not gap_kept:
            statistics.ignored += 1
            return
        if len(frame) < FRAME_BYTES_MIN or with_crc(frame[:-2]) != frame:
            statistics.crc_errors += 1
            return
        device = self._devices.get(frame[0])
        if device is None:
            statistics.unknown_unit += 1
            self._log.request(f"{self.name}/{frame[0]}", function=frame[1], instant_s=self._now_s())
            return
        device.requested(frame[1])
        answer_s = end_s + self._turnaround_s + device.late_s
        self._sleep_until(answer_s)
        content = device.answer(frame[1:-2])
        if content is None:
            return
        answer = with_crc(frame[:1] + content)
        if self.disturbance is not None:
            answer = self.disturbance(device.name, answer)
        if not answer:
            return
        self._quiet_since_s = self._send(answer, answer_s)
        statistics.answers += 1
        statistics.bytes += len(answer)
        statistics.busy_s += self._quiet_since_s - begin_s

    def _receive(self) -> tuple[bytes, float, float, bool]:
        """A request, the instants of its first and last character on the wire, and whether silence went before it."""
        arrived_s = self._wall_s()
        frame = os.read(self._line, READ_BYTES_MAX)
        gap_kept = arrived_s - self._quiet_since_s > self._gap_s - GAP_SLACK_S
        begin_s = max(arrived_s, self._quiet_since_s)
        end_s = begin_s + len(frame) * self._char_s
        while len(frame) < READ_BYTES_MAX:
            expected = request_bytes(frame)
            if expected is not None and len(frame) >= expected:
                break
            silence_s = end_s + self._gap_s - self._wall_s()
            if not self._poll.poll(max(0, math.ceil(silence_s * 1e3))):
                break
            try:
                more = os.read(self._line, READ_BYTES_MAX)
            except BlockingIOError:  # woken for `stop`, not by a character
                break
            end_s = max(end_s, self._wall_s()) + len(more) * self._char_s
            frame += more
        return frame, begin_s, end_s, gap_kept

    def _send(self, answer: bytes, begin_s: float) -> float:
        """Hands an answer over, each portion when its last character has passed; returns when the last one did."""
        end_s = begin_s
        for start in range(0, len(answer), self._portion):
            portion = answer[start : start + self._portion]
            self._sleep_until(begin_s + (start + len(portion)) * self._char_s)
            end_s = self._wall_s()  # before the write: from then on the master may count its silence
            with contextlib.suppress(
                BlockingIOError
            ):  # nobody reads and the terminal is full: a real line loses it too
                os.write(self._line, portion)
        return max(end_s, begin_s + len(answer) * self._char_s)

    def _sleep_until(self, instant_s: float) -> None:
        wait_s = instant_s - self._wall_s()
        if wait_s > 0:
            time.sleep(wait_s)
