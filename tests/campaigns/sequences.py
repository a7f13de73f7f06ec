"""`make sequences`: one start and one stop of each kind of unit at 1x over real wires; a table of times, one JSON line.

The plant is `actuation-bench`: a unit that takes a capacity limit, one with three stages, one with a set-point only,
one on contacts. The agent is a process of its own. The tank is empty, and it is so cold that the agent starts three
units by itself; the one on contacts is started to charge by an operator's order (`override charge hp4`), and a second
order (`override stop`) stops all. Minimum times and proofs are shortened by configuration (SHORT, SHORT_UNIT,
SHORT_STAGES), and so are the limits by which the plant's checker judges; nothing else differs from the shipped
configuration.

Each step's time is taken from the wires: when a command reached its device, when a reading was served
(`hil_sim/sequence_times.py`). The audit must hold an end, and a good one, for every command. Exit status 1 when a step
was outside of what the configuration allows, a command had no good end, or the plant's checker saw a violation.
"""

import argparse
import asyncio
import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from edge_agent.clock import elapsed_s
from edge_agent.settings.load import load_configuration
from edge_agent.settings.model import SiteFile
from hil_sim.plant.unit import State, Unit
from hil_sim.plant.weather import Weather
from hil_sim.scenario import load
from hil_sim.sequence_times import Marks, Row, allowed_by, judge, wiring_of
from hil_sim.site import Site
from hil_sim.supervisor import Supervisor

PLANT = "actuation-bench"
STARTS = datetime(2027, 1, 13, 13, 30)  # noqa: DTZ001 - wall-clock time at the site
COLDER_K = -4.0
"""So much colder than that day: the load needs the three units that do not charge."""
TANK_DEGC = 41.0
"""An empty tank: nothing but units can carry the load."""
CHARGES = "hp4"
"""Charges by an operator's order, so that a way is opened by its valve before a start."""
SHORT = {
    "cycle_s": 2, "pump_proof_s": 20, "flow_proof_s": 20, "pump_lead_s": 20, "unit_start_s": 120, "ramp_watch_s": 60,
    "unit_stop_s": 120, "pump_overrun_s": 30, "stagger_s": 30, "stage_up_s": 60, "heartbeat_s": 20, "stale_s": 60,
    "handover_s": 30, "tank_rest_s": 30,
}  # fmt: skip
SHORT_UNIT = {"min_on_s": 150, "min_off_s": 60}
SHORT_STAGES = {"stage_up_s": 40, "stage_down_s": 20, "stage_proof_s": 30}
PERIODS_S = {"hp": 2, "io": 2, "em_hp": 10, "other": 20}
REST_SPEED = 60.0
REST_S = 420.0
"""Before the agent comes all units are stopped by hand and have stood this long [s, site]: longer than their own
anti-recycle timers."""
TEMPO_S = 1.0
WAIT_S_MAX = 900.0
"""Longest wall time for all starts, and for all stops."""
GOOD_ENDS = ("effected", "superseded")
"""The plant has followed, or a later command has taken its place, whose own end counts."""
ASK_S = 5.0
TELL_S = 30.0


class Failed(Exception):
    """The run could not be carried to its end."""


