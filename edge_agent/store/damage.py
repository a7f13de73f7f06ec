"""Reads what is sound out of a damaged table: up to a hole, over it, and what lies between the holes.

A page that cannot be read makes every range fail that touches it. Rows come in the order of their key until that
happens; then the first sound key beyond is looked for at doubled distances, and the stretch between is halved until
only the hole is left.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

TRIES_MAX = 4000
"""So many ranges of one stretch are tried. Ours: below a second."""
HOLES_MAX = 2000
"""A table with more holes than this is given up at the last of them."""
STRAY_KEYS, STRAY_TRIES_MAX = 4096, 250
"""Where nothing sound is found beyond a hole, so many keys behind it are searched, with so many tries."""
KEY_MAX = (1 << 63) - 1
FAULTS = (sqlite3.DatabaseError, OverflowError)

Row = tuple[Any, ...]
Read = Callable[[int, int], Iterable[Row]]


def sound_rows(read: Read, *, key_at: int = 0, low: int = 0, high: int = KEY_MAX, step: int = 1) -> Iterator[Row]:
    """Rows that can be read.

    Args:
        read: gives the rows with keys from `low` to `high`, both within, in their order, or raises on the way.
        key_at: place of the key in a row.
        low: lowest key.
        high: highest key.
        step: least distance of two keys.
    """
    for _ in range(HOLES_MAX):
        try:
            for row in read(low, high):
                key = row[key_at]
                if not isinstance(key, int) or key < low:
                    raise sqlite3.DatabaseError(f"key {key!r} below {low}")
                yield row
                low = key + 1
        except FAULTS:
            pass
        else:
            return
        beyond = _beyond(read, low, high, step)
        if beyond is None:
            yield from _halved(read, low, min(high, low + step * STRAY_KEYS), step, tries_max=STRAY_TRIES_MAX)
            return
        yield from _halved(read, low, beyond, step, tries_max=TRIES_MAX)
        if beyond >= high:
            return
        low = beyond + 1


def _beyond(read: Read, low: int, high: int, step: int) -> int | None:
    """A sound key behind a hole that begins at `low`; None when there is none."""
    distance = step
    while low + distance <= high:
        try:
            for _ in read(low + distance, low + distance):
                pass
        except FAULTS:
            distance *= 2
        else:
            return low + distance
    return None


def _halved(read: Read, low: int, high: int, step: int, *, tries_max: int) -> Iterator[Row]:
    """Rows of a stretch with a hole in it, widest ranges first."""
    ranges = deque([(low, high)])
    tries = 0
    while ranges and tries < tries_max:
        low, high = ranges.popleft()
        tries += 1
        try:
            rows = list(read(low, high))
        except FAULTS:
            if high - low >= step:
                middle = (low + high) // 2
                ranges += [(low, middle), (middle + 1, high)]
            continue
        yield from rows
