"""What must hold after every trial of `make crash`, judged while simulated time stands still and the agent lives on.

- every frame promised on `--promise-fd` is in the export, and every GOOD value in it was really on the wire;
- every period that was due is at the platform; no record came with other bytes, no value contradicts another one; what
  the platform holds lies within what was on the wire;
- repeats at the platform are no more than the repeats that the agent has declared;
- the agent's ledger names exactly what the platform holds: number by number, with the same bytes, and point by point as
  many valid values.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from crash_site import PERIOD_MIN, POINTS, POLL_S, STARTING_SPEED, UPLINK, CrashSite, Stuck, until

from edge_agent.errors import StoreFault
from edge_agent.store.reader import read_ledger, read_samples
from edge_agent.store.rows import Delivery, Fate, OutboxStatus
from hil_sim.score import VALUE_TOLERANCE_RELATIVE, ExportedSample, judge_samples, judge_values, periods_due

FAR = timedelta(days=40_000)
MIDDLE = datetime(2026, 1, 15, tzinfo=UTC)
QUIET_S_MAX = 15.0
DRAIN_LOOK_S = 0.05
SETTLED_LOOKS = 3
BEHIND_PERIODS_MAX = 2
VALID = 192
SAME_INSTANT_S = 1e-5
"""Stamps are whole microseconds."""


@dataclass
class Verdict:
    """What a judgement found.

    Attributes:
        faults: what did not hold, in words; empty: everything did.
        frames_promised: since the site began to live.
        frames_lost: promised, and not in the export.
        records_due: periods that had to be at the platform.
        records_lost: of these, not there.
        records_held: different records at the platform.
        records_altered: that came again with other bytes, or contradict each other.
        duplicates: repeats that the platform counted.
        duplicates_declared: repeats that the agent's ledger admits.
    """

    faults: list[str] = field(default_factory=list)
    frames_promised: int = 0
    frames_lost: int = 0
    records_due: int = 0
    records_lost: int = 0
    records_held: int = 0
    records_altered: int = 0
    duplicates: int = 0
    duplicates_declared: int = 0


def _books(site: CrashSite) -> tuple[OutboxStatus, list[Delivery]]:
    far_us = 2**62
    with read_ledger(site.state_dir) as ledger:
        return ledger.outbox_status(UPLINK), list(ledger.deliveries(UPLINK, 0, far_us))


async def judge(site: CrashSite) -> Verdict:
    """Holds time, lets the uplink drain, and compares both sides."""
    verdict = Verdict()
    site.clock.set_speed(STARTING_SPEED)  # on a busy machine the agent would never catch up with full speed
    try:
        await until(lambda: _caught_up(site), "periods of the down time closed")
    except Stuck as stuck:
        verdict.faults.append(str(stuck))
    site.clock.hold()
    if not site.clock_was_wrong:
        verdict.records_due = len(_due(site))
    try:
        await _drain(site)
        status, deliveries = await _settled(site)
    except (Stuck, StoreFault) as stuck:
        verdict.faults.append(str(stuck))
        try:
            status, deliveries = await asyncio.to_thread(_books, site)
        except StoreFault as fault:
            verdict.faults.append(str(fault))
            return verdict
    await asyncio.to_thread(_judge_samples, site, verdict)
    _judge_records(site, verdict, status, deliveries)  # the platform lives in this thread
    return verdict


def _due(site: CrashSite) -> list[datetime]:
    """Periods that ended long enough ago to have been closed: one scan is awaited, another may be under way."""
    end_s = site.clock.now_s() - 3 * POLL_S
    return periods_due(start_s=site.start_s, end_s=end_s, period_min=PERIOD_MIN)


def _caught_up(site: CrashSite) -> bool:
    """The agent has closed what ended while it was down: it takes a few periods a scan."""
    try:
        _, deliveries = _books(site)
    except StoreFault:
        return False
    if not deliveries:
        return False
    newest_s = max(entry.start_utc for entry in deliveries).timestamp() + 60 * PERIOD_MIN
    return newest_s >= site.clock.now_s() - BEHIND_PERIODS_MAX * 60 * PERIOD_MIN


def _drained(site: CrashSite) -> bool:
    if not site.clock_was_wrong and not site.platform.held_periods().issuperset(_due(site)):
        return False
    try:
        status, _ = _books(site)
    except StoreFault:
        return False
    return status.backlog == 0 and status.due > 0


async def _drain(site: CrashSite) -> None:
    """Waits as long as anything still arrives.

    Raises:
        Stuck: nothing has changed for a while, and something is missing.
    """
    before, quiet_looks = -1, 0
    while not _drained(site):
        quiet_looks = quiet_looks + 1 if site.platform.frames == before else 0
        before = site.platform.frames
        if quiet_looks * DRAIN_LOOK_S >= QUIET_S_MAX:
            raise Stuck(f"nothing has arrived for {QUIET_S_MAX:.0f} s, and not everything is delivered")
        await asyncio.sleep(DRAIN_LOOK_S)


async def _settled(site: CrashSite) -> tuple[OutboxStatus, list[Delivery]]:
    """Both sides' books when neither changes any more."""
    same = 0
    before: tuple[object, int] | None = None
    while True:
        books = await asyncio.to_thread(_books, site)
        now = (books, site.platform.frames)
        same = same + 1 if now == before else 0
        if same >= SETTLED_LOOKS and books[0].backlog == 0:
            return books
        before = now
        await asyncio.sleep(0.05)


