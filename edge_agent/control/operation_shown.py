"""What an operator is told of steps down, of units out of control, and of what an order waits for. Pure."""

from zoneinfo import ZoneInfo

from edge_agent.control.command import Alarm, Kind
from edge_agent.control.memory import ASKED, ControlMemory
from edge_agent.control.modes import Mode
from edge_agent.control.order_form import instant_text
from edge_agent.control.orders import Order, OrderKind
from edge_agent.control.report import CycleReport
from edge_agent.control.step_down import RULES, Cause, Down, StepDowns
from edge_agent.settings.model import SiteFile
from edge_agent.texts.catalogue import text


def down_dict(state: StepDowns) -> dict[str, object]:
    """Steps down and units out of control, for `status`."""
    return {
        "step_down": [
            {
                "cause": cause,
                "since": instant_text(down.since_utc),
                "mode": RULES[cause].mode,
                "follows_plan": RULES[cause].follows_plan,
                "needs_person": down.person,
                "back_after_s": None if down.person else RULES[cause].back_after_s,
            }
            for cause, down in state.downs.items()
        ],
        "units_out": {
            name: {
                "since": instant_text(out.since_utc),
                "point": out.point,
                "again": None if out.again_utc is None else instant_text(out.again_utc),
            }
            for name, out in state.out.items()
        },
    }


def order_waits(
    order: Order, report: CycleReport | None, *, mode: Mode, memory: ControlMemory | None, site: SiteFile
) -> str | None:
    """Code of why an order does not act yet; None when it does, or nobody can tell."""
    if mode is not Mode.AUTO:
        return "order_waits_for_auto"
    if report is None or not report.wants:
        return None
    units = [name for name in report.wants if order.subject in (None, name, site.units[name].storage)]
    if order.kind is OrderKind.STOP:
        return "order_waits_for_stop" if any(report.units[name].phase in ASKED for name in units) else None
    if order.kind is OrderKind.CHARGE and all(report.wants[name].mode != "charge" for name in units):
        full = memory is not None and any(memory.loop(storage.loop).tank_full for storage in site.storages.values())
        return "order_waits_full" if full else "order_waits_for_heat"
    return None


def down_alarms(state: StepDowns, *, asked: Mode, site: SiteFile) -> list[Alarm]:
    """Steps down in force and units out of control.

    Args:
        state: what is in force.
        asked: the mode that a person has asked for.
        site: its units and its time zone.
    """
    zone = ZoneInfo(site.site.timezone)
    found = [_down_alarm(cause, down, asked=asked) for cause, down in state.downs.items()]
    left = [name for name, unit in site.units.items() if unit.point(Kind.HEARTBEAT.value) is None]
    if left and asked is Mode.AUTO and state.mode(asked) is not Mode.AUTO:
        # They have no watchdog that would hand them to their panel.
        since_utc = min(down.since_utc for down in state.downs.values())
        found.append(Alarm("units_without_watchdog", "control", since_utc, {"units": ", ".join(left)}))
    for name, out in state.out.items():
        code = "unit_out_of_control" if out.again_utc is not None else "unit_out_for_good"
        again = "-" if out.again_utc is None else f"{out.again_utc.astimezone(zone):%H:%M}"
        found.append(Alarm(code, name, out.since_utc, {"unit": name, "point": out.point, "again": again}))
    return found


def _down_alarm(cause: Cause, down: Down, *, asked: Mode) -> Alarm:
    """What the operator is told of a step down; in a mode that commands nothing, of its cause alone."""
    rule = RULES[cause]
    if asked is not Mode.AUTO:
        return Alarm(cause, "control", down.since_utc)
    to = text("down_to_heat" if rule.mode is Mode.AUTO else f"mode_{rule.mode}")
    # What waits for a person says so; else the cause says how it comes back.
    needs_person = down.person and rule.back_after_s is not None
    code = "mode_stepped_down_often" if needs_person else "mode_stepped_down"
    return Alarm(code, "control", down.since_utc, {"mode_zh": to.zh, "mode_en": to.en, "reason": cause})
