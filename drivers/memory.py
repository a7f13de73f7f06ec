"""What a device must still know after a restart: holes of its register map, writes counted, corrections of counters.

Each part of a device keeps one section, as JSON-like data. Where the text is stored is somebody else's business: a
`Keep` is handed in. Text that cannot be read is forgotten and said so; a device starts anew rather than not at all.
"""

import json
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

Keep = Callable[[str], Awaitable[None]]
"""Stores the text of a device's memory; returns when it is safe, raises nothing."""


async def forget(_: str) -> None:
    """Keeps nothing: for reading once, and for tests."""


class DeviceMemory:
    """The sections of one device.

    Args:
        device: name, for messages.
        kept: text of the run before; None: there was none.
        keep: stores the text.
    """

    def __init__(self, device: str, *, kept: str | None = None, keep: Keep = forget) -> None:
        self._keep = keep
        self._sections: dict[str, object] = {}
        if kept is None:
            return
        try:
            sections = json.loads(kept)
        except ValueError:
            sections = None
        if isinstance(sections, dict):
            self._sections = sections
        else:
            log.warning("memory of a device cannot be read, it starts anew device=%s", device)

    def get(self, section: str) -> object:
        """A section as it was put; None if it never was."""
        return self._sections.get(section)

    async def put(self, section: str, value: object) -> None:
        """Replaces a section and stores all of them; does nothing when nothing changed.

        Raises:
            TypeError: the value is not JSON-like.
        """
        if section in self._sections and self._sections[section] == value:
            return
        self._sections[section] = value
        await self._keep(json.dumps(self._sections, ensure_ascii=False, sort_keys=True))
