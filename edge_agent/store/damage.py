"""Reads what is sound out of a damaged table: a range that cannot be read is halved until the holes are found."""

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

TRIES_MAX = 20_000
"""So many ranges are tried; a dead root page makes every one of them fail. Ours: some seconds."""
KEY_MAX = (1 << 63) - 1

Row = tuple[Any, ...]


def sound_rows(read: Callable[[int, int], list[Row]], *, low: int = 0, high: int = KEY_MAX) -> Iterator[Row]:
    """Rows that can be read, in no certain order.

    Args:
        read: returns the rows with keys from `low` to `high`, both within, or raises.
        low: lowest key.
        high: highest key.
    """
    ranges = deque([(low, high)])
    tries = 0
    while ranges and tries < TRIES_MAX:
        low, high = ranges.popleft()
        tries += 1
        try:
            rows = read(low, high)
        except (sqlite3.DatabaseError, OverflowError):
            # Widest first: one dead page does not keep the sound half of the file waiting.
            if low < high:
                middle = (low + high) // 2
                ranges += [(low, middle), (middle + 1, high)]
            continue
        yield from rows
