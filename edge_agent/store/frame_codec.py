"""A frame of samples as bytes: columns of numbers, compressed. Names are numbers from the file's own dictionary.

Layout 1, little-endian, zlib: u32 count; then for all samples u32 point, i64 instant [us since 1970 UTC], f64 value
(NaN: none), u8 quality, u16 cause. Layout 2: the same, and f64 correction at the end. A frame without any correction
is written in layout 1, so that a release before corrections reads all but the frames that have one.
"""

import math
import struct
import zlib
from dataclasses import dataclass

from edge_agent.errors import StoreFault

PLAIN, CORRECTED = 1, 2
"""Layouts without and with the column of corrections."""
_COUNT = struct.Struct("<I")
_COMPRESSION = 1  # measured: level 6 saves 4 % of the bytes and doubles the time


@dataclass(frozen=True, slots=True)
class Columns:
    """The samples of a frame, column by column.

    Attributes:
        points: numbers of points in the file's dictionary.
        instants_us: instants [microseconds since 1970 UTC].
        values: values; NaN for none.
        qualities: quality codes.
        causes: numbers of causes in the file's dictionary.
        corrections: what makes totals continuous, in the unit of the point; 0 for everything else.
    """

    points: tuple[int, ...]
    instants_us: tuple[int, ...]
    values: tuple[float, ...]
    qualities: tuple[int, ...]
    causes: tuple[int, ...]
    corrections: tuple[float, ...]

    @property
    def layout(self) -> int:
        """The layout that holds them."""
        return CORRECTED if any(self.corrections) else PLAIN


def encode(columns: Columns) -> bytes:
    """Columns to bytes of their layout."""
    count = len(columns.points)
    body = struct.pack(
        f"<I{count}I{count}q{count}d{count}B{count}H",
        count,
        *columns.points,
        *columns.instants_us,
        *columns.values,
        *columns.qualities,
        *columns.causes,
    )
    if columns.layout == CORRECTED:
        body += struct.pack(f"<{count}d", *columns.corrections)
    return zlib.compress(body, _COMPRESSION)


def decode(blob: bytes, *, layout: int, crc: int, own: int | None = None) -> Columns:
    """Bytes to columns.

    Args:
        blob: the bytes.
        layout: their layout.
        crc: the CRC-32 that was written.
        own: the CRC-32 that stands for the row as it was read; None: that of the bytes alone.

    Raises:
        StoreFault: the bytes are not what was written.
    """
    own = zlib.crc32(blob) if own is None else own
    if own != crc:
        raise StoreFault(f"frame damaged: CRC-32 {own:08x} instead of {crc:08x}")
    if layout not in (PLAIN, CORRECTED):
        raise StoreFault(f"frame of unknown layout {layout}")
    body = zlib.decompress(blob)
    (count,) = _COUNT.unpack_from(body)
    form = f"<{count}I{count}q{count}d{count}B{count}H"
    numbers = struct.unpack_from(form, body, _COUNT.size)
    points, instants_us, values, qualities, causes = (numbers[at * count : (at + 1) * count] for at in range(5))
    corrections: tuple[float, ...] = (0.0,) * count
    if layout == CORRECTED:
        corrections = struct.unpack_from(f"<{count}d", body, _COUNT.size + struct.calcsize(form))
    return Columns(points, instants_us, values, qualities, causes, corrections)


def number(value: float | None) -> float:
    """A value as it stands in a column."""
    return math.nan if value is None else value


def value(number: float) -> float | None:
    """A number of a column as a value."""
    return None if math.isnan(number) else number
