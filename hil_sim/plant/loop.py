"""The headers of the heat loop: each is one mixed mass of water."""

from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K

HEADER_KG = 20_000.0
"""Water in a header with its share of the mains: the supply then moves over minutes. Design assumption."""


class Header:
    """A mixed volume; streams are added one by one, then `step` moves it on.

    Every stream carries the temperature its source had at the beginning of the step, so that what leaves one node
    enters the next to the last joule, in whatever order the plant is computed.
    """

    __slots__ = ("_in_kg_k_per_s", "_in_kg_per_s", "degc")

    def __init__(self, degc: float) -> None:
        self.degc = degc
        self._in_kg_per_s = 0.0
        self._in_kg_k_per_s = 0.0

    def stored_kj(self) -> float:
        """Heat above 0 degC [kJ]."""
        return HEADER_KG * HEAT_CAPACITY_KJ_PER_KG_K * self.degc

    def receive(self, flow_kg_per_s: float, stream_degc: float) -> None:
        """Adds a stream that enters during this step; as much water leaves at the header's own temperature."""
        self._in_kg_per_s += flow_kg_per_s
        self._in_kg_k_per_s += flow_kg_per_s * stream_degc

    def step(self, step_s: float) -> None:
        """Mixes what has been received.

        Raises:
            ValueError: the step is so long that more water enters than the header holds.
        """
        if self._in_kg_per_s * step_s > HEADER_KG:
            raise ValueError(f"step {step_s} s is too long for {self._in_kg_per_s} kg/s through {HEADER_KG} kg")
        self.degc += step_s * (self._in_kg_k_per_s - self._in_kg_per_s * self.degc) / HEADER_KG
        self._in_kg_per_s = 0.0
        self._in_kg_k_per_s = 0.0
