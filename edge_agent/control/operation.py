"""Who is in command: the mode a person asked for and the orders in force; kept across restarts, told to the audit.

It decides nothing of its own: what may be asked is judged in `control.modes` and `control.order_rules`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from edge_agent.control.memory import ControlMemory
from edge_agent.control.modes import Mode, ModeState, Refusal, request_mode, start_mode, write_mode
from edge_agent.control.order_rules import judge_order, next_time, storage_of, warnings
from edge_agent.control.orders import Order, OrderKind, Orders, read_orders, write_orders
from edge_agent.control.view import PlantView
from edge_agent.errors import RefusedByInterlock, StoreFault
from edge_agent.settings.model import SiteFile
from edge_agent.store.rows import AuditEntry
from edge_agent.texts.catalogue import text

LOG = logging.getLogger(__name__)

MODE_KEY = "mode"
ORDERS_KEY = "orders"
Arguments = Mapping[str, object]


class Keeper(Protocol):
    """What the store does for it."""

    async def audit(self, entry: AuditEntry) -> None:
        """Chains an entry to the audit."""
        ...

    async def get_state(self, key: str) -> str | None:
        """The value under a key."""
        ...

    async def put_state(self, key: str, json_text: str) -> None:
        """Keeps a value under a key."""
        ...


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
    """Mode and orders of one service.

    Args:
        site: the site file.
        store: keeps them, and the audit.
        now_utc: the site's clock.
        cycle: held while a control cycle runs: a person's order waits for it; once answered, the order holds.
    """

    def __init__(self, site: SiteFile, *, store: Keeper, now_utc: Callable[[], datetime], cycle: asyncio.Lock) -> None:
        self._site = site
        self._store = store
        self._now_utc = now_utc
        self._cycle = cycle
        self._zone = ZoneInfo(site.site.timezone)
        self.mode = ModeState(Mode.MONITOR, now_utc(), "edge-agent", "start")  # until `prepare` knows better
        self.orders = Orders()
        self.control: Controlled | None = None

    async def prepare(self, control: Controlled) -> None:
        """Takes up what the run before has kept."""
        self.control = control
        self.mode = start_mode(self._site, kept=await self._store.get_state(MODE_KEY), now_utc=self._now_utc())
        kept = read_orders(await self._store.get_state(ORDERS_KEY))
        if kept is None:
            LOG.error("the orders kept before the restart cannot be read, none is in force")
        self.orders = kept or Orders()
        for order in self.standing(self._now_utc()):
            LOG.warning("order in force after restart %s", _logged(order))

    def standing(self, now_utc: datetime) -> tuple[Order, ...]:
        """Orders in force."""
        return self.orders.now(now_utc)

    async def end_orders(self, now_utc: datetime) -> None:
        """Forgets orders whose end has come, and says so."""
        ended = self.orders.ended(now_utc)
        if not ended:
            return
        self.orders = self.orders.kept(now_utc)
        for order in ended:
            LOG.warning("order has ended by itself %s", _logged(order))
            await self._tell(by=order.by, cause=order.reason, point=_point(order), wanted=order.kind, outcome="ended")
        await self._keep(ORDERS_KEY, write_orders(self.orders))

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
                kept &= await self._keep(MODE_KEY, write_mode(answer), strict=strict)
                self.mode = answer
                if ended:
                    self.orders = self.orders.released(None)
                    kept &= await self._keep(ORDERS_KEY, write_orders(self.orders))
                    notes.append("orders_end_with_mode")
                notes += [] if kept else ["not_kept"]
                LOG.warning("mode changed mode=%s by=%s reason=%s", answer.mode, answer.by, answer.reason)
        return {
            "mode": self.mode.mode,
            "by": self.mode.by,
            "reason": self.mode.reason,
            "orders_ended": [order.number for order in ended],
            "notes": notes,
        }

    async def answer_override(self, arguments: Arguments) -> Mapping[str, object]:
        """`override`: gives an order, or ends some."""
        async with self._cycle:
            now_utc = self._now_utc()
            order = self._order(arguments, now_utc)
            refusal = order if isinstance(order, Refusal) else self._judge(order)
            if isinstance(order, Refusal) or refusal is not None:
                assert refusal is not None
                raise refused(refusal)
            assert self.control is not None
            notes = list(warnings(order, site=self._site, view=self.control.view, memory=self.control.memory))
            before = self.standing(now_utc)
            orders = self.orders.kept(now_utc).given(order, storage_of=storage_of(self._site))
            given = order if order.kind is OrderKind.RELEASE else orders.entries[-1]
            outcome = "released" if order.kind is OrderKind.RELEASE else "ordered"
            strict = order.kind is OrderKind.CHARGE  # all others only narrow: a full disk does not hold them up
            kept = await self._tell(
                by=order.by,
                cause=order.reason,
                point=_point(given),
                wanted=f"{order.kind} until {order.until_utc.isoformat()}" if strict else order.kind,
                outcome=outcome,
                strict=strict,
            )
            kept &= await self._keep(ORDERS_KEY, write_orders(orders), strict=strict)
            self.orders = orders
            LOG.warning("order %s %s", outcome, _logged(given))
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
            if not memory.locked_out and not memory.failures:
                raise refused(Refusal("unit_not_locked_out", {"unit": unit}))
            await self._tell(by=by, cause=reason, point=unit, wanted="release", outcome="released", strict=True)
            self.control.release(unit)
        LOG.warning("unit released unit=%s by=%s reason=%s", unit, by, reason)
        return {"unit": unit, "by": by, "reason": reason}

    def _order(self, arguments: Arguments, now_utc: datetime) -> Order | Refusal:
        """The order that was typed; its end is reckoned on the site's clock."""
        kind = OrderKind(str(arguments.get("kind", "")))
        subject = arguments.get("subject")
        until_utc = now_utc if kind is OrderKind.RELEASE else self._end(arguments, now_utc)
        if until_utc is None:
            return Refusal("order_end_unknown", {"until": str(arguments.get("until") or "?")})
        return Order(
            kind,
            None if subject is None else str(subject),
            until_utc,
            str(arguments.get("by", "")).strip(),
            str(arguments.get("reason", "")).strip(),
            now_utc,
        )

    def _end(self, arguments: Arguments, now_utc: datetime) -> datetime | None:
        lasts_s, until = arguments.get("lasts_s"), arguments.get("until")
        if isinstance(lasts_s, (int, float)) and abs(lasts_s) < timedelta.max.total_seconds() / 1e3:
            return now_utc + timedelta(seconds=lasts_s)
        if not isinstance(until, str):
            return None
        at_local = next_time(until, now_local=now_utc.astimezone(self._zone))
        if at_local is not None:
            return at_local.astimezone(now_utc.tzinfo)
        try:
            instant = datetime.fromisoformat(until)
        except ValueError:
            return None
        return (instant if instant.tzinfo else instant.replace(tzinfo=self._zone)).astimezone(now_utc.tzinfo)

    def _judge(self, order: Order) -> Refusal | None:
        assert self.control is not None
        return judge_order(
            order,
            site=self._site,
            mode=self.mode.mode,
            orders=self.orders,
            view=self.control.view,
            memory=self.control.memory,
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

    def shown(self, now_utc: datetime) -> dict[str, object]:
        """What `status` says of it."""
        standing = self.standing(now_utc)
        manual = self.mode.mode is Mode.AUTO and bool(standing)
        return {
            "mode": "manual" if manual else self.mode.mode,
            "mode_asked": self.mode.mode,
            "mode_since": _instant_text(self.mode.since_utc),
            "mode_by": self.mode.by,
            "mode_reason": self.mode.reason,
            "orders": [order_dict(order) for order in standing],
        }

    # ----------------------------------------------------------------------------------------------------------- kept

    async def _tell(self, *, by: str, cause: str, point: str, wanted: str, outcome: str, strict: bool = False) -> bool:
        """Chains a person's order to the audit before it takes effect.

        Returns:
            False when the disk refuses, and that is no reason to hold it up.

        Raises:
            StoreFault: the disk refuses and the order widens what is commanded.
        """
        entry = AuditEntry(
            instant_utc=self._now_utc(),
            actor=by,
            cause=cause,
            point=point,
            old=None,
            wanted=str(wanted),
            read_back=None,
            outcome=outcome,
            reason="",
            latency_s=None,
        )
        try:
            await self._store.audit(entry)
        except StoreFault:
            if strict:
                raise
            LOG.exception("an order takes effect without its audit point=%s wanted=%s", point, wanted)
            return False
        return True

    async def _keep(self, key: str, json_text: str, *, strict: bool = False) -> bool:
        try:
            await self._store.put_state(key, json_text)
        except StoreFault:
            if strict:
                raise
            LOG.exception("not kept, a restart forgets it key=%s", key)
            return False
        return True


def order_dict(order: Order) -> dict[str, object]:
    """An order for status and command line."""
    return {
        "number": order.number,
        "kind": order.kind,
        "subject": order.subject,
        "until": _instant_text(order.until_utc),
        "by": order.by,
        "reason": order.reason,
        "made": _instant_text(order.made_utc),
    }


def _point(order: Order) -> str:
    return f"order {order.number} {order.subject or '*'}" if order.number else f"orders {order.subject or '*'}"


def _logged(order: Order) -> str:
    until = order.until_utc.isoformat(timespec="seconds")
    subject = order.subject or "*"
    return f"kind={order.kind} subject={subject} until={until} by={order.by} reason={order.reason}"


def _instant_text(instant_utc: datetime) -> str:
    return instant_utc.isoformat(timespec="seconds").replace("+00:00", "Z")
