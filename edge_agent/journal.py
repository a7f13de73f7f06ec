"""What the service must know again after a restart, and what was commanded: kept in the store, and it stops nothing.

Heat comes before records: while the disk refuses, control and polling go on.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from edge_agent.clock import Clock
from edge_agent.control.command import Outcome
from edge_agent.errors import StoreFault
from edge_agent.store.rows import AuditEntry
from edge_agent.store.store import Store
from edge_agent.wiring import DEVICE_KEY, MEMORY_KEY

LOG = logging.getLogger(__name__)


class Journal:
    """Keeps memories and the audit chain.

    Args:
        store: open.
        clock: the site's clock.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._failing = False

    async def keep_device(self, name: str, text: str) -> None:
        """Keeps what a device must still know after a restart. A refusing disk stops no polling."""
        with self._disk_may_refuse():
            await self._store.put_state(f"{DEVICE_KEY}{name}", text)

    async def keep_control(self, memory_json: str) -> None:
        """Keeps the control memory. A refusing disk does not stop control."""
        with self._disk_may_refuse():
            await self._store.put_state(MEMORY_KEY, memory_json)

    async def command(self, outcome: Outcome, *, actor: str) -> None:
        """Chains a command and its outcome to all before it; a refusing disk does not stop control."""
        command = outcome.command
        with self._disk_may_refuse():
            await self._store.audit(
                AuditEntry(
                    instant_utc=outcome.instant_utc,
                    actor=actor,
                    cause=command.because,
                    point=command.point,
                    old=outcome.before,
                    wanted=command.value,
                    read_back=outcome.read_back,
                    outcome=outcome.verdict,
                    reason=outcome.reason,
                    latency_s=(self._clock.now_utc() - outcome.instant_utc).total_seconds(),
                )
            )

    @contextmanager
    def _disk_may_refuse(self) -> Iterator[None]:
        """Lets control go on without its journal while the store refuses; said once at begin and end."""
        try:
            yield
        except StoreFault as fault:
            if not self._failing:
                LOG.error("control goes on without its journal: %s", fault)  # noqa: TRY400 - said once, no trace
            self._failing = True
        else:
            if self._failing:
                LOG.warning("control's journal is kept again")
            self._failing = False
