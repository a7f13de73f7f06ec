"""Windows of advise as the service keeps them: opened on a quarter, carried on, cut when somebody else commands."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

from edge_agent.advising import ADVICE_KEY, Advising, Now
from edge_agent.control.modes import Mode
from edge_agent.errors import StoreFault
from edge_agent.settings.model import SiteFile
from edge_agent.store.store import Store
from scheduling.plan import Plan
from scheduling.request import PlanRequest

START = datetime(2026, 1, 12, 16, tzinfo=UTC)
LOAD_KW, HEAT_KW, GRID_KW, OTHER_KW, PRICE = 800.0, 800.0, 240.0, 40.0, 1.0


class Disk:
    """Measured means as the store gives them."""

    def __init__(self, kw: Mapping[str, float]) -> None:
        self.kw = kw
        self.state: dict[str, str] = {}
        self.broken = False

    async def rollups(self, point: str, period_min: int, from_utc: datetime, to_utc: datetime) -> list[object]:
        if self.broken:
            raise StoreFault("disk")
        count = (to_utc - from_utc) // timedelta(minutes=period_min)
        starts = [from_utc + number * timedelta(minutes=period_min) for number in range(count)]
        return [SimpleNamespace(start_utc=start, mean=self.kw[point]) for start in starts]

    async def get_state(self, key: str) -> str | None:
        return self.state.get(key)

    async def put_state(self, key: str, json_text: str) -> None:
        if self.broken:
            raise StoreFault("disk")
        self.state[key] = json_text


SITE = cast(
    "SiteFile",
    SimpleNamespace(
        meters=SimpleNamespace(electricity="em"), loops={"heating": SimpleNamespace(meter="hm", medium="heat")}
    ),
)


def plan_at(start_utc: datetime) -> tuple[Plan, PlanRequest]:
    count = 96
    plan = SimpleNamespace(
        grid_start_utc=start_utc,
        step_minutes=(15.0,) * count,
        units={"hp1": SimpleNamespace(load_kw=(HEAT_KW,) * count)},
        storages={},
        grid_kw=(GRID_KW,) * count,
        aux={},
    )
    request = SimpleNamespace(
        loops=[SimpleNamespace(load_kw=(LOAD_KW,) * count)],
        storages=[],
        other_load_kw=OTHER_KW,
        per_step=lambda value: [value] * count,
        price_cny_per_kwh=(PRICE,) * count,
    )
    return cast("Plan", plan), cast("PlanRequest", request)


async def lived(advising: Advising, hours: float, *, mode: Mode = Mode.ADVISE, start_utc: datetime = START) -> datetime:
    """Looks every five minutes; a plan is made in each quarter."""
    now_utc = start_utc
    while now_utc < start_utc + timedelta(hours=hours):
        quarter_utc = now_utc - timedelta(minutes=now_utc.minute % 15)
        await advising.look(Now(now_utc, mode, *plan_at(quarter_utc), {}))
        now_utc += timedelta(minutes=5)
    return now_utc


def advising_of(disk: Disk) -> Advising:
    return Advising(SITE, store=cast("Store", disk))


async def test_a_day_of_advice_is_scored_and_the_next_window_opens() -> None:
    disk = Disk({"em.electric_power": GRID_KW + 60.0, "hm.heat_power": LOAD_KW})
    advising = advising_of(disk)
    await lived(advising, 30.0)
    (score,) = advising.advice.scores
    assert (score.start_utc, score.end_utc) == (START, START + timedelta(hours=24))
    assert score.saved_cny == (60.0 * 24.0 * PRICE,) * 2
    assert advising.advice.window is not None
    assert advising.advice.window.start_utc == START + timedelta(hours=24, minutes=15)  # the means are awaited
    again = advising_of(disk)
    await again.prepare()
    assert again.advice == advising.advice
    assert ADVICE_KEY in disk.state


async def test_who_takes_over_ends_the_window_there() -> None:
    disk = Disk({"em.electric_power": GRID_KW, "hm.heat_power": LOAD_KW})
    advising = advising_of(disk)
    now_utc = await lived(advising, 8.0)
    so_far = await advising.so_far()
    assert so_far is not None
    assert so_far.saved_cny == (0.0, 0.0)
    await lived(advising, 2.0, mode=Mode.AUTO, start_utc=now_utc)
    (score,) = advising.advice.scores
    assert score.end_utc == START + timedelta(hours=7, minutes=45)
    assert advising.advice.window is None


async def test_other_modes_open_nothing() -> None:
    advising = advising_of(Disk({}))
    for mode in (Mode.MONITOR, Mode.AUTO):
        await lived(advising, 1.0, mode=mode)
        assert advising.advice.window is None
        assert await advising.so_far() is None


async def test_a_service_that_was_down_knows_what_it_did_not_see_and_a_set_clock_ends_the_window() -> None:
    disk = Disk({"em.electric_power": GRID_KW, "hm.heat_power": LOAD_KW})
    advising = advising_of(disk)
    await lived(advising, 2.0)
    again = advising_of(disk)
    await again.prepare()
    await lived(again, 1.0, start_utc=START + timedelta(hours=4))
    window = again.advice.window
    assert window is not None
    assert window.end_utc == START + timedelta(hours=4, minutes=45)
    assert window.seen_other_kw[7:16] == (None,) * 9
    await lived(again, 0.1, start_utc=START - timedelta(days=3))
    left = again.advice.window
    assert left is None or left.start_utc < START


async def test_a_refusing_disk_stops_nobody_who_commands() -> None:
    disk = Disk({"em.electric_power": GRID_KW, "hm.heat_power": LOAD_KW})
    advising = advising_of(disk)
    now_utc = await lived(advising, 8.0)
    disk.broken = True
    now_utc = await lived(advising, 2.0, mode=Mode.AUTO, start_utc=now_utc)
    assert await advising.so_far() is None
    disk.broken = False
    await lived(advising, 1.0, mode=Mode.AUTO, start_utc=now_utc)
    assert len(advising.advice.scores) == 1
