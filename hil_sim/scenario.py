"""What happens in a simulated run: plant, first instant, length, seed, and what goes wrong when. Read from YAML.

A scenario knows neither the plant nor the agent; it only says what a run shall do and what its score must show.

Keys of a file `scenarios/NAME.yaml` (all required but the marked ones):
    title: {zh, en}
    plant: name of the plant
    starts: first instant, `YYYY-MM-DDTHH:MM` in the site's zone, quoted
    days: length of the run; or
    seconds: the same, for a bench of meters: the run ends earlier once every unit has recovered
    seed: weather, instruments, random events
    period_s: every device is polled this often [site s]
    speed_max: highest speed that this scenario was run at [simulated s per s]
    events: list (may be empty); each `what`, one of EVENTS, with either `at: "D+HH:MM"` or `"HH:MM"` (day D, the first
        is 0; `:SS` may follow) or `count` and `between: ["HH:MM", "HH:MM"]` (instants drawn by the seed); optional
        `args`; a fault (FAULT_KINDS) also says how long it `lasts_s` [site s]; without, to the end of the run
    start_mode: (optional) mode of the agent: monitor, advise, auto
    wires: (optional) bus name: properties of the simulated wire that differ from the plant's own
    settings: (optional) bus name: keys of the agent's devices.yaml for this bus
    points: (optional) device name: points that differ from the profile, as in the agent's devices.yaml
    expect: (optional) bounds on keys of the score, `{min: x}`, `{max: x}` or both; for a list its length counts;
        `a.b` is the figure b of the group a
    alarms: (optional) codes that the agent's status must show at some time; `a | b`: one of them

Events besides the faults of the wires:
    plant_fault: args as in hil_sim.plant.faults; a power cut silences every device, and with `agent: dies` the agent
    kill_agent: kill -9; with `phase` (and `unit`, `within_s`) as soon as the agent says that a unit is in that phase;
        with `phases`: in one of them that had no kill yet
    clock_jump: `by_s`: the agent's clock is wrong by so much
    order: `argv`: an operator types this at the agent's command line; `exit`: the exit status that it must have (0)
    tariff_event: `grid_kw_max`, `pays_cny_per_kwh`: a demand response that stands in the agent's tariff from the begin
    wrong_tariff_day: the agent's tariff says of this date that day is valley and night is peak
"""

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from hil_sim.plant.faults import KINDS as PLANT_FAULTS

SCENARIOS_FOLDER = Path(__file__).parent / "scenarios"
FAULT_KINDS = frozenset(
    {
        "mute",
        "late",
        "corrupt",
        "refuse",
        "freeze",
        "zero_counters",
        "swap_words",
        "torn",
        "counter_reset",
        "exchange",
        "holes",
        "jitter",
        "line_fault",
        "garbage",
        "adversary",
        "unplug",
        "restart_server",
        "tcp_fault",
        "drop_connections",
        "occupy",
    }
)
"""What can go wrong on the wires; `hil_sim.faults` knows how."""
LASTING = FAULT_KINDS | {"plant_fault", "clock_jump", "tariff_event"}
"""Events that last."""
EVENTS = LASTING | {"kill_agent", "order", "wrong_tariff_day"}
_BYTES_MAX = 100_000
_CLOCK_TIME = re.compile(r"(?:(\d{1,3})\+)?([01]\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?")
_REQUIRED = frozenset({"title", "plant", "starts", "seed", "period_s", "speed_max", "events"})
_OPTIONAL = frozenset({"days", "seconds", "expect", "alarms", "start_mode", "wires", "settings", "points"})
_MODES = ("monitor", "advise", "auto")
_DAY_S = 86_400.0
_NO_FIGURE = object()


