"""Modbus TCP: one connection to a host, kept by us, and nothing passes that is not the answer to a request.

pymodbus encodes requests and decodes answers; its client is not used: it accepts an answer with another function code,
with fewer registers than asked, with a wrong write echo or with transaction id 0, raises inside its receive callback,
starts no reconnect after a failed first connect, leaks a socket at a second one, and has one request in flight
(docs/decisions). tests/drivers shows what becomes of each here. The stream of frames is taken apart in
`drivers.bus.mbap`, whether one is the answer is judged in `drivers.bus.modbus_pdu`, what is learned of the host is kept
in `drivers.bus.host_pace`.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from pymodbus.pdu import DecodePDU, ModbusPDU

from drivers.bus.base import BusCounts, Span, UnitTiming, refusal
from drivers.bus.host_keeper import HostKeeper
from drivers.bus.host_pace import LATEST_LEARNED_MAX_S, HostPace
from drivers.bus.mbap import Connection, Frame
from drivers.bus.modbus_pdu import fault_of, read_request, reads, values_of, write_request
from drivers.bus.tcp_job import Job, Missed
from drivers.errors import LineDown, NoAnswer, ProtocolFault, WriteForbidden
from drivers.read_plan import LineCost

log = logging.getLogger(__name__)
# The guard words every failure itself; the library's own lines would repeat them at each poll.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

TIMEOUT_S = 1.0
TURNAROUND_TYPICAL_S = 0.005
SILENT_MAX = 3
"""Answers missing in a row, with not a byte from anybody, before the connection itself is suspected and made anew."""
LATE_MAX = 3
"""Answers in a row that all come too late: the host is out of step, only a new connection helps."""
LAG_MAX = 16
"""A host that answers so many requests behind is started afresh at once."""
AT_ONCE_S = 1.0
"""A connection that the host ends within this time without an answer was not wanted."""
PASSING_MAX = 2
"""Requests that may pass overdue ones without an answer from anybody: a host that is behind must not be flooded."""
OTHERS_HEARD_S = 30.0
"""A host of which another unit was heard within this time is not taken for broken because of one that is not."""
GIVEN_UP_MAX = 512
"""Unanswered requests remembered, so that their late answers are known for what they are."""
WAITING_MAX = 256
"""Greatest number of requests in the queue of a bus."""
NUMBER_MAX = 0xFFFF


class ModbusTcpBus:
    """Modbus TCP to one host: one connection, several units behind it.

    Args:
        name: as in devices.yaml.
        host: name or address.
        port: TCP port.
        elapsed_s: stop-watch of the machine [s].
        timeout_s: wall time for the answer, and for making the connection [s].
        depth: requests in flight at once; more than 1 only for hosts known to queue them.
        lenient_ids: accept answers whose transaction number was changed on the way; depth must be 1. Its price: after a
            missing answer the unit rests until no answer can come any more, and is asked again on a new connection.
        connect_delay_s: rest between a new connection and the first request; None: as the units need, and learned [s].

    Attributes:
        pace: what has been learned of the host.
    """

    def __init__(
        self,
        name: str,
        *,
        host: str,
        port: int,
        elapsed_s: Callable[[], float],
        timeout_s: float = TIMEOUT_S,
        depth: int = 1,
        lenient_ids: bool = False,
        connect_delay_s: float | None = None,
    ) -> None:
        assert depth == 1 or not lenient_ids, "without numbers only one answer can be told from another"
        self.name = name
        self.counts = BusCounts()
        self.cost = LineCost.tcp(turnaround_s=TURNAROUND_TYPICAL_S)
        self._elapsed_s = elapsed_s
        self._timeout_s = timeout_s
        self._depth = depth
        self._lenient_ids = lenient_ids
        self.pace = HostPace(name, timeout_s=timeout_s, lenient_ids=lenient_ids, connect_delay_s=connect_delay_s)
        self._free_at_s: dict[int, float] = {}  # units that need a rest after their answer
        self._decoder = DecodePDU(is_server=False)
        self._writes: deque[Job] = deque()
        self._reads: deque[Job] = deque()
        self._in_flight: dict[int, Job] = {}
        self._given_up: dict[int, Missed] = {}
        self._heard_at_s: dict[int, float] = {}
        self._openings_lost = 0
        # Goes on over reconnects, and begins anywhere: some gateways answer old requests on a new one.
        self._number = random.randint(1, NUMBER_MAX)  # noqa: S311 - no secret
        self._busy_since_s = 0.0
        self._rest_until_s = float("-inf")
        self._wake_up: asyncio.TimerHandle | None = None
        self._silent = 0
        self._silent_units: set[int] = set()
        self._answered_units: set[int] = set()
        self._late_row = 0
        self._passing = 0  # requests that passed overdue ones since the last answer
        self._strange_told = False
        self._connected_before = False
        self._keeper = HostKeeper(
            name,
            host=host,
            port=port,
            timeout_s=timeout_s,
            new_connection=self._new_connection,
            on_made=self._on_made,
            on_missing=self._refuse_waiting,
            elapsed_s=elapsed_s,
        )

    def expect(self, unit: int, timing: UnitTiming) -> None:
        """Tells the pace of a unit, before `open`."""
        self.pace.expect(unit, timing)

    def miss_s(self, unit: int) -> float:
        """What an unanswered request to a unit costs the others; see `HostPace`."""
        return self.pace.miss_s(unit)

    async def open(self) -> None:
        """Makes the connection; a host that is not there is tried again in the background, with growing pauses."""
        await self._keeper.start()

    async def close(self) -> None:
        """Ends the connection; waiting callers get `LineDown`."""
        await self._keeper.stop()
        self._drop("closed", repeat=False)
        self._refuse_waiting("closed")
        if self._wake_up is not None:
            self._wake_up.cancel()
            self._wake_up = None

    async def read(self, span: Span, *, unit: int) -> tuple[int, ...]:
        """Fetches registers, or bits as 0 and 1.

        Raises:
            LineDown: no connection.
            NoAnswer: silence, or a gateway reports it.
            ProtocolFault: not the answer to this request.
            DeviceRefused: exception answer.
        """
        return values_of(await self._transact(read_request(span, unit=unit), writes=False), span)

    async def write(
        self,
        address: int,
        values: Sequence[int],
        *,
        unit: int,
        function: int,
        permit: Callable[[], bool] | None = None,
    ) -> None:
        """Sends registers or bits and checks the echo. Never repeated here once it has been sent.

        Args:
            address: of the first.
            values: registers, or bits as 0 and 1.
            unit: whom.
            function: Modbus function code.
            permit: asked right before the first byte is sent; if it says no, nothing is.

        Raises:
            LineDown: no connection, and nothing was sent.
            NoAnswer: sent; whether it arrived is unknown.
            WriteForbidden: `permit` said no.
            DriverError: otherwise as `read`.
        """
        request = write_request(address, values, unit=unit, function=function)
        await self._transact(request, writes=True, permit=permit)

    # ------------------------------------------------------------------------------------------------------ requests

    async def _transact(
        self, request: ModbusPDU, *, writes: bool, permit: Callable[[], bool] | None = None
    ) -> ModbusPDU:
        """Queues a request and returns its checked answer. Cancelling the caller does not cancel a sent request."""
        if not self._keeper.running:
            raise LineDown(f"{self.name}: closed")
        if self._keeper.pausing:
            raise LineDown(f"{self.name}: {self._keeper.why}")
        if len(self._writes) + len(self._reads) >= WAITING_MAX:
            raise LineDown(f"{self.name}: {WAITING_MAX} requests are waiting already")
        pdu = bytes((request.function_code,)) + request.encode()
        job = Job(request, pdu, asyncio.get_running_loop().create_future(), 0 if writes else 1, permit)
        (self._writes if writes else self._reads).append(job)
        self._pump()
        response = await job.future
        if response.isError():
            raise refusal(
                response.exception_code, f"{self.name}: unit {request.dev_id}, function {request.function_code}"
            )
        return response

    def _pump(self) -> None:
        """Sends what may be sent now; commands before polling."""
        connection = self._keeper.connection
        if connection is None:
            if self._writes or self._reads:
                self._keeper.need()
            return
        now_s = self._elapsed_s()
        wake_s = self._rest_until_s
        while self._may_send() and wake_s <= now_s:
            job, wake_s = self._next(now_s)
            if job is None:
                break
            if self._lenient_ids and any(missed.here for missed in self._missed_of(job.unit)):
                (self._reads if reads(job.request) else self._writes).appendleft(job)
                self._drop("an answer is missing, and its number would not tell", repeat=True)
                self._keeper.need()
                return
            if job.permit is not None and not job.permit():
                job.settle(
                    None, WriteForbidden(f"{self.name}: unit {job.unit}: not allowed any more, nothing was sent")
                )
                continue
            self._send(connection, job)
        if now_s < wake_s < float("inf"):
            self._wake_after(wake_s - now_s)

    def _may_send(self) -> bool:
        """Whether one more request may be under way; who is overdue does not count, within limits."""
        overdue = sum(job.overdue for job in self._in_flight.values())
        if overdue and (self._passing >= PASSING_MAX or any(job.alone for job in self._reads)):
            return False
        return len(self._in_flight) - overdue < self._depth

    def _grow_overdue(self, job: Job) -> None:
        job.overdue = True
        self._pump()

    def _wake_after(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        if self._wake_up is not None:
            if self._wake_up.when() <= loop.time() + delay_s:
                return
            self._wake_up.cancel()
        self._wake_up = loop.call_later(delay_s, self._wake)

    def _wake(self) -> None:
        self._wake_up = None
        self._pump()

    def _next(self, now_s: float) -> tuple[Job | None, float]:
        """The next request whose unit has had its rest, or when the first one will have had it [s]."""
        soonest_s = float("inf")
        overdue = {job.unit for job in self._in_flight.values() if job.overdue}
        for queue in (self._writes, self._reads):
            for job in tuple(queue):
                if job.future.done():  # its caller has gone before anything was sent
                    queue.remove(job)
                    continue
                if job.unit in overdue:
                    continue
                free_s = self._free_at_s.get(job.unit, now_s)
                if free_s <= now_s:
                    queue.remove(job)
                    return job, now_s
                soonest_s = min(soonest_s, free_s)
        return None, soonest_s

    def _send(self, connection: Connection, job: Job) -> None:
        number = self._number = self._number % NUMBER_MAX + 1
        if not self._in_flight:
            self._busy_since_s = self._elapsed_s()
        job.number, job.sent_s, job.opening = number, self._elapsed_s(), connection.sent_count == 0
        job.overdue, job.passed = False, any(other.overdue for other in self._in_flight.values())
        self._passing += job.passed
        self._in_flight[number] = job
        self._given_up.pop(number, None)
        self.counts.requests += 1
        self.counts.writes += not reads(job.request)
        connection.send(number, unit=job.unit, pdu=job.pdu)
        # Hosts answer one after the other: the last of several requests waits for those before it, and one that passes
        # for as long as the host itself may wait for the one that is overdue.
        abreast = sum(not other.overdue for other in self._in_flight.values())
        timeout_s = self.pace.timeout_s(job.unit) * abreast
        if job.passed and not self.pace.is_patient(job.unit):
            timeout_s += self._timeout_s
        loop = asyncio.get_running_loop()
        job.miss_timer = loop.call_later(timeout_s, self._miss, job)
        gives_way_s = self.pace.gives_way_s()
        if gives_way_s is not None and gives_way_s < timeout_s:
            job.overdue_timer = loop.call_later(gives_way_s, self._grow_overdue, job)

    def _take(self, job: Job) -> None:
        """Ends a request's time in flight."""
        del self._in_flight[job.number]
        job.end_timers()
        if not self._in_flight:
            self.counts.busy_s += self._elapsed_s() - self._busy_since_s

    def _missed_of(self, unit: int) -> list[Missed]:
        return [missed for missed in self._given_up.values() if missed.unit == unit]

    def _give_up(self, job: Job) -> None:
        """Remembers a request whose answer may still come; where its number would not tell, its unit rests so long."""
        self._given_up[job.number] = Missed(job.unit, job.sent_s, job.opening)
        while len(self._given_up) > GIVEN_UP_MAX:
            del self._given_up[next(iter(self._given_up))]
        if self._lenient_ids:
            free_s = job.sent_s + self.pace.latest_answer_s(job.unit)
            self._free_at_s[job.unit] = max(self._free_at_s.get(job.unit, free_s), free_s)

    # ------------------------------------------------------------------------------------------- what became of them

    def _miss(self, job: Job) -> None:
        """Nobody answered in time."""
        self._take(job)
        self._give_up(job)
        self.counts.silent += 1
        self._silent += 1
        self._silent_units.add(job.unit)
        patient = self.pace.is_patient(job.unit)
        self.pace.missed(job.unit)
        self._keeper.up()
        if self._lenient_ids and job.opening:
            # The next request to this unit opens a connection as well: a host that loses those must get its delay now.
            self._openings_lost += 1
            if self._openings_lost > 1:
                self.pace.lost_first_request()
        if job.passed and job.repeats and not patient:
            # The host may take one request at a time: this one is asked again when it has the host for itself.
            job.repeats -= 1
            job.alone = True
            self._reads.appendleft(job)
        elif job.opening and job.repeats and not self._lenient_ids:
            # Some hosts lose what comes first on a connection; a read may be asked again.
            job.repeats -= 1
            self._reads.appendleft(job)
        else:
            job.settle(None, NoAnswer(f"{self.name}: unit {job.unit} is silent"))
        # A silent unit is no reason to cut off its neighbours: only when nobody is heard any more.
        everybody = self._answered_units <= self._silent_units or len(self._silent_units) >= SILENT_MAX
        if self._silent >= SILENT_MAX and everybody:
            self._drop("nobody answers", repeat=True)
        self._pump()

    def _on_frame(self, connection: Connection, frame: Frame) -> None:
        """Judges a frame: the answer, a late one, a stray one, or a fault."""
        if connection is not self._keeper.connection:
            return
        self._silent = 0
        self._silent_units.clear()
        job = self._in_flight.get(frame.number)
        if self._lenient_ids:
            job = next(iter(self._in_flight.values()), None)
            fits = job is not None and not fault_of(job.request, unit=frame.unit, pdu=frame.pdu)
            if not fits and self._is_late(frame):
                return
        if job is None:
            self._unasked(frame)
            return
        fault = fault_of(job.request, unit=frame.unit, pdu=frame.pdu)
        response = None if fault else self._decoder.decode(frame.pdu)
        if response is None:
            self._damaged(job, fault or f"cannot be decoded: {frame.pdu[:16].hex(' ')}")
            return
        self._take(job)
        self._note_answer(connection, job)
        job.settle(response)
        self._pump()

    def _note_answer(self, connection: Connection, job: Job) -> None:
        now_s = self._heard_at_s[job.unit] = self._elapsed_s()
        self.counts.answers += 1
        connection.answer_count += 1
        self.pace.answered(job.unit, now_s - job.sent_s)
        if job.alone or job.passed:
            self.pace.passed(in_vain=job.alone)
        self._late_row = self._passing = 0
        self._answered_units.add(job.unit)
        guard_s = self.pace.guard_s(job.unit)
        if guard_s:
            self._free_at_s[job.unit] = now_s + guard_s
        if self._lenient_ids:
            self._given_up = {number: missed for number, missed in self._given_up.items() if missed.unit != job.unit}
            if job.opening:
                self._openings_lost = 0
        lost = any(missed.opening and missed.unit == job.unit for missed in self._given_up.values())
        if lost and connection.answer_count == 1:
            self.pace.lost_first_request()
        self._keeper.fruitful()

    def _is_late(self, frame: Frame) -> bool:
        """Whether a frame is a late answer of a unit that owes one, where numbers do not tell; learns how late."""
        oldest_s = self._elapsed_s() - LATEST_LEARNED_MAX_S
        missed = next((missed for missed in self._missed_of(frame.unit) if missed.sent_s >= oldest_s), None)
        if missed is None:
            return False
        self.counts.late += 1
        late_s = self._elapsed_s() - missed.sent_s
        self.pace.late(frame.unit, late_s)
        if self.pace.lengthen(frame.unit, late_s):
            free_s = missed.sent_s + self.pace.latest_answer_s(frame.unit)
            self._free_at_s[frame.unit] = max(self._free_at_s.get(frame.unit, free_s), free_s)
        return True

    def _unasked(self, frame: Frame) -> None:
        """A frame that answers nothing in flight: too late, or a number that was never given."""
        late = None if self._lenient_ids else self._given_up.pop(frame.number, None)
        if late is None:
            self.counts.stray_bytes += frame.size
            if frame.number == 0 and self._in_flight:
                self._damaged(
                    next(iter(self._in_flight.values())),
                    "answer without a transaction number; if the gateway does not keep them, set lenient_ids",
                )
            elif not self._strange_told and any(
                not fault_of(job.request, unit=frame.unit, pdu=frame.pdu) for job in self._in_flight.values()
            ):
                self._strange_told = True
                log.warning(
                    "answer with a transaction number that was not asked for bus=%s; if the gateway changes them, "
                    "set lenient_ids",
                    self.name,
                )
            return
        self.counts.late += 1
        self._late_row += 1
        self.pace.late(late.unit, self._elapsed_s() - late.sent_s)
        if self._late_row >= LATE_MAX or (self._number - frame.number) % NUMBER_MAX > LAG_MAX:
            self._late_row = 0
            log.warning("answers come behind their requests, connecting anew bus=%s", self.name)
            self._drop("answers come behind", repeat=True)
            self._pump()

    def _damaged(self, job: Job, fault: str) -> None:
        """Something came that is not the answer; what else is under way cannot be trusted either."""
        self.counts.damaged += 1
        self._take(job)
        self._give_up(job)
        job.settle(None, ProtocolFault(f"{self.name}: {fault}"))
        connection = self._keeper.connection
        if connection is not None and connection.answer_count == 0 and not self._others_heard(job.unit):
            self._keeper.fruitless()
        self._drop(fault, repeat=True)
        self._pump()

    def _others_heard(self, unit: int) -> bool:
        """Whether somebody else answers on this host.

        Then it is one unit that talks nonsense. It is left to rest by itself, and nobody waits for a connection on its
        account.
        """
        since_s = self._elapsed_s() - OTHERS_HEARD_S
        return any(heard_s > since_s for other, heard_s in self._heard_at_s.items() if other != unit)

    def _on_babble(self, connection: Connection, received: bytes) -> None:
        if connection is not self._keeper.connection:
            return
        fault = f"not a Modbus TCP frame: {received[:8].hex(' ')}"
        self.counts.stray_bytes += len(received)
        job = next(iter(self._in_flight.values()), None)
        if job is not None:
            self._damaged(job, fault)
        else:
            self._drop(fault, repeat=True)

    # ---------------------------------------------------------------------------------------------------- connection

    def _new_connection(self) -> Connection:
        return Connection(
            on_frame=self._on_frame, on_babble=self._on_babble, on_end=self._on_end, elapsed_s=self._elapsed_s
        )

    def _on_made(self, connection: Connection) -> None:
        """A connection is there: what waits may be sent."""
        # Late answers may come on this connection: some gateways answer on the newest one.
        self._given_up = {
            number: replace(missed, opening=False, here=False) for number, missed in self._given_up.items()
        }
        self._answered_units.clear()
        self._silent = self._late_row = self._passing = 0
        self._silent_units.clear()
        self.counts.reopened += self._connected_before
        self._connected_before = True
        self._rest_until_s = connection.made_s + self.pace.connect_delay_s
        self._pump()

    def _on_end(self, connection: Connection, reason: str) -> None:
        """The host has ended the connection."""
        if connection is not self._keeper.connection:
            return
        idle = not (self._in_flight or self._writes or self._reads)
        age_s = self._elapsed_s() - connection.made_s
        if connection.answer_count == 0 and not (idle and age_s > AT_ONCE_S):
            if age_s <= AT_ONCE_S:
                reason = f"{reason}, at once; it may take one client only and have one already"
            self._keeper.fruitless()
            self._keeper.down(reason)
            self._keeper.need()
        self._drop(reason, repeat=True)
        if not idle:
            self._keeper.need()
        # An idle connection that the host has closed is made again when the next request needs it, without a word.

    def _drop(self, reason: str, *, repeat: bool) -> None:
        """Gives up the connection; reads that were under way are sent once more on the next one."""
        if not self._keeper.drop(reason):
            return
        for job in reversed(tuple(self._in_flight.values())):
            self._take(job)
            self._give_up(job)
            if repeat and job.repeats:
                job.repeats -= 1
                self._reads.appendleft(job)
            elif reads(job.request):
                job.settle(None, LineDown(f"{self.name}: connection lost: {reason}"))
            else:  # it may have arrived
                job.settle(None, NoAnswer(f"{self.name}: write sent, and the connection was lost: {reason}"))

    def _refuse_waiting(self, reason: str) -> None:
        for queue in (self._writes, self._reads):
            while queue:
                queue.popleft().settle(None, LineDown(f"{self.name}: {reason}"))
