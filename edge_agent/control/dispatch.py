"""From plan and plant to what units and tank shall do now: keeps the supply temperature, whatever the plan says.

A load off the plan is met by the tank first, then by the load of running units, then by a charging unit that turns to
the loop, then by one more unit. A unit leaves the loop only when what remains can carry it. Pure: the regulators' state
is `LoopMemory`. The order of the steps is here, each step in its file under `loop/`. Starting and stopping a unit is
the business of `sequence.py`; what may be written, that of `guard.py`.

Source: plant-operation notes, sections 6 and 8; scheduling notes, section 8 (follow the plan unit by unit).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from edge_agent.control.command import Alarm, Because
from edge_agent.control.demand_guard import Ceilings
from edge_agent.control.intent import BandOutlook
from edge_agent.control.loop import duties, off_plan, ordered, release, setpoints, shed, staging, valve, watch
from edge_agent.control.loop.case import Capacities, Case
from edge_agent.control.loop.heat import Heat, heat_of, note_heat
from edge_agent.control.memory import ControlMemory, LoopMemory
from edge_agent.control.orders import Order
from edge_agent.control.view import PlantView
from edge_agent.control.want import Want
from edge_agent.settings.model import SiteFile
from scheduling.plan import Plan

NO_CEILINGS = Ceilings()
NOTHING_KNOWN: Capacities = MappingProxyType({})


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
        heat: what is asked of units and tank beside the load; None while the load is not known.
        replan: the plant has been off its plan for long: a new one is worth asking for.
    """

    wants: Mapping[str, Want]
    discharge_ratio: float | None
    tank_used: bool
    memory: LoopMemory
    setpoint_degc: float
    because: Because
    notes: tuple[str, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    heat: Heat | None = None
    replan: bool = False


def dispatch(
    loop_name: str,
    memory: ControlMemory,
    *,
    site: SiteFile,
    view: PlantView,
    plan: Plan | None,
    bands: BandOutlook,
    capacities: Capacities,
    powers: Capacities = NOTHING_KNOWN,
    orders: Sequence[Order] = (),
    ceilings: Ceilings = NO_CEILINGS,
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
        powers: electricity at full load, likewise; a unit that is missing counts with a low efficiency.
        orders: of an operator, those in force.
        ceilings: of the plant's electric power.
    """
    case = Case(loop_name, memory, site=site, view=view, plan=plan, bands=bands, capacities=capacities, powers=powers)
    ordered.read_orders(case, orders)
    case.note_tank()
    now = duties.intent_at(case, case.now_utc)
    soon = duties.intent_at(case, case.now_utc + duties.START_AHEAD)
    duties.assign(case, now, soon)
    ordered.obey(case)
    duties.end_charging(case)
    case.weigh()
    case.through = valve.passes_through(case, now)
    case.passed_kw = valve.planned_kw(case, now) if case.through else 0.0
    spending = off_plan.spend(case, now)
    discharging = valve.wants_tank(case, now) or spending
    staging.meet_lack(case, discharging=discharging)
    staging.meet_surplus(case)
    staging.turn_waiting(case)
    through_tank = release.release(case, discharging=discharging)
    shed.narrow(case, ceilings)
    ordered.watch_comfort(case)
    # Loads cut on the loop are the tank's to give, if it can.
    cut = case.caps.get("direct", 1.0) < 1.0 and case.tank_helps() and not case.held
    discharging = valve.one_way(case, discharging=discharging or through_tank or cut)
    ratio = valve.regulate(case, discharging=discharging)
    used = valve.path_used(case, now, soon, discharging=discharging, ratio=ratio)
    loosened = valve.loosened(case, discharging=discharging, ratio=ratio)
    # Planned loads are kept while the tank does the balance; else the units give what is needed.
    balancing = spending or valve.planned_kw(case, now) > valve.WANTED_KW
    limited = discharging and balancing and not loosened
    case.state = replace(
        case.state,
        discharging=discharging,
        loosened=loosened,
        tank_used_utc=case.now_utc if used else case.before.tank_used_utc,
        trim_k=setpoints.trim_k(case, discharging=discharging),
    )
    wants = {name: setpoints.want_of(case, name, duty=duty, limited=limited) for name, duty in case.duties.items()}
    heat = heat_of(case, wants, tank=discharging or (ratio or 0.0) > 0.0)
    note_heat(case, heat)
    replan = off_plan.replan_due(case, now)
    return Dispatched(
        wants=wants,
        discharge_ratio=ratio,
        tank_used=used,
        memory=case.state,
        setpoint_degc=case.setpoint_degc,
        because=now.because,
        notes=tuple(dict.fromkeys(case.balance.notes)),
        alarms=watch.alarms(case),
        heat=heat,
        replan=replan,
    )
