"""Finds the file of a device model: shipped with the package, or a plant's own beside its configuration. Pure paths."""

from collections.abc import Mapping
from pathlib import Path

from drivers.errors import ProfileFault
from drivers.profile_check import nearest

SHIPPED_DIR = Path(__file__).parent / "profiles"


def shipped() -> Mapping[str, Path]:
    """Returns the files that come with the package, by profile id."""
    return profiles_in(SHIPPED_DIR)


def profiles_in(folder: Path) -> Mapping[str, Path]:
    """Returns the profile files of a folder by id; a folder that does not exist holds none."""
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find(name: str, extra: Path | None) -> Path:
    """Finds a profile; the plant's own folder goes before the shipped one.

    Args:
        name: id of the profile.
        extra: the plant's own folder, if it has one.

    Raises:
        ProfileFault: no such profile.
    """
    known = dict(shipped()) | (dict(profiles_in(extra)) if extra is not None else {})
    if name not in known:
        raise ProfileFault(f"no profile {name!r}{nearest(name, known)}", code="profile_unknown", at=("profile",))
    return known[name]
