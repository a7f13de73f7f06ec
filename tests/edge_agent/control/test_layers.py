"""Layers only narrow: no order makes a unit run, charge or give more than was wanted, whatever it says."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.control.command import Because
from edge_agent.control.layers import ORDER, Bound, bounded, narrow
from edge_agent.control.orders import Order, OrderKind, hold_order, stop_order
from edge_agent.control.want import Want

NOW = datetime(2026, 1, 12, 8, tzinfo=UTC)
ratios = st.floats(0.1, 1.0)
wants = st.one_of(
    st.builds(Want, st.sampled_from([False]), because=st.sampled_from(ORDER)),
    st.builds(
        Want,
        st.sampled_from([True]),
        mode=st.sampled_from(["direct", "charge"]),
        limit_ratio=st.fixed_dictionaries({"direct": ratios, "charge": ratios}),
        because=st.sampled_from(ORDER[2:]),
    ),
)
orders = st.lists(
    st.builds(
        Order,
        st.sampled_from([OrderKind.CHARGE, OrderKind.HOLD, OrderKind.STOP]),
        st.sampled_from([None, "hp1", "hp2", "tank"]),
        st.just(NOW + timedelta(hours=1)),
        st.just("a"),
        st.just("b"),
        st.just(NOW),
        st.integers(1, 9),
    ),
    max_size=4,
)
bounds = st.builds(Bound, st.sampled_from(ORDER), may_run=st.booleans(), may_charge=st.booleans(), ratio_max=ratios)


@given(st.fixed_dictionaries({"hp1": wants, "hp2": wants}), orders)
def test_orders_take_away_and_never_add(kit: SimpleNamespace, wanted: dict[str, Want], given: list[Order]) -> None:
    left = narrow(wanted, orders=given, site=kit.site())
    for name, want in wanted.items():
        stopped = stop_order(given, unit=name) is not None
        held = hold_order(given, storage="tank") is not None
        assert left[name].on <= want.on
        assert not (stopped and left[name].on)
        assert not (held and left[name].on and left[name].mode == "charge")
        if not stopped and not held:
            assert left[name] == want
        changed = left[name] != want
        assert left[name].because is (Because.OPERATOR if changed else want.because)


@given(wants, st.lists(bounds, max_size=5))
def test_bounds_hold_whatever_their_order_and_the_highest_that_acted_is_named(want: Want, given: list[Bound]) -> None:
    left = bounded(want, *given)
    assert left == bounded(want, *reversed(given)) or len({bound.layer for bound in given}) < len(given)
    assert left.on <= want.on
    if left.on:
        assert all(bound.may_run for bound in given)
        assert left.mode == want.mode
        assert left.mode == "direct" or all(bound.may_charge for bound in given)
        assert all(left.limit_ratio[mode] <= bound.ratio_max for mode in left.limit_ratio for bound in given)
    if left != want:
        acting = [bound.layer for bound in given]
        assert left.because in acting
    assert all(left.limit_ratio[mode] <= ratio for mode, ratio in want.limit_ratio.items())
