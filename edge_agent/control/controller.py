"""One control cycle: look, adopt what is real, decide, step, journal, command, report. I/O only as handed in."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from edge_agent.control import demand_guard
from edge_agent.control.adopt import adopt, cut_likely, hear
from edge_agent.control.arrange import arrange
from edge_agent.control.causes import Causes
from edge_agent.control.command import Alarm, Because, Command, Kind, Outcome, Verdict
from edge_agent.control.demand_guard import DemandMemory, ceilings, limits_now, watch_demand
from edge_agent.control.dispatch import Dispatched, dispatch
from edge_agent.control.doubt import trusted
from edge_agent.control.effect import reconcile
from edge_agent.control.executor import Audit, Executor, Renew, Write
from edge_agent.control.for_planner import storage_energy_kwh, unit_states
from edge_agent.control.hydraulics import mode_words, needed_modes, operating_mode, target_mode, with_setpoints
from edge_agent.control.intent import BandOutlook
from edge_agent.control.lasting_alarms import LastingAlarms
from edge_agent.control.layers import narrow
from edge_agent.control.left_behind import Left, left_behind
from edge_agent.control.loads import Loads
from edge_agent.control.loop.case import Capacities, storage_of_loop
from edge_agent.control.memory import (
    ASKED,
    PREPARING,
    ClockMark,
    ControlMemory,
    Phase,
    after_boot,
    clock_jump,
    read_memory,
    resume,
    shifted,
    worth_keeping,
    write_memory,
)
from edge_agent.control.modes import Mode
from edge_agent.control.orders import Order
from edge_agent.control.pump_care import care_alarms, frost_alarms, turned
from edge_agent.control.report import CycleReport, unit_words
from edge_agent.control.sequence import step
from edge_agent.control.station import pump_alarms
from edge_agent.control.step_down import without
from edge_agent.control.travel import note_commands, watch_valves
from edge_agent.control.view import PlantView, build_view
from edge_agent.control.want import Step, Want
from edge_agent.control.water import believe
from edge_agent.image import ProcessImage
from edge_agent.plan_case import UnitNow
from edge_agent.settings.model import Performance, SiteFile
from scheduling.plan import Plan

HOLD_AFTER_CYCLES = 5
"""Without a supply temperature or any unit for more than this many cycles nothing new is commanded."""
MEMORY_EVERY_S = 300.0
"""What only drifts is kept at least this often; what was decided at once, before it is commanded."""


class Controller:
    """Control of one site.

    Args:
        site: the site file.
        image: last samples; the only thing that is read.
        write: writes a point and proves it.
        audit: keeps the stages of commands.
        renew: says that what stands in a point is still wanted; False: it must be written again.
        save_memory: keeps the JSON text of the memory; awaited before a start or stop is commanded.
        memory: what was kept before, None at the first start.
        log: for the log of this room.
        capacities: heat at full load by unit and mode; a unit that is missing counts with its rating.
        powers: electricity at full load, likewise.
        performance: what each unit needs for what it gives; without it electricity says nothing of its load.
        now_utc: the site's clock, against which a cycle that was held up is given up; None on a fake clock.
        steady: epoch and reading [s] of a clock that runs as the site's does and that nobody sets, and the site's clock
            at the same instant; None: not watched.
        last_number: of the last command in the audit.
        unfinished: numbers of the commands in the audit that have not come to an end; None: nobody can tell.
    """

    def __init__(
        self,
        site: SiteFile,
        *,
        image: ProcessImage,
        write: Write,
        audit: Audit,
        save_memory: Callable[[str], Awaitable[None]],
        memory: str | None,
        log: logging.Logger | None = None,
        capacities: Capacities | None = None,
        powers: Capacities | None = None,
        performance: Mapping[str, Performance] | None = None,
        renew: Renew = lambda _point, _value: True,
        now_utc: Callable[[], datetime] | None = None,
        steady: Callable[[], tuple[str, float, datetime]] | None = None,
        last_number: int = 0,
        unfinished: Collection[int] | None = None,
    ) -> None:
        self._site = site
        self._image = image
        self._save_memory = save_memory
        self._steady = steady
        kept = read_memory(memory)
        # Moved to the present clock before anything of it is used.
        self._memory = replace(kept, expectations=reconcile(kept.expectations, unfinished)[0])
        self._executor = Executor(
            site,
            image=image,
            write=write,
            audit=audit,
            renew=renew,
            now_utc=now_utc,
            expectations=self._memory.expectations,
            last_number=last_number,
        )
        self._kept_utc: datetime | None = None
        self._kept_memory = ControlMemory()
        self._log = log or logging.getLogger(__name__)
        self._capacities = capacities or {}
        self._powers = powers or {}
        self._demand = DemandMemory()
        self._window = timedelta(minutes=site.limits.demand_window_min)
        self._loads = Loads(site, performance or {})
        self._begun_utc: datetime | None = None
        self._asked_utc: datetime | None = None
        self._blind_count = 0
        self._doubtful: tuple[Alarm, ...] = ()
        self._holding = False
        self._lasting = LastingAlarms(pump_proof_s=site.control.pump_proof_s)
        self._view: PlantView | None = None
        # A loop of cold water is read and reported, and not yet commanded; one without unit and tank never is.
        served = {unit.loop for unit in site.units.values()} | {storage.loop for storage in site.storages.values()}
        self._loops = tuple(name for name, loop in site.loops.items() if loop.medium == "heat" and name in served)

    # --------------------------------------------------------------------------------------------------------- cycle

    async def cycle(
        self,
        now_utc: datetime,
        *,
        plan: Plan | None,
        mode: Mode,
        bands: BandOutlook,
        orders: Sequence[Order] = (),
        out: Collection[str] = (),
    ) -> CycleReport:
        """One cycle.

        Args:
            now_utc: the present instant.
            plan: the last plan.
            mode: monitor: only looks; advise: also decides; auto: also commands.
            bands: the tariff around now.
            orders: an operator's orders in force.
            out: units that are out of control, and seen as local.
        """
        self._follow_clock()
        if self._begun_utc is None:
            self._begun_utc = now_utc
            self._memory = resume(self._memory, now_utc=now_utc)
        seen = without(build_view(self._site, self._image, now_utc=now_utc), out)
        ours, standing = mode is Mode.AUTO, self._executor.standing
        valves = watch_valves(self._memory.valves, standing=standing, ours=ours, view=seen, site=self._site)
        seen, doubts, doubtful = trusted(valves.view, self._memory.doubted, site=self._site)
        waters = believe(self._memory.waters, view=seen, site=self._site)
        view, self._doubtful = waters.view, (*doubtful, *waters.alarms, *valves.alarms)
        self._memory = replace(self._memory, doubted=doubts, waters=waters.memory, valves=valves.memory)
        self._view = view
        self._adopt(view)
        self._watch_blindness(view, mode=mode)
        self._demand = watch_demand(self._demand, view, window=self._window)
        if mode is not Mode.AUTO:
            await self._executor.stand_back(now_utc)
        effects = await self._executor.watch(now_utc)
        if mode is Mode.MONITOR:
            self._follow_valves(view)
            await self._keep(now_utc)
            return self._report(view, alarms=self._unit_alarms(view), outcomes=effects)
        decided = await self._decide(view, plan=plan, mode=mode, bands=bands, orders=orders)
        return replace(decided, outcomes=(*effects, *decided.outcomes))

    def _follow_clock(self) -> None:
        """When the site's clock has been set, all remembered instants move with it: minimum times are not fooled."""
        if self._steady is None:
            return
        epoch, steady_s, site_utc = self._steady()
        if self._begun_utc is None:
            self._memory = after_boot(self._memory, epoch=epoch)
        jump = clock_jump(self._memory.mark, now_utc=site_utc, epoch=epoch, steady_s=steady_s)
        if jump:
            self._log.warning("the site's clock was set, minimum times go on unmoved jump_s=%.0f", jump.total_seconds())
            self._memory = shifted(self._memory, jump)
            self._executor.shift(jump)
            self._demand = demand_guard.shifted(self._demand, jump)
            self._begun_utc = None if self._begun_utc is None else self._begun_utc + jump
            self._asked_utc = None if self._asked_utc is None else self._asked_utc + jump
            self._kept_utc = None
        self._memory = replace(self._memory, mark=ClockMark(epoch, steady_s, site_utc))

    async def _decide(
        self, view: PlantView, *, plan: Plan | None, mode: Mode, bands: BandOutlook, orders: Sequence[Order]
    ) -> CycleReport:
        now_utc = view.instant_utc
        before = self._memory
        if mode is Mode.AUTO:
            await self._executor.beat(view, memory=before, mode=mode)
        holding = self._holding or not self._ready(view)
        results: dict[str, Dispatched] = {}
        limits = limits_now(self._site, event_kw=bands.event_kw, peak_kw=bands.demand_kw)
        power = ceilings(self._demand, now_utc, limits=limits, window=self._window)
        if not holding:
            results = {
                name: dispatch(
                    name,
                    before,
                    site=self._site,
                    view=view,
                    plan=plan,
                    bands=bands,
                    capacities=self._capacities,
                    powers=self._powers,
                    orders=orders,
                    ceilings=power,
                )
                for name in self._loops
            }
        wants = narrow(self._wants(results, view), orders=orders, site=self._site)
        wanted = needed_modes(before) | {want.mode for want in wants.values() if want.on and want.mode is not None}
        discharging = any((result.discharge_ratio or 0.0) > 0.0 for result in results.values())
        target = None if holding else target_mode(self._site, active=frozenset(wanted), discharging=discharging)
        wants = with_setpoints(wants, self._site, target)
        steps = self._step(wants, view)
        memory = before
        for name, result in results.items():
            memory = memory.with_loop(name, result.memory)
        for name, taken in steps.items():
            memory = memory.with_unit(name, taken.memory)
        commands = arrange(
            [command for taken in steps.values() for command in taken.commands],
            results,
            wants=wants,
            memory=memory,
            view=view,
            site=self._site,
            target=target,
        )
        if mode is Mode.AUTO:
            self._memory = memory
            await self._keep(now_utc)  # a start must be remembered even if we die while commanding it
        outcomes = await self._executor.carry_out(
            commands,
            view=view,
            memory=memory,
            mode=mode,
            cause_of=Causes(self._site, plan=plan, orders=orders, power=power),
        )
        if mode is Mode.AUTO:
            if any(_asked(outcome) for outcome in outcomes):
                self._asked_utc = self._executor.present_utc(view)
            self._take_back(before, outcomes)
            self._note_valves(commands, outcomes, view)
            self._memory = self._loads.learn(self._memory, wants, view)
            await self._keep(now_utc)
        else:
            self._follow_valves(view)
            await self._keep(now_utc)
        alarms = [alarm for taken in steps.values() for alarm in taken.alarms]
        alarms += [alarm for result in results.values() for alarm in result.alarms]
        alarms += self._lasting.late(pump_alarms(tuple(commands), view=view), now_utc)
        alarms += care_alarms(view, site=self._site) + frost_alarms(memory, view=view, site=self._site)
        alarms += self._loads.alarms(self._memory, view) if mode is Mode.AUTO else []
        return self._report(view, alarms=alarms, outcomes=outcomes, wants=wants, steps=steps, results=results)

    def _adopt(self, view: PlantView) -> None:
        memory = self._memory
        for name, unit in self._site.units.items():
            pumps = [view.pumps[pump].running for pump in (unit.source_pump, unit.user_pump) if pump in view.pumps]
            pumps_on = True if True in pumps else (None if None in pumps else False)
            seen = view.units[name]
            heard = hear(
                memory.unit(name),
                unit=seen,
                now_utc=view.instant_utc,
                config=unit,
                control=self._site.control,
                cut=self._ready(view) and cut_likely(name, view),  # just started, nobody has answered yet
            )
            adopted = adopt(heard, unit=seen, pumps_on=pumps_on, now_utc=view.instant_utc)
            memory = memory.with_unit(name, adopted)
        self._memory = replace(memory, pumps=turned(memory, view=view, site=self._site))

    def _ready(self, view: PlantView) -> bool:
        """After a start, units are held as they are until all of them are known, at most for the hand-over time."""
        assert self._begun_utc is not None
        waited_s = (view.instant_utc - self._begun_utc).total_seconds()
        if waited_s >= self._site.control.handover_s:
            return True
        known = all(unit.known for unit in view.units.values())
        known = known and all(storage.layers_degc for storage in view.storages.values())
        return known and all(view.loops[name].supply_degc is not None for name in self._loops)

    def _watch_blindness(self, view: PlantView, *, mode: Mode) -> None:
        supply_known = all(view.loops[name].supply_degc is not None for name in self._loops)
        any_unit = any(unit.known for unit in view.units.values())
        self._blind_count = 0 if supply_known and any_unit else self._blind_count + 1
        holding = self._blind_count > HOLD_AFTER_CYCLES
        if holding is not self._holding and mode is not Mode.MONITOR:
            if holding:
                self._log.error("control holds: readings are too old")
            else:
                self._log.warning("control goes on: readings are back")
        self._holding = holding

    def _follow_valves(self, view: PlantView) -> None:
        """While somebody else commands, the regulators follow, so that taking over is bumpless."""
        memory = self._memory
        for name in self._loops:
            storage = storage_of_loop(self._site, name)
            if storage is None:
                continue
            valve = view.valves[self._site.storages[storage].discharge_valve]
            loop = replace(memory.loop(name), discharge_ratio=valve.commanded_ratio, error_k=None, regulated_utc=None)
            memory = memory.with_loop(name, loop)
        self._memory = memory

    def _wants(self, results: Mapping[str, Dispatched], view: PlantView) -> dict[str, Want]:
        """Of each unit: what dispatch wants, or, while holding, that it stays as it is."""
        wants: dict[str, Want] = {}
        for name, unit in self._site.units.items():
            result = results.get(unit.loop)
            if result is not None:
                wants[name] = result.wants[name]
                continue
            memory = self._memory.unit(name)
            stays = memory.phase in ASKED or memory.phase in PREPARING
            wants[name] = Want(on=stays, mode=memory.mode, because=Because.SEQUENCE)
            if memory.mode is None or not view.units[name].known:
                wants[name] = Want(on=memory.phase in ASKED, because=Because.SEQUENCE)
        return wants

    def _step(self, wants: Mapping[str, Want], view: PlantView) -> dict[str, Step]:
        steps: dict[str, Step] = {}
        last_utc = self._memory.last_start_utc(before_utc=view.instant_utc)
        if self._asked_utc is not None:  # the frame left later than the view that it was decided on
            last_utc = self._asked_utc if last_utc is None else max(last_utc, self._asked_utc)
        stagger_s = self._site.control.stagger_s
        may_request = last_utc is None or (view.instant_utc - last_utc).total_seconds() >= stagger_s
        # Who has waited longest at the last step goes first.
        order = sorted(self._site.units, key=lambda name: -self._memory.unit(name).age_s(view.instant_utc))
        for name in order:
            if self._site.units[name].loop not in self._loops:
                continue
            memory = self._memory.unit(name)
            taken = step(
                name,
                memory,
                want=wants[name],
                view=view,
                site=self._site,
                may_request=may_request,
                achieved=self._memory.achieved.get(name),
            )
            if taken.memory.phase is Phase.STARTING and memory.phase is not Phase.STARTING:
                may_request = False
            steps[name] = taken
        return steps

    # ------------------------------------------------------------------------------------------------------ commands

    def _take_back(self, before: ControlMemory, outcomes: Sequence[Outcome]) -> None:
        """A refused start, stop, stage or change of mode did not happen: the unit is where it was."""
        for outcome in outcomes:
            if outcome.verdict is not Verdict.REFUSED:
                continue
            name = outcome.command.subject
            if outcome.command.kind in (Kind.RUN_REQUEST, Kind.MODE_REQUEST):
                self._memory = self._memory.with_unit(name, before.unit(name))
            elif outcome.command.kind is Kind.STAGE:
                was, now = before.unit(name), self._memory.unit(name)
                self._memory = self._memory.with_unit(name, replace(now, stage=was.stage, stages_utc=was.stages_utc))

    def _note_valves(self, commands: Sequence[Command], outcomes: Sequence[Outcome], view: PlantView) -> None:
        valves = note_commands(
            self._memory.valves,
            commands,
            outcomes,
            standing=self._executor.standing,
            view=view,
            present_utc=self._executor.present_utc(view),
            site=self._site,
        )
        self._memory = replace(self._memory, valves=valves)

    # ------------------------------------------------------------------------------------------------------- journal

    async def _keep(self, now_utc: datetime) -> None:
        """Keeps the memory: at once when something was decided or begun, now and then what only drifts."""
        self._memory = replace(self._memory, expectations=self._executor.expectations)
        changed = worth_keeping(self._memory) != worth_keeping(self._kept_memory)
        due = self._kept_utc is None or (now_utc - self._kept_utc).total_seconds() >= MEMORY_EVERY_S
        if not due and not changed:
            return
        self._kept_utc = now_utc
        self._kept_memory = self._memory
        await self._save_memory(write_memory(self._memory))

    # -------------------------------------------------------------------------------------------------------- report

    def _unit_alarms(self, view: PlantView) -> list[Alarm]:
        """In monitor: units that are silent, local or tripped."""
        alarms: list[Alarm] = []
        for name in self._site.units:
            memory = self._memory.unit(name)
            if memory.phase in (Phase.LOCAL, Phase.TRIPPED) or not view.units[name].known:
                taken = step(name, memory, want=Want(on=False), view=view, site=self._site, may_request=False)
                alarms.extend(taken.alarms)
        return alarms

    def _report(
        self,
        view: PlantView,
        *,
        alarms: Sequence[Alarm],
        outcomes: Sequence[Outcome] = (),
        wants: Mapping[str, Want] | None = None,
        steps: Mapping[str, Step] | None = None,
        results: Mapping[str, Dispatched] | None = None,
    ) -> CycleReport:
        steps, results = steps or {}, results or {}
        all_alarms = [*alarms, *self._doubtful, *self._executor.alarms()]
        if not self._ready(view):
            # Just started: what has not been read yet is not silent.
            all_alarms = [alarm for alarm in all_alarms if alarm.code != "device_silent"]
        if self._holding:
            all_alarms.append(Alarm("reading_stale", "control", view.instant_utc, {"point": "supply / units"}))
        present = operating_mode(self._site, self._memory, view)
        return CycleReport(
            instant_utc=view.instant_utc,
            outcomes=tuple(outcomes),
            units={
                name: unit_words(self._memory.unit(name), steps.get(name), self._loads.of(name, self._memory, view))
                for name in self._site.units
            },
            operating_mode=present,
            operating_words=mode_words(self._site, present),
            setpoints_degc={name: result.setpoint_degc for name, result in results.items()},
            wants=dict(wants or {}),
            because={name: result.because for name, result in results.items()},
            notes=tuple(dict.fromkeys(note for result in results.values() for note in result.notes)),
            alarms=self._lasting.all(all_alarms),
            storage_kwh={name: storage.energy_kwh for name, storage in view.storages.items()},
            holding=self._holding,
            replan=any(result.replan for result in results.values()),
            settled=self._ready(view),
        )

    # ------------------------------------------------------------------------------------------------ for the planner

    def unit_states(self, now_utc: datetime) -> dict[str, UnitNow]:
        """Each unit as the planner needs it."""
        return unit_states(self._site, self._memory, self._view, now_utc=now_utc)

    def storage_energy_kwh(self) -> dict[str, float | None]:
        """Usable heat of each tank as last seen; None if it is not known."""
        return storage_energy_kwh(self._site, self._view)

    async def leave(self) -> tuple[Left, ...]:
        """Before an orderly stop: keeps what is known now, and says what stays commanded and why that is safe."""
        if self._view is None:
            return ()
        self._kept_utc = None
        await self._keep(self._view.instant_utc)
        return left_behind(self._site, self._memory, self._view)

    def release(self, name: str) -> None:
        """A person has found why a unit did not start: it may be tried again."""
        memory = self._memory.unit(name)
        released = replace(
            memory,
            locked_out=False,
            failures=0,
            heat_until_utc=None,
            barred_until_utc=None,
            retry_utc=None,
            fault="",
            fault_utc=None,
        )
        self._memory = self._memory.with_unit(name, released)

    @property
    def view(self) -> PlantView | None:
        """The plant as last seen; None before the first cycle."""
        return self._view

    @property
    def memory(self) -> ControlMemory:
        """What is remembered now."""
        return self._memory


def _asked(outcome: Outcome) -> bool:
    """Whether a unit has been asked to run: a start, or a request given again."""
    command = outcome.command
    return command.kind is Kind.RUN_REQUEST and command.value == 1.0 and outcome.verdict is Verdict.VERIFIED
