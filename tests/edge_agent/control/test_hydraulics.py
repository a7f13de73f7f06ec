"""Hydraulic modes as data: a tank of hot water without any, and an ice plant that is nothing but data."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from edge_agent.control.command import Because, Command, Kind
from edge_agent.control.guard import Allowed, judge
from edge_agent.control.hydraulics import (
    allowed_under,
    mode_words,
    moves,
    operating_mode,
    target_mode,
    way_proven,
    with_setpoints,
)
from edge_agent.control.modes import Mode
from edge_agent.control.view import PlantView, PumpView, ValveView
from edge_agent.control.want import Want
from edge_agent.settings.model import SiteFile


def way(*opened: str, pumps: tuple[str, ...] = ()) -> dict[str, object]:
    valves = {valve: "open" if valve in opened else "closed" for valve in ("v_unit", "v_ice", "v_melt")}
    return {"valves": valves, "pumps": dict.fromkeys(pumps, "on")}


ICE_MODES = {
    "unit": {"name": "主机供冷", "name_en": "unit alone", "units_in": ["direct"], **way("v_unit")},
    "make_ice": {"name": "蓄冰", "units_in": ["charge"], "setpoints_degc": {"charge": -5.6}, **way("v_ice")},
    "melt": {"name": "融冰", "units_in": [], **way("v_melt", pumps=("p_melt",))},
    "both": {"name": "联合供冷", "units_in": ["direct"], **way("v_unit", "v_melt", pumps=("p_melt",))},
}
"""Melting feeds the loop by `v_discharge`, as in the plant of hot water."""
for _code, _mode in ICE_MODES.items():
    assert isinstance(_mode["valves"], dict)
    _mode["valves"]["v_discharge"] = "modulating" if _code in ("melt", "both") else "closed"


@pytest.fixture
def ice(kit: SimpleNamespace) -> SiteFile:
    plain = kit.site()
    valves = {name: {"device": "io2", "point": name, "travel_s": 60.0} for name in ("v_unit", "v_ice", "v_melt")}
    return kit.site(
        valves={**{name: valve.model_dump() for name, valve in plain.valves.items()}, **valves},
        pumps={**{name: pump.model_dump() for name, pump in plain.pumps.items()}, "p_melt": {"device": "p_melt"}},
        operating_modes=ICE_MODES,
    )


def seen(kit: SimpleNamespace, *, melt: bool | None = False, **ratios: float | None) -> PlantView:
    view = kit.view()
    valves = {name: ValveView(ratios.get(name, 0.0), ratios.get(name, 0.0)) for name in ("v_unit", "v_ice", "v_melt")}
    pumps = {**view.pumps, "p_melt": PumpView(melt, melt)}
    return replace(view, valves={**view.valves, **valves}, pumps=pumps)


def told(site: SiteFile, code: str | None, view: PlantView) -> list[tuple[str, float]]:
    return [(command.subject, command.value) for command in moves(site, code, view)]


def test_a_valve_that_does_not_show_where_it_is_counts_as_it_was_told(kit: SimpleNamespace) -> None:
    view = kit.view(charge_ratio=1.0, discharge_ratio=0.4)
    moving = replace(view, valves={**view.valves, "v_discharge": ValveView(None, 0.4)})
    assert operating_mode(kit.site(), kit.memory(hp1=kit.running("direct")), moving) == "combined"
    unread = replace(view, valves={**view.valves, "v_discharge": ValveView(None, None)})
    assert operating_mode(kit.site(), kit.memory(hp1=kit.running("direct")), unread) == "direct"


@pytest.mark.parametrize(
    ("active", "charge_ratio", "discharge_ratio", "code"),
    [
        ((), 0.0, 0.0, "standby"),
        ((), 1.0, 0.0, "standby"),
        ((), 1.0, 0.5, "discharge"),
        (("direct",), 0.0, 0.0, "direct"),
        (("direct",), 1.0, 0.0, "direct"),
        (("direct",), 1.0, 0.5, "combined"),
        (("charge",), 1.0, 0.0, "charge"),
        (("charge",), 1.0, 0.5, "charge_and_supply"),
        (("direct", "charge"), 1.0, 0.0, "charge_and_supply"),
    ],
)
def test_the_mode_of_a_tank_is_found_without_any_data(
    kit: SimpleNamespace, active: tuple[str, ...], charge_ratio: float, discharge_ratio: float, code: str
) -> None:
    units = dict(zip(("hp1", "hp2"), (kit.running(mode) for mode in active), strict=False))
    view = kit.view(charge_ratio=charge_ratio, discharge_ratio=discharge_ratio)
    assert operating_mode(kit.site(), kit.memory(**units), view) == code
    if code != "standby":
        discharging = discharge_ratio > 0.0
        assert target_mode(kit.site(), active=frozenset(active), discharging=discharging) == code


@pytest.mark.parametrize(
    ("active", "discharging", "code"),
    [
        ((), False, None),
        (("direct",), False, "unit"),
        (("charge",), False, "make_ice"),
        ((), True, "melt"),
        (("direct",), True, "both"),
        (("direct", "charge"), False, None),
    ],
)
def test_the_modes_of_an_ice_plant_are_data(
    ice: SiteFile, active: tuple[str, ...], *, discharging: bool, code: str | None
) -> None:
    assert target_mode(ice, active=frozenset(active), discharging=discharging) == code


def test_a_transition_breaks_before_it_makes_and_proves_both_ends(kit: SimpleNamespace, ice: SiteFile) -> None:
    """From melting to making ice: pump off, old way closed, proven, new way open; and no unit before that."""
    melting = {"v_melt": 1.0, "v_ice": 0.0}
    assert told(ice, "make_ice", seen(kit, melt=True, **melting)) == [("p_melt", 0.0)]
    closing = [("p_melt", 0.0), ("v_melt", 0.0), ("v_unit", 0.0)]
    assert told(ice, "make_ice", seen(kit, **melting)) == closing
    assert told(ice, "make_ice", seen(kit, v_melt=0.4)) == closing
    assert told(ice, "make_ice", seen(kit, v_melt=None)) == closing, "what is not seen is not proven"
    assert told(ice, "make_ice", seen(kit)) == [*closing, ("v_ice", 1.0)]
    assert not way_proven(ice, seen(kit, v_ice=0.5), "charge")
    assert not way_proven(ice, seen(kit, v_ice=1.0, v_melt=1.0), "charge")
    assert way_proven(ice, seen(kit, v_ice=1.0), "charge")
    assert told(ice, "both", seen(kit, v_unit=1.0, v_melt=0.5))[-1] == ("v_unit", 1.0), "no pump against a valve"
    assert told(ice, "both", seen(kit, v_unit=1.0, v_melt=1.0))[-1] == ("p_melt", 1.0)
    assert told(ice, None, seen(kit)) == told(kit.site(), "direct", kit.view()) == []


def test_no_way_is_changed_under_a_unit_that_needs_it(kit: SimpleNamespace, ice: SiteFile) -> None:
    making = replace(kit.unit_running, mode_actual="charge", mode_request="charge")
    view = replace(seen(kit, v_ice=1.0), units={"hp1": making, "hp2": kit.unit_off})

    def may(name: str, value: float, kind: Kind = Kind.ISOLATING_VALVE) -> bool:
        command = Command(f"io2.{name}", value, kind, name, Because.SEQUENCE)
        memory = kit.memory(kit.running("charge"))
        return isinstance(judge(command, view, memory=memory, mode=Mode.AUTO, site=ice), Allowed)

    assert not may("v_ice", 0.0)
    assert not may("v_unit", 1.0)
    assert not may("v_melt", 1.0)
    assert not may("p_melt", 1.0, Kind.PUMP)
    assert may("v_ice", 1.0)
    assert may("v_unit", 0.0)
    assert may("p_melt", 0.0, Kind.PUMP)
    # A unit that supplies may be joined by the melting ice.
    assert allowed_under(ice, "v_melt", value=1.0, active=frozenset({"direct"}))
    assert not allowed_under(ice, "v_ice", value=1.0, active=frozenset({"direct"}))


def test_a_mode_brings_its_set_points_and_its_words(ice: SiteFile) -> None:
    wants = {"hp1": Want(on=True, mode="charge", setpoint_degc={"direct": 7.0, "charge": 5.0})}
    assert with_setpoints(wants, ice, "make_ice")["hp1"].setpoint_degc == {"direct": 7.0, "charge": -5.6}
    assert with_setpoints(wants, ice, "unit") == wants
    assert (mode_words(ice, "unit"), mode_words(ice, "make_ice")) == (("主机供冷", "unit alone"), ("蓄冰", "make ice"))
    assert mode_words(ice, "standby") == ("待机", "standby")
