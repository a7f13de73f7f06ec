"""Modes of the service: monitor reads only, advise computes and shows, auto commands. Who asked, why, since when.

Manual is no mode of its own: it is auto while an operator's orders stand (`orders.py`). What takes the service out of
auto by itself is in `step_down.py`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from edge_agent.settings.model import SiteFile


class Mode(StrEnum):
    """What control may do."""

    MONITOR = "monitor"
    ADVISE = "advise"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class ModeState:
    """The mode in force."""

    mode: Mode
    since_utc: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a person's wish is not granted: a stable code of `edge_agent/texts`, and its values."""

    code: str
    values: Mapping[str, float | str] = field(default_factory=dict)


def start_mode(site: SiteFile, *, kept: str | None, now_utc: datetime) -> ModeState:
    """The mode after a start: the one kept from before, else that of the site file; never auto without a signature.

    Args:
        site: says the start mode and who signed.
        kept: JSON text of `write_mode`, None at the very first start.
        now_utc: the present instant.
    """
    state = _read_mode(kept) or ModeState(
        Mode(site.commissioning.start_mode), now_utc, "site.yaml", "commissioning.start_mode"
    )
    if state.mode is Mode.AUTO and not signed(site):
        return ModeState(Mode.MONITOR, now_utc, "edge-agent", "not_commissioned")
    return state


def signed(site: SiteFile) -> bool:
    """Whether an engineer has signed the commissioning: nothing writes before."""
    return bool(site.commissioning.signed_by and site.commissioning.signed_on)


def request_mode(
    site: SiteFile, state: ModeState, *, wanted: str, by: str, reason: str, now_utc: datetime, seeing: bool
) -> ModeState | Refusal:
    """Changes the mode, or says why not.

    Args:
        site: says who signed.
        state: the mode in force.
        wanted: monitor, advise, auto.
        by: who asks.
        reason: why.
        now_utc: the present instant.
        seeing: supply temperature and at least one unit are known; without them nothing could be commanded.
    """
    if wanted not in tuple(Mode):
        return Refusal("mode_unknown", {"mode": wanted})
    if not by.strip() or not reason.strip():
        return Refusal("needs_name_and_reason")
    if wanted == Mode.AUTO:
        if not signed(site):
            return Refusal("not_commissioned")
        if not site.units:
            return Refusal("nothing_to_command")
        if not seeing and state.mode is not Mode.AUTO:
            return Refusal("mode_blind")
    if wanted == state.mode:
        return state
    return ModeState(Mode(wanted), now_utc, by.strip(), reason.strip())


def write_mode(state: ModeState) -> str:
    """As JSON text."""
    return json.dumps(
        {"mode": state.mode, "since_utc": state.since_utc.isoformat(), "by": state.by, "reason": state.reason},
        ensure_ascii=False,
    )


def _read_mode(text: str | None) -> ModeState | None:
    if not text:
        return None
    try:
        data = json.loads(text)
        since_utc = datetime.fromisoformat(data["since_utc"])
        if since_utc.tzinfo is None:
            return None
        return ModeState(Mode(data["mode"]), since_utc, str(data["by"]), str(data["reason"]))
    except (ValueError, KeyError, TypeError):
        return None
