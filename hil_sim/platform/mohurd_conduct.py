"""How the simulated city platform behaves: rightly, or wrongly in one of the ways that have names here.

A misbehaviour is set for good or for a number of times, or thrown by dice from a seed, packet by packet, so that a run
replays exactly.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType

LOGIN = ("fail", "silence", "second_sequence", "wrong_echo", "pass_without_time", "drop_after_pass")
LINK = ("refuse", "reset", "black_hole", "one_way", "never_read", "drip", "two_in_one", "half_frame")
BYTES = (
    "bad_crc",
    "swapped_crc",
    "wrong_head",
    "length_zero",
    "length_huge",
    "length_off",
    "wrong_key",
    "fill_nul",
    "fill_pkcs7",
    "trailing_junk",
)
XML = (
    "closed_twice",
    "blanks",
    "broken_comment",
    "bom",
    "two_types",
    "unknown_type",
    "doctype",
    "foreign_ids",
)
ACKS = ("none", "late", "doubled", "wrong_sequence", "beyond_total", "zero", "negative", "lost")
"""`lost`: it acknowledges and dies before it has stored; only a query can heal that."""
KINDS: Mapping[str, Sequence[str]] = MappingProxyType(
    {"login": LOGIN, "link": LINK, "bytes": BYTES, "xml": XML, "acks": ACKS}
)
HARMLESS = frozenset(
    {"drip", "two_in_one", "fill_nul", "fill_pkcs7", "closed_twice", "blanks", "broken_comment", "bom"}
)
"""Forms that a collector must understand."""


@dataclass(slots=True)
class Conduct:
    """What goes wrong now.

    Attributes:
        strict: a packet that breaks the description ends the connection; else it is only counted.
        slow_s: rest before each answer [s].
        late_s: how late a late acknowledgement comes [s].
        dice: misbehaves by itself when there are dice.
        dice_ratio: share of packets that are then answered wrongly.
        dice_kinds: which ways the dice may choose.
        struck: how often each misbehaviour has struck.
    """

    strict: bool = True
    slow_s: float = 0.0
    late_s: float = 0.3
    dice: Random | None = None
    dice_ratio: float = 0.0
    dice_kinds: tuple[str, ...] = ("bytes", "xml", "acks")
    struck: Counter[str] = field(default_factory=Counter)
    _set: dict[str, tuple[str, int]] = field(default_factory=dict)

    def misbehave(self, kind: str, way: str, *, times: int = -1) -> None:
        """From now on, or a number of times.

        Args:
            kind: login, link, bytes, xml or acks.
            way: one of its ways.
            times: how often; -1: until told otherwise.
        """
        if way not in KINDS[kind]:
            raise ValueError(f"{kind}: {way} is none of {', '.join(KINDS[kind])}")
        self._set[kind] = (way, times)

    def behave(self, kind: str | None = None) -> None:
        """Ends it."""
        if kind is None:
            self._set.clear()
            self.dice = None
        else:
            self._set.pop(kind, None)

    def now(self, kind: str, *, among: Sequence[str] | None = None) -> str:
        """How a kind of behaviour is to go wrong now; empty: not at all.

        Args:
            kind: of behaviour.
            among: ways that make sense here; others wait.
        """
        way, times = self._set.get(kind, ("", 0))
        if not way and self.dice is not None and kind in self.dice_kinds and self.dice.random() < self.dice_ratio:
            way, times = self.dice.choice(KINDS[kind]), -1
            if among is not None and way not in among:
                way = ""
            if way:
                self.struck[f"{kind}.{way}"] += 1
            return way
        if not way or (among is not None and way not in among):
            return ""
        if times > 0:
            times -= 1
            if times:
                self._set[kind] = (way, times)
            else:
                del self._set[kind]
        self.struck[f"{kind}.{way}"] += 1
        return way
