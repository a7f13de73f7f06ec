"""Dispatch conserves heat: what is asked of units and tank is the load, or what is missing or too much is named."""

from dataclasses import replace
from datetime import timedelta
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.control.demand_guard import Ceiling, Ceilings
from edge_agent.control.dispatch import Dispatched
from edge_agent.control.intent import BandOutlook, plan_intent
from edge_agent.control.loop.case import BAND_K
from edge_agent.control.memory import ControlMemory, LoopMemory, Phase, UnitMemory
from edge_agent.control.orders import Order, OrderKind
from edge_agent.control.view import PlantView
from scheduling.plan import Plan

UNITS = ("hp1", "hp2")
RATED_KW = 600.0
LEAST_RATIO = 0.3
TOLERANCE_KW = 60.0
"""A tenth of a unit: readings and ratings are worth no more."""
TANK_KW_PER_K = 2000.0 / 13.0
"""Of the small site: 2 000 kW at 55 degC over 42 degC."""

SITUATIONS = 12
"""Situations of one example: drawn one by one they would take minutes, and what is looked for is rare."""


def some_memory(random: Random, kit: SimpleNamespace) -> UnitMemory:
    phase = random.choice(
        [
            Phase.OFF,
            Phase.LEAD,
            Phase.STARTING,
            Phase.RUNNING,
            Phase.RUNNING,
            Phase.RUNNING,
            Phase.STOPPING,
            Phase.TRIPPED,
        ]
    )
    since_utc = kit.now_utc - timedelta(seconds=random.choice([10, 400, 4000]))
    active = phase in (Phase.LEAD, Phase.STARTING, Phase.RUNNING, Phase.STOPPING)
    running = phase is Phase.RUNNING
    return UnitMemory(
        phase=phase,
        since_utc=since_utc,
        mode=random.choice(["direct", "charge"]) if active else None,
        running_since_utc=since_utc if running else None,
        idle_since_utc=since_utc if running and random.random() < 0.1 else None,
        off_since_utc=None if running else since_utc,
    )


def some_plan(random: Random, kit: SimpleNamespace) -> Plan | None:
    steps = [
        (
            {name: (random.choice([None, "direct", "charge"]), random.uniform(0, 600)) for name in UNITS},
            random.choice([0.0, 400.0, 1200.0]),
            random.choice([0.0, 0.0, 500.0, 2000.0]),
        )
        for _ in range(2)
    ]
    return random.choice([None, kit.plan(kit.now_utc, *steps), kit.plan(kit.now_utc, *steps)])


def some_orders(random: Random, kit: SimpleNamespace) -> tuple[Order, ...]:
    kind = random.choice([None, None, None, OrderKind.CHARGE, OrderKind.HOLD, OrderKind.STOP])
    if kind is None:
        return ()
    subject = random.choice([None, "tank"] if kind is OrderKind.HOLD else [None, *UNITS])
    return (Order(kind, subject, kit.now_utc + timedelta(hours=1), "a person", "a reason", kit.now_utc, 1),)


