"""Orders of an operator: charge, hold or stop for a while, each with an end, a name and a reason. Pure.

They narrow what plan and comfort may do, under protection: the guard still judges every command. Whether an order may
be given at all is judged in `modes.py`; what it does to the plant, in `dispatch.py`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, TypeAdapter, ValidationError

VERSION = 1
ORDER_H_MAX = 72.0
"""No order stands longer than this [h], whatever the site file says: a person comes back within three days. Ours."""
ORDER_COUNT_MAX = 16
"""So many orders may stand at once. Ours: more than that is a plan, not an exception."""


class OrderKind(StrEnum):
    """What is ordered."""

    CHARGE = "charge"  # charge with every unit that may, as if the plan said so
    HOLD = "hold"  # the storage is neither charged nor discharged; comfort still comes first
    STOP = "stop"  # these units are not wanted
    RELEASE = "release"  # ends orders; never stands itself


@dataclass(frozen=True, slots=True)
class Order:
    """One order.

    Attributes:
        kind: what.
        subject: unit or storage; None: the whole plant.
        until_utc: it ends here by itself, on the site's clock.
        by: who gave it.
        reason: why.
        made_utc: when.
        number: counted up by the service; stands in the audit and in causes. 0: not given yet. Of a release: the one
            order that it ends; 0: those on its subject.
    """

    kind: OrderKind
    subject: str | None
    until_utc: AwareDatetime
    by: str
    reason: str
    made_utc: AwareDatetime
    number: int = 0

    def stands(self, instant_utc: datetime) -> bool:
        """Whether it is in force.

        One that ends farther away than any may be given for has lost its clock: it is over.
        """
        left = self.until_utc - instant_utc
        return timedelta(0) < left <= timedelta(hours=ORDER_H_MAX)


@dataclass(frozen=True, slots=True)
class Orders:
    """All orders given and not yet forgotten.

    Attributes:
        entries: oldest first.
        count: how many were ever given; the next one gets the next number.
    """

    entries: tuple[Order, ...] = ()
    count: int = 0

    def now(self, instant_utc: datetime) -> tuple[Order, ...]:
        """Those in force; ended ones are gone by themselves."""
        return tuple(order for order in self.entries if order.stands(instant_utc))

    def ended(self, instant_utc: datetime) -> tuple[Order, ...]:
        """Those that have ended by themselves and are still kept."""
        return tuple(order for order in self.entries if not order.stands(instant_utc))

    def given(self, order: Order, *, storage_of: Mapping[str, str | None]) -> "Orders":
        """With one more order; it replaces what it repeats or contradicts. A release only ends others.

        Args:
            order: the new one.
            storage_of: storage that each unit charges.
        """
        if order.kind is OrderKind.RELEASE:
            return self.released(order.subject, number=order.number)
        number = self.count + 1
        kept = tuple(entry for entry in self.entries if not _replaced(entry, order, storage_of))
        return Orders((*kept, replace(order, number=number)), number)

    def released(self, subject: str | None, *, number: int = 0) -> "Orders":
        """Without the order of a number; 0: without those on a subject; None: without any."""
        if number:
            return replace(self, entries=tuple(entry for entry in self.entries if entry.number != number))
        kept = tuple(entry for entry in self.entries if subject is not None and entry.subject != subject)
        return replace(self, entries=kept)

    def after_jump(self, by: timedelta, *, numbers: Collection[int] | None = None) -> "Orders":
        """As they stand after the site's clock has been set: no stop or hold ends early, no charge goes on for longer.

        Args:
            by: the clock has moved by so much more than time has passed.
            numbers: only these orders were given by the clock as it was; None: all of them.
        """

        def moved(order: Order) -> Order:
            if numbers is not None and order.number not in numbers:
                return order
            ends_utc = (order.until_utc, order.until_utc + by)
            return replace(order, until_utc=min(ends_utc) if order.kind is OrderKind.CHARGE else max(ends_utc))

        return replace(self, entries=tuple(moved(order) for order in self.entries))

    def kept(self, instant_utc: datetime) -> "Orders":
        """Without those that have ended."""
        return replace(self, entries=self.now(instant_utc))


def _replaced(entry: Order, order: Order, storage_of: Mapping[str, str | None]) -> bool:
    """Whether a new order takes the place of an older one: the same again, or its contrary on the same storage.

    An order for the whole plant leaves one for a single unit alone: whoever works on that unit counts on it, and on its
    own end.
    """
    if entry.kind is order.kind:
        return order.subject == entry.subject
    if {entry.kind, order.kind} != {OrderKind.CHARGE, OrderKind.HOLD}:
        return False
    storages = {None if name is None else storage_of.get(name) or name for name in (entry.subject, order.subject)}
    return len(storages) == 1 or None in storages


# ------------------------------------------------------------------------------------------------------ what they mean


def stop_order(orders: Iterable[Order], *, unit: str) -> Order | None:
    """The order by which a unit is not wanted, if there is one."""
    return _last(order for order in orders if order.kind is OrderKind.STOP and order.subject in (None, unit))


def hold_order(orders: Iterable[Order], *, storage: str) -> Order | None:
    """The order by which a storage is neither charged nor discharged, if there is one."""
    return _last(order for order in orders if order.kind is OrderKind.HOLD and order.subject in (None, storage))


def charge_order(orders: Iterable[Order], *, unit: str, storage: str | None) -> Order | None:
    """The order by which a unit shall charge its storage, if there is one.

    Args:
        orders: those in force.
        unit: the unit.
        storage: the one it charges; None: it cannot charge.
    """
    if storage is None:
        return None
    return _last(order for order in orders if order.kind is OrderKind.CHARGE and order.subject in (None, unit, storage))


def _last(orders: Iterable[Order]) -> Order | None:
    return max(orders, key=lambda order: order.number, default=None)


# ------------------------------------------------------------------------------------------------------------- as text


@dataclass(frozen=True, slots=True)
class _Document:
    """What is kept across restarts."""

    version: int = VERSION
    orders: Orders = field(default_factory=Orders)


_DOCUMENT = TypeAdapter(_Document)


def write_orders(orders: Orders) -> str:
    """As JSON text."""
    return _DOCUMENT.dump_json(_Document(VERSION, orders)).decode()


def read_orders(text: str | None) -> Orders | None:
    """From JSON text; nothing kept: no orders; of another version or damaged: None, and a person must be told."""
    if not text:
        return Orders()
    try:
        document = _DOCUMENT.validate_json(text)
    except ValidationError:
        return None
    return document.orders if document.version == VERSION else None
