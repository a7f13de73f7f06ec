"""What a scenario lets happen: the right parts are taken away and given back, orders are run and judged."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge_agent.clock import elapsed_s
from hil_sim.happenings import Happenings, Order, run_verb
from hil_sim.scenario import parse
from hil_sim.site import Site
from hil_sim.supervisor import Supervisor

STARTS = "2027-01-13T06:00"


def happenings(folder: Path, *events: dict[str, Any]) -> tuple[Site, Happenings, list[str]]:
    data = {
        "title": {"zh": "一天", "en": "a day"},
        "plant": "ground-office",
        "starts": STARTS,
        "days": 0.1,
        "seed": 7,
        "period_s": 30,
        "speed_max": 240,
        "events": [*events],
    }
    site = Site(parse(data, name="x"), folder=folder, wall_s=elapsed_s)
    agent = Supervisor(config=folder, log_path=folder / "agent.log", wall_s=elapsed_s)
    told: list[str] = []

    def tell(_zh: str, en: str, **_tone: object) -> None:
        told.append(en)

    return site, Happenings(site, agent, tell=tell), told


async def until(condition: Any, *, limit_s: float = 20.0) -> None:  # noqa: ANN401 - a lambda
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - it watches a clock
            await asyncio.sleep(0.01)


async def test_a_power_cut_silences_every_device_and_gives_them_back(tmp_path: Path) -> None:
    fault = {"what": "plant_fault", "at": "06:05", "lasts_s": 600, "args": {"kind": "power_cut"}}
    site, happening, told = happenings(tmp_path, fault)
    task = asyncio.get_running_loop().create_task(happening.play())
    site.clock.set_speed(2000.0)
    await until(lambda: happening.silent)
    site.clock.renew()
    assert happening.silent == frozenset(site.devices)
    assert all(device.muted for device in site.devices.values())
    assert not site.plant.building.circulating
    async with asyncio.timeout(20.0):
        while not task.done():
            site.clock.renew()
            await asyncio.sleep(0.01)
    assert happening.silent == frozenset()
    assert not any(device.muted for device in site.devices.values())
    assert site.plant.building.circulating
    assert told == ["plant fault begins: power_cut plant", "plant fault is mended: power_cut plant"]
    site.close()


async def test_a_dead_station_takes_all_heat_out_of_what_could_be_delivered(tmp_path: Path) -> None:
    fault = {"what": "mute", "at": "06:00", "lasts_s": 600, "args": {"device": "io1"}}
    site, happening, _ = happenings(tmp_path, fault)
    task = asyncio.get_running_loop().create_task(happening.play())
    await until(lambda: site.plant.impaired)
    assert sorted(site.plant.impaired) == ["hp1", "hp2", "hp3", "hp4", "tank"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert site.plant.impaired == []
    site.close()


async def test_a_wrong_clock_is_wrong_for_the_agent_only(tmp_path: Path) -> None:
    fault = {"what": "clock_jump", "at": "06:00", "args": {"by_s": 3600}}
    site, happening, _ = happenings(tmp_path, fault)
    task = asyncio.get_running_loop().create_task(happening.play())
    await until(lambda: happening.clock_was_wrong)
    assert site.clock.now_s() == pytest.approx(site.start_s, abs=1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    site.close()


async def test_a_verb_is_run_as_a_process_and_an_exit_status_that_is_not_wanted_is_a_fault(tmp_path: Path) -> None:
    status, said = await run_verb(tmp_path, ["mode", "monitor", "--by", "me", "--reason", "test"])
    assert status == 2
    assert said
    assert Order("mode monitor", status, 2, said).fault is None
    assert "exit 2 instead of 0" in str(Order("mode monitor", status, 0, said).fault)


def test_demand_responses_and_wrong_days_stand_in_the_agents_tariff(tmp_path: Path) -> None:
    response = {
        "what": "tariff_event",
        "at": "07:00",
        "lasts_s": 3600,
        "args": {"grid_kw_max": 300, "pays_cny_per_kwh": 4},
    }
    site, _, _ = happenings(tmp_path, response, {"what": "wrong_tariff_day", "at": "06:00"})
    site.open()
    folder = site.write_configuration(broker=("127.0.0.1", 1883))
    text = (folder / "tariff.yaml").read_text(encoding="utf-8")
    site.close()
    for words in ("from: 2027-01-13T07:00", "to: 2027-01-13T08:00", "grid_kw_max: 300.0", "01-13..01-13"):
        assert words in text, words
    assert site.plant.checker.limits.grid_kw_at(site.start_s + 3600.0) == 300.0
    assert site.plant.checker.limits.grid_kw_at(site.start_s) == 900.0
