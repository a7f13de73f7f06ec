"""Repeatable noise: the same seed, name and index always give the same number, in whatever order they are asked for."""

import random


def normal(seed: int, name: str, index: int) -> float:
    """A standard normal number that belongs to (seed, name, index)."""
    return random.Random(f"{seed}/{name}/{index}").gauss(0.0, 1.0)  # noqa: S311 - simulation, not secrecy


def uniform(seed: int, name: str, index: int) -> float:
    """A number in [0, 1) that belongs to (seed, name, index)."""
    return random.Random(f"{seed}/{name}/{index}").random()  # noqa: S311 - simulation, not secrecy


class HourlyNoise:
    """A smooth unit-variance noise over time: an autoregressive series at whole hours, straight lines between them."""

    __slots__ = ("_cache", "_memory", "_name", "_scale", "_seed", "_weights")

    def __init__(self, seed: int, name: str, *, memory_h: float) -> None:
        self._seed = seed
        self._name = name
        keep = 0.5 ** (1.0 / memory_h)
        # A finite tail instead of a recursion: each hour can be computed on its own, in any order.
        self._weights = [keep**lag for lag in range(int(4 * memory_h) + 1)]
        self._scale = sum(weight * weight for weight in self._weights) ** -0.5
        self._cache: dict[int, float] = {}
        self._memory: dict[int, float] = {}

    def _at_hour(self, hour: int) -> float:
        value = self._cache.get(hour)
        if value is None:
            total = 0.0
            for lag, weight in enumerate(self._weights):
                shock = self._memory.get(hour - lag)
                if shock is None:
                    shock = self._memory[hour - lag] = normal(self._seed, self._name, hour - lag)
                total += weight * shock
            value = self._cache[hour] = total * self._scale
        return value

    def at(self, instant_s: float) -> float:
        """The noise at an instant [s since 1970], standard normal over many hours."""
        position = instant_s / 3600.0
        hour = int(position // 1)
        share = position - hour
        return self._at_hour(hour) * (1.0 - share) + self._at_hour(hour + 1) * share
