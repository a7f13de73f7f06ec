"""Temperature that a water or ground source is expected to have while heat is drawn from it; from its own last days.

A field that rests warms up and one that is drawn on cools down by several kelvin within hours: what the units see at
this moment says little of the night. Air is forecast, not looked up here.
"""

import math
from collections.abc import Sequence
from typing import Final

LOOK_BACK_H: Final = 48
"""Hours that count [h]: two days, so that every hour of the tariff is in it twice."""
DRAWN_KW_MIN: Final = 20.0
"""An hour with less heat drawn says nothing: what the sensor sees then is the plant room."""
DRAWN_HOURS_MIN: Final = 3
"""With fewer hours that count nothing is said."""


def drawn_at_degc(inlet_degc: Sequence[float], heat_kw: Sequence[float]) -> float | None:
    """Mean temperature of the water that came from a source, each hour weighed with the heat drawn in it [degC].

    Args:
        inlet_degc: hourly means; NaN where an hour is not known.
        heat_kw: heat drawn in the same hours, of either sign.

    Returns:
        The mean, or None where too few hours are known.
    """
    hours = [
        (degc, abs(kw))
        for degc, kw in zip(inlet_degc, heat_kw, strict=True)
        if math.isfinite(degc) and math.isfinite(kw) and abs(kw) >= DRAWN_KW_MIN
    ]
    if len(hours) < DRAWN_HOURS_MIN:
        return None
    return sum(degc * kw for degc, kw in hours) / sum(kw for _, kw in hours)
