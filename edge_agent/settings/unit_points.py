"""Which point of a unit carries what, by its actuation: defaults, and what a site may change. Pure; no profile is read.

A unit with registers keeps its points under the house names on its own device. One on contacts has its wires on the
inputs and outputs of a station box, under whatever names those have.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REGISTER_ACTUATIONS: Final = ("capacity_ratio", "stages", "supply_setpoint")
"""Units that are spoken to by registers: state and requests by number."""
CONTACTS: Final = "contacts"
STAGED: Final = ("stages", CONTACTS)
"""Units whose load may come in stages."""

_READINGS: Final = (
    "state", "mode_actual", "remote", "alarm_code", "load_ratio", "user_flow", "source_flow",
    "user_supply_temperature", "user_return_temperature", "source_inlet_temperature", "source_outlet_temperature",
    "electric_power", "starts_total",
)  # fmt: skip
_REGISTERS: Final = {role: role for role in ("run_request", "mode_request", "supply_setpoint", "heartbeat", *_READINGS)}

DEFAULTS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "capacity_ratio": {**_REGISTERS, "capacity_limit": "capacity_limit"},
        "supply_setpoint": _REGISTERS,
        "stages": {**_REGISTERS, "stage_request": "stage_request", "stage_actual": "stage_actual"},
        CONTACTS: {
            "run_request": "run_contact",
            "running": "running_contact",
            "fault": "fault_contact",
            "remote": "remote_contact",
            "user_flow": "user_flow",
            "source_flow": "source_flow",
        },
    }
)
"""Actuation -> role -> point on the unit's own device."""

COMMANDS: Final = (
    "run_request", "mode_request", "charge_contact", "supply_setpoint", "capacity_limit", "stage_request", "heartbeat",
)  # fmt: skip
"""Roles that are written."""
ONLY_CONTACTS: Final = frozenset({"charge_contact", "running", "fault"})
ONLY_REGISTERS: Final = frozenset({"state", "mode_request", "mode_actual"})
ONLY_STAGED: Final = frozenset({"stage_request", "stage_actual", "stage_contacts", "stage_feedbacks"})


def point_of(role: str, *, actuation: str, device: str, points: Mapping[str, object]) -> str | None:
    """The `device.point` that carries a role; None: the unit has none.

    Args:
        role: what the point carries.
        actuation: of the unit.
        device: the unit's own device.
        points: what the site file says under `points`; a role that is there and null has no point.
    """
    if role in points:
        given = points[role]
        return given if isinstance(given, str) else None
    default = DEFAULTS.get(actuation, {}).get(role)
    if role == "stage_request" and points.get("stage_contacts"):
        return None  # contacts for each stage stand in the register's place
    return None if default is None else f"{device}.{default}"


def foreign_roles(actuation: str) -> frozenset[str]:
    """Roles that a unit of this actuation cannot have."""
    foreign = ONLY_REGISTERS if actuation == CONTACTS else ONLY_CONTACTS
    if actuation not in STAGED:
        foreign |= ONLY_STAGED
    if actuation != "capacity_ratio":
        foreign |= {"capacity_limit"}
    return foreign
