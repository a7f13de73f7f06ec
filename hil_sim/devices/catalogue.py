"""The device models that the simulator can put on a wire, by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hil_sim.devices.maps.abb_acx580 import ABB_ACX580
from hil_sim.devices.maps.acrel_adl3000 import ACREL_ADL3000
from hil_sim.devices.maps.chint_dtsu666 import CHINT_DTSU666, CHINT_DTSU666_UNSCALED
from hil_sim.devices.maps.danfoss_fc102 import DANFOSS_FC102
from hil_sim.devices.maps.diehl_sharky_775 import DIEHL_SHARKY_775
from hil_sim.devices.maps.eas_ech_r32_modular import EAS_ECH_R32_MODULAR
from hil_sim.devices.maps.eastron_sdm630 import EASTRON_SDM630
from hil_sim.devices.maps.generic_ground_unit import GENERIC_GROUND_UNIT, GENERIC_GROUND_UNIT_SETPOINT
from hil_sim.devices.maps.generic_station_io import GENERIC_STATION_IO
from hil_sim.devices.maps.generic_unit_contacts import GENERIC_UNIT_CONTACTS
from hil_sim.devices.maps.generic_unit_stages import GENERIC_UNIT_STAGES
from hil_sim.devices.maps.idm_navigator import IDM_NAVIGATOR
from hil_sim.devices.maps.kamstrup_multical_x03_default import KAMSTRUP_MULTICAL_X03_DEFAULT
from hil_sim.devices.maps.lambda_eureka import LAMBDA_EUREKA, LAMBDA_EUREKA_1_1_3
from hil_sim.devices.maps.mag11_heat import MAG11_HEAT
from hil_sim.devices.maps.nibe_s_series import NIBE_S_SERIES
from hil_sim.devices.maps.siemens_landisgyr_uh50_wzu485e import SIEMENS_LANDISGYR_UH50_WZU485E
from hil_sim.devices.maps.trane_rthd_ch530_pic import TRANE_RTHD_CH530_PIC
from hil_sim.devices.maps.tuf2000m import TUF2000M
from hil_sim.devices.maps.wb_m1w2 import WB_M1W2
from hil_sim.devices.maps.xy_md0x import XY_MD0X
from hil_sim.devices.maps.york_ylaa_ipu2 import YORK_YLAA_IPU2
from hil_sim.devices.maps.york_yvag import YORK_YVAG
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
            SIEMENS_LANDISGYR_UH50_WZU485E,
            KAMSTRUP_MULTICAL_X03_DEFAULT,
            DIEHL_SHARKY_775,
            CHINT_DTSU666,
            CHINT_DTSU666_UNSCALED,
            DANFOSS_FC102,
            ABB_ACX580,
            YORK_YVAG,
            YORK_YLAA_IPU2,
            EAS_ECH_R32_MODULAR,
            TRANE_RTHD_CH530_PIC,
            LAMBDA_EUREKA,
            LAMBDA_EUREKA_1_1_3,
            IDM_NAVIGATOR,
            NIBE_S_SERIES,
            GENERIC_GROUND_UNIT,
            GENERIC_GROUND_UNIT_SETPOINT,
            GENERIC_STATION_IO,
            GENERIC_UNIT_CONTACTS,
            GENERIC_UNIT_STAGES,
        )
    }
)
"""Register map of each model."""


def quantity_names(model: str) -> frozenset[str]:
    """Names under which the wire log may hold values of a device of this model."""
    return frozenset(MODELS[model].names())


def asked_of_the_plant(model: str) -> frozenset[str]:
    """Names of which a device of this model wants to know the truth: all but its own settings, number and calendar."""
    own = {q.name for q in MODELS[model].quantities if q.constant is not None or q.origin != "plant"}
    return quantity_names(model) - own
