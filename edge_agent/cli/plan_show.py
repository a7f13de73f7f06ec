"""A plan on the terminal, for an operator: what it costs and what else would cost, then what is done when, and why."""

import math
import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from edge_agent.cli.common import Common

if TYPE_CHECKING:
    from scheduling.plan import Alternative, Plan, Reason

MODE_ZH = {"direct": "直供", "charge": "蓄能"}
METHODS = {
    "milp": ("优化计划", "optimised plan"),
    "relaxed": ("简化优化的计划", "plan of a simplified optimisation"),
    "rule": ("按常规规则的计划", "plan by a good operator's rule"),
}
"""What the ways of planning are called for people."""
WEEKDAYS = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")
WIDTH_MAX = 110
"""Longest line for people [cells], on a wider terminal too."""
DAY = timedelta(days=1)
UNMET_SAID_KWH = 1.0
PENALTY_SAID_CNY = 1.0
COMPARABLE_RATIO = 0.01
"""Who delivers less by more than this share of what the units make cannot be compared in money."""
PRICE_SAME = 5e-4
"""Prices that read alike count as one [CNY/kWh]."""


def cells(text: str) -> int:
    """Width of a text on a terminal: Chinese characters take two cells."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def padded(text: str, width: int) -> str:
    """A text filled up to a width in cells."""
    return text + " " * max(0, width - cells(text))


def wrapped(text: str, *, indent: str, width: int) -> Iterator[str]:
    """Lines of at most a width in cells; a Chinese text may be broken anywhere but before a punctuation mark.

    Times (16:15) and sums (2 679) stay whole.
    """
    line, word = indent, ""
    for at, character in enumerate((*text, "")):
        word += character
        if character in " ,;:" and text[at - 1 : at].isdigit() and text[at + 1 : at + 2].isdigit():
            continue
        if not (character in " ,;:" or cells(character) > 1):
            continue
        if cells(line + word.rstrip()) > width and line.strip():
            yield line.rstrip()
            line = indent
            word = word.lstrip()
        line += word
        word = ""
    if line.strip():
        yield line.rstrip()


def money(cny: float) -> str:
    """A sum for people."""
    return f"{cny:,.0f}".replace(",", " ") if abs(cny) >= 10 else f"{cny:.2f}"  # noqa: PLR2004 - small sums show fen


def method_words(method: str, gap_ratio: float | None = None) -> tuple[str, str]:
    """How a plan was made and how good it is proven to be, in both languages."""
    zh, en = METHODS.get(method, (method, method))
    if gap_ratio is None:
        return zh, en
    # Rounded up: what is promised must hold.
    percent = f"{max(0.1, 100 * gap_ratio + 0.05):.1f}"
    return f"{zh},最多还能省 {percent} %", f"{en}, at most {percent} % could still be saved"


class PlanPrinter:
    """Prints one plan on the plant's clock."""

    def __init__(self, common: Common, plan: "Plan", *, zone: ZoneInfo, title: str) -> None:
        """Prepares.

        Args:
            common: language.
            plan: what to print.
            zone: the plant's.
            title: the plant's or the request's name.
        """
        self._pick = common.pick
        self._zh = common.language == "zh"
        self._plan = plan
        self._title = title
        edges = [plan.grid_start_utc]
        for minutes in plan.step_minutes:
            edges.append(edges[-1] + timedelta(minutes=minutes))
        self._edges = [edge.astimezone(zone) for edge in edges]
        self._width = min(WIDTH_MAX, shutil.get_terminal_size((WIDTH_MAX, 24)).columns)

    def show(self, *, why: bool) -> None:
        """Prints everything; the reasons only when asked for."""
        for line in (*self._head(), *self._stores(why=why), *self._units(why=why), *self._rest(why=why)):
            click.echo(line)

    # ------------------------------------------------------------------------------------------------------- the day

    def _head(self) -> Iterator[str]:
        plan, pick = self._plan, self._pick
        begin, hours = self._edges[0], sum(plan.step_minutes) / 60.0
        day = WEEKDAYS[begin.weekday()] if self._zh else f"{begin:%a}"
        zh, en = method_words(plan.method)
        yield pick(
            f"{self._title}  {begin:%Y-%m-%d} {day} {begin:%H:%M} 起 {hours:g} 小时  {zh}",
            f"{self._title}  {day} {begin:%Y-%m-%d} from {begin:%H:%M}, {hours:g} h  {en}",
        )
        cost_cny = plan.objective_cny - self._penalty_cny()
        yield pick(f"费用 {money(cost_cny)} 元{self._kept()}", f"cost {money(cost_cny)} CNY{self._kept()}")
        compared = plan.comparison
        if compared is not None:
            if compared.no_storage is not None:
                yield from self._against(compared.no_storage, pick("不蓄能", "without storage"), cost_cny=cost_cny)
            if compared.rule is not None and plan.method != "rule":
                yield from self._against(
                    compared.rule, pick("按常规规则", "by a good operator's rule"), cost_cny=cost_cny
                )
        yield from self._bound(cost_cny)
        yield from self._prices()
        unmet_kwh = self._unmet_kwh()
        if unmet_kwh > UNMET_SAID_KWH:
            yield pick(
                f"  缺供 {unmet_kwh:.0f} kWh,不计在费用里:原因见下面的缺口",
                f"  {unmet_kwh:.0f} kWh are lacking, not part of the cost: the reason is below",
            )

    def _bound(self, cost_cny: float) -> Iterator[str]:
        """What is proven: below it no plan lies that serves the loads and keeps the limits as well as this one."""
        plan, pick = self._plan, self._pick
        if plan.bound_cny is None:
            yield pick("  理论下限 未知", "  lower bound not known")
            return
        less_cny = max(0.0, plan.objective_cny - plan.bound_cny)
        less = money(less_cny)
        if self._penalty_cny() > PENALTY_SAID_CNY:
            # The bound counts what is lacking at its price as well, and need not lack the same.
            whole, bound = money(plan.objective_cny), money(plan.bound_cny)
            yield pick(
                f"  连同缺供、超限的折价共 {whole} 元;理论下限 {bound} 元,最多再省 {less} 元",
                f"  {whole} CNY with what is lacking or above limits at its price; lower bound {bound} CNY, "
                f"{less} CNY could be saved at most",
            )
            return
        bound = money(cost_cny - less_cny)
        percent = f",{100 * less_cny / cost_cny:.1f} %" if 0 <= less_cny < cost_cny else ""
        chosen = any(store.charge_degc is not None for store in plan.storages.values())
        zh, en = (
            ("、充热温度同此", ", keeps the limits and charges this hot") if chosen else ("", " and keeps the limits")
        )
        yield pick(
            f"  理论下限 {bound} 元:不缺供、不超限{zh}的做法都不会更低,最多再省 {less} 元{percent}",
            f"  lower bound {bound} CNY: no way of running that lacks nothing{en} can cost less; "
            f"{less} CNY{percent.replace(',', ' or ')} could be saved at most",
        )

    def _prices(self) -> Iterator[str]:
        """The bands of the coming day, each from when on; nothing where the request names none."""
        from scheduling.tariff.bands import BAND_ZH  # noqa: PLC0415 - only for people

        said: list[str] = []
        bands, prices = self._plan.bands, self._plan.price_cny_per_kwh
        for step, band in enumerate(bands):
            if step and band == bands[step - 1]:
                continue
            if self._edges[step] - self._edges[0] >= DAY:
                break
            said.append(f"{self._edges[step]:%H:%M} {self._pick(BAND_ZH.get(band, band), band)} {prices[step]:.3f}")
        if said:
            yield from wrapped(self._pick("电价 ", "price ") + ", ".join(said), indent="  ", width=self._width)

    def _penalty_cny(self) -> float:
        """What nobody is billed for: heat that is lacking and power above limits, as the plan weighs them."""
        return self._plan.parts_cny.get("unmet", 0.0) + self._plan.parts_cny.get("grid_cap", 0.0)

    def _mean_kw(self, kws: Sequence[float], first: int, last: int) -> float:
        """Mean power of a stretch; steps differ in length."""
        minutes = self._plan.step_minutes[first:last]
        return sum(kw * length for kw, length in zip(kws[first:last], minutes, strict=True)) / sum(minutes)

    def _made_kwh(self) -> float:
        hours = [minutes / 60.0 for minutes in self._plan.step_minutes]
        return sum(kw * h for unit in self._plan.units.values() for kw, h in zip(unit.load_kw, hours, strict=True))

    def _unmet_kwh(self) -> float:
        hours = [minutes / 60.0 for minutes in self._plan.step_minutes]
        return sum(
            kw * step_h for loop in self._plan.loops.values() for kw, step_h in zip(loop.unmet_kw, hours, strict=True)
        )

    def _kept(self) -> str:
        """What of the cost is no bill: the value of what the stores hold more or less at the end."""
        kept_cny = self._plan.parts_cny.get("terminal", 0.0)
        if abs(kept_cny) < 1.0:
            return ""
        if kept_cny < 0:
            return self._pick(
                f"(已减去期末多存的折价 {money(-kept_cny)} 元)",
                f" (less {money(-kept_cny)} CNY for what the stores hold more at the end)",
            )
        return self._pick(
            f"(含期末少存、要补的折价 {money(kept_cny)} 元)",
            f" ({money(kept_cny)} CNY of it for what the stores hold less at the end)",
        )

    def _against(self, other: "Alternative", name: str, *, cost_cny: float) -> Iterator[str]:
        pick = self._pick
        lacks_kwh = other.unmet_kwh - self._unmet_kwh()
        worse = []
        if lacks_kwh > UNMET_SAID_KWH:
            worse.append(pick(f"多缺供 {lacks_kwh:.0f} kWh", f"{lacks_kwh:.0f} kWh more would be lacking"))
        if other.excess_kwh > UNMET_SAID_KWH:
            worse.append(
                pick(
                    f"超出电网功率上限 {other.excess_kwh:.0f} kWh",
                    f"limits of power would be passed by {other.excess_kwh:.0f} kWh",
                )
            )
        breaks_limits = other.excess_kwh > UNMET_SAID_KWH and not self._plan.parts_cny.get("grid_cap")
        if breaks_limits or lacks_kwh > COMPARABLE_RATIO * self._made_kwh():
            yield pick(f"  {name}会{'、'.join(worse)},费用不能相比", f"  {name} {', '.join(worse)}: no cost to compare")
            return
        other_cny = other.objective_cny - other.penalty_cny
        saved_cny = other_cny - cost_cny
        share = 100 * abs(saved_cny) / other_cny if other_cny > 0 else math.inf
        said = f",{share:.1f} %" if share <= 100 else ""  # noqa: PLR2004 - more than all is no share
        sum_ = money(abs(saved_cny))
        besides_zh = f",还会{'、'.join(worse)}" if worse else ""
        besides_en = f", and {', '.join(worse)}" if worse else ""
        more_zh, more_en = ("省", "saves") if saved_cny >= 0 else ("多花", "costs more by")
        yield pick(
            f"  {name} {money(other_cny)} 元{besides_zh}:本计划{more_zh} {sum_} 元{said}",
            f"  {name} {money(other_cny)} CNY{besides_en}: this plan {more_en} {sum_} CNY{said.replace(',', ', ')}",
        )

    # ----------------------------------------------------------------------------------------------------- the blocks

    def _span(self, first: int, last: int) -> str:
        """Month, day and time of both ends; the second day only where it is another one."""
        begin, end = self._edges[first], self._edges[last]
        if begin.date() == end.date():
            ending = f"{end:%H:%M}"
        elif f"{end:%H:%M}" == "00:00" and (end.date() - begin.date()).days == 1:
            ending = "24:00"
        else:
            ending = f"{end:%m-%d %H:%M}"
        return f"{begin:%m-%d %H:%M}–{ending}"

    def _price(self, first: int, last: int) -> str:
        """Bands and prices of a stretch of steps."""
        from scheduling.tariff.bands import BAND_ZH  # noqa: PLC0415 - only for people

        prices, bands = self._plan.price_cny_per_kwh[first:last], self._plan.bands[first:last]
        if not prices:
            return ""
        low, high = min(prices), max(prices)
        said = f"{low:.3f}" if high - low < PRICE_SAME else f"{low:.3f}–{high:.3f}"
        names = [self._pick(BAND_ZH.get(band, band), band) for band in dict.fromkeys(bands)]
        return f"{'/'.join(names)} {said}" if names else self._pick(f"电价 {said}", f"at {said}")

    def _block(self, reason: "Reason", *, name: str = "") -> Iterator[str]:
        head = f"  {padded(self._span(reason.from_step, reason.to_step), 25)}  "
        yield f"{head}{name}{self._price(reason.from_step, reason.to_step)}".rstrip()
        yield from wrapped(self._pick(reason.zh, reason.en), indent="      ", width=self._width)

    def _reasons_of(self, name: str) -> list["Reason"]:
        return [reason for reason in self._plan.reasons if reason.name == name]

    def _stores(self, *, why: bool) -> Iterator[str]:
        pick = self._pick
        for name, store in self._plan.storages.items():
            level = ""
            if store.capacity_kwh and store.start_kwh is not None:
                percent = 100 * store.start_kwh / store.capacity_kwh
                level = pick(
                    f"  现存 {store.start_kwh:.0f} kWh({percent:.0f} %)",
                    f"  now {store.start_kwh:.0f} kWh ({percent:.0f} %)",
                )
            yield pick(f"蓄能 {name}{level}", f"storage {name}{level}")
            if why:
                for reason in self._reasons_of(name):
                    yield from self._block(reason)
                continue
            blocks = [
                (first, last, self._mean_kw(kws, first, last), word)
                for kws, word in ((store.charge_kw, pick("蓄", "charge")), (store.discharge_kw, pick("放", "give")))
                for first, last, _ in _runs([kw > 0 or None for kw in kws])
            ]
            for first, last, mean_kw, word in sorted(blocks):
                yield f"  {padded(self._span(first, last), 25)}  {word} {mean_kw:.0f} kW  {self._price(first, last)}"

    def _units(self, *, why: bool) -> Iterator[str]:
        pick = self._pick
        yield pick("机组", "units")
        width = max((len(name) for name in self._plan.units), default=0)
        for name, unit in self._plan.units.items():
            told = self._reasons_of(name)
            runs = list(_runs(unit.mode))
            for number, (first, last, mode) in enumerate(runs):
                label = name if number == 0 else ""
                mean_kw = self._mean_kw(unit.load_kw, first, last)
                words = pick(MODE_ZH.get(mode, mode), mode)
                head = f"  {label:<{width}}  {padded(self._span(first, last), 25)}  {words} {mean_kw:.0f} kW"
                causes = [
                    pick(reason.zh, reason.en).partition(":")[2].strip()
                    for reason in told
                    if why and reason.code == "serve_load" and (reason.from_step, reason.to_step) == (first, last)
                ]
                yield from self._with_cause(head, causes)
            if not runs:
                yield f"  {name:<{width}}  {pick('停', 'off')}"
            for reason in told if why else ():
                if reason.code != "serve_load":
                    span = padded(self._span(reason.from_step, reason.to_step), 25)
                    yield from wrapped(
                        f"{span}  {pick(reason.zh, reason.en)}", indent=" " * (width + 4), width=self._width
                    )

    def _with_cause(self, head: str, causes: Sequence[str]) -> Iterator[str]:
        """A line and its causes, behind it where there is room, else below."""
        if causes and cells(f"{head}  {causes[0]}") <= self._width:
            yield f"{head}  {causes[0]}"
            causes = causes[1:]
        else:
            yield head
        for cause in causes:
            yield from wrapped(cause, indent=" " * 10, width=self._width)

    def _rest(self, *, why: bool) -> Iterator[str]:
        """Auxiliaries and loops that lack something, always; demand and limits when asked."""
        pick = self._pick
        for number, (name, aux) in enumerate(self._plan.aux.items()):
            if number == 0:
                yield pick("辅助热源", "auxiliaries")
            told = self._reasons_of(name)
            for reason in told if why else ():
                yield from self._block(reason, name=f"{name}  ")
            for first, last, _ in _runs([kw > 0 or None for kw in aux.output_kw]) if not why else ():
                mean_kw = self._mean_kw(aux.output_kw, first, last)
                yield f"  {padded(self._span(first, last), 25)}  {name}  {mean_kw:.0f} kW"
            if not any(aux.output_kw):
                yield f"  {name}  {pick('不用', 'not needed')}"
        named = {*self._plan.storages, *self._plan.units, *self._plan.aux}
        others = [reason for reason in self._plan.reasons if reason.name not in named]
        lacks = [reason for reason in others if reason.code == "short_capacity"]
        power = [reason for reason in others if reason.code != "short_capacity"] if why else []
        for title, reasons in ((pick("缺口", "lacking"), lacks), (pick("电网功率", "grid power"), power)):
            if reasons:
                yield title
            for reason in reasons:
                yield from self._block(reason, name=f"{reason.name}  ")
        if why and self._plan.assumptions:
            yield pick("计划依据的机组和设备数据", "what the plan's figures rest on")
            for assumption in self._plan.assumptions:
                yield from wrapped(pick(assumption.zh, assumption.en), indent="  ", width=self._width)
        if why and self._plan.note:
            yield from wrapped(
                pick(
                    "优化求解有几步没有成功,已换用其他办法;详情见 plan --json 的 note",
                    "some steps of the optimisation failed and others took their place; see note in plan --json",
                ),
                indent="",
                width=self._width,
            )


def _runs(values: Sequence[object]) -> Iterator[tuple[int, int, str]]:
    """(first step, step after the last, value) of each stretch of one value; None is no stretch."""
    first = 0
    for step in range(1, len(values) + 1):
        if step == len(values) or values[step] != values[first]:
            value = values[first]
            if value is not None:
                yield first, step, str(value)
            first = step
