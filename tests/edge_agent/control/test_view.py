"""The plant as control sees it: fresh and good values only."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from drivers.sample import Cause, Quality, Sample, bad, good
from edge_agent.control.view import UnitState, build_view, fill_layers
from edge_agent.image import ProcessImage


def image_of(kit: SimpleNamespace, *, age_s: float = 0.0, **points: float) -> ProcessImage:
    image = ProcessImage()
    instant_utc = kit.now_utc - timedelta(seconds=age_s)
    image.put([good(point.replace("__", "."), instant_utc, value, "") for point, value in points.items()])
    return image


def test_a_unit_by_its_roles(kit: SimpleNamespace) -> None:
    image = image_of(
        kit, hp1__state=2.0, hp1__remote=1.0, hp1__mode_actual=2.0, hp1__run_request=1.0, hp1__load_ratio=0.7
    )
    unit = build_view(kit.site(), image, now_utc=kit.now_utc).units["hp1"]
    assert unit.known
    assert (unit.state, unit.mode_actual, unit.run_request, unit.load_ratio) == (UnitState.RUNNING, "charge", True, 0.7)
    assert unit.user_flow is None
    assert not build_view(kit.site(), image, now_utc=kit.now_utc).units["hp2"].known


def test_old_uncertain_and_bad_values_are_none(kit: SimpleNamespace) -> None:
    image = image_of(kit, age_s=181.0, hp1__state=2.0, hp1__remote=1.0)
    assert build_view(kit.site(), image, now_utc=kit.now_utc).units["hp1"].state is None
    image = ProcessImage()
    image.put([bad("hp1.state", kit.now_utc, "", Cause.NO_ANSWER)])
    image.put([Sample("hp1.load_ratio", kit.now_utc, 0.5, "", Quality.UNCERTAIN, Cause.OUT_OF_RANGE)])
    unit = build_view(kit.site(), image, now_utc=kit.now_utc).units["hp1"]
    assert (unit.state, unit.load_ratio) == (None, None)


def test_a_state_that_no_unit_has_is_not_known(kit: SimpleNamespace) -> None:
    image = image_of(kit, hp1__state=9.0, hp1__remote=1.0)
    unit = build_view(kit.site(), image, now_utc=kit.now_utc).units["hp1"]
    assert (unit.state, unit.state_utc, unit.known) == (None, None, False)


def test_the_meter_stands_in_for_a_lost_header_sensor(kit: SimpleNamespace) -> None:
    image = image_of(kit, hm_user__supply_temperature=44.2)
    assert build_view(kit.site(), image, now_utc=kit.now_utc).loops["heating"].supply_degc == 44.2


def test_usable_energy_counts_each_layer_between_the_limits(kit: SimpleNamespace) -> None:
    image = image_of(kit, tt__t0=60.0, tt__t1=55.0, tt__t2=43.0, tt__t3=30.0)
    tank = build_view(kit.site(), image, now_utc=kit.now_utc).storages["tank"]
    # 800 m3 in 4 layers; 13 + 13 + 1 + 0 K above 42 degC, 1.149 kWh/(m3 K).
    assert tank.energy_kwh == pytest.approx(200 * 1.149 * 27)
    assert tank.capacity_kwh == pytest.approx(800 * 1.149 * 13)
    assert (tank.top_degc, tank.bottom_degc) == (60.0, 30.0)


def test_missing_layers() -> None:
    assert fill_layers([50.0, None, 44.0]) == (50.0, 47.0, 44.0)
    assert fill_layers([None, 48.0, 46.0]) == (48.0, 48.0, 46.0)
    assert fill_layers([50.0, None, None, 40.0]) == ()
    assert fill_layers([None]) == ()
