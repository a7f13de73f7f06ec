"""What stands in a device's registers: measured quantities and commands, brought up to date when somebody reads them.

Not here: requests and answers (hil_sim.devices.server).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from hil_sim.devices.encode import WordOrder, Words
from hil_sim.devices.instrument import Gauge, Inside
from hil_sim.devices.registers import Command, Quantity

Truth = Callable[[str], float]

SWITCH_OPEN_BELOW: Final = 0.5
_YEAR_0: Final = 2000


def calendar_type_f(instant_s: float) -> int:
    """The M-Bus date and time of an instant [s since 1970] as the 32-bit number of type F; the clock runs on UTC.

    Source: EN 13757-3, annex A, data type F: minute from bit 0, hour 8, day 16, month 24; the year's low three bits at
    21, its high four at 28.
    """
    now = datetime.fromtimestamp(instant_s, UTC)
    year = now.year - _YEAR_0
    return (
        now.minute | now.hour << 8 | now.day << 16 | (year & 0b111) << 21 | now.month << 24 | (year >> 3 & 0b1111) << 28
    )


@dataclass(slots=True)
class FaultSwitches:
    """Faults of a device that last until they are put back.

    Attributes:
        exception: every request is answered with this exception code; 0: none.
        frozen: shows for ever what it showed last.
        zeroed: counters show zero, as of a meter whose sensors are pulled off.
        swapped: numbers of several registers come in the other word order, as after another firmware.
        absent: quantities whose sensor is missing: their invalid mark is shown.
    """

    exception: int = 0
    frozen: bool = False
    zeroed: bool = False
    swapped: bool = False
    absent: set[str] = field(default_factory=set)


class Measured:
    """A quantity in its registers: measures when its update is due, remembers the words.

    Attributes:
        inside: what an undisturbed reader gets out of `words`; the wire log's truth.
    """

    __slots__ = (
        "_fresh",
        "_gauge",
        "_order",
        "_seed",
        "_shift",
        "_start",
        "_switches",
        "_update",
        "address",
        "corrupt_answers",
        "corrupt_delta",
        "inside",
        "name",
        "quantity",
        "serial",
        "tear_answers",
        "words",
    )

    def __init__(
        self, quantity: Quantity, *, device: str, order: WordOrder, seed: int, serial: int, switches: FaultSwitches
    ) -> None:
        self.quantity = quantity
        self.name = quantity.name
        self.address = quantity.layout.address
        self.words: Words = ()
        self.inside: Inside | None = None
        self.serial = serial
        self.corrupt_delta = 0.0
        self.corrupt_answers = 0
        self.tear_answers = 0
        self._order = order
        self._seed = seed
        self._switches = switches
        self._gauge = Gauge(quantity.instrument, seed=seed, device=device, quantity=quantity.name)
        self._update: int | None = None
        self._fresh: tuple[Words, Inside | None] = ((), None)
        self._shift = 0.0
        self._start: float | None = None

    def restart(self, start: Inside, *, meter: str | None = None) -> None:
        """Lets a counter go on from another value, at the next look at it.

        Args:
            start: what it shows then.
            meter: another meter does it from now on, with errors of its own.
        """
        if self.quantity.counts:
            self._start = start
        if meter is not None:
            self._gauge = Gauge(self.quantity.instrument, seed=self._seed, device=meter, quantity=self.name)
        self.look_again()

    def look_again(self) -> None:
        """Forgets that the present update was measured already."""
        self._update = None
        self._fresh = ((), None)

    def measure(self, instant_s: float, truth: Truth) -> None:
        """Looks at the plant if an update is due; `publish` puts the result into the registers."""
        update = self._gauge.update_number(instant_s)
        due = not self._fresh[0] or update is None or update != self._update
        if not due or (self._switches.frozen and self.words):
            return
        self._update = update
        layout = self.quantity.layout
        words = layout.to_words(self._shown(instant_s, update, truth), self._order)
        self._fresh = (words, layout.to_inside(words, self._order))

    def publish(self) -> None:
        """Makes what was measured last the content of the registers."""
        if not (self._switches.frozen and self.words):
            self.words, self.inside = self._fresh

    def _shown(self, instant_s: float, update: int | None, truth: Truth) -> Inside | None:
        quantity = self.quantity
        if quantity.name in self._switches.absent:
            return None
        if quantity.valid_while is not None and truth(quantity.valid_while) < SWITCH_OPEN_BELOW:
            return None
        if quantity.origin == "serial":
            return self.serial
        if quantity.origin == "calendar":
            return calendar_type_f(instant_s)
        if quantity.constant is not None:
            return quantity.constant
        true = truth(quantity.name)
        if self._start is not None:
            self._shift, self._start = self._start - true, None
        return self._gauge.reading(true + self._shift, update)

    def words_on_wire(self) -> Words:
        """The words for one more answer: true ones, or wrong ones while a fault says so."""
        layout, order = self.quantity.layout, self._order
        words = self.words
        if self._switches.zeroed and self.quantity.counts:
            words = layout.to_words(0.0, order)
        if self.corrupt_answers:
            self.corrupt_answers -= 1
            words = layout.to_words((self.inside or 0.0) + self.corrupt_delta, order)
        if self.tear_answers:
            self.tear_answers -= 1
            words = layout.torn(words, order)
        return words[::-1] if self._switches.swapped else words


class Commanded:
    """A writable register. The plant keeps its content: the panel of a unit writes there as well as the wire."""

    __slots__ = ("_order", "_switches", "address", "command", "inside", "name", "words")

    def __init__(self, command: Command, *, order: WordOrder, switches: FaultSwitches) -> None:
        self.command = command
        self.name = command.name
        self.address = command.number.address
        self.words: Words = ()
        self.inside: Inside | None = None
        self._order = order
        self._switches = switches

    def measure(self, _instant_s: float, truth: Truth) -> None:
        """Looks at the plant."""
        self.words = self.command.number.to_words(truth(self.name), self._order)
        self.inside = self.command.number.to_inside(self.words, self._order)

    def publish(self) -> None:
        """Nothing more to do: a command shows at once."""

    def words_on_wire(self) -> Words:
        """The words for one more answer."""
        return self.words[::-1] if self._switches.swapped else self.words

    def value_of(self, words: Words) -> Inside | None:
        """The inside value of raw words that are to be written; None for the invalid mark."""
        return self.command.number.to_inside(words[::-1] if self._switches.swapped else words, self._order)


Content = Measured | Commanded
