"""Secrets of an uplink: files beside the configuration or in systemd's credential folder, never in YAML, never logged.

A credential has a name in uplink.yaml; what belongs to it lies in files of that name:

    NAME.user    user and password of a broker, one a line
    NAME.crt     our certificate, PEM, with its chain
    NAME.key     its key, PEM
    NAME.ca      authorities that the platform's certificate must come from, PEM; without it those of the machine
    NAME.crl     certificates that those authorities have revoked, PEM; without it none is looked up
    NAME         anything else, e.g. the keys of a platform; its transport knows the form

They are read anew for each connection, so that a renewed one is used without a restart.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import RetryUplink

BYTES_MAX = 1_000_000
"""A larger file is no credential."""


def folders(config: Path) -> tuple[Path, ...]:
    """Where credentials lie: systemd's folder first, then the configuration's."""
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    return (Path(given), config) if given else (config,)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files of one name.

    Attributes:
        name: as in uplink.yaml.
        folders: where they may lie; the first that has a file wins.
    """

    name: str
    folders: Sequence[Path]

    def path(self, ending: str = "") -> Path | None:
        """The file with an ending such as `.key`; None: there is none."""
        return next((path for folder in self.folders if (path := folder / f"{self.name}{ending}").is_file()), None)

    def text(self, ending: str = "") -> str | None:
        """What it says; None: there is none.

        Raises:
            RetryUplink: it is there and cannot be read.
        """
        path = self.path(ending)
        if path is None:
            return None
        try:
            if path.stat().st_size > BYTES_MAX:
                raise RetryUplink(f"{path}: 太大,不是凭据 / too large for a credential")
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            # The reason alone: what the file holds must not get into a message.
            raise RetryUplink(f"{path}: 凭据读不出 / credential cannot be read: {type(error).__name__}") from error

    def login(self) -> tuple[str | None, str | None]:
        """User and password from NAME.user; None where it says nothing.

        Raises:
            RetryUplink: the file cannot be read.
        """
        lines = (self.text(".user") or "").splitlines()
        return (lines[0] if lines else None, lines[1] if len(lines) > 1 else None)
