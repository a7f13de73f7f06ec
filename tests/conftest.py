"""What every test may ask for: foreign programs, and the shared data that a user does not have."""

import functools
import itertools
import logging
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

import pytest
from click.testing import CliRunner, Result
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from edge_agent.cli import main
from edge_agent.settings import yaml_file
from edge_agent.settings.finding import Finding

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

# The suite throws the same dice each time: red means that the code is another one. `long` throws new ones, ten times as
# many; slow searches take a share of the number. A busy machine is no reason to fail: no deadline for an example.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("long", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


TEST_S_MAX = 240
"""A test that takes longer fails by its name, the others go on; `faulthandler_timeout` ends what cannot be stopped."""
TEARDOWN_S_MAX = 30
"""After its limit a test is interrupted this often: what it waits for while it ends may never come either."""
SYSTEM = "tests/system/"
IN_ORDER = ("tests/system/test_refusals.py", "tests/system/test_season.py")
"""Files whose tests lead one service from state to state, or look at one dear run: they stay with one worker."""
PORT_FIRST = 21_000
NEXT_PORT = itertools.count()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Sets the alarm clock for a test with its fixtures."""

    def too_long(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"takes more than {TEST_S_MAX} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, TEST_S_MAX, TEARDOWN_S_MAX)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Teller:
    """Names a failure when it happens: of a run that is cut short it is known as well."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            cause = getattr(getattr(report.longrepr, "reprcrash", None), "message", str(report.longrepr))
            self._terminal.ensure_newline()
            self._terminal.write_line(f"FAILED {report.nodeid} {report.when}: {cause.partition(chr(10))[0]}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Where the results are gathered, beside workers or alone."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(terminal, pytest.TerminalReporter):
        config.pluginmanager.register(Teller(terminal))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Beside other workers the tests of the whole agent come first: they take longest, small ones fill the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: not item.nodeid.startswith(SYSTEM))


class Shares(LoadScopeScheduling):
    """What one worker takes at a time: a test of the whole agent, or a file of other tests."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file.startswith(SYSTEM) and file not in IN_ORDER else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """In the order of the collection, not by the number of tests in a file."""
    config.option.loadscopereorder = False
    return Shares(config, log)


@pytest.fixture(autouse=True)
def drivers_speak() -> Iterator[None]:
    """A verb that was run within a test silences the log of the drivers: the next test may want to read it."""
    logger = logging.getLogger("drivers")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def parsed_once() -> Iterator[None]:
    """The same bytes of a configuration file are parsed once for all tests: most tests change one file of five.

    Parsing is six sevenths of loading a configuration, 0.5 s each time.
    """
    parse = yaml_file.parse_document

    @functools.lru_cache(maxsize=256)
    def known(content: bytes, file: str) -> tuple[yaml_file.Document | None, tuple[Finding, ...]]:
        document, findings = parse(content, file=file)
        return document, tuple(findings)

    def once(content: bytes, *, file: str) -> tuple[yaml_file.Document | None, list[Finding]]:
        document, findings = known(content, file)
        return document, list(findings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_file, "parse_document", once)
        yield


@pytest.fixture
def need_program() -> Callable[[str], str]:
    """Returns a function: path of a foreign program, or a skip that names it.

    A program named in $REQUIRE must be there: its absence is then a failure, not a skip.
    """

    def find(name: str) -> str:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
        if path is None:
            message = f"{name} is not installed"
            if name in os.environ.get("REQUIRE", "").split():
                pytest.fail(f"{message}, and REQUIRE names it")
            pytest.skip(message)
        return path

    return find


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens, and that nobody is given before it is taken.

    The system hands out ports from 32768 on by itself; below, each process of a parallel run has its own hundred.
    """
    first = PORT_FIRST + 100 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for place in itertools.islice(NEXT_PORT, 100):  # never the last one: connections to it may still be dying
        port = first + place % 100
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    pytest.fail(f"all ports from {first} to {first + 99} are taken")


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """Returns a function: path of a measured data set, or a skip that names it; the sets never enter the project."""

    def find(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.exists():
            pytest.skip(f"measured data {name} is not here")
        return path

    return find


@pytest.fixture
def typed() -> Iterator[Callable[..., Result]]:
    """Yields a function: what `edge-agent` answers to these words, in this process and with nobody at the terminal.

    A verb runs its own event loop, so a coroutine hands the function to `asyncio.to_thread`. What the verb does not
    turn into a message and an exit status is raised.
    """

    def run(*words: str) -> Result:
        runner = CliRunner(env={"LANG": "C", "EDGE_AGENT_CONFIG": "/nonexistent"})
        result = runner.invoke(main, words, prog_name="edge-agent")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    drivers = logging.getLogger("drivers")  # verbs keep its log off the terminal, other tests read it
    level = drivers.level
    yield run
    drivers.setLevel(level)
