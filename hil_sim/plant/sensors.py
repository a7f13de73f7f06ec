"""What the sensors of the plant say: what is, unless a sensor is frozen, drifts, or hangs on another's cable.

Errors of instruments and their registers belong to hil_sim.devices; here only what is wrong with the place of a sensor
or with the sensor as a whole.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from hil_sim.plant.quantities import Getter
from hil_sim.plant.water import SECONDS_PER_HOUR

Point = tuple[str, str]
Reading: TypeAlias = float
"""In the inside unit of its quantity."""


class Sensors:
    """Readings of all quantities.

    Args:
        table: what is, by (device, quantity).
    """

    def __init__(self, table: Mapping[Point, Getter]) -> None:
        self._table = table
        self._wrong: dict[Point, Getter] = {}

    def read(self, point: Point) -> float:
        """What the sensor says now.

        Raises:
            KeyError: there is no such device or quantity.
        """
        return self._wrong.get(point, self._table[point])()

    def freeze(self, point: Point, *, by: Reading = 0.0) -> None:
        """It says for ever what it says now, or so much more: it may have frozen at another time."""
        last = self.read(point) + by
        self._wrong[point] = lambda: last

    def drift(self, point: Point, per_hour: float, *, now_s: Callable[[], float]) -> None:
        """From now on it says more and more too much (or too little, below 0)."""
        begin_s, true = now_s(), self._table[point]
        self._wrong[point] = lambda: true() + per_hour * (now_s() - begin_s) / SECONDS_PER_HOUR

    def swap(self, one: Point, other: Point) -> None:
        """The cables of two sensors are exchanged."""
        self._wrong[one], self._wrong[other] = self._table[other], self._table[one]

    def mend(self, *points: Point) -> None:
        """They are right again."""
        for point in points:
            self._wrong.pop(point, None)
