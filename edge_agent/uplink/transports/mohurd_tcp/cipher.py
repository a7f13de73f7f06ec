"""The cipher and the challenge of the city platform's TCP protocol; the AES itself is the cryptography library's. Pure.

Both are what the protocol asks for and no more: AES-CBC without authentication and MD5 protect nothing against somebody
on the wire. What arrives is treated as hostile whether it can be deciphered or not.
"""

import hashlib

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from edge_agent.settings.dialect import Body, Crypt, Login
from edge_agent.uplink.transports.mohurd_tcp.faults import BadCipher

BLOCK_BYTES = 16
KEY_BYTES = (16, 24, 32)
"""Lengths of an AES key; the protocol uses the first."""


def fitted(key: str) -> bytes:
    """A key as bytes: 16 characters as they are, others cut or filled up with ASCII zeros on the left.

    Source: a platform's setkey example carries a key of fewer characters; the public test key shows the filling.
    """
    raw = key.encode("utf-8")
    return raw if len(raw) in KEY_BYTES else raw[-BLOCK_BYTES:].rjust(BLOCK_BYTES, b"0")


class TextCipher:
    """Texts to contents and back, under one key."""

    def __init__(self, crypt: Crypt, body: Body, *, key: bytes, iv: bytes) -> None:
        """Takes the key.

        Args:
            crypt: the dialect's cipher.
            body: the dialect's text.
            key: 16, 24 or 32 bytes.
            iv: 16 bytes; not used in every dialect.
        """
        self._encoding = body.encoding
        self._fill = crypt.fill
        mode: modes.Mode
        if crypt.mode == "ecb":
            mode = modes.ECB()  # noqa: S305 - what the platform asks for
        else:
            mode = modes.CBC({"key": key[:BLOCK_BYTES], "zero": bytes(BLOCK_BYTES), "own": iv}[crypt.iv])
        self._cipher = Cipher(algorithms.AES(key), mode)

    def encipher(self, text: str) -> bytes:
        """A text, filled up and enciphered."""
        plain = text.encode(self._encoding)
        count = -len(plain) % BLOCK_BYTES
        if self._fill == "pkcs7":
            plain += bytes((BLOCK_BYTES - len(plain) % BLOCK_BYTES,)) * (BLOCK_BYTES - len(plain) % BLOCK_BYTES)
        else:
            filler = {"ascii_zero": "0", "zero": "\0", "space": " "}[self._fill].encode(self._encoding)
            plain += (filler * BLOCK_BYTES)[:count]
        encryptor = self._cipher.encryptor()
        return encryptor.update(plain) + encryptor.finalize()

    def decipher(self, content: bytes) -> bytes:
        """The text's bytes, with whatever fills them up.

        Raises:
            BadCipher: no whole number of blocks.
        """
        if len(content) % BLOCK_BYTES:
            raise BadCipher(f"{len(content)} B are no whole number of blocks")
        decryptor = self._cipher.decryptor()
        return decryptor.update(content) + decryptor.finalize()


def plain_text(raw: bytes, *, encoding: str) -> str:
    """Bytes as text up to the last `>`: what fills up the last block, whatever it is, is cut off.

    Raises:
        BadCipher: it is no text in this encoding, as after deciphering with another key.
    """
    mark = ">".encode(encoding)
    end = raw.rfind(mark)
    while end > 0 and end % len(mark):
        end = raw.rfind(mark, 0, end + len(mark) - 1)
    if end < 0:
        raise BadCipher("there is no `>` in it: other keys, or no XML")
    try:
        return raw[: end + len(mark)].decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadCipher(f"not {encoding}: other keys, or another encoding") from error


def challenge_answer(sequence: str, key: str, *, login: Login) -> str:
    """MD5 over the platform's sequence and the key, as 32 hex digits.

    Args:
        sequence: as it came, without blanks around it.
        key: the collector's own.
        login: the dialect's login.
    """
    joined = sequence + key if login.md5_order == "sequence_key" else key + sequence
    digest = hashlib.md5(joined.encode("utf-8"), usedforsecurity=False).hexdigest()
    return digest.upper() if login.md5_case == "upper" else digest
