"""The rollups of one period as bytes: columns of numbers, compressed. Names are numbers from the file's dictionary.

Layout 1, little-endian, zlib: u32 count; then for all points u32 point, f64 mean, minimum, maximum, first, last (NaN:
none), f64 good_ratio, u32 count. Layout 2: the same, and u8 quality of the clock at the end; written only where a
clock was not trusted, so that an older release reads all the others.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence

from edge_agent.clock_quality import ClockQuality
from edge_agent.errors import StoreFault
from edge_agent.rollup import Period, Rollup
from edge_agent.store.frame_codec import number, value

PLAIN, CLOCKED = 1, 2
"""Layouts without and with the column of the clock."""
_COUNT = struct.Struct("<I")
_COMPRESSION = 1


def encode(rollups: Sequence[Rollup], *, ids: Mapping[str, int]) -> tuple[int, bytes]:
    """Rollups of one period to layout and bytes."""
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
    clocks = bytes(rollup.clock for rollup in rollups)
    layout = CLOCKED if any(clocks) else PLAIN
    return layout, zlib.compress(body + clocks if layout == CLOCKED else body, _COMPRESSION)


def decode(blob: bytes, *, layout: int, period: Period, names: Mapping[int, str], only: int | None) -> list[Rollup]:
    """Bytes to rollups.

    Args:
        blob: the bytes.
        layout: their layout.
        period: the period they belong to.
        names: names of points by number.
        only: number of the one point wanted; None for all.

    Raises:
        StoreFault: unknown layout, or the bytes are not what was written.
    """
    if layout not in (PLAIN, CLOCKED):
        raise StoreFault(f"rollups of unknown layout {layout}")
    try:
        body = zlib.decompress(blob)  # which carries a checksum of its own
        (count,) = _COUNT.unpack_from(body)
        form = f"<{count}I{6 * count}d{count}I"
        numbers = struct.unpack_from(form, body, _COUNT.size)
    except (zlib.error, struct.error, TypeError) as error:
        raise StoreFault(f"rollups damaged: {error}") from error
    clocks = body[_COUNT.size + struct.calcsize(form) :] if layout == CLOCKED else bytes(count)
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
            clock=ClockQuality(clocks[at]),
        )
        for at in range(count)
        if (only is None or numbers[at] == only) and numbers[at] in names
    ]
