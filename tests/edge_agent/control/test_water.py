"""Header, heat meter and units see the same water: one broken sensor neither stops units nor bars their start."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.control.memory import ControlMemory, WaterMemory, read_memory, write_memory
from edge_agent.control.permissives import start_obstacles
from edge_agent.control.protection import danger_of
from edge_agent.control.view import LoopView, PlantView, UnitView
from edge_agent.control.water import Waters, believe
from edge_agent.texts.catalogue import text

Two = tuple[float | None, float | None]
HEADER, METER = "io1.supply_temperature", "hm_user.supply_temperature"


def plant(
    kit: SimpleNamespace,
    supplies: Two,
    returns: Two = (37.0, 37.0),
    *,
    after_s: float = 0.0,
    load_kw: float | None = 500.0,
    **view: object,
) -> PlantView:
    """The plant with what header and meter show."""
    seen: PlantView = kit.view(now_utc=kit.now_utc + timedelta(seconds=after_s), **view)
    supply, back = (next((degc for degc in pair if degc is not None), None) for pair in (supplies, returns))
    loop = LoopView(supply, back, load_kw, 30.0, supplies_degc=supplies, returns_degc=returns)
    return replace(seen, loops={"heating": loop})


def weigh(kit: SimpleNamespace, supplies: Two, returns: Two = (37.0, 37.0), **view: object) -> Waters:
    """What is found when this has been seen for long."""
    waters: Mapping[str, WaterMemory] = {}
    found = None
    for after_s in (0.0, 300.0, 600.0):
        found = believe(waters, view=plant(kit, supplies, returns, after_s=after_s, **view), site=kit.site())
        waters = found.memory
    assert found is not None
    return found


def unit(kit: SimpleNamespace, supply_degc: float = 42.0, return_degc: float = 37.0) -> UnitView:
    return replace(kit.unit_running, user_supply_degc=supply_degc, user_return_degc=return_degc)


def test_one_hot_header_stops_nothing_and_bars_no_start_not_even_for_a_moment(kit: SimpleNamespace) -> None:
    site, memory = kit.site(), kit.running()
    for found in (
        believe({}, view=plant(kit, (56.0, 42.0), hp1=unit(kit)), site=site),
        weigh(kit, (56.0, 42.0), hp1=unit(kit)),
        weigh(kit, (56.0, 42.0)),  # no unit to ask: both must say so
        weigh(kit, (56.0, None), hp1=unit(kit)),  # the meter is silent
    ):
        assert danger_of("hp1", memory, view=found.view, site=site).stop == ""
        assert not danger_of("hp1", memory, view=found.view, site=site).unload
        assert start_obstacles("hp2", kit.rested(), mode="direct", view=found.view, site=site) == ()


@pytest.mark.parametrize(
    ("supplies", "units_degc"),
    [((56.0, 56.3), 42.0), ((56.0, 42.0), 56.2), ((42.0, 56.0), 56.2), ((56.0, None), None), ((None, 56.0), None)],
)
def test_what_two_show_or_the_only_one_still_protects(
    kit: SimpleNamespace, supplies: Two, units_degc: float | None
) -> None:
    hp1 = kit.unit_running if units_degc is None else unit(kit, units_degc)
    site = kit.site()
    for found in (believe({}, view=plant(kit, supplies, hp1=hp1), site=site), weigh(kit, supplies, hp1=hp1)):
        assert danger_of("hp1", kit.running(), view=found.view, site=site).stop == "supply_hot"
        assert "supply_hot" in start_obstacles("hp2", kit.rested(), mode="direct", view=found.view, site=site)


@pytest.mark.parametrize(
    ("supplies", "used_degc", "bad"),
    [((56.0, 42.0), 42.0, HEADER), ((30.0, 42.5), 42.5, HEADER), ((42.0, 56.0), 42.0, METER), ((42.0, 43.9), 42.0, "")],
)
def test_heat_goes_by_the_majority_and_the_alarm_names_the_point(
    kit: SimpleNamespace, supplies: Two, used_degc: float, bad: str
) -> None:
    found = weigh(kit, supplies, hp1=unit(kit))
    assert found.view.loops["heating"].supply_degc == used_degc
    assert [(alarm.code, alarm.device) for alarm in found.alarms] == ([("sensor_differs", bad)] if bad else [])
    for alarm in found.alarms:
        words = text(alarm.code, **alarm.values)
        assert bad in words.zh
        assert bad in words.en


def test_a_difference_must_last_and_its_end_must_be_clear(kit: SimpleNamespace) -> None:
    first = believe({}, view=plant(kit, (50.0, 44.0)), site=kit.site())
    assert first.view.loops["heating"].supply_degc == 50.0
    assert first.alarms == ()
    lasting = weigh(kit, (50.0, 44.0), hp1=unit(kit, 44.0))
    half = believe(lasting.memory, view=plant(kit, (45.5, 44.0), after_s=630.0, hp1=unit(kit, 44.0)), site=kit.site())
    assert half.view.loops["heating"].supply_degc == 44.0, "not yet close enough again"
    again = believe(half.memory, view=plant(kit, (44.9, 44.0), after_s=660.0), site=kit.site())
    assert (again.view.loops["heating"].supply_degc, again.alarms) == (44.9, ())


def test_a_sensor_that_was_found_wrong_is_no_better_while_its_counterpart_is_silent(kit: SimpleNamespace) -> None:
    found = weigh(kit, (46.0, 40.0), load_kw=None, discharge_ratio=0.5)
    assert found.view.loops["heating"].supply_degc == 40.0
    supplies: list[float | None] = []
    codes: list[list[str]] = []
    for minutes, meter_degc in ((12, None), (40, None), (50, 40.5), (60, None), (109, None), (120, None)):
        now = plant(kit, (46.5, meter_degc), after_s=60.0 * minutes, load_kw=None, discharge_ratio=0.5)
        found = believe(found.memory, view=now, site=kit.site())
        supplies.append(found.view.loops["heating"].supply_degc)
        codes.append([alarm.code for alarm in found.alarms])
    # Corrected while the meter is silent; believed at once when it is back; for an hour after that, and no longer.
    assert supplies == [40.5, 40.5, 40.5, 40.5, 40.5, 46.5]
    assert codes == [["sensor_differs"]] * 2 + [["sensors_disagree"]] + [["sensor_differs"]] * 2 + [[]]


def restarted(found: Waters) -> Mapping[str, WaterMemory]:
    """What is left of it after a kill."""
    return read_memory(write_memory(ControlMemory(waters=found.memory))).waters


def test_a_wrong_sensor_stays_wrong_over_a_restart_whoever_is_read_first(kit: SimpleNamespace) -> None:
    found = weigh(kit, (50.0, 42.0), hp1=unit(kit))
    assert found.view.loops["heating"].supply_degc == 42.0
    assert [alarm.since_utc for alarm in found.alarms] == [kit.now_utc], "since it was odd, not since it was told"
    for first in ((50.0, None), (None, 42.0)):
        waters = restarted(found)
        for after_s, supplies in ((720.0, (None, None)), (730.0, first), (740.0, (50.0, 42.0))):
            now = believe(waters, view=plant(kit, supplies, after_s=after_s, hp1=UnitView()), site=kit.site())
            waters = now.memory
            if supplies != (None, None):
                assert now.view.loops["heating"].supply_degc == pytest.approx(42.0)
        assert [(alarm.code, alarm.device) for alarm in now.alarms] == [("sensor_differs", HEADER)]
        assert [alarm.since_utc for alarm in now.alarms] == [kit.now_utc]
    hours_later = plant(kit, (50.0, 42.0), after_s=6 * 3600.0)
    assert believe(restarted(found), view=hours_later, site=kit.site()).alarms == (), "it begins anew"


def test_a_frozen_sensor_stays_frozen_over_a_restart(kit: SimpleNamespace) -> None:
    waters = restarted(freeze(kit))
    unread = plant(kit, (None, 42.3), after_s=1080.0)
    unread = replace(unread, loops={"heating": replace(unread.loops["heating"], flow_kg_per_s=None)})
    waters = believe(waters, view=unread, site=kit.site()).memory
    found = believe(waters, view=plant(kit, (44.0, 42.3), after_s=1090.0), site=kit.site())
    assert [(alarm.code, alarm.device) for alarm in found.alarms] == [("sensor_frozen", HEADER)]
    hours_later = plant(kit, (44.0, 50.0), after_s=6 * 3600.0)
    later = believe(waters, view=hours_later, site=kit.site())
    assert later.alarms == (), "the same reading hours later is no proof that it stood there all the time"


def test_a_sensor_that_reads_low_is_corrected_beside_units_as_well(kit: SimpleNamespace) -> None:
    site = kit.site()
    waters = weigh(kit, (36.0, 42.0), hp1=unit(kit)).memory
    for header_degc, units_degc, used_degc in (
        (36.5, 42.4, 42.4),  # corrected: 42.5
        (42.0, 42.2, 42.2),  # it is right again, and the units say so: nothing is added
        (50.0, 56.0, 56.0),  # corrected and units: both hot
    ):
        view = plant(kit, (header_degc, None), after_s=660.0, hp1=unit(kit, units_degc))
        assert believe(waters, view=view, site=site).view.loops["heating"].supply_degc == pytest.approx(used_degc)


def test_what_units_have_proven_holds_when_they_have_stopped(kit: SimpleNamespace) -> None:
    found = weigh(kit, (36.0, 42.0), hp1=unit(kit))
    assert found.view.loops["heating"].supply_degc == 42.0
    stopped = believe(found.memory, view=plant(kit, (36.2, 42.1), load_kw=None, after_s=660.0), site=kit.site())
    assert stopped.view.loops["heating"].supply_degc == 42.1, "not the lower one of the two"
    assert [(alarm.code, alarm.device) for alarm in stopped.alarms] == [("sensor_differs", HEADER)]


def test_what_went_round_leaves_the_return_header_slowly(kit: SimpleNamespace) -> None:
    waters: Mapping[str, WaterMemory] = {}
    codes: set[str] = set()
    for minute in range(45):
        runs = minute < 10
        warm_k = 3.5 if runs else 3.5 * math.exp(-(minute - 10) / 10.0)
        view = plant(
            kit,
            (46.0 + 0.01 * minute, 46.0 + 0.01 * minute),
            (39.5 + warm_k, 39.5 + 0.01 * minute),
            after_s=60.0 * minute,
            hp1=unit(kit, 46.0, 43.0) if runs else replace(kit.unit_off, user_flow=False),
            hp2=unit(kit, 46.0, 43.0) if runs else replace(kit.unit_off, user_flow=False),
        )
        found = believe(waters, view=view, site=kit.site())
        waters, codes = found.memory, codes | {alarm.code for alarm in found.alarms}
    assert codes == set()
    stays = weigh(kit, (46.0, 46.0), (43.0, 39.5))
    assert [alarm.device for alarm in stays.alarms] == ["io1.return_temperature"], "but a header that is off is found"


def test_a_sensor_that_agrees_again_is_corrected_no_more(kit: SimpleNamespace) -> None:
    found = weigh(kit, (46.0, 40.0), load_kw=None, discharge_ratio=0.5)
    assert found.memory["heating"].off[HEADER].correction_k == -6.0
    agrees = believe(found.memory, view=plant(kit, (40.2, 40.0), after_s=660.0), site=kit.site())
    assert agrees.memory["heating"].off == {}
    alone = believe(agrees.memory, view=plant(kit, (41.0, None), after_s=720.0), site=kit.site())
    assert (alone.view.loops["heating"].supply_degc, alone.alarms) == (41.0, ())


def test_without_a_unit_the_tank_and_the_return_tell_what_cannot_be(kit: SimpleNamespace) -> None:
    given_by_tank = {"discharge_ratio": 0.5, "layers_degc": (45.0, 45.0, 43.0, 42.0)}
    warm = weigh(kit, (56.0, 43.0), **given_by_tank)
    assert (warm.view.loops["heating"].supply_degc, warm.alarms[0].device) == (43.0, HEADER)
    cold = weigh(kit, (30.0, 43.0), **given_by_tank)
    assert (cold.view.loops["heating"].supply_degc, cold.alarms[0].device) == (43.0, HEADER)
    unknown = weigh(kit, (46.0, 43.0), load_kw=None)
    assert unknown.view.loops["heating"].supply_degc == 43.0
    assert [alarm.code for alarm in unknown.alarms] == ["sensors_disagree"]


def test_swapped_sensors_are_found_while_heat_flows(kit: SimpleNamespace) -> None:
    found = weigh(kit, (37.0, 42.0), (42.0, 37.0))
    loop = found.view.loops["heating"]
    assert (loop.supply_degc, loop.return_degc) == (42.0, 37.0)
    assert [(alarm.code, alarm.device) for alarm in found.alarms] == [("sensors_swapped", HEADER)]
    alone = weigh(kit, (37.0, None), (42.0, None), hp1=unit(kit))
    assert (alone.view.loops["heating"].supply_degc, alone.alarms[0].code) == (42.0, "sensors_swapped")
    meter = weigh(kit, (42.0, 37.0), (37.0, 42.0), load_kw=-500.0)
    assert (meter.view.loops["heating"].supply_degc, meter.alarms[0].device) == (42.0, METER)


def test_a_swapped_header_is_found_although_its_return_carries_what_goes_round(kit: SimpleNamespace) -> None:
    """The units' pumps bring twice what the house takes: the true return header is nearer to the supply."""
    pumps = {"hp1": unit(kit, 47.4, 44.6), "hp2": unit(kit, 47.4, 44.6)}
    found = weigh(kit, (44.7, 47.4), (47.4, 40.4), **pumps)
    assert [(alarm.code, alarm.device) for alarm in found.alarms] == [("sensors_swapped", HEADER)]
    assert found.view.loops["heating"].supply_degc == 47.4
    low = weigh(kit, (42.0, 47.4), (44.7, 40.4), **pumps)
    assert [(alarm.code, alarm.device) for alarm in low.alarms] == [("sensor_differs", HEADER)], "it only reads low"


