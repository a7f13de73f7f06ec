"""`make fault-seeds`: every plant fault in lockstep, with many seeds: the same judge, no wires, no speed of a machine.

The real control code, by the rule alone, against the simulated plant: a run takes seconds and is the same each time. It
holds what depends on the plant and on the instant of the fault; what depends on wires, processes and time-outs is for
`make campaign`. Scenarios of clocks that jump and of a wrong tariff are left out, and named.

A run is good when the plant's own judge has counted nothing, the scenario's bounds are kept and its alarms were shown,
and every command came to an end. The last line is one JSON object; exit status 1 when a run failed.
"""

import argparse
import importlib.util
import json
import math
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

from drivers.sample import good
from edge_agent.control.orders import Order, OrderKind, Orders
from hil_sim.plant import faults
from hil_sim.scenario import Event, Scenario, load, names
from hil_sim.site import DEVICES

_PATH = Path(__file__).parents[1] / "system" / "lockstep.py"
if "lockstep" not in sys.modules:
    _SPEC = importlib.util.spec_from_file_location("lockstep", _PATH)  # tests are no package
    assert _SPEC is not None
    assert _SPEC.loader is not None
    sys.modules["lockstep"] = importlib.util.module_from_spec(_SPEC)
    _SPEC.loader.exec_module(sys.modules["lockstep"])
lockstep = sys.modules["lockstep"]

PREFIX = "plant-"
BEIJING = ZoneInfo("Asia/Shanghai")
PLAYED = frozenset({"plant_fault", "tariff_event", "order", "mute", "restart_server", "kill_agent"})
PlanFor = Callable[[datetime, Any], Any]
"""Makes the plan at an instant for a day."""
AWAITED_S = 1200.0
"""The effect of a command is awaited for at most so long: younger ones may be open when a run ends [site s]."""
SCORED = ("avoidable_kelvin_hours", "discomfort_kelvin_hours", "protection_trips", "supply_degc_min")
WIDTHS = (34, 5, 7, 7, 9, 6, 7, 9, 8)
HEAD = ("scenario", "seed", "T min", "K h", "starts", "trips", "broken", "commands", "verdict")


class Day(lockstep.Lockstep):  # type: ignore[misc, name-defined]
    """A scenario's plant under control; what its events say happens by the clock."""

    def __init__(self, scenario: Scenario, plan_for: PlanFor | None = None) -> None:
        start_utc = datetime.fromtimestamp(scenario.start_s(BEIJING), UTC)
        super().__init__(seed=scenario.seed, start_utc=start_utc, plan_for=plan_for)
        self._seed = scenario.seed
        events = scenario.events(BEIJING)
        self._waiting = [event for event in events if event.what not in ("tariff_event", "kill_agent")]
        self._hunts = [event for event in events if event.what == "kill_agent"]
        self._killed_in: set[str] = set()
        self._ends: list[tuple[float, Callable[[], None]]] = []
        self._given = Orders()
        self._calls = [
            (event.at_s, event.at_s + event.lasts_s, float(str(event.args["grid_kw_max"])))
            for event in events
            if event.what == "tariff_event"
        ]
        limits = self.plant.checker.limits
        self.plant.checker.limits = replace(limits, demand_response=(*limits.demand_response, *self._calls))

    def turn(self, _: Any) -> None:
        """Before each tick of the plant: what begins, what is over, and kills in the phases that are hunted for."""
        now_s = self.now_utc.timestamp()
        while self._waiting and self._waiting[0].at_s <= now_s:
            event = self._waiting.pop(0)
            self._ends.append((event.at_s + event.lasts_s, self._begin(event)))
        for over in [entry for entry in self._ends if entry[0] <= now_s]:
            self._ends.remove(over)
            over[1]()
        self.orders = self._given.now(self.now_utc)
        for hunt in [event for event in self._hunts if event.at_s <= now_s]:
            if now_s > hunt.at_s + float(str(hunt.args.get("within_s", math.inf))):
                self._hunts.remove(hunt)
            elif self._alive() and self._caught(hunt):
                self._hunts.remove(hunt)
                self.kill()

    def _begin(self, event: Event) -> Callable[[], None]:
        """Begins one event; returns what ends it."""
        if event.what == "order":
            self._order([str(word) for word in cast("Sequence[object]", event.args["argv"])])
            return lambda: None
        if event.what in ("mute", "restart_server"):
            members = {wired.name for wired in DEVICES if wired.bus == event.args["bus"]}
            self.silent |= members
            return lambda: self.silent.difference_update(members)
        args = {key: value for key, value in event.args.items() if key != "agent"}
        fault = faults.begin(self.plant, args, dice=random.Random(self._seed))
        dark = set(self.devices) if fault.devices_silent else set()
        self.silent |= dark
        if event.args.get("agent") == "dies":
            self.kill(event.lasts_s)

        def end() -> None:
            fault.end()
            self.silent -= dark

        return end

    def _order(self, argv: Sequence[str]) -> None:
        """As an operator types it: override KIND [SUBJECT] [--until 35min] ..."""
        kind, subject = OrderKind(argv[1]), None if argv[2].startswith("--") else argv[2]
        until_utc = self.now_utc
        if "--until" in argv:
            length = re.fullmatch(r"(\d+)(min|h)", argv[argv.index("--until") + 1])
            assert length is not None, argv
            until_utc += timedelta(minutes=int(length[1]) * (60 if length[2] == "h" else 1))
        order = Order(kind, subject, until_utc, by="campaign", reason="campaign", made_utc=self.now_utc)
        storage_of = {name: unit.storage for name, unit in self.site.units.items()}
        self._given = self._given.given(order, storage_of=storage_of)

    def _caught(self, hunt: Event) -> bool:
        """Whether a unit is in a phase in which the controller shall die; of several, in one that had no kill yet."""
        phases = hunt.args.get("phases", [hunt.args["phase"]] if "phase" in hunt.args else [])
        wanted = {str(phase) for phase in cast("Sequence[object]", phases)}
        if not wanted:
            return True
        fresh = wanted if len(wanted) == 1 else wanted - self._killed_in
        found = {str(unit.phase) for unit in self.controller.memory.units.values()} & fresh
        self._killed_in |= set(sorted(found)[:1])
        return bool(found)

    def _poll(self, device: str) -> None:
        super()._poll(device)
        if device == "hm_user" and device not in self.silent:
            # As on the wires, the heat meter shows its own temperatures beside the header's.
            names = ("supply_temperature", "return_temperature")
            self.image.put(
                [good(f"hm_user.{name}", self.now_utc, self.plant.quantity(device, name), "degC") for name in names]
            )

    def _outlook(self) -> Any:
        now_s = self.now_utc.timestamp()
        called_kw = min((kw for begin_s, end_s, kw in self._calls if begin_s <= now_s < end_s), default=None)
        return replace(super()._outlook(), event_kw=called_kw)


