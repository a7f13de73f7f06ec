"""Plays a scenario on a bench: wires, the agent as a separate process, faults that begin and end, the verdict.

The clock is held until the agent has asked every device; from then on the scenario's time runs. A run ends with its
time, or earlier, once every fault is over and every device that it touched is polled again.
"""

import asyncio
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from hil_sim import faults
from hil_sim.bench import Bench
from hil_sim.bus_score import (
    FaultWindow,
    asked_at_once_ratio,
    figures,
    judge_bus,
    polled_again,
    recovery_bound_s,
)
from hil_sim.scenario import Event, Scenario
from hil_sim.score import export_samples, judge_samples, read_export
from hil_sim.site import ZONE
from hil_sim.supervisor import AgentFailed, Supervisor

LOG = logging.getLogger(__name__)

LOOK_S: Final = 0.05
"""Events and ends are looked for this often [wall s]."""
FIRST_ROUND_S_MAX: Final = 45.0
"""Wall time in which the agent asks every device for the first time; a device that is silent on purpose is not."""
SETTLED_PERIODS: Final = 5.0
"""A run goes on for so many periods after the last device has recovered."""
RUN_PERIODS_MIN: Final = 8.0
"""No run is shorter than so many periods: too few intervals tell nothing."""
EXPORT_MARGIN_S: Final = 86_400.0


class BenchRunFailed(Exception):
    """The run could not be carried to its end; the message says why."""


