"""The control cycle as a whole: a loop that nobody serves is no reason to hold the others."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace

import pytest

from drivers.sample import good
from drivers.writing import WriteOutcome
from edge_agent.control.command import Outcome
from edge_agent.control.controller import HOLD_AFTER_CYCLES, Controller
from edge_agent.control.intent import BandOutlook
from edge_agent.control.modes import Mode
from edge_agent.control.report import CycleReport
from edge_agent.image import ProcessImage


async def write(_point: str, _value: float) -> WriteOutcome:
    raise AssertionError("advise writes nothing")


async def forget(_: str | Sequence[Outcome]) -> None:
    pass


class Plant:
    """Control that is killed and started again beside a plant that is read."""

    def __init__(self, kit: SimpleNamespace, mode: Mode) -> None:
        self.now_utc, self._mode, self._site = kit.now_utc, mode, kit.site()
        self._image = ProcessImage()
        self._kept: str | None = None
        self.start()

    def start(self) -> None:
        self._image = ProcessImage()
        self._controller = Controller(
            self._site, image=self._image, write=write, audit=forget, save_memory=self._save, memory=self._kept
        )

    async def _save(self, text: str) -> None:
        self._kept = text

    def cycle(self, **values: float) -> CycleReport:
        self.now_utc += timedelta(seconds=30)
        points = [good(point.replace("__", "."), self.now_utc, value, "") for point, value in values.items()]
        self._image.put(points)
        return asyncio.run(self._controller.cycle(self.now_utc, plan=None, mode=self._mode, bands=BandOutlook()))


UNITS_OFF = {f"{unit}__{point}": float(point == "remote") for unit in ("hp1", "hp2") for point in ("state", "remote")}
TANK = {f"tt__t{layer}": 50.0 - layer for layer in range(4)}
APART = {"io1__supply_temperature": 50.0, "hm_user__supply_temperature": 44.0}


@pytest.mark.parametrize("mode", [Mode.MONITOR, Mode.ADVISE])
def test_an_alarm_of_a_sensor_goes_on_over_a_restart_as_soon_as_all_has_been_read(
    kit: SimpleNamespace, mode: Mode
) -> None:
    plant = Plant(kit, mode)
    for _ in range(25):
        before = plant.cycle(**UNITS_OFF, **TANK, **APART)
    assert before.settled
    assert "sensors_disagree" in {alarm.code for alarm in before.alarms}
    plant.start()
    for values in ({}, UNITS_OFF, {**UNITS_OFF, "io1__supply_temperature": 50.0}):
        assert not plant.cycle(**values).settled, "nobody can tell yet what is over"
    after = plant.cycle(**UNITS_OFF, **TANK, **APART)
    assert after.settled
    assert "sensors_disagree" in {alarm.code for alarm in after.alarms}


def test_who_waits_for_all_to_be_read_waits_no_longer_than_for_the_hand_over(kit: SimpleNamespace) -> None:
    plant = Plant(kit, Mode.MONITOR)
    settled = [plant.cycle(**TANK, **APART).settled for _ in range(12)]
    assert settled == [False] * 10 + [True] * 2


def test_a_loop_without_unit_and_tank_is_not_controlled(kit: SimpleNamespace) -> None:
    """Metered hot water behind an exchanger, whose own sensor says nothing."""
    site = kit.site()
    service = site.loops["heating"].model_copy(update={"supply_point": "hw.supply", "return_point": "hw.return"})
    service = service.model_copy(update={"meter": "hm_service"})
    site = site.model_copy(update={"loops": {**site.loops, "service": service}})
    image = ProcessImage()
    controller = Controller(site, image=image, write=write, audit=forget, save_memory=forget, memory=None)
    for cycle in range(HOLD_AFTER_CYCLES + 15):
        now_utc = kit.now_utc + timedelta(seconds=30 * cycle)
        values = {"io1.supply_temperature": 44.0, "hp1.state": 0.0, "hp1.remote": 1.0, "hm_service.heat_power": 80.0}
        image.put([good(point, now_utc, value, "") for point, value in values.items()])
        report = asyncio.run(controller.cycle(now_utc, plan=None, mode=Mode.ADVISE, bands=BandOutlook()))
    assert not report.holding
    assert set(report.setpoints_degc) == {"heating"}
