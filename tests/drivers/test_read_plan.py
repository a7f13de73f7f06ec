"""The read plan covers every point, breaks no limit, and is never dearer than any other partition of the points."""

import functools
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
    return sum(cost.price_s(read.span) for read in reads)


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


def legal_price_s(groups: list[list[Want]], cost: LineCost, *, limits: Limits, holes: list[Span]) -> float:
    """Price of any partition; infinite where a read of several points breaks a limit."""
    total_s = 0.0
    for group in groups:
        function = group[0].span.function
        low = min(want.span.address for want in group)
        end = max(want.span.end for want in group)
        mixed = any(want.span.function != function for want in group)
        barred = any(kind == function and first < end and low <= last for kind, first, last in limits.forbidden)
        barred = barred or any(
            hole.function == function
            and (low < hole.end and hole.address < end if hole.count else low < hole.end < end)
            for hole in holes
        )
        if len(group) > 1 and (mixed or barred or end - low > limits.registers_max or not limits.block_read):
            return float("inf")
        total_s += cost.price_s(Span(function, low, end - low))
    return total_s


@settings(max_examples=200, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(3, 4), st.integers(0, 60), st.integers(1, 8)), min_size=1, max_size=6),
    cost=st.sampled_from([SLOW, FAST, TCP, SLOW.paced(0.3)]),
    most=st.integers(8, 40),
    block_read=st.integers(0, 5).map(bool),
    wall=st.one_of(st.none(), st.integers(0, 60)),
    holes=st.lists(st.builds(Span, st.just(3), st.integers(0, 60), st.integers(0, 4)), max_size=3),
)
def test_covers_all_breaks_no_limit_and_no_partition_is_cheaper(
    places: list[tuple[int, int, int]],
    cost: LineCost,
    most: int,
    block_read: bool,  # noqa: FBT001 - drawn
    wall: int | None,
    holes: list[Span],
) -> None:
    wants = [Want((f"p{number}",), Span(*where)) for number, where in enumerate(places)]
    if wall is not None:  # the profile refuses points inside a forbidden range
        wants = [want for want in wants if want.span.function == 4 or not want.span.address <= wall < want.span.end]
    forbidden = () if wall is None else ((3, wall, wall),)
    limits = Limits(registers_max=most, block_read=block_read, forbidden=forbidden)
    reads = read_plan(wants, cost=cost, limits=limits, holes=holes)

    # Every point once, whole, and from one request.
    assert sorted(name for read in reads for name in read.names) == sorted(want.names[0] for want in wants)
    for read in reads:
        inside = [want for want in wants if want.names[0] in read.names]
        for want in inside:
            assert want.span.function == read.span.function
            assert read.span.address <= want.span.address
            assert want.span.end <= read.span.end
        # Nothing beyond the outermost points, and no limit broken.
        assert read.span.address == min(want.span.address for want in inside)
        assert read.span.end == max(want.span.end for want in inside)
        assert legal_price_s([inside], cost, limits=limits, holes=holes) < float("inf")
    prices_s = [legal_price_s(groups, cost, limits=limits, holes=holes) for groups in partitions(wants)]
    assert price_s(reads, cost) == pytest.approx(min(prices_s, default=0.0))
    assert price_s(reads, cost) <= sum(cost.price_s(want.span) for want in wants) + 1e-9, "dearer than one by one"


def test_a_map_of_1500_points_is_planned_at_once() -> None:
    wants = wants_at(*((7 * number, 1 + number % 2) for number in range(1500)))
    reads = read_plan(wants, cost=FAST, limits=Limits())
    assert all(before.span.end <= after.span.address for before, after in pairwise(reads))
    assert sum(len(read.names) for read in reads) == 1500


def test_bits_come_packed_so_many_of_them_cost_little() -> None:
    wants = wants_at((0, 1), (200, 1), function=1)
    assert SLOW.price_s(Span(1, 0, 1)) == pytest.approx(SLOW.request_s + SLOW.register_s)
    assert [read.span for read in read_plan(wants, cost=SLOW, limits=Limits())] == [Span(1, 0, 201)]


def test_a_unit_that_thinks_longer_is_worth_longer_reads() -> None:
    lame = SLOW.paced(0.2)
    assert lame.request_s == pytest.approx(SLOW.request_s + 0.18)
    wants = wants_at((0, 1), (60, 1))
    assert len(read_plan(wants, cost=SLOW, limits=Limits())) == 2
    assert len(read_plan(wants, cost=lame, limits=Limits())) == 1


def test_a_seam_is_not_crossed_though_it_has_no_register() -> None:
    wants = wants_at((0, 2), (2, 2), (4, 2))
    reads = read_plan(wants, cost=TCP, limits=Limits(), holes=[Span(3, 2, 0)])
    assert [read.span for read in reads] == [Span(3, 0, 2), Span(3, 2, 4)]


