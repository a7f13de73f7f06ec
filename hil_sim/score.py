"""The truth's own counts: what a run cost and delivered, and whether anything was lost, wrong or against the rules.

Every figure comes from the simulated side: the plant's sums and its checker, the wire log, the city platform's books,
and what `edge-agent export` hands out afterwards, compared with them. Only `plans` and `plan_seconds_median` are the
agent's word. What a run cannot know is None.
"""

import asyncio
import csv
import math
import os
import sys
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from hil_sim.plant.performance import LOAD_RATIO_MIN, electric_ratio, full_load
from hil_sim.plant.truth import Truth
from hil_sim.wire_log import WireLog

# ------------------------------------------------------------------------------------------------------------- money
# The simulator's own table, written apart from the agent's tariff.yaml: Beijing, commerce and industry, two-part,
# 1-10 kV, as it holds in January and December; other months have no sharp band.
# Source: 京发改规 (2023) 11号 (hours, ratios on the purchase price only); price level of 2026-08, one source.
BAND_HOURS: Final[Sequence[tuple[int, int, str]]] = (
    (0, 7, "valley"),
    (7, 10, "flat"),
    (10, 13, "peak"),
    (13, 17, "flat"),
    (17, 22, "peak"),
    (22, 23, "flat"),
    (23, 24, "valley"),
)
SHARP_HOURS: Final[Mapping[int, Sequence[tuple[int, int]]]] = MappingProxyType(
    {1: ((18, 21),), 12: ((18, 21),), 7: ((11, 13), (16, 17)), 8: ((11, 13), (16, 17))}
)
PURCHASE_CNY_PER_KWH: Final = 0.389702
OTHER_COMPONENTS_CNY_PER_KWH: Final = 0.012228 + 0.205 - 0.012133 + 0.02716875
BAND_RATIOS: Final[Mapping[str, float]] = MappingProxyType({"sharp": 1.92, "peak": 1.6, "flat": 1.0, "valley": 0.4})
BAND_CNY_PER_KWH: Final[Mapping[str, float]] = MappingProxyType(
    {band: PURCHASE_CNY_PER_KWH * ratio + OTHER_COMPONENTS_CNY_PER_KWH for band, ratio in BAND_RATIOS.items()}
)
UNITS: Final = 4
UNIT_PUMPS_KW: Final = 16.0
STATION_KW: Final = 20.0
"""Of the example plant: source and user pump of a unit; load pump and house."""
CHARGING_COP: Final = 3.3
"""Units at 55 degC leaving, pumps included: values the heat in the tank. Design assumption of the example plant."""


def direct_electric_kw(load_kw: float, *, supply_degc: float, source_degc: float) -> float:
    """Electricity [kW] of the plant if it made a load straight from its units, as few as can carry it, shared evenly.

    Args:
        load_kw: heat that the building takes.
        supply_degc: temperature of the supply, taken as the units' leaving temperature.
        source_degc: water from the ground.
    """
    full_heat_kw, full_electric_kw = full_load(source_degc, supply_degc)
    units = min(UNITS, max(1, math.ceil(load_kw / full_heat_kw)))
    load_ratio = min(1.0, max(LOAD_RATIO_MIN, load_kw / (units * full_heat_kw)))
    made_kw = units * load_ratio * full_heat_kw
    running_ratio = min(1.0, load_kw / made_kw)  # below the lowest load a unit runs for part of the time
    units_kw = units * (full_electric_kw * electric_ratio(load_ratio, supply_degc) + UNIT_PUMPS_KW)
    return units_kw * running_ratio + STATION_KW


def band_of(local: datetime) -> str:
    """The price band of an instant in Beijing."""
    if any(first <= local.hour < last for first, last in SHARP_HOURS.get(local.month, ())):
        return "sharp"
    return next(band for first, last, band in BAND_HOURS if first <= local.hour < last)


