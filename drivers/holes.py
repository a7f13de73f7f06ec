"""Finds the registers that a device refuses, by halving a read that failed, and keeps them. Pure.

A hunt says which group of points to read next and is told what became of it; every read of a hunt fetches points that
are wanted anyway. What is found holds for one profile and one firmware: another one starts without.
"""

import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from drivers.profile import Profile
from drivers.read_plan import Span, Want

DOUBTFUL_CODES = (2, 3)
"""Exceptions that speak of the addresses asked for; busy, working or broken devices give others.

Source: Modbus Application Protocol Specification V1.1b3, 7.
"""
HOLES_MAX = 200
"""Holes kept for one device; one that refuses more is wrongly described."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a hunt found.

    Attributes:
        hole: registers that no merged read may cover; without registers (count 0) a seam; None: none.
        refused: names of the points that are refused even alone; `hole` is their place.
        registers_max: longest read that was answered where longer ones are refused; None: length is not the matter.
    """

    hole: Span | None = None
    refused: tuple[str, ...] = ()
    registers_max: int | None = None


NOTHING = Finding()
"""It was a passing fault."""


class Hunt:
    """Looks for what spoils one read.

    Args:
        wants: all readable points (or groups) within the read, at least one.
        silent: the read was met with silence, not with an exception: first see whether the unit lives at all.
        life: what it answered before, to see whether it lives; None: it never did.
    """

    def __init__(self, wants: Sequence[Want], *, silent: bool, life: Want | None = None) -> None:
        self._wants = sorted(wants, key=lambda want: (want.span.address, want.span.end))
        self._silent = silent
        self._life = life
        self._lives = not silent
        self._low, self._high = 0, len(self._wants)
        self.finding: Finding | None = None
        self._search = self._steps()
        self._group = next(self._search)

    @property
    def suspects(self) -> Sequence[Want]:
        """What may still be at fault; the regular plan leaves it out."""
        return self._wants[self._low : self._high]

    @property
    def suspect_span(self) -> Span:
        """From the first to the last register of the suspects."""
        return _span(self.suspects)

    @property
    def group(self) -> Sequence[Want]:
        """What to read next."""
        return self._group

    @property
    def group_span(self) -> Span:
        """From the first to the last register of what to read next."""
        return _span(self.group)

    @property
    def trial(self) -> bool:
        """Whether silence would mean the addresses: the unit has been seen to live."""
        return self._lives

    def tell(self, *, answered: bool) -> None:
        """Takes what became of the group: answered, or failed in the same way as the first read."""
        try:
            self._group = self._search.send(answered)
        except StopIteration as end:
            self.finding = end.value

    def give_up(self) -> None:
        """Ends the hunt without a finding: the unit is busy, damaged or gone, which says nothing of addresses."""
        self.finding = NOTHING

    def _steps(self) -> Generator[Sequence[Want], bool, Finding]:
        """Yields groups to read; is sent whether they were answered."""
        wants = self._wants
        if self._silent:
            lives = [wants[0], wants[-1], wants[len(wants) // 2]]
            for life in dict.fromkeys(lives if self._life is None else [self._life, *lives]):
                if (yield (life,)):
                    self._life, self._lives = life, True
                    break
            else:
                return NOTHING
        while self._high - self._low > 1:
            middle = (self._low + self._high) // 2
            if not (yield wants[self._low : middle]):
                self._high = middle
            elif not (yield wants[middle : self._high]):
                self._low = middle
            else:
                return (yield from self._between(middle))
        return (yield from self._alone())

    def _between(self, middle: int) -> Generator[Sequence[Want], bool, Finding]:
        """Both halves answer: what lies between them is refused, or the length, or it was a passing fault."""
        low, high = self._wants[self._low : middle], self._wants[middle : self._high]
        if not (yield (low[-1], high[0])):
            before, address = _span(low), high[0].span.address
            gap = max(0, address - before.end)
            return Finding(hole=Span(before.function, address - gap, gap))
        if len(low) + len(high) > 2 and not (yield (*low, *high)):  # noqa: PLR2004 - more than the pair
            return Finding(registers_max=max(_span(low).count, _span(high).count))
        return NOTHING

    def _alone(self) -> Generator[Sequence[Want], bool, Finding]:
        """One point is left: it is refused when it fails again while the unit answers something else."""
        suspect = self._wants[self._low]
        if self._silent and (self._life in (None, suspect) or not (yield (self._life,))):
            return NOTHING
        if (yield (suspect,)):
            return NOTHING
        return Finding(hole=suspect.span, refused=suspect.names)


def _span(wants: Sequence[Want]) -> Span:
    low = min(want.span.address for want in wants)
    return Span(wants[0].span.function, low, max(want.span.end for want in wants) - low)


class HoleBook:
    """What is known of a device's holes.

    Args:
        profile: its register map: other content, other holes.
        kept: as `as_json` returned it, or anything else.
    """

    def __init__(self, profile: Profile, kept: object = None) -> None:
        text = json.dumps(profile.data, sort_keys=True, default=str)
        self._key = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._identity: dict[str, float] = {}
        self.holes: list[Span] = []
        self.registers_max: int | None = None
        if isinstance(kept, Mapping) and kept.get("profile") == self._key:
            self._take_up(kept)

    def _take_up(self, kept: Mapping[str, object]) -> None:
        holes, identity, longest = kept.get("holes"), kept.get("identity"), kept.get("registers_max")
        if isinstance(holes, list):
            self.holes = [Span(*hole) for hole in holes if _is_hole(hole)][:HOLES_MAX]
        if isinstance(identity, Mapping):
            self._identity = {str(name): float(value) for name, value in identity.items() if _is_number(value)}
        if isinstance(longest, int) and not isinstance(longest, bool) and longest > 0:
            self.registers_max = longest

    def learn(self, finding: Finding) -> bool:
        """Takes what a hunt found; False: nothing new."""
        changed = False
        if finding.hole is not None and finding.hole not in self.holes and len(self.holes) < HOLES_MAX:
            self.holes.append(finding.hole)
            changed = True
        if finding.registers_max is not None and finding.registers_max < (
            self.registers_max or finding.registers_max + 1
        ):
            self.registers_max = finding.registers_max
            changed = True
        return changed

    def refuses(self, span: Span) -> bool:
        """Whether a point at this place is known to be refused even alone."""
        return span in self.holes

    def forgive(self, span: Span) -> bool:
        """Forgets a hole (or a refused point) for which the device answers after all; False: it was not known."""
        if span not in self.holes:
            return False
        self.holes.remove(span)
        return True

    def allow_any_length(self) -> None:
        """Forgets that long reads were refused."""
        self.registers_max = None

    def identify(self, values: Mapping[str, float]) -> bool:
        """Compares what tells one device or firmware from another.

        Returns:
            Whether what is to be kept changed: another device, whose holes are not known, or first values.
        """
        known = {name: value for name, value in values.items() if name in self._identity}
        if any(self._identity[name] != value for name, value in known.items()):
            self.holes.clear()
            self.registers_max = None
            self._identity = dict(values)
            return True
        new = values.keys() - self._identity.keys()
        self._identity.update(values)
        return bool(new) and bool(self.holes or self.registers_max)

    def as_json(self) -> dict[str, object]:
        """What to keep."""
        return {
            "profile": self._key,
            "identity": dict(self._identity),
            "holes": [[hole.function, hole.address, hole.count] for hole in self.holes],
            "registers_max": self.registers_max,
        }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_hole(hole: object) -> bool:
    return (
        isinstance(hole, list)
        and len(hole) == 3  # noqa: PLR2004 - function, address, count
        and all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in hole)
    )
