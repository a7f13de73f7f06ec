"""Draws the picture of a run: time, price, store, units, temperatures, plan, money, uploads, events. Text in, text out.

Pure: a `Snapshot` becomes lines; who writes them where, and how often, is `hil_sim.demo`'s business. Chinese characters
are two columns wide, and everything here counts columns, not characters.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

Language = Literal["zh", "en"]
Tone = Literal["plain", "good", "warn", "bad"]

WIDTH_MIN: Final = 72
WIDTH_MAX: Final = 118
WIDTH_FOR_QUARTERS: Final = 116
"""From this width on the plan has a column for each quarter of an hour, below for each half hour."""
COST_SHOWN_CNY: Final = 100.0
"""Below it a saving in percent is noise."""
SOC_RATIO_SEEN: Final = 0.01
"""Below it the tank's capacity cannot be told from its level."""
EVENTS_SHOWN: Final = 6
ALARMS_SHOWN: Final = 3
FULL_BLOCKS: Final = " ▏▎▍▌▋▊▉█"
RISING_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")

_STYLES: Final[Mapping[str, str]] = {
    "bold": "1",
    "dim": "2",
    "title": "1;97;48;5;24",
    "good": "32",
    "bad": "1;31",
    "warn": "33",
    "valley": "38;5;71",
    "deep_valley": "38;5;29",
    "flat": "38;5;110",
    "peak": "38;5;208",
    "sharp": "1;38;5;197",
    "direct": "38;5;79",
    "charge": "38;5;141",
    "discharge": "38;5;215",
    "stored": "38;5;203",
}
_COLD_TO_HOT: Final = (24, 31, 38, 73, 108, 143, 179, 215, 209, 203, 196)
"""256-colour codes from a cold layer to a hot one."""

WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "valley": ("谷", "valley"),
    "deep_valley": ("深谷", "deep valley"),
    "flat": ("平", "flat"),
    "peak": ("峰", "peak"),
    "sharp": ("尖峰", "sharp"),
    "off": ("停", "off"),
    "starting": ("启动", "starting"),
    "running": ("运行", "running"),
    "stopping": ("停机", "stopping"),
    "tripped": ("故障", "tripped"),
    "standby": ("温控待机", "standby"),
    "direct": ("直供", "direct"),
    "charge": ("蓄热", "charge"),
    "discharge": ("放热", "discharge"),
    "none": ("", ""),
    "milp": ("优化", "optimised"),
    "relaxed": ("松弛", "relaxed"),
    "rule": ("规则", "rule"),
    "monitor": ("只读", "monitor"),
    "advise": ("建议", "advise"),
    "auto": ("自动", "auto"),
    "manual": ("手动", "manual"),
    "up": ("运行", "running"),
    "starting_up": ("启动中", "starting"),
    "down": ("停止", "down"),
}
_BAND_INITIAL: Final = {"valley": "v", "deep_valley": "d", "flat": "f", "peak": "p", "sharp": "s"}
_WEEKDAYS_ZH: Final = "一二三四五六日"
_WEEKDAYS_EN: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class UnitView:
    """A unit as the plant knows it. `cop` is None while it means nothing; `doing`: the agent's word for a sequence."""

    name: str
    state: str
    mode: str
    load_ratio: float
    heat_kw: float
    electric_kw: float
    cop: float | None
    doing_zh: str = ""
    doing_en: str = ""


@dataclass(frozen=True, slots=True)
class PlanStep:
    """What the agent intends for a stretch of time: mean rates [kW] and the store at its end [kWh]."""

    start: datetime
    end: datetime
    direct_kw: float
    charge_kw: float
    discharge_kw: float
    soc_kwh: float | None


