"""What an instrument makes of the true value: constant error, noise, update period, resolution, roll-over. Pure.

Errors come from a seed. Not here: the drift of a pipe sensor without flow (physics: the plant says what the
sensor feels) and the encoding into registers.
"""

import math
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

Inside: TypeAlias = float
"""A number in the inside unit of its quantity: kW, kWh, degC, K, m3, m3/h ..."""
_MASK: Final = (1 << 64) - 1
_TRUNCATION_SLACK: Final = 1e-9
"""Share of one count that arithmetic may take away from a full count before truncation would drop it."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """The kind of instrument behind one quantity.

    Attributes:
        period_s: the reading changes at most once in this time [simulated s]; 0: at every look.
        gain_error_ratio: largest constant relative error; each instrument draws its own within it.
        offset: largest constant error; likewise.
        noise_ratio: largest error that changes with each update, relative to the reading.
        noise: the same, absolute.
        resolution: the reading is a multiple of this; 0: as fine as the register.
        truncates: whether the resolution cuts (counters) or rounds (everything else).
        rolls_over_at: the counter starts again at zero here; 0: never.
        chain: quantities of one device with the same chain share the constant errors (power and energy come out of one
            calculation; the two temperatures of a heat meter are a matched pair).
    """

    period_s: float = 1.0
    gain_error_ratio: float = 0.0
    offset: Inside = 0.0
    noise_ratio: float = 0.0
    noise: Inside = 0.0
    resolution: Inside = 0.0
    truncates: bool = False
    rolls_over_at: Inside = 0.0
    chain: str = ""


EXACT: Final = Instrument(period_s=0.0)
"""States, switches and counts of a controller: what it says is what it has."""


class Gauge:
    """One instrument with its own errors, drawn from the seed, the device and the chain."""

    __slots__ = ("_gain", "_kind", "_noise_key", "_offset", "_phase_s")

    def __init__(self, kind: Instrument, *, seed: int, device: str, quantity: str) -> None:
        constant = Random(f"{seed}/{device}/{kind.chain or quantity}")  # noqa: S311 - errors of a simulated meter
        self._kind = kind
        self._gain = 1.0 + constant.uniform(-kind.gain_error_ratio, kind.gain_error_ratio)
        self._offset = constant.uniform(-kind.offset, kind.offset)
        own = Random(f"{seed}/{device}/{quantity}/updates")  # noqa: S311 - errors of a simulated meter
        self._phase_s = own.uniform(0.0, kind.period_s)
        self._noise_key = own.getrandbits(64)

    def update_number(self, instant_s: float) -> int | None:
        """Number of the update that an instant [simulated s] falls into; None: every look is an update of its own."""
        period_s = self._kind.period_s
        return math.floor((instant_s + self._phase_s) / period_s) if period_s else None

    def reading(self, true: Inside, update_number: int | None) -> Inside:
        """What the instrument shows for a true value; one update has one noise, whoever asks and how often."""
        kind = self._kind
        shown = true * self._gain + self._offset
        if kind.noise_ratio or kind.noise:
            shown += self._noise(update_number or 0) * (kind.noise + kind.noise_ratio * abs(shown))
        if kind.resolution:
            counts = shown / kind.resolution
            shown = (math.floor(counts + _TRUNCATION_SLACK) if kind.truncates else round(counts)) * kind.resolution
        if kind.rolls_over_at:
            shown %= kind.rolls_over_at
        return shown

    def _noise(self, update_number: int) -> float:
        """A number in (-1, 1), triangular, that depends on the instrument and the update only."""
        # Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (2014), the finaliser of SplitMix64: a
        # hash of a
        # counter, so that the noise of an update does not depend on how many updates anybody looked at before.
        bits = (self._noise_key + update_number * 0x9E3779B97F4A7C15) & _MASK
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
        bits ^= bits >> 31
        return ((bits & 0xFFFFFFFF) - (bits >> 32)) / 2**32
