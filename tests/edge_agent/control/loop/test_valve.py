"""The discharge valve closes as the units can follow when it is not wanted, and holds the supply when it is."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from edge_agent.control.intent import BandOutlook
from edge_agent.control.loop.case import Case
from edge_agent.control.loop.valve import regulate
from edge_agent.control.memory import LoopMemory
from edge_agent.control.regulate import VALVE_CLOSE_PER_S, valve_ratio

STEP_S = 30.0
BEFORE_RATIO = 0.5
LIFT_K = 14.0
RETURN_DEGC = 40.0


def case_of(kit: SimpleNamespace, *, discharging: bool, error_k: float, before_ratio: float = BEFORE_RATIO) -> Case:
    """A loop whose supply misses what the valve holds (set-point, or the band's lower edge) by an error that lasts."""
    loop = LoopMemory(
        discharge_ratio=before_ratio,
        discharging=discharging,
        error_k=error_k,
        regulated_utc=kit.now_utc - timedelta(seconds=STEP_S),
        outdoor_degc=5.0,
    )

    def case(supply_degc: float) -> Case:
        made = Case(
            "heating",
            kit.memory(hp1=kit.running()).with_loop("heating", loop),
            site=kit.site(),
            view=kit.view(
                hp1=kit.unit_running,
                charge_ratio=1.0,
                discharge_ratio=before_ratio,
                supply_degc=supply_degc,
                return_degc=RETURN_DEGC,
                layers_degc=(RETURN_DEGC + LIFT_K,) * 4,
            ),
            plan=None,
            bands=BandOutlook(),
            capacities={},
            powers={},
        )
        made.note_tank()
        made.weigh()
        return made

    probe = case(44.0)
    return case((probe.setpoint_degc if discharging else probe.floor_degc()) - error_k)


def ratio_after(
    kit: SimpleNamespace, *, discharging: bool, error_k: float, before_ratio: float = BEFORE_RATIO
) -> float:
    case = case_of(kit, discharging=discharging, error_k=error_k, before_ratio=before_ratio)
    ratio = regulate(case, discharging=discharging)
    assert ratio is not None
    assert case.state.error_k == pytest.approx(error_k)
    return ratio


def regulated(error_k: float) -> float:
    return valve_ratio(BEFORE_RATIO, error_k=error_k, error_before_k=error_k, step_s=STEP_S, lift_k=LIFT_K)


def test_one_that_is_not_wanted_closes_at_its_speed_once_the_supply_is_warm_enough(kit: SimpleNamespace) -> None:
    assert regulated(-0.1) > BEFORE_RATIO - 0.01, "the regulator alone would need an hour"
    closing = ratio_after(kit, discharging=False, error_k=-0.1)
    assert closing == pytest.approx(BEFORE_RATIO - VALVE_CLOSE_PER_S * STEP_S, abs=1e-3)


def test_it_closes_faster_when_the_supply_is_much_too_warm(kit: SimpleNamespace) -> None:
    far = ratio_after(kit, discharging=False, error_k=-6.0)
    assert far == pytest.approx(regulated(-6.0), abs=1e-3)
    assert far < BEFORE_RATIO - VALVE_CLOSE_PER_S * STEP_S


def test_it_still_helps_when_the_supply_leaves_its_band(kit: SimpleNamespace) -> None:
    helping = ratio_after(kit, discharging=False, error_k=0.5)
    assert helping == pytest.approx(regulated(0.5), abs=1e-3)
    assert helping > BEFORE_RATIO


@pytest.mark.parametrize("error_k", [-0.1, 0.5])
def test_one_that_is_wanted_holds_the_set_point_both_ways_without_haste(kit: SimpleNamespace, error_k: float) -> None:
    assert ratio_after(kit, discharging=True, error_k=error_k) == pytest.approx(regulated(error_k), abs=1e-3)


def test_it_ends_closed(kit: SimpleNamespace) -> None:
    assert ratio_after(kit, discharging=False, error_k=-0.1, before_ratio=0.02) == 0.0