@dataclass(frozen=True, slots=True)
class Uploads:
    """Records: periods that have ended, those acknowledged by the platform, and the agent's own backlog if known."""

    due: int
    acknowledged: int
    backlog: int | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, in both languages."""

    instant: datetime
    zh: str
    en: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything on the picture. Instants are in the site's zone; None: not known at the moment."""

    title_zh: str
    title_en: str
    now: datetime
    started: datetime
    ends: datetime | None
    speed_ratio: float
    speed_wanted_ratio: float
    slow_reason_zh: str
    slow_reason_en: str
    band: str
    price_cny_per_kwh: float
    next_band: str
    next_band_at: datetime
    bands_ahead: Sequence[tuple[datetime, datetime, str]]
    outdoor_degc: float
    soc_ratio: float
    stored_kwh: float
    tank_kw: float
    layers_degc: Sequence[float]
    layer_degc_min: float
    layer_degc_max: float
    units: Sequence[UnitView]
    supply_degc: float
    setpoint_degc: float | None
    return_degc: float
    room_degc: float | None
    demand_kw: float
    delivered_kw: float
    electric_kw: float
    plan: Sequence[PlanStep]
    plan_made: datetime | None
    plan_method: str | None
    agent: str
    agent_mode: str | None
    agent_starts: int
    cost_cny: float
    no_storage_cny: float | None
    stored_heat_cny: float
    electricity_kwh: float
    uploads: Uploads
    frames_promised: int
    violations: int
    alarms: Sequence[tuple[str, str]]
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Screen:
    """Where the picture goes: columns, colours or not, language."""

    columns: int
    colour: bool
    language: Language

    def word(self, key: str) -> str:
        """The operator's word for a code; an unknown code stands for itself."""
        zh, en = WORDS.get(key, (key, key))
        return zh if self.language == "zh" else en

    def pick(self, zh: str, en: str) -> str:
        """The text of the operator's language."""
        return zh if self.language == "zh" else en

    def paint(self, text: str, style: str) -> str:
        """Colours a text; without colours it stays as it is."""
        code = _STYLES.get(style)
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code and text else text


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes; colour codes take none."""
    return sum(_columns_of_character(character) for character in _ANSI.sub("", text))


def _columns_of_character(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Fills up with blanks to a number of columns, on the left side for `right`; a longer text stays whole."""
    blanks = " " * max(0, columns - columns_of(text))
    return blanks + text if right else text + blanks


def clip(text: str, columns: int) -> str:
    """Cuts a text to at most so many columns; colours are closed, a half character is left out."""
    if columns_of(text) <= columns:
        return text
    kept: list[str] = []
    left, position = columns - 1, 0
    coloured = False
    while position < len(text):
        code = _ANSI.match(text, position)
        if code is not None:
            kept.append(code[0])
            coloured = code[0] != "\x1b[0m"
            position = code.end()
            continue
        taken = _columns_of_character(text[position])
        if taken > left:
            break
        kept.append(text[position])
        left -= taken
        position += 1
    return "".join(kept) + "…" + ("\x1b[0m" if coloured else "")


def bar(ratio: float, cells: int) -> str:
    """A horizontal bar of so many columns, in eighths of a column; the empty part is dotted."""
    eighths = round(min(1.0, max(0.0, ratio)) * cells * 8)
    full, rest = divmod(eighths, 8)
    text = "█" * full + (FULL_BLOCKS[rest] if rest else "")
    return text + "░" * (cells - len(text))


def column(value: float, most: float) -> str:
    """One character as high as value is of most; anything above nothing is seen."""
    if most <= 0.0 or value <= most * 0.005:
        return " "
    return RISING_BLOCKS[max(1, min(8, round(value / most * 8)))]


def number(value: float, digits: int = 0) -> str:
    """A number with thin groups of thousands: 12 345.6."""
    text = f"{value:,.{digits}f}".replace(",", " ")
    return "0" + text[2:] if text.startswith("-0") and not float(text.replace(" ", "")) else text


