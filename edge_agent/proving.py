"""An attended proof inside the running service, over its own wires: the person confirms at the other end of the socket.

Nothing is written in automatic mode, where control would answer every command of ours with its own; and nobody gets
into it while a proof is under way. A caller who goes away, or a service that stops, ends the proof: the old value is
put back first.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict

from drivers.device import Device
from edge_agent.attempt import Attempt, Scene
from edge_agent.clock import Clock
from edge_agent.control.memory import ControlMemory
from edge_agent.control.modes import Mode
from edge_agent.errors import EdgeAgentError, RefusedByInterlock
from edge_agent.image import ProcessImage
from edge_agent.left_behind import left_behind
from edge_agent.local_api import Talk
from edge_agent.settings.model import SiteFile
from edge_agent.store.store import Store
from edge_agent.texts.catalogue import text

LOG = logging.getLogger(__name__)

EFFECT_S_MAX = 600.0


class Prover:
    """Proves commands, one at a time.

    Args:
        site: the plant.
        devices: by name.
        image: fed by polling.
        store: open.
        clock: the site's clock.
        mode: in force.
        memory: what control remembers.
    """

    def __init__(
        self,
        site: SiteFile,
        *,
        devices: Callable[[], Mapping[str, Device]],
        image: ProcessImage,
        store: Store,
        clock: Clock,
        mode: Callable[[], Mode],
        memory: Callable[[], ControlMemory],
    ) -> None:
        self._site = site
        self._devices = devices
        self._image = image
        self._store = store
        self._clock = clock
        self._mode = mode
        self._memory = memory
        self._permitted: str | None = None
        self._running: asyncio.Task[tuple[str, str]] | None = None

    def permits(self, device: str) -> bool:
        """Whether a proof that a person has confirmed may write to this device."""
        return device == self._permitted

    @property
    def busy(self) -> bool:
        """Whether a proof is under way."""
        return self._running is not None

    async def tell_left_behind(self) -> None:
        """Says at start what an earlier proof has left in a device. It is mended by `prove`: somebody must be there."""
        for left in (await left_behind(self._store)).values():
            LOG.warning(
                "a proof was cut off and may have left its value point=%s value=%g old=%g by=%s since=%s, "
                "mend it: edge-agent prove %s --command %s --via-service",
                left.point,
                left.value,
                left.old,
                left.by,
                left.since,
                *left.point.split(".", 1),
            )

    async def stop(self) -> None:
        """Ends a proof under way; returns when the old value is back, or cannot be put back."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    async def converse(self, arguments: Mapping[str, object], talk: Talk) -> None:
        """One proof: `device`, `command`, `value`, `effect_s`.

        Says `step`, `confirm` (answered by `by`, null: no) and at last `outcome`; `stop` or the end of the
        conversation at any time ends the proof.

        Raises:
            RefusedByInterlock: not in this mode, or not now.
            EdgeAgentError: no such device or point.
        """
        device, point = str(arguments.get("device")), str(arguments.get("command"))
        value, effect_s = arguments.get("value"), arguments.get("effect_s")
        devices = self._devices()
        spec = devices[device].profile.points.get(point) if device in devices else None
        if spec is None or not isinstance(value, float | int | None) or not isinstance(effect_s, float | int):
            raise EdgeAgentError("prove: 参数不对 / bad arguments")
        if self._mode() is Mode.AUTO:
            raise refused("prove_not_in_auto")
        if self.busy:
            raise refused("prove_under_way")
        scene = Scene(
            site=self._site,
            devices=devices,
            image=self._image,
            refresh=_polled_anyway,
            store=self._store,
            clock=self._clock,
            memory=self._memory(),
            permit=self._permit,
        )
        to_say: asyncio.Queue[dict[str, object] | None] = asyncio.Queue()
        attempt = Attempt(
            scene,
            device=device,
            spec=spec,
            value=value,
            tell=lambda step: to_say.put_nowait({"step": asdict(step)}),
            effect_s=min(float(effect_s), EFFECT_S_MAX),
        )
        answers: asyncio.Queue[str | None] = asyncio.Queue()

        async def confirm(plan: str) -> str | None:
            to_say.put_nowait({"confirm": plan})
            return await answers.get()

        self._running = asyncio.create_task(attempt.run(confirm))  # noqa: TID251 - waited for below and by `stop`
        try:
            await self._until_its_end(self._running, talk, to_say=to_say, answers=answers)
            outcome, reason = ("interrupted", "") if self._running.cancelled() else self._running.result()
        finally:
            self._running = None
        LOG.warning("proof ended point=%s.%s outcome=%s reason=%s", device, point, outcome, reason)
        with suppress(OSError):
            await talk.say({"outcome": outcome, "reason": reason, "effects": attempt.effects})

    def _permit(self, device: str | None) -> None:
        self._permitted = device

    async def _until_its_end(
        self,
        running: "asyncio.Task[tuple[str, str]]",
        talk: Talk,
        *,
        to_say: "asyncio.Queue[dict[str, object] | None]",
        answers: "asyncio.Queue[str | None]",
    ) -> None:
        """Passes steps on and answers in until the proof has ended, whatever becomes of the other end."""

        async def pass_on() -> None:
            while (message := await to_say.get()) is not None:
                with suppress(OSError):
                    await talk.say(message)

        async def listen() -> None:
            while (heard := await talk.hear()) is not None and "stop" not in heard:
                by = heard.get("by")
                answers.put_nowait(by.strip() or None if isinstance(by, str) else None)
            running.cancel()

        async with asyncio.TaskGroup() as group:
            listener = group.create_task(listen())
            group.create_task(pass_on())
            await asyncio.wait({running})
            to_say.put_nowait(None)
            listener.cancel()


async def _polled_anyway(_device: str) -> None:
    """The service polls all the time."""


def refused(code: str) -> RefusedByInterlock:
    """A refusal in words."""
    words = text(code)
    return RefusedByInterlock(
        f"{words.zh} / {words.en}",
        code=code,
        zh=words.zh + (f"。{words.hint_zh}" if words.hint_zh else ""),
        en=words.en + (f". {words.hint_en}" if words.hint_en else ""),
    )
