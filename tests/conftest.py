"""What every test may ask for: foreign programs, and the shared data that a user does not have."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


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