def duration(span: timedelta, language: Language) -> str:
    """A span of time as people say it."""
    minutes = max(0, round(span.total_seconds() / 60.0))
    hours, minutes = divmod(minutes, 60)
    if language == "zh":
        return f"{hours} 小时 {minutes:02d} 分" if hours else f"{minutes} 分钟"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _both_ends(left: str, right: str, columns: int) -> str:
    """One text at the left end of the line, one at the right; at least two blanks between."""
    return left + " " * max(2, columns - columns_of(left) - columns_of(right)) + right


# ------------------------------------------------------------------------------------------------------- the picture
def render(snapshot: Snapshot, screen: Screen) -> list[str]:
    """The picture as lines, none wider than the screen."""
    columns = min(WIDTH_MAX, max(WIDTH_MIN, screen.columns))
    rule = screen.paint("─" * columns, "dim")
    lines = [
        *_head(snapshot, screen, columns),
        rule,
        *_store(snapshot, screen, columns),
        "",
        *_units(snapshot, screen),
        "",
        *_loop(snapshot, screen),
        rule,
        *_plan(snapshot, screen, columns),
        rule,
        *_money_and_uploads(snapshot, screen),
        rule,
        *_events(snapshot, screen),
    ]
    return [clip(line, screen.columns) for line in lines]


def _head(snapshot: Snapshot, screen: Screen, columns: int) -> Iterable[str]:
    title = f" {screen.pick(snapshot.title_zh, snapshot.title_en)}"
    now = snapshot.now
    day = (now.date() - snapshot.started.date()).days + 1
    weekday = screen.pick(f"周{_WEEKDAYS_ZH[now.weekday()]}", _WEEKDAYS_EN[now.weekday()])
    if snapshot.ends is None:
        progress = screen.pick(f"第 {day} 天", f"day {day}")
    else:
        whole_s = (snapshot.ends - snapshot.started).total_seconds()
        share = (now - snapshot.started).total_seconds() / whole_s if whole_s > 0 else 1.0
        progress = f"{bar(share, 12)} {min(1.0, max(0.0, share)):4.0%}"
    yield screen.paint(_both_ends(title, f"{progress} ", columns), "title")
    speed = f"{snapshot.speed_ratio:.0f}x"
    if snapshot.speed_ratio < 0.97 * snapshot.speed_wanted_ratio:
        reason = screen.pick(snapshot.slow_reason_zh, snapshot.slow_reason_en)
        speed = screen.paint(f"{speed} / {snapshot.speed_wanted_ratio:.0f}x {reason}".rstrip(), "warn")
    clock = screen.paint(f"{now:%Y-%m-%d} {weekday} {now:%H:%M}", "bold")
    left = f" {clock}  {speed}"
    price = screen.pick(f"{snapshot.price_cny_per_kwh:.3f} 元/kWh", f"{snapshot.price_cny_per_kwh:.3f} CNY/kWh")
    band = screen.paint(f"● {screen.word(snapshot.band)} {price}", snapshot.band)
    wait = duration(snapshot.next_band_at - now, screen.language)
    following = screen.paint(screen.word(snapshot.next_band), snapshot.next_band)
    right = f"{band}  {snapshot.next_band_at:%H:%M} → {following} " + screen.pick(f"(还有 {wait})", f"(in {wait})")
    yield _both_ends(left, right, columns)


def _store(snapshot: Snapshot, screen: Screen, columns: int) -> Iterable[str]:
    if snapshot.tank_kw > 1.0:
        flow = screen.paint(f"▲ {screen.word('charge')} {number(snapshot.tank_kw)} kW", "charge")
    elif snapshot.tank_kw < -1.0:
        flow = screen.paint(f"▼ {screen.word('discharge')} {number(-snapshot.tank_kw)} kW", "discharge")
    else:
        flow = screen.paint(screen.pick("静置", "at rest"), "dim")
    label = pad(screen.pick(" 蓄热罐", " store"), 9)
    level = screen.paint(bar(snapshot.soc_ratio, min(50, columns - 46)), "stored")
    yield f"{label}{level} {snapshot.soc_ratio:4.0%} {number(snapshot.stored_kwh):>7} kWh   {flow}"
    cells = "".join(_layer(degc, snapshot, screen) for degc in snapshot.layers_degc)
    yield f"{pad(screen.pick('   上→下', ' top→bot'), 9)}{cells} ℃"


