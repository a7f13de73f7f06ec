"""Why a point has no valid value in a period: the word that stands in the ledger. It knows no disk and no wire."""

from collections import Counter
from collections.abc import Collection, Sequence

from drivers.sample import Quality, Sample

NOT_RUNNING = "gap_not_running"
"""Nothing at all was read: the service did not run, or its store refused."""
WRONG_CLOCK = "gap_wrong_clock"
"""The service ran, but its clock was wrong: what it measured then stands under other times."""
NOT_READ = "gap_not_read"
"""Other points were read, this one never."""
TOO_FEW = "gap_too_few"
"""What was read was valid, but covers too little of the period."""


def gap_causes(
    samples: Sequence[Sample], *, points: Collection[str], running: bool, absent: str = NOT_RUNNING
) -> dict[str, str]:
    """The cause for each point: that of most of its bad samples (`drivers.sample.Cause`), or one of the words above.

    Args:
        samples: of these points in the period.
        points: which have no valid value.
        running: whether anything at all was read in the period.
        absent: the word for when it was not.
    """
    bad: dict[str, Counter[str]] = {point: Counter() for point in points}
    read = set()
    for sample in samples:
        if sample.point in bad:
            read.add(sample.point)
            if sample.quality is not Quality.GOOD:
                bad[sample.point][str(sample.cause)] += 1
    found = {}
    for point, causes in bad.items():
        if causes:
            # Ties go to the word that comes first: the same ledger for the same samples.
            found[point] = min(causes, key=lambda cause: (-causes[cause], cause))
        else:
            found[point] = TOO_FEW if point in read else NOT_READ if running else absent
    return found
