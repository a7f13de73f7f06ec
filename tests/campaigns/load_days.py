"""`make load-days`: a constant and a stepping load for a day, real control code and simulated plant in lockstep.

Printed for each day and power limit: the highest 15-minute mean of the plant's electricity by the plant's own meter
against the limit, and how far the supply was from its set-point (mean, 5 and 95 %, worst, once settled), with starts
and the heat charged. The meter tells its running demand in half of the runs, so that the guard can learn its windows;
in the others it does not, and every window is kept. Nothing is drawn at random but the sensors' noise: the same seed
gives the same table.
"""

import argparse
import asyncio
import importlib.util
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from drivers.sample import good
from edge_agent.control.controller import Controller
from edge_agent.settings.model import Limits
from hil_sim.plant.building import Building
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K

_PATH = Path(__file__).parents[1] / "system" / "lockstep.py"


def _lockstep() -> Any:
    """The lockstep of plant and control; tests are no package."""
    if "lockstep" in sys.modules:
        return sys.modules["lockstep"]
    spec = importlib.util.spec_from_file_location("lockstep", _PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["lockstep"] = module
    spec.loader.exec_module(module)
    return module


lockstep = _lockstep()
Slot = lockstep.Slot

START_UTC = datetime(2026, 1, 20, 8, 0, tzinfo=UTC)
"""16:00 in Beijing."""
SETTLED_H = 2.0
"""The plant begins with two units and a half-warm tank: errors count from here on [h]."""
WINDOW_S = 900
LOW_KW, HIGH_KW = 900.0, 1450.0
"""Heat loads of the step day; the constant day takes their middle."""

POWERS = {name: {"direct": 136.4, "charge": 159.4} for name in lockstep.CAPACITIES}
"""Electricity of a unit at full load. Source: config/performance/ground_600kw.yaml."""

Load = Callable[[datetime], float]


def constant_kw(_local: datetime) -> float:
    """The same all day."""
    return 0.5 * (LOW_KW + HIGH_KW)


def step_kw(local: datetime) -> float:
    """Steps up at 09:00, an hour before a peak, and down at 15:00, between two."""
    return HIGH_KW if 9 <= local.hour < 15 else LOW_KW


DAYS: dict[str, Load] = {"constant": constant_kw, "step": step_kw}


class SteadyLoad(Building):
    """A building that takes the heat it is told, whatever the supply: exchangers with their own regulation."""

    __slots__ = ("_load",)

    def __init__(self, load: Load, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._load = load

    def step(self, instant_s: float, step_s: float, *, outdoor_degc: float, supply_degc: float) -> None:
        """Takes the load of this instant."""
        super().step(instant_s, step_s, outdoor_degc=outdoor_degc, supply_degc=supply_degc)
        self.heat_kw = self._load(datetime.fromtimestamp(instant_s, UTC) + lockstep.LOCAL)
        self.return_degc = supply_degc - self.heat_kw / (HEAT_CAPACITY_KJ_PER_KG_K * self.flow_kg_per_s)


def planned(local: datetime) -> Any:
    """A plan for the middle load, on both days the same: charge in the valley, live on the tank in the peaks."""
    if local.hour >= 23 or local.hour < 7:
        units = dict.fromkeys(("hp1", "hp3"), ("direct", 590.0)) | dict.fromkeys(("hp2", "hp4"), ("charge", 558.0))
        return Slot(units, charge_kw=1116.0)
    if 10 <= local.hour < 13 or 17 <= local.hour < 22:
        return Slot({}, discharge_kw=1175.0)
    return Slot(dict.fromkeys(("hp1", "hp2", "hp3"), ("direct", 392.0)))


class Day(lockstep.Lockstep):  # type: ignore[misc, name-defined]
    """A day under a load and a contract; the meter may tell its running demand, as many do."""

    def __init__(
        self,
        load: Load,
        *,
        seed: int,
        contract_kw: float | None,
        tells: bool,
        start_utc: datetime = START_UTC,
        soft_kw: float | None = None,
    ) -> None:
        site = lockstep.site_file().model_copy(update={"limits": Limits(contract_demand_kw=contract_kw)})
        super().__init__(
            seed=seed,
            start_utc=start_utc,
            site=site,
            plan_for=lambda now_utc, _: lockstep.hand_plan(now_utc, planned),
        )
        self._settled_utc = start_utc + timedelta(hours=SETTLED_H)
        self.plant.building = SteadyLoad(load, seed=seed)
        self._tells = tells
        self._soft_kw = soft_kw
        self.window_kw: list[float] = []
        self.errors_k: list[float] = []
        self._window_kws = 0.0

    def _boot(self) -> Controller:
        return Controller(
            self.site,
            image=self.image,
            write=self._write,
            audit=self._audit,
            save_memory=self._save,
            memory=self.saved,
            capacities=lockstep.CAPACITIES,
            powers=POWERS,
        )

    def _outlook(self) -> Any:
        return replace(super()._outlook(), demand_kw=self._soft_kw)

    def _poll(self, device: str) -> None:
        super()._poll(device)
        if device == "em_main" and self._tells:
            self.image.put([good("em_main.demand_running", self.now_utc, self._window_kws / WINDOW_S, "kW")])

    def watch(self, _: Any) -> None:
        """Counts after each tick: electricity of the plant's own windows, error of the supply."""
        self._window_kws += self.plant.electric_kw * lockstep.TICK_S
        if (self.now_utc.timestamp() + lockstep.TICK_S) % WINDOW_S == 0:
            self.window_kw.append(self._window_kws / WINDOW_S)
            self._window_kws = 0.0
        if self.trace.setpoint_degc and self.now_utc >= self._settled_utc:
            self.errors_k.append(self.plant.supply_header.degc - self.trace.setpoint_degc[-1])


@dataclass(frozen=True, slots=True)
class Result:
    """A row of the table."""

    day: str
    contract_kw: float | None
    edges: str
    peak_kw: float
    over_count: int
    error_mean_k: float
    error_p5_k: float
    error_p95_k: float
    error_worst_k: float
    supply_min_degc: float
    starts: int
    charged_kwh: float
    violations: int
    notes: dict[str, int]


def play(
    day: str,
    *,
    contract_kw: float | None,
    tells: bool,
    seed: int,
    hours: float,
    start_utc: datetime = START_UTC,
    soft_kw: float | None = None,
    tank_degc: float | None = None,
) -> Result:
    """One day, or a part of it; a soft limit is a demand that is paid for anyway, and gives way to heat."""
    limit_kw = contract_kw if soft_kw is None else soft_kw
    run = Day(DAYS[day], seed=seed, contract_kw=contract_kw, tells=tells, start_utc=start_utc, soft_kw=soft_kw)
    if tank_degc is not None:
        run.plant.tank.layers_degc[:] = [tank_degc] * len(run.plant.tank.layers_degc)
    asyncio.run(run.run_async(hours, each_tick=run.watch))
    windows_kw = run.window_kw[1:]  # the first is not whole, and nothing was known of it
    parts = statistics.quantiles(run.errors_k, n=20)
    truth = run.truth()
    notes: dict[str, int] = {}
    for report in run.trace.reports:
        for note in report.notes:
            notes[note] = notes.get(note, 0) + 1
    return Result(
        day=day,
        contract_kw=contract_kw,
        edges="learned" if tells else "sliding",
        peak_kw=max(windows_kw),
        over_count=0 if limit_kw is None else sum(kw > limit_kw for kw in windows_kw),
        error_mean_k=statistics.fmean(run.errors_k),
        error_p5_k=parts[0],
        error_p95_k=parts[-1],
        error_worst_k=max(run.errors_k, key=abs),
        supply_min_degc=run.trace.supply_min_degc,
        starts=sum(unit.starts for unit in truth.units),
        charged_kwh=truth.heat_charged_kwh,
        violations=len(run.plant.checker.violations) + truth.protection_trips,
        notes=notes,
    )


def main() -> int:
    """Plays all, prints the table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, default=26.0)
    parser.add_argument("--contract", type=float, nargs="*", default=[600.0, 500.0])
    parser.add_argument("--day", choices=DAYS, nargs="*", default=list(DAYS))
    arguments = parser.parse_args()
    heads = "day, limit kW, windows, peak kW, over, error mean K, 5 %, 95 %, worst, supply min, starts, charged kWh"
    print(f"| {' | '.join(heads.split(', '))} |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    results = []
    for day in arguments.day:
        cases = [(None, False), *((kw, tells) for kw in arguments.contract for tells in (True, False))]
        for contract_kw, tells in cases:
            result = play(day, contract_kw=contract_kw, tells=tells, seed=arguments.seed, hours=arguments.hours)
            results.append(result)
            limit = "-" if contract_kw is None else f"{contract_kw:.0f}"
            edges = "-" if contract_kw is None else result.edges
            print(
                f"| {day} | {limit} | {edges} | {result.peak_kw:.0f} | {result.over_count} | {result.error_mean_k:+.2f}"
                f" | {result.error_p5_k:+.2f} | {result.error_p95_k:+.2f} | {result.error_worst_k:+.2f}"
                f" | {result.supply_min_degc:.1f} | {result.starts} | {result.charged_kwh:.0f} |",
                flush=True,
            )
    print(json.dumps([asdict(result) for result in results]))
    return 1 if any(result.over_count or result.violations for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