def _layer(degc: float, snapshot: Snapshot, screen: Screen) -> str:
    text = f"{degc:5.1f} "
    if not screen.colour:
        return text
    span_k = max(0.1, snapshot.layer_degc_max - snapshot.layer_degc_min)
    place = round((degc - snapshot.layer_degc_min) / span_k * (len(_COLD_TO_HOT) - 1))
    code = _COLD_TO_HOT[min(len(_COLD_TO_HOT) - 1, max(0, place))]
    return f"\x1b[38;5;16;48;5;{code}m{text}\x1b[0m"


_STATE_STYLE: Final = {"running": "good", "starting": "warn", "stopping": "warn", "tripped": "bad", "off": "dim"}


def _units(snapshot: Snapshot, screen: Screen) -> Iterable[str]:
    head = (
        pad(screen.pick(" 机组", " unit"), 9)
        + pad(screen.pick("状态", "state"), 10)
        + pad(screen.pick("方式", "mode"), 9)
        + pad(screen.pick("负荷", "load"), 20)
        + pad(screen.pick("供热", "heat"), 10, right=True)
        + pad(screen.pick("用电", "power"), 10, right=True)
        + pad("COP", 7, right=True)
    )
    yield screen.paint(head, "dim")
    for unit in snapshot.units:
        idle = unit.state in {"off", "tripped", "standby"}
        state = screen.paint(screen.word(unit.state), _STATE_STYLE.get(unit.state, "warn"))
        load = screen.paint(bar(unit.load_ratio, 14), unit.mode if unit.mode in _STYLES else "dim")
        yield (
            f" {unit.name:<8}"
            + pad(state, 10)
            + pad("" if idle else screen.paint(screen.word(unit.mode), unit.mode), 9)
            + load
            + pad("" if idle else f"{unit.load_ratio:.0%}", 6, right=True)
            + pad("" if idle else f"{number(unit.heat_kw)} kW", 10, right=True)
            + pad("" if idle else f"{number(unit.electric_kw)} kW", 10, right=True)
            + pad("" if unit.cop is None else f"{unit.cop:.2f}", 7, right=True)
            + screen.paint(f"  {screen.pick(unit.doing_zh, unit.doing_en)}".rstrip(), "warn")
        )


def _loop(snapshot: Snapshot, screen: Screen) -> Iterable[str]:
    room = "" if snapshot.room_degc is None else screen.pick("   室内 ", "   rooms ") + f"{snapshot.room_degc:.1f} ℃"
    supply = screen.paint(f"{snapshot.supply_degc:.1f} ℃", "bold")
    yield (
        pad(screen.pick(" 供水", " supply"), 9)
        + supply
        + ("" if snapshot.setpoint_degc is None else f" / {snapshot.setpoint_degc:.1f} ℃")
        + f"   {screen.pick('回水', 'return')} {snapshot.return_degc:.1f} ℃"
        + f"   {screen.pick('室外', 'outdoor')} {snapshot.outdoor_degc:.1f} ℃{room}"
    )
    demand = screen.paint(f"{number(snapshot.demand_kw)} kW", "bold")
    energy = number(snapshot.electricity_kwh)
    yield (
        pad(screen.pick(" 需热", " demand"), 9)
        + f"{demand}   {screen.pick('供给', 'delivered')} {number(snapshot.delivered_kw)} kW"
        + f"   {screen.pick('全站用电', 'site power')} {number(snapshot.electric_kw)} kW"
        + screen.pick(f"   累计 {energy} kWh", f"   so far {energy} kWh")
    )


