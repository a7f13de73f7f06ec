"""What the service says of itself: one object for the command line, the simulator's picture and later the screen."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median

from drivers.sample import Sample
from edge_agent.planner import Planner
from edge_agent.store.rows import OutboxStatus


def instant_text(instant_utc: datetime | None) -> str | None:
    """An instant as ISO 8601 with Z, or None."""
    return None if instant_utc is None else instant_utc.isoformat(timespec="seconds").replace("+00:00", "Z")


def sample_dict(sample: Sample, *, now_utc: datetime) -> dict[str, object]:
    """A sample as the command line shows it."""
    return {
        "point": sample.point,
        "value": sample.value,
        "unit": sample.unit,
        "quality": sample.quality.name,
        "cause": str(sample.cause),
        "age_s": round(max(0.0, (now_utc - sample.instant_utc).total_seconds()), 3),
    }


def uplink_dict(status: OutboxStatus, *, connected: bool) -> dict[str, object]:
    """How far an uplink is."""
    return {
        "connected": connected,
        "backlog": status.backlog,
        "oldest": instant_text(status.oldest_utc),
        "last_ack": instant_text(status.last_ack_utc),
        "due": status.due,
        "acknowledged": status.acknowledged,
        "resent": status.resent,
        "refused": status.refused,
    }


def planner_dict(planner: Planner) -> dict[str, object]:
    """What the planner has done since the service started, and the plan in force."""
    return {
        "plan": None if planner.plan is None else planner.plan.model_dump(mode="json", by_alias=True),
        "plans_by_method": dict(planner.method_count),
        "plan_seconds_median": median(planner.solve_seconds) if planner.solve_seconds else None,
    }


def read_dict(samples: Sequence[Sample], *, now_utc: datetime) -> Mapping[str, object]:
    """The process image."""
    return {"samples": [sample_dict(sample, now_utc=now_utc) for sample in samples]}
