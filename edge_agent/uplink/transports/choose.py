"""The one list of transports: which module speaks for which word in uplink.yaml."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path

from edge_agent.errors import ConfigurationFault, RetryUplink
from edge_agent.settings.dialect import Dialect
from edge_agent.uplink.credentials import Credentials
from edge_agent.uplink.streams import Stream
from edge_agent.uplink.transports.base import Memory, Transport
from edge_agent.uplink.transports.https_json.link import HttpsJson
from edge_agent.uplink.transports.mohurd_tcp.link import MohurdTcp
from edge_agent.uplink.transports.mqtt_json import MqttJson


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What transports need of the house.

    Attributes:
        secrets: folders of the credential files.
        zone: the site's.
        now_utc: the site's clock.
        elapsed_s: the machine's monotonic clock [s].
        period_min: length of a stream's periods now [min]; None: as configured.
        dialects: of the uplinks that speak one, by uplink.
        point_codes: 15-digit point code by data code, by uplink.
    """

    secrets: Sequence[Path]
    zone: tzinfo
    now_utc: Callable[[], datetime]
    elapsed_s: Callable[[], float]
    period_min: Callable[[str], int] | None = None
    dialects: Mapping[str, Dialect] = field(default_factory=dict)
    point_codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def build_transport(stream: Stream, *, memory: Memory, around: Surroundings) -> Transport:
    """The way to one receiver; nothing is opened yet.

    Args:
        stream: whose.
        memory: what it keeps over restarts; its keys are its own.
        around: what it needs of the house.

    Raises:
        ConfigurationFault: something that it cannot do without is missing, or its address makes no sense.
    """
    entry = stream.entry
    if entry.transport == "mohurd_tcp":
        return _mohurd_tcp(stream, memory=memory, around=around)
    credentials = None if entry.credentials is None else Credentials(entry.credentials, around.secrets)
    if entry.transport == "https_json":
        if entry.url is None:
            raise ConfigurationFault(f"uplinks.{stream.uplink}: https_json 缺少 / needs url")
        return HttpsJson(url=entry.url, plant=stream.plant, credentials=credentials)
    if entry.broker is None:
        raise ConfigurationFault(f"uplinks.{stream.uplink}: mqtt_json 缺少 / needs broker")
    return MqttJson(broker=entry.broker, plant=stream.plant, credentials=credentials)


def _mohurd_tcp(stream: Stream, *, memory: Memory, around: Surroundings) -> MohurdTcp:
    entry = stream.entry
    dialect = around.dialects.get(stream.uplink)
    if stream.server is None or dialect is None or None in {entry.project_id, entry.gateway_id, entry.keys}:
        raise ConfigurationFault(
            f"uplinks.{stream.uplink}: mohurd_tcp 缺少 / needs profile, servers, project_id, gateway_id, keys"
        )
    keys = Credentials(str(entry.keys), around.secrets)

    def read_keys() -> str:
        text = keys.text()
        if text is None:
            raise RetryUplink(f"{stream.name}: 没有凭据文件 {keys.name} / there is no credential file {keys.name}")
        return text

    return MohurdTcp(
        server=stream.server,
        dialect=dialect,
        project=str(entry.project_id),
        gateway=str(entry.gateway_id),
        period_min=(lambda: entry.period_min) if around.period_min is None else partial(around.period_min, stream.name),
        credentials=read_keys,
        memory=memory,
        zone=around.zone,
        now_utc=around.now_utc,
        elapsed_s=around.elapsed_s,
        point_codes=around.point_codes.get(stream.uplink, {}),
    )
