"""MQTT over TLS with a client certificate: who may in, who may not, and what the operator is told; nothing is lost."""

import asyncio
import logging
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.clock import elapsed_s
from edge_agent.errors import RetryUplink
from edge_agent.rollup import Period
from edge_agent.settings.model import UplinkFile
from edge_agent.store.rows import OutboxEntry
from edge_agent.store.store import Store
from edge_agent.uplink import sender as sender_module
from edge_agent.uplink.archive import Archive
from edge_agent.uplink.credentials import Credentials, folders
from edge_agent.uplink.sender import Sender
from edge_agent.uplink.tls import client_context
from edge_agent.uplink.transports import mqtt_json
from edge_agent.uplink.transports.mqtt_json import MqttJson

PLANT = "bj-demo"
UPLINK = "owner"
START = datetime(2026, 1, 15, 0, 30, tzinfo=UTC)
PATIENCE_S = 30.0


class Authority:
    """A certificate authority in a folder, by the openssl of the machine."""

    def __init__(self, openssl: str, folder: Path) -> None:
        self.openssl = openssl
        self.folder = folder
        (folder / "ca.conf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndir={folder}\ndatabase={folder}/index\nserial={folder}/serial\n"
            f"new_certs_dir={folder}\ncertificate={folder}/ca.crt\nprivate_key={folder}/ca.key\ndefault_md=sha256\n"
            "default_days=30\ndefault_crl_days=30\npolicy=p\nunique_subject=no\ncopy_extensions=copy\n"
            "[p]\ncommonName=supplied\n[req]\ndistinguished_name=n\n[n]\n[v3_ca]\nbasicConstraints=critical,CA:true\n"
            "keyUsage=keyCertSign,cRLSign\n",
            encoding="ascii",
        )
        (folder / "index").touch()
        (folder / "serial").write_text("1000\n", encoding="ascii")
        self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                  "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test authority", "-extensions", "v3_ca",
                  "-config", "ca.conf")  # fmt: skip
        self.issue("broker", san="IP:127.0.0.1")
        self.issue("plant")
        self.publish_revoked()

    def _run(self, *words: str) -> None:
        subprocess.run([self.openssl, *words], cwd=self.folder, check=True, capture_output=True)

    def issue(self, name: str, *, san: str = "DNS:plant") -> None:
        """NAME.key and NAME.crt."""
        self._run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                  "-out", f"{name}.csr", "-subj", f"/CN={name}", "-addext", f"subjectAltName={san}",
                  "-config", "ca.conf")  # fmt: skip
        self._run("ca", "-batch", "-config", "ca.conf", "-in", f"{name}.csr", "-out", f"{name}.crt", "-notext")

    def revoke(self, name: str) -> None:
        """The certificate is worth nothing any more."""
        self._run("ca", "-config", "ca.conf", "-revoke", f"{name}.crt")
        self.publish_revoked()

    def publish_revoked(self) -> None:
        """The list of what is revoked."""
        self._run("ca", "-config", "ca.conf", "-gencrl", "-out", "ca.crl")


