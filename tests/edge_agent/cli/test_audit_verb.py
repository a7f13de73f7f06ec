"""`edge-agent audit`: what was commanded, what came of it, and whether the chain is whole."""

import json
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_agent.cli.audit import command
from edge_agent.store.rows import AuditEntry
from edge_agent.store.store import Store

CONFIG = Path(__file__).parents[3] / "config" / "plants" / "ground-office"
NOON_UTC = datetime(2026, 1, 12, 4, 0, tzinfo=UTC)


def entry(number: int, outcome: str, *, point: str = "hp1.run_request", after_s: float = 0.0) -> AuditEntry:
    return AuditEntry(
        instant_utc=NOON_UTC + timedelta(seconds=after_s),
        actor="auto: li",
        cause="plan 2026-01-12T04:00Z",
        point=point,
        old=0.0,
        wanted=1.0,
        read_back=None,
        outcome=outcome,
        reason="",
        latency_s=after_s,
        number=number,
    )


@pytest.fixture
async def site(tmp_path: Path) -> Path:
    """A configuration whose service has commanded two things, one of them to its end."""
    config, state_dir = tmp_path / "config", tmp_path / "state"
    shutil.copytree(CONFIG, config)
    text = (config / "site.yaml").read_text(encoding="utf-8")
    text = text.replace("state_dir: /var/lib/edge-agent", f"state_dir: {state_dir}")
    (config / "site.yaml").write_text(text, encoding="utf-8")
    store = await Store.open(state_dir, quota_mb=64, raw_days=90)
    await store.audit(entry(1, "issued"), entry(1, "verified", after_s=2.0))
    await store.audit(entry(2, "issued", point="io1.valve_charge", after_s=5.0))
    await store.audit(entry(1, "effected", after_s=75.0))
    await store.close()
    return config


def asked(config: Path, *words: str) -> Result:
    return CliRunner().invoke(command, [*words, "--config", str(config)])


def test_entries_are_listed_oldest_first_and_open_commands_are_named(site: Path) -> None:
    done = asked(site, "--lang", "en")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "12:00:00" in lines[0], "in the plant's time"
    assert [line.split()[2] for line in lines[:4]] == ["1", "1", "2", "1"]
    assert "effected 75.0 s" in lines[3]
    assert "plan 2026-01-12T04:00Z; auto: li" in lines[3]
    assert lines[4:] == ["commands without an end yet: 2", "the chain is whole"]


def test_one_command_or_one_point_in_json(site: Path) -> None:
    answer = json.loads(asked(site, "--number", "1", "--json").stdout)
    assert answer["schema"] == "audit/1"
    assert [part["outcome"] for part in answer["entries"]] == ["issued", "verified", "effected"]
    assert (answer["broken_at"], answer["unfinished"]) == (None, [2])
    answer = json.loads(asked(site, "--point", "io1.valve_charge", "--json").stdout)
    assert [part["number"] for part in answer["entries"]] == [2]
    assert len(json.loads(asked(site, "--last", "2", "--json").stdout)["entries"]) == 2


def test_a_chain_that_was_touched_is_a_finding(site: Path) -> None:
    connection = sqlite3.connect(site.parent / "state" / "state.db")
    connection.execute("""UPDATE audit SET entry = replace(entry, '"auto: li"', '"nobody"') WHERE id = 2""")
    connection.commit()
    connection.close()
    done = asked(site, "--lang", "en")
    assert done.exit_code == 1
    assert "the chain is BROKEN at entry 2" in done.stdout


def test_without_records_it_says_so(site: Path) -> None:
    shutil.rmtree(site.parent / "state")
    assert asked(site, "--lang", "en").exit_code == 1
