"""The composition root: the only place that builds parts which do I/O, and starts and stops them in order.

Order of start: store, buses, acquisition, control, planner, uplinks, local socket; stop in reverse, the store last.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from zoneinfo import ZoneInfo

from drivers.memory import DeviceMemory
from drivers.sample import Sample
from drivers.schedule import point_periods
from drivers.wire_budget import WireBudget
from drivers.writing import WriteOutcome
from edge_agent import local_api
from edge_agent.acquisition import BusPoller, BusWatch, Pending, Recorder
from edge_agent.advising import Advising, Now
from edge_agent.answers import Answers
from edge_agent.charge_setpoint import charge_degc_of
from edge_agent.clock import ClockWatch, SiteClock, elapsed_s, next_instant, sleep_until
from edge_agent.control.command import Outcome
from edge_agent.control.controller import Controller
from edge_agent.control.intent import BandOutlook
from edge_agent.control.memory import Phase
from edge_agent.control.modes import Mode
from edge_agent.control.operation import Operation
from edge_agent.control.order_rules import held_until_utc, planned_around
from edge_agent.control.report import CycleReport
from edge_agent.correcting import Correcting
from edge_agent.expectation import Expectation, bands_at
from edge_agent.health import Progress, feed_watchdog, notify
from edge_agent.image import ProcessImage
from edge_agent.journal import Journal
from edge_agent.lending import Lender
from edge_agent.plan_case import build_request
from edge_agent.planner import Planner
from edge_agent.proving import Prover, refused
from edge_agent.record_alarms import RecordAlarms
from edge_agent.serving import SERVE_S, serve_bus
from edge_agent.settings.codes import point_codes
from edge_agent.settings.load import Configuration
from edge_agent.solver_process import SolverProcess
from edge_agent.status import control_dict
from edge_agent.store.facts import Keep, PointFacts
from edge_agent.store.store import Store
from edge_agent.supervision import supervise
from edge_agent.uplink import credentials
from edge_agent.uplink.alarm_feed import AlarmFeed
from edge_agent.uplink.archive import Archive
from edge_agent.uplink.commanded import Commanded
from edge_agent.uplink.corrections import Corrections
from edge_agent.uplink.daily import Daily
from edge_agent.uplink.periods import PeriodCloser
from edge_agent.uplink.sender import Sender
from edge_agent.uplink.streams import StreamMemory, streams
from edge_agent.uplink.transports.choose import Surroundings, build_transport
from edge_agent.wiring import (
    DEVICE_KEY,
    MEMORY_KEY,
    build_buses,
    build_clock,
    build_devices,
    bus_budgets,
    close_buses,
    line_shares,
    open_buses,
)
from scheduling.errors import SchedulingError
from scheduling.plan import Plan, read_plan
from scheduling.request import PlanRequest
from scheduling.tariff.steps import live_grid

LOG = logging.getLogger(__name__)

PLAN_RETRY_S = 60.0
"""While the plant is not known well enough to plan, try again after this time [s, site]."""
PLAN_AGE_MAX = timedelta(hours=2)
"""A plan of the run before is taken up again when it is not older than this."""
DISPENSABLE = ("plan", "uplink ", "learn", "tend store", "alarm feed", "daily ledger")
"""Tasks that control does not need: they are tried for ever, and never end the service."""
STUCK_S = 20.0
"""A part without progress for its own period and this time more keeps the watchdog from being fed [s]."""
LEAVE_S = 10.0
"""An orderly stop waits this long for the control cycle in progress [s, wall]."""
SERVE_STUCK_S = 120.0
"""Likewise for serving, which may have to wait for a command that is being proven [s]."""


class Service:
    """Everything that runs in one service process."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        clock: SiteClock,
        store: Store,
        promise_fd: int | None,
        device_memories: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Builds the parts that need no waiting; `run` starts them.

        Args:
            configuration: all files, checked.
            clock: the site's clock.
            store: open.
            promise_fd: sequence numbers of committed frames are written here; simulated sites only.
            device_memories: what devices kept in the run before, by name.
        """
        site = configuration.site
        self.configuration = configuration
        self.site = site
        self.clock = clock
        self.clock_watch = ClockWatch(clock)
        self.store = store
        self.started_utc = clock.now_utc()
        self.zone = ZoneInfo(site.site.timezone)
        self.progress = Progress(elapsed_s)
        self.image = ProcessImage()
        self.pending = Pending()
        self.journal = Journal(store, clock)
        self._cycle = asyncio.Lock()
        self.operation = Operation(site, store=store, now_utc=clock.now_utc, steady=clock.steady, cycle=self._cycle)
        self.advising = Advising(site, store=store)
        self.prover = Prover(
            site,
            devices=lambda: self.devices,
            image=self.image,
            store=store,
            clock=clock,
            mode=lambda: self.operation.mode.mode,  # as asked: what a step down has taken may come back at any time
            memory=lambda: self.controller.memory,
        )
        self.buses = build_buses(configuration, stopwatch=clock.reading_s)
        self.shares = line_shares(configuration, self.buses)
        self.devices = build_devices(
            configuration,
            buses=self.buses,
            clock=clock,
            memory=lambda name: DeviceMemory(
                name, kept=device_memories.get(name), keep=partial(self.journal.keep_device, name)
            ),
            may_write=self._may_write,
            shares=self.shares,
        )
        self.watches = {name: BusWatch() for name in self.buses}
        self.scan_s = min(entry.period_s for entry in configuration.devices.devices.values())
        self.expectation = Expectation(configuration, store=store, image=self.image)
        self.correcting = Correcting(configuration, history=store, memory=store)
        self.solver = SolverProcess()
        self._promise_fd = promise_fd
        self._lost: frozenset[str] = frozenset()
        self.closer = self._closer()
        self.recorder = Recorder(
            pending=self.pending,
            append_frame=self._append_frame,
            close_due=self.closer.close_due,
            promise=self._promise,
        )
        archive = Archive(store, configuration.uplink, plant=site.site.id)
        ways = streams(configuration.uplink, plant=site.site.id)
        self.alarm_feed = AlarmFeed(
            store, streams=[name for name, way in ways.items() if way.entry.alarms], standing=self._standing_alarms
        )
        corrections = Corrections(store, configuration.uplink, plant=site.site.id, now_utc=clock.now_utc)
        store.correct_with(corrections.of_period)
        self.daily = Daily(store, archive, corrections=corrections, streams=tuple(ways.values()), zone=self.zone)
        self.commanded = Commanded(store, self.closer, now_utc=clock.now_utc)
        self.senders = {
            name: Sender(
                uplink=name,
                store=store,
                transport=build_transport(stream, memory=StreamMemory(store, name), around=self._surroundings()),
                archive=archive,
                resend_s=stream.entry.resend_s,
                backfill_per_s=stream.entry.backfill_per_s,
                now_utc=clock.now_utc,
                elapsed_s=elapsed_s,
                set_period=partial(self.commanded.period, name),
                key_changed=partial(self.commanded.key, name),
            )
            for name, stream in ways.items()
        }
        self.controller: Controller
        self.planner: Planner
        self.budgets: dict[str, WireBudget] = {}
        self.report: CycleReport | None = None

    # ------------------------------------------------------------------------------------------------- small parts
    def _surroundings(self) -> Surroundings:
        """What the ways to the platforms need of the house."""
        uplink = self.configuration.uplink
        return Surroundings(
            secrets=credentials.folders(self.configuration.folder),
            zone=self.zone,
            now_utc=self.clock.now_utc,
            elapsed_s=elapsed_s,
            period_min=lambda stream: self.closer.period_min(stream, self.clock.now_utc()),
            dialects=self.configuration.dialects,
            point_codes={
                name: point_codes(((point.code, point.number) for point in uplink.points), gateway=entry.gateway_id)
                for name, entry in uplink.uplinks.items()
                if entry.gateway_id is not None
            },
        )

    def _closer(self) -> PeriodCloser:
        periods_s = {
            f"{device}.{name}": max(entry.period_s, period_s)
            for device, entry in self.configuration.devices.devices.items()
            for name, period_s in point_periods(self.configuration.profiles[device], period_s=entry.period_s).items()
        }
        self.store.expect(self._point_facts(periods_s))
        return PeriodCloser(
            self.store,
            self.configuration.uplink,
            plant=self.site.site.id,
            period_s=lambda point: periods_s.get(point, self.scan_s),
            period_s_max=max(periods_s.values()),
            grace_s=self.scan_s,
            steady=self.clock.steady,
            trusted=self.clock.synchronised,
        )

    def _point_facts(self, periods_s: Mapping[str, float]) -> dict[str, PointFacts]:
        """What the store must know of each point."""
        totals = {
            f"{device}.{name}"
            for device, profile in self.configuration.profiles.items()
            for name, point in profile.points.items()
            if point.counter is not None
        }
        reported = {entry.point for entry in self.configuration.uplink.points}
        return {
            point: PointFacts(
                period_s, Keep.TOTAL if point in totals else Keep.REPORTED if point in reported else Keep.DETAIL
            )
            for point, period_s in periods_s.items()
        }

    def _promise(self, frame: int) -> None:
        """Tells who started us that a frame is safe; a reader that has gone away is no reason to stop."""
        if self._promise_fd is not None:
            with suppress(BrokenPipeError):
                os.write(self._promise_fd, b"%d\n" % frame)

    async def _append_frame(self, samples: Sequence[Sample], instant_utc: datetime) -> int:
        clock = self.clock_watch.look()
        return await self.store.append_frame(samples, instant_utc=instant_utc, elapsed_s=elapsed_s(), clock=clock)

    async def _write(self, point: str, value: float) -> WriteOutcome:
        """Writes to a device and returns what became of it; only the executor calls this."""
        device, _, name = point.partition(".")
        return await self.devices[device].write(name, value)

    def _may_write(self, device: str) -> bool:
        """Whether frames that write may leave to a device: in automatic mode, or while somebody proves a command."""
        return self.operation.mode_now is Mode.AUTO or self.prover.permits(device)

    def _name_overloaded_buses(self) -> None:
        """Says once at start which bus cannot keep the periods asked of it, and by how much."""
        self.budgets = bus_budgets(self.configuration, buses=self.buses)
        for name, budget in self.budgets.items():
            if not budget.fits:
                LOG.warning(
                    "bus cannot keep its periods bus=%s wanted_s_per_s=%.2f longer_by=%.1f devices=%s",
                    name,
                    budget.share,
                    budget.stretch,
                    ",".join(f"{device}:{share:.2f}" for device, share in budget.dearest()),
                )

    def _renew(self, point: str, value: float) -> bool:
        """Says that a command is still wanted; False if it must be written again."""
        device, _, name = point.partition(".")
        return self.devices[device].renew(name, value)

    async def _audit(self, outcomes: Sequence[Outcome]) -> None:
        """Chains stages of commands to the audit."""
        await self.journal.commands(outcomes, actor=f"{self.operation.mode_now}: {self.operation.mode.by}")

    def _standing_alarms(self) -> Sequence[Mapping[str, object]] | None:
        """What the operator is shown; None after a start, until what has been read can tell what still stands."""
        if self.report is None or not self.report.settled:
            return None
        alarms = control_dict(self.report, operation=self.operation)["alarms"]
        return alarms if isinstance(alarms, list) else None

    async def _keep_plan(self, plan: Plan) -> None:
        await self.store.put_plan(self.clock.now_utc(), plan.to_json())

    async def _build_request(self, now_utc: datetime) -> PlanRequest | None:
        """The planning task of this instant; None while units or tanks are not known; nor for meters only."""
        if not self.site.units:
            return None
        storage_kwh = {name: kwh for name, kwh in self.controller.storage_energy_kwh().items() if kwh is not None}
        if self.report is None or storage_kwh.keys() != self.site.storages.keys():
            return None
        # After a start the first answers of all units are awaited; later a silent unit is planned as not available.
        starting = (now_utc - self.started_utc).total_seconds() < self.site.control.handover_s
        if starting and any(unit.phase is Phase.UNKNOWN for unit in self.report.units.values()):
            return None
        orders = self.operation.standing(now_utc)
        units = planned_around(self.controller.unit_states(now_utc), orders)
        grid = live_grid(
            self.expectation.tariff,
            now_utc.replace(second=0, microsecond=0),
            horizon_h=self.site.control.horizon_h,
            zone=self.zone,
            facts=self.expectation.facts,
        )
        self.expectation.corrections = self.correcting.current
        live = await self.expectation.live_state(
            now_utc, grid=grid, units=units, storage_kwh=storage_kwh, drawn_kw=self.planner.drawn_kw(grid)
        )
        live = replace(
            live,
            held_until_utc=held_until_utc(self.site.storages, orders),
            charge_degc=charge_degc_of(self.planner.plan),
        )
        return build_request(self.site, self.configuration.performance, grid=grid, live=live)

    # ------------------------------------------------------------------------------------------------- start, run, stop
    async def prepare(self) -> None:
        """Takes up what the run before left behind: mode, control memory, plan."""
        now_utc = self.clock.now_utc()
        memory = await self.store.get_state(MEMORY_KEY)
        last, watched = await self.journal.close_unknown(memory)
        self.controller = Controller(
            self.site,
            image=self.image,
            write=self._write,
            audit=self._audit,
            renew=self._renew,
            save_memory=self.journal.keep_control,
            memory=memory,
            now_utc=self.clock.now_utc,
            steady=self.clock.steady,
            last_number=last,
            unfinished=watched,
            capacities={
                name: {mode: figures.heat_kw for mode, figures in performance.modes.items()}
                for name, performance in self.configuration.performance.items()
            },
            powers={
                name: {mode: figures.curve[-1][1] for mode, figures in performance.modes.items()}
                for name, performance in self.configuration.performance.items()
            },
            performance=self.configuration.performance,
        )
        await self.operation.prepare(self.controller)
        await self.advising.prepare()
        await self.correcting.prepare()
        self.expectation.corrections = self.correcting.current
        await self.prover.tell_left_behind()
        self.planner = Planner(
            solver=self.solver,
            build=self._build_request,
            keep=self._keep_plan,
            limit_s=self.site.control.solve_s_max,
            gap_ratio=self.site.control.solve_gap_ratio,
            last_plan=await self._last_plan(now_utc),
        )

    async def _last_plan(self, now_utc: datetime) -> Plan | None:
        kept = await self.store.latest_plan()
        if kept is None or not timedelta(0) <= now_utc - kept[0] <= PLAN_AGE_MAX:
            return None
        try:
            return read_plan(kept[1])
        except SchedulingError as error:
            LOG.warning("the stored plan cannot be read, a new one is made: %s", error)
            return None

    async def run(self) -> None:
        """Runs until it is told to stop by SIGTERM or SIGINT, then stops in order."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.solver.stop)
            stack.push_async_callback(close_buses, self.buses)
            await open_buses(self.buses)
            self._name_overloaded_buses()
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(
                        supervise(name, work, elapsed_s=elapsed_s, vital=not name.startswith(DISPENSABLE)), name=name
                    )
                    for name, work in self._work()
                ]
                server = await local_api.serve(
                    self.site.storage_media.state_dir, self._verbs(), {"prove": self.prover.converse}
                )
                notify("READY=1")
                LOG.info("service runs site=%s mode=%s", self.site.site.id, self.operation.mode_now)
                await stop.wait()
                notify("STOPPING=1")
                LOG.info("service stops")
                server.close()
                await self.prover.stop()
                await self._leave()
                for task in tasks:
                    task.cancel()
            # What was read after the last frame is kept; a period that is not over stays open for the next start.
            await self.recorder.scan(self.clock.now_utc())

    async def _leave(self) -> None:
        """Lets the cycle in progress end, so that no sequence is cut between two writes; says what stays as it is."""
        try:
            async with asyncio.timeout(LEAVE_S), self._cycle:
                left = await self.controller.leave()
        except TimeoutError:
            LOG.warning("stopped within a control cycle that did not end")
            return
        for entry in left:
            LOG.info("left as it is subject=%s: %s", entry.subject, entry.en)
        if left and self.operation.mode_now is Mode.AUTO:
            await self.journal.left(left)

    def _work(self) -> Iterator[tuple[str, Callable[[], Coroutine[None, None, None]]]]:
        """Name and coroutine function of each endless task."""
        progress = self.progress
        for bus in self.buses:
            members = [device for name, device in self.devices.items() if self._bus_of(name) == bus]
            yield (
                f"poll {bus}",
                BusPoller(
                    bus,
                    members,
                    clock=self.clock,
                    image=self.image,
                    pending=self.pending,
                    progress=partial(self._polled, bus),
                    watch=self.watches[bus],
                ).run,
            )
            if any(device.serves for device in members):
                yield (
                    f"serve {bus}",
                    partial(
                        serve_bus,
                        members,
                        clock=self.clock,
                        watch=self.watches[bus],
                        progress=lambda device: progress.mark(f"serve {device}"),
                    ),
                )
        scanned = partial(progress.mark, "scan")
        yield "record", partial(self.recorder.run, clock=self.clock, period_s=self.scan_s, progress=scanned)
        yield "control", self._control
        yield (
            "plan",
            partial(
                self.planner.run,
                clock=self.clock,
                replan_min=self.site.control.replan_min,
                retry_s=PLAN_RETRY_S,
                progress=partial(progress.mark, "plan"),
            ),
        )
        yield (
            "plan on new prices",
            partial(self.planner.follow_prices, clock=self.clock, changed=self.expectation.prices_changed),
        )
        yield "learn", partial(self.correcting.run, clock=self.clock)
        for name, sender in self.senders.items():
            yield f"uplink {name}", sender.run
        yield "tend store", self.store.tend
        yield (
            "alarm feed",
            partial(self.alarm_feed.run, now_utc=self.clock.now_utc, sleep_until=partial(sleep_until, self.clock)),
        )
        yield (
            "daily ledger",
            partial(self.daily.run, now_utc=self.clock.now_utc, sleep_until=partial(sleep_until, self.clock)),
        )
        yield "watchdog", self._watchdog

    def _polled(self, bus: str) -> None:
        """A poll on a bus has ended."""
        self.progress.mark(f"poll {bus}")
        self.watches[bus].mark(now_s=elapsed_s(), busy_s=self.buses[bus].counts.busy_s)

    def _bus_of(self, device: str) -> str:
        return self.configuration.devices.devices[device].bus

    async def _control(self) -> None:
        """One control cycle after the other, on the site's clock."""
        due_utc = self.clock.now_utc()
        operation = self.operation
        await operation.control_begins()
        while True:
            async with self._cycle:
                now_utc = self.clock.now_utc()
                refuses = self.journal.failing or self.recorder.failing_since_utc is not None
                await operation.look(now_utc, store_refuses=refuses)
                bands = self._bands(now_utc)
                by_plan = operation.follows_plan  # prices and their hours belong to the plan
                self.report = await self.controller.cycle(
                    now_utc,
                    plan=self.planner.plan if by_plan else None,
                    mode=operation.mode_now,
                    orders=operation.standing(now_utc),
                    # A call to draw less holds without a plan as well.
                    bands=bands if by_plan else BandOutlook(event_kw=bands.event_kw),
                    out=operation.units_out,
                )
                await operation.cycle_done(self.report)
            await self.advising.look(
                Now(now_utc, operation.mode_now, self.planner.plan, self.planner.request, self.report.storage_kwh)
            )
            self._plan_without_lost_units(now_utc)
            if self.report.replan:
                LOG.info("the plant is off its plan, planning again")
                self.planner.ask_again()
            self.progress.mark("control")
            due_utc = next_instant(due_utc, self.clock.now_utc(), period_s=self.site.control.cycle_s)
            await sleep_until(self.clock, due_utc)

    def _bands(self, now_utc: datetime) -> BandOutlook:
        bands = bands_at(self.expectation.tariff, now_utc, zone=self.zone, facts=self.expectation.facts)
        return replace(bands, demand_kw=self.planner.demand_kw(now_utc))

    def _plan_without_lost_units(self, now_utc: datetime) -> None:
        """Asks for a new plan when a unit or a tank has been lost, ordered off or held, or has come back."""
        orders = self.operation.standing(now_utc)
        units = planned_around(self.controller.unit_states(now_utc), orders)
        lost = frozenset(name for name, unit in units.items() if not unit.available or unit.out_until_utc is not None)
        lost |= held_until_utc(self.site.storages, orders).keys()
        if lost != self._lost and self.planner.plan is not None:
            LOG.info("units or tanks that may be used changed, planning again out=%s", ",".join(sorted(lost)) or "-")
            self.planner.ask_again()
        self._lost = lost

    async def _watchdog(self) -> None:
        """Feeds the manager's watchdog while scan, polling, serving and control make progress."""
        allowed_s = {
            "scan": self.scan_s + STUCK_S,
            **{
                f"poll {bus}": STUCK_S
                + max(device.period_s for name, device in self.devices.items() if self._bus_of(name) == bus)
                for bus in {self._bus_of(name) for name in self.devices}
            },
            **{f"serve {name}": SERVE_S + SERVE_STUCK_S for name, device in self.devices.items() if device.serves},
            "control": self.site.control.cycle_s + STUCK_S,
        }
        await feed_watchdog(self.progress, allowed_s)

    # ------------------------------------------------------------------------------------------------- local socket
    def _verbs(self) -> Mapping[str, local_api.Verb]:
        answers = Answers(
            configuration=self.configuration,
            clock=self.clock,
            image=self.image,
            buses=self.buses,
            watches=self.watches,
            budgets=self.budgets,
            devices=self.devices,
            recorder=self.recorder,
            pending=self.pending,
            senders=self.senders,
            daily=self.daily,
            commanded=self.commanded,
            expectation=self.expectation,
            planner=self.planner,
            operation=self.operation,
            advising=self.advising,
            store=self.store,
            clock_watch=self.clock_watch,
            record_alarms=RecordAlarms(),
            report=lambda: self.report,
        )
        lender = Lender(self.buses, shares=self.shares, elapsed_s=elapsed_s)
        return {
            "ping": answers.ping,
            "status": answers.status,
            "read": answers.read,
            "upload": answers.upload,
            "upload_retry": answers.upload_retry,
            "plan": answers.plan,
            "mode": self._answer_mode,
            "override": self.operation.answer_override,
            "release": self.operation.answer_release,
            "bus_read": lender.read,
        }

    async def _answer_mode(self, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """Changes the mode; not while somebody proves a command, whom control would answer with its own."""
        if self.prover.busy:
            raise refused("prove_under_way")
        return await self.operation.answer_mode(arguments)


async def run(configuration: Configuration, *, promise_fd: int | None = None) -> None:
    """Opens the store, builds the service and runs it until it is told to stop.

    Args:
        configuration: all files, checked.
        promise_fd: sequence numbers of committed frames are written here; simulated sites only.
    """
    media = configuration.site.storage_media
    store = await Store.open(media.state_dir, quota_mb=media.quota_mb, raw_days=media.raw_days)
    try:
        kept = {name: await store.get_state(f"{DEVICE_KEY}{name}") for name in configuration.devices.devices}
        service = Service(
            configuration,
            clock=build_clock(configuration),
            store=store,
            promise_fd=promise_fd,
            device_memories={name: text for name, text in kept.items() if text is not None},
        )
        await service.prepare()
        await service.run()
    finally:
        await store.close()
