"""Checks folders that the site file names, as far as their names alone tell: whether a socket can lie in them."""

from collections.abc import Iterator, Mapping

from edge_agent.settings.finding import Finding
from edge_agent.settings.yaml_file import Document

SOCKET_PATH_BYTES_MAX = 107
"""Longest path of a Unix socket. Source: unix(7): `sun_path` has 108 bytes, with the zero behind it."""
SOCKET_NAME_BYTES = len("/agent.sock")


def check_paths(site: Document) -> Iterator[Finding]:
    """A state folder too deep for the socket by which verbs reach the service; systemd's runtime folder is short.

    Args:
        site: site.yaml as it was read.
    """
    media = site.data.get("storage_media")
    folder = media.get("state_dir") if isinstance(media, Mapping) else None
    if not isinstance(folder, str):
        return
    room = SOCKET_PATH_BYTES_MAX - SOCKET_NAME_BYTES
    given = len(folder.rstrip("/").encode())
    if given > room:
        at = ("storage_media", "state_dir")
        yield site.finding("state_dir_too_long", at, warning=True, given=str(given), most=str(room))
