"""A golden case as PyPSA sees it; run by `plan_peers.py` in a venv of its own.

    python pypsa_plan.py REQUEST.json OUT.json SECONDS GAP

What it cannot express and how that is met here: the power of a running unit is a constant plus a share of its output
(the line through the lowest and the full load), the constant paid as stand-by cost at the price of the hour; a unit
with two modes is two links, so "one mode at a time" and "a unit rests between two runs, whatever their modes" are rows
added to its linopy model by hand; a change of mode counts as a stop and a start; limits that depend on the charge are
rows by hand; the energy at the end is at least the target, instead of a price for each kWh too little.
"""

import json
import sys
from pathlib import Path
from time import perf_counter as now_s  # noqa: TID251 - runs where our clock is not

import numpy as np
import pandas as pd
import pypsa
import xarray as xr


def main() -> None:
    """Builds, solves, writes."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    limit_s, gap = float(sys.argv[3]), float(sys.argv[4])
    begin = now_s()
    minutes, steps = request["grid"]["step_minutes"], request["grid"]["steps"]
    hours = minutes / 60.0
    network = pypsa.Network()
    network.set_snapshots(pd.RangeIndex(steps))
    weightings = network.snapshot_weightings
    network.snapshot_weightings = pd.DataFrame(hours, index=weightings.index, columns=weightings.columns)
    (loop,), (store,), price = request["loops"], request["storages"], np.array(request["price_cny_per_kwh"])
    for bus in ("power", "heat", "in", "tank"):
        network.add("Bus", bus)
    network.add("Generator", "grid", bus="power", p_nom=1e5, marginal_cost=price)
    network.add("Load", "load", bus="heat", p_set=np.array(loop["load_kw"]))
    network.add("Generator", "unmet", bus="heat", p_nom=1e5, marginal_cost=loop["unmet_cny_per_kwh"])
    network.add("Generator", "dump", bus="heat", p_nom=1e5, sign=-1, marginal_cost=loop["dump_cny_per_kwh"])
    pumps = store["pump_kw_per_kw"] * price
    most_kw = {key: max(kw for _, kw in store[key]) for key in ("charge_limit_kw", "discharge_limit_kw")}
    network.add("Link", "charge", bus0="in", bus1="tank", p_nom=most_kw["charge_limit_kw"], marginal_cost=pumps)
    network.add("Link", "discharge", bus0="tank", bus1="heat", p_nom=most_kw["discharge_limit_kw"], marginal_cost=pumps)
    network.add("Link", "through", bus0="in", bus1="heat", p_nom=1e5)
    network.add(
        "Store",
        "store",
        bus="tank",
        e_nom=store["capacity_kwh"],
        e_initial=store["soc_kwh"],
        standing_loss=store["loss_fraction_per_h"],
    )
    units: dict[str, dict[str, tuple[str, float]]] = {}
    for group in request["groups"]:
        for unit in group["units"]:
            units[unit["name"]] = {}
            for mode in group["modes"]:
                low, full = mode["curve"][0], mode["curve"][-1]
                slope = (full[1] - low[1]) / ((full[0] - low[0]) * mode["capacity_kw"])
                constant_kw = full[1] - slope * full[0] * mode["capacity_kw"] + group["pump_kw"]
                name = f"{unit['name']} {mode['name']}"
                network.add(
                    "Link",
                    name,
                    bus0="power",
                    bus1="heat" if mode["storage"] is None else "in",
                    efficiency=1.0 / slope,
                    p_nom=slope * mode["capacity_kw"] * full[0],
                    p_min_pu=low[0] / full[0],
                    committable=True,
                    start_up_cost=group["start_cost_cny"],
                    stand_by_cost=constant_kw * price,
                    min_up_time=int(-(-group["min_up_minutes"] // minutes)),
                    up_time_before=0,
                    down_time_before=100,
                )
                units[unit["name"]][mode["name"]] = (name, 1.0 / slope)
    model = network.optimize.create_model()
    status, flow, energy = model["Link-status"], model["Link-p"], model["Store-e"]
    for group in request["groups"]:
        rest = int(-(-group["min_down_minutes"] // minutes))
        for unit in group["units"]:
            on = sum(status.sel(name=name) for name, _ in units[unit["name"]].values())
            model.add_constraints(on <= 1, name=f"one mode {unit['name']}")
            for gap_steps in range(1, rest):
                # ran, stopped, and wants to run again before it has rested
                row = on.shift(snapshot=gap_steps + 1) - on.shift(snapshot=gap_steps) + on
                model.add_constraints(row <= 1, name=f"rest {unit['name']} {gap_steps}")
    for key, link in (("charge_limit_kw", "charge"), ("discharge_limit_kw", "discharge")):
        for (x0, y0), (x1, y1) in zip(store[key], store[key][1:], strict=False):
            slope = (y1 - y0) / (x1 - x0)
            if slope:
                most = np.full(steps, y0 - slope * x0)
                most[0] += slope * store["soc_kwh"]
                row = flow.sel(name=link) - slope * energy.sel(name="store").shift(snapshot=1)
                model.add_constraints(
                    row <= xr.DataArray(most, coords={"snapshot": network.snapshots}), name=f"{link} from {x0}"
                )
    model.add_constraints(
        energy.sel(name="store").isel(snapshot=steps - 1) >= store["terminal"]["target_kwh"], name="end"
    )
    built = now_s()
    said = network.optimize.solve_model(
        solver_name="highs", solver_options={"time_limit": limit_s, "mip_rel_gap": gap, "output_flag": False}
    )
    solved = now_s()
    inputs = network.links_t.p0
    running = network.links_t.status

    def kw(link: str) -> list[float]:
        return [max(0.0, float(value)) for value in inputs[link]]

    modes: dict[str, list[str | None]] = {}
    loads: dict[str, list[float]] = {}
    for name, of_unit in units.items():
        modes[name], loads[name] = [None] * steps, [0.0] * steps
        for mode, (link, efficiency) in of_unit.items():
            taken = kw(link)
            for t in range(steps):
                if round(float(running[link].iloc[t])) == 1:
                    modes[name][t], loads[name][t] = mode, taken[t] * efficiency
    Path(sys.argv[2]).write_text(
        json.dumps(
            {
                "modes": modes,
                "loads_kw": loads,
                "charge_kw": {store["name"]: kw("charge")},
                "discharge_kw": {store["name"]: kw("discharge")},
                "build_s": built - begin,
                "solve_s": solved - built,
                "objective_cny": float(network.objective),
                "status": str(said[1]),
                "version": pypsa.__version__,
            }
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
