"""Ice and phase-change stores: rates that depend on how much is frozen, made concave for the planner.

The heat that a coil moves falls as the layer on it grows: charging an ice tank is quickest when it is empty, melting
when it is full. Rates follow a polynomial in the fraction and in the temperature difference; with a given brine they
become a limit over the stored energy. Source of the form: modelica-buildings, Fluid.Storage.Ice; Pradhan et al. 2020.
"""

import math
from dataclasses import dataclass

from scheduling.plant.curve import Hull, concave_under

SECONDS_PER_HOUR = 3600.0
ICE_KJ_PER_KG = 333.55
"""Heat of fusion of ice."""
LMTD_REFERENCE_K = 10.0
LMTD_RATIO_MAX = 10.0
NEAR_K = 0.01
FLOOR_K = 0.02
"""Least differences that the rate is read at: at zero the logarithm has no value."""
HALVINGS = 40
"""Steps of the search for the outlet temperature: far below any sensor's resolution."""
BRINE_KJ_PER_KG_K = 3.85
"""30 % propylene glycol. Source: the measured tank's description."""


@dataclass(frozen=True, slots=True)
class RateCurve:
    """Coefficients of a rate in one direction.

    q = latent x max(0, c1 + c2 y + c3 y^2 + (c4 + c5 y + c6 y^2) L) / fit_s, y the fraction already done.
    """

    c: tuple[float, float, float, float, float, float]
    fit_s: float

    def share_per_h(self, done_ratio: float, lmtd_ratio: float) -> float:
        """Share of the latent energy an hour."""
        c1, c2, c3, c4, c5, c6 = self.c
        y = done_ratio
        rate = c1 + c2 * y + c3 * y * y + (c4 + c5 * y + c6 * y * y) * lmtd_ratio
        return max(0.0, rate) / self.fit_s * SECONDS_PER_HOUR


NIST_CHARGE = RateCurve((1.76953858e-4, 0.0, 0.0, 0.0, 0.0, 0.0), fit_s=10.0)
NIST_MELT = RateCurve((5.54e-5, -1.45679e-4, 9.28e-5, 1.126122e-3, -1.1012e-3, 3.00544e-4), fit_s=10.0)
"""An ice-on-coil tank of 264 kWh. Source: modelica-buildings, Storage/Ice/Data/Tank (NIST)."""


@dataclass(frozen=True, slots=True)
class LatentStore:
    """A store whose energy is the solid (ice) or liquid (PCM for heat) fraction.

    Attributes:
        latent_kwh: energy between all liquid and all solid.
        charge: rate of charging over the charged fraction.
        discharge: rate of discharging over the discharged fraction.
        change_degc: where it freezes and melts.
        hysteresis_k: it freezes this far below and melts this far above; 0 for ice.
    """

    latent_kwh: float
    charge: RateCurve
    discharge: RateCurve
    change_degc: float = 0.0
    hysteresis_k: float = 0.0

    def rate_kw(self, charged_ratio: float, *, inlet_degc: float, flow_kg_per_s: float, charging: bool) -> float:
        """Heat that passes the coil with a brine [kW]; the outlet temperature follows from the balance.

        Args:
            charged_ratio: 0 empty, 1 full.
            inlet_degc: of the brine.
            flow_kg_per_s: of the brine.
            charging: the direction.
        """
        curve = self.charge if charging else self.discharge
        done = charged_ratio if charging else 1.0 - charged_ratio
        change_degc = self.change_degc + self._shift_k(inlet_degc)
        span_k = inlet_degc - change_degc
        if abs(span_k) <= NEAR_K or flow_kg_per_s <= 0:
            return 0.0
        capacity_kw_per_k = flow_kg_per_s * BRINE_KJ_PER_KG_K
        low, high = 0.0, 1.0  # share of the way from the inlet to the change temperature that the outlet goes
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            outlet_degc = inlet_degc - middle * span_k
            brine_kw = capacity_kw_per_k * abs(inlet_degc - outlet_degc)
            coil_kw = self.latent_kwh * curve.share_per_h(done, _lmtd_ratio(inlet_degc, outlet_degc, change_degc))
            low, high = (middle, high) if brine_kw < coil_kw else (low, middle)
        return capacity_kw_per_k * abs(span_k) * 0.5 * (low + high)

    def _shift_k(self, inlet_degc: float) -> float:
        """It freezes below and melts above the point between."""
        return -0.5 * self.hysteresis_k if inlet_degc < self.change_degc else 0.5 * self.hysteresis_k

    def charge_limit(self, *, inlet_degc: float, flow_kg_per_s: float) -> Hull:
        """Limit of charging over the stored energy [kWh, kW], concave, nowhere above the rate."""
        return concave_under(
            lambda kwh: self.rate_kw(
                kwh / self.latent_kwh, inlet_degc=inlet_degc, flow_kg_per_s=flow_kg_per_s, charging=True
            ),
            low_kwh=0.0,
            high_kwh=self.latent_kwh,
        )

    def discharge_limit(self, *, inlet_degc: float, flow_kg_per_s: float) -> Hull:
        """Limit of discharging over the stored energy [kWh, kW], concave, nowhere above the rate."""
        return concave_under(
            lambda kwh: self.rate_kw(
                kwh / self.latent_kwh, inlet_degc=inlet_degc, flow_kg_per_s=flow_kg_per_s, charging=False
            ),
            low_kwh=0.0,
            high_kwh=self.latent_kwh,
        )


def _lmtd_ratio(inlet_degc: float, outlet_degc: float, change_degc: float) -> float:
    """Logarithmic mean difference over its reference, within what the coefficients were fitted for."""
    near = max(NEAR_K, abs(outlet_degc - change_degc))
    far = max(FLOOR_K, abs(inlet_degc - change_degc))
    through = max(NEAR_K, abs(inlet_degc - outlet_degc))
    if math.isclose(far, near, rel_tol=1e-9):
        return min(LMTD_RATIO_MAX, near / LMTD_REFERENCE_K)
    return min(LMTD_RATIO_MAX, through / abs(math.log(far / near)) / LMTD_REFERENCE_K)