def bands_between(first: datetime, last: datetime) -> list[tuple[datetime, datetime, str]]:
    """The runs of equal bands that cover [first, last), instants in the site's zone; the first may begin earlier."""
    found: list[tuple[datetime, datetime, str]] = []
    hour = first.replace(minute=0, second=0, microsecond=0)
    while hour < last:
        following = (hour.astimezone(UTC) + timedelta(hours=1)).astimezone(first.tzinfo)
        band = band_of(hour)
        if found and found[-1][2] == band:
            found[-1] = (found[-1][0], following, band)
        else:
            found.append((hour, following, band))
        hour = following
    return found


@dataclass(slots=True)
class Tally:
    """Sums what the plant's truth does not split itself: money and charged heat by price band.

    Attributes:
        cost_cny: energy price of the plant's electricity; no demand charge.
        no_storage_cny: what the same heat would have cost without storage: the load of each minute at its supply
            temperature, made by the units at once (`direct_electric_kw`), paid at the price of that minute.
        charged_kwh: heat brought into the tank, by band.
        electricity_kwh: by band.
        last: the latest truth.
    """

    zone: ZoneInfo
    cost_cny: float = 0.0
    no_storage_cny: float = 0.0
    charged_kwh: dict[str, float] = field(default_factory=dict)
    electricity_kwh: dict[str, float] = field(default_factory=dict)
    first: Truth | None = None
    last: Truth | None = None

    def add(self, truth: Truth) -> None:
        """Takes the plant's truth after another stretch."""
        before = self.last
        self.last = truth
        if before is None:
            self.first = truth
            return
        middle = datetime.fromtimestamp((before.instant_s + truth.instant_s) / 2.0, self.zone)
        band = band_of(middle)
        price = BAND_CNY_PER_KWH[band]
        electricity_kwh = truth.electricity_kwh - before.electricity_kwh
        self.electricity_kwh[band] = self.electricity_kwh.get(band, 0.0) + electricity_kwh
        self.cost_cny += electricity_kwh * price
        charged_kwh = truth.heat_charged_kwh - before.heat_charged_kwh
        self.charged_kwh[band] = self.charged_kwh.get(band, 0.0) + charged_kwh
        hours = (truth.instant_s - before.instant_s) / 3600.0
        if hours > 0.0:
            load_kw = (truth.heat_delivered_kwh - before.heat_delivered_kwh) / hours
            direct_kw = direct_electric_kw(load_kw, supply_degc=truth.supply_degc, source_degc=truth.source_inlet_degc)
            self.no_storage_cny += direct_kw * hours * price

    def stored_heat_cny(self) -> float:
        """Cost of the heat that lies in the tank beyond the first level, bought in the valley; below it: less than 0.

        Without it a run would look dear while it charges, and cheap when it ends with an empty tank.
        """
        if self.first is None or self.last is None:
            return 0.0
        return (self.last.stored_kwh - self.first.stored_kwh) / CHARGING_COP * BAND_CNY_PER_KWH["valley"]

    def charged_valley_ratio(self) -> float | None:
        """Share of the charged heat that was bought in the valley; None when nothing was charged."""
        total_kwh = sum(self.charged_kwh.values())
        return self.charged_kwh.get("valley", 0.0) / total_kwh if total_kwh > 0.0 else None


# ----------------------------------------------------------------------------------------------------------- samples
VALUE_TOLERANCE_RELATIVE: Final = 1e-6
VALUE_TOLERANCE: Final = 1e-9
"""Both sides turn the same registers into a number, each by its own arithmetic."""
SERVED_LATE_S: Final = 0.001
"""An answer is logged before its first byte leaves and stamped by the agent when complete; this covers rounding."""
VALID_QUALITY: Final = 192
HELD_BEFORE_S: Final = 600.0
"""A reading holds until the next one: what was served this long before a period may still count in it [s]."""
REPORTED_TOLERANCE_RELATIVE: Final = 1e-6
WRONG_SHOWN_MAX: Final = 20
GOOD_MARKS: Final = frozenset({"GOOD", "good", "192"})


@dataclass(frozen=True, slots=True)
class ExportedSample:
    """A line of `edge-agent export`."""

    point: str
    instant_s: float
    value: float | None
    good: bool
    frame: int


