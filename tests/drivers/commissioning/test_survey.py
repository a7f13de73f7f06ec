"""What polling costs: the limit of the wire, and what the figures advise."""

import pytest

from drivers.bus.base import Span
from drivers.commissioning.survey import Asked, LineShape, figures

LINE = LineShape(9600, 10 / 9600)
FORTY = Span(3, 0, 40)


def test_the_limit_is_that_of_the_standard() -> None:
    """8 characters of request, 85 of answer, 3.5 of silence, and the unit's own 10 ms."""
    assert LINE.frame_s(FORTY) == pytest.approx(0.1005, abs=0.0001)
    asked = [Asked(1, FORTY, LINE.frame_s(FORTY) + turnaround_s, "") for turnaround_s in (0.010, 0.012, 0.011)]
    found = figures(asked, cycles_s=[one.took_s for one in asked], points=20, cpu_s=0.003, load_ratio=0.1, line=LINE)
    assert found.wire_limit_s == pytest.approx(0.1105, abs=0.0002)
    assert found.efficiency_ratio == pytest.approx(0.1105 / 0.1115, abs=0.002)
    assert found.cpu_ms == pytest.approx(1.0)
    assert found.units[0].turnaround_s == pytest.approx(0.010)
    assert found.advice == ()


@pytest.mark.parametrize(
    ("took_s", "fault", "load_ratio", "advice"),
    [
        (0.111, "no_answer", 0.1, {"bus_errors"}),
        (0.111, "", 0.85, {"bus_busy", "bus_raise_baud"}),
        (0.111, "", 1.2, {"bus_over_period", "bus_raise_baud"}),
        (0.300, "", 0.1, {"bus_slow_unit"}),
    ],
)
def test_advice(took_s: float, fault: str, load_ratio: float, advice: set[str]) -> None:
    asked = [Asked(1, FORTY, took_s, fault)]
    found = figures(asked, cycles_s=[took_s], points=1, cpu_s=0.0, load_ratio=load_ratio, line=LINE)
    assert set(found.advice) == advice


def test_a_cycle_much_longer_than_its_requests_is_the_adapter_or_the_computer() -> None:
    asked = [Asked(1, FORTY, LINE.frame_s(FORTY) + 0.01, ""), Asked(1, FORTY, LINE.frame_s(FORTY) + 0.06, "")]
    found = figures(asked, cycles_s=[0.28], points=1, cpu_s=0.0, load_ratio=0.1, line=LINE)
    assert found.advice == ("bus_latency",)