def _plan(snapshot: Snapshot, screen: Screen, columns: int) -> Iterable[str]:
    per_hour = 4 if columns >= WIDTH_FOR_QUARTERS else 2
    count = 24 * per_hour
    step = timedelta(hours=1) / per_hour
    midnight = snapshot.now.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + (snapshot.now - midnight) // step * step
    starts = [first + step * index for index in range(count)]
    label = screen.pick(" 计划", " plan")
    if snapshot.plan_made is None:
        about = screen.paint(screen.pick("控制器尚无计划", "the controller has no plan yet"), "dim")
    else:
        method = screen.word(snapshot.plan_method or "")
        about = screen.paint(
            screen.pick(f"{snapshot.plan_made:%H:%M} 制定,{method}", f"made {snapshot.plan_made:%H:%M}, {method}"),
            "dim",
        )
    yield f"{pad(label, 9)}{about}"
    hours = _hours(starts)
    yield f"{' ' * 9}{screen.paint(hours, 'dim')}"
    yield f"{pad(screen.pick(' 电价', ' price'), 9)}{_bands(snapshot, screen, starts)}"
    if not snapshot.plan:
        return
    rates = [_rates(snapshot.plan, start, start + step) for start in starts]
    most = max(1.0, *(direct + charge for direct, charge, _, _ in rates), *(out for _, _, out, _ in rates))
    for index, (zh, en, style) in enumerate(
        ((" 直供", " direct", "direct"), (" 蓄热", " charge", "charge"), (" 放热", " release", "discharge"))
    ):
        columns_text = "".join(column(rate[index], most) for rate in rates)
        peak_kw = max(rate[index] for rate in rates)
        yield f"{pad(screen.pick(zh, en), 9)}{screen.paint(columns_text, style)} {number(peak_kw):>5} kW"
    stored = [rate[3] for rate in rates]
    full_kwh = snapshot.stored_kwh / snapshot.soc_ratio if snapshot.soc_ratio > SOC_RATIO_SEEN else max(stored)
    text = "".join(column(kwh, full_kwh) for kwh in stored)
    yield f"{pad(screen.pick(' 蓄量', ' stored'), 9)}{screen.paint(text, 'stored')} {number(max(stored)):>5} kWh"


def _hours(starts: Sequence[datetime]) -> str:
    """The hours above the columns, every second one, where there is room."""
    text = ""
    for index, start in enumerate(starts):
        if start.minute == 0 and start.hour % 2 == 0 and len(text) <= index and index + 2 <= len(starts):
            text = text.ljust(index) + f"{start:%H}"
    return text.ljust(len(starts))


def _bands(snapshot: Snapshot, screen: Screen, starts: Sequence[datetime]) -> str:
    """The price bands under the hours: each run of columns begins with its name, as far as it fits."""
    bands = [next((band for begin, end, band in snapshot.bands_ahead if begin <= start < end), "") for start in starts]
    text, index = "", 0
    while index < len(bands):
        length = 1
        while index + length < len(bands) and bands[index + length] == bands[index]:
            length += 1
        name = screen.word(bands[index])
        if columns_of(name) > length - (screen.language == "en"):  # Latin names need a dash between them
            name = _BAND_INITIAL.get(bands[index], "")[:length]
        text += screen.paint(name + "━" * (length - columns_of(name)), bands[index])
        index += length
    return text


def _rates(plan: Sequence[PlanStep], start: datetime, end: datetime) -> tuple[float, float, float, float]:
    """Mean direct, charging and discharging rate [kW] over a column of the picture, and the store at its end [kWh]."""
    direct_kwh = charge_kwh = discharge_kwh = stored_kwh = 0.0
    for step in plan:
        hours = (min(end, step.end) - max(start, step.start)).total_seconds() / 3600.0
        if hours > 0.0:
            direct_kwh += step.direct_kw * hours
            charge_kwh += step.charge_kw * hours
            discharge_kwh += step.discharge_kw * hours
            stored_kwh = step.soc_kwh or 0.0
    length_h = (end - start).total_seconds() / 3600.0
    return direct_kwh / length_h, charge_kwh / length_h, discharge_kwh / length_h, stored_kwh