def maybe(random: Random, low: float, high: float) -> float | None:
    return None if random.random() < 0.05 else random.uniform(low, high)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_heat_is_conserved(kit: SimpleNamespace, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a reproducible test
    for _ in range(SITUATIONS):
        one_situation(kit, random)


def one_situation(kit: SimpleNamespace, random: Random) -> None:
    memories = kit.memory(some_memory(random, kit), some_memory(random, kit))
    plan, orders = some_plan(random, kit), some_orders(random, kit)
    before_ratio = maybe(random, 0, 1)
    loop = LoopMemory(
        discharge_ratio=before_ratio,
        discharging=random.choice([True, False]),
        spending=random.choice([True, False]),
        loosened=random.choice([True, False]),
        error_k=maybe(random, -2, 2),
        regulated_utc=kit.now_utc - timedelta(seconds=30),
        lack_since_utc=kit.now_utc - timedelta(seconds=random.choice([0, 100, 700])),
        off_plan_since_utc=random.choice([None, kit.now_utc - timedelta(minutes=20)]),
    )
    limit_kw = random.choice([None, random.uniform(0, 900)])
    ceilings = Ceilings() if limit_kw is None else Ceilings(hard=Ceiling(limit_kw, limit_kw, "contract"))
    unit = replace(kit.unit_running, load_ratio=maybe(random, 0, 1), electric_kw=100.0)
    seen = {
        "hp1": unit,
        "hp2": unit,
        "supply_degc": maybe(random, 39, 47),
        "return_degc": maybe(random, 35, 42),
        "load_kw": maybe(random, 0, 2000),
        "charge_ratio": random.choice([None, 0.0, 1.0, 1.0, 1.0, 1.0]),
        "layers_degc": random.choice([(), (54.0, 50.0, 44.0, 42.0), (42.0,) * 4, (54.0,) * 4]),
    }
    band = random.choice([None, "valley", "flat", "peak"])
    result = kit.decide(
        memories, plan=plan, loop=loop, bands=BandOutlook(band), orders=orders, ceilings=ceilings, **seen
    )
    view = kit.view(**seen)
    assert_conserved(result, view, memories, was_discharging=loop.discharging)
    assert_one_way(result, view, before_ratio=before_ratio, through=passes_through(kit, plan, orders))


def assert_conserved(result: Dispatched, view: PlantView, memories: ControlMemory, *, was_discharging: bool) -> None:
    """The sum, counted from the wants alone, and each part within what its maker can give."""
    loop, tank, heat = view.loops["heating"], view.storages["tank"], result.heat
    if loop.load_kw is None:
        assert heat is None
        return
    assert heat is not None
    limits = [
        result.wants[name].limit_ratio["direct"]
        for name in UNITS
        if memories.unit(name).phase in (Phase.STARTING, Phase.RUNNING)
        and memories.unit(name).mode == "direct"
        and memories.unit(name).idle_since_utc is None
        and result.wants[name].mode == "direct"
    ]
    most_kw, least_kw = RATED_KW * sum(limits), RATED_KW * LEAST_RATIO * len(limits)
    tank_kw = 0.0
    gives = result.memory.discharging or bool(result.discharge_ratio)
    if gives and tank.top_degc is not None and loop.supply_degc is not None and loop.return_degc is not None:
        margin_k = 0.5 if was_discharging else 1.0
        if tank.top_degc > min(result.setpoint_degc, loop.supply_degc) + margin_k:
            tank_kw = min(2000.0, max(0.0, TANK_KW_PER_K * (tank.top_degc - loop.return_degc)))
    assert heat.units_kw + heat.tank_kw + heat.unmet_kw - heat.surplus_kw == pytest.approx(loop.load_kw)
    assert least_kw - 1e-6 <= heat.units_kw <= most_kw + 1e-6
    assert -1e-6 <= heat.tank_kw <= tank_kw + 1e-6
    assert heat.unmet_kw == pytest.approx(max(0.0, loop.load_kw - most_kw - tank_kw), abs=1e-6)
    assert heat.surplus_kw == pytest.approx(max(0.0, least_kw - loop.load_kw), abs=1e-6)
    assert ("heat_unmet" in result.notes) is (heat.unmet_kw > TOLERANCE_KW)
    assert ("heat_surplus" in result.notes) is (heat.surplus_kw > TOLERANCE_KW)


def passes_through(kit: SimpleNamespace, plan: Plan | None, orders: tuple[Order, ...]) -> bool:
    """Whether plan or operator want charging units to pass heat on through the tank."""
    if any(order.kind is OrderKind.CHARGE for order in orders):
        return True
    if plan is None:
        return False
    intent = plan_intent(plan, kit.now_utc, storage_of=dict.fromkeys(UNITS, "tank"))
    assert intent is not None
    return intent.to_loop_kw["tank"] > 20.0 and any(unit.mode == "charge" for unit in intent.units.values())


def assert_one_way(result: Dispatched, view: PlantView, *, before_ratio: float | None, through: bool) -> None:
    """The tank is never charged and made to hold the supply at once; below its band the loop may still draw on it."""
    charges = any(want.on and want.mode == "charge" for want in result.wants.values())
    if not charges or through:
        return
    assert not result.memory.discharging
    supply_degc = view.loops["heating"].supply_degc
    if result.discharge_ratio is None or supply_degc is None:
        return
    floor_degc = max(result.setpoint_degc - BAND_K, 40.0 + 0.5 * BAND_K)
    stood = view.valves["v_discharge"].commanded_ratio if before_ratio is None else before_ratio
    if supply_degc > floor_degc:
        assert result.discharge_ratio <= (stood or 0.0) + 1e-3
