"""Who is in command: the mode a person asked for, orders in force, steps down; kept across restarts, told to the audit.

It decides nothing of its own: what may be asked is judged in `control.modes` and `control.order_rules`, what control
takes back by itself in `control.step_down`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from edge_agent.control.command import Alarm
from edge_agent.control.memory import ControlMemory
from edge_agent.control.modes import Mode, ModeState, Refusal, request_mode, start_mode, write_mode
from edge_agent.control.operation_shown import down_alarms, down_dict, order_waits
from edge_agent.control.operation_store import Keeper, OrderStore
from edge_agent.control.order_form import instant_text, logged, order_dict, point_of, typed_order
from edge_agent.control.order_rules import judge_order, storage_of, warnings
from edge_agent.control.orders import Order, OrderKind, Orders, read_orders, write_orders
from edge_agent.control.report import CycleReport
from edge_agent.control.step_down import (
    JUMP_S,
    Cause,
    Evidence,
    Kept,
    StepDowns,
    acknowledged,
    clock_jumped,
    read_kept,
    unit_released,
    weigh,
    weigh_units,
    write_kept,
)
from edge_agent.control.view import PlantView
from edge_agent.errors import RefusedByInterlock, StoreFault
from edge_agent.settings.model import SiteFile
from edge_agent.texts.catalogue import text

LOG = logging.getLogger(__name__)

MODE_KEY = "mode"
ORDERS_KEY = "orders"
DOWN_KEY = "step_down"
KEPT_EVERY_S = 300.0
"""That the service runs is kept this often [s]: a clock that shows less after a restart has lost its time."""
AUDIT_CHECK = timedelta(hours=24)
"""The audit's chain is followed from its beginning at the start and this often. Ours."""
CALM_CYCLES = 20
"""After so many cycles without a failure the failures of control are forgotten. Ours."""
Arguments = Mapping[str, object]


class Controlled(Protocol):
    """What it must know of control in order to judge."""

    @property
    def view(self) -> PlantView | None:
        """The plant as last seen."""
        ...

    @property
    def memory(self) -> ControlMemory:
        """What control remembers."""
        ...

    def release(self, name: str) -> None:
        """Lets a locked-out unit be tried again."""
        ...


def refused(refusal: Refusal) -> RefusedByInterlock:
    """A refusal as the error that the local socket carries."""
    words = text(refusal.code, **refusal.values)
    return RefusedByInterlock(
        f"{words.zh} / {words.en}",
        code=refusal.code,
        zh=words.zh + (f"。{words.hint_zh}" if words.hint_zh else ""),
        en=words.en + (f". {words.hint_en}" if words.hint_en else ""),
    )


