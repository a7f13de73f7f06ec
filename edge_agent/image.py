"""The process image: the last sample of every point. Control reads only this."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from drivers.sample import Quality, Sample

SET_BACK = timedelta(seconds=60)
"""A sample that is older than the one held by more than this shows that the clock has been set back. Ours."""


class ProcessImage:
    """Last sample of each point; a failed reading replaces a good one, because an old value is not a present one."""

    def __init__(self) -> None:
        self._samples: dict[str, Sample] = {}

    def put(self, samples: Iterable[Sample]) -> None:
        """Takes new samples; one that is a little older than the sample held came late and is left out."""
        for sample in samples:
            held = self._samples.get(sample.point)
            if held is None or not timedelta(0) < held.instant_utc - sample.instant_utc <= SET_BACK:
                self._samples[sample.point] = sample

    def get(self, point: str) -> Sample | None:
        """The last sample of a point, or None if there never was one."""
        return self._samples.get(point)

    def value(self, point: str, *, now_utc: datetime, age_s_max: float) -> float | None:
        """The value of a GOOD sample that is young enough, else None."""
        sample = self._samples.get(point)
        if sample is None or sample.quality is not Quality.GOOD:
            return None
        if (now_utc - sample.instant_utc).total_seconds() > age_s_max:
            return None
        return sample.value

    def __iter__(self) -> Iterator[Sample]:
        return iter(sorted(self._samples.values(), key=lambda sample: sample.point))

    def __len__(self) -> int:
        return len(self._samples)


def sample_dict(sample: Sample, *, now_utc: datetime) -> dict[str, object]:
    """A sample as the command line shows it."""
    return {
        "point": sample.point,
        "value": sample.value,
        "unit": sample.unit,
        "quality": sample.quality.name,
        "cause": str(sample.cause),
        "correction": sample.correction,
        "age_s": round(max(0.0, (now_utc - sample.instant_utc).total_seconds()), 3),
    }
