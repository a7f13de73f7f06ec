from collections.abc import Callable

from scheduling.request import GridCap, PlanRequest
from scheduling.rule import plan_by_rule

Case = Callable[[str], PlanRequest]


def capped(request: PlanRequest, cap_kw: float, *, first: int, last: int) -> PlanRequest:
    cap = GridCap(name="grid", from_step=first, to_step=last, cap_kw=cap_kw, penalty_cny_per_kwh=20.0)
    return request.model_copy(update={"grid_caps": (cap,)})


def test_a_wide_connection_does_not_empty_the_store_at_night(case: Case) -> None:
    free = case("04")
    alone, wide = plan_by_rule(free), plan_by_rule(capped(free, 900.0, first=0, last=free.grid.steps))
    assert wide.storages == alone.storages
    assert sum(wide.storages["tank"].charge_kw) > 0


def test_when_power_is_called_back_the_store_helps_in_any_band(case: Case) -> None:
    free = case("04")
    first, last = 32, 36  # flat hours of the morning
    called = plan_by_rule(capped(free, 150.0, first=first, last=last))
    alone = plan_by_rule(free)
    assert sum(called.grid_kw[first:last]) < sum(alone.grid_kw[first:last])
    assert sum(called.storages["tank"].discharge_kw[first:last]) > sum(alone.storages["tank"].discharge_kw[first:last])
