"""What `status` and `upload status` put into words by themselves."""

from zoneinfo import ZoneInfo

import pytest

from edge_agent.cli.instants import local
from edge_agent.cli.status import deciding, records_line
from edge_agent.proving import refused

ORDERS = [
    {"number": 1, "kind": "charge", "subject": "tank"},
    {"number": 2, "kind": "stop", "subject": "hp1"},
    {"number": 3, "kind": "stop", "subject": None},
    {"number": 4, "kind": "hold", "subject": "ice"},
]


@pytest.mark.parametrize(
    ("standing", "unit", "numbers"),
    [
        (ORDERS, {"wanted": False, "wanted_mode": None}, [3]),
        (ORDERS[:2], {"wanted": False, "wanted_mode": None}, [2]),
        (ORDERS[:1], {"wanted": True, "wanted_mode": "charge"}, [1]),
        (ORDERS[:1], {"wanted": True, "wanted_mode": "direct"}, [1]),
        ([ORDERS[0], ORDERS[3]], {"wanted": True, "wanted_mode": "charge"}, [1]),
        (ORDERS[3:], {"wanted": False, "wanted_mode": None}, [4]),
        ([], {"wanted": False, "wanted_mode": None}, []),
    ],
)
def test_the_order_that_decided_is_named(
    standing: list[dict[str, object]], unit: dict[str, object], numbers: list[int]
) -> None:
    assert deciding("hp1", unit, standing) == numbers


class Language:
    """Picks as the options of a verb do."""

    def __init__(self, place: int) -> None:
        self.place = place

    def pick(self, *words: str) -> str:
        return words[self.place]


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (0, "存储 120 / 2000 MB,今天写盘 35 MB(预算 5000 MB),时钟未同步"),
        (1, "records 120 / 2000 MB, written today 35 MB (budget 5000 MB), clock not synchronised"),
    ],
)
def test_room_and_writes_are_on_one_line(place: int, line: str) -> None:
    records = {"used_mb": 120.4, "quota_mb": 2000.0, "written_today_mb": 34.6, "write_budget_mb": 5000}
    found = records_line(Language(place), records | {"clock": "unsynchronised"})  # type: ignore[arg-type] # as far as it goes
    assert found == line


def test_an_instant_is_shown_on_the_sites_clock_with_its_zone() -> None:
    assert local("2026-01-12T16:30:00Z", ZoneInfo("Asia/Shanghai")) == "2026-01-13 00:30:00+08:00"
    assert local(None, ZoneInfo("Asia/Shanghai")) == "-"


def test_a_proof_that_is_refused_in_auto_says_what_to_type() -> None:
    refusal = refused("prove_not_in_auto")
    assert "edge-agent mode advise --by 姓名 --reason 原因" in refusal.zh
    assert "edge-agent mode advise --by NAME --reason TEXT" in refusal.en
