"""Effects: what counts as one, what does not, and that every command comes to an end, whoever dies meanwhile."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from drivers.sample import good
from edge_agent.control.command import Command, Expectation, Kind, Verdict
from edge_agent.control.effect import expect, judge_effect, reconcile
from edge_agent.image import ProcessImage

RUN = Command("hp1.run_request", 1.0, Kind.RUN_REQUEST, "hp1")
STOP = replace(RUN, value=0.0)
PUMP = Command("ps_hp1.run_command", 1.0, Kind.PUMP, "ps_hp1")
VALVE = Command("io1.v_charge", 1.0, Kind.ISOLATING_VALVE, "v_charge")
MODE = Command("hp1.mode_request", 2.0, Kind.MODE_REQUEST, "hp1")
RUNS = {"hp1.state": 2.0}
STANDS = {"hp1.state": 0.0}
SETPOINT = Command("hp1.supply_setpoint", 45.0, Kind.SETPOINT, "hp1")


def verdict_of(
    kit: SimpleNamespace, command: Command, *, seen: dict[str, float], read_after_s: float = 30.0, after_s: float = 60.0
) -> tuple[Verdict, str] | None:
    image = ProcessImage()
    image.put([good(point, kit.now_utc + timedelta(seconds=read_after_s), value, "") for point, value in seen.items()])
    expectation = expect(command, number=7, now_utc=kit.now_utc, site=kit.site(), before=0.0)
    now_utc = kit.now_utc + timedelta(seconds=after_s)
    outcome = judge_effect(expectation, now_utc=now_utc, read=image.get, site=kit.site())
    if outcome is None:
        return None
    assert (outcome.number, outcome.before, outcome.latency_s) == (7, 0.0, after_s)
    return outcome.verdict, outcome.reason


@pytest.mark.parametrize(
    ("command", "followed", "not_followed", "reason"),
    [
        (RUN, {"hp1.state": 2.0, "hp1.electric_power": 90.0}, {"hp1.state": 0.0}, "unit_not_started"),
        (RUN, {"hp1.state": 2.0}, {"hp1.state": 2.0, "hp1.electric_power": 0.4}, "no_power"),
        (STOP, {"hp1.state": 0.0, "hp1.electric_power": 0.4}, {"hp1.state": 2.0}, "unit_not_stopped"),
        (STOP, {"hp1.state": 0.0}, {"hp1.state": 0.0, "hp1.electric_power": 90.0}, "unit_not_stopped"),
        (PUMP, {"ps_hp1.running": 1.0}, {"ps_hp1.running": 0.0}, "pump_not_proven"),
        (VALVE, {"io1.v_charge_position": 0.97}, {"io1.v_charge_position": 0.6}, "valve_not_proven"),
        (
            MODE,
            {"hp1.state": 2.0, "hp1.mode_actual": 2.0},
            {"hp1.state": 2.0, "hp1.mode_actual": 1.0},
            "mode_not_taken",
        ),
        (MODE, {**STANDS, "hp1.mode_request": 2.0}, {**STANDS, "hp1.mode_request": 1.0}, "replaced"),
        (SETPOINT, {"hp1.supply_setpoint": 45.1}, {"hp1.supply_setpoint": 40.0}, "replaced"),
    ],
)
def test_each_kind_has_its_proof(
    kit: SimpleNamespace, command: Command, followed: dict[str, float], not_followed: dict[str, float], reason: str
) -> None:
    assert verdict_of(kit, command, seen=followed) == (Verdict.EFFECTED, "")
    assert verdict_of(kit, command, seen=followed, read_after_s=0.0) is None, "a reading from before proves nothing"
    assert verdict_of(kit, command, seen=not_followed) is None, "it still has time"
    assert verdict_of(kit, command, seen=not_followed, after_s=2000.0) == (Verdict.NO_EFFECT, reason)
    assert verdict_of(kit, command, seen={}, after_s=2000.0) == (Verdict.UNKNOWN, "not_seen")


def test_a_unit_that_trips_or_is_taken_over_has_not_followed_at_once(kit: SimpleNamespace) -> None:
    assert verdict_of(kit, RUN, seen={"hp1.state": 4.0}) == (Verdict.NO_EFFECT, "unit_tripped")
    local = {"hp1.state": 1.0, "hp1.remote": 0.0}
    assert verdict_of(kit, RUN, seen=local) == (Verdict.NO_EFFECT, "unit_local")


def test_a_feedback_contact_that_sticks_proves_no_pump_whose_power_is_measured(kit: SimpleNamespace) -> None:
    pumps = {name: {"device": name, "power_point": f"{name}.power"} for name in kit.site().pumps}
    site = kit.site(pumps=pumps)
    image = ProcessImage()
    expectation = expect(PUMP, number=1, now_utc=kit.now_utc, site=site)
    later_utc = kit.now_utc + timedelta(seconds=30)
    image.put([good("ps_hp1.running", later_utc, 1.0, ""), good("ps_hp1.power", later_utc, 0.0, "kW")])
    assert judge_effect(expectation, now_utc=later_utc, read=image.get, site=site) is None
    end = judge_effect(expectation, now_utc=later_utc + timedelta(hours=1), read=image.get, site=site)
    assert end is not None
    assert (end.verdict, end.reason) == (Verdict.NO_EFFECT, "no_power")


def test_after_a_restart_what_can_be_seen_is_watched_on_and_the_rest_is_unknown(kit: SimpleNamespace) -> None:
    def kept(number: int) -> Expectation:
        return expect(RUN, number=number, now_utc=kit.now_utc, site=kit.site())

    watched, lost = reconcile([kept(3), kept(4)], {4, 5})
    assert [expectation.number for expectation in watched] == [4], "3 had come to its end before the memory was kept"
    assert lost == {5}, "issued, and nothing of it was kept"
    assert reconcile([kept(3)], None)[0] == (kept(3),)
