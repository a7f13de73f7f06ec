"""The ground field: water in the borehole pipes, borehole resistance, and the ground around the boreholes."""

import math

from hil_sim.plant import ground_response
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K

# Design assumptions: ground of the Beijing plain over 120 m, warmed by the heat rejected in summer; double U-tubes;
# DN32 pipes and headers.
SEASON_START_DEGC = 16.5
BOREHOLE_RESISTANCE_M_K_PER_W = 0.09
WATER_MASS_KG = 100_000.0

FIELD_LENGTH_M = ground_response.BOREHOLES_LONG * ground_response.BOREHOLES_WIDE * ground_response.BOREHOLE_LENGTH_M


class GroundField:
    """Two water nodes in series (down, up) against one wall temperature.

    The exchange of both nodes with the wall, and the answer of the wall to it, are solved together in each step: solved
    one after the other, the start of the flow makes them oscillate.

    Args:
        extraction_kw: heat that has been taken from the field on average, for the time in `extraction_s`: the
            season so far.
        extraction_s: how long that has been going on [s].
    """

    __slots__ = (
        "_decays",
        "_drops_k",
        "_gains_k_m_per_w",
        "_step_s",
        "down_degc",
        "up_degc",
        "wall_degc",
        "wall_heat_kw",
    )

    def __init__(self, *, extraction_kw: float = 0.0, extraction_s: float = 0.0) -> None:
        per_metre_w = extraction_kw * 1000.0 / FIELD_LENGTH_M
        drop_k_per_g = per_metre_w / (2.0 * math.pi * ground_response.GROUND_CONDUCTIVITY_W_PER_M_K)
        self._drops_k = [
            drop_k_per_g * weight * -math.expm1(-extraction_s / time_constant_s)
            for time_constant_s, weight in ground_response.RELAXATIONS
        ]
        self._decays: list[float] = []
        self._gains_k_m_per_w: list[float] = []
        self._step_s = 0.0
        self.wall_degc = SEASON_START_DEGC - sum(self._drops_k)
        self.wall_heat_kw = 0.0
        self.down_degc = self.up_degc = self.wall_degc - per_metre_w * BOREHOLE_RESISTANCE_M_K_PER_W

    @property
    def outlet_degc(self) -> float:
        """Temperature of the water that comes back from the field [degC]."""
        return self.up_degc

    def stored_kj(self) -> float:
        """Heat in the water of the field above 0 degC [kJ]; the ground itself lies outside the plant."""
        return 0.5 * WATER_MASS_KG * HEAT_CAPACITY_KJ_PER_KG_K * (self.down_degc + self.up_degc)

    def step(self, step_s: float, flow_kg_per_s: float, *, inlet_degc: float) -> None:
        """Moves the field on by one step; afterwards `wall_heat_kw` is the heat that came out of the ground [kW]."""
        if step_s != self._step_s:
            self._prepare(step_s)
        node_kg = 0.5 * WATER_MASS_KG
        turned_ratio = flow_kg_per_s * step_s / node_kg
        if turned_ratio > 1.0:
            raise ValueError(f"step {step_s} s is too long for {flow_kg_per_s} kg/s through {node_kg} kg")
        down_degc = self.down_degc + turned_ratio * (inlet_degc - self.down_degc)
        up_degc = self.up_degc + turned_ratio * (self.down_degc - self.up_degc)
        # Each node: C (T' - T) = G (wall' - T') dt;  wall' = wall from the past - q S;  q L = G (2 wall' - down' -
        # up').
        node_kw_per_k = FIELD_LENGTH_M / BOREHOLE_RESISTANCE_M_K_PER_W / 2000.0
        exchange_ratio = node_kw_per_k * step_s / (node_kg * HEAT_CAPACITY_KJ_PER_KG_K)
        effective_kw_per_k = node_kw_per_k / (1.0 + exchange_ratio)
        past_degc = SEASON_START_DEGC
        for drop_k, decay in zip(self._drops_k, self._decays, strict=True):
            past_degc -= drop_k * decay
        answer_k_m_per_w = sum(self._gains_k_m_per_w)
        per_metre_w = (
            effective_kw_per_k
            * (2.0 * past_degc - down_degc - up_degc)
            / (FIELD_LENGTH_M / 1000.0 + 2.0 * effective_kw_per_k * answer_k_m_per_w)
        )
        self.wall_degc = past_degc - per_metre_w * answer_k_m_per_w
        self._drops_k = [
            drop_k * decay + per_metre_w * gain
            for drop_k, decay, gain in zip(self._drops_k, self._decays, self._gains_k_m_per_w, strict=True)
        ]
        self.down_degc = (down_degc + exchange_ratio * self.wall_degc) / (1.0 + exchange_ratio)
        self.up_degc = (up_degc + exchange_ratio * self.wall_degc) / (1.0 + exchange_ratio)
        self.wall_heat_kw = node_kw_per_k * (2.0 * self.wall_degc - self.down_degc - self.up_degc)

    def _prepare(self, step_s: float) -> None:
        self._step_s = step_s
        per_watt = 1.0 / (2.0 * math.pi * ground_response.GROUND_CONDUCTIVITY_W_PER_M_K)
        self._decays = [math.exp(-step_s / time_constant_s) for time_constant_s, _ in ground_response.RELAXATIONS]
        self._gains_k_m_per_w = [
            per_watt * weight * -math.expm1(-step_s / time_constant_s)
            for time_constant_s, weight in ground_response.RELAXATIONS
        ]
