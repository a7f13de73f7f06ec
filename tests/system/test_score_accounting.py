"""The score of a whole run, agent and all: a planted lost frame, wrong value and lost record are each counted once."""

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from edge_agent.clock import elapsed_s
from hil_sim.demo import Options, Play
from hil_sim.scenario import load

pytestmark = [pytest.mark.system, pytest.mark.slow]

FAULT_KW = 37.0
LOST_PERIOD = 1


class SabotagedPlay(Play):
    """A run in which one register lies once, one stored frame and one record held by the platform disappear."""

    lost_frame = 0
    corrupted = False
    altered = 3

    def plant_wrong_value(self) -> None:
        """One answer of the main meter carries other registers than the meter meant to show."""
        if not self.corrupted and len(self.agent.promised) > 20:
            self.corrupted = True
            self.site.devices["em_main"].corrupt_value("electric_power", FAULT_KW)

    async def _judge(self) -> dict[str, object]:
        self.lost_frame = self.agent.promised[10]
        for path in (self.site.state_dir / "frames").glob("*.db"):
            with sqlite3.connect(path) as frames:
                frames.execute("DELETE FROM frame WHERE seq = ?", (self.lost_frame,))
            frames.close()
        period = datetime.fromtimestamp(self.site.start_s, UTC).replace(minute=15 * LOST_PERIOD)
        assert self._platform is not None
        books = self._platform.receiver._ledger._connection
        assert books.execute("DELETE FROM period WHERE time = ?", (period.isoformat(),)).rowcount == 1
        # A value that was altered on its way: the totals of the user's heat meter only rise by a few kWh.
        code = next(entry.code for entry in self.site.reported if entry.point == "hm_user.heat_total")
        assert books.execute("UPDATE reading SET value = value + 5000 WHERE code = ?", (code,)).rowcount == self.altered
        return await super()._judge()


@pytest.fixture
def play() -> Iterator[SabotagedPlay]:
    scenario = load("winter-day").changed(days=0.035)
    play = SabotagedPlay(Options(scenario=scenario, speed_ratio=480.0, keep=True), wall_s=elapsed_s)
    play.on_picture = play.plant_wrong_value
    yield play
    shutil.rmtree(play.folder, ignore_errors=True)


async def test_each_planted_fault_is_counted_once(play: SabotagedPlay) -> None:
    score = await play.run()
    assert score["samples_lost"] == 1, play.folder
    assert score["wrong_values"] == 1, score["wrong_values_first"]
    assert str(score["wrong_values_first"]).startswith("['em_main.electric_power ")
    assert (score["records_due"], score["records_acknowledged"], score["records_lost"]) == (3, 2, 1)
    assert score["record_values_wrong"] >= play.altered  # the lie of the main meter may show in its mean as well
    assert any("hm_user.heat_total" in str(text) for text in score["record_values_wrong_first"])
    assert score["failures"][:3] == ["samples_lost = 1", "wrong_values = 1", "records_lost = 1"]
    assert score["invariant_violations"] == []
    assert score["expectations_missed"] != []
    assert isinstance(score["samples_accepted"], int)
    assert score["samples_accepted"] > 4_000, "of some 11 000: an agent that starts slowly misses the first scans"
    assert play.kept  # whoever wants to know why finds the run folder
