"""Delivery end to end over a broker on loopback: sender and outbox on one side, the simulated platform on the other."""

import asyncio
import logging
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiomqtt
import pytest

from edge_agent.clock import elapsed_s
from edge_agent.errors import ConfigurationFault
from edge_agent.rollup import Period, Rollup
from edge_agent.settings.model import ReportedPoint, Uplink, UplinkFile
from edge_agent.store.rows import Gap, OutboxEntry
from edge_agent.store.store import Store
from edge_agent.uplink import sender as sender_module
from edge_agent.uplink.archive import Archive
from edge_agent.uplink.record import build_record, encode
from edge_agent.uplink.sender import Sender
from edge_agent.uplink.transports.mqtt_json import MqttJson, parse_ack
from hil_sim.broker import EmbeddedBroker
from hil_sim.platform.mqtt_receiver import MqttReceiver

START = datetime(2026, 1, 15, 0, 30, tzinfo=UTC)
PLANT = "bj-demo"
UPLINK = "city"
POINTS = [ReportedPoint(point="em_main.electric_power", code="0111")]
PATIENCE_S = 20.0
MINUTE = timedelta(minutes=1)
UPLINKS = UplinkFile(
    uplinks={UPLINK: Uplink(transport="mqtt_json", period_min=15, broker="mqtt://127.0.0.1")}, points=tuple(POINTS)
)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition that other tasks bring about."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - the other side is a process or a library that sets no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"never came: {what}")


class Mosquitto:
    """A mosquitto that can be stopped and started again on the same port."""

    def __init__(self, program: str, folder: Path, *, port: int) -> None:
        self.program = program
        self.port = port
        self.configuration = folder / "mosquitto.conf"
        self.configuration.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self.process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            [self.program, "-c", self.configuration], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        await until(lambda: self._ended() or self._listens(), "mosquitto")
        if self._ended():
            pytest.fail(f"{self.program} ended by itself")

    def _ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    async def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()


class Site:
    """A store with an uplink, a broker and a platform; everything can be stopped and started."""

    def __init__(self, folder: Path, broker: "EmbeddedBroker | Mosquitto") -> None:
        self.folder = folder
        self.broker = broker
        self.period = Period(START, 15)
        self.due: set[datetime] = set()
        self.store: Store
        self.platform: MqttReceiver
        self.sender: Sender

    async def period_ends(self, count: int = 1) -> None:
        for _ in range(count):
            period = self.period
            value = float(len(self.due))
            rollup = Rollup(POINTS[0].point, period.start_utc, 15, value, value, value, value, value, 1.0, 15)
            record = build_record({rollup.point: rollup}, POINTS, plant=PLANT, period=period)

            def made(epoch: str, seq: int, record=record, end_utc=period.end_utc) -> bytes:  # noqa: ANN001 - bound here
                return encode(record, epoch=epoch, seq=seq, sent_at_utc=end_utc)

            await self.store.close_period(period, [rollup], [OutboxEntry(UPLINK, made)])
            self.due.add(period.start_utc)
            self.period = period.next()

    async def all_delivered(self) -> None:
        await until(lambda: self.platform.held_periods() == self.due, "all periods at the platform")
        for _ in range(int(PATIENCE_S / 0.02)):
            status = await self.sender.status()
            if status.backlog == 0:
                break
            await asyncio.sleep(0.02)
        assert (status.backlog, status.acknowledged) == (0, len(self.due))
        assert self.platform.records_held == len(self.due)
        assert (self.platform.altered, self.platform.contradictions, self.platform.malformed) == (0, 0, 0)
        # Every repeat that arrived is one that the sender declared.
        assert self.platform.duplicates <= status.resent
        held = self.platform.readings(POINTS[0].code)
        assert [value for _, (value, _) in sorted(held.items())] == [float(n) for n in range(len(self.due))]

    @asynccontextmanager
    async def platform_runs(self) -> AsyncIterator[MqttReceiver]:
        self.platform = MqttReceiver(host="127.0.0.1", port=self.broker.port, path=self.folder / "platform.db")
        async with running(self.platform.run()):
            await until(self.platform.ready.is_set, "the platform's subscription")
            yield self.platform
        self.platform.close()

    @asynccontextmanager
    async def sender_runs(self, *, resend_s: float = 0.3) -> AsyncIterator[Sender]:
        transport = MqttJson(broker=f"mqtt://127.0.0.1:{self.broker.port}", plant=PLANT)
        self.sender = Sender(
            uplink=UPLINK,
            store=self.store,
            transport=transport,
            archive=Archive(self.store, UPLINKS, plant=PLANT),
            resend_s=resend_s,
            backfill_per_s=10_000.0,
            now_utc=lambda: START,
            elapsed_s=elapsed_s,
        )
        async with running(self.sender.run()):
            yield self.sender


