"""A tank whose sensors are out of order, and one that is only stirred."""

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

from edge_agent.control.doubt import trusted
from edge_agent.control.view import PlantView


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
