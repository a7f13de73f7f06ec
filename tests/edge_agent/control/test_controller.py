"""The control cycle as a whole: a loop that nobody serves is no reason to hold the others."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace

from drivers.sample import good
from drivers.writing import WriteOutcome
from edge_agent.control.command import Outcome
from edge_agent.control.controller import HOLD_AFTER_CYCLES, Controller
from edge_agent.control.intent import BandOutlook
from edge_agent.control.modes import Mode
from edge_agent.image import ProcessImage


async def write(_point: str, _value: float) -> WriteOutcome:
    raise AssertionError("advise writes nothing")


async def forget(_: str | Sequence[Outcome]) -> None:
    pass


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
