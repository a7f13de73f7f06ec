"""What the picture takes from the agent's status: plan, set-point, alarms, backlog; nothing of it may break a run."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import hil_sim.site
from edge_agent.clock import elapsed_s
from hil_sim.broker import EmbeddedBroker
from hil_sim.demo import Options, Play, plan_steps
from hil_sim.scenario import load
from hil_sim.show import Screen, render
from hil_sim.site import BrokerUnreachable, open_platform

ZONE = ZoneInfo("Asia/Shanghai")
PLAN = {
    "method": "milp",
    "grid_start_utc": "2027-01-12T16:10:00Z",
    "step_minutes": [5.0, 15.0],
    "units": {"hp1": {"load_kw": [600.0, 500.0]}, "hp2": {"load_kw": [0.0, 558.0]}},
    "storages": {"tank": {"charge_kw": [0.0, 558.0], "discharge_kw": [300.0, 0.0], "soc_kwh": [4000.0, 4139.5]}},
}


def test_a_plan_becomes_the_steps_of_the_picture() -> None:
    first, second = plan_steps(PLAN, zone=ZONE)
    assert first.start.isoformat() == "2027-01-13T00:10:00+08:00"
    assert second.start - first.start == timedelta(minutes=5)
    assert second.end - second.start == timedelta(minutes=15)
    assert (first.direct_kw, first.charge_kw, first.discharge_kw) == (600.0, 0.0, 300.0)
    assert (second.direct_kw, second.charge_kw, second.soc_kwh) == (500.0, 558.0, 4139.5)


@pytest.mark.parametrize(
    "broken", [{}, PLAN | {"grid_start_utc": "soon"}, PLAN | {"units": {"hp1": {}}}, PLAN | {"step_minutes": [5.0] * 3}]
)
def test_a_document_that_is_no_plan_leaves_the_picture_empty(broken: dict[str, object]) -> None:
    assert plan_steps(broken, zone=ZONE) == ()


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    play = Play(Options(scenario=load("winter-day"), speed_ratio=120.0), wall_s=elapsed_s)
    play.site.open()
    play.site.write_configuration(broker=("127.0.0.1", 1883))
    yield play
    play.site.close()


def picture(play: Play) -> str:
    return "\n".join(render(play.snapshot(), Screen(columns=110, colour=False, language="en")))


def test_without_an_agent_the_picture_shows_what_the_plant_knows(play: Play) -> None:
    text = picture(play)
    assert "the controller has no plan yet" in text
    assert "agent   down" in text.replace("  agent", "agent")
    assert "hp1     running   direct" in text
    assert "due 0  acknowledged 0  backlog –" in text


def test_the_agents_word_is_on_the_picture(play: Play) -> None:
    play.status = {
        "mode": "auto",
        "plan": PLAN,
        "setpoint_degc": {"heating": 46.3},
        "units": {"hp1": {"phase": "lead", "zh": "水泵预运行", "en": "pumps running ahead"}},
        "alarms": [{"code": "unit_tripped", "device": "hp3", "values": {"unit": "hp3", "alarm": 2}}],
        "uplinks": {"city": {"backlog": 3}, "owner": {"backlog": 4}},
        "plans_by_method": {"milp": 3},
    }
    text = picture(play)
    for words in ("made 00:10, optimised", "/ 46.3 ℃", "pumps running ahead", "hp3 tripped, code 2", "backlog 7"):
        assert words in text, words


@pytest.mark.parametrize(
    "strange", [{"plan": []}, {"units": 3, "alarms": None}, {"uplinks": {"city": None}}, {"setpoint_degc": {"a": None}}]
)
def test_a_strange_answer_breaks_nothing(play: Play, strange: dict[str, object]) -> None:
    play.status = strange
    assert "supply" in picture(play)


async def test_the_platform_opens_behind_its_own_or_a_foreign_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_platform(broker=None) as platform:
        assert platform.receiver.ready.is_set()
        assert platform.address[1] > 0
    broker = EmbeddedBroker()
    await broker.start()
    async with open_platform(broker=("127.0.0.1", broker.port)) as platform:
        assert platform.address == ("127.0.0.1", broker.port)
    await broker.stop()
    monkeypatch.setattr(hil_sim.site, "PLATFORM_READY_S_MAX", 0.3)
    with pytest.raises(BrokerUnreachable, match=f"127.0.0.1:{broker.port}"):
        async with open_platform(broker=("127.0.0.1", broker.port)):
            pass
