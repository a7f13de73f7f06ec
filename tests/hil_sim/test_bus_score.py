"""What the judge of the field bus finds in made-up logs and exports: each kind of failing must show."""

import pytest

from hil_sim.bench_play import EMPTY_OR_FAILED, ZERO_OR_FAILED, failures
from hil_sim.bus_score import (
    FaultWindow,
    asked_at_once_ratio,
    figures,
    judge_bus,
    polled_again,
    recovery_bound_s,
)
from hil_sim.score import ExportedSample
from hil_sim.wire_log import WireLog

PERIOD_S = 5.0
FIRST_S, LAST_S = 1000.0, 1100.0
MUTED = FaultWindow(1020.0, 1040.0, frozenset({"em2"}))


def served(*devices: str, skip: FaultWindow = MUTED) -> tuple[WireLog, list[ExportedSample]]:
    """A run in which em2 is silent for 20 s and all else is well."""
    log, samples = WireLog(), []
    for device in devices:
        for turn in range(21):
            instant_s = FIRST_S + PERIOD_S * turn
            silent = device in skip.touched and skip.begin_s <= instant_s < skip.end_s + PERIOD_S
            if not silent:
                log.serve(device, "power", instant_s=instant_s, value=float(turn))
            samples.append(
                ExportedSample(f"{device}.power", instant_s + 0.1, None if silent else float(turn), not silent, turn)
            )
    return log, samples


def judged(log: WireLog, samples: list[ExportedSample], *faults: FaultWindow) -> dict[str, object]:
    devices = ("em1", "em2")
    verdict = judge_bus(
        samples,
        log=log,
        periods_s=dict.fromkeys(devices, PERIOD_S),
        faults=faults,
        first_s=FIRST_S,
        last_s=LAST_S,
    )
    bound_s = recovery_bound_s(miss_s=0.2, period_s=PERIOD_S)
    return figures(verdict, bounds_s=dict.fromkeys(devices, bound_s))


def test_a_good_run() -> None:
    found = judged(*served("em1", "em2"), MUTED)
    assert found["stale_values"] == found["bad_elsewhere"] == 0
    assert found["outcome_gaps"] == found["recovered_late"] == []
    assert found["bad_touched"] == 5
    assert found["periods_off_ratio_max"] == 0.0
    assert found["periods_held_ratio"] == 1.0
    assert found["recovery_s_max"] == pytest.approx(5.1)
    assert found["recovery_bound_s"] == pytest.approx(16.0)


def test_an_old_value_with_a_new_stamp_is_stale() -> None:
    log, samples = served("em1", "em2")
    samples[-1] = ExportedSample("em2.power", LAST_S + 4.0, 20.0, good=True, frame=20)
    assert judged(log, samples, MUTED)["stale_values"] == 1


def test_a_late_answer_is_as_old_as_it_is_late_and_no_memory() -> None:
    log, samples = served("em1", "em2")
    samples[-1] = ExportedSample("em2.power", LAST_S + 4.0, 20.0, good=True, frame=20)
    log.postpone("em2", begin_s=LAST_S - 0.01, end_s=LAST_S + 0.01, left_s=LAST_S + 3.5)
    found = judged(log, samples, MUTED)
    assert found["stale_values"] == 0
    assert found["value_age_s_max"] == 4.0


def test_a_unit_that_never_comes_back() -> None:
    log, samples = served("em1", "em2", skip=FaultWindow(1020.0, LAST_S, frozenset({"em2"})))
    found = judged(log, samples, MUTED)
    assert found["recovered_late"] == ["em2"]
    assert found["recovery_s"] == {"em2": None}


def test_a_neighbour_that_loses_polls() -> None:
    log, samples = served("em1", "em2")
    instants, values = log.served["em1", "power"]
    del instants[6:9], values[6:9]
    found = judged(log, samples, MUTED)
    assert isinstance(found["periods_off_ratio_max"], float)
    assert found["periods_off_ratio_max"] > 0.1


