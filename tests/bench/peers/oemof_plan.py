"""A golden case as oemof.solph sees it; run by `plan_peers.py` in a venv of its own.

    python oemof_plan.py REQUEST.json OUT.json SECONDS GAP

What it cannot express and how that is met here: a part-load curve is one straight line with an offset (through the
lowest and the full load); a unit with two modes is two converters, so "one mode at a time" and "a unit rests between
two runs, whatever their modes" are rows added to its Pyomo model by hand; a change of mode counts as a stop and a
start, so each mode keeps the minimum run by itself; limits that depend on the charge are rows by hand as well; the
energy at the end is at least the target, instead of a price for each kWh too little.
"""

import json
import sys
from pathlib import Path
from time import perf_counter as now_s  # noqa: TID251 - runs where our clock is not
from typing import Any

import pandas as pd
import pyomo.environ as po
from oemof import solph
from pyomo.contrib.appsi.solvers import Highs


def main() -> None:
    """Builds, solves, writes."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    limit_s, gap = float(sys.argv[3]), float(sys.argv[4])
    begin = now_s()
    minutes, steps = request["grid"]["step_minutes"], request["grid"]["steps"]
    index = pd.date_range(request["grid"]["start_utc"], periods=steps + 1, freq=f"{minutes}min")
    system = solph.EnergySystem(timeindex=index, infer_last_interval=False)
    (loop,), (store,), price = request["loops"], request["storages"], request["price_cny_per_kwh"]
    power, heat, tank = (solph.buses.Bus(label=name) for name in ("power", "heat", "tank"))
    most_kw = {key: max(kw for _, kw in store[key]) for key in ("charge_limit_kw", "discharge_limit_kw")}
    pumps = [store["pump_kw_per_kw"] * cny for cny in price]
    storage = solph.components.GenericStorage(
        label="storage",
        inputs={tank: solph.flows.Flow(nominal_capacity=most_kw["charge_limit_kw"], variable_costs=pumps)},
        outputs={heat: solph.flows.Flow(nominal_capacity=most_kw["discharge_limit_kw"], variable_costs=pumps)},
        nominal_capacity=store["capacity_kwh"],
        initial_storage_level=store["soc_kwh"] / store["capacity_kwh"],
        loss_rate=store["loss_fraction_per_h"],
        balanced=False,
    )
    system.add(
        power,
        heat,
        tank,
        storage,
        solph.components.Source(label="grid", outputs={power: solph.flows.Flow(variable_costs=price)}),
        solph.components.Sink(label="load", inputs={heat: solph.flows.Flow(nominal_capacity=1.0, fix=loop["load_kw"])}),
        solph.components.Source(
            label="unmet", outputs={heat: solph.flows.Flow(variable_costs=loop["unmet_cny_per_kwh"])}
        ),
        solph.components.Sink(label="dump", inputs={heat: solph.flows.Flow(variable_costs=loop["dump_cny_per_kwh"])}),
        solph.components.Converter(
            label="through",
            inputs={tank: solph.flows.Flow()},
            outputs={heat: solph.flows.Flow()},
            conversion_factors={heat: 1.0},
        ),
    )
    converters: dict[str, dict[str, Any]] = {}
    for group in request["groups"]:
        for unit in group["units"]:
            converters[unit["name"]] = {}
            for mode in group["modes"]:
                bus = heat if mode["storage"] is None else tank
                low, full = mode["curve"][0], mode["curve"][-1]
                slope = (full[1] - low[1]) / ((full[0] - low[0]) * mode["capacity_kw"])
                offset = (full[1] + group["pump_kw"]) / mode["capacity_kw"] - slope * full[0]
                converter = solph.components.OffsetConverter(
                    label=f"{unit['name']} {mode['name']}",
                    inputs={power: solph.flows.Flow()},
                    outputs={
                        bus: solph.flows.Flow(
                            nominal_capacity=mode["capacity_kw"],
                            minimum=low[0],
                            maximum=full[0],
                            nonconvex=solph.NonConvex(
                                minimum_uptime=int(-(-group["min_up_minutes"] // minutes)),
                                minimum_downtime=1,
                                startup_costs=group["start_cost_cny"],
                                initial_status=0,
                            ),
                        )
                    },
                    conversion_factors={power: slope},
                    normed_offsets={power: offset},
                )
                system.add(converter)
                converters[unit["name"]][mode["name"]] = (converter, bus)
    model = solph.Model(system)
    status = model.NonConvexFlowBlock.status
    rows = po.Block()
    model.add_component("by_hand", rows)
    rows.c = po.ConstraintList()
    for group in request["groups"]:
        rest = int(-(-group["min_down_minutes"] // minutes))
        for unit in group["units"]:
            on = [
                sum(status[converter, bus, t] for converter, bus in converters[unit["name"]].values())
                for t in range(steps)
            ]
            for t in range(steps):
                rows.c.add(on[t] <= 1)
                for gap_steps in range(1, rest):
                    if t - gap_steps - 1 >= 0:
                        # ran, stopped, and wants to run again before it has rested
                        rows.c.add(on[t - gap_steps - 1] - on[t - gap_steps] + on[t] <= 1)
    content = model.GenericStorageBlock.storage_content
    for key, flow in (("charge_limit_kw", (tank, storage)), ("discharge_limit_kw", (storage, heat))):
        for (x0, y0), (x1, y1) in zip(store[key], store[key][1:], strict=False):
            slope = (y1 - y0) / (x1 - x0)
            if slope:
                for t in range(steps):
                    rows.c.add(model.flow[(*flow, t)] <= y0 + slope * (content[storage, t] - x0))
    rows.c.add(content[storage, steps] >= store["terminal"]["target_kwh"])
    built = now_s()
    solver = Highs()
    solver.config.load_solution = False
    solver.config.time_limit = limit_s
    solver.highs_options = {"mip_rel_gap": gap}
    found = solver.solve(model)
    found.solution_loader.load_vars()
    solved = now_s()

    def flow_kw(first: object, last: object) -> list[float]:
        return [max(0.0, po.value(model.flow[first, last, t])) for t in range(steps)]

    modes: dict[str, list[str | None]] = {}
    loads: dict[str, list[float]] = {}
    for name, of_unit in converters.items():
        modes[name], loads[name] = [None] * steps, [0.0] * steps
        for mode, (converter, bus) in of_unit.items():
            kw = flow_kw(converter, bus)
            for t in range(steps):
                if round(po.value(status[converter, bus, t])) == 1:
                    modes[name][t], loads[name][t] = mode, kw[t]
    Path(sys.argv[2]).write_text(
        json.dumps(
            {
                "modes": modes,
                "loads_kw": loads,
                "charge_kw": {store["name"]: flow_kw(tank, storage)},
                "discharge_kw": {store["name"]: flow_kw(storage, heat)},
                "build_s": built - begin,
                "solve_s": solved - built,
                "objective_cny": po.value(model.objective),
                "status": str(found.termination_condition),
                "version": solph.__version__,
            }
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