def test_what_two_differed_for_long_is_not_held_against_the_one_that_is_left(kit: SimpleNamespace) -> None:
    found = weigh(kit, (44.7, 47.4), (47.4, 40.4), hp1=unit(kit, 47.4, 44.6), hp2=unit(kit, 47.4, 44.6))
    cooler = unit(kit, 44.0, 41.0)  # a unit that is being stopped sends cooler water for a minute
    now = plant(kit, (44.7, 47.4), (47.4, 40.4), after_s=630.0, hp1=cooler, hp2=cooler)
    found = believe(found.memory, view=now, site=kit.site())
    assert [alarm.code for alarm in found.alarms] == ["sensors_swapped"]


def freeze(kit: SimpleNamespace, *, header_step_k: float = 0.0, meter_step_k: float = 0.2) -> Waters:
    """Sixteen minutes in which the meter falls, and the header does or does not."""
    waters: Mapping[str, WaterMemory] = {}
    found = None
    for cycle in range(17):
        supplies = 44.0 - header_step_k * cycle, 45.6 - meter_step_k * cycle
        view = plant(kit, supplies, after_s=60.0 * cycle)
        found = believe(waters, view=view, site=kit.site())
        waters = found.memory
    assert found is not None
    return found


def test_a_frozen_sensor_is_found_before_it_differs_by_much(kit: SimpleNamespace) -> None:
    frozen = freeze(kit)
    assert [(alarm.code, alarm.device) for alarm in frozen.alarms] == [("sensor_frozen", HEADER)]
    assert frozen.view.loops["heating"].supply_degc == pytest.approx(42.4)
    assert freeze(kit, header_step_k=0.1).alarms == ()
    assert freeze(kit, meter_step_k=0.05).alarms == (), "still water moves no sensor"