def _money_and_uploads(snapshot: Snapshot, screen: Screen) -> Iterable[str]:
    cost = screen.paint(screen.pick(f"{number(snapshot.cost_cny)} 元", f"{number(snapshot.cost_cny)} CNY"), "bold")
    line = f"{pad(screen.pick(' 电费', ' cost'), 9)}{cost}"
    if abs(snapshot.stored_heat_cny) >= 1.0:
        stored = f"{snapshot.stored_heat_cny:+,.0f}".replace(",", " ")
        line += screen.pick(f"(罐内存热 {stored} 元)", f" (heat in store {stored} CNY)")
    if snapshot.no_storage_cny is not None:
        estimate = number(snapshot.no_storage_cny)
        line += screen.pick(f"   不蓄热约 {estimate} 元", f"   without storage about {estimate} CNY")
        if snapshot.no_storage_cny > COST_SHOWN_CNY:
            saved = 1.0 - (snapshot.cost_cny - snapshot.stored_heat_cny) / snapshot.no_storage_cny
            text = screen.pick(f"省 {saved:.1%}", f"saves {saved:.1%}")
            if saved < 0.0:
                text = screen.pick(f"多花 {-saved:.1%}", f"costs {-saved:.1%} more")
            line += "   " + screen.paint(text, "good" if saved >= 0.0 else "warn")
    yield line
    uploads = snapshot.uploads
    waiting = "–" if uploads.backlog is None else str(uploads.backlog)
    settled = uploads.acknowledged >= uploads.due
    counts = screen.pick(
        f"应传 {uploads.due}  平台已确认 {uploads.acknowledged}  待传 {waiting}",
        f"due {uploads.due}  acknowledged {uploads.acknowledged}  backlog {waiting}",
    )
    frames = number(snapshot.frames_promised)
    yield (
        pad(screen.pick(" 上传", " uploads"), 9)
        + screen.paint(counts, "good" if settled else "warn")
        + screen.pick(f"   已存数据帧 {frames}", f"   frames kept {frames}")
    )
    state = screen.paint(screen.word(snapshot.agent), {"up": "good", "down": "bad"}.get(snapshot.agent, "warn"))
    mode = screen.word(snapshot.agent_mode) if snapshot.agent_mode else "–"
    broken = screen.pick(f"越限 {snapshot.violations}", f"violations {snapshot.violations}")
    yield (
        pad(screen.pick(" 控制器", " agent"), 9)
        + f"{state}   {screen.pick('模式', 'mode')} {mode}"
        + screen.pick(f"   启动 {snapshot.agent_starts} 次   ", f"   starts {snapshot.agent_starts}   ")
        + screen.paint(broken, "bad" if snapshot.violations else "good")
    )
    for index, (zh, en) in enumerate(snapshot.alarms[:ALARMS_SHOWN]):
        label = screen.pick(" 报警", " alarm") if index == 0 else ""
        yield pad(label, 9) + screen.paint(screen.pick(zh, en), "bad")


def _events(snapshot: Snapshot, screen: Screen) -> Iterable[str]:
    shown = list(snapshot.events)[-EVENTS_SHOWN:]
    for event in reversed(shown):
        text = screen.paint(screen.pick(event.zh, event.en), event.tone)
        yield f" {screen.paint(f'{event.instant:%H:%M}', 'dim')}   {text}"


