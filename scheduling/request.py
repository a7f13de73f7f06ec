"""PlanRequest: everything a plan depends on, as one document (`plan-request/1`).

Attribute names are the keys of the document. The reader refuses what it does not know: an unknown key, a list of the
wrong length, NaN, a wrong sign, a curve that is not convex, a limit that is not concave; each with the JSON path of
the fault.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from scheduling.request_fault import fault_of, shape_fault
from scheduling.timegrid import SECONDS_PER_MINUTE, TimeGrid

Floats: TypeAlias = npt.NDArray[np.float64]

STEPS_MAX = 3_000
"""Most steps of a request: a month of quarter hours. More is no plan, and would take the machine's memory."""
HORIZON_H_MAX = 24.0 * 400
"""Longest plan [h]: a year and a month."""
START_UTC_MIN, START_UTC_MAX = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""A plan starts in a year that calendars can be reckoned in, before and after it."""
MINUTES_PER_HOUR = 60.0
NUMBER_MAX = 1e9
"""Greatest size of any number in a request: above any power, energy or price of a plant; products of two stay exact."""
EDGE_TOL_S = 1e-3
"""An edge this near counts as the same instant [s]: step lengths are floats."""
STORAGE_LIMITS_MAX = 100
"""Most time-limited limits of one store: each is an order of a person or a window of work."""
CURVE_TOL_RATIO = 2e-3
"""How far a point may stand off the convex (concave) shape, relative to its own value: rounding in nameplates, not a
shape."""


class Document(BaseModel):
    """Strict, frozen, no unknown key, no NaN."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, validate_by_name=True, validate_by_alias=True
    )


def _utc(value: datetime) -> datetime:
    if value.utcoffset() != timedelta(0):
        raise PydanticCustomError("not_utc", "needs an instant in UTC, written with Z")
    return value


