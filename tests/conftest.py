"""What every test may ask for: foreign programs, and the shared data that a user does not have."""

import functools
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import settings

from edge_agent.cli import main
from edge_agent.settings import yaml_file
from edge_agent.settings.finding import Finding

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

settings.register_profile("long", max_examples=1000)  # ten times as many; slow searches take a share of this number
if "HYPOTHESIS_PROFILE" in os.environ:
    settings.load_profile(os.environ["HYPOTHESIS_PROFILE"])


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
