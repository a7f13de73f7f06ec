"""How fast a backlog may go: the window follows the receipts, the bucket follows the clock."""

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.uplink.pace import WINDOW_COUNT_FIRST, WINDOW_COUNT_MAX, Bucket, Window


def test_the_window_grows_with_receipts_and_falls_back_without() -> None:
    window = Window(resend_s=30.0)
    window.sent(range(20), now_s=0.0)
    assert window.room == 0
    window.proven(range(5), now_s=1.0)
    assert window.room == WINDOW_COUNT_FIRST + 5 - 15
    window.expire(now_s=31.5)
    assert (len(window.waiting), window.room) == (0, WINDOW_COUNT_FIRST)
    window.proven([7], now_s=32.0)  # late: it no longer waits, and is welcome all the same
    assert window.room == WINDOW_COUNT_FIRST + 1


def test_rows_that_never_get_a_receipt_leave_the_window_to_the_others() -> None:
    window = Window(resend_s=30.0)
    rests_s = []
    now_s = 0.0
    for _ in range(10):
        assert not window.resting(now_s=now_s)
        window.sent([1, 2], now_s=now_s)
        now_s += 31.0
        window.expire(now_s=now_s)
        assert not window.waiting
        until_s = now_s
        while set(window.resting(now_s=until_s)) == {1, 2}:
            until_s += 30.0
        rests_s.append(until_s - now_s)
        now_s = until_s
    assert rests_s == [0.0, *(30.0 * 2**n for n in range(5)), *[600.0] * 4]
    window.sent([1, 2], now_s=now_s)
    window.expire(now_s=now_s + 31.0)
    assert window.resting(now_s=now_s + 31.0)
    window.proven([3], now_s=now_s + 32.0)
    assert not window.resting(now_s=now_s + 32.0), "a platform that hears again gets them at once"


def test_a_row_rests_on_while_others_get_their_receipts() -> None:
    window = Window(resend_s=30.0)
    for now_s in range(0, 120, 20):
        if not window.waiting:
            window.sent([1], now_s=float(now_s))
        window.proven([100 + now_s], now_s=now_s + 1.0)
        window.sent([200 + now_s], now_s=now_s + 1.0)
        window.proven([200 + now_s], now_s=now_s + 2.0)
        window.expire(now_s=now_s + 19.0)
    assert set(window.resting(now_s=120.0)) == {1}
    window.proven([1], now_s=121.0)
    assert not window.resting(now_s=121.0)


def test_a_slow_platform_is_not_a_deaf_one() -> None:
    """Receipts that work their way towards a row keep it from being sent again; one that they have passed is lost."""
    window = Window(resend_s=30.0)
    window.sent([1, 2, 3], now_s=0.0)
    window.sent([4], now_s=0.5)
    for now_s in range(1, 60, 10):
        window.proven([1], now_s=float(now_s))
        window.expire(now_s=now_s + 9.0)
        assert set(window.waiting) == {2, 3, 4}
    window.proven([4], now_s=60.0)
    window.expire(now_s=61.0)
    assert not window.waiting


@settings(max_examples=30)
@given(st.lists(st.integers(1, 400), max_size=30))
def test_the_window_is_bounded(steps: list[int]) -> None:
    window = Window(resend_s=30.0)
    seq = 0
    for step in steps:
        count = min(step, window.room)
        window.sent(range(seq, seq + count), now_s=0.0)
        assert len(window.waiting) <= WINDOW_COUNT_MAX
        window.proven(list(range(seq, seq + count)), now_s=0.0)
        seq += count


def test_the_bucket_gives_its_rate_and_a_second_at_once() -> None:
    bucket = Bucket(10.0, now_s=100.0)
    assert bucket.tokens(now_s=100.0) == 10
    bucket.take(10)
    assert bucket.tokens(now_s=100.05) == 0
    assert bucket.tokens(now_s=100.31) == 3
    assert bucket.tokens(now_s=900.0) == 10
    slow = Bucket(0.1, now_s=0.0)  # one in ten seconds is still one
    assert slow.tokens(now_s=0.0) == 1
    slow.take(1)
    assert (slow.tokens(now_s=9.0), slow.tokens(now_s=10.1)) == (0, 1)
