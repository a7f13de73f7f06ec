"""What one uplink is told about one period: coded values with quality, and their bytes in the MQTT dialect.

A record is labelled by the START of its period, as every interval in this project is; the platform reads `time` as that
label. It knows no disk and no wire. The message is also the form in which a record waits in the outbox for any other
dialect: `decode` reads it back.

Source of the message: the project's own MQTT dialect (topics `hp/{plant}/up/frame` and `hp/{plant}/down/ack`), quality
codes 192 valid and 0 invalid after 可再生能源建筑应用示范项目数据监测系统技术导则 (2009).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from drivers.sample import Quality
from edge_agent.clock_quality import ClockQuality
from edge_agent.rollup import Period, Rollup, rfc3339
from edge_agent.settings.model import ReportedPoint

FORMAT_VERSION = 1
GOOD_RATIO_MIN = 0.5
"""A period of which less than this share was measured has no valid value."""


@dataclass(frozen=True, slots=True)
class RecordPoint:
    """One value of a record.

    Attributes:
        code: code on the platform.
        value: in the point's inside unit; None when invalid.
        quality: 192 valid, 64 measured while the clock was not to be trusted, 0 invalid.
    """

    code: str
    value: float | None
    quality: int


@dataclass(frozen=True, slots=True)
class Record:
    """One uplink's one period.

    Attributes:
        plant: name of the plant on the platform.
        period: the period; its start is the record's time.
        points: what is reported, in the order of uplink.yaml.
    """

    plant: str
    period: Period
    points: tuple[RecordPoint, ...]


def _value(rollup: Rollup | None, aggregate: str) -> float | None:
    if rollup is None or rollup.good_ratio < GOOD_RATIO_MIN:
        return None
    values = {"mean": rollup.mean, "last": rollup.last, "min": rollup.minimum, "max": rollup.maximum}
    return values[aggregate]


def build_record(
    rollups: Mapping[str, Rollup], points: Sequence[ReportedPoint], *, plant: str, period: Period
) -> Record:
    """Makes the record of a period.

    Args:
        rollups: rollups of the period by point; a point without one is reported as invalid.
        points: what is reported, from uplink.yaml.
        plant: name of the plant on the platform.
        period: the period.
    """
    return Record(plant=plant, period=period, points=tuple(_point(reported, rollups) for reported in points))


def _point(reported: ReportedPoint, rollups: Mapping[str, Rollup]) -> RecordPoint:
    rollup = rollups.get(reported.point)
    value = _value(rollup, reported.aggregate)
    if rollup is None or value is None:
        return RecordPoint(reported.code, None, int(Quality.BAD))
    # Measured well, but nobody vouches for the instants: it is not sent as certain.
    certain = rollup.clock is ClockQuality.SYNCHRONISED
    return RecordPoint(reported.code, value, int(Quality.GOOD if certain else Quality.UNCERTAIN))


def readings(record: Record) -> list[dict[str, object]]:
    """The values of a record as the message lists them."""
    time = rfc3339(record.period.start_utc)
    return [
        {"point": point.code, "time": time, "value": point.value, "quality": point.quality} for point in record.points
    ]


def encode(
    record: Record, *, epoch: str, seq: int, sent_at_utc: datetime, corrects: tuple[str, int] | None = None
) -> bytes:
    """The record's message, byte for byte the same for the same arguments.

    Args:
        record: the record.
        epoch: birth mark of the numbering.
        seq: number within the epoch.
        sent_at_utc: when the message was made: a repeat carries the same bytes, so this instant is never renewed.
        corrects: epoch and number of the record of the same period that this one replaces; None: it is the first.
    """
    message = {
        "v": FORMAT_VERSION,
        "plant": record.plant,
        "epoch": epoch,
        "seq": seq,
        "sent_at": rfc3339(sent_at_utc),
        **({} if corrects is None else {"corrects": {"epoch": corrects[0], "seq": corrects[1]}}),
        "records": readings(record),
    }
    return json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def decode(payload: bytes, *, period_min: int) -> Record:
    """Reads a message back: exactly the record that was encoded.

    Args:
        payload: what `encode` made.
        period_min: length of its period [min]; the message does not carry it.

    Raises:
        ValueError: it is not such a message.
    """
    try:
        message = json.loads(payload)
        points = tuple(RecordPoint(entry["point"], entry["value"], entry["quality"]) for entry in message["records"])
        start_utc = datetime.fromisoformat(message["records"][0]["time"]).astimezone(UTC)
        return Record(message["plant"], Period(start_utc, period_min), points)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"not a record: {error!r}") from error
