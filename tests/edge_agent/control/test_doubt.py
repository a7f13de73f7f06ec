"""A tank whose sensors are out of order, and one that is only stirred."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from edge_agent.control.doubt import trusted
from edge_agent.control.memory import Doubt
from edge_agent.control.view import PlantView, StorageView, UnitView, ValveView


def seen(kit: SimpleNamespace, layers: tuple[float, ...]) -> PlantView:
    view: PlantView = kit.view(layers_degc=layers)
    return view


def judged(kit: SimpleNamespace, view: PlantView, *, for_s: float) -> tuple[PlantView, list[str]]:
    known: dict[str, Doubt] = {}
    _, known, _ = trusted(view, known, site=kit.site())
    later = replace(view, instant_utc=view.instant_utc + timedelta(seconds=for_s))
    after, _, alarms = trusted(later, known, site=kit.site())
    return after, [alarm.code for alarm in alarms]


def test_a_doubt_that_ends_begins_anew(kit: SimpleNamespace) -> None:
    _, known, _ = trusted(seen(kit, (42.0, 54.0, 48.0, 54.0)), {}, site=kit.site())
    assert set(known) == {"tank tank"}
    _, known, _ = trusted(seen(kit, (54.0, 54.0, 48.0, 42.0)), known, site=kit.site())
    assert known == {}


def test_a_doubt_outlasts_a_restart_in_which_nothing_is_read_yet(kit: SimpleNamespace) -> None:
    """Else a service that restarts every few minutes never finds anything."""
    layers = (42.0, 54.0, 48.0, 54.0)
    known = {"tank tank": Doubt(kit.now_utc - timedelta(minutes=9), kit.now_utc)}
    blind = replace(seen(kit, ()), instant_utc=kit.now_utc + timedelta(minutes=2))
    after, known, alarms = trusted(blind, known, site=kit.site())
    assert (after, alarms) == (blind, ())
    back = replace(seen(kit, layers), instant_utc=kit.now_utc + timedelta(minutes=3))
    after, _, alarms = trusted(back, known, site=kit.site())
    assert [alarm.code for alarm in alarms] == ["tank_sensors_disorder"]
    assert alarms[0].since_utc == kit.now_utc - timedelta(minutes=9)
    late = replace(seen(kit, layers), instant_utc=kit.now_utc + timedelta(minutes=31))
    assert trusted(late, known, site=kit.site())[2] == (), "what was so half an hour ago begins anew"


def test_what_the_meter_said_of_the_tank_outlasts_a_while_in_which_it_says_nothing(kit: SimpleNamespace) -> None:
    shut = kit.view(discharge_ratio=0.0, charge_ratio=1.0)
    leaks = replace(shut, storages={"tank": replace(shut.storages["tank"], heat_kw=-300.0)})
    _, known, _ = trusted(leaks, {}, site=kit.site())
    silent = replace(leaks, storages={"tank": replace(shut.storages["tank"], heat_kw=None)})
    moving = replace(leaks, valves={**leaks.valves, "v_discharge": ValveView(None, 0.0)})
    for minute, view in ((4, silent), (8, moving)):
        later = replace(view, instant_utc=kit.now_utc + timedelta(minutes=minute))
        _, known, alarms = trusted(later, known, site=kit.site())
        assert alarms == ()
    again = replace(leaks, instant_utc=kit.now_utc + timedelta(minutes=10))
    assert [alarm.code for alarm in trusted(again, known, site=kit.site())[2]] == ["tank_leaks"]


@pytest.mark.parametrize(("degc_max", "codes"), [(55.0, ["tank_gives_nothing"]), (90.0, [])])
def test_a_tank_of_a_wide_span_gives_little_while_it_is_hardly_warmer_than_the_return(
    kit: SimpleNamespace, degc_max: float, codes: list[str]
) -> None:
    """A tenth of the flow at 6 K of 48 K is 1.25 % of the greatest discharge: no fault, less than counts as none."""
    site = kit.site()
    wide = site.storages["tank"].model_copy(update={"degc_max": degc_max})
    site = site.model_copy(update={"storages": {"tank": wide}})
    tank = StorageView(layers_degc=(46.0,) * 4, heat_kw=-25.0)
    view = replace(kit.view(discharge_ratio=0.3, charge_ratio=1.0), storages={"tank": tank})
    _, known, _ = trusted(view, {}, site=site)
    later = replace(view, instant_utc=kit.now_utc + timedelta(minutes=10))
    assert [alarm.code for alarm in trusted(later, known, site=site)[2]] == codes


def test_a_tank_whose_layers_stand_on_their_head_is_taken_in_order_of_heat(kit: SimpleNamespace) -> None:
    view = seen(kit, (42.0, 54.0, 48.0, 54.0))
    after, codes = judged(kit, view, for_s=600.0)
    assert codes == ["tank_sensors_disorder"]
    assert after.storages["tank"].layers_degc == (54.0, 54.0, 48.0, 42.0)
    slight = seen(kit, (50.0, 52.0, 48.0, 42.0))
    assert judged(kit, slight, for_s=3600.0)[1] == []


@pytest.mark.parametrize(
    ("outlet", "way", "heat_kw", "layers_degc", "code"),
    [
        (0.5, 1.0, -10.0, (54.0,) * 4, "tank_gives_nothing"),
        (0.5, 1.0, -300.0, (54.0,) * 4, ""),  # it gives
        (0.1, 1.0, -10.0, (54.0,) * 4, ""),  # hardly open
        (0.5, 0.5, -10.0, (54.0,) * 4, ""),  # its way is not open
        (0.5, 1.0, -10.0, (44.0,) * 4, ""),  # no warmer than what comes back
        (0.5, 1.0, 300.0, (54.0,) * 4, ""),  # something charges it
        (0.0, 1.0, -300.0, (54.0,) * 4, "tank_leaks"),
        (0.5, 0.0, -300.0, (54.0,) * 4, "tank_leaks"),
        (0.0, 1.0, -40.0, (54.0,) * 4, ""),
        (None, 1.0, -300.0, (54.0,) * 4, ""),  # on its way, or not known
    ],
)
def test_what_the_tank_gives_must_fit_its_valves(
    kit: SimpleNamespace,
    outlet: float | None,
    way: float,
    heat_kw: float,
    layers_degc: tuple[float, ...],
    code: str,
) -> None:
    view: PlantView = kit.view(discharge_ratio=outlet, charge_ratio=way, layers_degc=layers_degc)
    tank = replace(view.storages["tank"], heat_kw=heat_kw)
    view = replace(view, storages={"tank": tank})
    assert judged(kit, view, for_s=60.0)[1] == [], "it must last"
    assert judged(kit, view, for_s=600.0)[1] == ([code] if code else [])


def test_nothing_is_said_of_a_tank_that_may_be_charged_meanwhile(kit: SimpleNamespace) -> None:
    for unit, found in (
        (replace(kit.unit_running, mode_actual="charge"), []),
        (UnitView(), []),
        (kit.unit_running, ["tank_gives_nothing"]),
    ):
        view = kit.view(discharge_ratio=0.5, charge_ratio=1.0, layers_degc=(54.0,) * 4, hp1=unit)
        assert judged(kit, view, for_s=600.0)[1] == found
