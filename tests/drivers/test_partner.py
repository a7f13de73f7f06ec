"""What a line knows of a partner: no answer of a slave that answers in order is ever believed of the wrong request."""

import struct
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus.base import Span, UnitTiming
from drivers.bus.exchange import Exchange
from drivers.bus.modbus_rtu import ReadExchange, WriteExchange, check_sum
from drivers.bus.partner import (
    LATEST_LEARNED_MAX_S,
    OWED_MAX,
    OWED_S,
    PROOFS_FAILED_MAX,
    PROOFS_RETRY_ANSWERS,
    TIMEOUT_LEARNED_MAX_S,
    Partner,
)

TIMEOUT_S, LATEST_S = 0.5, 1.5
LONG_S = 10.0
STEPS_MAX = 40
ATTEMPT_S = 0.9 * OWED_S / STEPS_MAX
"""So that no answer of a history comes later than requests are remembered."""


def partner(**timing: float) -> Partner:
    return Partner(1, UnitTiming(**timing), timeout_s=TIMEOUT_S, latest_answer_s=LATEST_S)


def read(count: int, *, address: int = 0) -> ReadExchange:
    return ReadExchange(Span(3, address, count), unit=1)


def answer_frame(exchange: Exchange[tuple[int, ...]], number: int) -> bytes:
    """The answer to a read, with the number of its request in each register."""
    body = exchange.head + struct.pack(">H", number) * (exchange.head[2] // 2)
    return body + check_sum(body)


@dataclass
class World:
    """A slave that answers in order, however late, and loses some; and a master as `SerialLine` is one."""

    partner: Partner
    waiting: list[tuple[int, ReadExchange]] = field(default_factory=list)
    sent: int = 0

    @property
    def now_s(self) -> float:
        return self.sent * ATTEMPT_S

    def attempt(self, exchange: ReadExchange, *, lost: int, in_time: int, in_rest: int) -> str:
        """Sends a request; `lost` old answers never come, so many come in time, so many in the rest after a miss."""
        sent_s, number, self.sent = self.now_s, self.sent, self.sent + 1
        self.waiting.append((number, exchange))
        del self.waiting[: min(lost, len(self.waiting))]
        noise = b""
        for _ in range(in_time):
            if not self.waiting:
                break
            source, asked = self.waiting.pop(0)
            noise += answer_frame(asked, source)
            if exchange.look(noise) is None:
                continue
            if noise != answer_frame(asked, source):
                self.partner.find_late(noise, now_s=sent_s, character_s=0.0, but=exchange.head)
            if not self.partner.answered(exchange, sent_s=sent_s, turnaround_s=0.01, rest_s=LONG_S):
                return "doubtful"
            assert source == number, "an answer was believed of the wrong request"
            return "answered"
        self.partner.missed(exchange, sent_s=sent_s)
        for _ in range(in_rest):
            if self.waiting:
                source, asked = self.waiting.pop(0)
                self.partner.find_late(answer_frame(asked, source), now_s=sent_s, character_s=0.0)
                if not self.partner.owed:
                    break
        return "missed"


@settings(max_examples=400)
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2), st.booleans()),
        min_size=1,
        max_size=STEPS_MAX,
    )
)
def test_no_answer_is_believed_of_the_wrong_request(steps: list[tuple[int, int, int, int, bool]]) -> None:
    world = World(partner())
    for count, lost, in_time, in_rest, trial in steps:
        exchange = read(count)
        if world.partner.in_doubt(exchange) and not trial:
            proof = world.partner.proof(exchange)
            assert isinstance(proof, ReadExchange)
            assert proof.head != exchange.head
            exchange = proof
        world.attempt(exchange, lost=lost, in_time=in_time, in_rest=in_rest)
        if not world.waiting and not world.partner.owed:
            assert not world.partner.in_doubt(read(count))


def test_an_answer_of_another_form_ends_the_doubt() -> None:
    known = partner()
    known.missed(read(3), sent_s=0.0)
    assert known.in_doubt(read(3, address=99)), "another address has the same form"
    assert not known.in_doubt(read(2))
    assert known.answered(read(2), sent_s=2.0, turnaround_s=0.01, rest_s=LONG_S)
    assert not known.in_doubt(read(3))


def test_the_proof_is_something_that_it_has_answered_before() -> None:
    known = partner()
    known.answered(read(40, address=10), sent_s=0.0, turnaround_s=0.01, rest_s=LONG_S)
    known.answered(read(7, address=80), sent_s=0.0, turnaround_s=0.01, rest_s=LONG_S)
    known.missed(read(40), sent_s=1.0)
    proof = known.proof(read(40))
    assert proof is not None
    assert proof.request == read(7, address=80).request


def test_a_write_is_never_a_proof() -> None:
    known, write = partner(), WriteExchange(4, [1], unit=1, function=6)
    known.answered(write, sent_s=0.0, turnaround_s=0.01, rest_s=LONG_S)
    known.missed(write, sent_s=1.0)
    assert known.in_doubt(write)
    assert known.proof(write) is None
    known.answered(read(2), sent_s=0.0, turnaround_s=0.01, rest_s=LONG_S)
    assert not known.in_doubt(write)


