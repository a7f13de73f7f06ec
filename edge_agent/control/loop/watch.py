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
        hot_degc = supply_degc if case.loop.protection_degc is None else case.loop.protection_degc
        limits_degc = case.config.supply_degc_min, case.config.supply_degc_max
        for code, shown_degc, limit_degc, beyond in (
            ("supply_too_cold", supply_degc, limits_degc[0], supply_degc < limits_degc[0]),
            # As protection sees it: one sensor alone that shows too much is a matter of sensors.
            ("supply_too_hot", hot_degc, limits_degc[1], hot_degc > limits_degc[1]),
        ):
            if beyond:
                values: dict[str, float | str] = {"supply_degc": round(shown_degc, 1), "limit_degc": limit_degc}
                found.append(Alarm(code, case.name, case.now_utc, values))
    if case.storage_name is not None and not case.tank.layers_degc:
        found.append(Alarm("tank_sensors_missing", case.storage_name, case.now_utc, {"storage": case.storage_name}))
    if case.plan is not None and not case.following:
        age_min = round((case.now_utc - case.plan.made_utc).total_seconds() / 60.0)
        found.append(Alarm("plan_stale", case.name, case.now_utc, {"age_min": age_min}))
    return tuple(found)