class TlsBroker:
    """A mosquitto that wants a client certificate."""

    def __init__(self, program: str, authority: Authority, *, port: int) -> None:
        self.program = program
        self.port = port
        self.authority = authority
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        folder = self.authority.folder
        conf = folder / "mosquitto.conf"
        conf.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\ncafile {folder}/ca.crt\n"
            f"certfile {folder}/broker.crt\nkeyfile {folder}/broker.key\ncrlfile {folder}/ca.crl\n"
            "require_certificate true\n",
            encoding="ascii",
        )
        self.process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            [self.program, "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a refusal that comes behind the handshake the library waits for the broker's answer all the same."""
    monkeypatch.setattr(mqtt_json, "CALL_S_MAX", 1.5)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    return Authority(openssl, tmp_path_factory.mktemp("ca"))


def credentials(folder: Path, authority: Authority, *, name: str | None = "plant") -> Credentials:
    """Files as an operator lays them beside the configuration."""
    shutil.copy(authority.folder / "ca.crt", folder / "owner-mqtt.ca")
    if name is not None:
        shutil.copy(authority.folder / f"{name}.crt", folder / "owner-mqtt.crt")
        shutil.copy(authority.folder / f"{name}.key", folder / "owner-mqtt.key")
    return Credentials("owner-mqtt", folders(folder))


@pytest.fixture
async def broker(authority: Authority, need_program: Callable[[str], str], free_port: int) -> AsyncIterator[TlsBroker]:
    place = TlsBroker(need_program("mosquitto"), authority, port=free_port)
    await place.start()
    yield place
    place.stop()


async def fault_of(port: int, named: Credentials) -> str:
    """What entering a session says."""
    with pytest.raises(RetryUplink) as raised:
        async with (
            asyncio.timeout(PATIENCE_S),
            MqttJson(broker=f"mqtts://127.0.0.1:{port}", plant=PLANT, credentials=named).session(),
        ):
            pass
    return str(raised.value)


async def test_a_certificate_lets_in_and_none_does_not(broker: TlsBroker, authority: Authority, tmp_path: Path) -> None:
    named = credentials(tmp_path, authority)
    async with MqttJson(broker=f"mqtts://127.0.0.1:{broker.port}", plant=PLANT, credentials=named).session():
        pass
    (tmp_path / "owner-mqtt.crt").unlink()
    assert "a client certificate (.crt, .key)" in await fault_of(broker.port, named)


async def test_a_platform_that_nobody_vouches_for_is_not_spoken_to(
    broker: TlsBroker, authority: Authority, tmp_path: Path
) -> None:
    named = credentials(tmp_path, authority)
    (tmp_path / "owner-mqtt.ca").unlink()
    assert "authority is not known here" in await fault_of(broker.port, named)


async def test_a_revoked_platform_is_not_spoken_to(broker: TlsBroker, authority: Authority, tmp_path: Path) -> None:
    named = credentials(tmp_path, authority)
    revoked = tmp_path / "owner-mqtt.crl"
    index = (authority.folder / "index").read_text(encoding="ascii")
    try:
        authority.revoke("broker")
        shutil.copy(authority.folder / "ca.crl", revoked)
    finally:
        (authority.folder / "index").write_text(index, encoding="ascii")
        authority.publish_revoked()
    assert "has been revoked" in await fault_of(broker.port, named)


async def test_a_revoked_certificate_is_said_once_and_a_new_one_delivers_everything(
    broker: TlsBroker,
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("LOOK_S", 0.05), ("BACKOFF_FIRST_S", 0.05), ("BACKOFF_S_MAX", 0.1)):
        monkeypatch.setattr(sender_module, name, value)
    authority.issue("soon-revoked")
    authority.revoke("soon-revoked")
    broker.stop()
    await broker.start()  # it reads the list at its start
    named = credentials(tmp_path, authority, name="soon-revoked")
    store = await Store.open(tmp_path / "state", quota_mb=64, raw_days=90)
    period = Period(START, 15)
    for _ in range(3):
        await store.close_period(period, [], [OutboxEntry(UPLINK, lambda e, s: f'{{"{e}":{s}}}'.encode())])
        period = period.next()
    tries: list[float] = []
    sender = Sender(
        uplink=UPLINK,
        store=store,
        transport=MqttJson(broker=f"mqtts://127.0.0.1:{broker.port}", plant=PLANT, credentials=named),
        archive=Archive(store, UplinkFile(), plant=PLANT),
        resend_s=30.0,
        backfill_per_s=1000.0,
        now_utc=lambda: START,
        elapsed_s=elapsed_s,
        jitter=lambda: tries.append(0.0) or 0.0,  # type: ignore[func-returns-value] # counts the tries
    )
    with caplog.at_level(logging.INFO, "edge_agent.uplink.sender"):
        async with running(sender):
            await until(lambda: len(tries) >= 2)
            assert "证书已被吊销" in sender.fault
            assert (await sender.status()).backlog == 3
            credentials(tmp_path, authority)  # a new certificate is laid there; nobody restarts anything
            await until(lambda: len(sender.unproven) == 3)
    assert caplog.text.count("uplink down") == 1
    assert caplog.text.count("uplink works again") == 1
    await store.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the other side is a process
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(sender: Sender) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(sender.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def test_a_credential_that_makes_no_sense_is_named_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "owner-mqtt.crt").write_text("-----BEGIN CERTIFICATE-----\nsecret\n", encoding="ascii")
    named = Credentials("owner-mqtt", [tmp_path])
    with pytest.raises(RetryUplink, match="owner-mqtt") as raised:
        client_context(named)
    assert "secret" not in str(raised.value)
    (tmp_path / "owner-mqtt.user").write_bytes(b"\xff\xfe")
    with pytest.raises(RetryUplink, match="cannot be read"):
        named.login()


def test_a_login_is_two_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert Credentials("x", folders(tmp_path)).login() == (None, None)
    (tmp_path / "x.user").write_text("plant\n p@ss word \n", encoding="utf-8")
    assert Credentials("x", folders(tmp_path)).login() == ("plant", " p@ss word ")
    given = tmp_path / "given"
    given.mkdir()
    (given / "x.user").write_text("from systemd", encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))
    assert Credentials("x", folders(tmp_path)).login() == ("from systemd", None)
