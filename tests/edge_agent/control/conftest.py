"""A small site for the tests of control: two units, one tank, one loop; and a way to make views of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from edge_agent.control.demand_guard import Ceilings
from edge_agent.control.dispatch import Dispatched, dispatch
from edge_agent.control.intent import BandOutlook
from edge_agent.control.memory import ControlMemory, LoopMemory, Phase, UnitMemory
from edge_agent.control.orders import Order
from edge_agent.control.view import (
    LoopView,
    PlantView,
    PumpView,
    StorageView,
    UnitState,
    UnitView,
    ValveView,
)
from edge_agent.settings.model import SiteFile
from scheduling.plan import Plan

NOW_UTC = datetime(2026, 1, 12, 4, 0, tzinfo=UTC)
"""Noon in Beijing."""


def make_site(**changes: object) -> SiteFile:
    """The site; keyword arguments replace whole sections."""
    units = {
        name: {
            "device": name,
            "source": "ground",
            "loop": "heating",
            "storage": "tank",
            "modes": ["direct", "charge"],
            "heat_kw_rated": 600.0,
            "performance": "nameplate",
            "actuation": actuation,
            "min_on_s": 3600.0,
            "min_off_s": 1800.0,
            "starts_per_hour_max": 2,
            "starts_per_day_max": 3,
            "source_pump": f"ps_{name}",
            "user_pump": f"pu_{name}",
            "pump_owner": "agent",
        }
        for name, actuation in (("hp1", "capacity_ratio"), ("hp2", "supply_setpoint"))
    }
    pumps = {f"{side}_{name}": {"device": f"{side}_{name}"} for side in ("ps", "pu") for name in ("hp1", "hp2")}
    data: dict[str, object] = {
        "site": {
            "id": "test-site",
            "name": "test",
            "timezone": "Asia/Shanghai",
            "plant_type": "ground_source",
            "heated_area_m2": 1000.0,
        },
        "commissioning": {"signed_by": "a person", "signed_on": "2026-01-01", "start_mode": "auto"},
        "loops": {
            "heating": {
                "medium": "heat",
                "meter": "hm_user",
                "supply_degc_min": 40.0,
                "supply_degc_max": 52.0,
                "supply_setpoint_degc": [[-10.0, 48.0], [5.0, 44.0], [15.0, 41.0]],
                "supply_point": "io1.supply_temperature",
                "return_point": "io1.return_temperature",
                "design_kw": 1000.0,
            }
        },
        "sources": {"ground": {"kind": "ground", "meter": "hm_source", "inlet_degc_min": 4.0}},
        "storages": {
            "tank": {
                "kind": "hot_water",
                "loop": "heating",
                "volume_m3": 800.0,
                "degc_min": 42.0,
                "degc_max": 55.0,
                "meter": "hm_tank",
                "layers": [f"tt.t{layer}" for layer in range(4)],
                "charge_kw_max": 1800.0,
                "discharge_kw_max": 2000.0,
                "charge_setpoint_degc": 55.0,
                "isolating_valve": "v_charge",
                "discharge_valve": "v_discharge",
            }
        },
        "units": units,
        "pumps": pumps,
        "valves": {
            "v_charge": {"device": "io1", "point": "v_charge", "feedback": "v_charge_position", "travel_s": 90.0},
            "v_discharge": {
                "device": "io1",
                "point": "v_discharge",
                "feedback": "v_discharge_position",
                "travel_s": 60.0,
            },
        },
        "meters": {"electricity": "em_main", "weather": "ws1.temperature"},
        "control": {"cycle_s": 30.0},
    }
    return SiteFile.model_validate({**data, **changes})


UNIT_OFF = UnitView(
    state=UnitState.OFF,
    state_utc=NOW_UTC,
    remote=True,
    alarm_code=0,
    load_ratio=0.0,
    user_flow=False,
    source_flow=False,
    electric_kw=0.4,
    run_request=False,
    mode_request="direct",
    supply_setpoint_degc=45.0,
)
UNIT_RUNNING = replace(
    UNIT_OFF,
    state=UnitState.RUNNING,
    mode_actual="direct",
    load_ratio=0.8,
    user_flow=True,
    source_flow=True,
    electric_kw=110.0,
    run_request=True,
)


def make_view(
    *,
    now_utc: datetime = NOW_UTC,
    hp1: UnitView = UNIT_OFF,
    hp2: UnitView = UNIT_OFF,
    pumps: dict[str, bool | None] | None = None,
    charge_ratio: float | None = 0.0,
    discharge_ratio: float | None = 0.0,
    supply_degc: float | None = 44.0,
    return_degc: float | None = 40.0,
    load_kw: float | None = 500.0,
    layers_degc: tuple[float, ...] = (54.0, 54.0, 48.0, 42.0),
    outdoor_degc: float | None = 5.0,
    electric_kw: float | None = 300.0,
    source_degc: float | None = 9.0,
) -> PlantView:
    """The plant as it may be seen; units' readings are of the same instant unless they say otherwise."""
    running = {"ps_hp1": False, "ps_hp2": False, "pu_hp1": False, "pu_hp2": False, **(pumps or {})}
    energy_kwh = 800.0 * 1.149 / max(len(layers_degc), 1) * sum(max(0.0, degc - 42.0) for degc in layers_degc)
    return PlantView(
        instant_utc=now_utc,
        outdoor_degc=outdoor_degc,
        electric_kw=electric_kw,
        units={"hp1": hp1, "hp2": hp2},
        pumps={name: PumpView(running=value, commanded=value) for name, value in running.items()},
        valves={
            "v_charge": ValveView(charge_ratio, charge_ratio),
            "v_discharge": ValveView(discharge_ratio, discharge_ratio),
        },
        storages={
            "tank": StorageView(
                layers_degc=layers_degc,
                energy_kwh=energy_kwh if layers_degc else None,
                capacity_kwh=800.0 * 1.149 * 13.0,
                heat_kw=0.0,
            )
        },
        loops={"heating": LoopView(supply_degc, return_degc, load_kw, 30.0)},
        source_inlet_degc={"ground": source_degc},
    )


