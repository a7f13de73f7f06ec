"""Weather of Beijing in winter by seed: outdoor temperature and humidity at any instant. No sun, no wind.

The temperature is a normal course of the year, plus an offset of the winter (mild or cold), plus two persistent daily
anomalies (a passing front, a slow spell), plus the swing of the day with its own strength, plus a small ripple of the
hour. All of it is computed from the seed and the index of the day or hour, so that any instant can be asked for first.
Levels are tuned to the statistics of the measured city station (winter mean, minimum, daily swing, persistence); no
measured value is contained here.
"""

import math

from hil_sim.plant.noise import normal

LOCAL_OFFSET_S = 8 * 3600
"""Beijing keeps UTC+8 the whole year. Source: IANA time zone data base, Asia/Shanghai since 1991."""
DAY_S = 86400
HOUR_S = 3600
DAYS_PER_YEAR = 365.2425

# Tuned to the statistics of a city station in the winters 2013/14 and 2014/15 (PRSA data, UCI data set 501).
YEAR_MEAN_DEGC = 12.9
YEAR_AMPLITUDE_K = 14.4
COLDEST_DAY_OF_YEAR = 12.0
WINTER_OFFSET_K = -0.05
WINTER_OFFSET_SD_K = 0.6
FRONT_SD_K = 2.55
FRONT_KEEP = 0.42
FRONT_DAYS = 8
SPELL_SD_K = 0.9
SPELL_KEEP = 0.9
SPELL_DAYS = 40
SWING_MEAN_K = 9.8
SWING_SD_K = 4.8
SWING_MIN_K = 1.5
SWING_MAX_K = 18.0
RIPPLE_SD_K = 0.65
COLDEST_HOUR = 6.6
WARMEST_HOUR = 14.6
# The evening cools quickly at first, then slowly: the exponent bends the cosine of the falling side.
FALLING_BEND = 0.68
DEW_POINT_DEPRESSION_K = 12.5
DEW_POINT_DEPRESSION_SD_K = 5.5
DEW_POINT_DEPRESSION_MIN_K = 0.5


def _swing_shape(local_hour: float) -> float:
    """Departure from the mean of the day at a local hour, for a swing of 1 from lowest to highest."""
    rising_h = WARMEST_HOUR - COLDEST_HOUR
    since_coldest_h = (local_hour - COLDEST_HOUR) % 24.0
    if since_coldest_h < rising_h:
        height = 0.5 - 0.5 * math.cos(math.pi * since_coldest_h / rising_h)
    else:
        share = ((since_coldest_h - rising_h) / (24.0 - rising_h)) ** FALLING_BEND
        height = 0.5 + 0.5 * math.cos(math.pi * share)
    return height


_SHAPE_MEAN = sum(_swing_shape(minute / 60.0) for minute in range(0, 1440, 10)) / 144.0


