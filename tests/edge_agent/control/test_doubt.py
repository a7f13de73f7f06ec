"""Sensors that do not fit together: swapped, drifting, frozen, out of order; and those that differ for a moment."""

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from edge_agent.control.doubt import trusted
from edge_agent.control.view import PlantView


def seen(
    kit: SimpleNamespace, *, header: tuple[float, float], meter: tuple[float, float], layers: tuple[float, ...] = ()
) -> PlantView:
    view = kit.view(layers_degc=layers or (54.0, 54.0, 48.0, 42.0))
    loop = replace(
        view.loops["heating"],
        supply_degc=header[0],
        return_degc=header[1],
        meter_supply_degc=meter[0],
        meter_return_degc=meter[1],
    )
    return replace(view, loops={"heating": loop})


def judged(kit: SimpleNamespace, view: PlantView, *, for_s: float) -> tuple[PlantView, list[str]]:
    known: dict[str, datetime] = {}
    _, known, _ = trusted(view, known, site=kit.site())
    later = replace(view, instant_utc=view.instant_utc + timedelta(seconds=for_s))
    after, _, alarms = trusted(later, known, site=kit.site())
    return after, [alarm.code for alarm in alarms]


@pytest.mark.parametrize(
    ("header", "meter", "used"),
    [
        ((40.0, 45.0), (45.0, 40.0), (45.0, 40.0)),  # exchanged at the header
        ((45.0, 40.0), (40.0, 45.0), (45.0, 40.0)),  # exchanged at the meter
        ((49.0, 40.0), (45.0, 40.0), (45.0, 40.0)),  # the header drifts up, or is frozen at a warm hour
        ((42.0, 40.0), (46.0, 40.0), (42.0, 40.0)),  # it drifts down: heat goes before cost
    ],
)
def test_the_plausible_pair_is_used_once_the_doubt_lasts(
    kit: SimpleNamespace, header: tuple[float, float], meter: tuple[float, float], used: tuple[float, float]
) -> None:
    view = seen(kit, header=header, meter=meter)
    after, codes = judged(kit, view, for_s=599.0)
    assert (after.loops["heating"].supply_degc, codes) == (header[0], [])
    after, codes = judged(kit, view, for_s=600.0)
    assert codes == ["sensors_disagree"]
    assert (after.loops["heating"].supply_degc, after.loops["heating"].return_degc) == used


def test_what_fits_or_cannot_be_compared_is_left(kit: SimpleNamespace) -> None:
    fits = seen(kit, header=(45.0, 40.0), meter=(46.5, 41.0))
    assert judged(kit, fits, for_s=3600.0)[1] == []
    alone = kit.view()
    assert judged(kit, alone, for_s=3600.0)[0].loops == alone.loops


def test_a_doubt_that_ends_begins_anew(kit: SimpleNamespace) -> None:
    bad = seen(kit, header=(49.0, 40.0), meter=(45.0, 40.0))
    _, known, _ = trusted(bad, {}, site=kit.site())
    assert set(known) == {"loop heating"}
    _, known, _ = trusted(seen(kit, header=(45.0, 40.0), meter=(45.0, 40.0)), known, site=kit.site())
    assert known == {}


def test_a_tank_whose_layers_stand_on_their_head_is_taken_in_order_of_heat(kit: SimpleNamespace) -> None:
    view = seen(kit, header=(45.0, 40.0), meter=(45.0, 40.0), layers=(42.0, 54.0, 48.0, 54.0))
    after, codes = judged(kit, view, for_s=600.0)
    assert codes == ["tank_sensors_disorder"]
    assert after.storages["tank"].layers_degc == (54.0, 54.0, 48.0, 42.0)
    slight = seen(kit, header=(45.0, 40.0), meter=(45.0, 40.0), layers=(50.0, 52.0, 48.0, 42.0))
    assert judged(kit, slight, for_s=3600.0)[1] == []
