"""What a plant's own history says of its nameplates: factors on what was expected, with honest bounds. Pure.

A factor stays 1 (the nameplate) until there is enough evidence that is sharp enough; then it moves as far as the
evidence carries against a prior at 1, and never beyond what a sane plant may show. Evidence that is no number is left
out, single outliers do not count.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from scheduling.plant.curve import Points

Floats: TypeAlias = npt.NDArray[np.float64]
Why = Literal["learned", "clipped", "too_few", "too_vague"]

PRIOR_SD_RATIO = 0.15
"""How far a nameplate is usually off, one standard deviation. Ours: catalogue tolerance and fouling together."""
CORRELATED_COUNT = 3.0
"""So many pieces of evidence in a row say the same thing: hours of one night are no independent trials. Ours."""
VAGUE_SD_RATIO = 0.05
"""An estimate that is less sharp than this says nothing that a nameplate does not."""
METER_RATIO = 0.02
"""However well few pieces of evidence agree, no pair of meters is better than this. Ours: class 2 heat meters."""
OUTLIER_SD = 4.0
MAD_TO_SD = 1.4826
BOUND_SD = 2.0
"""Bounds stand this many standard deviations off: about 95 %."""
ABSURD_RATIO = 10.0
"""What measures more than this many times the expected is no evidence of a factor."""
SHARE_MIN = 0.02
"""A column that never makes up this share of what was expected is not in the evidence at all."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What evidence must be, and how far it may lead.

    Attributes:
        lower: least factor that is believed.
        upper: greatest factor.
        count_min: least pieces of evidence.
    """

    lower: float
    upper: float
    count_min: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A factor on a nameplate's figure.

    Attributes:
        value: in use; 1 is the nameplate.
        lower: end of its interval, about 95 %.
        upper: other end.
        count: pieces of evidence that spoke of it.
        why: learned, clipped at a limit, or why the nameplate still stands.
    """

    value: float
    lower: float
    upper: float
    count: int
    why: Why

    @property
    def learned(self) -> bool:
        """Whether it is in use."""
        return self.why in ("learned", "clipped")


def nameplate(limits: Limits, *, count: int = 0, why: Why = "too_few") -> Estimate:
    """The factor of somebody who knows nothing."""
    return Estimate(1.0, limits.lower, limits.upper, count, why)


def identify(expected: Mapping[str, Sequence[float]], measured: Sequence[float], limits: Limits) -> dict[str, Estimate]:
    """Factors that bring the sum of what was expected nearest to what was measured.

    Args:
        expected: by name, what each part should have given in each piece of evidence; not negative.
        measured: what came of all together.
        limits: for each of the factors.
    """
    names = list(expected)
    columns = np.array([np.asarray(expected[name], float) for name in names]).reshape(len(names), -1)
    seen = np.asarray(measured, float)
    whole = np.isfinite(seen) & np.isfinite(columns).all(axis=0)
    columns, seen = columns[:, whole], seen[whole]
    total = columns.sum(axis=0)
    spoken = (total > 0) & (np.abs(seen) <= ABSURD_RATIO * total)
    columns, seen = columns[:, spoken], seen[spoken]
    counts = {
        name: int((column > SHARE_MIN * columns.sum(axis=0)).sum()) for name, column in zip(names, columns, strict=True)
    }
    known = [name for name in names if counts[name] >= limits.count_min]
    out = {name: nameplate(limits, count=counts[name]) for name in names}
    if not known:
        return out
    # Who is not known well enough stands at its nameplate, and takes its share with it.
    fixed = sum((columns[names.index(n)] for n in names if n not in known), start=np.zeros(len(seen)))
    table = np.array([columns[names.index(name)] for name in known]).T
    shift, spread = _fit(table, seen - fixed - table.sum(axis=1))
    for name, move, sd in zip(known, shift.tolist(), spread.tolist(), strict=True):
        out[name] = _estimate(1.0 + move, sd, count=counts[name], limits=limits)
    return out


def _fit(table: Floats, residual: Floats) -> tuple[Floats, Floats]:
    """Moves off the nameplate and their standard deviations: least squares held by the prior, without outliers."""
    keep = np.ones(len(residual), bool)
    shift, spread = np.zeros(table.shape[1]), np.full(table.shape[1], PRIOR_SD_RATIO)
    for _ in range(2):
        rows, rest = table[keep], residual[keep]
        freedom = max(1, len(rest) - table.shape[1])
        loose, *_ = np.linalg.lstsq(rows, rest, rcond=None)
        scatter = float(((rest - rows @ loose) ** 2).sum()) / freedom
        variance = max(scatter, (METER_RATIO * float(rows.sum(axis=1).mean())) ** 2)
        held = np.eye(table.shape[1]) * variance * CORRELATED_COUNT / PRIOR_SD_RATIO**2
        inverse = np.linalg.inv(rows.T @ rows + held)
        shift = inverse @ rows.T @ rest
        spread = np.sqrt(np.diag(inverse) * variance * CORRELATED_COUNT)
        left = residual - table @ shift
        sd = MAD_TO_SD * float(np.median(np.abs(left - np.median(left))))
        keep = np.abs(left - np.median(left)) <= OUTLIER_SD * sd if sd > 0 else keep
    return shift, spread


def _estimate(value: float, sd_ratio: float, *, count: int, limits: Limits) -> Estimate:
    if not math.isfinite(value) or not math.isfinite(sd_ratio) or sd_ratio > VAGUE_SD_RATIO:
        return nameplate(limits, count=count, why="too_vague")
    held, lower, upper = (
        min(limits.upper, max(limits.lower, end))
        for end in (value, value - BOUND_SD * sd_ratio, value + BOUND_SD * sd_ratio)
    )
    return Estimate(held, lower, upper, count, "learned" if held == value else "clipped")


def output_of(electric_kw: float, curve: Points, *, output_kw: float) -> float:
    """What a unit should have given for the electricity that it took, by its curve; below it, by the share of time.

    Args:
        electric_kw: mean of a while.
        curve: (load, electric kW), rising in both.
        output_kw: at load 1.
    """
    loads, powers = [load for load, _ in curve], [kw for _, kw in curve]
    if electric_kw <= powers[0]:
        return output_kw * loads[0] * max(0.0, electric_kw) / powers[0]
    return output_kw * float(np.interp(electric_kw, powers, loads))