class ScenarioFault(Exception):
    """A scenario that is not there, or whose file cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens in a run.

    Attributes:
        at_s: instant [s since 1970 UTC].
        what: one of EVENTS.
        args: what the event needs besides.
        lasts_s: for a fault: how long [site s].
    """

    at_s: float
    what: str
    args: Mapping[str, object]
    lasts_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Bound:
    """What a key of the score must keep to."""

    minimum: float = -math.inf
    maximum: float = math.inf

    def broken_by(self, value: object) -> bool:
        """True if a figure of the score is outside; an unknown figure (None) is not judged."""
        if value is None:
            return False
        number = float(len(value)) if isinstance(value, (list, tuple)) else float(str(value))
        return not self.minimum <= number <= self.maximum


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run, ready to be played."""

    name: str
    title_zh: str
    title_en: str
    plant: str
    starts: datetime
    """First instant, naive: wall-clock time at the site."""
    days: float
    seed: int
    period_s: float
    speed_max: float
    event_rules: tuple[Mapping[str, object], ...]
    expect: Mapping[str, Bound]
    start_mode: str = ""
    """Mode of the agent; empty: the plant's own."""
    wires: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    points: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    alarms: tuple[tuple[str, ...], ...] = ()
    """Of each of these the agent's status must show one."""

    def changed(self, *, days: float | None = None, seed: int | None = None) -> "Scenario":
        """The same scenario, longer or shorter, or with other dice."""
        return replace(self, days=self.days if days is None else days, seed=self.seed if seed is None else seed)

    def start_s(self, zone: ZoneInfo) -> float:
        """First instant [s since 1970 UTC]."""
        return self.starts.replace(tzinfo=zone).timestamp()

    def end_s(self, zone: ZoneInfo) -> float:
        """First instant after the run [s since 1970 UTC]: civil days for whole days, hours for the rest."""
        whole_days = int(self.days)
        end = (self.starts + timedelta(days=whole_days)).replace(tzinfo=zone).timestamp()
        return end + (self.days - whole_days) * _DAY_S

    def events(self, zone: ZoneInfo) -> tuple[Event, ...]:
        """Everything that happens before the end, in the order of time; the seed draws what is left open."""
        dice = random.Random(self.seed)  # noqa: S311 - repeatable dice, no secrets
        found: list[Event] = []
        for rule in self.event_rules:
            args = rule["args"]
            assert isinstance(args, Mapping)
            if "at" in rule:
                instants_s = [self._instant_s(str(rule["at"]), zone)]
            else:
                between = rule["between"]
                assert isinstance(between, tuple)
                first_s, last_s = (self._instant_s(text, zone) for text in between)
                last_s = min(last_s, self.end_s(zone))
                instants_s = [dice.uniform(first_s, last_s) for _ in range(int(str(rule["count"])))]
            lasts_s = float(str(rule.get("lasts_s", math.inf)))
            found.extend(Event(at_s, str(rule["what"]), args, lasts_s) for at_s in instants_s)
        return tuple(sorted((event for event in found if event.at_s < self.end_s(zone)), key=lambda event: event.at_s))

    def missed(self, score: Mapping[str, object]) -> list[str]:
        """What the score shows that this scenario does not allow, in words; nor a figure that it lacks."""
        seen = score.get("alarms_seen")
        codes = {str(code).partition(" ")[0] for code in seen} if isinstance(seen, list) else set()
        return [
            *(f"{key}: no such figure" for key in self.expect if _figure(score, key) is _NO_FIGURE),
            *(
                f"{key} = {_figure(score, key)} (expected {bound.minimum:g} .. {bound.maximum:g})"
                for key, bound in self.expect.items()
                if _figure(score, key) is not _NO_FIGURE and bound.broken_by(_figure(score, key))
            ),
            *(f"no alarm {' | '.join(choice)}" for choice in self.alarms if codes.isdisjoint(choice)),
        ]

    def _instant_s(self, text: str, zone: ZoneInfo) -> float:
        match = _CLOCK_TIME.fullmatch(text)
        assert match is not None, text
        day, hour, minute = int(match[1] or 0), int(match[2]), int(match[3])
        midnight = self.starts.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=day)
        wall = midnight + timedelta(hours=hour, minutes=minute, seconds=int(match[4] or 0))
        return wall.replace(tzinfo=zone).timestamp()


