"""What attended proofs may have left in devices: noted before the first frame leaves, struck off when all is as before.

Whatever stands here at the next start was left by a process that was killed, by a power cut, or by a device that could
not be reached any more.
"""

import json
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import asdict, dataclass
from typing import Protocol

LOG = logging.getLogger(__name__)

KEY = "attended"
"""Where the store keeps it."""


class Keeper(Protocol):
    """Keeps a text under a key; safe when it returns."""

    def put_state(self, key: str, json_text: str, /) -> Awaitable[None]:
        """Keeps a text."""
        ...

    def get_state(self, key: str, /) -> Awaitable[str | None]:
        """The text under a key."""
        ...


@dataclass(frozen=True, slots=True)
class Left:
    """A value that a proof has written, or was about to.

    Attributes:
        point: `device.point`.
        old: what stood there and is to stand there again, inside unit.
        value: what was written.
        by: who was at the plant.
        since: instant, ISO 8601.
    """

    point: str
    old: float
    value: float
    by: str
    since: str


async def left_behind(keeper: Keeper) -> dict[str, Left]:
    """What is noted, by point."""
    kept = await keeper.get_state(KEY)
    try:
        entries = json.loads(kept) if kept is not None else {}
        return {point: Left(**entry) for point, entry in entries.items()}
    except (ValueError, TypeError, AttributeError) as error:
        LOG.error("the journal of attended proofs cannot be read: %s", error)  # noqa: TRY400 - no trace
        return {}


async def note(keeper: Keeper, left: Left) -> None:
    """Notes a value that is about to be written."""
    await _put(keeper, {**await left_behind(keeper), left.point: left})


async def strike_off(keeper: Keeper, point: str) -> None:
    """The point is as it was before."""
    entries = await left_behind(keeper)
    if entries.pop(point, None) is not None:
        await _put(keeper, entries)


async def _put(keeper: Keeper, entries: Mapping[str, Left]) -> None:
    await keeper.put_state(KEY, json.dumps({point: asdict(left) for point, left in entries.items()}))