class Weather:
    """Outdoor air by seed.

    Args:
        seed: the same seed gives the same weather.
        shift_k: added to every temperature [K]; -1.3 makes a mild winter a cold one.
    """

    __slots__ = (
        "_depressions_k",
        "_fronts_k",
        "_hours_degc",
        "_offsets_k",
        "_seed",
        "_shift_k",
        "_spells_k",
        "_swings_k",
    )

    def __init__(self, seed: int, *, shift_k: float = 0.0) -> None:
        self._seed = seed
        self._shift_k = shift_k
        self._hours_degc: dict[int, float] = {}
        self._fronts_k: dict[int, float] = {}
        self._spells_k: dict[int, float] = {}
        self._swings_k: dict[int, float] = {}
        self._depressions_k: dict[int, float] = {}
        self._offsets_k: dict[int, float] = {}

    def outdoor_degc(self, instant_s: float) -> float:
        """Dry bulb temperature [degC] at an instant [s since 1970 UTC]."""
        position = instant_s / HOUR_S
        hour = int(position // 1)
        share = position - hour
        hours_degc = self._hours_degc
        before_degc = hours_degc.get(hour)
        if before_degc is None:
            before_degc = hours_degc[hour] = self._at_hour(hour)
        after_degc = hours_degc.get(hour + 1)
        if after_degc is None:
            after_degc = hours_degc[hour + 1] = self._at_hour(hour + 1)
        return before_degc + (after_degc - before_degc) * share

    def humidity_percent(self, instant_s: float) -> float:
        """Relative humidity [%], from a dew point that changes slowly and does not follow the hour of the day.

        Source: Magnus formula with the constants of WMO-No. 8, Guide to Instruments and Methods of Observation,
            annex 4.B.
        """
        outdoor_degc = self.outdoor_degc(instant_s)
        position = (instant_s + LOCAL_OFFSET_S) / DAY_S - 0.5
        day = int(position // 1)
        share = position - day
        mean_degc = self._mean_degc(position + 0.5, day, share=share)
        depression_k = (1.0 - share) * self._depression_k(day) + share * self._depression_k(day + 1)
        dew_point_degc = mean_degc - depression_k
        ratio = _vapour_pressure_hpa(dew_point_degc) / _vapour_pressure_hpa(outdoor_degc)
        return min(98.0, max(8.0, 100.0 * ratio))

    def _at_hour(self, hour: int) -> float:
        local_s = hour * HOUR_S + LOCAL_OFFSET_S
        # Daily numbers stand at local noon; straight lines between them, so that midnight shows no step.
        position = local_s / DAY_S - 0.5
        day = int(position // 1)
        share = position - day
        swing_k = (1.0 - share) * self._swing_k(day) + share * self._swing_k(day + 1)
        local_hour = (local_s % DAY_S) / HOUR_S
        return (
            self._mean_degc(position + 0.5, day, share=share)
            + swing_k * (_swing_shape(local_hour) - _SHAPE_MEAN)
            + RIPPLE_SD_K * normal(self._seed, "ripple", hour)
        )

    def _mean_degc(self, local_day: float, day: int, *, share: float) -> float:
        """Temperature without the swing of the day, at a local time counted in days since 1970."""
        phase = 2.0 * math.pi * ((local_day % DAYS_PER_YEAR) - COLDEST_DAY_OF_YEAR) / DAYS_PER_YEAR
        normal_degc = YEAR_MEAN_DEGC - YEAR_AMPLITUDE_K * math.cos(phase)
        return normal_degc + self._shift_k + (1.0 - share) * self._anomaly_k(day) + share * self._anomaly_k(day + 1)

    def _anomaly_k(self, day: int) -> float:
        front_k = self._fronts_k.get(day)
        if front_k is None:
            front_k = self._fronts_k[day] = FRONT_SD_K * self._persistent(
                "front", day, keep=FRONT_KEEP, days=FRONT_DAYS
            )
        spell_k = self._spells_k.get(day)
        if spell_k is None:
            spell_k = self._spells_k[day] = SPELL_SD_K * self._persistent(
                "spell", day, keep=SPELL_KEEP, days=SPELL_DAYS
            )
        winter = int((day - 182) / DAYS_PER_YEAR)  # counted from summer to summer: one offset for one winter
        offset_k = self._offsets_k.get(winter)
        if offset_k is None:
            offset_k = self._offsets_k[winter] = WINTER_OFFSET_K + WINTER_OFFSET_SD_K * normal(
                self._seed, "winter", winter
            )
        return front_k + spell_k + offset_k

    def _persistent(self, name: str, day: int, *, keep: float, days: int) -> float:
        total = sum(keep**lag * normal(self._seed, name, day - lag) for lag in range(days))
        return float(total * math.sqrt((1.0 - keep * keep) / (1.0 - keep ** (2 * days))))

    def _swing_k(self, day: int) -> float:
        swing_k = self._swings_k.get(day)
        if swing_k is None:
            swing_k = SWING_MEAN_K + SWING_SD_K * normal(self._seed, "swing", day)
            swing_k = self._swings_k[day] = min(SWING_MAX_K, max(SWING_MIN_K, swing_k))
        return swing_k

    def _depression_k(self, day: int) -> float:
        depression_k = self._depressions_k.get(day)
        if depression_k is None:
            depression_k = DEW_POINT_DEPRESSION_K + DEW_POINT_DEPRESSION_SD_K * normal(self._seed, "dew", day)
            depression_k = self._depressions_k[day] = max(DEW_POINT_DEPRESSION_MIN_K, depression_k)
        return depression_k


def _vapour_pressure_hpa(degc: float) -> float:
    return 6.112 * math.exp(17.62 * degc / (243.12 + degc))
