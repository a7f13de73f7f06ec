"""What a price may depend on that no tariff file can know: how hot a day was, how much the meter has counted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """Given by the caller; what is missing is unknown, and a price that would need it says so in a warning.

    Attributes:
        day_max_degc: maximum temperature of days, measured or forecast [degC]; the file's own figures come first.
        hot_when_unknown: the scenario for days without a figure: False, no trigger (the default); True, triggered.
        used_kwh: what the meter has counted since the ladder's year or month began [kWh]; None: unknown.
        used_at_utc: the instant of that count.
    """

    day_max_degc: Mapping[date, float] = field(default_factory=dict)
    hot_when_unknown: bool = False
    used_kwh: float | None = None
    used_at_utc: datetime | None = None


NO_FACTS = Facts()
