"""What the running service answers to those who ask how it is: status, samples, uploads, the plan. It changes nothing.

The form of each part of an answer is said by `edge_agent.status`; orders are taken by
`edge_agent.control.operation`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from drivers.bus.base import Bus
from drivers.device import Device
from drivers.wire_budget import WireBudget
from edge_agent import status
from edge_agent.acquisition import BusWatch, Pending, Recorder
from edge_agent.advising import Advising
from edge_agent.clock import Clock, ClockWatch
from edge_agent.control.operation import Operation
from edge_agent.control.report import CycleReport
from edge_agent.errors import RefusedByInterlock
from edge_agent.expectation import Expectation
from edge_agent.image import ProcessImage
from edge_agent.planner import Planner
from edge_agent.record_alarms import RecordAlarms
from edge_agent.settings.load import Configuration
from edge_agent.store.store import Store
from edge_agent.uplink.alarms import uplink_alarms
from edge_agent.uplink.commanded import Commanded
from edge_agent.uplink.daily import Daily
from edge_agent.uplink.sender import Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The parts of the service that can be asked about.

    Attributes:
        configuration: all files.
        clock: the site's clock.
        image: last sample of every point.
        buses: by name.
        watches: what polling makes of each bus.
        budgets: what the devices of each bus want of it.
        devices: by name.
        recorder: commits frames.
        pending: samples not committed yet.
        senders: by stream.
        daily: the ledger's daily round.
        expectation: tariff and forecasts.
        planner: plans.
        operation: mode and orders in force.
        advising: what following the plan would have saved.
        store: open.
        clock_watch: how far the clock is trusted.
        record_alarms: alarms of records and time.
        report: of control's last cycle.
    """

    configuration: Configuration
    clock: Clock
    image: ProcessImage
    buses: Mapping[str, Bus]
    watches: Mapping[str, BusWatch]
    budgets: Mapping[str, WireBudget]
    devices: Mapping[str, Device]
    recorder: Recorder
    pending: Pending
    senders: Mapping[str, Sender]
    daily: Daily
    commanded: Commanded
    expectation: Expectation
    planner: Planner
    operation: Operation
    advising: Advising
    store: Store
    clock_watch: ClockWatch
    record_alarms: RecordAlarms
    report: Callable[[], CycleReport | None]

    async def ping(self, _arguments: Mapping[str, object]) -> Mapping[str, object]:
        """That somebody is here, and which site."""
        return {"site": self.configuration.site.site.id}

    async def status(self, _arguments: Mapping[str, object]) -> Mapping[str, object]:
        """What the service is doing."""
        now_utc = self.clock.now_utc()
        usage = await self.store.usage()
        standing = self.record_alarms.standing(
            now_utc,
            usage=usage,
            refuses=self.recorder.fault,
            clock=self.clock_watch.quality,
            tariff=self.expectation.tariff_rejected,
        )
        control = status.control_dict(self.report(), operation=self.operation, standing=standing)
        site = self.configuration.site.site
        zone = ZoneInfo(site.timezone)
        return {
            "site": site.id,
            "name": site.name,
            "clock": {
                "utc": status.instant_text(now_utc),
                "local": now_utc.astimezone(zone).isoformat(timespec="seconds"),
                "speed": self.clock.speed_ratio(),
                "simulated": site.simulated,
            },
            **self.operation.shown(now_utc, self.report()),
            **status.tariff_dict(self.expectation.tariff, now_utc, zone=zone, facts=self.expectation.facts),
            **status.planner_dict(self.planner),
            **control,
            "records": status.records_dict(usage, clock=self.clock_watch),
            "alarms": [*self._alarms(control), *await self._uplink_alarms(now_utc)],
            "advice": status.advice_dict(self.advising.advice, so_far=await self.advising.so_far()),
            "corrections": status.corrections_list(self.expectation.corrections, self.configuration.site),
            "forecast": {
                name: status.forecast_dict(
                    forecast, self.expectation.weather, await self.expectation.skill(name, now_utc)
                )
                for name, forecast in self.expectation.load_forecast.items()
            },
            "devices": {
                name: {"dead": device.dead, "fault": str(device.fault)} for name, device in self.devices.items()
            },
            "buses": {
                name: status.bus_dict(
                    bus.counts,
                    [device for device in self.devices.values() if self._bus_of(device.name) == name],
                    watch=self.watches[name],
                    budget=self.budgets.get(name),
                    speed_ratio=self.clock.speed_ratio(),
                )
                for name, bus in self.buses.items()
            },
            "frames": self.recorder.frame_count,
            "recorder": {
                "failing_since": status.instant_text(self.recorder.failing_since_utc),
                "samples_dropped": self.pending.dropped_count,
            },
            **(await self.upload({})),
        }

    @staticmethod
    def _alarms(control: Mapping[str, object]) -> list[object]:
        alarms = control["alarms"]
        return alarms if isinstance(alarms, list) else []

    async def _uplink_alarms(self, now_utc: datetime) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        for name, sender in self.senders.items():
            found += uplink_alarms(
                name,
                await sender.status(),
                down_s=sender.down_s,
                fault=sender.fault,
                period_min=self.commanded.period_min(name),
                key_news=await self.commanded.key_news(name),
                now_utc=now_utc,
            )
        return found

    async def read(self, _arguments: Mapping[str, object]) -> Mapping[str, object]:
        """The last sample of every point."""
        return status.read_dict(list(self.image), now_utc=self.clock.now_utc())

    async def upload(self, _arguments: Mapping[str, object]) -> Mapping[str, object]:
        """How far each uplink is."""
        return {
            "uplinks": {
                name: status.uplink_dict(
                    await sender.status(),
                    connected=sender.connected,
                    fault=sender.fault,
                    period_min=self.commanded.period_min(name),
                    configured_min=self.configuration.uplink.uplinks[name.partition("@")[0]].period_min,
                )
                for name, sender in self.senders.items()
            }
        }

    async def upload_retry(self, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """Connects now, puts back what was refused, and, for a span, all that was delivered in it.

        Raises:
            RefusedByInterlock: there is no such uplink.
        """
        only, begin, end = (arguments.get(key) for key in ("uplink", "from", "to"))
        wanted = {name: sender for name, sender in self.senders.items() if only in {None, name, name.split("@")[0]}}
        if not wanted:
            raise RefusedByInterlock(f"没有上传 {only} / there is no uplink {only}")
        answer = {}
        for name, sender in wanted.items():
            again = 0
            if isinstance(begin, str) and isinstance(end, str):
                span = [datetime.fromisoformat(bound).astimezone(UTC) for bound in (begin, end)]
                again = await self.daily.send_again(name, span[0], span[1])
            answer[name] = {"refused": await sender.retry(), "again": again}
        return {"uplinks": answer}

    async def plan(self, _arguments: Mapping[str, object]) -> Mapping[str, object]:
        """The plan in force.

        Raises:
            RefusedByInterlock: there is none yet.
        """
        if self.planner.plan is None:
            raise RefusedByInterlock("还没有计划 / there is no plan yet")
        return {"plan": self.planner.plan.model_dump(mode="json", by_alias=True)}

    def _bus_of(self, device: str) -> str:
        return self.configuration.devices.devices[device].bus
