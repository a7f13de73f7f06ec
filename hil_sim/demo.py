"""Plays a scenario: simulated site, the agent as a separate process beside it, governor of time, events, the end.

Order at the end: the plant stops counting, the uplinks may drain, the agent is stopped, its export is judged. Here the
parts are put together; what they do lies in `site`, `supervisor`, `score` and `show`.
"""

import asyncio
import logging
import shutil
import signal
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final

from edge_agent.errors import EdgeAgentError
from edge_agent.local_api import ask
from edge_agent.texts.catalogue import text
from hil_sim.faults import FaultArgumentsWrong
from hil_sim.happenings import Happenings
from hil_sim.plant.faults import PlantFaultWrong
from hil_sim.plant.truth import Truth, UnitTruth
from hil_sim.scenario import Scenario
from hil_sim.score import (
    BAND_CNY_PER_KWH,
    Run,
    SampleVerdict,
    Tally,
    band_of,
    bands_between,
    export_samples,
    failures,
    judge_records,
    judge_samples,
    judge_values,
    periods_due,
    read_export,
    score,
)
from hil_sim.show import WORDS, Event, PlanStep, Snapshot, Tone, UnitView, Uploads
from hil_sim.site import (
    DEVICES,
    TRUE_LINE_SPEED_MAX,
    Governor,
    Platform,
    Site,
    asked_since_s,
    lateness_ratio,
    open_platform,
)
from hil_sim.supervisor import AgentFailed, Supervisor

LOG = logging.getLogger(__name__)

GOVERN_S: Final = 0.05
"""The governor looks this often [wall s]."""
STATUS_S: Final = 0.7
"""The agent is asked for its status this often [wall s]."""
PICTURE_S: Final = 0.25
"""A new picture this often [wall s]."""
DRAIN_S_MAX: Final = 60.0
"""The uplinks may drain for at most this wall time after the plant has stopped."""
DRAIN_SPEED_MAX: Final = 60.0
"""Time runs on while they drain, but not so fast that many more records come due."""
STORE_GIVEN_UP_S: Final = 20.0
"""Wall time without a frame after which the agent's store counts as refusing, not as slow."""
VOLATILE: Final = frozenset({"heartbeat", "valve_discharge"})
"""Written all the time by design, into RAM: a sign of life, the position of a control valve. All else may wear."""
UNKNOWN_WITH_A_WRONG_CLOCK: Final = ("wrong_values", "records_lost", "record_values_wrong")
"""What cannot be judged when the agent's instants are not those of the wires."""
PANEL_GRACE_S: Final = 1200.0
"""A panel's watchdog and the agent's own start have passed by then: who is still not heard does not speak [site s]."""
EVENTS_KEPT: Final = 200
PLAN_HOURS_SHOWN: Final = 24
SLOW_TOLD_S: Final = 30.0
"""A slow-down is told at most this often [wall s]."""


class RunFailed(Exception):
    """The run could not be carried to its end; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a scenario is to be played.

    Attributes:
        scenario: what happens.
        speed_ratio: simulated seconds per wall second.
        broker: host and port of a foreign broker; None: the embedded one.
        keep: leave the run folder there also after a good run.
        verb: name of the command, for the folder.
        agent: program and arguments that are run in place of `python -m edge_agent`; empty: that.
    """

    scenario: Scenario
    speed_ratio: float
    broker: tuple[str, int] | None = None
    keep: bool = False
    verb: str = "run"
    agent: tuple[str, ...] = ()


