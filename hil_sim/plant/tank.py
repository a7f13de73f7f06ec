"""The stratified hot-water tank: ten layers, two ports, buoyancy, loss to the room."""

import math
from collections.abc import Sequence
from itertools import pairwise

from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K, KJ_PER_KWH

# Design assumptions, in the range of built hot-water tanks: a slim steel tank 12 m high. The conductivity stands for
# that of water (0.6 W/(m K)) and of the wall together; the loss is about 1 % a day of the heat above the usable limit.
VOLUME_M3 = 800.0
HEIGHT_M = 12.0
CONDUCTIVITY_W_PER_M_K = 1.2
LOSS_KW_PER_K = 0.15
DENSITY_KG_PER_M3 = 988.0
USABLE_ABOVE_DEGC = 42.0


class StratifiedTank:
    """Layers from the top down; one net flow between the top and the bottom port.

    Energy is conserved by construction: each stream carries the temperature of the layer that it leaves, in sub-steps
    in which no layer is turned over more than once (CFL <= 1); a layer warmer than the one above it is merged with it
    (pool adjacent violators), which keeps the sum of heat. First-order upwind smears the thermocline, as a real
    diffuser does.

    Args:
        layers_degc: temperatures from the top; their number is the number of layers.
    """

    __slots__ = ("_conduction_kw_per_k", "layer_kg", "layers_degc", "loss_kw")

    def __init__(self, layers_degc: Sequence[float]) -> None:
        self.layers_degc = list(layers_degc)
        count = len(self.layers_degc)
        self.layer_kg = VOLUME_M3 * DENSITY_KG_PER_M3 / count
        area_m2 = VOLUME_M3 / HEIGHT_M
        self._conduction_kw_per_k = CONDUCTIVITY_W_PER_M_K * area_m2 / (HEIGHT_M / count) / 1000.0
        self.loss_kw = 0.0

    @property
    def top_degc(self) -> float:
        """Temperature at the top port [degC]."""
        return self.layers_degc[0]

    @property
    def bottom_degc(self) -> float:
        """Temperature at the bottom port [degC]."""
        return self.layers_degc[-1]

    def stored_kj(self) -> float:
        """Heat above 0 degC [kJ]."""
        return self.layer_kg * HEAT_CAPACITY_KJ_PER_KG_K * math.fsum(self.layers_degc)

    def usable_kwh(self) -> float:
        """Heat above the usable limit, summed over the layers that are above it [kWh]."""
        above_k = sum(max(0.0, layer_degc - USABLE_ABOVE_DEGC) for layer_degc in self.layers_degc)
        return self.layer_kg * HEAT_CAPACITY_KJ_PER_KG_K * above_k / KJ_PER_KWH

    def step(self, step_s: float, net_flow_kg_per_s: float, *, inlet_degc: float, room_degc: float) -> float:
        """Moves the tank on by one step.

        Args:
            step_s: length of the step [s].
            net_flow_kg_per_s: from the top port to the bottom port when positive (charging), upwards when negative.
            inlet_degc: temperature of the water that enters, at the top or at the bottom [degC].
            room_degc: temperature around the tank [degC].

        Returns:
            Heat that the water which left the tank carried away, above 0 degC [kJ].
        """
        layers_degc = self.layers_degc
        moved_ratio = abs(net_flow_kg_per_s) * step_s / self.layer_kg
        sub_steps = max(1, math.ceil(moved_ratio))
        share = moved_ratio / sub_steps
        left_kj = 0.0
        count = len(layers_degc)
        order = range(count) if net_flow_kg_per_s >= 0.0 else range(count - 1, -1, -1)
        if share > 0.0:
            for _ in range(sub_steps):
                upstream_degc = inlet_degc
                for layer in order:
                    here_degc = layers_degc[layer]
                    layers_degc[layer] = here_degc + share * (upstream_degc - here_degc)
                    upstream_degc = here_degc
                left_kj += share * upstream_degc
        self._conduct_and_lose(step_s, room_degc=room_degc)
        self._merge_inversions()
        return left_kj * self.layer_kg * HEAT_CAPACITY_KJ_PER_KG_K

    def _conduct_and_lose(self, step_s: float, *, room_degc: float) -> None:
        layers_degc = self.layers_degc
        capacity_kj_per_k = self.layer_kg * HEAT_CAPACITY_KJ_PER_KG_K
        conduction_ratio = self._conduction_kw_per_k * step_s / capacity_kj_per_k
        loss_ratio = -math.expm1(-LOSS_KW_PER_K / len(layers_degc) * step_s / capacity_kj_per_k)
        lost_k = 0.0
        from_above_k = 0.0
        for layer in range(len(layers_degc)):
            here_degc = layers_degc[layer]
            below_k = conduction_ratio * (here_degc - layers_degc[layer + 1]) if layer + 1 < len(layers_degc) else 0.0
            loss_k = loss_ratio * (here_degc - room_degc)
            lost_k += loss_k
            layers_degc[layer] = here_degc + from_above_k - below_k - loss_k
            from_above_k = below_k
        self.loss_kw = lost_k * capacity_kj_per_k / step_s

    def _merge_inversions(self) -> None:
        layers_degc = self.layers_degc
        if all(above >= below for above, below in pairwise(layers_degc)):
            return
        sums: list[float] = []
        counts: list[int] = []
        for layer_degc in layers_degc:
            sums.append(layer_degc)
            counts.append(1)
            while len(sums) > 1 and sums[-1] * counts[-2] > sums[-2] * counts[-1]:
                sums[-2] += sums[-1]
                counts[-2] += counts[-1]
                del sums[-1], counts[-1]
        self.layers_degc[:] = [total / count for total, count in zip(sums, counts, strict=True) for _ in range(count)]
