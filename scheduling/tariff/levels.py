"""How much a kWh costs, from a date on: components, ratios of the bands, rounding, demand and capacity, ladder steps.

When which band holds is in `model`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Annotated, Literal, Self, TypeGuard

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from scheduling.tariff.bands import BANDS, Band, band_alias
from scheduling.tariff.form import Day, Entry, NotNegative, Spans, Text

NOISE_DIGITS = 12
"""Digits that a sum of prices is cut to before it is rounded: 0.85505 must not be 0.8550499999999999."""
_MODES = {"half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN, "down": ROUND_DOWN, "up": ROUND_UP}


@dataclass(frozen=True, slots=True)
class Relative:
    """A ratio that builds on another band's: `{of: peak, plus: 0.2}` is 20 % above the peak's."""

    of: Band
    plus_ratio: float


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ratio(value: object) -> float | Relative:
    if isinstance(value, Relative):
        return value
    if isinstance(value, Mapping):
        of, plus = value.get("of"), value.get("plus")
        if (
            set(value) != {"of", "plus"}
            or of not in BANDS
            or isinstance(plus, bool)
            or not isinstance(plus, int | float)
        ):
            raise PydanticCustomError(
                "relative_ratio", "应写成 {of: peak, plus: 0.2} / a relative ratio looks like {of: peak, plus: 0.2}"
            )
        if not -1 <= plus < float("inf"):
            raise PydanticCustomError("relative_ratio", "plus 不得小于 -1 / plus is at least -1")
        return Relative(of, float(plus))
    if not _is_number(value):
        raise PydanticKnownError("float_type")
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - NaN
        raise PydanticKnownError("finite_number")
    if value < 0:
        raise PydanticKnownError("greater_than_equal", {"ge": 0})
    return float(value)


_NUMBER_SCHEMA = {"type": "number", "minimum": 0}
_RELATIVE_SCHEMA = {
    "type": "object",
    "properties": {"of": {"enum": list(BANDS)}, "plus": {"type": "number", "minimum": -1}},
    "required": ["of", "plus"],
    "additionalProperties": False,
}
Ratio = Annotated[
    float | Relative, PlainValidator(_ratio), WithJsonSchema({"anyOf": [_NUMBER_SCHEMA, _RELATIVE_SCHEMA]})
]


class Ratios(Entry):
    """Ratio of each band's price to the flat price, on the named components only."""

    applies_to: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]
    """Components that the ratios act on."""
    sharp: Ratio | None = Field(default=None, validation_alias=band_alias("sharp"))
    """Ratio of the sharp peak; or relative to another band, {of: peak, plus: 0.2}."""
    peak: Ratio | None = Field(default=None, validation_alias=band_alias("peak"))
    """Ratio of the peak."""
    flat: NotNegative = Field(default=1.0, validation_alias=band_alias("flat"))
    """Ratio of the flat band."""
    valley: Ratio | None = Field(default=None, validation_alias=band_alias("valley"))
    """Ratio of the valley."""
    deep_valley: Ratio | None = Field(default=None, validation_alias=band_alias("deep_valley"))
    """Ratio of the deep valley."""

    @model_validator(mode="after")
    def _resolvable(self) -> Self:
        for band in BANDS:
            seen: set[str] = set()
            at: str = band
            while isinstance(ratio := getattr(self, at), Relative):
                if at in seen or getattr(self, ratio.of) is None:
                    raise PydanticCustomError(
                        "relative_ratio",
                        "相对倍率须以另一个写明倍率的时段为准,不得循环 / "
                        "a relative ratio builds on another band that has a ratio, not on itself",
                    )
                seen.add(at)
                at = ratio.of
        return self

    def of_band(self, band: str) -> float | None:
        """Ratio of a band; None when there is none.

        Source: tariff rules, `sharp = price_peak + s * r_peak * sum(c in S)`: 20 % above peak is 1.2 times its ratio.
        """
        ratio: float | Relative | None = getattr(self, band)
        if isinstance(ratio, Relative):
            base = self.of_band(ratio.of)
            return None if base is None else base * (1 + ratio.plus_ratio)
        return ratio


class BandPrices(Entry):
    """All-in price of each band [CNY/kWh]."""

    sharp: float | None = Field(default=None, validation_alias=band_alias("sharp"))
    """Price in the sharp peak."""
    peak: float | None = Field(default=None, validation_alias=band_alias("peak"))
    """Price in the peak."""
    flat: float | None = Field(default=None, validation_alias=band_alias("flat"))
    """Price in the flat band."""
    valley: float | None = Field(default=None, validation_alias=band_alias("valley"))
    """Price in the valley."""
    deep_valley: float | None = Field(default=None, validation_alias=band_alias("deep_valley"))
    """Price in the deep valley."""


