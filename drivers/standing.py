"""Commands that stand in a device: until when each is in force, and when the device's own watchdog must be served.

A command is in force as long as its owner renews it. One that is not renewed within its expiry is no longer fed, and
is replaced by its safe value; who sends that is `drivers.writing`. Pure bookkeeping.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeGuard

from drivers.profile import WriteRule

KEEP_ALIVE_SHARE = 0.5
"""A watchdog is served when this share of its time has passed: one lost frame is no loss of the command."""
MAYBE_MAX = 8
"""Values of ours that may stand in one point; the oldest are given up."""
JUMP_S_MAX = 120.0
"""The site's clock may be set forward; more than this between two looks is not believed to have passed."""


class RunningTime:
    """Time that has passed, on the site's clock, unmoved by setting that clock.

    Args:
        now_utc: site's clock.
        elapsed_s: stop-watch of the machine [s]; less never passes.
    """

    def __init__(self, now_utc: Callable[[], datetime], elapsed_s: Callable[[], float]) -> None:
        self._now_utc = now_utc
        self._elapsed_s = elapsed_s
        self._last = (now_utc(), elapsed_s())
        self._passed_s = 0.0

    def passed_s(self) -> float:
        """Time since this object was made [s]."""
        before_utc, before_s = self._last
        self._last = now_utc, now_s = self._now_utc(), self._elapsed_s()
        site_s = min((now_utc - before_utc).total_seconds(), JUMP_S_MAX)
        self._passed_s += max(site_s, now_s - before_s, 0.0)
        return self._passed_s


@dataclass(slots=True)
class Standing:
    """One command.

    Attributes:
        value: what stands in the device, in the inside unit.
        renewed_s: when its owner last wanted it, in running time [s].
        written_s: when a frame with it was last sent, in running time [s].
        proven: whether the device is known to have taken it.
        maybe: values that we wrote before and that may stand there instead, as long as this one is not proven.
    """

    value: float
    renewed_s: float
    written_s: float
    proven: bool
    maybe: tuple[float, ...] = ()

    @property
    def ours(self) -> tuple[float, ...]:
        """What the point shows if nobody else has changed it."""
        return (self.value, *self.maybe)

    def prove(self, *, proven: bool) -> None:
        """Notes whether the device shows it."""
        self.proven = proven
        if proven:
            self.maybe = ()


class StandingCommands:
    """The commands of a device that can expire.

    Args:
        kept: what `state` returned before the restart; each gets its whole expiry anew, for its owner starts anew too.
        now_s: running time [s].
        rules: rules of writing by point; what has no expiry is not remembered.
    """

    def __init__(self, kept: object, *, now_s: float, rules: Mapping[str, WriteRule]) -> None:
        self._commands: dict[str, Standing] = {}
        for name, entry in kept.items() if isinstance(kept, dict) else ():
            known = name in rules and rules[name].expiry_s is not None
            # A bare number tells nothing of whether the device took it.
            fields = entry if isinstance(entry, dict) else {"value": entry}
            value = fields.get("value")
            if known and _is_number(value):
                maybe = fields.get("maybe")
                others = tuple(float(other) for other in maybe if _is_number(other)) if isinstance(maybe, list) else ()
                # When it was written is not known: its watchdog is served at once, if it is known to stand there.
                proven = fields.get("proven") is True
                self._commands[name] = Standing(float(value), now_s, -math.inf, proven=proven, maybe=others)

    def get(self, name: str) -> Standing | None:
        """What stands in a point; None: nothing of ours."""
        return self._commands.get(name)

    def put(self, name: str, value: float, *, now_s: float) -> None:
        """A frame with this value is about to be sent."""
        before = self._commands.get(name)
        maybe = () if before is None else tuple(other for other in before.ours if other != value)
        self._commands[name] = Standing(value, now_s, now_s, proven=False, maybe=maybe[:MAYBE_MAX])

    def restore(self, name: str, before: Standing | None) -> None:
        """The frame changed nothing: what stood before still does."""
        if before is None:
            self._commands.pop(name, None)
        else:
            self._commands[name] = before

    def drop(self, name: str) -> None:
        """The point is no longer ours."""
        self._commands.pop(name, None)

    def expired(self, rules: Mapping[str, WriteRule], *, now_s: float) -> list[str]:
        """Points whose command was not renewed in time."""
        return [
            name
            for name, standing in self._commands.items()
            if (expiry_s := rules[name].expiry_s) is not None and now_s - standing.renewed_s >= expiry_s
        ]

    def to_feed(self, rules: Mapping[str, WriteRule], *, now_s: float) -> list[str]:
        """Points in force whose watchdog must be served now."""
        late = set(self.expired(rules, now_s=now_s))
        return [
            name
            for name, standing in self._commands.items()
            if name not in late
            and standing.proven
            and (time_s := rules[name].keep_alive_s) is not None
            and now_s - standing.written_s >= KEEP_ALIVE_SHARE * time_s
        ]

    def state(self) -> dict[str, object]:
        """All commands as JSON-like data; changes only when a value or its proof does."""
        return {
            name: {"value": standing.value, "proven": standing.proven, "maybe": list(standing.maybe)}
            for name, standing in self._commands.items()
        }

    def __bool__(self) -> bool:
        return bool(self._commands)


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