def test_a_good_sensor_that_lost_to_a_frozen_one_is_believed_as_soon_as_that_is_known(kit: SimpleNamespace) -> None:
    waters: Mapping[str, WaterMemory] = {}
    for cycle in range(25):  # the tank gives, so no unit is asked: the lower one is taken, until it proves to be frozen
        view = plant(kit, (45.0, 48.0 + 0.2 * cycle), after_s=60.0 * cycle, load_kw=None, discharge_ratio=0.5)
        found = believe(waters, view=view, site=kit.site())
        waters = found.memory
    assert [(alarm.code, alarm.device) for alarm in found.alarms] == [("sensor_frozen", HEADER)]
    assert found.view.loops["heating"].supply_degc == pytest.approx(52.8)


def test_nothing_that_is_known_is_lost_by_weighing_it(kit: SimpleNamespace) -> None:
    degc = st.none() | st.floats(-20.0, 90.0)

    @given(st.tuples(degc, degc), st.tuples(degc, degc), degc, st.sampled_from([0.0, 0.5, None]))
    def check(supplies: Two, returns: Two, units_degc: float | None, valve: float | None) -> None:
        hp1 = replace(kit.unit_running, user_supply_degc=units_degc, user_return_degc=35.0)
        found = weigh(kit, supplies, returns, hp1=hp1, discharge_ratio=valve)
        loop = found.view.loops["heating"]
        shown = [value for value in supplies if value is not None]
        assert (loop.supply_degc is None) is (not shown)
        if loop.supply_degc is not None:
            voices = [*shown, *([] if units_degc is None else [units_degc])]
            assert min(voices) <= loop.supply_degc <= max(voices)
            limit_degc = 53.0
            if min(voices) > limit_degc:
                assert loop.protection_degc is not None
                assert loop.protection_degc > limit_degc, "when all are too hot, so is the loop"
        kept = replace(kit.memory(), waters=found.memory)
        assert read_memory(write_memory(kept)) == kept

    check()
