"""A quarter of an hour of frames as columns: nothing is rounded, what comes out is what was accepted.

Layout 1, little-endian, LZMA2. Integers stand as `lowest, width, differences from it`, so that equal ones cost nothing.
Points of one request share their column of frames and instants. Values are whole numbers times a ratio where that gives
every bit back, else float32 where that does, else float64; a sample without a value has none here either.
"""

import lzma
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from edge_agent.errors import StoreFault

LAYOUT = 1
_FILTERS = ({"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20},)
"""Measured: 11 % smaller than zlib; a megabyte holds a whole quarter of an hour, and memory stays small."""
_WIDTHS = ((0, ""), (1 << 8, "B"), (1 << 16, "H"), (1 << 32, "I"), (1 << 64, "Q"))
_RATIOS = (
    *((1, 10**exponent) for exponent in range(7)),
    *((2500, 9), (250, 9), (25, 9), (5, 18), (1, 36)),
)
"""What a whole number on the wire is multiplied with, as drivers do: decimals, and GJ or MJ of so many decimals in kWh
(1 GJ = 2500/9 kWh). The place in this list is written into files: it only grows."""
_WHOLE_MAX = 1 << 53
"""Whole numbers up to here are exact in a float64."""
_FLOAT32, _FLOAT64, _RATIO = range(3)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a frame knows beside its samples.

    Attributes:
        seq: number of the frame.
        instant_us: instant of the scan [us since 1970 UTC].
        elapsed_us: reading of the monotonic clock [us].
        boot: number of the boot's id in the file's words.
        clock: quality of the clock; None: not known.
        sample_min_us: oldest sample [us since 1970 UTC].
        sample_max_us: newest sample.
    """

    seq: int
    instant_us: int
    elapsed_us: int
    boot: int
    clock: int | None
    sample_min_us: int
    sample_max_us: int


@dataclass(frozen=True, slots=True)
class Series:
    """The samples of one point, in the order of acceptance.

    Attributes:
        point: number in the file's dictionary.
        frames: for each sample the place of its frame among the segment's marks.
        instants_us: instants [us since 1970 UTC].
        values: values; NaN for none.
        qualities: quality codes.
        causes: numbers of causes in the file's dictionary.
        corrections: what makes totals continuous.
    """

    point: int
    frames: tuple[int, ...]
    instants_us: tuple[int, ...]
    values: tuple[float, ...]
    qualities: tuple[int, ...]
    causes: tuple[int, ...]
    corrections: tuple[float, ...]


class _Writer:
    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def integers(self, numbers: Sequence[int]) -> None:
        lowest = min(numbers, default=0)
        span = max(numbers, default=0) - lowest
        width = next(number for number, (limit, _) in enumerate(_WIDTHS) if span < max(limit, 1))
        self.parts.append(struct.pack("<qB", lowest, width))
        if width:
            self.parts.append(
                struct.pack(f"<{len(numbers)}{_WIDTHS[width][1]}", *(number - lowest for number in numbers))
            )

    def differences(self, numbers: Sequence[int]) -> None:
        self.integers(numbers[:1])
        self.integers([after - before for before, after in pairwise(numbers)])

    def floats(self, numbers: Sequence[float]) -> None:
        exact = struct.pack(f"<{len(numbers)}d", *numbers)
        for place, (numerator, denominator) in enumerate(_RATIOS):
            if not all(abs(number) * denominator < _WHOLE_MAX for number in numbers):
                continue
            whole = [round(number * denominator / numerator) for number in numbers]
            if struct.pack(f"<{len(numbers)}d", *(n * numerator / denominator for n in whole)) == exact:
                self.parts.append(struct.pack("<BB", _RATIO, place))
                self.differences(whole)
                return
        form, width, raw = _FLOAT64, 8, exact
        try:
            short = struct.pack(f"<{len(numbers)}f", *numbers)
        except OverflowError:
            short = b""
        if short and struct.pack(f"<{len(numbers)}d", *struct.unpack(f"<{len(numbers)}f", short)) == exact:
            form, width, raw = _FLOAT32, 4, short
        self.parts.append(struct.pack("<BB", form, 0))
        self.parts.append(b"".join(raw[at::width] for at in range(width)))  # like bytes side by side: LZMA finds them


class _Reader:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0

    def take(self, form: str) -> tuple[int, ...]:
        found = struct.unpack_from(form, self.body, self.at)
        self.at += struct.calcsize(form)
        return found

    def integers(self, count: int) -> tuple[int, ...]:
        lowest, width = self.take("<qB")
        if not width:
            return (lowest,) * count
        return tuple(lowest + number for number in self.take(f"<{count}{_WIDTHS[width][1]}"))

    def differences(self, count: int) -> tuple[int, ...]:
        first = self.integers(min(count, 1))
        return tuple(accumulate((*first, *self.integers(max(count - 1, 0)))))

    def floats(self, count: int) -> tuple[float, ...]:
        form, place = self.take("<BB")
        if form == _RATIO:
            numerator, denominator = _RATIOS[place]
            return tuple(number * numerator / denominator for number in self.differences(count))
        width = 4 if form == _FLOAT32 else 8
        planes = self.body[self.at : self.at + width * count]
        self.at += width * count
        raw = bytearray(width * count)
        for at in range(width):
            raw[at::width] = planes[at * count : (at + 1) * count]
        return struct.unpack(f"<{count}{'f' if width == 4 else 'd'}", raw)  # noqa: PLR2004 - bytes of a float32


UNKNOWN_CLOCK = 255
"""Stands for a frame of a release that did not know how good its clock was."""


def encode(marks: Sequence[Mark], series: Sequence[Series]) -> bytes:
    """Frames and samples to bytes."""
    writer = _Writer()
    writer.parts.append(struct.pack("<II", len(marks), len(series)))
    for column in ("seq", "instant_us", "elapsed_us", "boot", "sample_min_us", "sample_max_us"):
        writer.differences([getattr(mark, column) for mark in marks])
    writer.integers([UNKNOWN_CLOCK if mark.clock is None else mark.clock for mark in marks])
    times: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    for one in series:
        times.setdefault((one.frames, one.instants_us), len(times))
    writer.parts.append(struct.pack("<I", len(times)))
    for frames, instants_us in times:
        writer.parts.append(struct.pack("<I", len(frames)))
        writer.differences(frames)
        writer.differences(instants_us)
    writer.integers([one.point for one in series])
    writer.integers([times[one.frames, one.instants_us] for one in series])
    for one in series:
        writer.integers(one.qualities)
        writer.integers(one.causes)
        writer.floats([value for value in one.values if value == value])  # noqa: PLR0124 - NaN is unlike itself
        writer.floats(one.corrections)
    return lzma.compress(b"".join(writer.parts), format=lzma.FORMAT_RAW, filters=_FILTERS)


def encode_checked(marks: Sequence[Mark], series: Sequence[Series]) -> tuple[bytes, int]:
    """Frames and samples to bytes and their CRC-32, read back: what the bytes stand for will be all that there is.

    Raises:
        StoreFault: they do not come back as they were.
    """
    blob = encode(marks, series)
    crc = zlib.crc32(blob)
    again_marks, again_series = decode(blob, layout=LAYOUT, crc=crc)
    # NaN, which stands for no value, is unlike itself: floats are compared by their bits.
    if again_marks != list(marks) or [_bits(one) for one in again_series] != [_bits(one) for one in series]:
        raise StoreFault("a segment does not come back as it was; the frames stay")
    return blob, crc


def _bits(one: Series) -> tuple[object, ...]:
    count = len(one.values)
    floats = struct.pack(f"<{2 * count}d", *one.values, *one.corrections)
    return one.point, one.frames, one.instants_us, one.qualities, one.causes, floats


def decode(
    blob: bytes, *, layout: int, crc: int, only: frozenset[int] | None = None
) -> tuple[list[Mark], list[Series]]:
    """Bytes to frames and samples.

    Args:
        blob: the bytes.
        layout: their layout.
        crc: what their CRC-32 must be.
        only: numbers of the points wanted; None for all.

    Raises:
        StoreFault: the bytes are not what was written.
    """
    if zlib.crc32(blob) != crc:
        raise StoreFault(f"segment damaged: CRC-32 {zlib.crc32(blob):08x} instead of {crc:08x}")
    if layout != LAYOUT:
        raise StoreFault(f"segment of unknown layout {layout}")
    reader = _Reader(lzma.decompress(blob, format=lzma.FORMAT_RAW, filters=_FILTERS))
    mark_count, series_count = reader.take("<II")
    columns = [reader.differences(mark_count) for _ in range(6)]
    clocks = (None if clock == UNKNOWN_CLOCK else clock for clock in reader.integers(mark_count))
    marks = [
        Mark(seq, instant_us, elapsed_us, boot, clock, sample_min_us, sample_max_us)
        for seq, instant_us, elapsed_us, boot, sample_min_us, sample_max_us, clock in zip(*columns, clocks, strict=True)
    ]
    times = []
    for _ in range(reader.take("<I")[0]):
        (count,) = reader.take("<I")
        times.append((reader.differences(count), reader.differences(count)))
    points = reader.integers(series_count)
    series = []
    for point, number in zip(points, reader.integers(series_count), strict=True):
        frames, instants_us = times[number]
        qualities, causes = reader.integers(len(frames)), reader.integers(len(frames))
        values = iter(reader.floats(sum(quality != 0 for quality in qualities)))
        filled = tuple(next(values) if quality else float("nan") for quality in qualities)
        corrections = reader.floats(len(frames))
        if only is None or point in only:
            series.append(Series(point, frames, instants_us, filled, qualities, causes, corrections))
    return marks, series
