"""How fast the backlog may go: a window of rows that wait for a receipt, and a bucket of tokens. It reads no clock."""

from collections.abc import Collection, Iterable

WINDOW_COUNT_FIRST = 20
"""Rows that may wait for a receipt before any has come; a platform that does not answer costs no more than these."""
WINDOW_COUNT_MAX = 256
"""Rows that may wait when receipts come well: enough for a platform that answers in batches, ten times a second over a
long line. Only numbers are kept."""
REST_S_MAX = 600.0
"""Longest rest of a row that gets no receipt, however often it is sent [s]."""
RESTS_COUNT_MAX = 10_000
"""Rows that rest; beyond, all are forgotten and only sent again sooner."""
BURST_S = 1.0
"""The bucket holds the tokens of this long [s]."""


class Window:
    """Which rows wait for a receipt, since when, and how many more may."""

    def __init__(self, *, resend_s: float) -> None:
        """Starts empty and narrow.

        Args:
            resend_s: a row without a receipt for so long counts as lost [s], unless receipts for rows before it are
                still coming in.
        """
        self._resend_s = resend_s
        self._sent_s: dict[int, float] = {}
        self._count_max = WINDOW_COUNT_FIRST
        self._progress_s = float("-inf")
        self._proven_sent_s = float("-inf")
        self._rests: dict[int, tuple[float, int]] = {}
        """Until when, and how often it was lost, of each row that never got a receipt."""

    @property
    def waiting(self) -> Collection[int]:
        """Numbers that wait."""
        return self._sent_s.keys()

    @property
    def room(self) -> int:
        """How many more rows of the backlog may be sent."""
        return max(0, self._count_max - len(self._sent_s))

    def sent(self, seqs: Iterable[int], *, now_s: float) -> None:
        """Rows are being sent."""
        for seq in seqs:
            self._sent_s.pop(seq, None)
            self._sent_s[seq] = now_s

    def resting(self, *, now_s: float) -> Collection[int]:
        """Numbers of rows that were lost again and again: they must not take the window from all the others."""
        return {seq for seq, (until_s, _) in self._rests.items() if until_s > now_s}

    def doubtful(self, seqs: Iterable[int]) -> None:
        """Sending broke off: these may be sent again at once."""
        for seq in seqs:
            self._sent_s.pop(seq, None)

    def forget(self) -> None:
        """No receipt for anything sent before can come any more."""
        self._sent_s.clear()
        self._rests.clear()

    def proven(self, seqs: Collection[int], *, now_s: float) -> None:
        """Receipts have come for these: the window grows by as many."""
        for seq in seqs:
            sent_s = self._sent_s.pop(seq, None)
            self._rests.pop(seq, None)
            if sent_s is not None:
                self._proven_sent_s = max(self._proven_sent_s, sent_s)
        if seqs:
            if now_s - self._progress_s >= self._resend_s:
                self._rests.clear()  # it was the platform that heard nothing, not these rows that it does not want
            self._progress_s = now_s
            self._count_max = min(self._count_max + len(seqs), WINDOW_COUNT_MAX)

    def expire(self, *, now_s: float) -> None:
        """Lets go of rows that count as lost, and narrows the window."""
        stalled = now_s - self._progress_s >= self._resend_s
        lost = []
        for seq, sent_s in self._sent_s.items():
            if now_s - sent_s < self._resend_s:
                break  # they stand in the order of sending
            # One that others have overtaken is lost; a slow platform that works its way towards it is only slow.
            if stalled or sent_s < self._proven_sent_s:
                lost.append(seq)
        for seq in lost:
            del self._sent_s[seq]
            times = self._rests.get(seq, (0.0, 0))[1] + 1
            # Once lost, it goes again at once; from the second time on it rests for ever longer, up to ten minutes.
            rest_s = 0.0 if times == 1 else min(self._resend_s * 2 ** min(times - 2, 20), REST_S_MAX)
            self._rests[seq] = now_s + rest_s, times
        if len(self._rests) > RESTS_COUNT_MAX:
            self._rests.clear()
        if lost:
            self._count_max = max(WINDOW_COUNT_FIRST, self._count_max // 2) if not stalled else WINDOW_COUNT_FIRST


class Bucket:
    """Tokens that come at a steady rate; each row of the backlog takes one."""

    def __init__(self, per_s: float, *, now_s: float) -> None:
        """Starts full.

        Args:
            per_s: rate [1/s].
            now_s: monotonic clock [s].
        """
        self._per_s = per_s
        self._tokens_max = max(1.0, per_s * BURST_S)
        self._tokens = self._tokens_max
        self._at_s = now_s

    def tokens(self, *, now_s: float) -> int:
        """How many may be taken now."""
        self._tokens = min(self._tokens_max, self._tokens + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        return int(self._tokens)

    def take(self, count: int) -> None:
        """Takes them."""
        self._tokens -= count
