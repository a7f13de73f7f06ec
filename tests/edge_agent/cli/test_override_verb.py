"""What may be typed after --until, and that no order goes without an end."""

from zoneinfo import ZoneInfo

import click
import pytest
from click.testing import CliRunner

from edge_agent.cli import main
from edge_agent.cli.override import end

ZONE = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("2h", {"lasts_s": 7200.0}),
        ("1.5h", {"lasts_s": 5400.0}),
        ("1h30m", {"lasts_s": 5400.0}),
        ("90min", {"lasts_s": 5400.0}),
        ("90m", {"lasts_s": 5400.0}),
        ("0min", {"lasts_s": 0.0}),
        ("2小时", {"lasts_s": 7200.0}),
        ("1.5 小时", {"lasts_s": 5400.0}),
        ("90分钟", {"lasts_s": 5400.0}),
        ("1小时30分", {"lasts_s": 5400.0}),
        ("24:00", {"until": "24:00"}),
        ("18:30", {"until": "18:30"}),
        ("18：30", {"until": "18:30"}),
        ("2026-01-12T18:30", {"until": "2026-01-12T10:30:00+00:00"}),
        ("2026-01-12T18:30Z", {"until": "2026-01-12T18:30:00+00:00"}),
    ],
)
def test_ends(typed: str, sent: dict[str, object]) -> None:
    assert end(typed, ZONE) == sent


@pytest.mark.parametrize("typed", ["", "soon", "25:00", "24:01", "小时", "2 hours", "-2h", "h", "99"])
def test_what_is_no_end(typed: str) -> None:
    with pytest.raises(click.BadParameter):
        end(typed, ZONE)


@pytest.mark.parametrize("kind", ["charge", "hold", "stop"])
def test_no_order_without_an_end(kind: str) -> None:
    result = CliRunner().invoke(main, ["override", kind, "--by", "a", "--reason", "b"])
    assert result.exit_code == 2
    assert "--until 2h" in result.output


@pytest.mark.parametrize("arguments", [["release", "hp1"], ["stop", "--until", "2h"]])
def test_a_number_ends_one_order_and_goes_with_nothing_else(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, ["override", *arguments, "--order", "3", "--by", "a", "--reason", "b"])
    assert result.exit_code == 2
    assert "--order" in result.output
