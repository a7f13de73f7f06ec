"""What the service says of itself: one object for the command line, the simulator's picture and later the screen."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from statistics import median
from zoneinfo import ZoneInfo

from drivers.bus.base import BusCounts
from drivers.device import Device
from drivers.sample import Cause, Sample
from drivers.wire_budget import WireBudget
from edge_agent.acquisition import BusWatch
from edge_agent.clock import ClockWatch
from edge_agent.control.actuation import Load
from edge_agent.control.advice import Advice, Score
from edge_agent.control.command import Alarm
from edge_agent.control.operation import Operation
from edge_agent.control.report import CycleReport
from edge_agent.image import sample_dict
from edge_agent.plan_case import Corrections, assumptions
from edge_agent.planner import Planner
from edge_agent.settings.model import SiteFile
from edge_agent.store.rows import OutboxStatus, StoreUsage
from scheduling.forecast.hourly import HourlyWeather
from scheduling.forecast.load import LoadForecast
from scheduling.forecast.skill import Skill
from scheduling.tariff.calendar import band_at, next_change
from scheduling.tariff.facts import NO_FACTS, Facts
from scheduling.tariff.model import Tariff
from scheduling.tariff.price import price_at

MEGABYTE = 1_000_000


def instant_text(instant_utc: datetime | None) -> str | None:
    """An instant as ISO 8601 with Z, or None."""
    return None if instant_utc is None else instant_utc.isoformat(timespec="seconds").replace("+00:00", "Z")


def uplink_dict(
    status: OutboxStatus, *, connected: bool, fault: str, period_min: int, configured_min: int
) -> dict[str, object]:
    """How far an uplink is.

    Args:
        status: of its outbox.
        connected: whether there is a connection.
        fault: why not.
        period_min: length of its periods now [min].
        configured_min: as configured [min]; another one was set by the platform.
    """
    return {
        "period_min": period_min,
        "period_configured_min": configured_min,
        "connected": connected,
        "fault": fault,
        "backlog": status.backlog,
        "oldest": instant_text(status.oldest_utc),
        "last_ack": instant_text(status.last_ack_utc),
        "due": status.due,
        "acknowledged": status.acknowledged,
        "completeness": None if not status.due else status.acknowledged / status.due,
        "resent": status.resent,
        "refused": status.refused,
        "unacknowledged": status.unacknowledged,
        "fetched": status.fetched,
        "evicted": status.evicted,
        "replaced": status.replaced,
        "backlog_bytes": status.backlog_bytes,
    }


def bus_dict(
    counts: BusCounts, devices: Sequence[Device], *, watch: BusWatch, budget: WireBudget | None, speed_ratio: float
) -> dict[str, object]:
    """How a bus is: its state, what happened on it since the start, and what is asked of it.

    Args:
        counts: of the wire.
        devices: on it.
        watch: of its poller.
        budget: what its devices want of it; None: not reckoned yet.
        speed_ratio: site seconds per wall second: periods are kept on the site's clock, wires on the wall's.
    """
    faults = {device.fault for device in devices}
    dead = [device.name for device in devices if device.dead]
    return {
        "state": "down" if Cause.LINE_DOWN in faults else "silent" if devices and len(dead) == len(devices) else "up",
        "requests": counts.requests,
        "answers": counts.answers,
        "silent": counts.silent,
        "damaged": counts.damaged,
        "late": counts.late,
        "writes": counts.writes,
        "reopened": counts.reopened,
        "load": None if watch.load_ratio is None else round(watch.load_ratio, 3),
        "load_wanted": None if budget is None else round(budget.share * speed_ratio, 3),
        "overloaded": budget is not None and not budget.fits,
        "polls_skipped": watch.skipped,
        "poll_failures": watch.failures,
        "dead": dead,
        "holes": {device.name: len(device.holes) for device in devices if device.holes},
    }


def planner_dict(planner: Planner) -> dict[str, object]:
    """What the planner has done since the service started, and the plan in force."""
    return {
        "plan": None if planner.plan is None else planner.plan.model_dump(mode="json", by_alias=True),
        "plans_by_method": dict(planner.method_count),
        "plans_by_change": dict(planner.change_count),
        "plan_seconds_median": median(planner.solve_seconds) if planner.solve_seconds else None,
    }


def forecast_dict(forecast: LoadForecast, weather: HourlyWeather | None, past: Skill | None) -> dict[str, object]:
    """How the load is forecast, its own expected error, and how good the last two weeks' forecasts were."""
    return {
        "method": forecast.method,
        "error_ratio": forecast.error_ratio,
        "measured_h": forecast.measured_h,
        "weather": None if weather is None else weather.method,
        "skill": None if past is None else asdict(past),
    }


def corrections_list(corrections: Corrections, site: SiteFile) -> list[dict[str, object]]:
    """What the plant's own history has taught of its nameplates, with its bounds, and in words."""
    return [assumption.model_dump(mode="json") for assumption in assumptions(corrections, site)]


def read_dict(samples: Sequence[Sample], *, now_utc: datetime) -> Mapping[str, object]:
    """The process image."""
    return {"samples": [sample_dict(sample, now_utc=now_utc) for sample in samples]}


