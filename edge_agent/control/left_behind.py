"""What an orderly stop of the service leaves commanded in the plant, and why that is safe, in words. Pure.

Nothing is stopped on leaving: a restart of minutes must cost no start. What runs is held by its own thermostat and
protection; a unit with a watchdog goes over to its own control when it is not fed; flow is never taken from a unit.

Source: plant-operation notes, section 9: losing the controller must leave the plant safe and warm.
"""

from dataclasses import dataclass

from edge_agent.control.memory import ASKED, PREPARING, ControlMemory, Phase
from edge_agent.control.view import PlantView
from edge_agent.settings.model import SiteFile


@dataclass(frozen=True, slots=True)
class Left:
    """One thing that stays as it is."""

    subject: str
    zh: str
    en: str


def left_behind(site: SiteFile, memory: ControlMemory, view: PlantView) -> tuple[Left, ...]:
    """Units that run or are on their way, pumps that run, valves that are open; nothing for what stands."""
    left: list[Left] = []
    for name, unit in site.units.items():
        phase, seen = memory.unit(name).phase, view.units[name]
        if phase in ASKED:
            degc = "?" if seen.supply_setpoint_degc is None else f"{seen.supply_setpoint_degc:.1f}"
            mode = memory.unit(name).mode
            if unit.point("heartbeat") is not None:
                zh, en = "看门狗到时后转为就地控制", "its watchdog hands it to its own control when it is not fed"
            else:
                zh, en = (
                    "无看门狗,由自身温控和保护维持",
                    "it has no watchdog: its own thermostat and protection hold it",
                )
            left.append(Left(name, f"继续运行({mode},{degc} °C);{zh}", f"runs on ({mode}, {degc} degC); {en}"))
        elif phase is Phase.STOPPING:
            left.append(Left(name, "正在停机,水泵保持运转", "is stopping; its pumps stay on"))
        elif phase in PREPARING:
            left.append(Left(name, "启动准备中止,未发启动请求", "was being prepared; it has not been asked to run"))
    pumps = [
        Left(name, "保持运转,不断流", "stays on: flow is not taken away")
        for name in site.pumps
        if view.pumps[name].commanded
    ]
    valves = [
        Left(name, f"保持开度 {ratio:.0%}", f"stays {ratio:.0%} open")
        for name in site.valves
        if (ratio := view.valves[name].commanded_ratio)
    ]
    return (*left, *pumps, *valves)