class Play:
    """One run from the first wire to the score.

    Attributes:
        folder: run folder: configuration, state, logs.
        kept: the folder is still there after the run.
        interrupted: somebody ended the run before its time.
        events: what happened, in the order of time.
        status: the agent's last answer; empty while it does not answer.
        happenings: what the scenario lets happen.
        alarms_seen: alarms that the agent has shown, `code device`, and when first [s since 1970 UTC].
        modes_seen: modes that it has been in, in the order of time.
        panel_takeovers: units whose watchdog has run out although the agent lived.
        on_picture: called every PICTURE_S while the site runs.
    """

    def __init__(self, options: Options, *, wall_s: Callable[[], float]) -> None:
        """Prepares the site; `run` plays.

        Args:
            options: what to play and how.
            wall_s: monotonic wall time [s].
        """
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix=f"hil-sim-{options.verb}-"))
        self.site = Site(
            options.scenario, folder=self.folder, wall_s=wall_s, compressed=options.speed_ratio > TRUE_LINE_SPEED_MAX
        )
        self.tally = Tally(zone=self.site.zone)
        self.governor = Governor(wanted_ratio=options.speed_ratio)
        self.agent = Supervisor(
            config=self.site.config,
            log_path=self.folder / "agent.log",
            wall_s=wall_s,
            report=self._agent_event,
            on_promise=self._promised,
            command=(*options.agent, "run", "--config", str(self.site.config)) if options.agent else None,
        )
        self.happenings = Happenings(self.site, self.agent, tell=self.tell)
        self.alarms_seen: dict[str, float] = {}
        self.modes_seen: list[str] = []
        self.panel_takeovers: list[str] = []
        self._panels: dict[str, bool] = {}
        self.events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self.status: Mapping[str, object] = {}
        self.interrupted = False
        self.kept = True
        self.on_picture: Callable[[], None] = lambda: None
        self._wall_s = wall_s
        self._platform: Platform | None = None
        self._agent_since_s = self.site.start_s
        self._ran_from: tuple[float, float] | None = None  # wall, simulated: when time was first let run
        self._ended_wall_s: float | None = None
        self._ended = asyncio.Event()
        self._plans_before: Counter[str] = Counter()  # of processes that have died: each counts from nothing
        self._plans_now: Counter[str] = Counter()
        self._plan_seconds_median: float | None = None
        self._unit_states: dict[str, tuple[str, str]] = {}
        self._band = ""
        self._violations_told = 0
        self._slow_told_s = float("-inf")
        self._last_frame: tuple[float, float] | None = None  # simulated, wall: when a frame was promised last
        self._on_truth(self.site.plant.truth())

    # ------------------------------------------------------------------------------------------------- the whole run
    async def run(self) -> dict[str, object]:
        """Plays the scenario and returns the score, with `failures` and `expectations_missed` added.

        Raises:
            RunFailed: the agent does not run, or a port is not to be had.
        """
        try:
            self.site.open()
            async with open_platform(broker=self.options.broker) as self._platform:
                self.site.write_configuration(broker=self._platform.address)
                await self._play()
                result = await self._judge()
        except OSError as error:
            raise RunFailed(f"{type(error).__name__}: {error}") from error
        finally:
            self.site.close()
        self.kept = self.options.keep or bool(result["failures"] or result["expectations_missed"])
        if not self.kept:
            shutil.rmtree(self.folder, ignore_errors=True)
        return result

    def interrupt(self) -> None:
        """Ends the run now; what has been simulated so far is judged."""
        self.interrupted = True
        with self.site.lock:
            self.site.end_s = min(self.site.end_s, self.site.plant.instant_s)
        self._end()

    async def _play(self) -> None:
        """Lets the site and the agent live until the end of the scenario, then lets the uplinks drain."""
        try:
            async with asyncio.TaskGroup() as tasks:
                plant = tasks.create_task(self.site.run(self._on_truth), name="plant")
                agent = tasks.create_task(self.agent.run(), name="agent")
                others = [
                    tasks.create_task(self._govern(), name="governor"),
                    tasks.create_task(self.happenings.play(), name="events"),
                    tasks.create_task(self._poll_status(), name="status"),
                    tasks.create_task(self._draw(), name="picture"),
                ]
                await self._ended.wait()
                await self._drain()
                for task in others:
                    task.cancel()
                await self.agent.stop()
                self.site.stop()
                await asyncio.gather(plant, agent)
        except* (AgentFailed, FaultArgumentsWrong, PlantFaultWrong) as found:
            raise RunFailed(str(found.exceptions[0])) from found

    def _end(self) -> None:
        if self._ended_wall_s is None:
            self._ended_wall_s = self._wall_s()
            self._ended.set()

    def _on_truth(self, truth: Truth) -> None:
        if truth.instant_s > self.site.end_s + self.site.plant.step_s / 2.0:
            return  # the plant lives on while the uplinks drain, but it no longer counts
        self.tally.add(truth)
        self._watch(truth)
        if truth.instant_s >= self.site.end_s - self.site.plant.step_s / 2.0:
            self._end()

    async def _govern(self) -> None:
        """Keeps simulated time as fast as the agent can follow."""
        clock = self.site.clock
        period_s = {wired.name: self.site.period_s(wired.name) for wired in DEVICES}
        everything = frozenset(period_s)
        while True:
            now_s = clock.now_s()
            silent = self.happenings.silent
            late_before = self.governor.late
            speed_ratio = self.governor.next_speed(
                clock.speed_ratio,
                lateness_ratio=max(
                    lateness_ratio(self.site.log, now_s=now_s, period_s=period_s, silent=silent),
                    self._frame_lateness_ratio(now_s) if silent != everything else 0.0,
                ),
                agent_up_s=self.agent.up_s(),
                agent_since_s=self._agent_since_s,
                asked_since_s=asked_since_s(self.site.log, silent=silent),
            )
            if self.agent.held:
                speed_ratio = self.options.speed_ratio  # nobody is there who could fall behind
            speed_ratio = min(speed_ratio, self.happenings.speed_max_ratio)
            if self._ended_wall_s is not None:
                speed_ratio = min(speed_ratio, DRAIN_SPEED_MAX)
            clock.set_speed(speed_ratio)
            if self.governor.agent_up and self._ran_from is None:
                self._ran_from = (self._wall_s(), now_s)
            if self.governor.late and not late_before and self._wall_s() - self._slow_told_s > SLOW_TOLD_S:
                self._slow_told_s = self._wall_s()
                self.tell("仿真放慢: 控制器跟不上", "simulated time slowed: the agent falls behind", tone="warn")
            await asyncio.sleep(GOVERN_S)

    def _promised(self) -> None:
        self._last_frame = (self.site.clock.now_s(), self._wall_s())

    def _frame_lateness_ratio(self, now_s: float) -> float:
        """Age of the last frame over its period: a disk that stalls for a second costs the agent minutes of site time.

        An agent that has promised nothing for STORE_GIVEN_UP_S is not slow: its store refuses, and time goes on.
        """
        if self._last_frame is None or self._wall_s() - self._last_frame[1] > STORE_GIVEN_UP_S:
            return 0.0
        return (now_s - self._last_frame[0]) / self.site.frame_period_s

    async def _poll_status(self) -> None:
        """Asks the agent over its local socket; while it is not there, the last answer is forgotten."""
        while True:
            try:
                self.status = await asyncio.to_thread(ask, self.site.state_dir, "status")
            except (EdgeAgentError, ValueError):
                self.status = {}
            else:
                self._note_plans()
                self._note_state()
            await asyncio.sleep(STATUS_S)

    async def _draw(self) -> None:
        while True:
            self.on_picture()
            await asyncio.sleep(PICTURE_S)

    async def _drain(self) -> None:
        """Waits until the platform holds every record that is due, at most DRAIN_S_MAX."""
        due = self._due()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S_MAX):
                while not self._held().issuperset(due):  # noqa: ASYNC110 - the platform has no event
                    await asyncio.sleep(GOVERN_S)

    # ------------------------------------------------------------------------------------------------------ judgement
    async def _judge(self) -> dict[str, object]:
        site = self.site
        target = self.folder / "export.csv"
        first_s, last_s = site.start_s - 86_400.0, site.clock.now_s() + 86_400.0
        status = await export_samples(config=site.config, first_s=first_s, last_s=last_s, target=target)
        samples = await asyncio.to_thread(self._judge_export, target) if status == 0 else None
        if samples is None:
            LOG.error("export failed status=%d log=%s", status, target.with_suffix(".err"))
        with site.lock:
            violations = [
                f"{datetime.fromtimestamp(violation.instant_s, site.zone):%m-%d %H:%M:%S} {violation.text}"
                for violation in site.plant.checker.violations
                if violation.instant_s <= site.end_s
            ]
        ended_s = self.tally.last.instant_s if self.tally.last is not None else site.start_s
        from_wall_s, from_s = self._ran_from or (self._ended_wall_s or 0.0, ended_s)
        run = Run(
            seed=self.options.scenario.seed,
            sim_s=ended_s - site.start_s,
            counted_sim_s=ended_s - from_s,
            wall_s=(self._ended_wall_s or from_wall_s) - from_wall_s,
            speed_wanted_ratio=self.options.speed_ratio,
            slowdowns=self.governor.slowdowns,
            agent_starts=self.agent.starts,
            baud=site.baud,
            plans=self._plans() or None,
            plan_seconds_median=self._plan_seconds_median,
        )
        assert self._platform is not None
        receiver = self._platform.receiver
        records = judge_records(due=self._due(), held=self._held(), duplicated=receiver.duplicates)
        reported = judge_values(
            [(entry.point, entry.code, entry.aggregate) for entry in site.reported],
            due=self._due(),
            period_s=60.0 * site.uplink_period_min,
            readings=receiver.readings,
            log=site.log,
        )
        result = score(
            run, tally=self.tally, violations=violations, samples=samples, records=records, reported=reported
        )
        clock_wrong = self.happenings.clock_was_wrong
        broken = failures(result, unknown=UNKNOWN_WITH_A_WRONG_CLOCK if clock_wrong else ())
        broken += [f"watchdog: {text}" for text in self.panel_takeovers]
        broken += [order.fault for order in self.happenings.orders if order.fault is not None]
        for name in ("altered", "contradictions", "malformed"):
            if count := getattr(receiver, name):
                broken.append(f"platform: {name} = {count}")
        written = {
            f"{name}.{command}": count
            for name, device in site.devices.items()
            for command, count in device.writes.items()
            if command not in VOLATILE
        }
        result["write_frames"] = site.log.write_frames()
        result["writes_per_register_max"] = max(written.values(), default=0)
        result["writes"] = dict(sorted(written.items()))
        result["alarms_seen"] = sorted(self.alarms_seen)
        result["modes_seen"] = self.modes_seen
        result["panel_takeovers"] = self.panel_takeovers
        result["orders"] = [asdict(order) for order in self.happenings.orders]
        result["failures"] = broken
        result["expectations_missed"] = self.options.scenario.missed(result)
        result["scenario"] = self.options.scenario.name
        return result

    def _judge_export(self, target: Path) -> SampleVerdict:
        with target.open(encoding="utf-8", newline="") as lines:
            return judge_samples(read_export(lines), promised=self.agent.promised, log=self.site.log)

    def _due(self) -> list[datetime]:
        site = self.site
        end_s = min(site.end_s, self.tally.last.instant_s if self.tally.last is not None else site.start_s)
        return periods_due(start_s=site.start_s, end_s=end_s + 0.5, period_min=site.uplink_period_min)

    def _held(self) -> set[datetime]:
        return self._platform.receiver.held_periods() if self._platform is not None else set()

    def _note_state(self) -> None:
        """Remembers which alarms and modes the agent has shown."""
        alarms = self.status.get("alarms")
        for alarm in alarms if isinstance(alarms, list) else []:
            self.alarms_seen.setdefault(f"{alarm.get('code')} {alarm.get('device')}", self.site.clock.now_s())
        mode = self.status.get("mode")
        if isinstance(mode, str) and self.modes_seen[-1:] != [mode]:
            self.modes_seen.append(mode)

    def _note_plans(self) -> None:
        """Remembers how many plans the present process has made: the count goes with it when it is killed."""
        counts = self.status.get("plans_by_method")
        if isinstance(counts, Mapping):
            self._plans_now = Counter({str(name): int(count) for name, count in counts.items()})
        median = self.status.get("plan_seconds_median")
        if isinstance(median, int | float):
            self._plan_seconds_median = float(median)

    def _plans(self) -> dict[str, int]:
        return dict(self._plans_before + self._plans_now)

    # --------------------------------------------------------------------------------------------------------- events
    def tell(self, zh: str, en: str, *, tone: Tone = "plain") -> None:
        """Notes an event of this instant."""
        now = datetime.fromtimestamp(self.site.clock.now_s(), self.site.zone)
        self.events.append(Event(now, zh, en, tone))

    def _agent_event(self, what: str, facts: Mapping[str, object]) -> None:
        if what == "agent_started":
            self._agent_since_s = self.site.clock.now_s()
            self._plans_before += self._plans_now
            self._plans_now = Counter()
            start = facts["start"]
            if start == 1:
                self.tell("控制器启动", "agent started", tone="good")
            else:
                self.tell(f"控制器重新启动(第 {start} 次)", f"agent started again (start {start})", tone="good")
        elif what == "agent_killed":
            self.tell("控制器被强行终止 (kill -9)", "agent killed (kill -9)", tone="bad")
        elif facts["status"] != -signal.SIGKILL:
            self.tell(f"控制器退出,状态 {facts['status']}", f"agent ended, status {facts['status']}", tone="bad")

    def _watch(self, truth: Truth) -> None:
        """Notes what a visitor would want to be told: bands, units, violations."""
        band = band_of(datetime.fromtimestamp(truth.instant_s, self.site.zone))
        if band != self._band:
            if self._band:
                price = BAND_CNY_PER_KWH[band]
                zh, en = WORDS[band]
                self.tell(f"进入{zh}段,电价 {price:.4f} 元/kWh", f"{en} band begins, {price:.4f} CNY/kWh")
            self._band = band
        for unit in truth.units:
            before = self._unit_states.get(unit.name)
            mode = unit.mode if unit.mode in WORDS else ""
            now = (unit.state, mode)
            self._unit_states[unit.name] = now
            if before is None or before == now:
                continue
            tone: Tone = "bad" if unit.state == "tripped" else "plain"
            (state_zh, state_en), (mode_zh, mode_en) = (
                WORDS.get(unit.state, (unit.state,) * 2),
                WORDS.get(mode, ("", "")),
            )
            self.tell(
                f"{unit.name} {state_zh}{mode_zh and ',' + mode_zh}",
                f"{unit.name} {state_en} {mode_en}".rstrip(),
                tone=tone,
            )
        self._watch_panels(truth.instant_s)
        violations = self.site.plant.checker.violations
        for violation in violations[self._violations_told :]:
            self.tell(f"越限: {violation.text}", f"violation: {violation.text}", tone="bad")
        self._violations_told = len(violations)

    def _watch_panels(self, instant_s: float) -> None:
        """Notes a unit's panel whose watchdog runs out although the agent lives, is in auto and can reach the unit."""
        plant = self.site.plant
        here = self.agent.running and instant_s - self._agent_since_s > PANEL_GRACE_S
        for unit, local in zip(plant.units, plant.local, strict=True):
            before = self._panels.get(unit.name, True)
            self._panels[unit.name] = local.active
            if before or not local.active or local.selected_s is not None or not here:
                continue
            if self.status.get("mode") == "auto" and unit.name not in {*plant.impaired, *self.happenings.silent}:
                when = datetime.fromtimestamp(instant_s, self.site.zone)
                self.panel_takeovers.append(
                    f"{when:%m-%d %H:%M:%S} {unit.name}: its panel took over from a living agent"
                )
                self.tell(f"{unit.name} 面板接管", f"panel of {unit.name} takes over", tone="bad")

    # -------------------------------------------------------------------------------------------------------- picture
    def snapshot(self) -> Snapshot:
        """Everything that the picture shows, at this instant."""
        site, truth, status = self.site, self.tally.last, self.status
        assert truth is not None
        now = datetime.fromtimestamp(site.clock.now_s(), site.zone)
        bands = bands_between(now, now + timedelta(hours=PLAN_HOURS_SHOWN + 1))
        usable_kwh = site.tank_capacity_kwh
        plan = status.get("plan")
        steps = plan_steps(plan, zone=site.zone) if isinstance(plan, Mapping) else ()
        due = self._due()
        held = self._held()
        mode = status.get("mode")
        return Snapshot(
            title_zh=f"{self.options.scenario.title_zh} · {site.scenario.plant}",
            title_en=f"{self.options.scenario.title_en} · {site.scenario.plant}",
            now=now,
            started=datetime.fromtimestamp(site.start_s, site.zone),
            ends=datetime.fromtimestamp(site.end_s, site.zone),
            speed_ratio=site.clock.speed_ratio,
            speed_wanted_ratio=self.options.speed_ratio,
            slow_reason_zh="" if not self.governor.agent_up else "控制器跟不上" if self.governor.late else "",
            slow_reason_en="" if not self.governor.agent_up else "agent falls behind" if self.governor.late else "",
            band=bands[0][2],
            price_cny_per_kwh=BAND_CNY_PER_KWH[bands[0][2]],
            next_band=bands[1][2],
            next_band_at=bands[0][1],
            bands_ahead=bands,
            outdoor_degc=truth.outdoor_degc,
            soc_ratio=truth.stored_kwh / usable_kwh,
            stored_kwh=truth.stored_kwh,
            tank_kw=truth.heat_charged_kw - truth.discharge_kw,
            layers_degc=truth.tank_degc,
            layer_degc_min=42.0,
            layer_degc_max=55.0,
            units=[_unit_view(unit, status) for unit in truth.units],
            supply_degc=truth.supply_degc,
            setpoint_degc=_setpoint_degc(status),
            return_degc=truth.return_degc,
            room_degc=truth.indoor_degc,
            demand_kw=truth.load_kw,
            delivered_kw=sum(unit.heat_kw for unit in truth.units) - truth.heat_charged_kw + truth.discharge_kw,
            electric_kw=truth.electricity_kw,
            plan=steps,
            plan_made=steps[0].start if steps else None,
            plan_method=str(plan.get("method")) if isinstance(plan, Mapping) else None,
            agent="down" if not self.agent.running else "up" if status else "starting_up",
            agent_mode=mode if isinstance(mode, str) else None,
            agent_starts=self.agent.starts,
            cost_cny=self.tally.cost_cny,
            no_storage_cny=self.tally.no_storage_cny,
            stored_heat_cny=self.tally.stored_heat_cny(),
            electricity_kwh=truth.electricity_kwh,
            uploads=Uploads(len(due), len(held.intersection(due)), _backlog(status)),
            frames_promised=len(self.agent.promised),
            violations=self._violations_told,
            alarms=_alarms(status),
            events=tuple(self.events)[-20:],
        )