def _figure(score: Mapping[str, object], key: str) -> object:
    """A figure of the score; `a.b` is the figure b of the group a."""
    group, dot, name = key.partition(".")
    inner = score.get(group)
    if dot and isinstance(inner, Mapping):
        return inner.get(name, _NO_FIGURE)
    return score.get(key, _NO_FIGURE)


def names(folder: Path = SCENARIOS_FOLDER) -> tuple[str, ...]:
    """The scenarios that are there."""
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def load(name: str, folder: Path = SCENARIOS_FOLDER) -> Scenario:
    """Reads a scenario.

    Raises:
        ScenarioFault: no such scenario, or a file that breaks a rule of the module's docstring.
    """
    if name not in names(folder):
        raise ScenarioFault(f"没有场景 / no scenario {name!r}; 有 / there are: {', '.join(names(folder))}")
    path = folder / f"{name}.yaml"
    if path.stat().st_size > _BYTES_MAX:
        raise ScenarioFault(f"{path}: larger than {_BYTES_MAX} bytes")
    reader = YAML(typ="safe", pure=True)  # 1.2, and a fresh object: a %YAML directive would stay in a used one
    reader.allow_duplicate_keys = False
    try:
        data = reader.load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise ScenarioFault(f"{path}: {error}") from error
    return parse(data, name=name)


def parse(data: object, *, name: str) -> Scenario:
    """Checks what a file said.

    Raises:
        ScenarioFault: a key missing, unknown or of the wrong kind; the message names it.
    """
    fields = _mapping(data, name, required=_REQUIRED, optional=_OPTIONAL)
    title = _mapping(fields["title"], f"{name}: title", required=frozenset({"zh", "en"}))
    starts = _text(fields["starts"], f"{name}: starts")
    try:
        first = datetime.strptime(starts, "%Y-%m-%dT%H:%M")  # noqa: DTZ007 - the zone is the site's, not the file's
    except ValueError as error:
        raise ScenarioFault(f"{name}: starts: {starts!r} is not YYYY-MM-DDTHH:MM") from error
    events = fields["events"]
    if not isinstance(events, list):
        raise ScenarioFault(f"{name}: events: a list is needed")
    expect = _mapping(fields.get("expect", {}), f"{name}: expect")
    if ("days" in fields) == ("seconds" in fields):
        raise ScenarioFault(f"{name}: missing: days (or seconds, and not both)")
    start_mode = fields.get("start_mode", "")
    if start_mode and start_mode not in _MODES:
        raise ScenarioFault(f"{name}: start_mode: {start_mode!r} is none of {', '.join(_MODES)}")
    return Scenario(
        name=name,
        title_zh=_text(title["zh"], f"{name}: title.zh"),
        title_en=_text(title["en"], f"{name}: title.en"),
        plant=_text(fields["plant"], f"{name}: plant"),
        starts=first,
        days=_number(fields["days"], f"{name}: days", above=0.0, most=400.0)
        if "days" in fields
        else _number(fields["seconds"], f"{name}: seconds", above=0.0, most=_DAY_S) / _DAY_S,
        seed=int(_number(fields["seed"], f"{name}: seed", above=-1.0, most=2.0**31)),
        period_s=_number(fields["period_s"], f"{name}: period_s", above=0.0, most=3600.0),
        speed_max=_number(fields["speed_max"], f"{name}: speed_max", above=0.0, most=10_000.0),
        event_rules=tuple(_event(rule, f"{name}: events[{index}]") for index, rule in enumerate(events)),
        expect={key: _bound(value, f"{name}: expect.{key}") for key, value in expect.items()},
        start_mode=str(start_mode),
        wires=_by_name(fields.get("wires", {}), f"{name}: wires"),
        settings=_by_name(fields.get("settings", {}), f"{name}: settings"),
        points=_by_name(fields.get("points", {}), f"{name}: points"),
        alarms=_alarms(fields.get("alarms", []), f"{name}: alarms"),
    )