def rested(**changes: object) -> UnitMemory:
    """A unit that has been off for long."""
    memory = UnitMemory(
        phase=Phase.OFF, since_utc=NOW_UTC - timedelta(hours=3), off_since_utc=NOW_UTC - timedelta(hours=3)
    )
    return replace(memory, **changes)  # type: ignore[arg-type]


def running(mode: str = "direct", **changes: object) -> UnitMemory:
    """A unit that has run for long."""
    since_utc = NOW_UTC - timedelta(hours=3)
    memory = UnitMemory(
        phase=Phase.RUNNING,
        since_utc=since_utc,
        mode=mode,
        mode_since_utc=since_utc,
        running_since_utc=since_utc,
        starts_utc=(since_utc,),
    )
    return replace(memory, **changes)  # type: ignore[arg-type]


def make_memory(hp1: UnitMemory | None = None, hp2: UnitMemory | None = None) -> ControlMemory:
    """Memory of both units."""
    return ControlMemory(units={"hp1": hp1 or rested(), "hp2": hp2 or rested()})


CAPACITIES = {name: {"direct": 600.0, "charge": 558.0} for name in ("hp1", "hp2")}
POWERS = {name: {"direct": 130.0, "charge": 160.0} for name in ("hp1", "hp2")}


def make_plan(now_utc: datetime, *steps: tuple[object, ...], made_utc: datetime | None = None) -> Plan:
    """A plan of quarter hours; a step is ({unit: (mode, kW)}, charge kW, discharge kW)."""
    zeros = [0.0] * len(steps)
    return Plan.model_validate(
        {
            "schema": "plan/1",
            "request": "test",
            "made_utc": made_utc or now_utc,
            "method": "rule",
            "status": "feasible",
            "objective_cny": 0.0,
            "parts_cny": {},
            "grid_start_utc": now_utc,
            "step_minutes": [15.0] * len(steps),
            "units": {
                name: {
                    "mode": [step[0].get(name, (None, 0.0))[0] for step in steps],
                    "load_kw": [step[0].get(name, (None, 0.0))[1] for step in steps],
                }
                for name in ("hp1", "hp2")
            },
            "storages": {
                "tank": {
                    "charge_kw": [step[1] for step in steps],
                    "discharge_kw": [step[2] for step in steps],
                    "soc_kwh": zeros,
                }
            },
            "grid_kw": zeros,
        }
    )


def decide(
    memory: ControlMemory,
    *,
    plan: Plan | None = None,
    bands: BandOutlook | None = None,
    loop: LoopMemory | None = None,
    site: SiteFile | None = None,
    powers: dict[str, dict[str, float]] | None = None,
    orders: tuple[Order, ...] = (),
    ceilings: Ceilings | None = None,
    **view: object,
) -> Dispatched:
    """A decision for the loop of the small site; keyword arguments that are not named go to the view."""
    memory = memory if loop is None else memory.with_loop("heating", loop)
    return dispatch(
        "heating",
        memory,
        site=site or make_site(),
        view=make_view(**view),  # type: ignore[arg-type]
        plan=plan,
        bands=bands or BandOutlook(),
        capacities=CAPACITIES,
        powers=POWERS if powers is None else powers,
        orders=orders,
        ceilings=ceilings or Ceilings(),
    )


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """Site, views and memories for tests of control; handed over, because tests are not a package."""
    return SimpleNamespace(
        now_utc=NOW_UTC,
        site=make_site,
        view=make_view,
        memory=make_memory,
        plan=make_plan,
        decide=decide,
        rested=rested,
        running=running,
        unit_off=UNIT_OFF,
        unit_running=UNIT_RUNNING,
    )
