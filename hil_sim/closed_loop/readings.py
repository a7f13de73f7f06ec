"""What the devices of the example plants show, and how old and how noisy it reaches the controller. No wires."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from drivers.sample import Cause, Sample, bad, good
from hil_sim.plant.office import UNIT_NAMES, GroundOffice
from hil_sim.plant.unit import UnitKind

UNIT_POINTS: Final = [
    "state",
    "mode_actual",
    "remote",
    "alarm_code",
    "load_ratio",
    "user_flow",
    "source_flow",
    "starts_total",
    "electric_power",
    "run_request",
    "mode_request",
    "supply_setpoint",
    "heartbeat",
]
CONTACT_POINTS: Final = [
    "run_contact",
    "charge_contact",
    "stage_2_contact",
    "running_contact",
    "stage_2_running",
    "fault_contact",
    "remote_contact",
    "user_flow",
    "source_flow",
    "heartbeat",
]
FLOW_POINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "user_supply_temperature": "user_flow",
        "user_return_temperature": "user_flow",
        "source_inlet_temperature": "source_flow",
        "source_outlet_temperature": "source_flow",
    }
)
"""Temperatures that mean nothing without flow, and what tells it."""
STATION: Final = "io1"
STATION_POINTS: Final = [
    *(
        f"p_{side}_{number}{suffix}"
        for side in ("source", "user")
        for number in range(1, 5)
        for suffix in ("", "_running")
    ),
    *["valve_charge", "valve_discharge", "valve_charge_position", "valve_discharge_position"],
    *["supply_temperature", "return_temperature", "load_pump_running"],
]
METER_POINTS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        **dict.fromkeys(("hm_user", "hm_tank", "hm_source"), ("flow", "heat_power")),
        "em_main": ("electric_power",),
        "ws1": ("temperature",),
        **{f"tt{number}": ("temperature_1", "temperature_2") for number in range(1, 6)},
    }
)
UNIT_METER_POINTS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {f"em_{name}": ("electric_power",) for name in UNIT_NAMES}
)
FAST_S: Final = 30
"""Units and station are read this often."""
SLOW_S: Final = 60
"""Meters are read this often."""
FLOWING: Final = 0.5
SOURCE_FLOWING_M3_PER_H: Final = 1.0
TEMPERATURE_NOISE_K: Final = 0.03
HEAT_NOISE_RATIO: Final = 0.01

Seen = Callable[[str, str, float], None]


def period_s(device: str) -> int:
    """How often a device is read [s]."""
    return FAST_S if device in UNIT_NAMES or device == STATION else SLOW_S


def unit_points(kind: UnitKind) -> tuple[list[str], list[str]]:
    """What a unit's device shows always, and what it shows with flow."""
    if kind.contacts:
        return CONTACT_POINTS, ["user_supply_temperature"]
    more = ["capacity_limit"] if kind.takes_capacity_limit else []
    return [*UNIT_POINTS, *more, *(["stage_request", "stage_actual"] if kind.stages else [])], [*FLOW_POINTS]


class Readings:
    """Reads devices as the buses would: good samples with a little noise, bad ones where no water flows.

    Args:
        plant: what is read.
        kinds: what each unit can be told.
        dice: noise of the instruments.
        seen: told of each value of a device, before noise; None: nobody listens.
    """

    def __init__(
        self, plant: GroundOffice, *, kinds: Sequence[UnitKind], dice: random.Random, seen: Seen | None = None
    ) -> None:
        self._plant = plant
        self._dice = dice
        self._seen = seen
        self._units = {name: unit_points(kind) for name, kind in zip(UNIT_NAMES, kinds, strict=True)}
        self._shown: dict[str, list[tuple[str, str]]] = {
            device: [(name, f"{device}.{name}") for name in names]
            for device, names in (
                *((name, always) for name, (always, _) in self._units.items()),
                (STATION, STATION_POINTS),
                *METER_POINTS.items(),
                *UNIT_METER_POINTS.items(),
            )
        }
        self._warm = {
            device: [(name, f"{device}.{name}", FLOW_POINTS[name]) for name in warm]
            for device, (_, warm) in self._units.items()
        }

    def of(self, device: str, now_utc: datetime) -> Iterator[Sample]:
        """All points of a device as they are read at an instant."""
        plant, is_unit = self._plant, device in self._units
        for name, point in self._shown[device]:
            value = plant.quantity(device, name)
            if self._seen is not None:
                self._seen(device, name, value)
            if is_unit:
                pass
            elif "temperature" in name:
                value = self._noisy(value)
            elif name == "heat_power":
                value *= 1.0 + self._dice.gauss(0.0, HEAT_NOISE_RATIO)
            yield good(point, now_utc, value, "")
        for name, point, flow in self._warm.get(device, ()):
            if plant.quantity(device, flow) >= FLOWING:
                yield good(point, now_utc, self._noisy(plant.quantity(device, name)), "degC")
            else:
                yield bad(point, now_utc, "degC", Cause.NO_FLOW)
        if device == "hm_source" and plant.quantity(device, "flow") > SOURCE_FLOWING_M3_PER_H:
            value = self._noisy(plant.quantity(device, "supply_temperature"))
            yield good("hm_source.supply_temperature", now_utc, value, "degC")

    def _noisy(self, value: float) -> float:
        return round(value + self._dice.gauss(0.0, TEMPERATURE_NOISE_K), 2)
