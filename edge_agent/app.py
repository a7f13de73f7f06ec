"""The composition root: the only place that builds parts which do I/O, and starts and stops them in order.

Order of start: store, buses, acquisition, control, planner, uplinks, local socket; stop in reverse, the store last.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from zoneinfo import ZoneInfo

from drivers.bus.base import UNIT_MAX, Span
from drivers.bus.modbus_tcp import ModbusTcpBus
from drivers.errors import DeviceRefused, DriverError, LineDown, NoAnswer
from drivers.memory import DeviceMemory
from drivers.profile import ADDRESS_MAX, BITS_PER_READ_MAX, REGISTERS_PER_READ_MAX
from drivers.read_plan import READ_FUNCTION_BITS_LAST
from drivers.sample import Sample
from drivers.schedule import point_periods
from drivers.wire_budget import WireBudget
from drivers.writing import WriteOutcome
from edge_agent import local_api, status
from edge_agent.acquisition import BusPoller, BusWatch, Pending, Recorder
from edge_agent.clock import Clock, elapsed_s, next_instant, sleep_until
from edge_agent.control.command import Outcome
from edge_agent.control.controller import Controller
from edge_agent.control.memory import Phase
from edge_agent.control.modes import Mode
from edge_agent.control.operation import Operation
from edge_agent.control.report import CycleReport
from edge_agent.errors import ConfigurationFault, EdgeAgentError, RefusedByInterlock, StoreFault
from edge_agent.expectation import Expectation, bands_at
from edge_agent.health import Progress, notify, watchdog_interval_s
from edge_agent.image import ProcessImage
from edge_agent.plan_case import build_request
from edge_agent.planner import Planner, SolverProcess
from edge_agent.serving import SERVE_S, serve_bus
from edge_agent.settings.load import Configuration
from edge_agent.settings.model import Uplink
from edge_agent.store.rows import AuditEntry
from edge_agent.store.store import Store
from edge_agent.supervision import supervise
from edge_agent.uplink.periods import PeriodCloser
from edge_agent.uplink.sender import Sender
from edge_agent.uplink.transports.mqtt_json import MqttJson
from edge_agent.wiring import (
    DEVICE_KEY,
    MEMORY_KEY,
    build_buses,
    build_clock,
    build_devices,
    bus_budgets,
    close_buses,
    open_buses,
)
from scheduling.errors import SchedulingError
from scheduling.plan import Plan, read_plan
from scheduling.request import PlanRequest
from scheduling.timegrid import staged_grid

LOG = logging.getLogger(__name__)

TCP_UNIT_MAX = 255
PLAN_RETRY_S = 60.0
"""While the plant is not known well enough to plan, try again after this time [s, site]."""
PLAN_AGE_MAX = timedelta(hours=2)
"""A plan of the run before is taken up again when it is not older than this."""
STUCK_S = 20.0
"""A part without progress for its own period and this time more keeps the watchdog from being fed [s]."""
SERVE_STUCK_S = 120.0
"""Likewise for serving, which may have to wait for a command that is being proven [s]."""
READ_FUNCTIONS = (1, 2, 3, 4)


class Service:
    """Everything that runs in one service process."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        clock: Clock,
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
        self.store = store
        self.started_utc = clock.now_utc()
        self.zone = ZoneInfo(site.site.timezone)
        self.progress = Progress(elapsed_s)
        self.image = ProcessImage()
        self.pending = Pending()
        self.buses = build_buses(configuration)
        self.devices = build_devices(
            configuration,
            buses=self.buses,
            clock=clock,
            memory=lambda name: DeviceMemory(
                name, kept=device_memories.get(name), keep=partial(self._keep_device, name)
            ),
            may_write=self._may_write,
        )
        self.watches = {name: BusWatch() for name in self.buses}
        self.scan_s = min(entry.period_s for entry in configuration.devices.devices.values())
        self.expectation = Expectation(configuration, store=store, image=self.image)
        self.solver = SolverProcess()
        self._promise_fd = promise_fd
        self._journal_failing = False
        self._lost: frozenset[str] = frozenset()
        self._cycle = asyncio.Lock()
        self.operation = Operation(site, store=store, now_utc=clock.now_utc, cycle=self._cycle)
        self.recorder = Recorder(
            pending=self.pending,
            append_frame=self._append_frame,
            close_due=self._closer().close_due,
            promise=self._promise,
        )
        self.senders = {
            name: Sender(
                uplink=name,
                store=store,
                transport=build_transport(name, uplink, plant=site.site.id),
                resend_s=uplink.resend_s,
                now_utc=clock.now_utc,
                elapsed_s=elapsed_s,
            )
            for name, uplink in configuration.uplink.uplinks.items()
        }
        self.controller: Controller
        self.planner: Planner
        self.budgets: dict[str, WireBudget] = {}
        self.report: CycleReport | None = None

    # ------------------------------------------------------------------------------------------------- small parts
    def _closer(self) -> PeriodCloser:
        periods_s = {
            f"{device}.{name}": max(entry.period_s, period_s)
            for device, entry in self.configuration.devices.devices.items()
            for name, period_s in point_periods(self.configuration.profiles[device], period_s=entry.period_s).items()
        }
        return PeriodCloser(
            self.store,
            self.configuration.uplink,
            plant=self.site.site.id,
            period_s=lambda point: periods_s.get(point, self.scan_s),
            period_s_max=max(periods_s.values()),
            grace_s=self.scan_s,
        )

    def _promise(self, frame: int) -> None:
        """Tells who started us that a frame is safe; a reader that has gone away is no reason to stop."""
        if self._promise_fd is not None:
            with suppress(BrokenPipeError):
                os.write(self._promise_fd, b"%d\n" % frame)

    async def _append_frame(self, samples: Sequence[Sample], instant_utc: datetime) -> int:
        return await self.store.append_frame(samples, instant_utc=instant_utc, elapsed_s=elapsed_s())

    async def _write(self, point: str, value: float) -> WriteOutcome:
        """Writes to a device and returns what became of it; only the executor calls this."""
        device, _, name = point.partition(".")
        return await self.devices[device].write(name, value)

    def _may_write(self) -> bool:
        """Whether frames that write may leave at all."""
        return self.operation.mode.mode is Mode.AUTO

    async def _keep_device(self, name: str, text: str) -> None:
        """Keeps what a device must still know after a restart. A refusing disk stops no polling."""
        with self._disk_may_refuse():
            await self.store.put_state(f"{DEVICE_KEY}{name}", text)

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

    async def _save_memory(self, memory_json: str) -> None:
        """Keeps the control memory. A refusing disk does not stop control: heat comes before records."""
        with self._disk_may_refuse():
            await self.store.put_state(MEMORY_KEY, memory_json)

    async def _audit(self, outcome: Outcome) -> None:
        """Chains a command and its outcome to all before it; a refusing disk does not stop control."""
        with self._disk_may_refuse():
            await self.store.audit(self._audit_entry(outcome))

    @contextmanager
    def _disk_may_refuse(self) -> Iterator[None]:
        """Lets control go on without its journal while the store refuses; said once at begin and end."""
        try:
            yield
        except StoreFault as fault:
            if not self._journal_failing:
                LOG.error("control goes on without its journal: %s", fault)  # noqa: TRY400 - said once, no trace
            self._journal_failing = True
        else:
            if self._journal_failing:
                LOG.warning("control's journal is kept again")
            self._journal_failing = False

    def _audit_entry(self, outcome: Outcome) -> AuditEntry:
        command = outcome.command
        return AuditEntry(
            instant_utc=outcome.instant_utc,
            actor=f"{self.operation.mode.mode}: {self.operation.mode.by}",
            cause=command.because,
            point=command.point,
            old=outcome.before,
            wanted=command.value,
            read_back=outcome.read_back,
            outcome=outcome.verdict,
            reason=outcome.reason,
            latency_s=(self.clock.now_utc() - outcome.instant_utc).total_seconds(),
        )

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
        units = self.controller.unit_states(now_utc)
        grid = staged_grid(now_utc.replace(second=0, microsecond=0), horizon_h=self.site.control.horizon_h)
        live = await self.expectation.live_state(now_utc, grid=grid, units=units, storage_kwh=storage_kwh)
        return build_request(self.site, self.configuration.performance, grid=grid, live=live)

    # ------------------------------------------------------------------------------------------------- start, run, stop
    async def prepare(self) -> None:
        """Takes up what the run before left behind: mode, control memory, plan."""
        now_utc = self.clock.now_utc()
        self.controller = Controller(
            self.site,
            image=self.image,
            write=self._write,
            audit=self._audit,
            renew=self._renew,
            save_memory=self._save_memory,
            memory=await self.store.get_state(MEMORY_KEY),
            now_utc=self.clock.now_utc,
            capacities={
                name: {mode: figures.heat_kw for mode, figures in performance.modes.items()}
                for name, performance in self.configuration.performance.items()
            },
        )
        await self.operation.prepare(self.controller)
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
                    group.create_task(supervise(name, work, elapsed_s=elapsed_s), name=name)
                    for name, work in self._work()
                ]
                server = await local_api.serve(self.site.storage_media.state_dir, self._verbs())
                notify("READY=1")
                LOG.info("service runs site=%s mode=%s", self.site.site.id, self.operation.mode.mode)
                await stop.wait()
                notify("STOPPING=1")
                LOG.info("service stops")
                server.close()
                for task in tasks:
                    task.cancel()
            # What was read after the last frame is kept; a period that is not over stays open for the next start.
            await self.recorder.scan(self.clock.now_utc())

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
        for name, sender in self.senders.items():
            yield f"uplink {name}", sender.run
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
        while True:
            async with self._cycle:
                now_utc = self.clock.now_utc()
                await self.operation.end_orders(now_utc)
                self.report = await self.controller.cycle(
                    now_utc,
                    plan=self.planner.plan,
                    mode=self.operation.mode.mode,
                    orders=self.operation.standing(now_utc),
                    bands=bands_at(self.expectation.tariff, now_utc, zone=self.zone, facts=self.expectation.facts),
                )
            self._plan_without_lost_units(now_utc)
            self.progress.mark("control")
            due_utc = next_instant(due_utc, self.clock.now_utc(), period_s=self.site.control.cycle_s)
            await sleep_until(self.clock, due_utc)

    def _plan_without_lost_units(self, now_utc: datetime) -> None:
        """Asks for a new plan when a unit has been lost or has come back."""
        lost = frozenset(name for name, unit in self.controller.unit_states(now_utc).items() if not unit.available)
        if lost != self._lost and self.planner.plan is not None:
            LOG.info("units not available changed, planning again units=%s", ",".join(sorted(lost)) or "-")
            self.planner.ask_again()
        self._lost = lost

    async def _watchdog(self) -> None:
        """Feeds the manager's watchdog while scan, polling and control make progress."""
        interval_s = watchdog_interval_s()
        if interval_s is None:
            return
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
        for part in allowed_s:
            self.progress.mark(part)  # a part that never begins is stuck as well
        while True:
            await asyncio.sleep(interval_s)
            stuck = list(self.progress.stuck(allowed_s))
            if stuck:
                LOG.error("no progress, the watchdog is not fed: %s", ", ".join(stuck))
            else:
                notify("WATCHDOG=1")

    # ------------------------------------------------------------------------------------------------- local socket
    def _verbs(self) -> Mapping[str, local_api.Verb]:
        return {
            "status": self._answer_status,
            "read": self._answer_read,
            "upload": self._answer_upload,
            "mode": self.operation.answer_mode,
            "override": self.operation.answer_override,
            "plan": self._answer_plan,
            "release": self.operation.answer_release,
            "ping": self._answer_ping,
            "bus_read": self._answer_bus_read,
        }

    async def _answer_ping(self, _arguments: Mapping[str, object]) -> Mapping[str, object]:
        return {"site": self.site.site.id}

    async def _answer_bus_read(self, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """Lends a bus for one read; it waits in the bus's own queue. There is no verb that lends one for a write."""
        numbers = [arguments.get(key) for key in ("unit", "function", "address", "count")]
        bus = self.buses.get(str(arguments.get("bus")))
        if bus is None or not all(isinstance(number, int) for number in numbers):
            raise EdgeAgentError("bus_read: 参数不对 / bad arguments")
        unit, function, address, count = (int(str(number)) for number in numbers)
        # Unit 0 is a broadcast on a serial line; on TCP, 0 and 255 mean the device that has the connection.
        units = range(TCP_UNIT_MAX + 1) if isinstance(bus, ModbusTcpBus) else range(1, UNIT_MAX + 1)
        legal = unit in units and function in READ_FUNCTIONS and 0 <= address <= address + count - 1 <= ADDRESS_MAX
        if not legal or count > (BITS_PER_READ_MAX if function <= READ_FUNCTION_BITS_LAST else REGISTERS_PER_READ_MAX):
            raise EdgeAgentError("bus_read: 参数超出范围 / arguments out of range")
        try:
            return {"registers": list(await bus.read(Span(function, address, count), unit=unit))}
        except DeviceRefused as error:
            return {"fault": "refused", "code": error.code, "message": str(error)}
        except DriverError as error:
            kinds: dict[type[DriverError], str] = {NoAnswer: "no_answer", LineDown: "line_down"}
            return {"fault": kinds.get(type(error), "protocol"), "message": str(error)}

    async def _answer_status(self, _arguments: Mapping[str, object]) -> Mapping[str, object]:
        now_utc = self.clock.now_utc()
        return {
            "site": self.site.site.id,
            "name": self.site.site.name,
            "clock": {
                "utc": status.instant_text(now_utc),
                "local": now_utc.astimezone(self.zone).isoformat(timespec="seconds"),
                "speed": self.clock.speed_ratio(),
                "simulated": self.site.site.simulated,
            },
            **self.operation.shown(now_utc),
            **status.tariff_dict(self.expectation.tariff, now_utc, zone=self.zone, facts=self.expectation.facts),
            **status.planner_dict(self.planner),
            **status.control_dict(self.report),
            "forecast": {
                name: {"method": forecast.method, "error_ratio": forecast.error_ratio}
                for name, forecast in self.expectation.load_forecast.items()
            },
            "devices": {
                name: {"dead": device.dead, "fault": str(device.fault)} for name, device in self.devices.items()
            },
            "buses": {
                name: status.bus_dict(
                    bus.counts,
                    [device for device in self.devices.values() if self._bus_of(device.name) == name],
                    watch=self.watches[name],
                    budget=self.budgets.get(name),
                    speed_ratio=self.clock.speed_ratio(),
                )
                for name, bus in self.buses.items()
            },
            "frames": self.recorder.frame_count,
            "recorder": {
                "failing_since": status.instant_text(self.recorder.failing_since_utc),
                "samples_dropped": self.pending.dropped_count,
            },
            **(await self._answer_upload({})),
        }

    async def _answer_read(self, _arguments: Mapping[str, object]) -> Mapping[str, object]:
        return status.read_dict(list(self.image), now_utc=self.clock.now_utc())

    async def _answer_upload(self, _arguments: Mapping[str, object]) -> Mapping[str, object]:
        return {
            "uplinks": {
                name: status.uplink_dict(await sender.status(), connected=sender.connected, fault=sender.fault)
                for name, sender in self.senders.items()
            }
        }

    async def _answer_plan(self, _arguments: Mapping[str, object]) -> Mapping[str, object]:
        if self.planner.plan is None:
            raise RefusedByInterlock("还没有计划 / there is no plan yet")
        return {"plan": self.planner.plan.model_dump(mode="json", by_alias=True)}


def build_transport(name: str, uplink: Uplink, *, plant: str) -> MqttJson:
    """The way to one receiver."""
    if uplink.transport != "mqtt_json" or uplink.broker is None:
        raise ConfigurationFault(f"uplinks.{name}: {uplink.transport} 尚未支持 / is not built yet")
    return MqttJson(broker=uplink.broker, plant=uplink.plant or plant)


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
