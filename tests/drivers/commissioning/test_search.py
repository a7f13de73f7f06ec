"""Finding a register by the number on the screen: every type, order, scale, sign and neighbouring address."""

import itertools
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.commissioning.encoding import ENCODINGS, Encoding
from drivers.commissioning.expected import Expected, parse_expected
from drivers.commissioning.search import Candidate, Declared, Found, Look, search
from drivers.errors import GiveUpPoint
from drivers.profile import Order

STATED = 100
"""Address that the documents state; the true one is up to one register away."""
BITS = {"u16": 16, "i16": 16, "u32": 32, "i32": 32, "f32": 32, "u64": 64, "i64": 64}
SIGNED = ("i16", "i32", "i64", "f32")
ORDERS = {"AB": (0, 0), "BA": (0, 1), "ABCD": (0, 0), "CDAB": (1, 0), "BADC": (0, 1), "DCBA": (1, 1)}
NUMBERS = {16: (4817, 2314), 32: (2_314_562, 123_456), 64: (23_145_612_345, 9_876_543_210)}
"""Raw numbers that need their type's size: a smaller one could not tell it from the next smaller type."""


@dataclass(frozen=True)
class Meter:
    """A number in registers, written by code that shares nothing with what is tested."""

    kind: str
    letters: str
    offset: int
    power: int

    @property
    def address(self) -> int:
        return STATED + self.offset

    def words(self, raw: float) -> list[int]:
        form = {"f32": ">f", "u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "u64": ">Q", "i64": ">q"}[self.kind]
        data = struct.pack(form, raw)
        words = [data[place : place + 2] for place in range(0, len(data), 2)]
        swap_words, swap_bytes = ORDERS[self.letters]
        words = [word[::-1] if swap_bytes else word for word in words]
        return [int.from_bytes(word, "big") for word in (words[::-1] if swap_words else words)]

    def look(self, raw: float, *, salt: int, quiet: bool = False) -> Look:
        """Its registers among others that move from look to look, and its screen."""
        dice = random.Random(f"{self}{salt}")  # noqa: S311 - a repeatable meter
        image = {
            (function, address): 0 if quiet else dice.choice((dice.randrange(1, 3000), dice.randrange(1, 65536)))
            for function in (3, 4)
            for address in range(STATED - 3, STATED + 6)
        }
        for place, word in enumerate(self.words(raw)):
            image[3, self.address + place] = word
        places = max(0, -self.power) if self.kind != "f32" else 2
        return Look(image, parse_expected(f"{raw * 10.0**self.power:.{places}f}"))

    def is_it(self, candidate: Candidate) -> bool:
        same_kind = {candidate.encoding.type, candidate.encoding.twin} & {self.kind, Encoding(self.kind).twin} - {None}
        letters = candidate.encoding.letters
        return (
            candidate.function == 3
            and candidate.address == self.address
            and candidate.scale == Fraction(10) ** self.power
            and bool(same_kind)
            and (letters == self.letters or (BITS[self.kind] == 64 and _long(self.letters) == letters))
        )


def _long(letters: str) -> str:
    return {"ABCD": "ABCDEFGH", "CDAB": "GHEFCDAB", "BADC": "BADCFEHG", "DCBA": "HGFEDCBA"}[letters]


def meters() -> Iterator[tuple[Meter, int | float]]:
    for kind, bits in BITS.items():
        letters = ("AB", "BA") if bits == 16 else ("ABCD", "CDAB", "BADC", "DCBA")
        powers = (0, -3) if kind == "f32" else (-3, -2, -1, 0, 1, 2)
        for order, offset, power in itertools.product(letters, (-1, 0, 1), powers):
            for raw in (231.47, 48213.6) if kind == "f32" else NUMBERS[bits]:
                value = raw * 1000 if kind == "f32" and power else raw
                yield Meter(kind, order, offset, power), value
                if kind in SIGNED:
                    yield Meter(kind, order, offset, power), -value


def test_every_order_offset_scale_type_and_sign() -> None:
    """100 %: never a wrong decision, always listed, and decided by two numbers at the latest."""
    counts = {"meters": 0, "decided by one": 0, "decided by two": 0}
    for meter, raw in meters():
        other = raw * 1.0837 if meter.kind == "f32" else round(raw * 1.0837)
        looks = [meter.look(raw, salt=1), meter.look(other, salt=2)]
        stated = Declared(function=3, address=STATED)
        one = search(looks[:1], declared=stated)
        assert any(map(meter.is_it, one.candidates)), (meter, raw, looks[0].expected)
        counts["meters"] += 1
        if one.decided:
            assert meter.is_it(one.candidates[0]), (meter, raw, one.candidates[:2])
            counts["decided by one"] += 1
            continue
        two = search(looks, declared=stated)
        assert two.decided, (meter, raw, two.candidates[:3])
        assert meter.is_it(two.candidates[0]), (meter, raw, two.candidates[:2])
        counts["decided by two"] += 1
    assert counts["meters"] == 1176
    assert counts["decided by one"] > 0.5 * counts["meters"], counts


def test_a_small_number_is_not_decided_between_sizes_and_reads_right_either_way() -> None:
    """A u32 whose upper word is 0 is a u16 as well: both are listed, and both show the number."""
    meter = Meter("u32", "ABCD", 0, -1)
    found = search([meter.look(4821, salt=1, quiet=True)], declared=Declared(function=3, address=STATED))
    assert not found.decided
    assert meter.is_it(found.candidates[0])
    assert [one.value for one in (found.candidates[0], *found.rivals)] == pytest.approx(
        [482.1] * (1 + len(found.rivals))
    )
    stated = Declared(3, STATED, Encoding("u32"), Fraction(1, 10))
    documented = search([meter.look(4821, salt=1, quiet=True)], declared=stated)
    assert documented.decided
    assert documented.as_documented


def test_one_number_of_two_digits_decides_nothing() -> None:
    meter = Meter("u16", "AB", 0, 0)
    found = search([meter.look(48, salt=1)], declared=Declared(function=3, address=STATED))
    assert not found.decided
    assert any(map(meter.is_it, found.candidates))


def test_energy_in_another_unit_is_found() -> None:
    """The screen shows gigajoules, the register counts kilowatt-hours."""
    meter = Meter("u32", "CDAB", 1, 0)
    image = meter.look(641_823, salt=1).image
    found = search([Look(image, parse_expected("2310.56GJ"))], declared=Declared(function=3, address=STATED))
    first = found.candidates[0]
    assert (first.address, first.encoding.letters, first.unit, first.scale) == (101, "CDAB", "kWh", 1)


def test_a_number_that_moved_while_it_was_typed_is_offered_and_not_decided() -> None:
    meter = Meter("f32", "ABCD", 0, 0)
    image = meter.look(231.47, salt=1).image
    stated = Declared(function=3, address=STATED, encoding=Encoding("f32"))
    found = search([Look(image, parse_expected("231.9"))], declared=stated)
    assert found.candidates[0].moving
    assert meter.is_it(found.candidates[0])
    assert not found.decided


def test_nothing_fits_nothing() -> None:
    found = search([Look({(3, 0): 0, (3, 1): 0}, Expected(231.4, 0.1))])
    assert found == Found(())
    assert not found.decided


@given(st.lists(st.integers(0, 65535), min_size=4, max_size=4), st.sampled_from(ENCODINGS))
def test_any_registers_give_a_number_or_none(words: list[int], encoding: Encoding) -> None:
    number = encoding.number(words[: encoding.registers])
    assert number is None or number - number == 0


def test_letters_are_those_of_the_data_sheets() -> None:
    sheet = bytes.fromhex("41 42 43 44")
    for letters, (swap_words, swap_bytes) in list(ORDERS.items())[2:]:
        wire = letters.encode()
        registers = [int.from_bytes(wire[:2], "big"), int.from_bytes(wire[2:], "big")]
        encoding = Encoding("u32", list(Order)[swap_words], list(Order)[swap_bytes])
        assert encoding.letters == letters
        assert encoding.number(registers) == int.from_bytes(sheet, "big")


@pytest.mark.parametrize(
    ("text", "value", "step", "unit"),
    [
        ("23145.6", 23145.6, 0.1, ""),
        ("23145.6GJ", 23145.6, 0.1, "GJ"),
        (" 48,20 ℃ ", 48.2, 0.01, "degC"),
        ("-3.5kw", -3.5, 0.1, "kW"),
        ("１２３．４", 123.4, 0.1, ""),  # noqa: RUF001 - a Chinese keyboard
        ("1_000 kWh", 1000.0, 1.0, "kWh"),
        ("12.5 m³/h", 12.5, 0.1, "m3/h"),
        ("100度", 100.0, 1.0, "kWh"),
    ],
)
def test_what_people_type(text: str, value: float, step: float, unit: str) -> None:
    assert parse_expected(text) == Expected(pytest.approx(value), pytest.approx(step), unit)


@pytest.mark.parametrize("text", ["", "abc", "0", "0.00kWh", "12 parsecs", "1.2.3", "--4", "nan", "inf", "1e5000"])
def test_what_is_no_number_is_refused_in_both_languages(text: str) -> None:
    with pytest.raises(GiveUpPoint, match="--expect"):
        parse_expected(text)


def test_a_register_of_coarse_steps_is_not_taken_for_a_precise_number() -> None:
    """5 x 10 degC lies within half a step of 46.73 degC, as every small register would."""
    assert search([Look({(3, 25): 5}, parse_expected("46.73degC"))]).candidates == ()
