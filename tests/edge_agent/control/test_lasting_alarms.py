"""An alarm that goes on keeps its beginning; one that ended begins anew."""

from datetime import UTC, datetime, timedelta

from edge_agent.control.command import Alarm
from edge_agent.control.lasting_alarms import LastingAlarms

NOON_UTC = datetime(2026, 1, 12, 4, 0, tzinfo=UTC)


def at(minute: int, code: str = "sensor_frozen", device: str = "tt1") -> Alarm:
    return Alarm(code, device, NOON_UTC + timedelta(minutes=minute))


def test_an_alarm_keeps_its_beginning_while_it_stands() -> None:
    lasting = LastingAlarms(pump_proof_s=30.0)
    assert lasting.all([at(0), at(0, device="tt2")]) == (at(0), at(0, device="tt2"))
    assert lasting.all([at(1)]) == (at(0),)
    assert lasting.all([at(2), at(2, device="tt2")]) == (at(0), at(2, device="tt2"))
    assert lasting.all([at(-5)]) == (at(-5),), "who knows better when it began is believed"


def test_a_pump_has_its_time_to_run_down() -> None:
    lasting = LastingAlarms(pump_proof_s=30.0)
    slow = [at(0, "pump_still_runs", "pu1")]
    told = [bool(lasting.late(slow, NOON_UTC + timedelta(seconds=after_s))) for after_s in (0, 20, 40)]
    assert told == [False, False, True]
    assert lasting.late([], NOON_UTC + timedelta(seconds=50)) == []
    assert lasting.late(slow, NOON_UTC + timedelta(seconds=60)) == [], "it had stopped"