@asynccontextmanager
async def running(work) -> AsyncIterator[None]:  # noqa: ANN001 - a coroutine of either side
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "LOOK_S", 0.05)
    monkeypatch.setattr(sender_module, "BACKOFF_FIRST_S", 0.05)
    monkeypatch.setattr(sender_module, "BACKOFF_S_MAX", 0.2)


@pytest.fixture(params=["embedded", "mosquitto"])
async def site(
    request: pytest.FixtureRequest, tmp_path: Path, need_program: Callable[[str], str], free_port: int
) -> AsyncIterator[Site]:
    broker: EmbeddedBroker | Mosquitto
    if request.param == "embedded":
        broker = EmbeddedBroker()
    else:
        broker = Mosquitto(need_program("mosquitto"), tmp_path, port=free_port)
    await broker.start()
    place = Site(tmp_path, broker)
    place.store = await Store.open(tmp_path / "state", quota_mb=64, raw_days=90)
    yield place
    await place.store.close()
    await broker.stop()


async def test_records_arrive_once_and_leave_the_outbox(site: Site) -> None:
    async with site.platform_runs() as platform, site.sender_runs(resend_s=30.0):
        await site.period_ends(3)
        await site.all_delivered()
        await site.period_ends(40)
        await site.all_delivered()
        assert platform.duplicates == 0


async def test_lost_acknowledgements_cost_repeats_only(site: Site) -> None:
    async with site.platform_runs() as platform, site.sender_runs():
        platform.drop_next_acks(7)
        await site.period_ends(5)
        await site.all_delivered()
        assert platform.duplicates >= 1


async def test_a_platform_that_throws_records_away_gets_them_again(site: Site) -> None:
    async with site.platform_runs() as platform, site.sender_runs():
        platform.pause()
        await site.period_ends(4)
        await until(lambda: len(site.sender.unproven) == 4, "all four on their way")
        assert (await site.sender.status()).backlog == 4  # the broker's word is not enough
        platform.resume()
        await site.all_delivered()


async def test_a_broker_that_goes_away_is_said_once_and_nothing_is_lost(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "edge_agent.uplink.sender"):
        async with site.platform_runs(), site.sender_runs() as sender:
            await site.period_ends(2)
            await site.all_delivered()
            for outage in range(2):
                sessions = sender.session_count
                await site.broker.stop()
                await until(lambda: not sender.connected, "the outage to be noticed")
                await site.period_ends(30)
                await site.broker.start()
                await until(lambda: sender.session_count > sessions, "a new session")  # noqa: B023 - used in this turn
                await site.all_delivered()
                assert caplog.text.count("uplink down") == outage + 1
                assert caplog.text.count("uplink works again") == outage + 1


async def test_a_broker_that_is_not_there_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broker = EmbeddedBroker()
    await broker.start()
    await broker.stop()
    site = Site(tmp_path, broker)
    site.store = await Store.open(tmp_path / "state", quota_mb=64, raw_days=90)
    await site.period_ends(2)
    tries: list[float] = []
    async with site.sender_runs() as sender:
        sender._jitter = lambda: tries.append(elapsed_s()) or 0.0  # type: ignore[func-returns-value] # counts the tries
        await until(lambda: len(tries) >= 4, "four tries")
        assert "refused" in sender.fault
        assert (await sender.status()).backlog == 2
    assert caplog.text.count("uplink down") == 1
    await site.store.close()


async def test_service_and_platform_may_both_be_killed_in_between(site: Site) -> None:
    async with site.platform_runs():
        async with site.sender_runs():
            await site.period_ends(3)
            await site.all_delivered()
        await site.period_ends(3)
    async with site.sender_runs():
        await until(lambda: len(site.sender.unproven) == 3, "sent while nobody listens")
    await site.store.close()
    site.store = await Store.open(site.folder / "state", quota_mb=64, raw_days=90)
    async with site.platform_runs() as platform, site.sender_runs():
        assert platform.records_held == 3
        await site.all_delivered()