def test_a_neighbour_that_gets_bad_samples() -> None:
    log, samples = served("em1", "em2")
    place = next(place for place, sample in enumerate(samples) if sample.point == "em1.power") + 4
    samples[place] = ExportedSample("em1.power", samples[place].instant_s, None, good=False, frame=0)
    assert judged(log, samples, MUTED)["bad_elsewhere"] == 1


def test_a_point_that_falls_silent_without_a_cause() -> None:
    log, samples = served("em1", "em2")
    silent = [sample for sample in samples if not (sample.point == "em2.power" and 1020.0 < sample.instant_s < 1050.0)]
    gaps = judged(log, silent, MUTED)["outcome_gaps"]
    assert isinstance(gaps, list)
    assert len(gaps) == 1
    assert gaps[0].startswith("em2.power: no outcome for")


def test_a_point_with_a_slow_period_of_its_own_is_not_missed_after_an_outage() -> None:
    log, samples = served("em1", "em2")
    outage_s = (FIRST_S, *(1025.0 + PERIOD_S * turn for turn in range(12)))
    ratio = [ExportedSample("em2.ratio", instant_s, None, good=False, frame=0) for instant_s in outage_s]
    outage = FaultWindow(1020.0, 1085.0, frozenset({"em2"}))
    assert judged(log, samples + ratio, outage)["outcome_gaps"] == []


def test_a_device_that_nobody_reads() -> None:
    log, samples = served("em2")
    gaps = judged(log, samples, MUTED)["outcome_gaps"]
    assert isinstance(gaps, list)
    assert gaps[0].startswith("em1: answered 0 times")


def score_of(*jittery: str, devices: int) -> dict[str, object]:
    """The score of a bench in which some units are read after 2, 8, 2, 8 s, and the others on time."""
    names = [f"em{number}" for number in range(1, devices + 1)]
    log, samples = WireLog(), []
    for device in names:
        for turn in range(21):
            early_s = 3.0 if device in jittery and turn % 2 else 0.0
            instant_s = FIRST_S + PERIOD_S * turn - early_s
            log.serve(device, "power", instant_s=instant_s, value=float(turn))
            samples.append(ExportedSample(f"{device}.power", instant_s + 0.1, float(turn), good=True, frame=turn))
    verdict = judge_bus(
        samples, log=log, periods_s=dict.fromkeys(names, PERIOD_S), faults=(), first_s=FIRST_S, last_s=LAST_S
    )
    unhurt = dict.fromkeys((*ZERO_OR_FAILED, *EMPTY_OR_FAILED), 0)
    return unhurt | {"samples_accepted": len(samples)} | figures(verdict, bounds_s={})


def test_an_even_pace_passes_and_jitter_fails_though_its_mean_is_right() -> None:
    assert failures(score_of(devices=2)) == []
    jittery = score_of("em1", "em2", devices=2)
    assert jittery["periods_off_ratio_max"] == 0.0
    (words,) = failures(jittery)
    assert words.startswith("periods_broken: ['em1: ")
    assert jittery["periods_held_ratio"] == 0.0


def test_one_jittery_unit_does_not_hide_among_many() -> None:
    crowd = score_of("em3", devices=10)
    assert crowd["periods_held_ratio"] == 0.9048
    (words,) = failures(crowd)
    assert words.startswith("periods_broken: ['em3: ")


def test_polled_again_needs_several_answers() -> None:
    log, _ = served("em1", "em2")
    assert polled_again(log, ["em1", "em2"], since_s=1040.0)
    assert not polled_again(log, ["em2"], since_s=LAST_S - 8.0)
    assert not polled_again(log, ["em9"], since_s=0.0)


def test_devices_asked_in_step_are_seen() -> None:
    log = WireLog()
    for turn in range(4):
        for place, device in enumerate("abcd"):
            log.request(device, function=3, instant_s=FIRST_S + 5.0 * turn + 1.0 * place)
    assert asked_at_once_ratio(log, "abcd", first_s=0.0, window_s=0.5) == 0.25
    assert asked_at_once_ratio(log, "abcd", first_s=0.0, window_s=3.0) == 1.0
