"""The device models that the simulator can put on a wire, by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hil_sim.devices.maps.acrel_adl3000 import ACREL_ADL3000
from hil_sim.devices.maps.eastron_sdm630 import EASTRON_SDM630
from hil_sim.devices.maps.generic_ground_unit import GENERIC_GROUND_UNIT, GENERIC_GROUND_UNIT_SETPOINT
from hil_sim.devices.maps.generic_station_io import GENERIC_STATION_IO
from hil_sim.devices.maps.mag11_heat import MAG11_HEAT
from hil_sim.devices.maps.tuf2000m import TUF2000M
from hil_sim.devices.maps.wb_m1w2 import WB_M1W2
from hil_sim.devices.maps.xy_md0x import XY_MD0X
from hil_sim.devices.registers import RegisterMap

MODELS: Final[Mapping[str, RegisterMap]] = MappingProxyType(
    {
        register_map.model: register_map
        for register_map in (
            TUF2000M,
            MAG11_HEAT,
            ACREL_ADL3000,
            EASTRON_SDM630,
            WB_M1W2,
            XY_MD0X,
            GENERIC_GROUND_UNIT,
            GENERIC_GROUND_UNIT_SETPOINT,
            GENERIC_STATION_IO,
        )
    }
)
"""Register map of each model."""


def quantity_names(model: str) -> frozenset[str]:
    """Names under which the wire log may hold values of a device of this model."""
    return frozenset(MODELS[model].names())