# Optimal costs [ms] and reads of the maps whose facts were collected, computed by an independent programme.
# Source: reference notes of the project on Modbus, section 6.
OPTIMAL = {
    "acrel_adl3000_dtsd1352": ((209.5, 3), (31.8, 3), (10, 2)),
    "acrel_adw300": ((120.2, 2), (15.9, 1), (5, 1)),
    "carrier_23xrv_pic6": ((523.0, 13), (105.7, 13), (65, 13)),
    "carrier_30xv": ((76.8, 1), (11.2, 1), (5, 1)),
    "chint_dtsu666": ((286.2, 4), (38.2, 3), (15, 3)),
    "danfoss_fc102": ((353.4, 9), (72.5, 9), (45, 9)),
    "diehl_sharky_775": ((276.1, 3), (32.6, 2), (10, 2)),
    "eastron_sdm630": ((394.9, 3), (47.2, 3), (15, 3)),
    "idm_navigator": ((263.0, 5), (45.8, 5), (20, 4)),
    "kamstrup_multical_legacy": ((244.9, 3), (34.5, 2), (10, 2)),
    "kamstrup_multical_x03_default": ((66.4, 1), (10.3, 1), (5, 1)),
    "lambda_eureka": ((324.9, 7), (60.5, 7), (20, 4)),
    "mag11_heat": ((144.9, 3), (26.4, 3), (15, 3)),
    "nibe_s_series": ((664.1, 15), (118.3, 12), (55, 11)),
    "siemens_landisgyr_uh50_wzu485e": ((122.6, 1), (15.0, 1), (5, 1)),
    "trane_rthd_ch530_pic": ((159.5, 3), (27.6, 3), (15, 3)),
    "tuf2000m": ((157.7, 2), (22.7, 2), (10, 2)),
    "york_yvag": ((89.0, 2), (17.0, 2), (5, 1)),
}
NAIVE_MS = (12_686, 2_553, 1_565)
SUM_MS = (4_477, 733, 330)
POINT_COUNT_MIN = 7
COUNTED_AS_REGISTERS = 100
SIZE = {"u16": 1, "i16": 1, "bool": 1, "u32": 2, "i32": 2, "f32": 2, "i64": 4}


@functools.cache
def facts_of(model: str) -> tuple[list[dict[str, Any]], Limits]:
    """Readable points and limits of a fact file; a text of unknown length counts as one register."""
    path = FACTS / f"{model}.yaml"
    if not path.exists():
        pytest.skip("../shared/data/profiles is not here")
    facts = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    known = facts.get("limits") or {}
    limits = Limits(registers_max=known.get("max_read_registers", 125), block_read=known.get("block_read", True))
    return [point for point in facts["points"] if "R" in point["access"]], limits


def place(point: dict[str, Any]) -> Span:
    """Where a point lies. The table charges a bit as a register: bits get a function code that the planner takes so."""
    size = point["registers"] or 1 if point["type"] == "str" else SIZE[point["type"]]
    return Span(point["fc"] + (COUNTED_AS_REGISTERS if point["fc"] <= 2 else 0), point["addr"], size)


def wants_of(points: list[dict[str, Any]]) -> list[Want]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for point in points:
        groups.setdefault(point.get("atomic") or point["name"], []).append(point)
    wants = []
    for name, members in groups.items():
        spans = [place(point) for point in members]
        low = min(span.address for span in spans)
        wants.append(Want((name,), Span(spans[0].function, low, max(span.end for span in spans) - low)))
    return wants


@pytest.mark.parametrize("model", sorted(OPTIMAL))
def test_optimal_costs_of_known_maps(model: str) -> None:
    points, limits = facts_of(model)
    for cost, (best_ms, count) in zip((SLOW, FAST, TCP), OPTIMAL[model], strict=True):
        reads = read_plan(wants_of(points), cost=cost, limits=limits)
        assert 1000 * price_s(reads, cost) == pytest.approx(best_ms, abs=0.06)
        assert len(reads) == count


def test_the_sums_over_all_known_maps() -> None:
    if not FACTS.is_dir():
        pytest.skip("../shared/data/profiles is not here")
    models = [path.stem for path in FACTS.glob("*.yaml") if len(facts_of(path.stem)[0]) >= POINT_COUNT_MIN]
    assert sorted(models) == sorted(OPTIMAL)
    for cost, naive_ms, sum_ms in zip((SLOW, FAST, TCP), NAIVE_MS, SUM_MS, strict=True):
        maps = [facts_of(model) for model in models]
        one_by_one_s = sum(cost.price_s(place(point)) for points, _ in maps for point in points)
        planned_s = sum(price_s(read_plan(wants_of(points), cost=cost, limits=limits), cost) for points, limits in maps)
        assert 1000 * one_by_one_s == pytest.approx(naive_ms, abs=0.6)
        assert 1000 * planned_s == pytest.approx(sum_ms, abs=0.6)