@dataclass(frozen=True, slots=True)
class SampleVerdict:
    """What the export says against promises and wire log.

    Attributes:
        accepted: exported samples.
        lost_frames: promised and not exported.
        wrong_count: GOOD samples whose value was not the one on the wire.
        wrong: the first of them, in words.
    """

    accepted: int
    lost_frames: tuple[int, ...]
    wrong_count: int
    wrong: tuple[str, ...]


def read_export(lines: Iterable[str]) -> Iterator[ExportedSample]:
    """Reads what `edge-agent export --format csv` wrote.

    Raises:
        KeyError: a column is missing.
        ValueError: a field cannot be read.
    """
    for row in csv.DictReader(lines):
        text = row["value"]
        yield ExportedSample(
            point=row["point"],
            instant_s=datetime.fromisoformat(row["instant_utc"]).timestamp(),
            value=float(text) if text else None,
            good=row["quality"] in GOOD_MARKS,
            frame=int(row["frame"]),
        )


def judge_samples(exported: Iterable[ExportedSample], *, promised: Collection[int], log: WireLog) -> SampleVerdict:
    """Compares an export with the frames promised and with what was served on the wires."""
    accepted = wrong_count = 0
    wrong: list[str] = []
    frames: set[int] = set()
    for sample in exported:
        accepted += 1
        frames.add(sample.frame)
        if not sample.good:
            continue
        fault = _fault(sample, log)
        if fault is not None:
            wrong_count += 1
            if len(wrong) < WRONG_SHOWN_MAX:
                wrong.append(fault)
    return SampleVerdict(
        accepted=accepted,
        lost_frames=tuple(sorted(set(promised) - frames)),
        wrong_count=wrong_count,
        wrong=tuple(wrong),
    )


def _fault(sample: ExportedSample, log: WireLog) -> str | None:
    device, _, quantity = sample.point.partition(".")
    served, value = log.latest(device, quantity, until_s=sample.instant_s + SERVED_LATE_S)
    if served and value is not None and sample.value is not None:
        limit = max(VALUE_TOLERANCE, VALUE_TOLERANCE_RELATIVE * abs(value))
        if math.isfinite(sample.value) and abs(sample.value - value) <= limit:
            return None
    shown = f"served {value}" if served else "never served"
    instant = datetime.fromtimestamp(sample.instant_s, UTC).isoformat()
    return f"{sample.point} {instant} frame {sample.frame}: exported {sample.value}, {shown}"


async def export_samples(*, config: Path, first_s: float, last_s: float, target: Path) -> int:
    """Runs `edge-agent export` as a process of its own; returns its exit status.

    Args:
        config: folder of the agent's configuration.
        first_s: from this instant [s since 1970 UTC].
        last_s: to this one.
        target: receives the CSV; what goes to stderr lies beside it as NAME.err.
    """
    bounds = [
        datetime.fromtimestamp(instant_s, UTC).isoformat().replace("+00:00", "Z") for instant_s in (first_s, last_s)
    ]
    with target.open("wb") as out, target.with_suffix(".err").open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_agent", "export", "--config", str(config)),
            *("--from", bounds[0], "--to", bounds[1], "--format", "csv"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            env=os.environ | {"PYTHONSAFEPATH": "1"},
        )
        try:
            return await process.wait()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise


# ----------------------------------------------------------------------------------------------------------- records
@dataclass(frozen=True, slots=True)
class RecordVerdict:
    """What the platform holds of what was due.

    Attributes:
        due: periods that ended before the plant stopped.
        acknowledged: of these, held by the platform and acknowledged.
        lost: of these, not held.
        duplicated: deliveries of records that the platform held already.
    """

    due: int
    acknowledged: int
    lost: tuple[datetime, ...]
    duplicated: int


@dataclass(frozen=True, slots=True)
class ValueVerdict:
    """What the platform holds inside the records, value by value.

    Attributes:
        held: values of due periods that it holds, valid or not.
        valid: of these, those reported as valid.
        wrong: valid values that the wires cannot have led to; the first of them in words.
        wrong_count: how many there are.
    """

    held: int
    valid: int
    wrong: tuple[str, ...]
    wrong_count: int


