"""Which streams of records leave the plant: one for each server of each uplink, with its own numbers and progress.

A slow or dead server never holds up another one. It knows no wire and no disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from edge_agent.settings.model import Uplink, UplinkFile


@dataclass(frozen=True, slots=True)
class Stream:
    """One way out.

    Attributes:
        name: key in the outbox and in the ledger; must not change while records wait under it.
        uplink: name of the uplink in uplink.yaml.
        entry: the uplink.
        server: `host:port`, where the uplink lists servers.
        plant: name of the plant at the receiver.
    """

    name: str
    uplink: str
    entry: Uplink
    server: str | None
    plant: str


def streams(uplink_file: UplinkFile, *, plant: str) -> Mapping[str, Stream]:
    """All streams by name: the uplink's own name, or `uplink@host:port` where it lists servers.

    Args:
        uplink_file: uplink.yaml.
        plant: name of the plant for uplinks that state none.
    """
    found: dict[str, Stream] = {}
    for name, uplink in uplink_file.uplinks.items():
        for server in uplink.servers or (None,):
            stream = name if server is None else f"{name}@{server}"
            found[stream] = Stream(stream, name, uplink, server, uplink.plant or plant)
    return found


class States(Protocol):
    """What a stream's memory needs of the store."""

    async def get_state(self, key: str) -> str | None:
        """The text under a key."""
        ...

    async def put_state(self, key: str, json_text: str) -> None:
        """Keeps a text under a key."""
        ...


class StreamMemory:
    """What a stream keeps over restarts, apart from all others."""

    def __init__(self, store: States, stream: str) -> None:
        self._store = store
        self._prefix = f"uplink.{stream}."

    async def get(self, key: str) -> str | None:
        """The text under a key."""
        return await self._store.get_state(self._prefix + key)

    async def put(self, key: str, text: str) -> None:
        """Keeps a text under a key; committed when it returns."""
        await self._store.put_state(self._prefix + key, text)
