"""Which sensor of a loop's water to believe: header, heat meter and running units see the same water. Pure.

The same supply, that is; of the return, the header has what the house sends back and what goes round through the
decoupler, and the meter in the house's branch the former alone.

What is done with the temperature is not here: regulation takes `LoopView.supply_degc`, protection `hot_degc`.

Source: plant-operation notes, section 10 (sensor frozen, swapped: quality, fallback sensor, alarm).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from edge_agent.control.command import Alarm
from edge_agent.control.lasting import HELD, Doubts
from edge_agent.control.memory import Off, Still, WaterMemory
from edge_agent.control.regulate import discharge_flow_kg_per_s, unit_flow_kg_per_s
from edge_agent.control.station import CLOSED_RATIO
from edge_agent.control.view import LoopView, PlantView, UnitState
from edge_agent.settings.model import SiteFile

SUPPLY, RETURN = "supply", "return"
OFF_HELD_S = 3600.0
"""A sensor that was found wrong is corrected by what was found for so long after its counterpart has fallen silent [s]:
a silent meter makes a wrong header no better. Ours: one that drifts by 2 K an hour is then off by as much again."""

WASHED_S = 600.0
"""What has gone round leaves the return header with this time constant when no more of it comes [s]. Ours: the
simulated one takes 460 s; masking a header that reads too high for some minutes costs nothing."""
FLOW_SLACK = 1.25
"""Pumps may bring so much more water than the units' rating and rise say. Ours."""


@dataclass(frozen=True, slots=True)
class Waters:
    """What has been found.

    Attributes:
        view: the plant with the believed temperatures.
        memory: of the sensors, by loop.
        alarms: sensors that are not believed.
    """

    view: PlantView
    memory: Mapping[str, WaterMemory]
    alarms: tuple[Alarm, ...] = ()


def believe(memory: Mapping[str, WaterMemory], *, view: PlantView, site: SiteFile) -> Waters:
    """Weighs the sensors of all heat loops against each other.

    Args:
        memory: of the cycle before.
        view: the plant as read.
        site: tolerance and times.
    """
    loops, kept, alarms = dict(view.loops), dict(memory), list[Alarm]()
    for name, loop in view.loops.items():
        if site.loops[name].medium != "heat" or (*loop.supplies_degc, *loop.returns_degc) == (None,) * 4:
            continue
        weighed = _Loop(name, memory.get(name, WaterMemory()), view=view, site=site)
        loops[name], kept[name] = weighed.result(), weighed.remembered()
        alarms += weighed.alarms
    return Waters(replace(view, loops=loops), kept, tuple(alarms))


@dataclass(frozen=True, slots=True)
class _Sensor:
    """One sensor that shows something: its point, and its pair (0: header, 1: meter)."""

    point: str
    pair: int
    degc: float


