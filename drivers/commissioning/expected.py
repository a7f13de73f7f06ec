"""What a person reads on the screen of a meter and types in: a number with its digits, and perhaps its unit. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from drivers.errors import GiveUpPoint
from drivers.profile import INSIDE_UNIT
from drivers.profile_check import nearest

_FORM = re.compile(r"\s*([+-]?(?:\d[\d_]*)(?:[.,]\d+)?|[+-]?[.,]\d+)\s*([^\d\s].*?)?\s*")
_PLAIN_DIGITS = str.maketrans("０１２３４５６７８９．，－＋", "0123456789.,-+")  # noqa: RUF001 - what a Chinese keyboard types
_UNIT_WORDS = {
    "℃": "degC",
    "°C": "degC",
    "C": "degC",
    "度": "kWh",
    "千瓦": "kW",
    "千瓦时": "kWh",
    "吉焦": "GJ",
    "m³": "m3",
    "m³/h": "m3/h",
    "m^3": "m3",
    "m^3/h": "m3/h",
    "立方米": "m3",
}
"""What people write -> the unit as profiles name it; case is ignored besides."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A number on a screen.

    Attributes:
        value: the number, in `unit`.
        step: worth of its last digit shown; the true value lies less than this away, rounded or cut off.
        unit: as profiles name wire units; empty: none was typed.
    """

    value: float
    step: float
    unit: str = ""

    @property
    def shown(self) -> str:
        """As it was typed, without unit."""
        places = max(0, round(-Decimal(repr(self.step)).log10()))
        return f"{self.value:.{places}f}"


def parse_expected(text: str, *, units: Iterable[str] = INSIDE_UNIT) -> Expected:
    """Reads `23145.6`, `23145.6GJ`, `48,2 degC`, `-3.5 kW`.

    Raises:
        GiveUpPoint: not a number, an unknown unit, or zero (which every empty register shows).
    """
    match = _FORM.fullmatch(text.translate(_PLAIN_DIGITS))
    if match is None:
        raise GiveUpPoint(f"--expect {text!r}: 应为数值,可带单位,例如 23145.6GJ / a number with or without its unit")
    number = Decimal(match[1].replace(",", ".").replace("_", ""))
    if number == 0:
        raise GiveUpPoint(
            f"--expect {text!r}: 0 与任何空寄存器都相符,请在表计显示非零时再试 / "
            "every empty register shows 0: try while the meter shows something else"
        )
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return Expected(float(number), float(Decimal(1).scaleb(exponent)), _unit(text, match[2] or "", list(units)))


def _unit(text: str, word: str, units: list[str]) -> str:
    word = word.strip()
    word = _UNIT_WORDS.get(word, word)
    if not word or word in units:
        return word
    same = [unit for unit in units if unit.lower() == word.lower()]
    if len(same) == 1:
        return same[0]
    raise GiveUpPoint(f"--expect {text!r}: 未知单位 / unknown unit {word!r}{nearest(word, [u for u in units if u])}")
