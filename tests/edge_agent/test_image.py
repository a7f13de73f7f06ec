from datetime import UTC, datetime, timedelta

from drivers.sample import Cause, bad, good
from edge_agent.image import ProcessImage

NOON = datetime(2026, 1, 12, 4, tzinfo=UTC)


def test_a_failed_reading_replaces_a_good_one() -> None:
    image = ProcessImage()
    image.put([good("a.t", NOON, 45.0, "degC")])
    image.put([bad("a.t", NOON + timedelta(seconds=10), "degC", Cause.NO_ANSWER)])
    assert image.value("a.t", now_utc=NOON + timedelta(seconds=10), age_s_max=60.0) is None


def test_an_old_value_is_not_a_present_one() -> None:
    image = ProcessImage()
    image.put([good("a.t", NOON, 45.0, "degC")])
    assert image.value("a.t", now_utc=NOON + timedelta(seconds=60), age_s_max=60.0) == 45.0
    assert image.value("a.t", now_utc=NOON + timedelta(seconds=61), age_s_max=60.0) is None


def test_a_late_sample_does_not_replace_a_newer_one() -> None:
    image = ProcessImage()
    image.put([good("a.t", NOON + timedelta(seconds=10), 46.0, "degC"), good("a.t", NOON, 45.0, "degC")])
    assert image.value("a.t", now_utc=NOON, age_s_max=60.0) == 46.0
    assert len(image) == 1
    assert [sample.point for sample in image] == ["a.t"]
