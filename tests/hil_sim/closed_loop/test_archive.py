from datetime import UTC, datetime, timedelta

import pytest

from drivers.sample import good
from hil_sim.closed_loop.archive import MemoryArchive

BEGIN_UTC = datetime(2026, 1, 12, 0, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


async def test_a_quarter_is_there_when_the_next_one_has_begun() -> None:
    archive = MemoryArchive(["a.b"])
    for minute in range(31):
        archive.put([good("a.b", BEGIN_UTC + timedelta(minutes=minute), float(minute), "")])
        archive.put([good("other.point", BEGIN_UTC + timedelta(minutes=minute), 0.0, "")])
    found = await archive.rollups("a.b", 15, BEGIN_UTC, BEGIN_UTC + timedelta(hours=1))
    assert [rollup.start_utc for rollup in found] == [BEGIN_UTC, BEGIN_UTC + QUARTER]
    assert [rollup.mean for rollup in found] == pytest.approx([7.0, 22.0])
    assert await archive.rollups("other.point", 15, BEGIN_UTC, BEGIN_UTC + QUARTER) == []


async def test_what_was_before_is_filled_in() -> None:
    archive = MemoryArchive(["a.b"])
    archive.fill("a.b", {BEGIN_UTC: 3.0})
    found = await archive.rollups("a.b", 15, BEGIN_UTC - QUARTER, BEGIN_UTC + QUARTER)
    assert [(rollup.start_utc, rollup.mean) for rollup in found] == [(BEGIN_UTC, 3.0)]
    with pytest.raises(ValueError, match="60 min"):
        await archive.rollups("a.b", 60, BEGIN_UTC, BEGIN_UTC + QUARTER)
