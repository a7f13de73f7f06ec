"""Every period that ends is closed exactly once, whether the service ran or not."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drivers.sample import good
from edge_agent.errors import StoreFault
from edge_agent.rollup import Period
from edge_agent.settings.model import UplinkFile
from edge_agent.store.store import Store
from edge_agent.uplink.periods import PERIODS_A_CALL_MAX, PeriodCloser

START = datetime(2026, 1, 15, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BROKER = "mqtt://127.0.0.1:1883"


def uplinks(**period_min: int) -> UplinkFile:
    return UplinkFile.model_validate(
        {
            "uplinks": {
                name: {"transport": "mqtt_json", "broker": BROKER, "period_min": minutes}
                for name, minutes in period_min.items()
            },
            "points": [{"point": "em_main.electric_power", "code": "0111"}],
        }
    )


def closer(store: Store, uplink_file: UplinkFile) -> PeriodCloser:
    return PeriodCloser(store, uplink_file, plant="bj-demo", period_s=lambda _: 60.0, period_s_max=60.0, grace_s=30.0)


async def read(store: Store, minute: float, value: float) -> None:
    instant_utc = START + minute * MINUTE
    samples = [good("em_main.electric_power", instant_utc, value, "kW")]
    await store.append_frame(samples, instant_utc=instant_utc, elapsed_s=0.0)


async def records(store: Store, uplink: str) -> list[tuple[float, float | None]]:
    """(minutes since START, value) of every record in the outbox."""
    rows = await store.outbox_due(uplink, 10_000)
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    return [((row.start_utc - START) / MINUTE, json.loads(row.payload)["records"][0]["value"]) for row in rows]


@pytest.fixture
async def store(tmp_path: Path):  # noqa: ANN201 - an async generator of Store
    opened = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    yield opened
    await opened.close()


async def test_a_period_is_closed_once_when_the_grace_has_passed(store: Store) -> None:
    periods = closer(store, uplinks(owner=15))
    assert await periods.close_due(START + 99 * MINUTE) == 0  # nothing was ever read
    for minute in range(16):
        await read(store, minute, 100.0 + minute)
    assert await periods.close_due(START + 15.4 * MINUTE) == 0
    assert await periods.close_due(START + 15.5 * MINUTE) == 1
    assert await periods.close_due(START + 15.6 * MINUTE) == 0
    assert await records(store, "owner") == [(0.0, pytest.approx(107.0))]
    (rollup,) = await store.rollups("em_main.electric_power", 15, START, START + 15 * MINUTE)
    assert (rollup.count, rollup.good_ratio) == (15, 1.0)


async def test_periods_without_the_service_are_recorded_as_invalid(store: Store) -> None:
    for minute in range(15):
        await read(store, minute, 50.0)
    assert await closer(store, uplinks(owner=15)).close_due(START + 16 * MINUTE) == 1
    # The service was down for an hour and a half, and comes back within a period.
    for minute in range(105, 120):
        await read(store, minute, 80.0)
    again = closer(store, uplinks(owner=15))
    assert await again.close_due(START + 120.5 * MINUTE) == 7
    assert await records(store, "owner") == [(0.0, 50.0), *((15.0 * n, None) for n in range(1, 7)), (105.0, 80.0)]


async def test_catching_up_is_done_in_portions_and_ends(store: Store) -> None:
    await read(store, 1, 50.0)
    periods = closer(store, uplinks(owner=15))
    now_utc = START + 20 * 15 * MINUTE + MINUTE
    closed = [await periods.close_due(now_utc) for _ in range(4)]
    assert closed == [PERIODS_A_CALL_MAX, PERIODS_A_CALL_MAX, 20 - 2 * PERIODS_A_CALL_MAX, 0]
    assert [minute for minute, _ in await records(store, "owner")] == [15.0 * n for n in range(20)]


async def test_each_uplink_has_its_own_length(store: Store) -> None:
    for minute in range(31):
        await read(store, minute, float(minute))
    periods = closer(store, uplinks(owner=15, city=30, quick=5))
    assert await periods.close_due(START + 31 * MINUTE) == 8
    assert await periods.close_due(START + 31 * MINUTE) == 1
    assert [minute for minute, _ in await records(store, "owner")] == [0.0, 15.0]
    assert await records(store, "city") == [(0.0, pytest.approx(14.5))]
    assert [minute for minute, _ in await records(store, "quick")] == [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]


async def test_a_new_length_begins_where_the_others_stand(store: Store) -> None:
    for minute in range(120):
        await read(store, minute, 1.0)
    old = closer(store, uplinks(owner=15))
    assert await old.close_due(START + 121 * MINUTE) == 8
    changed = closer(store, uplinks(owner=30))
    await read(store, 149, 1.0)
    while await changed.close_due(START + 151 * MINUTE):
        pass
    rows = await store.outbox_due("owner", 100)
    assert [(row.period_min, (row.start_utc - START) / MINUTE) for row in rows[8:]] == [(30, 120.0)]


class Mortal:
    """A store that takes so many periods and then dies, like the service that uses it."""

    def __init__(self, store: Store, *, lives: int) -> None:
        self.store = store
        self.left = lives

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    async def close_period(self, *arguments: object) -> bool:
        if self.left == 0:
            raise StoreFault("killed")
        self.left -= 1
        return await self.store.close_period(*arguments)  # type: ignore[arg-type] # passed on as it came


@pytest.mark.parametrize("lives", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("first_minute", [0, 20])
async def test_a_kill_between_two_periods_repeats_and_skips_nothing(
    store: Store, lives: int, first_minute: int
) -> None:
    for minute in range(first_minute, 61, 3):
        await read(store, minute, 5.0)
    uplink_file = uplinks(owner=15, city=30)
    now_utc = START + 61 * MINUTE
    deaths = 0
    for _ in range(6):
        try:
            await closer(Mortal(store, lives=lives), uplink_file).close_due(now_utc)  # type: ignore[arg-type] # forwards
        except StoreFault:
            deaths += 1
    assert deaths > 0
    await closer(store, uplink_file).close_due(now_utc)
    quarters = [15.0 * number for number in range(first_minute // 15, 4)]
    assert [minute for minute, _ in await records(store, "owner")] == quarters
    assert [minute for minute, _ in await records(store, "city")] == [0.0, 30.0]


async def test_a_clock_that_was_years_wrong_makes_no_million_empty_periods(store: Store) -> None:
    """The first boot stamps the year 2000, then the clock is set: what was read stays, periods go on from today."""
    wrong_utc = datetime(2000, 1, 1, 0, 3, tzinfo=UTC)
    for number in range(3):
        instant_utc = wrong_utc + number * MINUTE
        await store.append_frame(
            [good("em_main.electric_power", instant_utc, 7.0, "kW")], instant_utc=instant_utc, elapsed_s=0.0
        )
    for minute in range(0, 31, 3):
        await read(store, minute, 5.0)
    periods = closer(store, uplinks(owner=15))
    closed = 0
    for _ in range(5):
        closed += await periods.close_due(START + 31 * MINUTE)
    rows = await store.outbox_due("owner", 100)
    starts = [row.start_utc for row in rows]
    assert starts[-2:] == [START, START + 15 * MINUTE]
    assert len(starts) == 3
    found = await store.samples_between(wrong_utc, wrong_utc + 9 * MINUTE)
    assert [stored.sample.value for stored in found] == [7.0] * 3


async def test_what_a_wrong_clock_stamped_is_not_removed_as_old(store: Store) -> None:
    for number, day in enumerate((0, 1, 2)):
        await read(store, day * 24 * 60 + number, 1.0)
        await store.close_period(Period(START + timedelta(days=day), 15), [], [])
    wrong_utc = datetime(2000, 1, 1, tzinfo=UTC)
    await store.append_frame([good("em_main.electric_power", wrong_utc, 7.0, "kW")], instant_utc=wrong_utc, elapsed_s=0)
    for day in (3, 4, 5):
        await read(store, day * 24 * 60, 1.0)
    assert len(await store.samples_between(wrong_utc, wrong_utc + MINUTE)) == 1


async def test_hours_under_a_wrong_clock_are_told_when_they_have_been_and_why_they_are_empty(tmp_path: Path) -> None:
    """Ahead for 40 minutes and right again: the true time is reported, and says where the values are."""
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    true_s = START.timestamp()
    wrong = timedelta(0)
    periods = PeriodCloser(
        store,
        uplinks(owner=15),
        plant="bj-demo",
        period_s=lambda _: 60.0,
        period_s_max=60.0,
        grace_s=30.0,
        steady=lambda: ("boot", true_s, datetime.fromtimestamp(true_s, UTC) + wrong),
        trusted=lambda: not wrong,
    )
    for minute in range(80):
        wrong = timedelta(hours=5) if 10 <= minute < 50 else timedelta(0)
        now_utc = START + minute * MINUTE + wrong
        await store.append_frame(
            [good("em_main.electric_power", now_utc, 1.0, "kW")], instant_utc=now_utc, elapsed_s=true_s
        )
        await periods.close_due(now_utc)
        true_s += 60.0
    told = await store.deliveries("owner", START, START + 80 * MINUTE)
    assert [((one.start_utc - START) / MINUTE, one.gaps) for one in told] == [
        (0.0, {}),
        (15.0, {"gap_wrong_clock": (0,)}),
        (30.0, {"gap_wrong_clock": (0,)}),
        (45.0, {}),
        (60.0, {}),
    ]
    await store.close()


async def test_a_clock_that_is_ahead_for_minutes_closes_nothing_that_has_not_been(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, quota_mb=64, raw_days=90)
    true_s = START.timestamp()
    wrong = timedelta(0)

    def steady() -> tuple[str, float, datetime]:
        return "boot", true_s, datetime.fromtimestamp(true_s, UTC) + wrong

    watched = PeriodCloser(
        store,
        uplinks(owner=15),
        plant="bj-demo",
        period_s=lambda _: 60.0,
        period_s_max=60.0,
        grace_s=30.0,
        steady=steady,
        trusted=lambda: not wrong,
    )

    async def minutes(count: int) -> None:
        nonlocal true_s
        for _ in range(count):
            now_utc = steady()[2]
            await store.append_frame(
                [good("em_main.electric_power", now_utc, 1.0, "kW")], instant_utc=now_utc, elapsed_s=true_s
            )
            await watched.close_due(now_utc)
            true_s += 60.0

    await minutes(10)
    wrong = timedelta(hours=2)
    await minutes(5)
    wrong = timedelta(0)
    await minutes(40)
    rows = await store.outbox_due("owner", 100)
    assert [row.start_utc for row in rows] == [START + n * 15 * MINUTE for n in range(3)]
    assert all(b"192" in row.payload for row in rows[1:])
    wrong = timedelta(hours=2)  # set for good: believed when it has stood for a while
    await minutes(35)
    rows = await store.outbox_due("owner", 100)
    # What it has jumped over is neither invented nor forgotten: it waits until it has been.
    assert [(row.start_utc - START) / MINUTE for row in rows[3:]] == [45.0, 165.0, 180.0]
    await store.close()
