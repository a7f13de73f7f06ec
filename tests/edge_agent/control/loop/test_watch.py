"""What the operator is told of a loop's supply."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from edge_agent.control.demand_guard import Ceilings
from edge_agent.control.dispatch import dispatch
from edge_agent.control.intent import BandOutlook


@pytest.mark.parametrize(
    ("supply_degc", "hot_degc", "codes"),
    [
        (53.0, None, ["supply_too_hot"]),
        (53.0, 52.5, ["supply_too_hot"]),
        (53.0, 47.0, []),  # one sensor alone: the other one, or the units, do not show it
        (39.0, 39.0, ["supply_too_cold"]),
        (45.0, 45.0, []),
    ],
)
def test_a_supply_is_too_hot_when_protection_takes_it_for_that(
    kit: SimpleNamespace, supply_degc: float, hot_degc: float | None, codes: list[str]
) -> None:
    view = kit.view(supply_degc=supply_degc)
    view = replace(view, loops={"heating": replace(view.loops["heating"], hot_degc=hot_degc)})
    decided = dispatch(
        "heating",
        kit.memory(),
        site=kit.site(),
        view=view,
        plan=None,
        bands=BandOutlook(),
        capacities={},
        powers={},
        orders=(),
        ceilings=Ceilings(),
    )
    assert [alarm.code for alarm in decided.alarms if alarm.code.startswith("supply_too")] == codes