def _by_name(data: object, at: str) -> Mapping[str, Mapping[str, object]]:
    return {key: _mapping(value, f"{at}.{key}") for key, value in _mapping(data, at).items()}


def _alarms(data: object, at: str) -> tuple[tuple[str, ...], ...]:
    if not isinstance(data, list):
        raise ScenarioFault(f"{at}: a list is needed")
    return tuple(tuple(code.strip() for code in _text(item, at).split("|")) for item in data)


def _event(data: object, at: str) -> Mapping[str, object]:
    rule = dict(
        _mapping(
            data, at, required=frozenset({"what"}), optional=frozenset({"at", "count", "between", "args", "lasts_s"})
        )
    )
    rule["args"] = _mapping(rule.get("args", {}), f"{at}.args")
    if rule["what"] not in EVENTS:
        raise ScenarioFault(f"{at}.what: {rule['what']!r} is none of {', '.join(sorted(EVENTS))}")
    args = rule["args"]
    assert isinstance(args, Mapping)
    kind = args.get("kind")
    if rule["what"] == "plant_fault" and kind not in PLANT_FAULTS:
        raise ScenarioFault(f"{at}.args.kind: {kind!r} is none of {', '.join(sorted(PLANT_FAULTS))}")
    if "lasts_s" in rule:
        _number(rule["lasts_s"], f"{at}.lasts_s", above=0.0)
        if rule["what"] not in LASTING:
            raise ScenarioFault(f"{at}.lasts_s: {rule['what']} happens at once")
    if ("at" in rule) == ("between" in rule) or ("between" in rule) != ("count" in rule):
        raise ScenarioFault(f"{at}: either `at`, or `count` with `between`")
    if "at" in rule:
        _clock_time(rule["at"], f"{at}.at")
        return rule
    _number(rule["count"], f"{at}.count", above=0.0, most=1000.0)
    between = rule["between"]
    if not isinstance(between, list) or len(between) != 2:  # noqa: PLR2004 - a pair
        raise ScenarioFault(f"{at}.between: two clock times are needed")
    rule["between"] = tuple(_clock_time(text, f"{at}.between") for text in between)
    return rule


def _bound(data: object, at: str) -> Bound:
    limits = _mapping(data, at, optional=frozenset({"min", "max"}))
    if not limits:
        raise ScenarioFault(f"{at}: needs min or max")
    return Bound(
        minimum=_number(limits.get("min", -math.inf), f"{at}.min"),
        maximum=_number(limits.get("max", math.inf), f"{at}.max"),
    )


def _mapping(
    data: object, at: str, *, required: frozenset[str] = frozenset(), optional: frozenset[str] | None = None
) -> Mapping[str, object]:
    if not isinstance(data, Mapping) or not all(isinstance(key, str) for key in data):
        raise ScenarioFault(f"{at}: a mapping with names as keys is needed")
    if missing := sorted(required - data.keys()):
        raise ScenarioFault(f"{at}: missing: {', '.join(missing)}")
    if (required or optional is not None) and (unknown := sorted(data.keys() - required - (optional or frozenset()))):
        raise ScenarioFault(f"{at}: unknown key: {', '.join(unknown)}")
    return data


def _text(data: object, at: str) -> str:
    if not isinstance(data, str) or not data:
        raise ScenarioFault(f"{at}: {data!r} is not a text")
    return data


def _clock_time(data: object, at: str) -> str:
    text = _text(data, at)
    match = _CLOCK_TIME.fullmatch(text)
    if match is None or (match[2] == "24" and match[3] != "00"):
        raise ScenarioFault(f'{at}: {text!r} is not "HH:MM" or "D+HH:MM"')
    return text


def _number(data: object, at: str, *, above: float = -math.inf, most: float = math.inf) -> float:
    if isinstance(data, bool) or not isinstance(data, (int, float)) or math.isnan(data):
        raise ScenarioFault(f"{at}: {data!r} is not a number")
    if not (above < data or above == -math.inf) or data > most:
        raise ScenarioFault(f"{at}: {data} is not above {above:g} and at most {most:g}")
    return float(data)