def tariff_dict(tariff: Tariff, now_utc: datetime, *, zone: ZoneInfo, facts: Facts = NO_FACTS) -> dict[str, object]:
    """The band and price in force, and when the next band begins."""
    price = price_at(tariff, now_utc, zone=zone, facts=facts)
    change_utc = next_change(tariff, now_utc, zone=zone, facts=facts)
    return {
        "band": price.band,
        "cny_per_kwh": price.cny_per_kwh,
        "next_change": instant_text(change_utc),
        "next_band": None if change_utc is None else band_at(tariff, change_utc, zone=zone, facts=facts),
        "tariff_warnings": list(price.warnings),
    }


def advice_dict(advice: Advice, *, so_far: Score | None) -> dict[str, object]:
    """What following the plan would have saved.

    Args:
        advice: what is remembered.
        so_far: the open window as it stands; None without one.
    """
    total_cny = advice.total_cny
    return {
        "so_far": None if so_far is None else score_dict(so_far),
        "last": score_dict(advice.scores[-1]) if advice.scores else None,
        "total_saved_cny": None if total_cny is None else [round(cny, 2) for cny in total_cny],
        "windows": len(advice.scores),
        "windows_known": sum(score.saved_cny is not None for score in advice.scores),
    }


def score_dict(score: Score) -> dict[str, object]:
    """The result of one window: intervals from the least to the most, and why there are none."""
    return {
        "from": instant_text(score.start_utc),
        "to": instant_text(score.end_utc),
        "actual_cny": None if score.actual_cny is None else round(score.actual_cny, 2),
        "planned_cny": None if score.planned_cny is None else [round(cny, 2) for cny in score.planned_cny],
        "saved_cny": None if score.saved_cny is None else [round(cny, 2) for cny in score.saved_cny],
        "reason": score.obstacle or None,
    }


def load_dict(load: Load | None) -> dict[str, object]:
    """What a unit can be told, is told and gives; what was learned is rounded, it is no reading."""
    if load is None:
        return {}
    given_ratio = load.given_ratio
    return {
        "actuation": load.actuation,
        "stage": load.stage if load.stages else None,
        "stages": load.stages or None,
        "given_ratio": None if given_ratio is None else round(given_ratio, 3),
        "achieved": {key: round(value, 3) for key, value in load.achieved.items()},
    }


def alarm_dict(alarm: Alarm) -> dict[str, object]:
    """An alarm that stands."""
    return {
        "code": alarm.code,
        "device": alarm.device,
        "since": instant_text(alarm.since_utc),
        "values": alarm.values,
    }


def records_dict(usage: StoreUsage, *, clock: ClockWatch) -> dict[str, object]:
    """Room for records, what is written a day, and how far the clock that stamps them is trusted."""
    return {
        "used_mb": round(usage.used_bytes / MEGABYTE, 1),
        "quota_mb": round(usage.quota_bytes / MEGABYTE, 1),
        "full_ratio": round(usage.full_ratio, 3),
        "disk_free_mb": round(usage.disk_free_bytes / MEGABYTE),
        "ballast": usage.ballast,
        "evicted": usage.evicted,
        "written_today_mb": round(usage.written_bytes / MEGABYTE, 1),
        "written_yesterday_mb": (
            None if usage.written_before_bytes is None else round(usage.written_before_bytes / MEGABYTE, 1)
        ),
        "write_budget_mb": round(usage.write_budget_bytes / MEGABYTE),
        "damaged_files": list(usage.damaged),
        "clock": clock.quality.name.lower(),
        "clock_steps": clock.step_count,
        "clock_last_step_s": round(clock.step_s, 1),
    }


def control_dict(
    report: CycleReport | None, *, operation: Operation, standing: Sequence[Alarm] = ()
) -> dict[str, object]:
    """What control sees and does.

    Args:
        report: of the last cycle; None before the first.
        operation: who is in command.
        standing: alarms of others than control.
    """
    out = operation.units_out  # these are seen as local, and are told of in their own words
    reported = [] if report is None else report.alarms
    alarms = [
        alarm_dict(alarm)
        for alarm in (
            *operation.alarms(),
            *(alarm for alarm in reported if alarm.code != "unit_local" or alarm.device not in out),
            *standing,
        )
    ]
    if report is None:
        return {"operating_mode": None, "notes": [], "units": {}, "storage": {}, "alarms": alarms}
    return {
        "operating_mode": report.operating_mode,
        "operating_zh": report.operating_words[0],
        "operating_en": report.operating_words[1],
        "setpoint_degc": dict(report.setpoints_degc),
        "because": {loop: str(because) for loop, because in report.because.items()},
        "notes": list(report.notes),
        "holding": report.holding,
        "units": {
            name: {
                "phase": str(unit.phase),
                "mode": unit.mode,
                "zh": unit.zh,
                "en": unit.en,
                "waiting": list(unit.waiting),
                "wanted": None if name not in report.wants else report.wants[name].on,
                "wanted_mode": None if name not in report.wants else report.wants[name].mode,
                "because": None if name not in report.wants else report.wants[name].because,
                **load_dict(unit.load),
            }
            for name, unit in report.units.items()
        },
        "storage": {name: {"energy_kwh": kwh} for name, kwh in report.storage_kwh.items()},
        "alarms": alarms,
    }
