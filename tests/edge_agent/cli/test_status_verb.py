"""What `status` and `upload status` put into words by themselves."""

from zoneinfo import ZoneInfo

import pytest

from edge_agent.cli.instants import local
from edge_agent.cli.status import deciding
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


def test_an_instant_is_shown_on_the_sites_clock_with_its_zone() -> None:
    assert local("2026-01-12T16:30:00Z", ZoneInfo("Asia/Shanghai")) == "2026-01-13 00:30:00+08:00"
    assert local(None, ZoneInfo("Asia/Shanghai")) == "-"


def test_a_proof_that_is_refused_in_auto_says_what_to_type() -> None:
    refusal = refused("prove_not_in_auto")
    assert "edge-agent mode advise --by 姓名 --reason 原因" in refusal.zh
    assert "edge-agent mode advise --by NAME --reason TEXT" in refusal.en
