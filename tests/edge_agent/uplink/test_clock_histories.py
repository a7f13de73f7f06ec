"""Whatever the clock does, every true period ends up at the platform with its true value, once or as a correction."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import Phase, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from drivers.sample import Quality, good
from edge_agent.clock_quality import ClockQuality
from edge_agent.rollup import period_at
from edge_agent.settings.model import UplinkFile
from edge_agent.store.facts import PointFacts
from edge_agent.store.rows import OutboxRow, Receipt
from edge_agent.store.store import Store
from edge_agent.uplink.corrections import Corrections
from edge_agent.uplink.periods import PeriodCloser
from edge_agent.uplink.record import RecordPoint, decode

START = datetime(2026, 1, 15, 0, 0, tzinfo=UTC)
POINT = "em_main.electric_power"
STEP = timedelta(minutes=5)
QUARTER = timedelta(minutes=15)
UPLINKS = UplinkFile.model_validate(
    {
        "uplinks": {"owner": {"transport": "mqtt_json", "broker": "mqtt://127.0.0.1:1883", "period_min": 15}},
        "points": [{"point": POINT, "code": "0111"}],
    }
)


class Plant:
    """A plant whose true time goes on by steps, and a service whose clock may be wrong."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.true_utc = START
        self.wrong = timedelta(0)
        self.boot = 0
        self.vouched = True
        self.seen: set[datetime] = set()
        self.doubtful: set[datetime] = set()
        store.expect({POINT: PointFacts(STEP.total_seconds())})
        self.corrections = Corrections(store, UPLINKS, plant="bj", now_utc=lambda: self.true_utc + self.wrong)
        store.correct_with(self.corrections.of_period)
        self.closer = self.start()

    def start(self) -> PeriodCloser:
        self.closer = PeriodCloser(
            self.store,
            UPLINKS,
            plant="bj",
            period_s=lambda _: STEP.total_seconds(),
            period_s_max=STEP.total_seconds(),
            grace_s=1.0,
            steady=lambda: (f"boot {self.boot}", (self.true_utc - START).total_seconds(), self.true_utc + self.wrong),
            trusted=lambda: self.trusted,
        )
        return self.closer

    @property
    def trusted(self) -> bool:
        """A time service is heard, and has set the clock."""
        return self.vouched and not self.wrong

    async def step(self) -> None:
        """One scan: the true value of a quarter is its number."""
        clock_utc = self.true_utc + self.wrong
        value = (self.true_utc - START) // QUARTER if self.trusted else -1
        await self.store.append_frame(
            [good(POINT, clock_utc, float(value), "kW")],
            instant_utc=clock_utc,
            elapsed_s=(self.true_utc - START).total_seconds(),
            clock=ClockQuality.SYNCHRONISED if self.trusted else ClockQuality.UNSYNCHRONISED,
        )
        if self.trusted:
            self.seen.add(self.true_utc)
        else:
            self.doubtful.add(period_at(clock_utc, 15).start_utc)
        while await self.closer.close_due(clock_utc):
            pass
        while await self.store.tend_once():
            pass
        self.true_utc += STEP

    async def rows(self) -> list[OutboxRow]:
        """Everything in the order in which the platform takes it."""
        found: list[OutboxRow] = []
        while due := await self.store.outbox_take("owner", 1000, skip=(), waiting_max=1000):
            found += due
            acknowledged = tuple((row.seq, row.seq) for row in due)
            receipt = Receipt(due[0].epoch, ranges=acknowledged)
            await self.store.outbox_settle("owner", [receipt], instant_utc=self.true_utc)
        return found


@dataclass(frozen=True)
class Event:
    """What happens before the next steps.

    Attributes:
        wrong_min: how wrong the clock is from now on [min]; 0: it is right.
        steps: scans under it.
        restart: the service is started anew before.
        boot: the machine as well.
        off_steps: for so long nothing runs.
    """

    wrong_min: int
    steps: int
    restart: bool = False
    boot: bool = False
    off_steps: int = 0


EVENTS = st.builds(
    Event,
    wrong_min=st.sampled_from([0, 0, 0, 7, 40, 120, -7, -45, -180, 10 * 525_600, -26 * 525_600]),
    steps=st.integers(1, 9),
    restart=st.booleans(),
    boot=st.booleans(),
    off_steps=st.sampled_from([0, 0, 0, 1, 4, 8]),
)


async def live(plant: Plant, events: list[Event], *, calm_steps: int = 12) -> None:
    for event in [*events, Event(0, calm_steps)]:
        plant.wrong = timedelta(minutes=event.wrong_min)
        if event.restart:
            plant.true_utc += event.off_steps * STEP
            plant.boot += event.boot
            plant.start()
        for _ in range(event.steps):
            await plant.step()


def whole_quarters(plant: Plant) -> set[datetime]:
    """Quarters of which every scan was stored under a clock that was right, and which are over."""
    starts = {period_at(instant_utc, 15).start_utc for instant_utc in plant.seen}
    return {
        start_utc
        for start_utc in starts
        if start_utc + 2 * QUARTER < plant.true_utc and all(start_utc + n * STEP in plant.seen for n in range(3))
    }


@hypothesis_settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.generate])
@example([Event(0, 6), Event(120, 9), Event(0, 3)])  # ahead for longer than it takes to be believed
@example([Event(-26 * 525_600, 8)])  # the first boot, with an empty battery
@example([Event(0, 5), Event(10 * 525_600, 9, restart=True, boot=True), Event(0, 1)])
@example([Event(0, 5), Event(-180, 9), Event(0, 2, restart=True, boot=True, off_steps=8)])
@given(st.lists(EVENTS, max_size=5))
def test_every_true_period_ends_up_with_its_true_value(events: list[Event]) -> None:
    import asyncio  # noqa: PLC0415 - hypothesis and an event loop of its own for each example

    async def body() -> None:
        with TemporaryDirectory() as folder:
            store = await Store.open(Path(folder), quota_mb=64, raw_days=90)
            plant = Plant(store)
            await live(plant, events)
            rows = await plant.rows()
            await store.close()
        assert sorted(row.seq for row in rows) == list(range(1, len(rows) + 1))
        told: dict[datetime, RecordPoint] = {}
        number: dict[datetime, int] = {}
        for row in rows:
            message = json.loads(row.payload)
            corrects = message.get("corrects", {}).get("seq")
            assert corrects == number.get(row.start_utc), row.start_utc
            number[row.start_utc] = row.seq
            told[row.start_utc] = decode(row.payload, period_min=15).points[0]
        for start_utc in whole_quarters(plant):
            point = told[start_utc]
            # Where a wrong clock has stamped the minutes behind the last true reading, the record says so.
            if point.quality == Quality.UNCERTAIN and start_utc in plant.doubtful:
                continue
            assert point == RecordPoint("0111", (start_utc - START) // QUARTER, int(Quality.GOOD))
        # What no clock that was believed has ever shown is no period: no run of empty records.
        elapsed = plant.true_utc - START
        assert len(told) <= 2 * (elapsed // QUARTER) + 10 * len(events) + 4
        assert all(start_utc.year >= 2025 for start_utc in told)

    asyncio.run(body())
