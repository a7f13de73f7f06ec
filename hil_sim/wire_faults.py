"""What a serial wire and the slaves on it do wrong: which faults there are, how often each strikes. No terminal here.

A `hil_sim.line.SerialLine` takes them at any time, from any thread, all at once, and drops them as easily:

    line.faults = WireFaults(late_every=5, late_s=0.4)                # every fifth answer comes 0.4 s late
    line.faults = WireFaults(noise_every=3, noise_before=2, units=frozenset({7}))   # only before unit 7's answers
    line.faults = WireFaults(echo=True, min_gap_s=0.025)              # echoing adapter, slaves in need of a rest
    line.faults = replace(line.faults, latency_s=0.016)               # one more
    line.faults = WireFaults()                                        # a faultless line again
    line.babble(b"...")                                               # bytes that nobody asked for, now
    line.unplug(); line.plug_in()                                     # the adapter; same link, another device node

"Every N" counts the answers of each unit concerned since the faults were set: 1 strikes each, 2 every second, 0 none.
Chance (which bytes, which bit) comes from the line's seed. Silence and slowness are the device's own (`mute`, `delay`);
answers made wrong on purpose are the line's `disturbance`.
"""

from collections import Counter
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class WireFaults:
    """The faults of a line at present.

    Attributes:
        units: units whose answers (or patience) are concerned; None: all.
        late_every: every so many-th answer is late ...
        late_s: ... by this much; other requests are served meanwhile, as on a real line [wall s].
        noise_every: every so many-th answer has random bytes around it ...
        noise_before: ... so many before it ...
        noise_after: ... and so many behind it.
        cut_every: of every so many-th answer only the first half goes out.
        garbage_every: instead of every so many-th answer random bytes of its length go out.
        flip_every: in every so many-th answer one bit is turned over.
        echo: the adapter hears itself: each request comes back to the master before any answer.
        latency_s: the adapter hands on what it has collected only at ticks of this distance, or when 62 bytes are
            together (USB, usually 0.016); 0: at once [wall s].
        strict: slaves ignore a request before which 3.5 characters of silence were not kept.
        min_gap_s: a slave ignores a request that begins sooner than this after its own last answer [wall s].
    """

    units: frozenset[int] | None = None
    late_every: int = 0
    late_s: float = 0.0
    noise_every: int = 0
    noise_before: int = 0
    noise_after: int = 0
    cut_every: int = 0
    garbage_every: int = 0
    flip_every: int = 0
    echo: bool = False
    latency_s: float = 0.0
    strict: bool = False
    min_gap_s: float = 0.0


class FaultyWire:
    """Faults that have been set, and the count that decides whom they strike.

    Args:
        faults: what goes wrong.
        seed: of the random bytes.
    """

    def __init__(self, faults: WireFaults, *, seed: int) -> None:
        self.faults = faults
        self._random = Random(seed)  # noqa: S311 - simulation
        self._answers: Counter[int] = Counter()

    def concerns(self, unit: int) -> bool:
        """Whether the faults concern a unit."""
        return self.faults.units is None or unit in self.faults.units

    def answer(self, unit: int, frame: bytes) -> tuple[bytes, float]:
        """Makes of a unit's next answer what the wire carries.

        Returns:
            The bytes, and by how much they are late [wall s].
        """
        if not self.concerns(unit):
            return frame, 0.0
        faults, chance = self.faults, self._random
        self._answers[unit] += 1
        number = self._answers[unit]
        if _strikes(faults.flip_every, number):
            bit = chance.randrange(8 * len(frame))
            frame = bytes(byte ^ (1 << bit % 8 if place == bit // 8 else 0) for place, byte in enumerate(frame))
        if _strikes(faults.garbage_every, number):
            frame = chance.randbytes(len(frame))
        if _strikes(faults.cut_every, number):
            frame = frame[: len(frame) // 2]
        if _strikes(faults.noise_every, number):
            frame = chance.randbytes(faults.noise_before) + frame + chance.randbytes(faults.noise_after)
        return frame, faults.late_s if _strikes(faults.late_every, number) else 0.0


def _strikes(every: int, number: int) -> bool:
    return every > 0 and number % every == 0