class Operation:
    """Mode, orders and steps down of one service.

    Args:
        site: the site file.
        store: keeps them, and the audit.
        now_utc: the site's clock.
        steady: epoch and reading [s] of a clock that nobody sets, and the site's clock at the same instant.
        cycle: held while a control cycle runs: a person's order waits for it; once answered, the order holds.
    """

    def __init__(
        self,
        site: SiteFile,
        *,
        store: Keeper,
        now_utc: Callable[[], datetime],
        steady: Callable[[], tuple[str, float, datetime]],
        cycle: asyncio.Lock,
    ) -> None:
        self._site = site
        self._store = OrderStore(store)
        self._now_utc = now_utc
        self._cycle = cycle
        self.mode = ModeState(Mode.MONITOR, now_utc(), "edge-agent", "start")  # until `prepare` knows better
        self.orders = Orders()
        self.control: Controlled | None = None
        self._steady = steady
        self._kept = Kept()
        self._kept_utc: datetime | None = None
        self._looked: tuple[datetime, str, float] | None = None
        self._clock_behind = False
        self._given_behind: set[int] = set()
        self._orders_lost = False
        self._audit_broken_at: int | None = None
        self._audit_checked_utc: datetime | None = None
        self._evidence = Evidence()
        self._advised: dict[str, str] = {}
        self._began = False
        self._calm_cycles = 0

    async def prepare(self, control: Controlled) -> None:
        """Takes up what the run before has kept."""
        self.control = control
        self.mode = start_mode(self._site, kept=await self._store.read(MODE_KEY), now_utc=self._now_utc())
        kept = read_orders(await self._store.read(ORDERS_KEY))
        self._kept = read_kept(await self._store.read(DOWN_KEY))
        if kept is None:
            LOG.error("the orders kept before the restart cannot be read, none is in force")
            self._orders_lost = True
        self.orders = kept or Orders(count=self._kept.order_count)
        seen_utc = self._kept.seen_utc
        self._clock_behind = seen_utc is not None and (seen_utc - self._now_utc()).total_seconds() > JUMP_S
        if seen_utc is not None and not self._clock_behind:
            self._looked = (seen_utc, self._kept.seen_epoch, self._kept.seen_steady_s)  # a jump while we were away
        for order in self.standing(self._now_utc()):
            LOG.warning("order in force after restart %s", logged(order))
        for cause in self._kept.state.downs:
            LOG.warning("stepped down since before the restart cause=%s mode=%s", cause, self.mode_now)

    def standing(self, now_utc: datetime) -> tuple[Order, ...]:
        """Orders in force; while the clock is behind the last run, a stop or a hold goes on as it stood then."""
        seen_utc = self._kept.seen_utc
        if not self._clock_behind or seen_utc is None:
            return self.orders.now(now_utc)
        before = [order for order in self.orders.now(seen_utc) if order.kind is not OrderKind.CHARGE]
        since = [order for order in self.orders.now(now_utc) if order.number in self._given_behind]
        return tuple({order.number: order for order in (*before, *since)}.values())

    @property
    def mode_now(self) -> Mode:
        """The mode in force: what a person has asked for, or less."""
        return self._kept.state.mode(self.mode.mode)

    @property
    def follows_plan(self) -> bool:
        """Whether control may follow a plan now."""
        return self._kept.state.follows_plan

    @property
    def units_out(self) -> frozenset[str]:
        """Units that are out of control because their commands fail."""
        return frozenset(self._kept.state.out)

    # ---------------------------------------------------------------------------------------------------- every cycle

    async def control_begins(self) -> None:
        """Control begins its endless work; any but the first time it has failed before."""
        if self._began:
            self._calm_cycles = 0
            self._kept = replace(self._kept, control_failures=self._kept.control_failures + 1)
            await self._keep_down()
        self._began = True

    async def look(self, now_utc: datetime, *, store_refuses: bool) -> None:
        """Before a cycle: ends orders, and takes the steps down, or back, that what is wrong now asks for.

        Args:
            now_utc: the present instant.
            store_refuses: journal or records are not kept.
        """
        jumped = await self._follow_clock(now_utc)
        await self._end_orders(now_utc)
        if self._audit_checked_utc is None or not timedelta(0) <= now_utc - self._audit_checked_utc < AUDIT_CHECK:
            self._audit_checked_utc = now_utc
            with suppress(StoreFault):  # a store that cannot be read is seen by those who write
                self._audit_broken_at = await self._store.audit_broken_at()
        view = None if self.control is None else self.control.view
        commands = self.mode.mode is Mode.AUTO  # who does not command need not take that back
        self._evidence = Evidence(
            blind=commands and view is not None and not self._seeing(),
            control_failures=self._kept.control_failures,
            clock_jumped=commands and jumped,
            clock_behind=commands and self._clock_behind,
            store_refuses=commands and store_refuses,
            audit_broken_at=None if self._audit_broken_at == self._kept.audit_seen else self._audit_broken_at,
            orders_lost=self._orders_lost,
        )
        before = self._kept.state
        self._kept = replace(self._kept, state=weigh(before, self._evidence, now_utc=now_utc))
        await self._note_changes(before)
        due = self._kept_utc is None or not 0.0 <= (now_utc - self._kept_utc).total_seconds() < KEPT_EVERY_S
        if due and not self._clock_behind:
            epoch, steady_s, site_utc = self._steady()
            self._kept = replace(self._kept, seen_utc=site_utc, seen_epoch=epoch, seen_steady_s=steady_s)
            self._kept_utc = now_utc
            await self._keep_down()

    async def cycle_done(self, report: CycleReport) -> None:
        """After a cycle that did not break: what became of its commands may take a unit out of control."""
        self._calm_cycles += 1
        if self._calm_cycles >= CALM_CYCLES and self._kept.control_failures:
            self._kept = replace(self._kept, control_failures=0)
        before = self._kept.state
        self._kept = replace(self._kept, state=weigh_units(before, report.outcomes, now_utc=report.instant_utc))
        await self._note_changes(before)
        await self._record_advice(report)

    async def _record_advice(self, report: CycleReport) -> None:
        """In mode advise: chains what each unit should do to the audit, whenever it changes."""
        if self.mode_now is not Mode.ADVISE:
            self._advised = {}
            return
        for name, want in report.wants.items():
            wanted = (want.mode or "on") if want.on else "off"
            if self._advised.get(name) != wanted:
                self._advised[name] = wanted
                await self._tell(by="advise", cause=want.because, point=name, wanted=wanted, outcome="advised")

    async def _follow_clock(self, now_utc: datetime) -> bool:
        """Sees whether the clock has been set since the last look; orders neither end nor go on by that alone."""
        epoch, steady_s, site_utc = self._steady()
        before, self._looked = self._looked, (site_utc, epoch, steady_s)
        # While it is behind, only orders given meanwhile were given by this clock; earlier ones mean the right one.
        numbers = frozenset(self._given_behind) if self._clock_behind else None
        if self._clock_behind and self._kept.seen_utc is not None and now_utc >= self._kept.seen_utc:
            self._clock_behind = False
            self._given_behind.clear()
        if before is None or before[1] != epoch:
            return False
        site_s, passed_s = (site_utc - before[0]).total_seconds(), steady_s - before[2]
        if not clock_jumped(site_s, steady_s=passed_s):
            return False
        self._kept_utc = None
        LOG.warning("clock has jumped from=%s to=%s", before[0].isoformat(), site_utc.isoformat())
        moved = self.orders.after_jump(timedelta(seconds=site_s - passed_s), numbers=numbers)
        if moved != self.orders:
            self.orders = moved
            await self._store.keep(ORDERS_KEY, write_orders(moved))
        return True

    async def _note_changes(self, before: StepDowns) -> None:
        """Says, audits and keeps what has changed."""
        after = self._kept.state
        if after.downs.keys() == before.downs.keys() and after.out.keys() == before.out.keys():
            return
        for cause in Cause:
            if (cause in after.downs) is not (cause in before.downs):
                begun = cause in after.downs
                LOG.warning("%s cause=%s mode=%s", "stepped down" if begun else "step down is over", cause, _now(after))
                await self._tell(
                    by="edge-agent",
                    cause=cause,
                    point="mode",
                    wanted=_now(after),
                    outcome="stepped_down" if begun else "restored",
                )
        for name in sorted(after.out.keys() ^ before.out.keys()):
            begun = name in after.out
            point = after.out[name].point if begun else before.out[name].point
            LOG.warning("unit %s unit=%s point=%s", "taken out of control" if begun else "is tried again", name, point)
            await self._tell(
                by="edge-agent",
                cause=f"commands not proven: {point}",
                point=name,
                wanted="local" if begun else "remote",
                outcome="out_of_control" if begun else "in_control",
            )
        await self._keep_down()

    async def _tell(self, *, by: str, cause: str, point: str, wanted: str, outcome: str, strict: bool = False) -> bool:
        return await self._store.tell(
            now_utc=self._now_utc(), by=by, cause=cause, point=point, wanted=wanted, outcome=outcome, strict=strict
        )

    async def _keep_down(self) -> None:
        await self._store.keep(DOWN_KEY, write_kept(self._kept))

    async def _end_orders(self, now_utc: datetime) -> None:
        """Forgets orders whose end has come, and says so."""
        standing = self.standing(now_utc)
        ended = [order for order in self.orders.entries if order not in standing]
        if not ended or self._clock_behind:
            return
        self.orders = self.orders.kept(now_utc)
        for order in ended:
            LOG.warning("order has ended by itself %s", logged(order))
            await self._tell(by=order.by, cause=order.reason, point=point_of(order), wanted=order.kind, outcome="ended")
        await self._store.keep(ORDERS_KEY, write_orders(self.orders))

    # ---------------------------------------------------------------------------------------------------------- verbs

    async def answer_mode(self, arguments: Arguments) -> Mapping[str, object]:
        """`mode`: asks for another mode."""
        wanted, by, reason = (str(arguments.get(key, "")) for key in ("mode", "by", "reason"))
        async with self._cycle:
            now_utc = self._now_utc()
            seeing = self._seeing()
            answer = request_mode(
                self._site, self.mode, wanted=wanted, by=by, reason=reason, now_utc=now_utc, seeing=seeing
            )
            if isinstance(answer, Refusal):
                raise refused(answer)
            ended: tuple[Order, ...] = ()
            notes: list[str] = []
            if wanted == Mode.AUTO:
                notes += await self._acknowledge(by=by.strip(), reason=reason.strip())
            if answer is not self.mode:
                strict = answer.mode is Mode.AUTO  # whoever leaves auto is not held up by a full disk
                ended = self.standing(now_utc)
                kept = await self._tell(
                    by=answer.by,
                    cause=answer.reason,
                    point="mode",
                    wanted=answer.mode,
                    outcome="changed",
                    strict=strict,
                )
                kept &= await self._store.keep(MODE_KEY, write_mode(answer), strict=strict)
                self.mode = answer
                if ended:
                    self.orders = self.orders.released(None)
                    kept &= await self._store.keep(ORDERS_KEY, write_orders(self.orders))
                    notes.append("orders_end_with_mode")
                notes += [] if kept else ["not_kept"]
                LOG.warning("mode changed mode=%s by=%s reason=%s", answer.mode, answer.by, answer.reason)
        return {
            "mode": self.mode_now,
            "mode_asked": self.mode.mode,
            "by": self.mode.by,
            "reason": self.mode.reason,
            "orders_ended": [order.number for order in ended],
            "notes": notes,
        }

    async def _acknowledge(self, *, by: str, reason: str) -> list[str]:
        """A person asks for auto: steps down that only waited for one are over."""
        before = self._kept.state
        if not before.downs:
            return []
        self._clock_behind = False
        seen = self._audit_broken_at
        evidence = replace(
            self._evidence, control_failures=0, clock_behind=False, audit_broken_at=None, orders_lost=False
        )
        kept = replace(self._kept, control_failures=0, audit_seen=seen, state=acknowledged(before, evidence))
        await self._tell(by=by, cause=reason, point="mode", wanted="acknowledge", outcome="acknowledged", strict=True)
        self._kept = kept
        if self._orders_lost:
            self._orders_lost = False
            await self._store.keep(ORDERS_KEY, write_orders(self.orders))
        await self._note_changes(before)
        return ["step_down_stays"] if kept.state.downs else ["step_down_over"]

    async def answer_override(self, arguments: Arguments) -> Mapping[str, object]:
        """`override`: gives an order, or ends some."""
        async with self._cycle:
            now_utc = self._now_utc()
            order = typed_order(arguments, site=self._site, now_utc=now_utc)
            refusal = order if isinstance(order, Refusal) else self._judge(order)
            if isinstance(order, Refusal) or refusal is not None:
                assert refusal is not None
                raise refused(refusal)
            assert self.control is not None
            notes = list(warnings(order, site=self._site, view=self.control.view, memory=self.control.memory))
            before = self.standing(now_utc)
            kept_orders = self.orders if self._clock_behind else self.orders.kept(now_utc)
            orders = kept_orders.given(order, storage_of=storage_of(self._site))
            given = order if order.kind is OrderKind.RELEASE else orders.entries[-1]
            if self._clock_behind and given is not order:
                self._given_behind.add(given.number)
            outcome = "released" if order.kind is OrderKind.RELEASE else "ordered"
            strict = order.kind is OrderKind.CHARGE  # all others only narrow: a full disk does not hold them up
            kept = await self._tell(
                by=order.by,
                cause=order.reason,
                point=point_of(given),
                wanted=order.kind
                if order.kind is OrderKind.RELEASE
                else f"{order.kind} until {instant_text(order.until_utc)}",
                outcome=outcome,
                strict=strict,
            )
            kept &= await self._store.keep(ORDERS_KEY, write_orders(orders), strict=strict)
            self.orders = orders
            self._kept = replace(self._kept, order_count=orders.count)
            await self._keep_down()
            LOG.warning("order %s %s", outcome, logged(given))
            standing = self.standing(now_utc)
        return {
            "override": None if order.kind is OrderKind.RELEASE else order_dict(given),
            "ended": [entry.number for entry in before if entry not in standing],
            "standing": [order_dict(entry) for entry in standing],
            "notes": notes + ([] if kept else ["not_kept"]),
        }

    async def answer_release(self, arguments: Arguments) -> Mapping[str, object]:
        """`release`: lets a unit that failed to start too often be tried again."""
        unit, by, reason = (str(arguments.get(key, "")).strip() for key in ("unit", "by", "reason"))
        if unit not in self._site.units:
            raise refused(Refusal("order_subject_unknown", {"subject": unit, "known": ", ".join(self._site.units)}))
        if not by or not reason:
            raise refused(Refusal("needs_name_and_reason"))
        assert self.control is not None
        async with self._cycle:
            memory = self.control.memory.unit(unit)
            if not memory.locked_out and not memory.failures and unit not in self.units_out:
                raise refused(Refusal("unit_not_locked_out", {"unit": unit}))
            await self._tell(by=by, cause=reason, point=unit, wanted="release", outcome="released", strict=True)
            self.control.release(unit)
            before = self._kept.state
            self._kept = replace(self._kept, state=unit_released(before, unit))
            await self._note_changes(before)
        LOG.warning("unit released unit=%s by=%s reason=%s", unit, by, reason)
        return {"unit": unit, "by": by, "reason": reason}

    def _judge(self, order: Order) -> Refusal | None:
        assert self.control is not None
        return judge_order(
            order,
            site=self._site,
            mode=self.mode_now,
            orders=replace(self.orders, entries=self.standing(order.made_utc)),
            view=self.control.view,
            memory=self.control.memory,
            # An order ends on the site's clock: while that is not trusted, only what takes away is taken.
            charging_barred=Cause.CLOCK if Cause.CLOCK in self._kept.state.downs else None,
        )

    def _seeing(self) -> bool:
        """Whether supply temperature and at least one unit are known."""
        view = None if self.control is None else self.control.view
        if view is None:
            return False
        heat = [name for name, loop in self._site.loops.items() if loop.medium == "heat"]
        supplied = all(view.loops[name].supply_degc is not None for name in heat)
        return supplied and any(unit.known for unit in view.units.values())

    # ---------------------------------------------------------------------------------------------------------- shown

    def shown(self, now_utc: datetime, report: CycleReport | None = None) -> dict[str, object]:
        """What `status` says of it.

        Args:
            now_utc: the present instant.
            report: of the last cycle, to say what an order waits for.
        """
        standing, mode = self.standing(now_utc), self.mode_now
        memory = None if self.control is None else self.control.memory
        return {
            "mode": "manual" if mode is Mode.AUTO and standing else mode,
            "mode_asked": self.mode.mode,
            "mode_since": instant_text(self.mode.since_utc),
            "mode_by": self.mode.by,
            "mode_reason": self.mode.reason,
            "orders": [
                {**order_dict(order), "waits": order_waits(order, report, mode=mode, memory=memory, site=self._site)}
                for order in standing
            ],
            "follows_plan": mode is Mode.AUTO and self._kept.state.follows_plan,
            **down_dict(self._kept.state),
        }

    def alarms(self) -> list[Alarm]:
        """Steps down in force and units out of control."""
        return down_alarms(self._kept.state, asked=self.mode.mode, site=self._site)


def _now(state: StepDowns) -> str:
    mode = state.mode(Mode.AUTO)
    return "auto without plan" if mode is Mode.AUTO and not state.follows_plan else mode