class _Loop:
    """One loop in this cycle."""

    def __init__(self, name: str, memory: WaterMemory, *, view: PlantView, site: SiteFile) -> None:
        self.alarms: list[Alarm] = []
        self._memory = memory
        self._view = view
        self._site = site
        self._control = site.control
        self._now_utc = view.instant_utc
        self._loop: LoopView = view.loops[name]
        config = self._config = site.loops[name]
        self._points = {
            SUPPLY: (config.supply_point, f"{config.meter}.supply_temperature"),
            RETURN: (config.return_point, f"{config.meter}.return_temperature"),
        }
        self._degc = {SUPPLY: self._loop.supplies_degc, RETURN: self._loop.returns_degc}
        self._storages = [storage for storage in site.storages.values() if storage.loop == name]
        self._names = [unit for unit, entry in site.units.items() if entry.loop == name and self._serves(unit)]
        self._units_degc = {SUPPLY: self._units_supply_degc(), RETURN: self._mean("user_return_degc")}
        self._doubts = Doubts(memory.odd, now_utc=self._now_utc)
        washed_s = 0.0 if memory.mixed_utc is None else (self._now_utc - memory.mixed_utc).total_seconds()
        self._mixed_k = memory.mixed_k * math.exp(-max(0.0, washed_s) / WASHED_S)
        held_utc = self._now_utc - timedelta(seconds=OFF_HELD_S)
        self._off = {point: off for point, off in memory.off.items() if off.found_utc >= held_utc}
        self._still = {point: still for water in self._points for point, still in self._stills(water)}

    # --------------------------------------------------------------------------------------------------------- units

    def _serves(self, name: str) -> bool:
        seen = self._view.units[name]
        direct = (seen.mode_actual or seen.mode_request) == "direct"
        return seen.state is UnitState.RUNNING and direct and seen.user_flow is not False

    def _mean(self, role: str) -> float | None:
        """What the running units show, weighted by their flow; None when one of them does not."""
        flows = {name: unit_flow_kg_per_s(self._site.units[name].heat_kw_rated) for name in self._names}
        seen: dict[str, float | None] = {name: getattr(self._view.units[name], role) for name in self._names}
        known = {name: degc for name, degc in seen.items() if degc is not None}
        if not known or len(known) < len(seen):
            return None
        return sum(flows[name] * degc for name, degc in known.items()) / sum(flows.values())

    def _tank_gives(self) -> bool:
        """Whether water of a tank may come in as well: its valve is not seen to be closed."""
        ratios = [self._view.valves[storage.discharge_valve].position_ratio for storage in self._storages]
        return any(ratio is None or ratio > CLOSED_RATIO for ratio in ratios)

    def _units_supply_degc(self) -> float | None:
        return None if self._tank_gives() else self._mean("user_supply_degc")

    def _warmest_degc(self) -> float | None:
        """The warmest water that comes into the loop; None: not known, or nothing comes."""
        found = [self._view.units[name].user_supply_degc for name in self._names]
        if self._tank_gives():
            found += [
                self._view.storages[name].top_degc
                for name, entry in self._site.storages.items()
                if entry in self._storages
            ]
        return max(degc for degc in found if degc is not None) if found and None not in found else None

    # ------------------------------------------------------------------------------------------------- what is odd

    def _lasts(self, key: str, *, odd: bool | None) -> bool:
        """Whether something odd has been seen for long enough; notes it. None: nobody can tell whether it is so now."""
        since_utc = self._doubts.note(key, odd=odd)
        return since_utc is not None and (self._now_utc - since_utc).total_seconds() >= self._control.doubt_s

    def _stills(self, water: str) -> list[tuple[str, Still]]:
        """The sensors of one water, each with how long it has not moved, and how far its neighbour has meanwhile.

        One that is not read, or of which nobody knows whether water flows past it, is taken to stand for a while.
        """
        degc, found = self._degc[water], []
        flow_kg_per_s = self._loop.flow_kg_per_s
        for pair, point in enumerate(self._points[water]):
            own, known = degc[pair], self._memory.still.get(point)
            if known is not None and (known.seen_utc is None or self._now_utc - known.seen_utc > HELD):
                known = None
            if own is None or (flow_kg_per_s is None and known is not None and known.degc == own):
                if known is not None:
                    found.append((point, known))
                continue
            if known is None or known.degc != own or not flow_kg_per_s:
                known = Still(own, self._now_utc)
            known = replace(known, seen_utc=self._now_utc)
            other = degc[1 - pair] if degc[1 - pair] is not None else self._units_degc[water]
            if other is not None:
                lowest = other if known.lowest_degc is None else min(known.lowest_degc, other)
                highest = other if known.highest_degc is None else max(known.highest_degc, other)
                known = replace(known, lowest_degc=lowest, highest_degc=highest)
            found.append((point, known))
        return found

    def _frozen(self, sensor: _Sensor) -> bool:
        still = self._still[sensor.point]
        if still.lowest_degc is None or still.highest_degc is None:
            return False
        long = (self._now_utc - still.since_utc).total_seconds() >= self._control.sensor_frozen_s
        return long and still.highest_degc - still.lowest_degc >= self._control.doubt_k

    def _swapped(self, pair: int) -> bool:
        """Whether a pair shows its supply below its return while the other one, or the units, show that heat flows."""
        supply, back = self._degc[SUPPLY][pair], self._degc[RETURN][pair]
        others = (
            (self._degc[SUPPLY][1 - pair], self._degc[RETURN][1 - pair]),
            (self._units_degc[SUPPLY], self._units_degc[RETURN]),
        )
        odd = None if supply is None or back is None else False
        if supply is not None and back is not None and supply < back - self._control.doubt_k:
            odd = None
            for number, (warm, cold) in enumerate(others):
                if warm is None or cold is None:
                    continue
                # Water that goes round makes the return header warmer than the meter's return.
                round_k = self._warmer_k(cold) if (pair, number) == (0, 0) else 0.0
                supply_off_k, back_off_k = (max(cold - degc, degc - cold - round_k, 0.0) for degc in (supply, back))
                # Each shows what the other one should: a supply that only reads low leaves its return where it is.
                odd = warm > cold and supply_off_k < abs(supply - warm) and abs(back - warm) < back_off_k
                break
        lasts = self._lasts(f"swapped {pair}", odd=odd)
        if lasts and supply is not None and back is not None:
            point, other = self._points[SUPPLY][pair], self._points[RETURN][pair]
            values: dict[str, float | str] = {
                "point": point,
                "degc": round(supply, 1),
                "other": other,
                "other_degc": round(back, 1),
            }
            self._alarm("sensors_swapped", point, values, since_utc=self._doubts.since_utc(f"swapped {pair}"))
        return lasts

    # ------------------------------------------------------------------------------------------------------ weighing

    def result(self) -> LoopView:
        """The loop with the temperatures that are believed."""
        swapped = {pair for pair in (0, 1) if self._swapped(pair)}
        return_degc, _ = self._weigh(RETURN, swapped, floor_degc=None)
        cold = return_degc if (self._loop.load_kw or 0.0) > 0.0 else None
        supply_degc, hot_degc = self._weigh(SUPPLY, swapped, floor_degc=cold)
        load_kw = self._loop.load_kw
        if 1 in swapped and load_kw is not None and load_kw < 0.0:
            load_kw = None  # the meter reckons with its sensors swapped
        return replace(self._loop, supply_degc=supply_degc, return_degc=return_degc, hot_degc=hot_degc, load_kw=load_kw)

    def remembered(self) -> WaterMemory:
        """For the next cycle."""
        return WaterMemory(self._doubts.remembered(), self._still, self._off, self._mixed_k, self._now_utc)

    def _weigh(self, water: str, swapped: set[int], *, floor_degc: float | None) -> tuple[float | None, float | None]:
        """The believed temperature of one water, and the one that protection against heat goes by."""
        shown = [
            _Sensor(point, pair, degc)
            for pair, point in enumerate(self._points[water])
            if (degc := self._degc[water][pair]) is not None
        ]
        units_degc = self._units_degc[water]
        sensors = [sensor for sensor in shown if sensor.pair not in swapped and not self._frozen(sensor)]
        if not sensors and (units_degc is None or not swapped):
            sensors = shown  # better than none
        else:
            self._tell_frozen([sensor for sensor in shown if sensor.pair not in swapped and sensor not in sensors])
        if not sensors:
            self._doubts.note(water, odd=None)
            return (units_degc, units_degc) if shown else (None, None)
        if len(sensors) < len(shown):
            # Found wrong beside one that proved to be frozen or swapped is not found wrong.
            self._off.pop(sensors[0].point, None)
        voices = sorted([*(sensor.degc for sensor in sensors), *([] if units_degc is None else [units_degc])])
        middle_degc = voices[(len(voices) - 1) // 2]
        differ = self._differ(water, sensors)
        if len(sensors) > 1:
            lasts = self._lasts(water, odd=differ)
        else:  # that two differed for long says nothing of one beside units, unless it was this one that was wrong
            wrong = sensors[0].point in self._off
            self._doubts.note(water, odd=True if wrong else None)
            lasts = self._lasts(f"{water} alone", odd=differ) or wrong
        if not lasts or differ is None:
            if differ is False:
                self._off = {point: off for point, off in self._off.items() if point not in self._points[water]}
            # A sudden difference has no winner yet: nothing is stopped for one sensor alone.
            return sensors[0].degc, middle_degc
        believed_degc, proven = self._settle(water, sensors, voices, floor_degc)
        if len(sensors) > 1:
            for sensor in sensors:
                self._off.pop(sensor.point, None)
                if sensor.degc != believed_degc:
                    self._off[sensor.point] = Off(believed_degc - sensor.degc, self._now_utc, proven)
        return believed_degc, believed_degc

    def _differ(self, water: str, sensors: Sequence[_Sensor]) -> bool | None:
        """Whether they do not all tell the truth; half the difference keeps a finding, so that it does not flutter.

        None: nobody can tell, because the one that another was held against is silent.
        """
        key = water if len(sensors) > 1 else f"{water} alone"
        limit_k = self._control.doubt_k * (1.0 if self._doubts.since_utc(key) is None else 0.5)
        if len(sensors) > 1:
            over_k = sensors[0].degc - sensors[1].degc
            return not -limit_k <= over_k <= limit_k + (self._warmer_k(sensors[1].degc) if water == RETURN else 0.0)
        if sensors[0].point in self._off:
            return True  # its counterpart is silent, which makes it no better
        # Water may lose heat to what it is mixed with on its way; it is never warmer than all that comes in.
        units_degc = self._units_degc[SUPPLY] if water == SUPPLY else None
        if units_degc is not None and sensors[0].degc > units_degc + limit_k:
            return True
        silent = [point for point in self._points[water] if point != sensors[0].point]
        return None if units_degc is None or any(point in self._off for point in silent) else False

    def _warmer_k(self, meter_degc: float) -> float:
        """By how much the return header may be warmer than the meter's return, now or by what is still in it [K]."""
        now_k = self._going_round_k(meter_degc)
        if math.isfinite(now_k):
            self._mixed_k = max(self._mixed_k, now_k)
        return max(self._mixed_k, now_k)

    def _going_round_k(self, meter_degc: float) -> float:
        """By how much what goes round now may make the return header warmer than what comes back from the house [K].

        The meter sits in the house's branch. What units and tank bring beyond its flow goes round through the decoupler
        into the return header: the units' sensors see that mixture, and the meter does not.
        """
        supply_degc = max((degc for degc in self._degc[SUPPLY] if degc is not None), default=None)
        if supply_degc is None:
            return math.inf
        most_k = max(0.0, supply_degc - meter_degc)
        loop_kg_per_s = self._loop.flow_kg_per_s
        if loop_kg_per_s is None:
            return most_k
        brought_kg_per_s = FLOW_SLACK * self._brought_kg_per_s()
        return most_k * max(0.0, 1.0 - loop_kg_per_s / brought_kg_per_s) if brought_kg_per_s > 0.0 else 0.0

    def _brought_kg_per_s(self) -> float:
        """Water that pumps of units and the tank may bring into the supply header."""
        seen = self._view.units
        units = sum(
            unit_flow_kg_per_s(unit.heat_kw_rated)
            for name, unit in self._site.units.items()
            if self._site.loops[unit.loop] is self._config
            and seen[name].user_flow is not False
            and seen[name].mode_actual != "charge"
        )
        ratios = [(entry, self._view.valves[entry.discharge_valve].position_ratio) for entry in self._storages]
        return units + sum(
            discharge_flow_kg_per_s(entry) * (1.0 if ratio is None else ratio) for entry, ratio in ratios
        )

    def _settle(
        self, water: str, sensors: Sequence[_Sensor], voices: Sequence[float], floor_degc: float | None
    ) -> tuple[float, bool]:
        """Whom to believe when they differ, and whether the other one is proven wrong.

        What can be at all, then the majority, then what was proven while that could be told, then the lower or middle
        one.
        """
        tolerance_k, units_degc = self._control.doubt_k, self._units_degc[water]
        middle_degc = voices[(len(voices) - 1) // 2]
        if len(sensors) == 1:
            off = self._off.get(sensors[0].point)
            if off is not None:
                middle_degc = sensors[0].degc + off.correction_k
                if units_degc is not None:  # then it is one voice of three: what the sensor shows may be true again
                    middle_degc = sorted([*voices, middle_degc])[1]
            other = (
                ", ".join(self._names)
                if off is None
                else next(point for point in self._points[water] if point != sensors[0].point)
            )
            self._differs(water, sensors[0], other_degc=middle_degc, other=other)
            return middle_degc, True
        warmest_degc = self._warmest_degc() if water == SUPPLY else None
        possible = [
            sensor
            for sensor in sensors
            if (floor_degc is None or sensor.degc >= floor_degc - tolerance_k)
            and (warmest_degc is None or sensor.degc <= warmest_degc + tolerance_k)
        ]
        if units_degc is not None and len(possible) != 1:
            possible = [sensor for sensor in sensors if abs(sensor.degc - units_degc) <= tolerance_k]
        if len(possible) > 1:
            possible = [sensor for sensor in possible if not self._proven_off(sensor)]
        if len(possible) == 1:
            believed = possible[0]
            for sensor in sensors:
                if sensor is not believed:
                    self._differs(water, sensor, other_degc=believed.degc, other=believed.point)
            return believed.degc, True
        first, second = sensors
        values: dict[str, float | str] = {
            "point": first.point,
            "degc": round(first.degc, 1),
            "other": second.point,
            "other_degc": round(second.degc, 1),
            "used_degc": round(middle_degc, 1),
        }
        self._alarm("sensors_disagree", first.point, values, since_utc=self._doubts.since_utc(water))
        return middle_degc, False

    def _proven_off(self, sensor: _Sensor) -> bool:
        off = self._off.get(sensor.point)
        return off is not None and off.proven

    # -------------------------------------------------------------------------------------------------------- alarms

    def _tell_frozen(self, sensors: Sequence[_Sensor]) -> None:
        for sensor in sensors:
            since_utc = self._still[sensor.point].since_utc
            stood_s = (self._now_utc - since_utc).total_seconds()
            values: dict[str, float | str] = {
                "point": sensor.point,
                "degc": round(sensor.degc, 1),
                "minutes": round(stood_s / 60.0),
            }
            self._alarm("sensor_frozen", sensor.point, values, since_utc=since_utc)

    def _differs(self, water: str, sensor: _Sensor, *, other_degc: float, other: str) -> None:
        values: dict[str, float | str] = {
            "point": sensor.point,
            "degc": round(sensor.degc, 1),
            "other": other,
            "other_degc": round(other_degc, 1),
        }
        since_utc = self._doubts.since_utc(water) or self._doubts.since_utc(f"{water} alone")
        self._alarm("sensor_differs", sensor.point, values, since_utc=since_utc)

    def _alarm(self, code: str, point: str, values: Mapping[str, float | str], *, since_utc: datetime | None) -> None:
        self.alarms.append(Alarm(code, point, since_utc or self._now_utc, dict(values)))