def main() -> int:
    """Plays, prints, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="leave the run folder there")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sequences-"))
    begun_s = elapsed_s()
    try:
        rows, facts = asyncio.run(_Run(folder, seed=arguments.seed).play())
    except Failed as fault:
        print(f"{fault}\n{(folder / 'agent.log').read_text(encoding='utf-8')[-2000:]}", file=sys.stderr)
        return 1
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    for line in table(rows):
        print(line)
    failed = [f"{row.unit}: {row.step}" for row in rows if not row.good]
    failed += [str(entry) for entry in (*facts["violations"], *facts["commands_without_a_good_end"])]
    summary = {
        "target": "sequences",
        "units": len({row.unit for row in rows}),
        "steps": len(rows),
        "failed": len(failed),
        "failed_names": failed,
        **facts,
        "speed": 1.0,
        "seed": arguments.seed,
        "seconds": round(elapsed_s() - begun_s, 1),
    }
    print(json.dumps(summary, ensure_ascii=False))
    return 1 if failed else 0


def table(rows: list[Row]) -> list[str]:
    """As Markdown, so that it can be pasted into docs/figures.md: steps down, units across, each with its bound."""
    units = list(dict.fromkeys(row.unit for row in rows))
    steps = list(dict.fromkeys(row.step for row in rows))
    found = {(row.unit, row.step): row for row in rows}
    lines = [f"| step [s] | configured | {' | '.join(units)} |", f"|---|---|{'---|' * len(units)}"]
    for step in steps:
        cells = []
        bound = ""
        for unit in units:
            row = found.get((unit, step))
            if row is None:
                cells.append("-")
                continue
            least = "" if row.least_s is None else f">= {row.least_s:g}"
            most = "" if row.most_s is None else f"<= {row.most_s:g}"
            bound = f"{least} {most}".strip() or "shown only"
            took = "not seen" if row.took_s is None else f"{row.took_s:.1f}"
            cells.append(took if row.good else f"{took} **!**")
        lines.append(f"| {step} | {bound} | {' | '.join(cells)} |")
    return lines


class _Run:
    """One run from the first wire to the table."""

    def __init__(self, folder: Path, *, seed: int) -> None:
        self.folder = folder
        scenario = replace(load("winter-day"), plant=PLANT, starts=STARTS, seed=seed, period_s=1.0, days=1.0)
        self.site = Site(scenario, folder=folder, wall_s=elapsed_s, compressed=False)
        self.site.end_s = float("inf")
        self.marks = Marks()
        self.agent: Supervisor | None = None

    async def play(self) -> tuple[list[Row], dict[str, Any]]:
        """Rests the plant, starts the agent, gives two orders, and judges."""
        site = self.site
        site.open()
        try:
            config = site.write_configuration(broker=("127.0.0.1", 9))
            self._shorten(config)
            configuration = load_configuration(config)
            async with asyncio.TaskGroup() as tasks:
                plant = tasks.create_task(site.run(lambda _truth: None), name="plant")
                try:
                    await self._rest()
                    self._listen()
                    self.agent = Supervisor(config=config, log_path=self.folder / "agent.log", wall_s=elapsed_s)
                    agent = tasks.create_task(self.agent.run(), name="agent")
                    await self._order("charge", config, CHARGES)
                    await self._until(self._all_run, "all units to run, all stages let in")
                    await self._order("stop", config)
                    await self._until(self._all_rest, "all units and pumps to stand")
                    await asyncio.sleep(2.0 * PERIODS_S["io"] + SHORT["cycle_s"])
                finally:
                    if self.agent is not None:
                        await self.agent.stop()
                        await agent
                    site.stop()
                    await plant
        except* Failed as found:
            raise found.exceptions[0] from found
        finally:
            site.close()
        self._hear_what_was_served()
        rows = judge(self.marks, wiring_of(configuration.site), allowed_by(configuration.site))
        return rows, self._facts(configuration.site)

    # ------------------------------------------------------------------------------------------------------ the plant

    def _shorten(self, config: Path) -> None:
        """Shorter times in the agent's files, and the same for the judge of the plant."""
        yaml = YAML()
        site = yaml.load(config / "site.yaml")
        site["control"].update(SHORT)
        for unit in site["units"].values():
            unit.update(SHORT_UNIT | (SHORT_STAGES if "stage_ratios" in unit else {}))
        yaml.dump(site, config / "site.yaml")
        devices = yaml.load(config / "devices.yaml")
        for name, device in devices["devices"].items():
            kind = next((prefix for prefix in ("em_hp", "hp", "io") if name.startswith(prefix)), "other")
            device["period_s"] = PERIODS_S[kind]
        yaml.dump(devices, config / "devices.yaml")
        limits = self.site.plant.checker.limits
        short = SHORT_UNIT | {key: SHORT[key] for key in ("stagger_s", "pump_lead_s", "pump_overrun_s")}
        self.site.plant.checker.limits = replace(limits, **{key: float(value) for key, value in short.items()})
        self.site.plant.step_s = TEMPO_S

    async def _rest(self) -> None:
        """A person has stopped all units, and their pumps after them; time goes quickly until they may start again."""
        site, plant = self.site, self.site.plant
        begun_s = site.clock.now_s()
        plant.weather = Weather(self.site.scenario.seed, shift_k=COLDER_K)
        site.clock.set_speed(REST_SPEED)
        while site.clock.now_s() < begun_s + REST_S:
            with site.lock:
                for unit, local, source, user in zip(
                    plant.units, plant.local, plant.source_pumps, plant.user_pumps, strict=True
                ):
                    local.touch(plant.instant_s)
                    unit.run_request = False
                    source.commanded = user.commanded = unit.compressor_on
            await asyncio.sleep(0.05)
        site.clock.set_speed(1.0)
        with site.lock:
            plant.tank.layers_degc[:] = [TANK_DEGC] * len(plant.tank.layers_degc)
            plant.checker.violations.clear()

    def _listen(self) -> None:
        """Notes every command that reaches the plant from now on."""
        take = self.site.plant.command

        def noted(device: str, name: str, value: float) -> None:
            take(device, name, value)
            self.marks.note((device, name), value, instant_s=self.site.clock.now_s())

        self.site.plant.command = noted  # type: ignore[method-assign]

    def _hear_what_was_served(self) -> None:
        """Every reading as it was served on the wires; a command's own register counts by its write."""
        written = set(self.marks.changes)
        for point, (instants_s, values) in self.site.log.served.items():
            if point not in written:
                for instant_s, value in zip(instants_s, values, strict=True):
                    self.marks.note(point, value, instant_s=instant_s)

    def _all_run(self) -> bool:
        plant = self.site.plant

        def ready(unit: Unit) -> bool:
            stages = len(unit.kind.stages)
            allowed = unit.stage_request == stages and (unit.stage == stages or not unit.kind.contacts)
            ran_s = plant.instant_s - unit.last_start_s
            return unit.state is State.RUNNING and ran_s > 60.0 and (not stages or allowed)

        return all(ready(unit) for unit in plant.units)

    def _all_rest(self) -> bool:
        plant = self.site.plant
        pumps = (*plant.source_pumps, *plant.user_pumps)
        return not any(unit.compressor_on for unit in plant.units) and not any(pump.running for pump in pumps)

    # ------------------------------------------------------------------------------------------------------ the agent

    async def _order(self, kind: str, config: Path, unit: str | None = None) -> None:
        """Gives an order as an operator does; again until the service takes it."""
        order = (
            "override",
            kind,
            *(() if unit is None else (unit,)),
            "--until",
            "2h",
            "--by",
            "sequences",
            "--reason",
            "timings",
            "--config",
            str(config),
        )
        end_s, said = elapsed_s() + 120.0, ""
        while elapsed_s() < end_s:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edge_agent", *order),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=os.environ | {"PYTHONSAFEPATH": "1"},
            )
            out, err = await process.communicate()
            if process.returncode == 0:
                return
            said = (out + err).decode(errors="replace").strip()
            await asyncio.sleep(ASK_S)
        raise Failed(f"override {kind}: {said}")

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        begun_s = told_s = elapsed_s()
        while elapsed_s() < begun_s + WAIT_S_MAX:
            with self.site.lock:
                if condition():
                    return
            if elapsed_s() > told_s + TELL_S:
                told_s = elapsed_s()
                states = ", ".join(f"{unit.name} {unit.state.name} {unit.stage}" for unit in self.site.plant.units)
                print(f"{told_s - begun_s:4.0f} s, waits for {what}: {states}", file=sys.stderr, flush=True)
            await asyncio.sleep(0.5)
        raise Failed(f"waited {WAIT_S_MAX:.0f} s for {what}: {self.site.plant.truth().units}")

    def _facts(self, site: SiteFile) -> dict[str, Any]:
        """What the audit and the plant's own judge say."""
        entries = _audit(site.storage_media.state_dir)
        ends: dict[int, str] = {}
        points: dict[int, str] = {}
        for entry in entries:
            if entry["number"] is None:
                continue  # an order, a change of mode: no command
            ends[entry["number"]] = entry["outcome"]
            points[entry["number"]] = f"{entry['point']} = {entry['wanted']}: {entry['outcome']} {entry['reason']}"
        bad = [points[number] for number, outcome in ends.items() if outcome not in GOOD_ENDS]
        return {
            "commands": len(ends),
            "outcomes": dict(Counter(ends.values())),
            "commands_without_a_good_end": bad,
            "violations": [violation.text for violation in self.site.plant.checker.violations],
        }


def _audit(state_dir: Path) -> list[dict[str, Any]]:
    """The audit's entries, oldest first."""
    path = next(state_dir.glob("**/state.db"))
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as base:
        return [json.loads(text) for (text,) in base.execute("SELECT entry FROM audit ORDER BY id")]


if __name__ == "__main__":
    sys.exit(main())