# -------------------------------------------------------------------------------------- one line an hour, no terminal
def summary_line(snapshot: Snapshot, screen: Screen) -> str:
    """The state in one line, for a log or a pipe."""
    running = sum(unit.state == "running" for unit in snapshot.units)
    heat_kw = sum(unit.heat_kw for unit in snapshot.units)
    uploads = snapshot.uploads
    estimate = "" if snapshot.no_storage_cny is None else f" ({number(snapshot.no_storage_cny)})"
    if screen.language == "zh":
        return (
            f"{snapshot.now:%m-%d %H:%M}  {screen.word(snapshot.band)} {snapshot.price_cny_per_kwh:.3f} 元"
            f"  蓄 {snapshot.soc_ratio:.0%} {number(snapshot.tank_kw)} kW"
            f"  机组 {running}/{len(snapshot.units)} {number(heat_kw)} kW"
            f"  供水 {snapshot.supply_degc:.1f} ℃  需热 {number(snapshot.demand_kw)} kW"
            f"  电费 {number(snapshot.cost_cny)}{estimate} 元  上传 {uploads.acknowledged}/{uploads.due}"
            f"  {snapshot.speed_ratio:.0f}x"
        )
    return (
        f"{snapshot.now:%m-%d %H:%M}  {screen.word(snapshot.band)} {snapshot.price_cny_per_kwh:.3f} CNY"
        f"  store {snapshot.soc_ratio:.0%} {number(snapshot.tank_kw)} kW"
        f"  units {running}/{len(snapshot.units)} {number(heat_kw)} kW"
        f"  supply {snapshot.supply_degc:.1f} degC  demand {number(snapshot.demand_kw)} kW"
        f"  cost {number(snapshot.cost_cny)}{estimate} CNY  uploads {uploads.acknowledged}/{uploads.due}"
        f"  {snapshot.speed_ratio:.0f}x"
    )


# --------------------------------------------------------------------------------------------------------- the score
_SCORE_LINES: Final[Sequence[tuple[str, str, str, str]]] = (
    ("sim_hours", "仿真时长", "simulated", "h"),
    ("wall_seconds", "实际用时", "wall time", "s"),
    ("speed_effective", "平均倍速", "mean speed", "x"),
    ("cost_cny", "电费", "electricity cost", "CNY"),
    ("no_storage_estimate_cny", "不蓄热估算", "without storage, about", "CNY"),
    ("stored_heat_cny", "罐内存热变化", "change of heat in store", "CNY"),
    ("electricity_kwh", "用电", "electricity", "kWh"),
    ("peak_kw", "最大需量 (15 min)", "highest demand (15 min)", "kW"),
    ("heat_delivered_kwh", "供热", "heat delivered", "kWh"),
    ("unmet_heat_kwh", "欠供热", "heat not met", "kWh"),
    ("heat_charged_kwh", "蓄热", "heat charged", "kWh"),
    ("heat_charged_valley_ratio", "其中谷段", "of it in the valley", ""),
    ("discomfort_kelvin_hours", "供水温度不足", "discomfort", "K h"),
    ("unit_starts", "机组启动", "unit starts", ""),
    ("protection_trips", "保护停机", "protection trips", ""),
    ("invariant_violations", "越限", "invariants broken", ""),
    ("samples_accepted", "存下的采样", "samples accepted", ""),
    ("samples_lost", "丢失的数据帧", "frames lost", ""),
    ("wrong_values", "错误的值", "wrong values", ""),
    ("records_due", "应传记录", "records due", ""),
    ("records_acknowledged", "平台已确认", "records acknowledged", ""),
    ("records_lost", "丢失的记录", "records lost", ""),
    ("records_duplicated_at_platform", "平台收到的重复", "duplicates at the platform", ""),
    ("plans", "计划", "plans", ""),
    ("plan_seconds_median", "求解用时中位数", "median solving time", "s"),
    ("energy_residual_relative", "能量平衡误差", "energy residual", ""),
    ("slowdowns", "仿真放慢次数", "slow-downs", ""),
    ("agent_starts", "控制器启动", "agent starts", ""),
)
_MUST_BE_NONE: Final = frozenset(
    {
        "invariant_violations",
        "samples_lost",
        "wrong_values",
        "records_lost",
        "protection_trips",
        "discomfort_kelvin_hours",
    }
)


