"""What really happened in the plant: the numbers that the score and the screen may trust."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UnitTruth:
    """One unit now.

    Attributes:
        name: hp1 ...
        state: off, starting, running, stopping, tripped; "standby": kept off by its own thermostat while asked to run.
        mode: none, direct, charge.
        load_ratio: load of the compressor, 0 when off.
        heat_kw: heat to the water.
        electric_kw: electricity of the unit without its pumps.
        cop: heat over electricity, None when the compressor is off.
        starts: compressor starts since the simulation began.
    """

    name: str
    state: str
    mode: str
    load_ratio: float
    heat_kw: float
    electric_kw: float
    cop: float | None
    starts: int


@dataclass(frozen=True, slots=True)
class Truth:
    """The plant at an instant; amounts count from the beginning of the simulation.

    Attributes:
        instant_s: end of the last computed step [s since 1970 UTC].
        outdoor_degc: outdoor air.
        indoor_degc: mean room temperature.
        supply_degc: supply header.
        return_degc: return header.
        load_kw: heat that the building takes from the loop.
        heat_delivered_kwh: the same, summed.
        heat_charged_kw: net heat that charging brings into the tank.
        heat_charged_kwh: the same, summed.
        discharge_kw: net heat that the loop takes out of the tank.
        heat_discharged_kwh: the same, summed.
        electricity_kw: whole plant: units, pumps, house.
        electricity_kwh: the same, summed.
        peak_kw: highest mean electricity over a quarter of an hour of the clock; of complete quarters only.
        units: each unit.
        tank_degc: layers from the top.
        stored_kwh: heat in the tank above 42 degC.
        source_inlet_degc: water from the ground to the units.
        protection_trips: trips of all units.
        thermostat_stops: stops by the units' own thermostats while they were asked to run.
        energy_residual_relative: what the balance of the whole plant fails to close by, over the heat delivered.
        discomfort_kelvin_hours: supply below the lower limit minus 0.5 K, integrated.
        supply_degc_min: lowest supply since the simulation began.
        avoidable_kelvin_hours: the part of the discomfort during which sound parts of the plant lay idle.
        unmet_heat_kwh: only while that holds: what the radiators would have given more at the wanted supply
            temperature.
    """

    instant_s: float
    outdoor_degc: float
    indoor_degc: float
    supply_degc: float
    return_degc: float
    load_kw: float
    heat_delivered_kwh: float
    heat_charged_kw: float
    heat_charged_kwh: float
    discharge_kw: float
    heat_discharged_kwh: float
    electricity_kw: float
    electricity_kwh: float
    peak_kw: float
    units: tuple[UnitTruth, ...]
    tank_degc: tuple[float, ...]
    stored_kwh: float
    source_inlet_degc: float
    protection_trips: int
    thermostat_stops: int
    energy_residual_relative: float
    discomfort_kelvin_hours: float
    supply_degc_min: float
    avoidable_kelvin_hours: float
    unmet_heat_kwh: float
