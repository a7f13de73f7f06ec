"""Periods whose length the platform sets: no instant twice, none left out, over restarts as well."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.sample import good
from edge_agent.settings.model import UplinkFile
from edge_agent.store.store import Store
from edge_agent.uplink.archive import Archive
from edge_agent.uplink.lengths import Lengths, may_be_set, read_lengths
from edge_agent.uplink.periods import PeriodCloser

START = datetime(2026, 1, 15, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LENGTHS_MIN = (5, 10, 15, 20, 30, 60, 120, 360, 720)


@given(
    st.sampled_from(LENGTHS_MIN), st.lists(st.tuples(st.integers(0, 3000), st.sampled_from(LENGTHS_MIN)), max_size=6)
)
def test_periods_follow_each_other_without_a_hole_whatever_is_set(
    first_min: int, wishes: list[tuple[int, int]]
) -> None:
    lengths = Lengths(first_min)
    begin_utc = datetime(2026, 1, 15, tzinfo=UTC)
    at_utc = begin_utc
    for pause_min, wanted_min in wishes:
        until_utc = at_utc + pause_min * MINUTE
        while at_utc <= until_utc:
            at_utc += lengths.at(at_utc) * MINUTE  # ends of periods: the one under way ends here
        lengths = lengths.changed(wanted_min, after_utc=at_utc)
        assert read_lengths(lengths.to_json(), configured_min=first_min) == lengths
    seen_utc = begin_utc
    for _ in range(300):
        length_min = lengths.at(seen_utc)
        assert (seen_utc - begin_utc) % (length_min * MINUTE) == timedelta(0), "a period begins off its own grid"
        seen_utc += length_min * MINUTE
    assert lengths.at(datetime(2027, 1, 1, tzinfo=UTC)) == (wishes[-1][1] if wishes else first_min)
    assert read_lengths(lengths.to_json(), configured_min=first_min + 1) == Lengths(first_min + 1)


@pytest.mark.parametrize(
    ("length_min", "may"), [(1, False), (5, True), (7, False), (30, True), (720, True), (1440, False)]
)
def test_only_what_the_rule_allows_may_be_set(length_min: int, *, may: bool) -> None:
    assert may_be_set(length_min) is may


async def test_a_platform_that_sets_the_period_gets_every_instant_once(tmp_path: Path) -> None:
    uplinks = UplinkFile.model_validate(
        {
            "uplinks": {"owner": {"transport": "mqtt_json", "broker": "mqtt://127.0.0.1", "period_min": 10}},
            "points": [{"point": "em.power", "code": "01"}],
        }
    )
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)

    def closer() -> PeriodCloser:
        return PeriodCloser(store, uplinks, plant="bj", period_s=lambda _: 60.0, period_s_max=60.0, grace_s=30.0)

    now_utc, first = START, closer()
    assert not await first.set_period("owner", 30, now_utc=now_utc)  # nothing has begun yet
    for minute in range(200):
        now_utc = START + minute * MINUTE
        await store.append_frame([good("em.power", now_utc, 1.0, "kW")], instant_utc=now_utc, elapsed_s=0.0)
        await first.close_due(now_utc)
        if minute == 45:  # 01:15: the period under way ends 01:20, half hours begin 01:30
            assert await first.set_period("owner", 30, now_utc=now_utc)
        if minute == 50:
            first = closer()  # a restart before it begins
        if minute == 120:
            assert await first.set_period("owner", 10, now_utc=now_utc)
            assert not await first.set_period("owner", 7, now_utc=now_utc)
    rows = await store.outbox_due("owner", 100)
    spans = [(row.start_utc, row.period_min) for row in rows]
    assert {length for _, length in spans} == {10, 30}
    for (start_utc, length), (next_utc, _) in itertools.pairwise(spans):
        assert start_utc + length * MINUTE == next_utc
    assert spans[6] == (START + 60 * MINUTE, 30)
    records = [
        record async for part in Archive(store, uplinks, plant="bj").records("owner", None, None) for record in part
    ]
    assert [(record.period.start_utc, record.period.length_min) for record in records] == spans
    await store.close()