def plan_steps(plan: Mapping[str, object], *, zone: tzinfo) -> tuple[PlanStep, ...]:
    """What a Plan document intends, step by step, summed over units and stores; () if it is not one."""
    try:
        return tuple(_plan_steps(plan, zone))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return ()


def _plan_steps(plan: Mapping[str, Any], zone: tzinfo) -> Iterator[PlanStep]:
    start = datetime.fromisoformat(plan["grid_start_utc"]).astimezone(zone)
    for index, minutes in enumerate(plan["step_minutes"]):
        end = (start.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(zone)
        heat_kw = sum(unit["load_kw"][index] for unit in plan["units"].values())
        charge_kw = sum(store["charge_kw"][index] for store in plan["storages"].values())
        yield PlanStep(
            start=start,
            end=end,
            direct_kw=max(0.0, heat_kw - charge_kw),
            charge_kw=charge_kw,
            discharge_kw=sum(store["discharge_kw"][index] for store in plan["storages"].values()),
            soc_kwh=sum(store["soc_kwh"][index] for store in plan["storages"].values()),
        )
        start = end


def _unit_view(unit: UnitTruth, status: Mapping[str, object]) -> UnitView:
    """A unit from the plant, with what the agent is about to do with it where that is not plain to see."""
    units = status.get("units")
    agent = units.get(unit.name) if isinstance(units, Mapping) else None
    doing = isinstance(agent, Mapping) and agent.get("phase") not in {"running", "off"}
    return UnitView(
        unit.name,
        unit.state,
        unit.mode,
        unit.load_ratio,
        unit.heat_kw,
        unit.electric_kw,
        unit.cop,
        doing_zh=str(agent.get("zh", "")) if doing and isinstance(agent, Mapping) else "",
        doing_en=str(agent.get("en", "")) if doing and isinstance(agent, Mapping) else "",
    )


def _setpoint_degc(status: Mapping[str, object]) -> float | None:
    setpoints = status.get("setpoint_degc")
    found = next(iter(setpoints.values()), None) if isinstance(setpoints, Mapping) else None
    return float(found) if isinstance(found, int | float) else None


def _alarms(status: Mapping[str, object]) -> list[tuple[str, str]]:
    """The agent's alarms in words."""
    alarms = status.get("alarms")
    found = []
    for alarm in alarms if isinstance(alarms, list) else []:
        values = alarm.get("values")
        worded = text(str(alarm.get("code")), **(values if isinstance(values, Mapping) else {}))
        found.append((worded.zh, worded.en))
    return found


def _backlog(status: Mapping[str, object]) -> int | None:
    """Records that wait in the agent, over all uplinks, by its own word."""
    uplinks = status.get("uplinks")
    if not isinstance(uplinks, Mapping):
        return None
    backlogs = [uplink.get("backlog") for uplink in uplinks.values() if isinstance(uplink, Mapping)]
    return sum(backlog for backlog in backlogs if isinstance(backlog, int))


async def serve(
    scenario: Scenario,
    *,
    speed_ratio: float,
    broker: tuple[str, int] | None,
    folder: Path | None,
    wall_s: Callable[[], float],
    ready: Callable[[Mapping[str, object]], None],
) -> None:
    """Runs the simulated side alone until it is cancelled; whoever wants to connects to it.

    Args:
        scenario: plant, first instant, seed.
        speed_ratio: simulated seconds per wall second.
        broker: host and port of a foreign broker; None: the embedded one.
        folder: the configuration is written here, and stays; None: into a run folder that goes at the end.
        wall_s: monotonic wall time [s].
        ready: is told ports, ptys and config once everything answers.
    """
    home = Path(tempfile.mkdtemp(prefix="hil-sim-serve-"))
    site = Site(scenario, folder=home, wall_s=wall_s, compressed=speed_ratio > TRUE_LINE_SPEED_MAX)
    site.end_s = float("inf")
    try:
        site.open()
        async with open_platform(broker=broker) as platform:
            config = site.write_configuration(broker=platform.address, folder=folder)
            assert site.tcp is not None
            ready(
                {
                    "ports": {"modbus_tcp": site.tcp.port, "mqtt": platform.address[1]},
                    "ptys": {name: line.path for name, line in site.lines.items()},
                    "config": str(config),
                    "clock": str(site.clock.path),
                    "baud": site.baud,
                }
            )
            site.clock.set_speed(speed_ratio)
            await site.run(lambda _truth: None)
    finally:
        site.close()
        shutil.rmtree(home, ignore_errors=True)
