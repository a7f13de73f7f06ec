"""A tank whose sensors are out of order, and one that is only stirred."""

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from edge_agent.control.doubt import trusted
from edge_agent.control.view import PlantView, UnitView


def seen(kit: SimpleNamespace, layers: tuple[float, ...]) -> PlantView:
    view: PlantView = kit.view(layers_degc=layers)
    return view


def judged(kit: SimpleNamespace, view: PlantView, *, for_s: float) -> tuple[PlantView, list[str]]:
    known: dict[str, datetime] = {}
    _, known, _ = trusted(view, known, site=kit.site())
    later = replace(view, instant_utc=view.instant_utc + timedelta(seconds=for_s))
    after, _, alarms = trusted(later, known, site=kit.site())
    return after, [alarm.code for alarm in alarms]


def test_a_doubt_that_ends_begins_anew(kit: SimpleNamespace) -> None:
    _, known, _ = trusted(seen(kit, (42.0, 54.0, 48.0, 54.0)), {}, site=kit.site())
    assert set(known) == {"tank tank"}
    _, known, _ = trusted(seen(kit, (54.0, 54.0, 48.0, 42.0)), known, site=kit.site())
    assert known == {}


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
