"""The one list of transports: which module speaks for which word in uplink.yaml."""

from collections.abc import Sequence
from pathlib import Path

from edge_agent.errors import ConfigurationFault
from edge_agent.uplink.credentials import Credentials
from edge_agent.uplink.streams import Stream
from edge_agent.uplink.transports.base import Memory, Transport
from edge_agent.uplink.transports.mqtt_json import MqttJson


def build_transport(stream: Stream, *, memory: Memory, secrets: Sequence[Path]) -> Transport:
    """The way to one receiver; nothing is opened yet.

    Args:
        stream: whose.
        memory: what it keeps over restarts; its keys are its own.
        secrets: folders of the credential files.

    Raises:
        ConfigurationFault: this kind is not built yet, or its address makes no sense.
    """
    del memory  # no dialect that is built keeps anything
    entry = stream.entry
    if entry.transport != "mqtt_json" or entry.broker is None:
        raise ConfigurationFault(f"uplinks.{stream.uplink}: {entry.transport} 尚未支持 / is not built yet")
    credentials = None if entry.credentials is None else Credentials(entry.credentials, secrets)
    return MqttJson(broker=entry.broker, plant=stream.plant, credentials=credentials)
