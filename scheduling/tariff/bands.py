"""The bands of a day, dearest first, and their names in tariff files and for people."""

from collections.abc import Mapping
from typing import Literal

from pydantic import AliasChoices

Band = Literal["sharp", "peak", "flat", "valley", "deep_valley"]

BANDS: tuple[Band, ...] = ("sharp", "peak", "flat", "valley", "deep_valley")
BAND_ZH: Mapping[str, str] = {"sharp": "尖峰", "peak": "峰", "flat": "平", "valley": "谷", "deep_valley": "深谷"}
ALIASES: Mapping[str, tuple[str, ...]] = {
    "sharp": ("尖峰",),
    "peak": ("峰", "高峰"),
    "flat": ("平", "平段"),
    "valley": ("谷", "低谷"),
    "deep_valley": ("深谷",),
}


def band_alias(name: Band) -> AliasChoices:
    """The keys under which a band may stand in a file."""
    return AliasChoices(name, *ALIASES[name])
