"""Folders in memory: a commit costs no flush of a disk there, and what a flush is good for is tried by `make crash`."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")  # noqa: S108 - only for tests, each has its own folder below


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where the machine has such; else the ordinary one."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="store-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