def play(name: str, seed: int) -> dict[str, Any]:
    """One scenario with one seed, and what was wrong with it."""
    scenario = load(name).changed(seed=seed)
    day = Day(scenario)
    day.run(scenario.days * 24.0, each_tick=day.turn)
    truth = day.truth()
    score: dict[str, Any] = {key: getattr(truth, key) for key in SCORED}
    score["agent_starts"] = 1 + day.trace.kills
    score["unit_starts_max"] = max(unit.starts for unit in truth.units)
    broken = [f"{violation.code}: {violation.text}" for violation in day.plant.checker.violations]
    missed = scenario.missed(score | {"alarms_seen": sorted(day.trace.alarms)})
    end_s = day.now_utc.timestamp()
    unfinished = [
        f"no end of {outcome.command.point} = {outcome.command.value}"
        for outcome in day.trace.unfinished().values()
        if outcome.instant_utc.timestamp() < end_s - AWAITED_S
    ]
    return {
        "scenario": name,
        "seed": seed,
        **{key: round(value, 4) for key, value in score.items()},
        "starts": "/".join(str(unit.starts) for unit in truth.units),
        "commands": len({outcome.number for outcome in day.trace.outcomes}),
        "alarms": sorted(day.trace.alarms),
        "broken": broken,
        "faults": [*broken, *missed, *unfinished],
    }


def _left_out(scenario: Scenario) -> list[str]:
    """Kinds of its events that are not played here."""
    return sorted({event.what for event in scenario.events(BEIJING)} - PLAYED)


def _row(cells: tuple[str, ...]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def _show(result: Mapping[str, Any]) -> None:
    cells = (
        result["scenario"],
        str(result["seed"]),
        f"{result['supply_degc_min']:.1f}",
        f"{result['discomfort_kelvin_hours']:.2f}",
        result["starts"],
        str(result["protection_trips"]),
        str(len(result["broken"])),
        str(result["commands"]),
        "FAILED" if result["faults"] else "good",
    )
    print(_row(cells), flush=True)
    for text in result["faults"]:
        print(f"    {text}", flush=True)


def main() -> int:
    """Plays all, prints the table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3, help="seeds per scenario")
    parser.add_argument("--seed", type=int, default=1, help="the first of them")
    parser.add_argument("--only", default="", help="only scenarios with this in their name")
    parser.add_argument("--parallel", type=int, choices=(1, 2, 3, 4), default=2)
    arguments = parser.parse_args()
    begin_s = time.monotonic()
    wanted = {name: load(name) for name in names() if name.startswith(PREFIX) and arguments.only in name}
    left_out = {name: what for name, scenario in wanted.items() if (what := _left_out(scenario))}
    seeds = range(arguments.seed, arguments.seed + arguments.count)
    print(_row(HEAD))
    results = []
    with ProcessPoolExecutor(max_workers=arguments.parallel) as pool:
        runs = [pool.submit(play, name, seed) for name in wanted if name not in left_out for seed in seeds]
        for run in as_completed(runs):
            results.append(run.result())
            _show(results[-1])
    for name, what in left_out.items():
        print(f"left out: {name} ({', '.join(what)})")
    failed = sorted(f"{result['scenario']} seed {result['seed']}" for result in results if result["faults"])
    alarms = Counter(code for result in results for code in result["alarms"])
    summary = {
        "target": "fault-seeds",
        "runs": len(results),
        "failed": len(failed),
        "failed_names": failed,
        "scenarios": len(wanted) - len(left_out),
        "left_out": sorted(left_out),
        "invariant_violations": sum(len(result["broken"]) for result in results),
        "avoidable_kelvin_hours": round(sum(result["avoidable_kelvin_hours"] for result in results), 4),
        "unit_starts_max": max((result["unit_starts_max"] for result in results), default=None),
        "commands": sum(result["commands"] for result in results),
        "runs_with_alarm": dict(sorted(alarms.items())),
        "seconds": round(time.monotonic() - begin_s, 1),
    }
    print(json.dumps(summary))
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