def test_a_refusal_while_answers_are_owed_settles_only_the_oldest() -> None:
    known = partner()
    known.missed(read(3), sent_s=0.0)
    known.refused(read(5), sent_s=2.0, rest_s=LONG_S, final=True)
    assert not known.in_doubt(read(3))
    assert known.in_doubt(read(5))
    known.refused(read(7), sent_s=3.0, rest_s=LONG_S, final=True)
    assert not known.in_doubt(read(5))
    known = partner()
    known.refused(read(3), sent_s=0.0, rest_s=LONG_S, final=True)
    assert not known.owed
    known.refused(read(3), sent_s=0.0, rest_s=LONG_S, final=False)
    assert known.in_doubt(read(3)), "a gateway has spoken, the device may still answer"


def test_the_time_out_follows_the_slowest_in_a_hundred_and_never_sinks_below_its_floor() -> None:
    known = partner(timeout_s=0.2)
    for number in range(300):
        known.answered(read(2), sent_s=0.0, turnaround_s=0.4 if number % 100 == 50 else 0.01, rest_s=LONG_S)
        if number > 50:
            assert known.timeout_s > 0.2
    for _ in range(2000):
        known.answered(read(2), sent_s=0.0, turnaround_s=0.01, rest_s=LONG_S)
    assert known.timeout_s == 0.2
    assert known.turnaround_s == 0.01


@settings(max_examples=100)
@given(turnarounds=st.lists(st.floats(-1, 1e3), max_size=30), delay_s=st.floats(0, 1e4))
def test_what_is_learned_has_limits(turnarounds: list[float], delay_s: float) -> None:
    known = partner()
    for turnaround_s in turnarounds:
        known.answered(read(2), sent_s=0.0, turnaround_s=turnaround_s, rest_s=LONG_S)
    known.missed(read(2), sent_s=0.0)
    assert known.find_late(answer_frame(read(2), 1), now_s=delay_s, character_s=0.0) == delay_s
    assert known.lengthen(delay_s) == (delay_s > LATEST_S)
    assert TIMEOUT_S <= known.timeout_s <= TIMEOUT_LEARNED_MAX_S
    assert LATEST_S <= known.latest_answer_s <= LATEST_LEARNED_MAX_S


def test_a_slave_slower_than_its_time_out_is_learned_from_its_late_answer() -> None:
    known = partner()
    known.missed(read(2), sent_s=100.0)
    assert known.find_late(answer_frame(read(2), 1), now_s=100.8, character_s=0.0) == pytest.approx(0.8)
    assert known.timeout_s > 0.8


def test_a_proof_that_stays_unanswered_gives_way_to_another_one() -> None:
    known, asked = partner(), read(1)
    known.missed(asked, sent_s=0.0)
    tried = []
    for sent_s in (2.0, 4.0, 6.0):
        proof = known.proof(asked)
        assert proof is not None
        tried.append(proof.request[1:6])
        known.missed(proof, sent_s=sent_s)
    assert len({request[:1] for request in tried}) == 2, "two registers of the same kind, then one of the other"
    known.answered(read(1), sent_s=8.0, turnaround_s=0.01, rest_s=LONG_S)
    assert known.in_doubt(asked), "it may have been the late one"


def test_a_request_is_not_forgotten_because_many_others_followed_it() -> None:
    known = partner()
    for count in range(1, OWED_MAX + 10):
        known.missed(read(count), sent_s=0.1 * count)
    assert known.in_doubt(read(1)), "its answer may still come"
    for number in range(500):
        known.missed(read(2), sent_s=100.0 + number)
    assert not known.in_doubt(read(1))
    assert len(known.owed) <= OWED_S + 2, "of a dead partner not everything is kept"


def without_proofs() -> Partner:
    known = partner()
    for _ in range(PROOFS_FAILED_MAX):
        known.proof_failed()
    assert not known.proves
    return known


def test_without_proofs_an_answer_is_believed_only_after_silence() -> None:
    known = without_proofs()
    known.missed(read(2), sent_s=0.0)
    known.missed(read(2), sent_s=1.0)
    assert not known.answered(read(2), sent_s=2.0, turnaround_s=0.01, rest_s=LONG_S), "perhaps that to the first"
    assert known.doubt_s > 2.0, "if so, the others may come as late"
    assert not known.answered(read(2), sent_s=3.0, turnaround_s=0.01, rest_s=LONG_S)
    known.silent()
    assert known.answered(read(2), sent_s=9.0, turnaround_s=0.01, rest_s=LONG_S)
    known.missed(read(2), sent_s=10.0)
    assert known.answered(read(2), sent_s=11.0 + OWED_S, turnaround_s=0.01, rest_s=LONG_S), "nothing is so late"


def test_lost_proofs_are_forgiven() -> None:
    known = without_proofs()
    for number in range(PROOFS_RETRY_ANSWERS):
        assert not known.proves
        assert known.answered(read(2), sent_s=number, turnaround_s=0.01, rest_s=LONG_S)
    assert known.proves, "it is asked again after a while"
    assert known.proof_failed(), "... once"
    known = partner()
    for _ in range(3 * PROOFS_FAILED_MAX):
        known.proof_failed()
        known.proof_answered()
    assert known.proves


def test_the_rest_after_a_miss_shrinks_again_when_answers_come_in_time() -> None:
    known, asked = partner(), read(2)
    assert known.lengthen(4.0)
    assert known.latest_answer_s == 6.0
    for number in range(200):
        assert known.answered(asked, sent_s=float(number), turnaround_s=0.02, rest_s=LONG_S)
    assert known.latest_answer_s == LATEST_S