class BenchPlay:
    """One run on a bench, from the first wire to the score.

    Attributes:
        folder: run folder: configuration, state, logs.
        kept: the folder is still there after the run.
        interrupted: somebody ended the run before its time.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        speed_ratio: float,
        keep: bool = False,
        wall_s: Callable[[], float],
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Prepares the bench; `run` plays.

        Args:
            scenario: what happens.
            speed_ratio: simulated seconds per wall second.
            keep: leave the run folder there also after a good run.
            wall_s: monotonic wall time [s].
            tell: is told in one line what happens when.

        Raises:
            SiteFault: no such bench.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="hil-sim-bench-"))
        self.scenario = scenario
        self.kept = True
        self.interrupted = False
        self.bench = Bench(scenario, folder=self.folder, wall_s=wall_s)
        self._speed_ratio = speed_ratio
        self._keep = keep
        self._wall_s = wall_s
        self._tell = tell
        self._ended = asyncio.Event()
        self._events = scenario.events(ZONE)
        at_first = {event.what for event in self._events if event.at_s <= self.bench.start_s}
        self._expected_at_first = () if at_first & {"unplug", "restart_server"} else tuple(self.bench.devices)
        self._windows: list[FaultWindow] = []
        self._muted: set[str] = set()
        self._stop_s = 0.0
        self._first_s = self.bench.start_s
        self._last_s = self.bench.start_s
        self.agent = Supervisor(config=self.bench.config, log_path=self.folder / "agent.log", wall_s=wall_s)

    def interrupt(self) -> None:
        """Ends the run now; what has happened so far is judged."""
        self.interrupted = True
        self._ended.set()

    async def run(self) -> dict[str, object]:
        """Plays the scenario and returns the score, with `failures` and `expectations_missed` added.

        Raises:
            BenchRunFailed: the agent does not run, or a port or terminal is not to be had.
        """
        begin_s = self._wall_s()
        try:
            self.bench.open()
            self.bench.write_configuration()
            await self._play()
            result = await self._judge()
        except OSError as error:
            raise BenchRunFailed(f"{type(error).__name__}: {error}") from error
        finally:
            await asyncio.to_thread(self.bench.close)
        result["wall_seconds"] = round(self._wall_s() - begin_s, 1)
        self.kept = self._keep or bool(result["failures"] or result["expectations_missed"])
        if not self.kept:
            shutil.rmtree(self.folder, ignore_errors=True)
        return result

    async def _play(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                agent = tasks.create_task(self.agent.run(), name="agent")
                events = tasks.create_task(self._play_events(), name="events")
                await self._until_end()
                self._last_s = self.bench.clock.now_s()
                events.cancel()
                stop_begin_s = self._wall_s()
                await self.agent.stop()
                await agent
                self._stop_s = self._wall_s() - stop_begin_s
        except* (AgentFailed, faults.FaultArgumentsWrong) as found:
            raise BenchRunFailed(str(found.exceptions[0])) from found

    # ------------------------------------------------------------------------------------------------------- the run
    async def _until_end(self) -> None:
        period_s = self.scenario.period_s
        settled_s: float | None = None
        while not self._ended.is_set():
            now_s = self.bench.clock.now_s()
            if now_s >= self.bench.end_s:
                return
            if self._settled():
                settled_s = settled_s or now_s
                if now_s >= max(settled_s + SETTLED_PERIODS * period_s, self._first_s + RUN_PERIODS_MIN * period_s):
                    return
            else:
                settled_s = None
            await asyncio.sleep(LOOK_S)

    def _settled(self) -> bool:
        """True when no fault is left to come, none lasts, and whom they touched is polled again."""
        log = self.bench.log
        return len(self._windows) == len(self._events) > 0 and all(
            window.end_s <= self.bench.clock.now_s() and polled_again(log, window.touched, since_s=window.end_s)
            for window in self._windows
        )

    async def _play_events(self) -> None:
        """Faults of the first instant, the first round of the agent, then one event after the other."""
        start_s = self.bench.start_s
        async with asyncio.TaskGroup() as tasks:
            for event in self._events:
                if event.at_s <= start_s:
                    tasks.create_task(self._lasting(event))
            await asyncio.sleep(0)
            await self._first_round()
            for event in self._events:
                if event.at_s > start_s:
                    await self._reach(event.at_s)
                    if event.what == "kill_agent":
                        self._kill()
                    else:
                        tasks.create_task(self._lasting(event))

    async def _first_round(self) -> None:
        """Waits, with time held, until every device has been asked."""
        begin_s = self._wall_s()
        log = self.bench.log
        while not all(device in log.last_request_s for device in self._expected_at_first):
            if self._wall_s() - begin_s > FIRST_ROUND_S_MAX:
                LOG.warning("not every device was asked within limit_s=%.0f", FIRST_ROUND_S_MAX)
                break
            await asyncio.sleep(LOOK_S)
        self.bench.clock.set_speed(self._speed_ratio)
        self._first_s = self.bench.clock.now_s()
        self._tell_now("time runs")

    async def _lasting(self, event: Event) -> None:
        """One fault from its begin to its end; it ends also when the run does."""
        clock = self.bench.clock
        begin_s = clock.now_s()
        running = await asyncio.to_thread(faults.begin, event, self.bench, seed=self.scenario.seed)
        end_s = faults.ends_at_s(event, end_s=self.bench.end_s)
        place = len(self._windows)
        self._windows.append(FaultWindow(begin_s, end_s, running.touched))
        if event.what == "mute":
            self._muted |= running.touched
        self._tell_now(f"{event.what} begins: {', '.join(sorted(running.touched))}")
        try:
            await self._reach(end_s)
        finally:
            await asyncio.to_thread(running.end)
            self._windows[place] = FaultWindow(begin_s, max(begin_s, min(end_s, clock.now_s())), running.touched)
            self._tell_now(f"{event.what} is over")

    def _kill(self) -> None:
        now_s = self.bench.clock.now_s()
        self.agent.kill()
        self._windows.append(FaultWindow(now_s, now_s, frozenset(self.bench.devices)))
        self._tell_now("agent killed")

    async def _reach(self, instant_s: float) -> None:
        while self.bench.clock.now_s() < instant_s:  # noqa: ASYNC110 - a clock tells nobody when it gets there
            await asyncio.sleep(LOOK_S)

    def _tell_now(self, what: str) -> None:
        self._tell(f"{self.bench.clock.now_s() - self.bench.start_s:7.1f} s  {what}")

    # ------------------------------------------------------------------------------------------------------ judgement
    async def _judge(self) -> dict[str, object]:
        bench, scenario = self.bench, self.scenario
        target = self.folder / "export.csv"
        first_s, last_s = bench.start_s - EXPORT_MARGIN_S, bench.clock.now_s() + EXPORT_MARGIN_S
        status = await export_samples(config=bench.config, first_s=first_s, last_s=last_s, target=target)
        if status:
            raise BenchRunFailed(f"export failed with status {status}: {target.with_suffix('.err')}")
        with target.open(encoding="utf-8", newline="") as lines:
            samples = list(read_export(lines))
        values = judge_samples(samples, promised=self.agent.promised, log=bench.log)
        verdict = judge_bus(
            samples,
            log=bench.log,
            periods_s=dict.fromkeys(bench.devices, scenario.period_s),
            faults=self._windows,
            first_s=self._first_s,
            last_s=self._last_s,
            holds=bench.holds,
        )
        # All dead units of a bus together may take a twentieth of it: each of several waits for the others' probes.
        dead = Counter(bench.bus_of(device) for device in self._muted)
        bounds_s = {
            device: recovery_bound_s(miss_s=bench.miss_s(bus) * max(1, dead[bus]), period_s=scenario.period_s)
            for device in bench.devices
            for bus in (bench.bus_of(device),)
        }
        lines_seen = {name: asdict(line.statistics) for name, line in bench.lines.items()}
        result: dict[str, object] = {
            "scenario": scenario.name,
            "seed": scenario.seed,
            "run_seconds": round(self._last_s - self._first_s, 1),
            "samples_accepted": values.accepted,
            "samples_lost": len(values.lost_frames),
            "wrong_values": values.wrong_count,
            "wrong_values_first": list(values.wrong),
            **figures(verdict, bounds_s=bounds_s),
            "write_frames": bench.log.write_frames(),
            "gap_violations": sum(line["gap_violations"] for line in lines_seen.values()),
            "requests_ignored": sum(line["ignored"] for line in lines_seen.values()),
            "crc_errors": sum(line["crc_errors"] for line in lines_seen.values()),
            "late_answers": sum(line["late"] for line in lines_seen.values()),
            "tcp_connections": sum(net.statistics.connections for net in bench.nets.values()),
            "tcp_clients_most": max((net.statistics.clients_most for net in bench.nets.values()), default=0),
            "simulator_failures": sum(line["failures"] for line in lines_seen.values()),
            "lines": lines_seen,
            "requests": {device: len(bench.log.asked_s[device]) for device in sorted(bench.devices)},
            "asked_at_once_ratio": round(
                asked_at_once_ratio(bench.log, bench.devices, first_s=self._first_s, window_s=scenario.period_s / 10),
                3,
            ),
            "stop_seconds": round(self._stop_s, 2),
            "agent_starts": self.agent.starts,
            "agent_errors": agent_errors(self.folder / "agent.log"),
        }
        result["failures"] = failures(result)
        result["expectations_missed"] = scenario.missed(result)
        return result


ZERO_OR_FAILED: Final = (
    "samples_lost",
    "wrong_values",
    "stale_values",
    "write_frames",
    "simulator_failures",
    "crc_errors",
)
EMPTY_OR_FAILED: Final = ("periods_broken", "outcome_gaps", "recovered_late", "agent_errors")
PERIOD_OFF_RATIO_MAX: Final = 0.10
"""Farthest that the mean interval of a unit without a fault may be from its period, as a share of it."""


def failures(result: Mapping[str, object]) -> list[str]:
    """Why a run on a bench has failed, whatever its scenario says besides."""
    found = [f"{key} = {result[key]}" for key in ZERO_OR_FAILED if result[key]]
    found += [f"{key}: {result[key]}" for key in EMPTY_OR_FAILED if result[key]]
    off_ratio = result["periods_off_ratio_max"]
    if isinstance(off_ratio, float) and off_ratio > PERIOD_OFF_RATIO_MAX:
        found.append(f"periods_off_ratio_max = {off_ratio}: {result['periods']}")
    if not result["samples_accepted"]:
        found.append("no sample was accepted")
    return found


def agent_errors(log_path: Path) -> list[str]:
    """Lines of the agent's log that tell of an error of its own: a traceback, or something logged as ERROR."""
    lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines() if log_path.exists() else []
    return [line for line in lines if " ERROR " in line or line.startswith("Traceback")][:20]
