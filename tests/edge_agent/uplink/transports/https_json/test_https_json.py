"""Records over HTTP: whatever the server answers, only "stored" moves a record, and every record arrives."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge_agent.errors import ConfigurationFault
from edge_agent.store.rows import OutboxEntry
from edge_agent.uplink.credentials import Credentials
from edge_agent.uplink.transports.https_json import link
from edge_agent.uplink.transports.https_json.link import HttpsJson
from hil_sim.platform.https_receiver import PLAIN, WAYS, HttpsReceiver


@pytest.fixture
async def web(request: pytest.FixtureRequest, posted: Callable[..., Any]) -> AsyncIterator[Any]:
    del request
    async for plant in posted():
        yield plant


async def test_only_stored_moves_a_record(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 - a plant
    monkeypatch.setattr(link, "ANSWER_S_MAX", 1.0)
    receiver: HttpsReceiver = web.platform.receiver
    async with web.delivering() as sender:
        for way in WAYS:
            if way == "lost":
                continue
            await web.period_ends(1)
            await web.everything_arrives()
            sessions = sender.session_count
            receiver.misbehave(way)
            await web.period_ends(1)
            await web.everything_arrives()
            assert receiver.struck[way] == 1, way
            if way in PLAIN | {"before_answer"}:
                assert sender.session_count == sessions, way


async def test_what_the_platform_refuses_is_kept_apart(web: Any) -> None:  # noqa: ANN401 - a plant
    period = web.period
    bad = OutboxEntry("city", lambda epoch, seq: f'{{"plant":"bj-demo","epoch":"{epoch}","seq":{seq}}}'.encode())
    await web.store.close_period(period, [], [bad])
    web.period = period.next()
    await web.period_ends(2)
    async with web.delivering() as sender:
        async with asyncio.timeout(60):
            while (await sender.status()).refused == 0 or (await sender.status()).backlog > 1:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.02)
    assert web.platform.held() == web.due


async def test_a_record_that_is_never_taken_does_not_hold_up_the_others(web: Any) -> None:  # noqa: ANN401 - a plant
    await web.period_ends(1)
    web.platform.receiver.misbehave("too_large", times=3)
    async with web.delivering() as sender:
        async with asyncio.timeout(60):
            while (await sender.status()).refused == 0:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.02)
        first = next(iter(web.due))
        await web.period_ends(2)
        async with asyncio.timeout(60):
            while (await sender.status()).backlog > 1:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.02)
    assert web.platform.held() == {start: values for start, values in web.due.items() if start != first}


@pytest.mark.parametrize(
    "url", ["http://platform.example/x", "ftp://x/y", "https:///x", "x", "", "https://h:x/", "https://h/é"]
)
def test_an_address_that_makes_no_sense_is_said(url: str) -> None:
    with pytest.raises(ConfigurationFault):
        HttpsJson(url=url, plant="p")


def certificate(
    folder: Path, name: str, *, signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate and its key, written as NAME.crt and NAME.key; an authority when nobody signs it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, sign = (subject, key) if signer is None else (signer[0].subject, signer[1])
    now = datetime.now(UTC)  # noqa: TID251 - certificates are checked against the machine's clock
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(sign, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / f"{name}.crt").write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / f"{name}.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return made, key


async def test_both_sides_show_their_certificates(tmp_path: Path, posted: Callable[..., Any], until: Any) -> None:  # noqa: ANN401
    authority = certificate(tmp_path, "authority")
    for name in ("server", "city"):
        certificate(tmp_path, name, signer=authority)
    (tmp_path / "city.ca").write_bytes((tmp_path / "authority.crt").read_bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "authority.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    async for plant in posted(tls=context):
        url = f"https://localhost:{plant.platform.receiver.port}/records"
        await plant.period_ends(2)
        stranger = HttpsJson(url=url, plant="bj-demo")
        async with plant.delivering(transport=stranger) as sender:
            await until(lambda: "不可信" in sender.fault or "not known here" in sender.fault, "the unknown authority")
        nameless = tmp_path / "nameless.ca"
        nameless.write_bytes((tmp_path / "authority.crt").read_bytes())
        transport = HttpsJson(url=url, plant="bj-demo", credentials=Credentials("nameless", [tmp_path]))
        async with plant.delivering(transport=transport) as sender:
            await until(
                lambda: "certificate" in sender.fault or "connection" in sender.fault, "the missing certificate"
            )
        assert plant.platform.held() == {}
        transport = HttpsJson(url=url, plant="bj-demo", credentials=Credentials("city", [tmp_path]))
        async with plant.delivering(transport=transport):
            await plant.everything_arrives()