def _judge_samples(site: CrashSite, verdict: Verdict) -> None:
    exported = [
        ExportedSample(
            point=found.sample.point,
            instant_s=found.sample.instant_utc.timestamp(),
            value=found.sample.value,
            good=int(found.sample.quality) == VALID,
            frame=found.frame,
        )
        for found in read_samples(site.state_dir, MIDDLE - FAR, MIDDLE + FAR)
    ]
    promised = list(site.agent.promised)
    # A clock that was wrong has stamped instants at which other values were on the wire.
    kept = exported if not site.clock_was_wrong else [sample for sample in exported if not sample.good]
    samples = judge_samples([one for one in kept if not _served_then(site, one)], promised=[], log=site.log)
    lost = set(promised) - {sample.frame for sample in exported}
    verdict.frames_promised = len(promised)
    verdict.frames_lost = len(lost)
    if lost:
        verdict.faults.append(f"{len(lost)} promised frames lost: {sorted(lost)[:5]}")
    if len(set(promised)) != len(promised):
        verdict.faults.append("a frame number was given twice")
    if samples.wrong_count:
        verdict.faults.append(f"{samples.wrong_count} wrong values: {samples.wrong[:2]}")


def _served_then(site: CrashSite, sample: ExportedSample) -> bool:
    """Whether a GOOD value was served at the sample's own instant: while time stands still, a point has several."""
    device, _, quantity = sample.point.partition(".")
    instants_s, values = site.log.served.get((device, quantity), ([], []))
    low = bisect_left(instants_s, sample.instant_s - SAME_INSTANT_S)
    high = bisect_right(instants_s, sample.instant_s + SAME_INSTANT_S)
    value = sample.value
    return (
        sample.good
        and value is not None
        and any(
            served is not None and abs(served - value) <= VALUE_TOLERANCE_RELATIVE * max(1.0, abs(served))
            for served in values[low:high]
        )
    )


def _judge_records(site: CrashSite, verdict: Verdict, status: OutboxStatus, deliveries: list[Delivery]) -> None:
    platform = site.platform
    held = platform.digests()
    verdict.records_held = len(held)
    verdict.duplicates = platform.duplicates
    verdict.duplicates_declared = status.resent
    verdict.records_altered = platform.altered + platform.contradictions
    due = [] if site.clock_was_wrong else _due(site)
    lost = set(due) - platform.held_periods()
    verdict.records_lost = len(lost)
    if lost:
        verdict.faults.append(f"{len(lost)} records lost: {[str(start) for start in sorted(lost)[:3]]}")
    for name in ("altered", "contradictions", "malformed"):
        if count := getattr(platform, name):
            verdict.faults.append(f"platform: {name} = {count}")
    if platform.duplicates > status.resent:
        verdict.faults.append(f"{platform.duplicates} repeats arrived, {status.resent} were declared")
    if due:
        values = judge_values(POINTS, due=due, period_s=60.0 * PERIOD_MIN, readings=platform.readings, log=site.log)
        if values.wrong_count:
            verdict.faults.append(f"{values.wrong_count} wrong record values: {values.wrong[:2]}")
    _judge_ledger(site, verdict, deliveries)


def _judge_ledger(site: CrashSite, verdict: Verdict, deliveries: list[Delivery]) -> None:
    """Number by number and point by point: the agent's word against what the platform has."""
    held = {(epoch, seq): digest for (_, epoch, seq), digest in site.platform.digests().items()}
    by_epoch = {entry.epoch for entry in deliveries}
    acknowledged = {(entry.epoch, entry.seq): entry for entry in deliveries if entry.fate is Fate.ACKNOWLEDGED}
    known = {key: digest for key, digest in held.items() if key[0] in by_epoch}  # a lost database had another epoch
    if claimed := acknowledged.keys() - known.keys():
        verdict.faults.append(f"ledger says acknowledged, platform has not: {sorted(claimed)[:3]}")
    if unclaimed := known.keys() - acknowledged.keys():
        verdict.faults.append(f"platform has, ledger does not say so: {sorted(unclaimed)[:3]}")
    if other := [key for key, entry in acknowledged.items() if key in known and known[key][:8] != entry.digest]:
        verdict.faults.append(f"other bytes at the platform: {other[:3]}")
    seqs = sorted(entry.seq for entry in deliveries)
    if seqs != list(range(1, len(seqs) + 1)):
        verdict.faults.append("numbers are not without gaps")
    if len(by_epoch) > 1 or known.keys() != held.keys():
        return  # records made anew: the platform has each value once, the ledger each number
    valid: Counter[str] = Counter()
    for entry in deliveries:
        missing = {place for places in entry.gaps.values() for place in places}
        valid.update(code for place, code in enumerate(entry.codes) if place not in missing)
    for _, code, _ in POINTS:
        at_platform = sum(quality == VALID for _, quality in site.platform.readings(code).values())
        if at_platform != valid[code]:
            verdict.faults.append(f"point {code}: ledger {valid[code]} valid values, platform {at_platform}")
            break
