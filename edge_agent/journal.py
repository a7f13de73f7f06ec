"""What the service must know again after a restart, and what was commanded: kept in the store, and it stops nothing.

Heat comes before records: while the disk refuses, control and polling go on.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from edge_agent.clock import Clock
from edge_agent.control.command import Outcome, Verdict
from edge_agent.control.effect import reconcile
from edge_agent.control.left_behind import Left
from edge_agent.control.memory import read_memory
from edge_agent.errors import StoreFault
from edge_agent.store.audit import UNFINISHED_ENTRIES_MAX, last_number, unfinished
from edge_agent.store.rows import AuditEntry
from edge_agent.store.store import Store
from edge_agent.wiring import DEVICE_KEY, MEMORY_KEY

LOG = logging.getLogger(__name__)

REFUSED_MAX = 5000
"""So many entries of the audit are kept in memory while the disk refuses them: a day of commands."""


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
        self._refused: list[AuditEntry] = []

    @property
    def failing(self) -> bool:
        """Whether the disk refused what was last to be kept."""
        return self._failing

    async def keep_device(self, name: str, text: str) -> None:
        """Keeps what a device must still know after a restart. A refusing disk stops no polling."""
        with self._disk_may_refuse():
            await self._store.put_state(f"{DEVICE_KEY}{name}", text)

    async def keep_control(self, memory_json: str) -> None:
        """Keeps the control memory. A refusing disk does not stop control."""
        with self._disk_may_refuse():
            await self._store.put_state(MEMORY_KEY, memory_json)

    async def commands(self, outcomes: Sequence[Outcome], *, actor: str) -> None:
        """Chains stages of commands to all before them, all or none; a refusing disk does not stop control."""
        # What the disk has refused is chained as soon as it takes entries again: a command keeps its end.
        self._refused += [_entry(outcome, actor) for outcome in outcomes]
        self._refused = self._refused[-REFUSED_MAX:]
        with self._disk_may_refuse():
            await self._store.audit(*self._refused)
            self._refused = []

    async def close_unknown(self, memory: str | None) -> tuple[int, frozenset[int]]:
        """Ends the commands of the run before whose effect nobody can tell, because the service died.

        Args:
            memory: what control has kept.

        Returns:
            Number of the last command, and those whose effect is watched on.
        """
        entries = await self._store.audit_entries(UNFINISHED_ENTRIES_MAX)
        waiting = unfinished(reversed(entries))
        watched, lost = reconcile(read_memory(memory).expectations, waiting)
        if lost:
            LOG.warning("commands of the run before have an unknown end numbers=%s", ",".join(map(str, sorted(lost))))
            end = partial(
                replace,
                instant_utc=self._clock.now_utc(),
                outcome=Verdict.UNKNOWN,
                reason="service_died",
                read_back=None,
                latency_s=None,
            )
            with self._disk_may_refuse():
                await self._store.audit(*(end(waiting[number]) for number in sorted(lost)))
        return last_number(entries), frozenset(expectation.number for expectation in watched)

    async def left(self, left: Sequence[Left]) -> None:
        """Chains what an orderly stop leaves commanded."""
        entry = AuditEntry(
            instant_utc=self._clock.now_utc(),
            actor="edge-agent",
            cause="stop",
            point="service",
            old=None,
            wanted="stopped",
            read_back=None,
            outcome="left",
            reason="; ".join(f"{part.subject} {part.en}" for part in left),
            latency_s=None,
        )
        with self._disk_may_refuse():
            await self._store.audit(entry)

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


def _entry(outcome: Outcome, actor: str) -> AuditEntry:
    command = outcome.command
    return AuditEntry(
        instant_utc=outcome.instant_utc,
        actor=actor,
        cause=f"{command.because} {outcome.reference}".rstrip(),
        point=command.point,
        old=outcome.before,
        wanted=command.value,
        read_back=outcome.read_back,
        outcome=outcome.verdict,
        reason=outcome.reason,
        latency_s=outcome.latency_s,
        number=outcome.number or None,
    )