def judge_values(
    points: Iterable[tuple[str, str, str]],
    *,
    due: Sequence[datetime],
    period_s: float,
    readings: Callable[[str], Mapping[datetime, tuple[float | None, int]]],
    log: WireLog,
) -> ValueVerdict:
    """Holds every reported value against what was served on the wires in its period.

    A last value must be one that was served; a mean or an extreme must lie within what was served, from a little before
    the period on, because a reading holds until the next one.

    Args:
        points: (point, code, aggregate) of everything that is reported.
        due: begins of the periods.
        period_s: their length [s].
        readings: value and quality held under a code, by begin of the period.
        log: what was served.
    """
    held = valid = 0
    wrong: list[str] = []
    for point, code, aggregate in points:
        device, _, quantity = point.partition(".")
        instants_s, values = log.served.get((device, quantity), ([], []))
        known = readings(code)
        for begin in due:
            if begin not in known:
                continue
            held += 1
            value, quality = known[begin]
            if quality != VALID_QUALITY or value is None:
                continue
            valid += 1
            begin_s = begin.timestamp()
            first = bisect_left(instants_s, begin_s - HELD_BEFORE_S)
            served = [item for item in values[first : bisect_left(instants_s, begin_s + period_s)] if item is not None]
            if not _follows(value, served, aggregate=aggregate):
                wrong.append(f"{point} ({code}) {begin.isoformat()}: reported {value}, served {_span(served)}")
    return ValueVerdict(held, valid, tuple(wrong[:WRONG_SHOWN_MAX]), len(wrong))


def _follows(value: float, served: Sequence[float], *, aggregate: str) -> bool:
    if not served or not math.isfinite(value):
        return False
    slack = max(VALUE_TOLERANCE, REPORTED_TOLERANCE_RELATIVE * max(abs(item) for item in served))
    if aggregate == "last":
        return any(abs(value - item) <= slack for item in served)
    return min(served) - slack <= value <= max(served) + slack


def _span(served: Sequence[float]) -> str:
    return f"{min(served)} .. {max(served)}" if served else "nothing"


def periods_due(*, start_s: float, end_s: float, period_min: int) -> list[datetime]:
    """Begins of the periods that lie in a run: the first may have begun before it by less than a period."""
    period_s = period_min * 60
    first = math.floor(start_s / period_s)
    last = math.floor(end_s / period_s)  # the period with this number has not ended
    return [datetime.fromtimestamp(index * period_s, UTC) for index in range(first, last)]


def judge_records(*, due: Sequence[datetime], held: Collection[datetime], duplicated: int) -> RecordVerdict:
    """Compares what was due with what the platform holds; it acknowledges what it holds, and nothing else.

    Args:
        due: begins of the periods, UTC.
        held: begins of the periods of which the platform holds the record.
        duplicated: deliveries that brought nothing new, by the platform's count.
    """
    lost = tuple(period for period in due if period not in held)
    return RecordVerdict(due=len(due), acknowledged=len(due) - len(lost), lost=lost, duplicated=duplicated)


# ------------------------------------------------------------------------------------------------------------- score
@dataclass(frozen=True, slots=True)
class Run:
    """How a run went, apart from what the plant knows."""

    seed: int
    sim_s: float
    """From the first instant to the last."""
    counted_sim_s: float
    """The part of it that lies in `wall_s`."""
    wall_s: float
    """While the plant ran: start and drain not counted."""
    speed_wanted_ratio: float | None
    """None, with the three below: the run has no wires and no agent of its own."""
    slowdowns: int | None
    agent_starts: int | None
    baud: int | None
    plans: Mapping[str, int] | None
    plan_seconds_median: float | None


