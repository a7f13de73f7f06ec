"""What must hold after every trial of `make crash`, judged while simulated time stands still and the agent lives on.

- every frame promised on `--promise-fd` is in the export, and every GOOD value in it was really on the wire at the
  instant that its stamp means, whatever the clock was set to (crash_frames);
- every period that was due is at the platform; what its frames have measured is in the record, or the platform was told
  that it will never come; what the platform holds is borne out by the frames, and lies within what was on the wire;
- no record came with other bytes, no value contradicts another one;
- repeats at the platform are no more than the repeats that the agent has declared;
- the agent's ledger names exactly what the platform holds: number by number, with the same bytes, and point by point as
  many valid values.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from crash_frames import judge_frames
from crash_site import (
    PERIOD_MIN,
    POINTS,
    POLL_S,
    STARTING_SPEED,
    STEPPED_SPEED,
    UPLINK,
    CrashSite,
    Stuck,
    until,
)

from edge_agent.errors import StoreFault
from edge_agent.store.reader import read_ledger, read_samples
from edge_agent.store.rows import Delivery, Fate, OutboxStatus
from hil_sim.score import ExportedSample, judge_values, periods_due

FAR = timedelta(days=40_000)
MIDDLE = datetime(2026, 1, 15, tzinfo=UTC)
QUIET_S_MAX = 15.0
DRAIN_LOOK_S = 0.05
CAUGHT_UP_LOOK_S = 0.1
CLOCK_STANDS_S_MAX = 1800.0
"""Time of the site after which no agent still waits for a clock that was set to stand."""
CORRECTION_LOOKS_MAX = 2
CORRECTION_S = 7.0
"""Wall time in which the agent tends its store, makes rollups anew and sends what corrects their records."""
SETTLED_LOOKS = 3
GOOD = 192
SHOWN_MAX = 2


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
        values_lost: measured in frames of a period that was due, and neither delivered nor declared.
        values_wrong: delivered, and not borne out by frames or wires; or GOOD in a frame, and not on the wire.
        records_altered: that came again with other bytes, or contradict each other.
        duplicates: repeats that the platform counted.
        duplicates_declared: repeats that the agent's ledger admits.
        value_faults: every single value that is lost or wrong, in words.
    """

    faults: list[str] = field(default_factory=list)
    frames_promised: int = 0
    frames_lost: int = 0
    records_due: int = 0
    records_lost: int = 0
    records_held: int = 0
    values_lost: int = 0
    values_wrong: int = 0
    records_altered: int = 0
    duplicates: int = 0
    duplicates_declared: int = 0
    value_faults: list[str] = field(default_factory=list)


def _books(site: CrashSite) -> tuple[OutboxStatus, list[Delivery]]:
    far_us = 2**62
    with read_ledger(site.state_dir) as ledger:
        return ledger.outbox_status(UPLINK), list(ledger.deliveries(UPLINK, 0, far_us))


async def judge(site: CrashSite) -> Verdict:
    """Compares both sides, and again while the agent may still correct what a wrong clock or a late frame has spoilt.

    A period is corrected a minute of the agent's time after its end; time may have been held before that.
    """
    verdict = await _look(site)
    for _ in range(CORRECTION_LOOKS_MAX):
        was_wrong = site.clock.now_s() <= site.clock_shown_s + CLOCK_STANDS_S_MAX
        if not verdict.faults or not (was_wrong or await asyncio.to_thread(_correction_waits, site)):
            break
        site.clock.set_speed(STARTING_SPEED)
        await asyncio.sleep(CORRECTION_S)
        verdict = await _look(site)
    site.told.update(verdict.value_faults)
    return verdict


def _correction_waits(site: CrashSite) -> bool:
    """Whether the store has noted that samples came to a period that was told."""
    with read_ledger(site.state_dir) as reader:
        return bool(reader.stale(1))


