"""The rollups of one period as bytes: columns of numbers, compressed. Names are numbers from the file's dictionary.

Layout 1, little-endian, zlib: u32 count; then for all points u32 point, f64 mean, minimum, maximum, first, last (NaN:
none), f64 good_ratio, u32 count.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence

from edge_agent.errors import StoreFault
from edge_agent.rollup import Period, Rollup
from edge_agent.store.frame_codec import number, value

LAYOUT = 1
_COUNT = struct.Struct("<I")
_COMPRESSION = 1


def encode(rollups: Sequence[Rollup], *, ids: Mapping[str, int]) -> bytes:
    """Rollups of one period to bytes."""
    count = len(rollups)
    body = struct.pack(
        f"<I{count}I{6 * count}d{count}I",
        count,
        *(ids[rollup.point] for rollup in rollups),
        *(number(rollup.mean) for rollup in rollups),
        *(number(rollup.minimum) for rollup in rollups),
        *(number(rollup.maximum) for rollup in rollups),
        *(number(rollup.first) for rollup in rollups),
        *(number(rollup.last) for rollup in rollups),
        *(rollup.good_ratio for rollup in rollups),
        *(rollup.count for rollup in rollups),
    )
    return zlib.compress(body, _COMPRESSION)


def decode(blob: bytes, *, layout: int, period: Period, names: Mapping[int, str], only: int | None) -> list[Rollup]:
    """Bytes to rollups.

    Args:
        blob: the bytes.
        layout: their layout.
        period: the period they belong to.
        names: names of points by number.
        only: number of the one point wanted; None for all.

    Raises:
        StoreFault: unknown layout.
    """
    if layout != LAYOUT:
        raise StoreFault(f"rollups of unknown layout {layout}")
    body = zlib.decompress(blob)
    (count,) = _COUNT.unpack_from(body)
    numbers = struct.unpack_from(f"<{count}I{6 * count}d{count}I", body, _COUNT.size)
    return [
        Rollup(
            point=names[numbers[at]],
            start_utc=period.start_utc,
            period_min=period.length_min,
            mean=value(numbers[count + at]),
            minimum=value(numbers[2 * count + at]),
            maximum=value(numbers[3 * count + at]),
            first=value(numbers[4 * count + at]),
            last=value(numbers[5 * count + at]),
            good_ratio=numbers[6 * count + at],
            count=numbers[7 * count + at],
        )
        for at in range(count)
        if only is None or numbers[at] == only
    ]
