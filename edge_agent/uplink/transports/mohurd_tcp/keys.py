"""The keys of one collector at one platform: those of the credential file, and those that the platform has set since.

A key that the platform sets is kept beside the old one, used from the next login on, and believed once a login with it
has passed. When that login fails, the next one is tried with the old keys, and so on in turn: nobody can say which side
is right, but one of them gets in. New keys in the credential file end what the platform has set. Pure.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

from typing_extensions import override

from edge_agent.uplink.transports.mohurd_tcp.words import KEY_CHARACTERS_MAX

KeyKind = Literal["md5_key", "aes_key", "aes_iv"]


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """What a login and the cipher need; never shown.

    Attributes:
        md5_key: joined with the challenge.
        aes_key: of the cipher; empty where nothing is enciphered.
        aes_iv: initial vector; empty: the key.
    """

    md5_key: str
    aes_key: str = ""
    aes_iv: str = ""

    @override
    def __repr__(self) -> str:
        """Nothing of it: it must not get into a log."""
        return "Keys(...)"


def read_credentials(text: str) -> Keys:
    """Reads a credential file: lines `md5_key: ...`, `aes_key: ...`, `aes_iv: ...`; a line with # is a remark.

    Raises:
        ValueError: it is not such a file; the message shows nothing of its content.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, separator, value = line.partition(":")
        name, value = name.strip(), value.strip().strip("\"'")
        if not separator or name not in {"md5_key", "aes_key", "aes_iv"} or name in found:
            raise ValueError(f"line {number} is not `md5_key: ...`, `aes_key: ...` or `aes_iv: ...`, each once")
        if not 0 < len(value) <= KEY_CHARACTERS_MAX:
            raise ValueError(f"line {number}: a key has 1 to {KEY_CHARACTERS_MAX} characters")
        found[name] = value
    if "md5_key" not in found:
        raise ValueError("md5_key is missing")
    return Keys(**found)


class KeyRing:
    """The keys, old and new."""

    def __init__(self, given: Keys, kept: str | None = None) -> None:
        """Takes up what was kept.

        Args:
            given: of the credential file.
            kept: what `to_text` gave in an earlier run.
        """
        self._mark = _mark(given)
        self._proven = given
        self._fresh: Keys | None = None
        self._old_next = False
        if kept is not None:
            self._take_up(kept)

    def _take_up(self, kept: str) -> None:
        try:
            known = json.loads(kept)
            if known["given"] != self._mark:
                return  # the operator has put new keys into the credential file
            self._proven = Keys(**known["proven"])
            self._fresh = Keys(**known["fresh"]) if known["fresh"] is not None else None
        except (ValueError, KeyError, TypeError):
            return  # unreadable: the credential file counts, and the platform will say if it does not like it

    def to_text(self) -> str:
        """What must be kept over a restart; a secret."""
        fresh = None if self._fresh is None else asdict(self._fresh)
        return json.dumps({"given": self._mark, "proven": asdict(self._proven), "fresh": fresh})

    def given_is(self, given: Keys) -> bool:
        """Whether the credential file still says what it said."""
        return self._mark == _mark(given)

    def restore(self, kept: str) -> None:
        """Goes back to what `to_text` gave a moment ago."""
        self._take_up(kept)

    @property
    def for_login(self) -> Keys:
        """The keys of the next login."""
        return self._proven if self._fresh is None or self._old_next else self._fresh

    def set_by_platform(self, kind: KeyKind, value: str) -> None:
        """Keeps a new key beside the old one."""
        self._fresh = replace(self._fresh or self._proven, **{kind: value})
        self._old_next = False

    def passed(self) -> bool | None:
        """A login has passed: True, the new keys count from now on; False, the old ones are back; None, nothing new."""
        if self._fresh is None:
            return None
        new = not self._old_next
        if new:
            self._proven = self._fresh
        # The old ones passed: the platform has forgotten what it set. It may set it again.
        self._fresh, self._old_next = None, False
        return new

    def failed(self) -> bool:
        """A login has failed; True when the next one goes with other keys."""
        if self._fresh is None:
            return False
        self._old_next = not self._old_next
        return True


def _mark(keys: Keys) -> str:
    """Tells whether keys are others, without being them."""
    return hashlib.sha256(json.dumps(asdict(keys)).encode()).hexdigest()
