"""How the store keeps who is in command: audit and state, and when a disk that refuses holds an order up.

What is kept is the business of `operation.py`.
"""

import logging
from datetime import datetime
from typing import Protocol

from edge_agent.errors import StoreFault
from edge_agent.store.rows import AuditEntry

LOG = logging.getLogger(__name__)


class Keeper(Protocol):
    """What the store does for it."""

    async def audit(self, entry: AuditEntry) -> None:
        """Chains an entry to the audit."""
        ...

    async def audit_broken_at(self) -> int | None:
        """Number of the first entry that does not fit the chain."""
        ...

    async def get_state(self, key: str) -> str | None:
        """The value under a key."""
        ...

    async def put_state(self, key: str, json_text: str) -> None:
        """Keeps a value under a key."""
        ...


class OrderStore:
    """Writes through to the store; what only narrows what is commanded is in force without it."""

    def __init__(self, store: Keeper) -> None:
        """Goes by `store`."""
        self._store = store
        self._not_kept: set[str] = set()

    async def audit_broken_at(self) -> int | None:
        """Number of the first entry that does not fit the chain."""
        return await self._store.audit_broken_at()

    async def read(self, key: str) -> str | None:
        """What was kept under a key."""
        return await self._store.get_state(key)

    async def tell(
        self,
        *,
        now_utc: datetime,
        by: str,
        cause: str,
        point: str,
        wanted: str,
        outcome: str,
        strict: bool = False,
    ) -> bool:
        """Chains a person's order to the audit before it takes effect.

        Returns:
            False when the disk refuses, and that is no reason to hold it up.

        Raises:
            StoreFault: the disk refuses and the order widens what is commanded.
        """
        entry = AuditEntry(
            instant_utc=now_utc,
            actor=by,
            cause=cause,
            point=point,
            old=None,
            wanted=str(wanted),
            read_back=None,
            outcome=outcome,
            reason="",
            latency_s=None,
        )
        try:
            await self._store.audit(entry)
        except StoreFault:
            if strict:
                raise
            LOG.error("in force without its audit point=%s wanted=%s", point, wanted)  # noqa: TRY400 - no trace needed
            return False
        return True

    async def keep(self, key: str, json_text: str, *, strict: bool = False) -> bool:
        """Keeps a text under a key.

        Returns:
            False when the disk refuses, and that is no reason to hold anything up.

        Raises:
            StoreFault: the disk refuses, and what is kept widens what is commanded.
        """
        try:
            await self._store.put_state(key, json_text)
        except StoreFault:
            if strict:
                raise
            if key not in self._not_kept:
                LOG.error("not kept, a restart forgets it key=%s", key)  # noqa: TRY400 - said once, no trace
            self._not_kept.add(key)
            return False
        self._not_kept.discard(key)
        return True
