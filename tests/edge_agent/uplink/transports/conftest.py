"""A platform of every kind on loopback, and the sender that delivers to it: what the tests of all transports share."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pytest

from edge_agent.clock import elapsed_s
from edge_agent.rollup import Period, Rollup
from edge_agent.settings.codes import point_codes
from edge_agent.settings.dialect import Dialect
from edge_agent.settings.dialect_file import shipped_dialect
from edge_agent.settings.model import ReportedPoint, Uplink, UplinkFile
from edge_agent.store.rows import OutboxEntry
from edge_agent.store.store import Store
from edge_agent.uplink import sender as sender_module
from edge_agent.uplink.archive import Archive
from edge_agent.uplink.record import build_record, encode
from edge_agent.uplink.sender import Sender
from edge_agent.uplink.transports.base import Transport
from edge_agent.uplink.transports.https_json.link import HttpsJson
from edge_agent.uplink.transports.mohurd_tcp import link as link_module
from edge_agent.uplink.transports.mohurd_tcp.link import MohurdTcp
from edge_agent.uplink.transports.mqtt_json import MqttJson
from hil_sim.broker import EmbeddedBroker
from hil_sim.platform.https_receiver import HttpsReceiver
from hil_sim.platform.mohurd_server import Collector, MohurdServer, expected
from hil_sim.platform.mohurd_wire import PlatformKeys
from hil_sim.platform.mqtt_receiver import MqttReceiver

START = datetime(2026, 1, 15, 0, 30, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
PROJECT, GATEWAY = "110108900", "1101089000101"
POINTS = (
    ReportedPoint(point="hm_user.flow", code="1101089002050120"),
    ReportedPoint(point="hm_user.supply_temperature", code="1101089002050111"),
)
KEYS = "md5_key: 0000000000123456\naes_key: 0000000000123456\naes_iv: 0000000000123456\n"
PLATFORM_KEYS = PlatformKeys("0000000000123456")
PATIENCE_S = 60.0


@pytest.fixture(name="until")
def _until() -> Callable[[Callable[[], bool], str], Awaitable[None]]:
    """Waits for a condition that other tasks bring about."""
    return until


async def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition that other tasks bring about."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - the other side is a library that sets no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"never came: {what}")


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """A task for as long as the context lasts."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class Memory:
    """What a transport keeps."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    async def get(self, key: str) -> str | None:
        return self.texts.get(key)

    async def put(self, key: str, text: str) -> None:
        self.texts[key] = text


class Platform(Protocol):
    """What a test may do with a platform, whatever it speaks."""

    name: str

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def transport(self) -> Transport: ...
    def held(self) -> dict[datetime, tuple[float | None, ...]]: ...
    def sound(self) -> None: ...
    def lose_acks(self, count: int) -> None: ...
    def lose_records(self, count: int) -> None: ...
    async def cut(self) -> None: ...


@dataclass
class MohurdPlatform:
    """The simulated platform behind a TCP port, in one dialect."""

    name: str
    dialect: Dialect
    server: MohurdServer = field(init=False)
    collector: Collector = field(init=False)
    memory: Memory = field(default_factory=Memory)
    keys: str = KEYS
    port: int = 0

    def __post_init__(self) -> None:
        self.server = MohurdServer(self.name, now=lambda: START)
        self.collector = self.server.know(project=PROJECT, gateway=GATEWAY, keys=PLATFORM_KEYS)

    async def start(self) -> None:
        await self.server.start(port=self.port)
        self.port = self.server.port

    async def stop(self) -> None:
        await self.server.stop()

    def transport(self, *, credentials: Callable[[], str] | None = None, port: int | None = None) -> MohurdTcp:
        return MohurdTcp(
            server=f"127.0.0.1:{self.port if port is None else port}",
            dialect=self.dialect,
            project=PROJECT,
            gateway=GATEWAY,
            period_min=lambda: 15,
            credentials=credentials or (lambda: self.keys),
            memory=self.memory,
            zone=ZONE,
            now_utc=lambda: START + timedelta(hours=12),
            elapsed_s=elapsed_s,
            point_codes=point_codes(((point.code, None) for point in POINTS), gateway=GATEWAY),
            login_rest_s=0.05,
        )

    def held(self) -> dict[datetime, tuple[float | None, ...]]:
        found = {}
        for time in self.collector.times():
            end = datetime.strptime(time, "%Y%m%d%H%M%S").replace(tzinfo=ZONE).astimezone(UTC)
            values = tuple(self.collector.values[time, point.code] for point in POINTS)
            found[end - timedelta(minutes=15)] = values
        return found

    def sound(self) -> None:
        assert not self.server.wrong, (self.server.wrong, list(self.server.seen)[-5:])
        assert self.collector.contradictions == 0

    def lose_acks(self, count: int) -> None:
        self.server.conduct.misbehave("acks", "none", times=count)

    def lose_records(self, count: int) -> None:
        self.server.conduct.misbehave("acks", "lost", times=count)

    async def cut(self) -> None:
        self.server.drop_connections()


@dataclass
class MqttPlatform:
    """The simulated platform behind a broker."""

    name: str = "mqtt_json"
    broker: EmbeddedBroker = field(default_factory=EmbeddedBroker)
    receiver: MqttReceiver | None = None
    folder: Path = Path()
    _task: asyncio.Task[None] | None = None
    _last: MqttJson | None = None

    async def start(self) -> None:
        if self.receiver is None:
            await self.broker.start()
        self.receiver = MqttReceiver(host="127.0.0.1", port=self.broker.port, path=self.folder / "platform.db")
        self._task = asyncio.get_running_loop().create_task(self.receiver.run())
        await until(self.receiver.ready.is_set, "the platform's subscription")

    async def stop(self) -> None:
        assert self._task is not None
        assert self.receiver is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self.receiver.close()

    async def end(self) -> None:
        await self.broker.stop()

    def transport(self) -> MqttJson:
        self._last = MqttJson(broker=f"mqtt://127.0.0.1:{self.broker.port}", plant="bj-demo")
        return self._last

    def held(self) -> dict[datetime, tuple[float | None, ...]]:
        assert self.receiver is not None
        columns = [self.receiver.readings(point.code) for point in POINTS]
        return {time: tuple(column[time][0] for column in columns) for time in columns[0]}

    def sound(self) -> None:
        assert self.receiver is not None
        assert (self.receiver.altered, self.receiver.contradictions, self.receiver.malformed) == (0, 0, 0)

    def lose_acks(self, count: int) -> None:
        assert self.receiver is not None
        self.receiver.drop_next_acks(count)

    async def cut(self) -> None:
        client = self._last._client if self._last is not None else None
        connection = client._client.socket() if client is not None else None
        if connection is not None:
            connection.shutdown(socket.SHUT_RDWR)


@dataclass
class HttpsPlatform:
    """The simulated platform behind an HTTP server."""

    name: str = "https_json"
    folder: Path = Path()
    receiver: HttpsReceiver = field(init=False)

    def __post_init__(self) -> None:
        self.receiver = HttpsReceiver(path=self.folder / "platform.db")

    async def start(self) -> None:
        await self.receiver.start()

    async def stop(self) -> None:
        await self.receiver.stop()

    async def end(self) -> None:
        self.receiver.close()

    def transport(self) -> HttpsJson:
        return HttpsJson(url=f"http://127.0.0.1:{self.receiver.port}/records?from=plant", plant="bj-demo")

    def held(self) -> dict[datetime, tuple[float | None, ...]]:
        columns = [self.receiver.readings(point.code) for point in POINTS]
        return {time: tuple(column[time][0] for column in columns) for time in columns[0]}

    def sound(self) -> None:
        counts = [self.receiver.ledger.count(name) for name in ("altered", "contradictions", "malformed")]
        assert counts == [0, 0, 0]

    def lose_acks(self, count: int) -> None:
        self.receiver.misbehave("before_answer", times=count)

    async def cut(self) -> None:
        self.receiver.cut()


class Plant:
    """A store whose periods end, and a sender that delivers them."""

    def __init__(self, store: Store, platform: Any, uplink: str = "city") -> None:  # noqa: ANN401 - one of the above
        self.store = store
        self.uplink = uplink
        self.beside: Sequence[Plant] = ()
        """Uplinks of the same plant."""
        self.platform = platform
        self.period = Period(START, 15)
        self.due: dict[datetime, tuple[float | None, ...]] = {}
        self.sender: Sender

    async def period_ends(self, count: int = 1) -> None:
        for _ in range(count):
            period, number = self.period, len(self.due)
            values = (number + 0.1, None if number % 5 == 4 else 40 + number / 7)
            rollups = {
                point.point: Rollup(point.point, period.start_utc, 15, value, value, value, value, value, 1.0, 15)
                for point, value in zip(POINTS, values, strict=True)
                if value is not None
            }
            record = build_record(rollups, POINTS, plant="bj-demo", period=period)

            def made(epoch: str, seq: int, record=record, end=period.end_utc) -> bytes:  # noqa: ANN001 - bound here
                return encode(record, epoch=epoch, seq=seq, sent_at_utc=end)

            await self.store.close_period(
                period, list(rollups.values()), [OutboxEntry(one.uplink, made) for one in (self, *self.beside)]
            )
            for one in (self, *self.beside):
                one.due[period.start_utc] = values
            self.period = period.next()

    def build_sender(self, *, resend_s: float = 0.5, transport: Transport | None = None) -> Sender:
        entry = Uplink(transport="mqtt_json", period_min=15)
        return Sender(
            uplink=self.uplink,
            store=self.store,
            transport=transport or self.platform.transport(),
            archive=Archive(self.store, UplinkFile(uplinks={self.uplink: entry}, points=POINTS), plant="bj-demo"),
            resend_s=resend_s,
            backfill_per_s=10_000.0,
            now_utc=lambda: START + timedelta(hours=12),
            elapsed_s=elapsed_s,
        )

    @asynccontextmanager
    async def delivering(self, *, resend_s: float = 0.5, transport: Transport | None = None) -> AsyncIterator[Sender]:
        self.sender = self.build_sender(resend_s=resend_s, transport=transport)
        async with running(self.sender.run()):
            yield self.sender

    async def everything_arrives(self, *, sound: bool = True) -> None:
        """All periods are at the platform, unchanged, and the outbox knows it."""
        await until(lambda: self.platform.held() == self.due, "all periods at the platform, as they were")
        for _ in range(int(PATIENCE_S / 0.02)):
            status = await self.sender.status()
            if status.backlog == 0:
                break
            await asyncio.sleep(0.02)
        assert (status.backlog, status.refused) == (0, 0)
        assert self.platform.held() == self.due
        if sound:
            self.platform.sound()

    def expected(self) -> dict[tuple[str, str], float | None]:
        codes = [point.code for point in POINTS]
        return expected(
            {start + timedelta(minutes=15): dict(zip(codes, values, strict=True)) for start, values in self.due.items()}
        )


DIALECT_NAMES = ("g2009", "g2009_2013", "zhejiang", "qx", "building_energy")


def quick(name: str, options: dict[str, object] | None = None) -> Dialect:
    """A dialect whose times are short enough for a test."""
    short: dict[str, object] = {"heartbeat": {"proof_s": 0.2}, "login": {"step_s": 20.0}, "data": {"ack_s": 1.0}}
    for section, changes in (options or {}).items():
        there = short.get(section)
        short[section] = {**there, **changes} if isinstance(there, dict) and isinstance(changes, dict) else changes
    return shipped_dialect(name, short)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "LOOK_S", 0.05)
    monkeypatch.setattr(sender_module, "BACKOFF_FIRST_S", 0.05)
    monkeypatch.setattr(sender_module, "BACKOFF_S_MAX", 0.2)
    monkeypatch.setattr(link_module, "LOOK_S", 0.02)
    monkeypatch.setattr(link_module, "WRITE_S_MAX", 2.0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "state", quota_mb=100, raw_days=90)
    yield opened
    await opened.close()


@pytest.fixture(params=[*DIALECT_NAMES, "mqtt_json", "https_json"])
async def plant(request: pytest.FixtureRequest, tmp_path: Path, store: Store) -> AsyncIterator[Plant]:
    platform: Any
    if request.param == "mqtt_json":
        platform = MqttPlatform(folder=tmp_path)
    elif request.param == "https_json":
        platform = HttpsPlatform(folder=tmp_path)
    else:
        platform = MohurdPlatform(request.param, quick(request.param))
    await platform.start()
    yield Plant(store, platform)
    await platform.stop()
    if request.param in {"mqtt_json", "https_json"}:
        await platform.end()


@pytest.fixture
async def city(store: Store) -> AsyncIterator[Callable[..., Awaitable[Plant]]]:
    """Makes a plant that delivers to the simulated platform of a dialect, with options and times of the test."""
    platforms: list[MohurdPlatform] = []

    async def make(name: str = "g2009", options: dict[str, object] | None = None, uplink: str = "city") -> Plant:
        platform = MohurdPlatform(name, quick(name, options))
        await platform.start()
        platforms.append(platform)
        return Plant(store, platform, uplink)

    yield make
    for platform in platforms:
        await platform.stop()


@pytest.fixture
def posted(tmp_path: Path, store: Store) -> Callable[..., AsyncIterator[Plant]]:
    """Makes a plant that posts to the simulated platform behind an HTTP server, with or without TLS."""

    async def make(tls: ssl.SSLContext | None = None) -> AsyncIterator[Plant]:
        platform = HttpsPlatform(folder=tmp_path)
        platform.receiver = HttpsReceiver(path=tmp_path / "posted.db", tls=tls)
        await platform.start()
        yield Plant(store, platform)
        await platform.stop()
        await platform.end()

    return make
