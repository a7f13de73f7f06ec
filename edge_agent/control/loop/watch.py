"""What is wrong with a loop, for the operator: supply out of its limits, readings missing, plan too old. Pure."""

from edge_agent.control.command import Alarm
from edge_agent.control.loop.case import Case


def alarms(case: Case) -> tuple[Alarm, ...]:
    """Alarms of the loop as it stands."""
    supply_degc = case.loop.supply_degc
    found: list[Alarm] = [*case.alarms]
    if supply_degc is None:
        found.append(Alarm("reading_missing", case.name, case.now_utc, {"point": case.config.supply_point}))
    else:
        for code, beyond, limit_degc in (
            ("supply_too_cold", supply_degc < case.config.supply_degc_min, case.config.supply_degc_min),
            ("supply_too_hot", supply_degc > case.config.supply_degc_max, case.config.supply_degc_max),
        ):
            if beyond:
                values: dict[str, float | str] = {"supply_degc": round(supply_degc, 1), "limit_degc": limit_degc}
                found.append(Alarm(code, case.name, case.now_utc, values))
    if case.storage_name is not None and not case.tank.layers_degc:
        found.append(Alarm("tank_sensors_missing", case.storage_name, case.now_utc, {"storage": case.storage_name}))
    if case.plan is not None and not case.following:
        age_min = round((case.now_utc - case.plan.made_utc).total_seconds() / 60.0)
        found.append(Alarm("plan_stale", case.name, case.now_utc, {"age_min": age_min}))
    return tuple(found)
