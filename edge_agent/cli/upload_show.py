"""What `edge-agent upload` shows to people, line by line in both languages: made to be handed to the authority."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from edge_agent.cli.instants import local
from edge_agent.settings.model import ReportedPoint
from edge_agent.store.rows import Fate
from edge_agent.texts.catalogue import text
from edge_agent.uplink.ledger import NOT_MADE, Account, Missing, PointTally, runs
from edge_agent.uplink.verdict import Verdict

Line = tuple[str, str]
SHOWN_RUNS_MAX = 200
"""Runs of missing periods that people are shown; --json names every period."""
ALIKE_COUNT_MIN = 4
"""So many points with the same gaps are told in one line."""
UNHEALTHY_POINTS_MAX = 50
"""Points with gaps that are listed without --points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the lines need besides the figures.

    Attributes:
        zone: of the site.
        name: of the site.
        codes: what is reported under which code.
        by_point: list every point, not only those with gaps.
    """

    zone: ZoneInfo
    name: str
    codes: Sequence[ReportedPoint]
    by_point: bool


def status_lines(uplinks: Mapping[str, Mapping[str, Any]], *, zone: ZoneInfo) -> Iterator[Line]:
    """A few lines an uplink: whether it works, how far it is, what waits."""
    for name, uplink in uplinks.items():
        up = bool(uplink["connected"])
        yield (
            f"{name}: {'已连接' if up else '未连接'}{'' if up else ',' + str(uplink['fault'] or '正在连接')}",
            f"{name}: {'connected' if up else 'not connected'}{'' if up else ', ' + str(uplink['fault'] or 'trying')}",
        )
        oldest, last_ack = (local(uplink[key], zone) for key in ("oldest", "last_ack"))
        yield (
            (
                f"  应传 {uplink['due']} 已确认 {uplink['acknowledged']} 已送达未确认 {uplink['unacknowledged']}"
                f" 平台取走 {uplink['fetched']} 积压 {uplink['backlog']}({uplink['backlog_bytes'] / 1000:.0f} kB)"
                f" 最早 {oldest} 最近确认 {last_ack}"
            ),
            (
                f"  due {uplink['due']} acknowledged {uplink['acknowledged']}"
                f" delivered unacknowledged {uplink['unacknowledged']} fetched {uplink['fetched']}"
                f" backlog {uplink['backlog']} ({uplink['backlog_bytes'] / 1000:.0f} kB)"
                f" oldest {oldest} last acknowledgement {last_ack}"
            ),
        )
        if uplink["period_min"] != uplink["period_configured_min"]:
            now_min, configured_min = uplink["period_min"], uplink["period_configured_min"]
            yield (
                f"  时段 {now_min} 分钟(平台设定;配置为 {configured_min} 分钟)",
                f"  periods of {now_min} min (set by the platform; configured {configured_min} min)",
            )
        if uplink["replaced"]:
            yield f"  已更正 {uplink['replaced']}", f"  corrected {uplink['replaced']}"
        if uplink["refused"] or uplink["evicted"]:
            yield (
                f"  平台拒收 {uplink['refused']} 未传即丢弃 {uplink['evicted']}",
                f"  refused by the platform {uplink['refused']} dropped undelivered {uplink['evicted']}",
            )


def verify_lines(verdict: Verdict, shown: Shown, *, from_utc: datetime, to_utc: datetime) -> Iterator[Line]:
    """The whole verdict."""
    span = f"{_minute(from_utc, shown.zone)} – {_minute(to_utc, shown.zone)} ({shown.zone.key})"
    yield f"{shown.name} 上传完整性 {span}", f"{shown.name}: completeness of uploads {span}"
    for name, found in verdict.accounts.items():
        yield "", ""
        yield from _account_lines(name, found, shown, begins_utc=verdict.begins_utc.get(name), from_utc=from_utc)
        days = verdict.days.get(name, ())
        if days:
            yield (
                f"  日完整性记录 {len(days)} 天({days[0].day} 至 {days[-1].day}),最末校验值 {days[-1].hash[:16]}…",
                f"  daily records: {len(days)} ({days[0].day} to {days[-1].day}), last hash {days[-1].hash[:16]}…",
            )
    for name in verdict.silent:
        yield f"■ {name}: 已配置,还没有任何记录", f"■ {name}: configured, and without any record yet"
    yield "", ""
    if verdict.chain_broken_at is not None:
        yield (
            f"日完整性记录链在第 {verdict.chain_broken_at} 条断开:记录被改动过",
            f"the chain of daily records is BROKEN at entry {verdict.chain_broken_at}: something was changed",
        )
    lowest = min(
        (found.good_ratio for found in verdict.accounts.values() if found.good_ratio is not None), default=None
    )
    valid = "-" if lowest is None else f"{100 * lowest:.2f} %"
    missing = sum(len(found.missing) for found in verdict.accounts.values())
    unproven = sum(len(found.unproven) for found in verdict.accounts.values())
    if not verdict.accounts:
        yield "没有配置上传,或还没有记录", "no uplink is configured, or there is no record yet"
    elif not verdict.silent and not any(found.expected for found in verdict.accounts.values()):
        yield (
            "结论:该时段没有应传的记录,什么也没有证明;请核对 --from、--to",
            "verdict: nothing was due in this span, so nothing is proven; check --from and --to",
        )
    elif missing or unproven or verdict.silent:
        silent = len(verdict.silent)
        yield (
            f"结论:不完整。缺 {missing} 条,已送达但无证明 {unproven} 条"
            + (f",{silent} 路上传没有记录" if silent else "")
            + f";有效数据 {valid}",
            f"verdict: NOT COMPLETE. {missing} missing, {unproven} delivered without proof"
            + (f", {silent} streams without any record" if silent else "")
            + f"; valid values {valid}",
        )
    elif verdict.chain_broken_at is None:
        yield (
            f"结论:记录完整,平台确认持有全部应传记录;其中有效数据 {valid}",
            f"verdict: complete, the platform confirms that it holds every record; valid values {valid}",
        )


def _account_lines(
    name: str, found: Account, shown: Shown, *, begins_utc: datetime | None, from_utc: datetime
) -> Iterator[Line]:
    ratio = "-" if found.ratio is None else f"{100 * found.ratio:.2f} %"
    valid = "-" if found.good_ratio is None else f"{100 * found.good_ratio:.2f} %"
    fates = found.fates
    yield f"■ {name}: 应传 {found.expected} 条,完整率 {ratio}", f"■ {name}: {found.expected} due, completeness {ratio}"
    if begins_utc is not None and begins_utc > from_utc:
        yield (
            f"  账本从 {_minute(begins_utc, shown.zone)} 开始",
            f"  the ledger begins {_minute(begins_utc, shown.zone)}",
        )
    waiting = fates[Fate.STORED] + fates[Fate.SENT]
    yield (
        (
            f"  平台确认 {fates[Fate.ACKNOWLEDGED]}  平台取走 {fates[Fate.FETCHED]}"
            f"  已送达未确认 {fates[Fate.CONSUMED]}"
            f"  等待 {waiting}  拒收 {fates[Fate.REFUSED]}  丢弃 {fates[Fate.EVICTED]}  未生成 {fates[NOT_MADE]}"
        ),
        (
            f"  acknowledged {fates[Fate.ACKNOWLEDGED]}  fetched {fates[Fate.FETCHED]}"
            f"  delivered unacknowledged {fates[Fate.CONSUMED]}  waiting {waiting}  refused {fates[Fate.REFUSED]}"
            f"  dropped {fates[Fate.EVICTED]}  not made {fates[NOT_MADE]}"
        ),
    )
    yield (
        f"  补传 {found.backfilled}  重发 {found.sent_again}  有效数据 {valid}",
        f"  back-filled {found.backfilled}  sent again {found.sent_again}  valid values {valid}",
    )
    if found.corrected:
        yield (
            f"  更正 {len(found.corrected)} 条(数据迟到或时钟改正后重报):",
            f"  {len(found.corrected)} corrected (late samples, or a clock set right):",
        )
        yield from _run_lines([Missing(period, Fate.REPLACED) for period in found.corrected], shown.zone)
    if found.missing:
        yield f"  缺 {len(found.missing)} 条:", f"  {len(found.missing)} missing:"
        yield from _run_lines(found.missing, shown.zone)
    if found.unproven:
        yield (
            f"  已送达,平台没有证明已存 {len(found.unproven)} 条:",
            f"  {len(found.unproven)} delivered, not proven to be stored:",
        )
        yield from _run_lines(found.unproven, shown.zone)
    yield from _point_lines(found.points, shown)


def _run_lines(missing: Sequence[Missing], zone: ZoneInfo) -> Iterator[Line]:
    found = runs(missing)
    hints: dict[str, Line] = {}
    for start_utc, end_utc, count, why, reason in found[:SHOWN_RUNS_MAX]:
        words = text(f"fate_{why}", reason=f": {reason}" if reason else "")
        span = f"    {_minute(start_utc, zone)} – {_end(start_utc, end_utc, zone)}"
        yield f"{span}  {count} 条  {words.zh}", f"{span}  {count}  {words.en}"
        if words.hint_zh:
            hints[why] = (f"    → {words.hint_zh}", f"    → {words.hint_en}")
    if len(found) > SHOWN_RUNS_MAX:
        rest = len(found) - SHOWN_RUNS_MAX
        yield f"    … 还有 {rest} 段,--json 列出全部", f"    … {rest} more, --json names them all"
    yield from hints.values()


def _point_lines(points: Mapping[str, PointTally], shown: Shown) -> Iterator[Line]:
    names = {entry.code: entry.point for entry in shown.codes}
    listed = [(code, tally) for code, tally in sorted(points.items()) if shown.by_point or tally.good < tally.expected]
    if not listed:
        return
    alike: dict[tuple[int, int, tuple[tuple[str, int], ...]], list[tuple[str, PointTally]]] = {}
    for code, tally in listed:
        alike.setdefault((tally.good, tally.expected, tuple(sorted(tally.causes.items()))), []).append((code, tally))
    together = {} if shown.by_point else {key: some for key, some in alike.items() if len(some) >= ALIKE_COUNT_MIN}
    told_together = {code for some in together.values() for code, _ in some}
    listed = [entry for entry in listed if entry[0] not in told_together]
    cut = listed if shown.by_point else listed[:UNHEALTHY_POINTS_MAX]
    yield (
        "  测点(有效/应有,无效原因按时段计):" if shown.by_point else "  有无效数据的测点(有效/应有,原因按时段计):",
        "  points (valid of expected; causes in periods):"
        if shown.by_point
        else "  points with invalid values (valid of expected; causes in periods):",
    )
    for (good, expected, _), some in together.items():
        zh, en = _causes(some[0][1].causes)
        yield (
            f"    {len(some)} 个测点(--points 列出)各 {good}/{expected}{zh}",
            f"    {len(some)} points (--points names them), each {good}/{expected}{en}",
        )
    for code, tally in cut:
        head = f"    {code:<20} {names.get(code, '?'):<28} {tally.good}/{tally.expected}"
        zh, en = _causes(tally.causes)
        yield f"{head}{zh}", f"{head}{en}"
    if len(listed) > len(cut):
        rest = len(listed) - len(cut)
        yield f"    … 还有 {rest} 个测点", f"    … {rest} more points"


def _causes(causes: Counter[str]) -> Line:
    if not causes:
        return "", ""
    words = [(text(cause), count) for cause, count in sorted(causes.items(), key=lambda entry: (-entry[1], entry[0]))]
    return (
        "  " + ";".join(f"{entry.zh} {count}" for entry, count in words),
        "  " + "; ".join(f"{entry.en} {count}" for entry, count in words),
    )


def _minute(moment_utc: datetime, zone: ZoneInfo) -> str:
    return moment_utc.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _end(start_utc: datetime, end_utc: datetime, zone: ZoneInfo) -> str:
    start, end = start_utc.astimezone(zone), end_utc.astimezone(zone)
    return end.strftime("%H:%M" if start.date() == end.date() else "%Y-%m-%d %H:%M")