def _iana(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise PydanticCustomError("unknown_zone", "unknown time zone") from error
    return value


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("bool", "needs a number, not true or false")
    return value


Instant = Annotated[datetime, AfterValidator(_utc)]
Zone = Annotated[str, AfterValidator(_iana)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[float, BeforeValidator(_no_bool)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, le=1)]
# A Python caller may hand lists or tuples; inside they are tuples, because a request never changes.
Series = Annotated[tuple[Number, ...], Field(strict=False)]
NotNegativeSeries = Annotated[tuple[NotNegative, ...], Field(strict=False)]
Point = Annotated[tuple[NotNegative, NotNegative], Field(strict=False)]
Points = Annotated[tuple[Point, ...], Field(strict=False, min_length=1)]


def _bent_ratio(points: Sequence[tuple[float, float]], *, sign: float) -> float:
    """How far the worst inner point stands on the wrong side of its neighbours' chord, as part of the largest value."""
    worst = 0.0
    scale = max((abs(y) for _, y in points), default=0.0) or 1.0
    for (x0, y0), (x1, y1), (x2, y2) in zip(points, points[1:], points[2:], strict=False):
        chord = y0 + (y2 - y0) * (x1 - x0) / (x2 - x0)
        worst = max(worst, sign * (y1 - chord) / scale)
    return worst


def _rising(points: Iterable[tuple[float, float]]) -> bool:
    xs = [x for x, _ in points]
    return all(a < b for a, b in pairwise(xs))


def check_span(start_utc: datetime, lengths_min: Iterable[float], *, start: str) -> None:
    """Refuses steps that no calendar can be laid over; `start` is the key of their beginning.

    Raises:
        PydanticCustomError: for the model that holds them.
    """
    if not START_UTC_MIN <= start_utc <= START_UTC_MAX:
        raise shape_fault(
            start,
            f"年份应在 {START_UTC_MIN.year} 到 {START_UTC_MAX.year} 之间",
            f"needs a year from {START_UTC_MIN.year} to {START_UTC_MAX.year}",
        )
    hours = sum(lengths_min) / MINUTES_PER_HOUR
    if hours > HORIZON_H_MAX:
        raise shape_fault(
            "step_minutes",
            f"共 {hours:.4g} 小时,超过 {HORIZON_H_MAX:g} 小时",
            f"{hours:.4g} h in all, more than {HORIZON_H_MAX:g} h",
        )


def _oversized(value: object, path: str) -> Iterator[str]:
    """Paths of the numbers within a value that are too great to reckon with."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) > NUMBER_MAX:
            yield path
    elif isinstance(value, tuple):
        for at, member in enumerate(value):
            yield from _oversized(member, f"{path}[{at}]")
    elif isinstance(value, Document):
        for key, member in value:
            yield from _oversized(member, f"{path}.{key}" if path else key)


class Grid(Document):
    """Steps of the plan."""

    start_utc: Instant
    """Start of step 0."""
    step_minutes: Positive | Annotated[tuple[Positive, ...], Field(strict=False)]
    """Length of every step [min], or one number for all."""
    steps: Annotated[int, Field(ge=1, le=STEPS_MAX)]
    """Number of steps."""

    @model_validator(mode="after")
    def _lengths(self) -> Self:
        if isinstance(self.step_minutes, tuple) and len(self.step_minutes) != self.steps:
            raise shape_fault(
                "step_minutes",
                f"应有 {self.steps} 个步长,现有 {len(self.step_minutes)} 个",
                f"need {self.steps} lengths, got {len(self.step_minutes)}",
            )
        lengths = self.step_minutes if isinstance(self.step_minutes, tuple) else (self.step_minutes,) * self.steps
        check_span(self.start_utc, lengths, start="start_utc")
        return self

    @cached_property
    def time_grid(self) -> TimeGrid:
        """The same steps for mapping instants."""
        lengths = self.step_minutes if isinstance(self.step_minutes, tuple) else (self.step_minutes,) * self.steps
        return TimeGrid(self.start_utc, tuple(m * SECONDS_PER_MINUTE for m in lengths), self.steps)

    @cached_property
    def hours(self) -> Floats:
        """Length of every step [h]."""
        return self.time_grid.hours

    @cached_property
    def minutes(self) -> Floats:
        """Length of every step [min]."""
        return self.hours * SECONDS_PER_MINUTE


class Demand(Document):
    """A demand-charge period."""

    from_step: Annotated[int, Field(ge=0)]
    to_step: Annotated[int, Field(ge=1)]
    cny_per_kw_month: NotNegative
    measured_kw: NotNegative | None = None
    """What of it has been metered [kW]; the rest is what the month is expected to need anyway. None: not told apart."""
    peak_so_far_kw: NotNegative
    """Power that is paid whatever the plan does [kW]."""
    month_share: Share = 1.0


class GridCap(Document):
    """A window with a limit on grid power."""

    name: Name = "grid"
    from_step: Annotated[int, Field(ge=0)]
    to_step: Annotated[int, Field(ge=1)]
    cap_kw: NotNegative
    penalty_cny_per_kwh: NotNegative
    hard: bool = False


class Loop(Document):
    """What must be served."""

    name: Name
    medium: Literal["heat", "cold"]
    load_kw: NotNegativeSeries
    unmet_cny_per_kwh: NotNegative
    dump_cny_per_kwh: NotNegative


class Terminal(Document):
    """Value of the energy left at the end."""

    target_kwh: NotNegative = 0.0
    short_cny_per_kwh: NotNegative = 0.0
    surplus_cny_per_kwh: NotNegative = 0.0


class StorageLimit(Document):
    """Limits of a store that hold for a while only, such as an operator's order to leave it alone.

    Every step of which any part lies in [from, to) keeps them; outside the plan's steps they mean nothing.
    """

    from_utc: Instant = Field(alias="from")
    to_utc: Instant = Field(alias="to")
    charge_kw_max: NotNegative | None = None
    discharge_kw_max: NotNegative | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.to_utc <= self.from_utc:
            raise shape_fault("to", "应晚于 from 的时刻", "needs an instant after that of from")
        if self.charge_kw_max is None and self.discharge_kw_max is None:
            raise shape_fault(
                "charge_kw_max",
                "应写 charge_kw_max、discharge_kw_max 或两者",
                "needs charge_kw_max, discharge_kw_max or both",
            )
        return self


class Storage(Document):
    """A store of heat or cold."""

    name: Name
    kind: Name
    loop: Name
    capacity_kwh: Positive
    min_kwh: NotNegative = 0.0
    soc_kwh: NotNegative
    loss_fraction_per_h: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    loss_kw: NotNegative = 0.0
    charge_limit_kw: Points
    discharge_limit_kw: Points
    limits: Annotated[tuple[StorageLimit, ...], Field(strict=False, max_length=STORAGE_LIMITS_MAX)] = ()
    pump_kw_per_kw: NotNegative = 0.0
    terminal: Terminal = Terminal()
    charge_degc: Number | None = None
    """Leaving temperature of charging units that the figures rest on; handed on to the plan, decides nothing."""

    @model_validator(mode="after")
    def _shape(self) -> Self:
        if self.min_kwh > self.capacity_kwh:
            raise shape_fault(
                "min_kwh",
                f"{self.min_kwh} kWh 大于容量 {self.capacity_kwh} kWh",
                f"{self.min_kwh} kWh is above the capacity of {self.capacity_kwh} kWh",
            )
        if not self.min_kwh <= self.soc_kwh <= self.capacity_kwh:
            raise shape_fault(
                "soc_kwh",
                f"{self.soc_kwh} kWh 不在 {self.min_kwh} 到 {self.capacity_kwh} kWh 之间",
                f"{self.soc_kwh} kWh is outside {self.min_kwh} to {self.capacity_kwh} kWh",
            )
        for key in ("charge_limit_kw", "discharge_limit_kw"):
            points = getattr(self, key)
            if not _rising(points):
                raise shape_fault(key, "各点的能量应递增", "energies must rise")
            if _bent_ratio(self.spanned(points), sign=-1.0) > CURVE_TOL_RATIO:
                raise shape_fault(
                    key,
                    "在最低能量与容量之间不是上凸的,计划会高估它;请改为上凸的折线",
                    "not concave between the lowest energy and the capacity; the planner would overrate it",
                )
        return self

    def spanned(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """The limit over the whole range of energy: beyond its points it stays level, as the referee reads it."""
        near_kwh = 1e-3 * self.capacity_kwh
        out = list(points)
        if out[0][0] > self.min_kwh + near_kwh:
            out.insert(0, (self.min_kwh, out[0][1]))
        if out[-1][0] < self.capacity_kwh - near_kwh:
            out.append((self.capacity_kwh, out[-1][1]))
        return out


class Source(Document):
    """What units draw from or reject to."""

    name: Name
    kind: Name
    limit_kw: NotNegative | NotNegativeSeries | None = None
    energy_limit_kwh: NotNegative | None = None
    balance_cny_per_kwh: Number = 0.0


class Aux(Document):
    """A boiler, network heat or an electric heater."""

    name: Name
    kind: Name
    loop: Name
    min_kw: NotNegative = 0.0
    max_kw: NotNegative | NotNegativeSeries
    cost_cny_per_kwh: Number | Series
    start_cost_cny: NotNegative = 0.0
    electricity_kw_per_kw: NotNegative = 0.0
    on: bool = False

    @model_validator(mode="after")
    def _limits(self) -> Self:
        most_kw = max(self.max_kw, default=0.0) if isinstance(self.max_kw, tuple) else self.max_kw
        if 0.0 < most_kw < self.min_kw:  # all zero: out of service
            raise shape_fault(
                "min_kw",
                f"{self.min_kw} kW 大于最大出力 {most_kw} kW,永远不能投入",
                f"{self.min_kw} kW is above the highest output of {most_kw} kW: it could never run",
            )
        return self


class UnitState(Document):
    """A unit and its present state."""

    name: Name
    on: bool
    mode: Name | None = None
    minutes_in_state: NotNegative
    starts_today: Annotated[int, Field(ge=0)] = 0
    available: bool | Annotated[tuple[bool, ...], Field(strict=False)] = True


class Mode(Document):
    """One way of running a unit."""

    name: Name
    loop: Name
    storage: Name | None = None
    source: Name | None = None
    capacity_kw: Positive
    change_cost_cny: NotNegative = 0.0
    curve: Points

    @model_validator(mode="after")
    def _shape(self) -> Self:
        if not _rising(self.curve):
            raise shape_fault("curve", "各点的负荷率应递增", "load fractions must rise")
        if self.curve[0][0] <= 0 or self.curve[-1][0] > 1.0 + CURVE_TOL_RATIO:
            raise shape_fault("curve", "负荷率应大于 0,至多为 1", "load fractions lie above 0 and up to 1")
        if _bent_ratio(self.curve, sign=1.0) > CURVE_TOL_RATIO:
            raise shape_fault(
                "curve",
                "不是下凸的(某段斜率变小),计划会低估用电",
                "not convex (a slope falls); the planner would underrate its electricity",
            )
        return self


class Group(Document):
    """Units that are identical in everything but their present state."""

    name: Name
    units: Annotated[tuple[UnitState, ...], Field(strict=False, min_length=1)]
    pump_kw: NotNegative = 0.0
    min_up_minutes: NotNegative
    min_down_minutes: NotNegative
    max_starts_per_day: Annotated[int, Field(ge=0)]
    start_cost_cny: NotNegative
    capacity_factor: Annotated[tuple[Positive, ...], Field(strict=False)] | None = None
    cop_factor: Annotated[tuple[Positive, ...], Field(strict=False)] | None = None
    modes: Annotated[tuple[Mode, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _states(self) -> Self:
        names = {mode.name for mode in self.modes}
        if len(names) != len(self.modes):
            raise shape_fault("modes", "两种模式同名", "two modes carry the same name")
        for at, unit in enumerate(self.units):
            if unit.on and unit.mode not in names:
                raise shape_fault(
                    f"units[{at}].mode",
                    f"运行中的机组应处于 {'、'.join(sorted(names))} 之一,而不是 {unit.mode or 'null'}",
                    f"a running unit needs one of the modes {', '.join(sorted(names))}, not {unit.mode or 'null'}",
                )
            if not unit.on and unit.mode is not None:
                raise shape_fault(f"units[{at}].mode", "机组停着时应为 null", "null when the unit is off")
        return self


class Assumption(Document):
    """What figures of the request rest on, for who reads the plan; it decides nothing."""

    name: Name
    """Unit, store or loop."""
    kind: Literal["cop", "loss", "load", "charge_degc"]
    value: Number
    """Factor on the nameplate's figure; of charge_degc the temperature itself [degC], between the site's two."""
    lower: Number
    upper: Number
    learned: bool
    """False: the nameplate's own figure is in use."""
    zh: str
    en: str


class PlanRequest(Document):
    """The whole input of a plan."""

    schema_id: Literal["plan-request/1"] = Field(alias="schema")
    name: Name
    title: str = ""
    timezone: Zone
    grid: Grid
    price_cny_per_kwh: Series
    bands: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    """Name of the tariff's band per step, for reasons only; empty: not known."""
    other_load_kw: Number | Series = 0.0
    demand: Annotated[tuple[Demand, ...], Field(strict=False)] = ()
    grid_caps: Annotated[tuple[GridCap, ...], Field(strict=False)] = ()
    loops: Annotated[tuple[Loop, ...], Field(strict=False, min_length=1)]
    storages: Annotated[tuple[Storage, ...], Field(strict=False)]
    sources: Annotated[tuple[Source, ...], Field(strict=False)] = ()
    aux: Annotated[tuple[Aux, ...], Field(strict=False)] = ()
    groups: Annotated[tuple[Group, ...], Field(strict=False)]
    assumptions: Annotated[tuple[Assumption, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for path in _oversized(self, ""):
            raise shape_fault(
                path, f"大于 {NUMBER_MAX:g},没有这样的电站", f"larger than {NUMBER_MAX:g}: no plant has that"
            )
        for check in (self._check_lengths, self._check_windows, self._check_names, self._check_links):
            check()
        return self

    def _check_lengths(self) -> None:
        series: list[tuple[str, object]] = [
            ("price_cny_per_kwh", self.price_cny_per_kwh),
            ("other_load_kw", self.other_load_kw),
        ]
        series += [(f"loops[{i}].load_kw", loop.load_kw) for i, loop in enumerate(self.loops)]
        series += [(f"sources[{i}].limit_kw", source.limit_kw) for i, source in enumerate(self.sources)]
        for i, aux in enumerate(self.aux):
            series += [(f"aux[{i}].max_kw", aux.max_kw), (f"aux[{i}].cost_cny_per_kwh", aux.cost_cny_per_kwh)]
        for i, group in enumerate(self.groups):
            series += [(f"groups[{i}].{key}", getattr(group, key)) for key in ("capacity_factor", "cop_factor")]
            series += [(f"groups[{i}].units[{j}].available", unit.available) for j, unit in enumerate(group.units)]
        if self.bands:
            series.append(("bands", self.bands))
        for path, value in series:
            if isinstance(value, tuple) and len(value) != self.grid.steps:
                raise shape_fault(
                    path,
                    f"应有 {self.grid.steps} 个值,每步一个,现有 {len(value)} 个",
                    f"need {self.grid.steps} values, one a step, got {len(value)}",
                )

    def _check_windows(self) -> None:
        named: list[tuple[str, Sequence[Demand | GridCap]]] = [("demand", self.demand), ("grid_caps", self.grid_caps)]
        for key, windows in named:
            for i, window in enumerate(windows):
                if not window.from_step < window.to_step <= self.grid.steps:
                    raise shape_fault(
                        f"{key}[{i}].to_step",
                        f"应满足 from_step < to_step <= {self.grid.steps}",
                        f"need from_step < to_step <= {self.grid.steps}",
                    )

    def _check_names(self) -> None:
        named: list[tuple[str, Sequence[Any]]] = [
            ("loops", self.loops),
            ("storages", self.storages),
            ("sources", self.sources),
            ("aux", self.aux),
            ("groups", self.groups),
        ]
        for key, members in named:
            seen: set[str] = set()
            for i, member in enumerate(members):
                if member.name in seen:
                    raise shape_fault(f"{key}[{i}].name", f"{member.name!r} 用了两次", f"{member.name!r} is used twice")
                seen.add(member.name)
        units: set[str] = set()
        for i, group in enumerate(self.groups):
            for j, unit in enumerate(group.units):
                if unit.name in units:
                    raise shape_fault(
                        f"groups[{i}].units[{j}].name", f"{unit.name!r} 用了两次", f"{unit.name!r} is used twice"
                    )
                units.add(unit.name)

    def _check_links(self) -> None:
        loops = {loop.name for loop in self.loops}
        stores = {store.name: store.loop for store in self.storages}
        sources = {source.name for source in self.sources}
        named: list[tuple[str, Sequence[Storage | Aux]]] = [("storages", self.storages), ("aux", self.aux)]
        for key, members in named:
            for i, member in enumerate(members):
                if member.loop not in loops:
                    raise shape_fault(
                        f"{key}[{i}].loop", f"没有名为 {member.loop!r} 的回路", f"no loop {member.loop!r}"
                    )
        for i, group in enumerate(self.groups):
            for j, mode in enumerate(group.modes):
                path = f"groups[{i}].modes[{j}]"
                if mode.loop not in loops:
                    raise shape_fault(f"{path}.loop", f"没有名为 {mode.loop!r} 的回路", f"no loop {mode.loop!r}")
                if mode.storage is not None and mode.storage not in stores:
                    raise shape_fault(
                        f"{path}.storage", f"没有名为 {mode.storage!r} 的蓄能", f"no storage {mode.storage!r}"
                    )
                if mode.storage is not None and stores[mode.storage] != mode.loop:
                    raise shape_fault(
                        f"{path}.storage",
                        f"{mode.storage!r} 向 {stores[mode.storage]!r} 放能,而不是 {mode.loop!r}",
                        f"{mode.storage!r} discharges into {stores[mode.storage]!r}, not {mode.loop!r}",
                    )
                if mode.source is not None and mode.source not in sources:
                    raise shape_fault(
                        f"{path}.source", f"没有名为 {mode.source!r} 的热源", f"no source {mode.source!r}"
                    )

    @cached_property
    def days(self) -> npt.NDArray[np.int64]:
        """Civil day of each step, counted from that of step 0."""
        return self.grid.time_grid.civil_days(ZoneInfo(self.timezone))

    def per_step(self, value: float | Sequence[float] | None, default: float = 0.0) -> Floats:
        """One number a step, from a number for all steps, a list, or nothing."""
        if value is None:
            value = default
        return np.full(self.grid.steps, value, float) if isinstance(value, int | float) else np.asarray(value, float)

    def flow_caps_kw(self, store: Storage) -> tuple[Floats, Floats]:
        """Most charge and most discharge that a store's time-limited limits leave, per step; infinite where none."""
        edges_s = np.array(self.grid.time_grid.edges_s)
        begin_s, end_s = edges_s[:-1], edges_s[1:]
        caps = (np.full(self.grid.steps, np.inf), np.full(self.grid.steps, np.inf))
        for limit in store.limits:
            from_s = (limit.from_utc - self.grid.start_utc).total_seconds()
            to_s = (limit.to_utc - self.grid.start_utc).total_seconds()
            inside = (begin_s < to_s - EDGE_TOL_S) & (end_s > from_s + EDGE_TOL_S)
            for cap_kw, most_kw in zip(caps, (limit.charge_kw_max, limit.discharge_kw_max), strict=True):
                if most_kw is not None:
                    cap_kw[inside] = np.minimum(cap_kw[inside], most_kw)
        return caps

    def available(self, unit: UnitState) -> npt.NDArray[np.bool_]:
        """Whether a unit may run, per step."""
        if isinstance(unit.available, bool):
            return np.full(self.grid.steps, unit.available)
        return np.asarray(unit.available, bool)


def read_request(text: str | bytes) -> PlanRequest:
    """Reads a PlanRequest document.

    Raises:
        RequestFault: the text is not a request of the agreed form.
    """
    try:
        return PlanRequest.model_validate_json(text)
    except ValidationError as error:
        raise fault_of(error, PlanRequest) from error