async def _look(site: CrashSite) -> Verdict:
    """Holds time, lets the uplink drain, and compares both sides."""
    verdict = Verdict()
    # On a busy machine the agent would never catch up with full speed; after a clock that was set it takes its time.
    was_wrong = site.clock.now_s() < site.clock_shown_s + CLOCK_STANDS_S_MAX
    site.clock.set_speed(STEPPED_SPEED if was_wrong else STARTING_SPEED)
    try:
        await until(lambda: _caught_up(site), "periods of the down time closed", look_s=CAUGHT_UP_LOOK_S)
    except Stuck as stuck:
        verdict.faults.append(str(stuck))
    site.clock.hold()
    due = _due(site)
    verdict.records_due = len(due)
    try:
        await _drain(site, due)
        status, deliveries, exported = await _at_rest(site)
    except (Stuck, StoreFault) as stuck:
        verdict.faults.append(str(stuck))
        try:
            status, deliveries = await asyncio.to_thread(_books, site)
        except StoreFault as fault:
            verdict.faults.append(str(fault))
            return verdict
        exported = await asyncio.to_thread(_export, site)
    _judge_promises(site, verdict, exported)  # the platform lives in this thread
    _judge_values(site, verdict, exported, due=due)
    _judge_records(site, verdict, status, due=due)
    _judge_ledger(site, verdict, deliveries)
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
    return {entry.start_utc for entry in deliveries if entry.kind == "record"}.issuperset(_due(site))


def _drained(site: CrashSite, due: Sequence[datetime]) -> bool:
    if not site.platform.held_periods().issuperset(due):
        return False
    try:
        status, _ = _books(site)
    except StoreFault:
        return False
    # In the first moments of a life no period has ended: then there is nothing to be delivered, and no stream yet.
    return status.backlog == 0 and (status.due > 0 or not due)


async def _drain(site: CrashSite, due: Sequence[datetime]) -> None:
    """Waits as long as anything still arrives.

    Raises:
        Stuck: nothing has changed for a while, and something is missing.
    """
    before, quiet_looks = -1, 0
    while not _drained(site, due):
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


async def _at_rest(site: CrashSite) -> tuple[OutboxStatus, list[Delivery], list[ExportedSample]]:
    """The books and the frames of one moment: on a busy machine a last period is still closed while frames are read."""
    while True:
        books, frames = await _settled(site), site.platform.frames
        exported = await asyncio.to_thread(_export, site)
        if await asyncio.to_thread(_books, site) == books and site.platform.frames == frames:
            return *books, exported


def _export(site: CrashSite) -> list[ExportedSample]:
    return [
        ExportedSample(
            point=found.sample.point,
            instant_s=found.sample.instant_utc.timestamp(),
            value=found.sample.value,
            good=int(found.sample.quality) == GOOD,
            frame=found.frame,
        )
        for found in read_samples(site.state_dir, MIDDLE - FAR, MIDDLE + FAR)
    ]


def _judge_promises(site: CrashSite, verdict: Verdict, exported: Sequence[ExportedSample]) -> None:
    promised = list(site.agent.promised)
    lost = set(promised) - {sample.frame for sample in exported}
    verdict.frames_promised = len(promised)
    verdict.frames_lost = len(lost)
    if lost:
        verdict.faults.append(f"{len(lost)} promised frames lost: {sorted(lost)[:5]}")
    if len(set(promised)) != len(promised):
        verdict.faults.append("a frame number was given twice")


def _judge_values(
    site: CrashSite, verdict: Verdict, exported: Sequence[ExportedSample], *, due: Sequence[datetime]
) -> None:
    faults = judge_frames(exported, site, due=due)
    verdict.values_lost = len(faults.undelivered)
    verdict.values_wrong = len(faults.wrong) + len(faults.untrue)
    for found, words in (
        (faults.wrong, "GOOD samples that were not on the wire"),
        (faults.undelivered, "values measured, and neither delivered nor declared"),
        (faults.untrue, "delivered values that no frame bears out"),
    ):
        if new := [fault for fault in found if fault not in site.told]:
            verdict.faults.append(f"{len(new)} {words}: {new[:SHOWN_MAX]}")
        verdict.value_faults += found


