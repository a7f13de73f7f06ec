"""From plan and plant to what units and tank shall do now: keeps the supply temperature, whatever the plan says.

A load off the plan is met by the tank first, then by the load of running units, then by a charging unit that turns to
the loop, then by one more unit. A unit leaves the loop only when what remains can carry it. Pure: the regulators' state
is `LoopMemory`. The order of the steps is here, each step in its file under `loop/`. Starting and stopping a unit is
the business of `sequence.py`; what may be written, that of `guard.py`.

Source: plant-operation notes, sections 6 and 8; scheduling notes, section 8 (follow the plan unit by unit).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from edge_agent.control.command import Alarm, Because
from edge_agent.control.intent import BandOutlook
from edge_agent.control.loop import duties, release, setpoints, staging, valve, watch
from edge_agent.control.loop.case import Capacities, Case
from edge_agent.control.memory import ControlMemory, LoopMemory
from edge_agent.control.view import PlantView
from edge_agent.control.want import Want
from edge_agent.settings.model import SiteFile
from scheduling.plan import Plan

START_AHEAD = timedelta(minutes=5)
"""A unit needs about this long from its first valve to real heat: planned starts begin this much earlier. Ours,
measured in lockstep with the simulated plant: pumps, proofs and lead 4 min, compressor 1 min."""


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What dispatch wants of one loop.

    Attributes:
        wants: by unit.
        discharge_ratio: opening of the discharge valve; None: leave it.
        tank_used: the tank's way must be open.
        memory: of the loop.
        setpoint_degc: supply temperature aimed at.
        because: plan or rule.
        notes: codes of what is done beyond the plan, for the operator.
        alarms: what is wrong with the loop.
    """

    wants: Mapping[str, Want]
    discharge_ratio: float | None
    tank_used: bool
    memory: LoopMemory
    setpoint_degc: float
    because: Because
    notes: tuple[str, ...] = ()
    alarms: tuple[Alarm, ...] = ()


def dispatch(
    loop_name: str,
    memory: ControlMemory,
    *,
    site: SiteFile,
    view: PlantView,
    plan: Plan | None,
    bands: BandOutlook,
    capacities: Capacities,
) -> Dispatched:
    """Decides for one heat loop.

    Args:
        loop_name: the loop.
        memory: units adopted to the present.
        site: limits and times.
        view: the plant now.
        plan: the last plan; older than two hours or ended: a rule stands in.
        bands: the tariff around now.
        capacities: heat at full load by unit and mode; a unit that is missing counts with its rating.
    """
    case = Case(loop_name, memory, site=site, view=view, plan=plan, bands=bands, capacities=capacities)
    case.note_tank()
    now = duties.intent_at(case, case.now_utc)
    soon = duties.intent_at(case, case.now_utc + START_AHEAD)
    duties.assign(case, now, soon)
    duties.end_charging(case)
    case.weigh()
    discharging = valve.wants_tank(case, now)
    staging.meet_lack(case, discharging=discharging)
    staging.meet_surplus(case)
    through_tank = release.release(case, discharging=discharging)
    discharging = discharging or through_tank
    ratio = valve.regulate(case, discharging=discharging)
    used = valve.path_used(case, now, soon, discharging=discharging, ratio=ratio)
    loosened = valve.loosened(case, discharging=discharging, ratio=ratio)
    # Planned loads are kept while the plan lets the tank do the balance; else the units give what is needed.
    limited = discharging and valve.planned_kw(case, now) > valve.WANTED_KW and not loosened
    case.state = replace(
        case.state,
        discharging=discharging,
        loosened=loosened,
        tank_used_utc=case.now_utc if used else case.before.tank_used_utc,
        trim_k=setpoints.trim_k(case, discharging=discharging),
    )
    return Dispatched(
        wants={name: setpoints.want_of(case, name, duty=duty, limited=limited) for name, duty in case.duties.items()},
        discharge_ratio=ratio,
        tank_used=used,
        memory=case.state,
        setpoint_degc=case.setpoint_degc,
        because=now.because,
        notes=tuple(dict.fromkeys(case.balance.notes)),
        alarms=watch.alarms(case),
    )
