"""What units draw from or reject to, and heat that comes from elsewhere: limits and prices from a site's figures."""

from dataclasses import dataclass

WATER_KW_PER_M3H_K = 1.163
"""Heat of a cubic metre of water an hour and kelvin [kW/(m3/h K)]: 4.186 kJ/(kg K) x 1000 kg/m3 / 3600 s."""
GAS_KWH_PER_M3 = 9.89
"""Lower heating value of natural gas [kWh/m3]: 35.6 MJ/m3 (8500 kcal/m3), a usual figure. Ours as a default: the
supplier's own belongs in its place."""


@dataclass(frozen=True, slots=True)
class WaterSource:
    """A well, a field's water, reclaimed water, waste heat: a flow that may be cooled or warmed only so far.

    Attributes:
        flow_m3_per_h: most flow.
        outlet_degc_min: it may not be cooled below this; None: no limit.
        outlet_degc_max: it may not be warmed above this; None: no limit.
    """

    flow_m3_per_h: float
    outlet_degc_min: float | None = None
    outlet_degc_max: float | None = None

    def draw_kw_max(self, inlet_degc: float) -> float | None:
        """Most heat that may be drawn at an inlet temperature; None: no limit is known."""
        if self.outlet_degc_min is None:
            return None
        return self.flow_m3_per_h * WATER_KW_PER_M3H_K * max(0.0, inlet_degc - self.outlet_degc_min)

    def reject_kw_max(self, inlet_degc: float) -> float | None:
        """Most heat that may be rejected at an inlet temperature; None: no limit is known."""
        if self.outlet_degc_max is None:
            return None
        return self.flow_m3_per_h * WATER_KW_PER_M3H_K * max(0.0, self.outlet_degc_max - inlet_degc)


def balance_price(*, drawn_year_kwh: float, rejected_year_kwh: float, unbalanced_cny_per_kwh: float) -> float:
    """Price of each kWh drawn from a field that should give and take the same over a year [CNY/kWh].

    A field that gives more than it gets back grows colder: drawing then costs, rejecting earns, by the share that is
    missing. Balanced or unknown: nothing.

    Args:
        drawn_year_kwh: heat drawn in the last year.
        rejected_year_kwh: heat rejected in the last year.
        unbalanced_cny_per_kwh: what a kWh out of balance costs to bring back, such as by a dry cooler or a boiler.
    """
    larger = max(drawn_year_kwh, rejected_year_kwh)
    if larger <= 0:
        return 0.0
    return unbalanced_cny_per_kwh * (drawn_year_kwh - rejected_year_kwh) / larger


def gas_heat_price(*, gas_cny_per_m3: float, efficiency_ratio: float, gas_kwh_per_m3: float = GAS_KWH_PER_M3) -> float:
    """Cost of a kWh of heat from a gas boiler [CNY/kWh].

    Args:
        gas_cny_per_m3: price of gas.
        efficiency_ratio: heat for the gas's lower heating value, 0 to 1.1 (condensing).
        gas_kwh_per_m3: lower heating value.

    Raises:
        ValueError: a figure that no boiler has.
    """
    if not 0.3 < efficiency_ratio <= 1.1 or gas_cny_per_m3 < 0 or gas_kwh_per_m3 <= 0:  # noqa: PLR2004 - physical range
        raise ValueError(f"no boiler burns gas at {gas_cny_per_m3} CNY/m3 with an efficiency of {efficiency_ratio}")
    return gas_cny_per_m3 / (gas_kwh_per_m3 * efficiency_ratio)
