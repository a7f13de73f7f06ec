"""Verbs that read the store beside the service, on damaged files: one line that names the file and the remedy."""

import asyncio
import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from drivers.sample import good
from edge_agent.cli.audit import command as audit
from edge_agent.cli.backtest import command as backtest
from edge_agent.cli.export import command as export
from edge_agent.cli.upload import command as upload
from edge_agent.rollup import Period
from edge_agent.store import database
from edge_agent.store.rows import AuditEntry, OutboxEntry
from edge_agent.store.store import Store

CONFIG = Path(__file__).parents[3] / "config" / "plants" / "ground-office"
NOON_UTC = datetime(2026, 1, 12, 4, tzinfo=UTC)
SPAN = ("--from", "2026-01-12T00:00Z", "--to", "2026-01-13T00:00Z")


async def filled(state_dir: Path) -> None:
    """A store whose service has recorded, commanded and delivered something."""
    store = await Store.open(state_dir, quota_mb=64, raw_days=90)
    for number in range(100):
        at_utc = NOON_UTC + timedelta(seconds=10 * number)
        samples = [good(f"hp1.p{point}", at_utc, number + point / 7, "kW") for point in range(40)]
        await store.append_frame(samples, instant_utc=at_utc, elapsed_s=0.0)
    for number in range(40):
        period = Period(NOON_UTC + number * timedelta(minutes=15), 15)
        await store.close_period(period, [], [OutboxEntry("owner", lambda _epoch, _seq: b"{}" * 40)])
    entry = AuditEntry(NOON_UTC, "liu", "c", "p", 0.0, 1.0, 1.0, "effected", "", 1.0, 1)
    await store.audit(*[entry] * 40)
    await store.close()


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Filled once, copied for each test."""
    state_dir = tmp_path_factory.mktemp("master")
    asyncio.run(filled(state_dir))
    return state_dir


@pytest.fixture
def site(tmp_path: Path, master: Path) -> Path:
    """A configuration with such a store."""
    config, state_dir = tmp_path / "config", tmp_path / "state"
    shutil.copytree(CONFIG, config)
    shutil.copytree(master, state_dir)
    text = (config / "site.yaml").read_text(encoding="utf-8")
    text = text.replace("state_dir: /var/lib/edge-agent", f"state_dir: {state_dir}")
    (config / "site.yaml").write_text(text, encoding="utf-8")
    return config


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def beheaded(path: Path) -> None:
    path.write_bytes(b"not a database, " * 256 + path.read_bytes()[4096:])


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 4096 * 5])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in range(4096, len(content), 4096):
        content[at : at + 64] = bytes(64)
    path.write_bytes(content)


Damage = Callable[[Path], None]
DAMAGES = (emptied, beheaded, cut_off, flipped)
VERBS = {
    "audit": (audit, ()),
    "upload": (upload, ("verify", *SPAN)),
    "backtest": (backtest, ("--from", "2026-01-12", "--to", "2026-01-13")),
}


def asked(verb: click.Command, config: Path, *words: str) -> Result:
    return CliRunner().invoke(verb, [*words, "--config", str(config)])


@pytest.mark.parametrize(
    ("verb", "damage"), [*(("audit", damage) for damage in DAMAGES), ("upload", emptied), ("backtest", beheaded)]
)
def test_a_damaged_state_is_named_with_its_remedy_and_left_as_it_is(site: Path, verb: str, damage: Damage) -> None:
    path = site.parent / "state" / "state.db"
    damage(path)
    before = path.read_bytes()
    command, words = VERBS[verb]
    done = asked(command, site, *words)
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert str(path) in line
    assert "服务重启时自动另存并抢救" in line
    assert "at its next start the service sets it aside and salvages it" in line
    assert path.read_bytes() == before


@pytest.mark.parametrize(("damage", "language"), [(emptied, "zh"), (beheaded, "en"), (cut_off, "zh"), (flipped, "en")])
def test_a_damaged_day_gives_what_is_sound_and_says_that_it_is_not_all(
    site: Path, damage: Damage, language: str
) -> None:
    whole = asked(export, site, *SPAN)
    assert (whole.exit_code, whole.stderr) == (0, "")
    (path,) = (site.parent / "state" / "frames").glob("*.db")
    damage(path)
    before = path.read_bytes()
    done = asked(export, site, *SPAN, "--lang", language)
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert str(path) in line
    assert ("磁盘健康" if language == "zh" else "disk's health") in line
    assert set(done.stdout.splitlines()) < set(whole.stdout.splitlines()), "nothing is invented"
    assert path.read_bytes() == before
    done = asked(export, site, *SPAN, "--json")
    assert json.loads(done.stdout)["damaged"] == [str(path)]


def test_a_state_of_an_older_release_says_so(site: Path) -> None:
    path = site.parent / "state" / "state.db"
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(database.scripts("schema")[0] + "PRAGMA user_version = 1;")
    done = asked(upload, site, "verify", *SPAN)
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert str(path) in line
    assert "启动一次服务即升级" in line
    assert asked(audit, site).exit_code == 0, "what it has is read"


@pytest.mark.parametrize("closed", ["", "state.db", "frames"])
def test_who_has_no_leave_is_told_whose_leave_it_takes(
    site: Path, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's folder is closed to everybody else; as whoever runs the tests, the refusal is the system's word."""
    closed_path = site.parent / "state" / closed
    state = site.parent / "state"
    stat, iterdir = Path.stat, Path.iterdir

    def refused(path: Path) -> None:
        if path == closed_path or (not closed and closed_path in path.parents):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    def no_stat(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if not closed and self != state:
            refused(self)
        return stat(self, follow_symlinks=follow_symlinks)

    def no_list(self: Path) -> Iterator[Path]:
        refused(self)
        return iterdir(self)

    def no_open(path: Path) -> sqlite3.Connection:
        refused_by_sqlite = sqlite3.OperationalError("unable to open database file")
        refused_by_sqlite.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        if path == closed_path:
            raise refused_by_sqlite
        return open_read(path)

    open_read = database.open_read
    monkeypatch.setattr(Path, "stat", no_stat)
    monkeypatch.setattr(Path, "iterdir", no_list)
    monkeypatch.setattr(database, "open_read", no_open)
    verb = export if closed == "frames" else audit
    done = asked(verb, site, *(SPAN if verb is export else ()))
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert str(closed_path) in line
    assert "sudo -u edge-agent" in line
