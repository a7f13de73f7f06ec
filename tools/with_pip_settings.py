"""Runs a command with the machine's pip index settings translated for uv, which does not read pip's configuration.

Usage: with_pip_settings.py COMMAND [ARGUMENT ...]
"""

import configparser
import os
import subprocess
import sys
from pathlib import Path

# pip's option -> uv's environment variable
TRANSLATION = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}


def config_files() -> list[Path]:
    """The files pip reads, in the order in which later ones win."""
    home = Path.home()
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    files = [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", home / ".config" / "pip" / "pip.conf"]
    return [*files, Path(named)] if named else files


def pip_settings() -> dict[str, str]:
    """Options from pip's files, then from PIP_* variables."""
    found: dict[str, str] = {}
    parser = configparser.RawConfigParser()
    for file in config_files():
        if file.is_file():
            parser.read(file, encoding="utf-8")
    for section in ("global", "install"):
        if parser.has_section(section):
            found.update(parser.items(section))
    for option in TRANSLATION:
        value = os.environ.get("PIP_" + option.upper().replace("-", "_"))
        if value:
            found[option] = value
    return found


def is_there(location: str) -> bool:
    """False for a local folder that does not exist: pip only warns there, uv stops."""
    if "://" in location and not location.startswith("file://"):
        return True
    return Path(location.removeprefix("file://")).exists()


def main() -> int:
    """Translates, runs, and hands on the exit status."""
    environment = dict(os.environ)
    for option, value in pip_settings().items():
        variable = TRANSLATION.get(option)
        if variable is None or variable in environment:
            continue
        locations = [item for item in value.split() if is_there(item)]
        if locations:
            separator = "," if variable == "UV_FIND_LINKS" else " "
            environment[variable] = separator.join(locations)
    # A locked version may stand on any of the indexes; the hashes say that it is the right one.
    environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return subprocess.run(sys.argv[1:], env=environment, check=False).returncode  # noqa: S603 - the caller's own command


if __name__ == "__main__":
    sys.exit(main())
