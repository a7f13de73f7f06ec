"""The read plan covers every point, breaks no limit, and is never dearer than any other partition of the points."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from drivers.profile import Limits
from drivers.read_plan import LineCost, Read, Span, Want, read_plan

SLOW = LineCost.serial(baud=9600, bits_per_character=10, turnaround_s=0.020)
FAST = LineCost.serial(baud=115200, bits_per_character=10, turnaround_s=0.005)
TCP = LineCost.tcp(turnaround_s=0.005)
FACTS = Path(__file__).parents[2].parent / "shared" / "data" / "profiles"


def price_s(reads: list[Read], cost: LineCost) -> float:
    return sum(cost.request_s + cost.register_s * read.span.count for read in reads)


def wants_at(*places: tuple[int, int], function: int = 3) -> list[Want]:
    return [Want((f"p{number}",), Span(function, low, size)) for number, (low, size) in enumerate(places)]


def test_costs_of_the_line() -> None:
    assert SLOW.request_s == pytest.approx(0.0372, abs=5e-5)
    assert SLOW.register_s == pytest.approx(0.00208, abs=5e-6)
    assert FAST.request_s == pytest.approx(0.00788, abs=5e-6)
    assert FAST.register_s == pytest.approx(0.000174, abs=5e-7)


@pytest.mark.parametrize(("cost", "gap"), [(SLOW, 17), (FAST, 45)])
def test_gaps_are_bridged_as_long_as_it_pays(cost: LineCost, gap: int) -> None:
    assert len(read_plan(wants_at((0, 1), (1 + gap, 1)), cost=cost, limits=Limits())) == 1
    assert len(read_plan(wants_at((0, 1), (2 + gap, 1)), cost=cost, limits=Limits())) == 2


def test_limits_forbidden_ranges_and_holes_split_reads() -> None:
    wants = wants_at((0, 2), (4, 2), (8, 2))
    assert [read.span for read in read_plan(wants, cost=TCP, limits=Limits())] == [Span(3, 0, 10)]
    assert sorted(read.span.count for read in read_plan(wants, cost=TCP, limits=Limits(registers_max=6))) == [2, 6]
    apart = [Span(3, 0, 2), Span(3, 4, 6)]
    assert [read.span for read in read_plan(wants, cost=TCP, limits=Limits(forbidden=((3, 2, 3),)))] == apart
    assert [read.span for read in read_plan(wants, cost=TCP, limits=Limits(), holes=[Span(3, 3, 1)])] == apart
    assert len(read_plan(wants, cost=TCP, limits=Limits(forbidden=((4, 2, 3),)))) == 1, "another function code"
    assert len(read_plan(wants, cost=TCP, limits=Limits(block_read=False))) == 3


def test_function_codes_are_never_mixed() -> None:
    reads = read_plan(wants_at((0, 1)) + wants_at((1, 1), function=4), cost=TCP, limits=Limits())
    assert [read.span for read in reads] == [Span(3, 0, 1), Span(4, 1, 1)]


def partitions(items: list[Want]) -> Any:  # noqa: ANN401 - recursive generator of lists of lists
    if not items:
        yield []
        return
    for smaller in partitions(items[1:]):
        yield [[items[0]], *smaller]
        for position, group in enumerate(smaller):
            yield [*smaller[:position], [items[0], *group], *smaller[position + 1 :]]


def legal_price_s(groups: list[list[Want]], cost: LineCost, *, limits: Limits) -> float:
    """Price of any partition; infinite where a read of several points breaks a limit."""
    total_s = 0.0
    for group in groups:
        low = min(want.span.address for want in group)
        end = max(want.span.end for want in group)
        barred = any(first < end and low <= last for _, first, last in limits.forbidden)
        if len(group) > 1 and (barred or end - low > limits.registers_max):
            return float("inf")
        total_s += cost.request_s + cost.register_s * (end - low)
    return total_s


@settings(max_examples=150, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 8)), min_size=1, max_size=6),
    cost=st.sampled_from([SLOW, FAST, TCP]),
    most=st.integers(8, 40),
    wall=st.one_of(st.none(), st.integers(0, 60)),
)
def test_covers_all_breaks_no_limit_and_no_partition_is_cheaper(
    places: list[tuple[int, int]], cost: LineCost, most: int, wall: int | None
) -> None:
    wants = wants_at(*places)
    if wall is not None:  # the profile refuses points inside a forbidden range
        wants = [want for want in wants if not want.span.address <= wall < want.span.end]
    limits = Limits(registers_max=most, forbidden=() if wall is None else ((3, wall, wall),))
    reads = read_plan(wants, cost=cost, limits=limits)

    assert sorted(name for read in reads for name in read.names) == sorted(want.names[0] for want in wants)
    for read in reads:
        assert read.span.count <= most
        assert wall is None or not read.span.address <= wall < read.span.end
        for want in wants:
            if want.names[0] in read.names:
                assert read.span.address <= want.span.address
                assert want.span.end <= read.span.end
    best_s = min((legal_price_s(groups, cost, limits=limits) for groups in partitions(wants)), default=0.0)
    assert price_s(reads, cost) == pytest.approx(best_s)


def test_a_map_of_1500_points_is_planned_at_once() -> None:
    wants = wants_at(*((7 * number, 1 + number % 2) for number in range(1500)))
    reads = read_plan(wants, cost=FAST, limits=Limits())
    assert all(before.span.end <= after.span.address for before, after in pairwise(reads))
    assert sum(len(read.names) for read in reads) == 1500


# Optimal costs [ms] and reads of the maps whose facts were collected, computed by an independent programme.
# Source: reference notes of the project on Modbus, section 6.
OPTIMAL = {
    "acrel_adl3000_dtsd1352": ((209.5, 3), (31.8, 3), (10, 2)),
    "acrel_adw300": ((120.2, 2), (15.9, 1), (5, 1)),
    "carrier_23xrv_pic6": ((523.0, 13), (105.7, 13), (65, 13)),
    "carrier_30xv": ((76.8, 1), (11.2, 1), (5, 1)),
    "chint_dtsu666": ((286.2, 4), (38.2, 3), (15, 3)),
    "diehl_sharky_775": ((276.1, 3), (32.6, 2), (10, 2)),
    "eastron_sdm630": ((394.9, 3), (47.2, 3), (15, 3)),
    "idm_navigator": ((263.0, 5), (45.8, 5), (20, 4)),
    "lambda_eureka": ((324.9, 7), (60.5, 7), (20, 4)),
    "mag11_heat": ((144.9, 3), (26.4, 3), (15, 3)),
    "nibe_s_series": ((664.1, 15), (118.3, 12), (55, 11)),
    "siemens_landisgyr_uh50_wzu485e": ((122.6, 1), (15.0, 1), (5, 1)),
    "trane_rthd_ch530_pic": ((159.5, 3), (27.6, 3), (15, 3)),
    "tuf2000m": ((157.7, 2), (22.7, 2), (10, 2)),
    "york_yvag": ((89.0, 2), (17.0, 2), (5, 1)),
}
SIZE = {"u16": 1, "i16": 1, "bool": 1, "u32": 2, "i32": 2, "f32": 2, "i64": 4}


@pytest.mark.parametrize("model", sorted(OPTIMAL))
def test_optimal_costs_of_known_maps(model: str) -> None:
    path = FACTS / f"{model}.yaml"
    if not path.exists():
        pytest.skip("../shared/data/profiles is not here")
    facts = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    limits_facts = facts.get("limits") or {}
    limits = Limits(
        registers_max=limits_facts.get("max_read_registers", 125), block_read=limits_facts.get("block_read", True)
    )
    groups: dict[object, list[dict[str, Any]]] = {}
    for point in facts["points"]:
        if "R" in point["access"]:
            groups.setdefault(point.get("atomic") or point["name"], []).append(point)
    wants = []
    for name, points in groups.items():
        sizes = [point["registers"] if point["type"] == "str" else SIZE[point["type"]] for point in points]
        low = min(point["addr"] for point in points)
        end = max(point["addr"] + size for point, size in zip(points, sizes, strict=True))
        wants.append(Want((str(name),), Span(points[0]["fc"], low, end - low)))
    for cost, (best_ms, count) in zip((SLOW, FAST, TCP), OPTIMAL[model], strict=True):
        reads = read_plan(wants, cost=cost, limits=limits)
        assert 1000 * price_s(reads, cost) == pytest.approx(best_ms, abs=0.06)
        assert len(reads) == count
