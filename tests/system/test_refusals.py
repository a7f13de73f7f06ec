"""What an operator may not do, and what he is told: one table, asked of a real service beside a simulated plant."""

import importlib.util
import json
import shlex
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from edge_agent.cli import main
from hil_sim.plant.unit import Alarm

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


def beside(name: str) -> ModuleType:
    """Another file of this folder; tests are not a package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


service = beside("test_service")


def typed(*words: str) -> Result:
    return CliRunner(env={"LANG": "C", "EDGE_AGENT_CONFIG": "/nonexistent"}).invoke(main, words)


class Stand:
    """One service that is brought into one state after the other."""

    STATES = ("unsigned", "monitor", "advise", "auto")

    def __init__(self, bench: service.Bench) -> None:
        self.bench = bench
        self.state = ""

    async def be(self, state: str) -> None:
        """Brings the service into a state; the table goes through them in their order."""
        while self.state != state:
            following = self.STATES[self.STATES.index(self.state) + 1] if self.state else "unsigned"
            await getattr(self, f"_to_{following}")()
            self.state = following

    async def _start(self) -> None:
        self.process = await self.bench.start()
        seen = self.bench.site.log.frames
        before = seen["hp1", 4]
        await service.until(lambda: seen["hp1", 4] > before + 3, "some polls of hp1")

    async def _to_unsigned(self) -> None:
        plant = self.bench.site.plant
        plant.local[0].select_local(plant.instant_s)  # hp1 is at its panel
        plant.units[1].trip(plant.instant_s, Alarm.SOURCE_FLOW)  # hp2 has tripped
        self.bench.edit("site.yaml", "signed_by: hil-sim", "signed_by: null")
        self.bench.edit("site.yaml", "signed_on: 2026-11-01", "signed_on: null")
        self.bench.edit("site.yaml", "start_mode: auto", "start_mode: monitor")
        await self._start()

    async def _to_monitor(self) -> None:
        assert await service.end(self.process) == 0
        self.bench.edit("site.yaml", "signed_by: null", "signed_by: hil-sim")
        self.bench.edit("site.yaml", "signed_on: null", "signed_on: 2026-11-01")
        await self._start()

    async def _to_advise(self) -> None:
        assert (await self.bench.ask("mode", "advise", "--by", "op", "--reason", "look"))[0] == 0

    async def _to_auto(self) -> None:
        assert self.bench.site.log.write_frames() == 0
        assert (await self.bench.ask("mode", "auto", "--by", "op", "--reason", "go"))[0] == 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    opened: Callable[..., object] = service.opened
    async with opened(tmp_path_factory.mktemp("refusals"), typed) as bench:  # type: ignore[attr-defined]
        yield Stand(bench)


NAMED = "--by op --reason test"
ATTENDED = "--by op --yes-i-am-at-the-plant"
TABLE = [
    # state, words, exit status, code of the refusal or words in the answer
    ("unsigned", f"mode auto {NAMED}", 5, "not_commissioned"),
    ("unsigned", f"override stop hp3 --until 2h {NAMED}", 5, "not_commissioned"),
    ("unsigned", f"override release {NAMED}", 5, "order_none_stands"),
    ("unsigned", f"release hp9 {NAMED}", 5, "order_subject_unknown"),
    ("unsigned", f"release hp3 {NAMED}", 5, "unit_not_locked_out"),
    ("unsigned", f"prove hp3 --command supply_setpoint {ATTENDED}", 3, "--via-service"),
    ("monitor", f"override charge --until 2h {NAMED}", 5, "order_mode_not_auto"),
    ("monitor", "mode auto --by op --reason ' '", 5, "needs_name_and_reason"),
    ("monitor", "mode auto --by op", 2, ""),
    ("monitor", "mode manual --by op --reason test", 2, ""),
    ("advise", f"override hold --until 2h {NAMED}", 5, "order_mode_not_auto"),
    ("advise", f"prove hp3 --command supply_setpoint {ATTENDED}", 3, "--via-service"),
    ("auto", f"override charge {NAMED}", 2, ""),
    ("auto", "override charge --until 2h --by op", 2, ""),
    ("auto", f"override charge --until soon {NAMED}", 2, ""),
    ("auto", "override charge --until 2h --by op --reason ' '", 5, "needs_name_and_reason"),
    ("auto", f"override charge --until 2020-01-01T00:00 {NAMED}", 5, "order_end_past"),
    ("auto", f"override charge --until 0h {NAMED}", 5, "order_lasts_nothing"),
    ("auto", f"override charge --until 25h {NAMED}", 5, "order_end_too_far"),
    ("auto", f"override charge hp9 --until 2h {NAMED}", 5, "order_subject_unknown"),
    ("auto", f"override hold hp3 --until 2h {NAMED}", 5, "order_hold_needs_storage"),
    ("auto", f"override stop tank --until 2h {NAMED}", 5, "order_stop_needs_unit"),
    ("auto", f"override charge hp1 --until 2h {NAMED}", 5, "order_unit_cannot"),
    ("auto", f"override stop hp1 --until 2h {NAMED}", 5, "order_unit_local"),
    ("auto", f"override charge hp2 --until 2h {NAMED}", 5, "order_unit_cannot"),
    ("auto", f"override release {NAMED}", 5, "order_none_stands"),
    ("auto", f"override stop hp3 --until 2h {NAMED}", 0, '"kind": "stop"'),
    ("auto", f"override charge hp3 --until 2h {NAMED}", 5, "order_unit_cannot"),
    ("auto", f"override release hp4 {NAMED}", 5, "order_none_on_subject"),
    ("auto", f"override release hp3 {NAMED}", 0, '"standing": []'),
    ("auto", f"prove hp3 --command supply_setpoint {ATTENDED}", 3, "--via-service"),
    ("auto", f"prove hp3 --command supply_setpoint --via-service {ATTENDED}", 5, "automatic mode"),
    ("auto", f"prove em_main --command energy_total {ATTENDED}", 5, "may not be written"),
    ("auto", f"mode monitor {NAMED}", 0, '"mode": "monitor"'),
]


@pytest.mark.parametrize(("state", "words", "status", "said"), TABLE, ids=[f"{row[0]}: {row[1]}" for row in TABLE])
async def test_an_operator_is_told_why_not(stand: Stand, state: str, words: str, status: int, said: str) -> None:
    await stand.be(state)
    done, out, err = await stand.bench.ask(*shlex.split(words), "--json")
    assert (done, out + err) == (status, out + err)
    if status == 5 and "_" in said:
        told = json.loads(out)
        assert told["schema"] == f"{shlex.split(words)[0]}/1"
        assert told["code"] == said
        assert told["ok"] is False
        assert told["message"] in err
    else:
        assert said in out + err
