"""Modes: who may command, and what is kept."""

from types import SimpleNamespace

import pytest

from edge_agent.control.modes import Mode, ModeState, Refusal, request_mode, start_mode, write_mode

UNSIGNED = {"commissioning": {"start_mode": "auto"}}


def test_first_start_takes_the_site_files_mode(kit: SimpleNamespace) -> None:
    state = start_mode(kit.site(), kept=None, now_utc=kit.now_utc)
    assert state.mode is Mode.AUTO


def test_nothing_is_auto_without_a_signature(kit: SimpleNamespace) -> None:
    site = kit.site(**UNSIGNED)
    assert start_mode(site, kept=None, now_utc=kit.now_utc).mode is Mode.MONITOR
    kept = write_mode(ModeState(Mode.AUTO, kit.now_utc, "a person", "test"))
    assert start_mode(site, kept=kept, now_utc=kit.now_utc).reason == "not_commissioned"
    monitor = ModeState(Mode.MONITOR, kit.now_utc, "a person", "test")
    refused = request_mode(site, monitor, wanted="auto", by="a person", reason="test", now_utc=kit.now_utc, seeing=True)
    assert refused == Refusal("not_commissioned")


def test_the_last_mode_is_kept(kit: SimpleNamespace) -> None:
    kept = write_mode(ModeState(Mode.ADVISE, kit.now_utc, "值班员", "试运行"))
    state = start_mode(kit.site(), kept=kept, now_utc=kit.now_utc)
    assert (state.mode, state.by, state.reason) == (Mode.ADVISE, "值班员", "试运行")


@pytest.mark.parametrize("kept", ["", "{", '{"mode": "auto"}', '{"mode": "x", "since_utc": "2026-01-01T00:00:00Z"}'])
def test_a_damaged_mode_is_the_start_mode(kit: SimpleNamespace, kept: str) -> None:
    assert start_mode(kit.site(), kept=kept, now_utc=kit.now_utc).by == "site.yaml"


@pytest.mark.parametrize(
    ("wanted", "by", "reason", "seeing", "code"),
    [
        ("manual", "a", "b", True, "mode_unknown"),
        ("auto", " ", "b", True, "needs_name_and_reason"),
        ("auto", "a", "", True, "needs_name_and_reason"),
        ("auto", "a", "b", False, "mode_blind"),
    ],
)
def test_refusals(kit: SimpleNamespace, *, wanted: str, by: str, reason: str, seeing: bool, code: str) -> None:
    state = ModeState(Mode.MONITOR, kit.now_utc, "a", "b")
    refused = request_mode(kit.site(), state, wanted=wanted, by=by, reason=reason, now_utc=kit.now_utc, seeing=seeing)
    assert isinstance(refused, Refusal)
    assert refused.code == code


def test_leaving_auto_is_never_refused_to_somebody_who_gives_a_name(kit: SimpleNamespace) -> None:
    state = ModeState(Mode.AUTO, kit.now_utc, "a", "b")
    for wanted in ("monitor", "advise"):
        left = request_mode(kit.site(), state, wanted=wanted, by="c", reason="d", now_utc=kit.now_utc, seeing=False)
        assert isinstance(left, ModeState)
        assert (left.mode, left.by) == (wanted, "c")


def test_a_site_without_units_has_nothing_to_command(kit: SimpleNamespace) -> None:
    state = ModeState(Mode.MONITOR, kit.now_utc, "a", "b")
    site = kit.site(units={})
    refused = request_mode(site, state, wanted="auto", by="a", reason="b", now_utc=kit.now_utc, seeing=True)
    assert refused == Refusal("nothing_to_command")