def render_score(figures: Mapping[str, object], screen: Screen) -> list[str]:
    """The score as people read it; what it must not show is red."""
    title = screen.pick(" 成绩", " score")
    lines = [screen.paint(pad(f"{title}  {figures.get('scenario', '')}  seed {figures.get('seed')}", 60), "title")]
    for key, zh, en, unit in _SCORE_LINES:
        value = figures.get(key)
        style = ""
        if key in _MUST_BE_NONE and value is not None:
            style = "bad" if value else "good"
        text = screen.paint(_figure(key, value), style) if style else _figure(key, value)
        unit_text = screen.pick("元", unit) if unit == "CNY" else unit
        lines.append(f" {pad(screen.pick(zh, en), 28)}{pad(text, 12, right=True)} {unit_text}".rstrip())
    for key, zh, en in (
        ("failures", "失败", "failed"),
        ("expectations_missed", "未达预期", "expectation missed"),
        ("wrong_values_first", "错误的值", "wrong value"),
    ):
        texts = figures.get(key)
        if isinstance(texts, (list, tuple)):
            lines.extend(f" {screen.paint(screen.pick(zh, en), 'bad')}: {text}" for text in texts)
    return lines


_BUS_LINES: Final[Sequence[tuple[str, str, str, str]]] = (
    ("run_seconds", "判定时长", "judged", "s"),
    ("samples_accepted", "存下的采样", "samples accepted", ""),
    ("samples_lost", "丢失的数据帧", "frames lost", ""),
    ("wrong_values", "错误的值", "wrong values", ""),
    ("stale_values", "过期的值", "stale values", ""),
    ("periods_off_ratio_max", "其他设备周期偏差 (最大)", "period of the others off by", ""),
    ("periods_held_ratio", "周期在 10% 内的比例", "intervals within 10 %", ""),
    ("recovery_s_max", "恢复用时", "recovery", "s"),
    ("recovery_bound_s", "恢复上限", "recovery at the latest", "s"),
    ("recovered_late", "未按时恢复", "recovered late or never", ""),
    ("outcome_gaps", "无结果的测点", "points without an outcome", ""),
    ("bad_elsewhere", "其他设备的坏值", "BAD samples elsewhere", ""),
    ("gap_violations", "3.5 字符间隔违规", "gaps broken", ""),
    ("write_frames", "写帧", "write frames", ""),
    ("stop_seconds", "停止用时", "stopped within", "s"),
)
_BUS_MUST_BE_NONE: Final = frozenset(
    {"samples_lost", "wrong_values", "stale_values", "recovered_late", "outcome_gaps", "gap_violations", "write_frames"}
)


def render_bus_score(figures: Mapping[str, object], screen: Screen) -> list[str]:
    """The score of a run on a bench as people read it."""
    title = screen.pick(" 成绩", " score")
    lines = [screen.paint(pad(f"{title}  {figures.get('scenario', '')}  seed {figures.get('seed')}", 60), "title")]
    for key, zh, en, unit in _BUS_LINES:
        value = figures.get(key)
        text = _figure(key, value)
        if key in _BUS_MUST_BE_NONE and value is not None:
            text = screen.paint(text, "bad" if value else "good")
        lines.append(f" {pad(screen.pick(zh, en), 28)}{pad(text, 12, right=True)} {unit}".rstrip())
    for key, zh, en in (("failures", "失败", "failed"), ("expectations_missed", "未达预期", "expectation missed")):
        texts = figures.get(key)
        if isinstance(texts, (list, tuple)):
            lines.extend(f" {screen.paint(screen.pick(zh, en), 'bad')}: {text}" for text in texts)
    return lines


def _figure(key: str, value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return " ".join(f"{name} {count}" for name, count in value.items())
    if isinstance(value, (list, tuple)):
        return str(len(value))
    if isinstance(value, float):
        if key == "energy_residual_relative":
            return f"{value:.1e}"
        return f"{value:.1%}" if key.endswith("_ratio") else number(value, 1 if abs(value) >= 1 else 3)
    return number(value) if isinstance(value, int) else str(value)
