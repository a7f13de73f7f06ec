"""The names behind the numbers of a day file, kept twice: in their tables, and as one block with a CRC-32.

Without names nothing in the file can be told; so the block, on pages of its own, stands in when the tables are damaged,
and is believed before them.
"""

import json
import sqlite3
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from edge_agent.store.damage import sound_rows


@dataclass(frozen=True, slots=True)
class Names:
    """Names by number.

    Attributes:
        points: name and unit.
        words: causes and boot ids.
    """

    points: dict[int, tuple[str, str]]
    words: dict[int, str]


def keep(connection: sqlite3.Connection, points: Mapping[tuple[str, str], int], words: Mapping[str, int]) -> None:
    """Writes the block; the caller holds the transaction."""
    body = json.dumps([[[number, *name] for name, number in points.items()], [[n, text] for text, n in words.items()]])
    blob = zlib.compress(body.encode())
    connection.execute("INSERT OR REPLACE INTO names (id, crc, blob) VALUES (1, ?, ?)", (zlib.crc32(blob), blob))


def read(connection: sqlite3.Connection) -> Names:
    """The names of a file, sound or damaged; what can be read of them."""
    found = Names({}, {})
    # Tables first: they may know more than the block, which is believed where both know.
    for number, name, unit in _rows(
        connection, "SELECT id, name, unit FROM point WHERE id BETWEEN ? AND ? ORDER BY id"
    ):
        if isinstance(name, str) and isinstance(unit, str):
            found.points[number] = name, unit
    for number, text in _rows(connection, "SELECT id, text FROM word WHERE id BETWEEN ? AND ? ORDER BY id"):
        if isinstance(text, str):
            found.words[number] = text
    block = _block(connection)
    if block is not None:
        found.points.update(block.points)
        found.words.update(block.words)
    return found


def _rows(connection: sqlite3.Connection, query: str) -> list[tuple[int, ...]]:
    return list(sound_rows(lambda low, high: connection.execute(query, (low, high)), high=NUMBER_MAX))


NUMBER_MAX = 1 << 20
"""More points or words than a file ever names."""


def _block(connection: sqlite3.Connection) -> Names | None:
    try:
        row = connection.execute("SELECT crc, blob FROM names WHERE id = 1").fetchone()
        if row is None or zlib.crc32(row[1]) != row[0]:
            return None
        points, words = json.loads(zlib.decompress(row[1]))
    except (sqlite3.Error, TypeError, ValueError, zlib.error):
        return None
    return Names({number: (name, unit) for number, name, unit in points}, dict(words))