def score(
    run: Run,
    *,
    tally: Tally,
    violations: Sequence[str],
    samples: SampleVerdict | None,
    records: RecordVerdict | None,
    reported: ValueVerdict | None,
) -> dict[str, object]:
    """The score as it is printed: keys and meaning as the contract of the command line says; None: not known."""
    truth = tally.last
    assert truth is not None, "a run without a single step has no score"
    ratio = tally.charged_valley_ratio()
    return {
        "sim_hours": round(run.sim_s / 3600.0, 4),
        "wall_seconds": round(run.wall_s, 2),
        "speed_effective": round(run.counted_sim_s / run.wall_s, 1) if run.wall_s > 0.0 else None,
        "cost_cny": round(tally.cost_cny, 2),
        "no_storage_estimate_cny": round(tally.no_storage_cny, 2),
        "stored_heat_cny": round(tally.stored_heat_cny(), 2),
        "electricity_kwh": round(truth.electricity_kwh, 1),
        "electricity_kwh_by_band": {band: round(kwh, 1) for band, kwh in tally.electricity_kwh.items()},
        "peak_kw": round(truth.peak_kw, 1),
        "heat_delivered_kwh": round(truth.heat_delivered_kwh, 1),
        "unmet_heat_kwh": round(truth.unmet_heat_kwh, 1),
        "heat_charged_kwh": round(truth.heat_charged_kwh, 1),
        "heat_charged_valley_ratio": None if ratio is None else round(ratio, 4),
        "stored_kwh_first": None if tally.first is None else round(tally.first.stored_kwh, 1),
        "stored_kwh_last": round(truth.stored_kwh, 1),
        "discomfort_kelvin_hours": round(truth.discomfort_kelvin_hours, 4),
        "supply_degc_min": round(truth.supply_degc_min, 2),
        "avoidable_kelvin_hours": round(truth.avoidable_kelvin_hours, 4),
        "unit_starts": sum(unit.starts for unit in truth.units),
        "unit_starts_by_unit": {unit.name: unit.starts for unit in truth.units},
        "unit_starts_max": max(unit.starts for unit in truth.units),
        "protection_trips": truth.protection_trips,
        "thermostat_stops": truth.thermostat_stops,
        "invariant_violations": list(violations),
        "samples_accepted": None if samples is None else samples.accepted,
        "samples_lost": None if samples is None else len(samples.lost_frames),
        "wrong_values": None if samples is None else samples.wrong_count,
        "wrong_values_first": None if samples is None else list(samples.wrong),
        "records_due": None if records is None else records.due,
        "records_acknowledged": None if records is None else records.acknowledged,
        "records_lost": None if records is None else len(records.lost),
        "records_duplicated_at_platform": None if records is None else records.duplicated,
        "record_values_held": None if reported is None else reported.held,
        "record_values_valid": None if reported is None else reported.valid,
        "record_values_wrong": None if reported is None else reported.wrong_count,
        "record_values_wrong_first": [] if reported is None else list(reported.wrong),
        "plans": None if run.plans is None else {name: run.plans.get(name, 0) for name in ("milp", "relaxed", "rule")},
        "plan_seconds_median": run.plan_seconds_median,
        "energy_residual_relative": truth.energy_residual_relative,
        "seed": run.seed,
        "speed_wanted": run.speed_wanted_ratio,
        "slowdowns": run.slowdowns,
        "agent_starts": run.agent_starts,
        "line_baud": run.baud,
    }


ENERGY_RESIDUAL_MAX: Final = 1e-6
"""A balance that does not close by more than this means that the simulator is wrong, whatever the agent did."""


def failures(figures: Mapping[str, object], *, unknown: Collection[str] = ()) -> list[str]:
    """Why a run has failed by its score: invariants broken, anything lost or wrong. Empty: it has not.

    Args:
        figures: the score.
        unknown: figures that this run could not judge.
    """
    found = [f"invariant: {text}" for text in _texts(figures["invariant_violations"])]
    for key in ("samples_lost", "wrong_values", "records_lost", "record_values_wrong"):
        if key in unknown:
            continue
        value = figures[key]
        if value is None:
            found.append(f"{key}: not known")
        elif value:
            found.append(f"{key} = {value}")
    residual = figures["energy_residual_relative"]
    if not isinstance(residual, float) or not abs(residual) <= ENERGY_RESIDUAL_MAX:
        found.append(f"energy_residual_relative = {residual}")
    return found


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else []