class Rounding(Entry):
    """How the price of a kWh is rounded: last, once."""

    digits: Annotated[int, Field(ge=0, le=NOISE_DIGITS)]
    """Digits after the point of a price in CNY/kWh; 4 is 0.01 fen."""
    mode: Literal["half_up", "half_even", "down", "up"] = "half_up"
    """half_up is the usual 四舍五入."""

    def of(self, cny_per_kwh: float) -> float:
        """The rounded price [CNY/kWh]."""
        exact = Decimal(repr(round(cny_per_kwh, NOISE_DIGITS)))
        return float(exact.quantize(Decimal(1).scaleb(-self.digits), rounding=_MODES[self.mode]))


class Tier(Entry):
    """One step of a residential ladder."""

    up_to_kwh: Annotated[float, Field(gt=0)] | None = None
    """Where the step ends, on the consumption of the year or month [kWh]; the last step has no end."""
    add_cny_per_kwh: float
    """What is added to the price on this step [CNY/kWh]."""


CHARGES = frozenset({"demand_cny_per_kw_month", "capacity_cny_per_kva_month"})
"""Keys of what is charged by the month."""


class PriceVersion(Entry):
    """How much, from a date on; usually a new entry every month."""

    valid_from: Day
    """First date of these prices."""
    valid_to: Day | None = None
    """Last date for which they were published; absent: published month by month, so that another month warns."""
    source: Text
    """The notice they were taken from."""
    dates: Spans | None = None
    """Only these dates, such as the heating season's; the last entry of the list that holds on a date counts."""
    components_cny_per_kwh: dict[Text, float] | None = None
    """Additive parts of the price; the sum is the flat price. The system fee may be negative."""
    ratios: Ratios | None = None
    """How the bands differ from the flat price; goes with components."""
    more_ratios: Annotated[tuple[Ratios, ...], Field(strict=False)] = ()
    """Further ratios, on other components."""
    bands_cny_per_kwh: BandPrices | None = None
    """All-in prices instead of components and ratios."""
    rounding: Rounding | None = None
    """How the price of a kWh is rounded; absent: not at all."""
    demand_cny_per_kw_month: NotNegative | None = None
    """Demand price, on the month's highest demand."""
    capacity_cny_per_kva_month: NotNegative | None = None
    """Capacity price, on the transformer; instead of the demand price."""
    capacity_kva: Annotated[float, Field(gt=0)] | None = None
    """Transformer capacity; goes with the capacity price."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.components_cny_per_kwh is None) == (self.bands_cny_per_kwh is None):
            raise PydanticCustomError(
                "price_form",
                "components_cny_per_kwh 与 bands_cny_per_kwh 须且只须写一个 / "
                "write either components_cny_per_kwh or bands_cny_per_kwh",
            )
        if (self.components_cny_per_kwh is None) != (self.ratios is None):
            raise PydanticCustomError(
                "price_form", "components_cny_per_kwh 须配 ratios / components_cny_per_kwh go with ratios"
            )
        if self.more_ratios and self.ratios is None:
            raise PydanticCustomError("price_form", "more_ratios 须配 ratios / more_ratios go with ratios")
        if self.demand_cny_per_kw_month is not None and self.capacity_cny_per_kva_month is not None:
            raise PydanticCustomError("price_form", "需量电价与容量电价只能取一 / either a demand or a capacity price")
        if (self.capacity_cny_per_kva_month is None) != (self.capacity_kva is None):
            raise PydanticCustomError(
                "price_form",
                "capacity_cny_per_kva_month 须配 capacity_kva / capacity_cny_per_kva_month goes with capacity_kva",
            )
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise PydanticCustomError("price_form", "valid_to 不得早于 valid_from / valid_to is not before valid_from")
        return self

    @property
    def ratio_sets(self) -> tuple[Ratios, ...]:
        """Every set of ratios; no component is in two."""
        return () if self.ratios is None else (self.ratios, *self.more_ratios)

    def exact_by_component(self, band: str) -> dict[str, float] | None:
        """Price of a band before rounding, component by component [CNY/kWh]; None without a price for it.

        Source: tariff rules, `price_b = flat + (r_b - 1) * sum(c in S)`: the ratio acts on the listed components only.
        """
        if self.bands_cny_per_kwh is not None:
            price = getattr(self.bands_cny_per_kwh, band)
            return None if price is None else {"all": price}
        parts = dict(self.components_cny_per_kwh or {})
        for ratios in self.ratio_sets:
            ratio = ratios.of_band(band)
            if ratio is None:
                return None
            for name in ratios.applies_to:
                if name in parts:
                    parts[name] *= ratio
        return parts

    def rounded(self, parts: dict[str, float]) -> dict[str, float]:
        """The parts with one more, `rounding`, which makes their sum the rounded price [CNY/kWh]."""
        if self.rounding is None:
            return parts
        total = sum(parts.values())
        return {**parts, "rounding": self.rounding.of(total) - total}

    def by_component(self, band: str) -> dict[str, float] | None:
        """Price of a band, component by component [CNY/kWh]; None when the version has no price for it."""
        parts = self.exact_by_component(band)
        return None if parts is None else self.rounded(parts)
