"""Modes of the service: monitor reads only, advise computes and shows, auto commands. Who asked, why, since when."""

import json
from dataclasses import dataclass
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
class ModeRefused:
    """Why a mode is not taken; code of `edge_agent/texts`, worded for the command line in both languages."""

    code: str
    zh: str
    en: str


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
    site: SiteFile, state: ModeState, *, wanted: str, by: str, reason: str, now_utc: datetime
) -> ModeState | ModeRefused:
    """Changes the mode, or says why not.

    Args:
        site: says who signed.
        state: the mode in force.
        wanted: monitor, advise, auto.
        by: who asks.
        reason: why.
        now_utc: the present instant.
    """
    if wanted not in tuple(Mode):
        return ModeRefused("mode_unknown", f"没有运行方式 {wanted}", f"there is no mode {wanted}")
    if not by.strip() or not reason.strip():
        return ModeRefused(
            "mode_needs_name", "切换运行方式须写明人员和原因", "a change of mode needs a name and a reason"
        )
    if wanted == Mode.AUTO and not signed(site):
        return ModeRefused(
            "not_commissioned",
            "调试尚未签字(site.yaml 的 commissioning),不能投入自动",
            "commissioning is not signed in site.yaml, so nothing may be commanded",
        )
    if wanted == state.mode:
        return state
    return ModeState(Mode(wanted), now_utc, by.strip(), reason.strip())


def step_down(state: ModeState, *, reason: str, now_utc: datetime) -> ModeState:
    """Leaves auto by itself: the plant's own controls take over when their watchdogs run out."""
    return state if state.mode is Mode.MONITOR else ModeState(Mode.MONITOR, now_utc, "edge-agent", reason)


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