async def test_foreign_and_lying_acknowledgements_are_ignored(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    async with site.platform_runs() as platform, site.sender_runs(resend_s=30.0) as sender:
        platform.pause()
        await site.period_ends(2)
        await until(lambda: len(sender.unproven) == 2, "both on their way")
        epoch = (await site.store.outbox_due(UPLINK, 1))[0].epoch
        async with aiomqtt.Client("127.0.0.1", site.broker.port) as liar:
            for ack in (
                f'{{"v":1,"plant":"{PLANT}","epoch":"feed","hwm":2,"ranges":[]}}',
                f'{{"v":1,"plant":"{PLANT}","epoch":"{epoch}","hwm":3,"ranges":[]}}',
                f'{{"v":1,"plant":"{PLANT}","epoch":"{epoch}","hwm":0,"ranges":[[1,9]]}}',
                f'{{"v":1,"plant":"other","epoch":"{epoch}","hwm":2,"ranges":[]}}',
                '{"v":1}',
                "junk",
            ):
                await liar.publish(f"hp/{PLANT}/down/ack", ack, qos=1)
        await until(lambda: caplog.text.count("passed over") == 3, "the malformed ones")
        await until(lambda: caplog.text.count("ignored") == 3, "the lies")
        status = await sender.status()
        assert (status.backlog, status.last_ack_utc, len(sender.unproven)) == (2, None, 2)


async def test_what_the_platform_refuses_is_kept_and_blocks_nothing(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async with site.platform_runs() as platform, site.sender_runs() as sender:
        period = site.period
        await site.store.close_period(
            period, [], [OutboxEntry(UPLINK, lambda e, s: f'{{"epoch":"{e}","seq":{s}}}'.encode())]
        )
        site.period = period.next()
        await site.period_ends(2)
        await until(lambda: platform.records_held == 2, "the sound records")
        await until(lambda: "platform refuses a record" in caplog.text, "the refusal")
        await until(lambda: not sender.unproven, "an empty window")
        status = await sender.status()
        assert (status.backlog, status.refused) == (1, 1)


async def test_what_the_platform_lost_after_its_answer_comes_again_when_it_asks(site: Site) -> None:
    """The agent cannot know of a lie; the platform's query heals it, whatever the outbox says."""
    async with site.platform_runs() as platform, site.sender_runs(resend_s=30.0) as sender:
        await site.period_ends(2)
        await site.all_delivered()
        platform.lose_next(3)
        await site.period_ends(4)
        await until(lambda: not sender.unproven, "an empty window")
        assert platform.held_periods() < site.due
        async with asyncio.timeout(PATIENCE_S):
            await platform.query(PLANT, begin=START, end=site.period.start_utc)
        assert platform.held_periods() == site.due
        held = platform.readings(POINTS[0].code)
        assert [value for _, (value, _) in sorted(held.items())] == [float(n) for n in range(len(site.due))]
        assert (platform.contradictions, platform.malformed) == (0, 0)


async def test_a_gap_is_declared_before_all_records(site: Site) -> None:
    await site.period_ends(30)
    gap = Gap(("em_main.electric_power",), START, START + 4 * site.period.length_min * MINUTE, 4, "quota")
    await site.store.put_gap(gap)
    rows = await site.store.outbox_due(UPLINK, 3, live_first=True)
    assert [(row.kind, row.seq) for row in rows] == [("gap", 31), ("record", 30), ("record", 1)]
    async with site.platform_runs() as platform, site.sender_runs():
        await until(lambda: platform.records_held == 31, "all records and the gap")
        (declared,) = platform.declared("gap")
    assert declared == {
        "points": ["em_main.electric_power"],
        "from": "2026-01-15T00:30:00Z",
        "to": "2026-01-15T01:30:00Z",
        "count": 4,
        "reason": "quota",
    }


def test_acknowledgements_are_read_strictly() -> None:
    text = b'{"v":1,"plant":"p","epoch":"e","hwm":5,"ranges":[[7,8]],"refused":[{"seq":6,"reason":"schema"}],"x":0}'
    receipt = parse_ack(text, plant="p")
    assert (receipt.hwm, receipt.ranges, receipt.refused) == (5, ((7, 8),), ((6, "schema"),))
    for wrong in (b'{"v":1,"plant":"p","epoch":"e","hwm":"5"}', b'{"v":2,"plant":"p","epoch":"e","hwm":5}', b"[]"):
        with pytest.raises(ValueError, match=r"validation error|acknowledgement"):
            parse_ack(wrong, plant="p")


@pytest.mark.parametrize("address", ["broker.example:1883", "http://x", "mqtt://", ""])
def test_a_wrong_broker_address_is_said(address: str) -> None:
    with pytest.raises(ConfigurationFault):
        MqttJson(broker=address, plant=PLANT)


@pytest.mark.parametrize(
    "part",
    [
        f'"hwm": {10**30}',
        f'"hwm": 1, "refused": [{{"seq": {10**30}, "reason": "x"}}]',
        f'"hwm": 1, "ranges": [[2, {10**30}]]',
    ],
)
def test_an_acknowledgement_of_impossible_numbers_is_refused_before_it_reaches_the_store(part: str) -> None:
    with pytest.raises(ValueError, match="less than or equal"):
        parse_ack(f'{{"v": 1, "plant": "p", "epoch": "e", {part}}}'.encode(), plant="p")