def _judge_records(site: CrashSite, verdict: Verdict, status: OutboxStatus, *, due: Sequence[datetime]) -> None:
    platform = site.platform
    held = platform.digests()
    verdict.records_held = len(held)
    verdict.duplicates = platform.duplicates
    verdict.duplicates_declared = status.resent
    verdict.records_altered = platform.altered + platform.contradictions
    lost = set(due) - platform.held_periods()
    verdict.records_lost = len(lost)
    if lost:
        verdict.faults.append(f"{len(lost)} records lost: {[str(start) for start in sorted(lost)[:3]]}")
    for name in ("altered", "contradictions", "malformed"):
        if count := getattr(platform, name):
            verdict.faults.append(f"platform: {name} = {count}")
    if platform.duplicates > status.resent:
        verdict.faults.append(f"{platform.duplicates} repeats arrived, {status.resent} were declared")
    # Where a wrong clock's stamps fell, values of two true times meet: there the frames alone judge (crash_frames).
    sure = [begin for begin in due if len(site.true_instants(begin.timestamp())) == 1]
    values = judge_values(POINTS, due=sure, period_s=60.0 * PERIOD_MIN, readings=platform.readings, log=site.log)
    verdict.values_wrong += values.wrong_count
    if values.wrong_count:
        verdict.faults.append(f"{values.wrong_count} wrong record values: {values.wrong[:SHOWN_MAX]}")


def _judge_ledger(site: CrashSite, verdict: Verdict, deliveries: list[Delivery]) -> None:
    """Number by number and point by point: the agent's word against what the platform has."""
    held = {(epoch, seq): digest for (_, epoch, seq), digest in site.platform.digests().items()}
    by_epoch = {entry.epoch for entry in deliveries}
    acknowledged = {(entry.epoch, entry.seq): entry for entry in deliveries if entry.fate is Fate.ACKNOWLEDGED}
    replaced = {(entry.epoch, entry.seq) for entry in deliveries if entry.fate is Fate.REPLACED}
    known = {key: digest for key, digest in held.items() if key[0] in by_epoch}  # a lost database had another epoch
    if claimed := acknowledged.keys() - known.keys():
        verdict.faults.append(f"ledger says acknowledged, platform has not: {sorted(claimed)[:3]}")
    if unclaimed := known.keys() - acknowledged.keys() - replaced:
        verdict.faults.append(f"platform has, ledger does not say so: {sorted(unclaimed)[:3]}")
    if other := [
        key
        for key, entry in acknowledged.items()
        if entry.kind == "record" and key in known and known[key][:8] != entry.digest
    ]:
        verdict.faults.append(f"other bytes at the platform: {other[:3]}")
    seqs = sorted(entry.seq for entry in deliveries)
    if seqs != list(range(1, len(seqs) + 1)):
        verdict.faults.append("numbers are not without gaps")
    if len(by_epoch) > 1 or known.keys() != held.keys():
        return  # records made anew: the platform has each value once, the ledger each number
    last = {
        entry.start_utc: entry for entry in sorted(deliveries, key=lambda entry: entry.seq) if entry.kind == "record"
    }
    valid: dict[str, set[datetime]] = defaultdict(set)
    for entry in last.values():  # a correction replaces what was told before
        missing = {place for places in entry.gaps.values() for place in places}
        for place, code in enumerate(entry.codes):
            if place not in missing:
                valid[code].add(entry.start_utc)
    for _, code, _ in POINTS:
        at_platform = {begin for begin, (value, _) in site.platform.readings(code).items() if value is not None}
        if other := at_platform ^ valid[code]:
            verdict.faults.append(
                f"point {code}: ledger and platform differ about values at {sorted(map(str, other))[:3]}"
            )
            break
