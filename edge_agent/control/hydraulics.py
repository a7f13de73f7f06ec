"""Hydraulic modes of the plant, as data of the site file: which one it is in, which one is wanted, how to get there.

A mode says how valves and pumps stand and which unit modes may run (直供 蓄热 边蓄边供 放热 联供; 主机供冷 蓄冰 融冰
联合供冷). No mode is known by its name here. A tank's isolating and discharge valve follow the tank (`arrange.py`); all
other valves of the modes are moved here: break before make, the next one only when the one before is proven. Pure.

Source: plant-operation notes, section 2, and section 3 step 1 (valves to position before any pump).
"""

from collections.abc import Mapping
from dataclasses import replace

from edge_agent.control.command import Because, Command, Kind
from edge_agent.control.memory import ASKED, NEEDS_SOURCE_PUMP, ControlMemory
from edge_agent.control.permissives import PATH_OPEN_RATIO
from edge_agent.control.station import CLOSED_RATIO
from edge_agent.control.view import PlantView
from edge_agent.control.want import Want
from edge_agent.settings.model import OperatingMode, SiteFile

STANDBY = "standby"
"""Code while nothing runs and no mode of the site file is one of rest."""


def modes_of(site: SiteFile) -> Mapping[str, OperatingMode]:
    """The site's modes; without any, those of a plant with one tank behind two valves."""
    if site.operating_modes or not site.storages:
        return site.operating_modes
    storage = next(iter(site.storages.values()))

    def mode(name: str, isolating: str, outlet: str, *units_in: str) -> OperatingMode:
        valves = {storage.isolating_valve: isolating, storage.discharge_valve: outlet}
        return OperatingMode.model_validate({"name": name, "valves": valves, "units_in": list(units_in)})

    return {
        "direct": mode("直供", "closed", "closed", "direct"),
        "charge": mode("蓄热", "open", "closed", "charge"),
        "charge_and_supply": mode("边蓄边供", "open", "modulating", "direct", "charge"),
        "discharge": mode("放热", "open", "modulating"),
        "combined": mode("联供", "open", "modulating", "direct"),
    }


# ------------------------------------------------------------------------------------------------------- which mode


def active_modes(memory: ControlMemory) -> frozenset[str]:
    """Modes in which units are asked to run now."""
    units = memory.units.values()
    return frozenset(
        unit.mode for unit in units if unit.mode is not None and unit.phase in ASKED and unit.idle_since_utc is None
    )


def needed_modes(memory: ControlMemory) -> frozenset[str]:
    """Modes whose way units still need: they run, are on their way, or their pumps run on."""
    units = memory.units.values()
    return frozenset(unit.mode for unit in units if unit.mode is not None and unit.phase in NEEDS_SOURCE_PUMP)


def operating_mode(site: SiteFile, memory: ControlMemory, view: PlantView) -> str:
    """Code of the mode in which the plant is now: by what units do and where valves stand."""
    discharging = any(
        all(_open(view, valve) for valve in (storage.isolating_valve, storage.discharge_valve))
        for storage in site.storages.values()
    )
    fitting = _fitting(site, active_modes(memory), discharging=discharging)
    # Of those that fit equally well, the one whose valves stand right; the order of the file decides the rest.
    return max(fitting, key=lambda code: _right_ratio(site, code, view), default=STANDBY)


def _open(view: PlantView, valve: str) -> bool:
    """Whether a valve lets water pass, as far as is known: one that does not show where it is goes as it was told."""
    seen = view.valves[valve]
    ratio = seen.commanded_ratio if seen.position_ratio is None else seen.position_ratio
    return ratio is not None and ratio > CLOSED_RATIO


def target_mode(site: SiteFile, *, active: frozenset[str], discharging: bool) -> str | None:
    """The mode that lets units run as wanted, and the tank feed the loop if it shall; None: valves may stay."""
    return next(iter(_fitting(site, active, discharging=discharging)), None)


def _fitting(site: SiteFile, active: frozenset[str], *, discharging: bool) -> list[str]:
    """Modes that fit best, in the order of the file; none while nothing is wanted and no mode is one of rest."""
    scored: dict[str, tuple[bool, int]] = {}
    for code, mode in modes_of(site).items():
        feeds = _feeds(site, mode)
        fits = active <= frozenset(mode.units_in) and (feeds or not discharging)
        if fits and not (not active and not discharging and (mode.units_in or feeds)):
            scored[code] = (feeds is not discharging, len(frozenset(mode.units_in) - active))
    best = min(scored.values(), default=None)
    return [code for code, score in scored.items() if score == best]


def _feeds(site: SiteFile, mode: OperatingMode) -> bool:
    """Whether a storage may feed its loop in a mode."""
    outlets = {storage.discharge_valve for storage in site.storages.values()}
    return any(mode.valves.get(valve) in ("open", "modulating") for valve in outlets)


def _right_ratio(site: SiteFile, code: str, view: PlantView) -> float:
    valves = modes_of(site)[code].valves
    return sum(_stands(view, valve, wanted) for valve, wanted in valves.items()) / max(len(valves), 1)


def _stands(view: PlantView, valve: str, wanted: str) -> bool:
    """Whether a valve is proven to stand as a mode wants it; a modulating one stands anywhere."""
    position_ratio = view.valves[valve].position_ratio
    if wanted == "modulating":
        return True
    if position_ratio is None:
        return False
    return position_ratio > PATH_OPEN_RATIO if wanted == "open" else position_ratio < CLOSED_RATIO


# ------------------------------------------------------------------------------------------------------ transitions


def mode_valves(site: SiteFile) -> frozenset[str]:
    """Valves that only the modes move: neither a tank's isolating nor its discharge valve."""
    own = {storage.isolating_valve for storage in site.storages.values()}
    own |= {storage.discharge_valve for storage in site.storages.values()}
    return frozenset(valve for mode in site.operating_modes.values() for valve in mode.valves) - own


def mode_pumps(site: SiteFile) -> frozenset[str]:
    """Pumps that only the modes switch: no unit's own."""
    own = {pump for unit in site.units.values() for pump in (unit.source_pump, unit.user_pump)}
    return frozenset(pump for mode in site.operating_modes.values() for pump in mode.pumps) - own


def moves(site: SiteFile, code: str | None, view: PlantView) -> tuple[Command, ...]:
    """What brings valves and pumps of the modes into a mode: close, prove, open, prove, then pumps.

    Pumps that the mode does not want stop first: a valve is not closed against a running pump.
    """
    if code is None or code not in site.operating_modes:
        return ()
    mode, ours = site.operating_modes[code], mode_valves(site)
    pumps = {pump: mode.pumps.get(pump, "off") == "on" for pump in mode_pumps(site)}
    stop = [_pump(site, pump, on=False) for pump, on in pumps.items() if not on]
    if any(view.pumps[command.subject].running is not False for command in stop):
        return tuple(stop)
    close = {valve for valve, wanted in mode.valves.items() if valve in ours and wanted == "closed"}
    opened = {valve for valve, wanted in mode.valves.items() if valve in ours and wanted == "open"}
    commands = [*stop, *(_valve(site, valve, ratio=0.0) for valve in sorted(close))]
    if all(_stands(view, valve, "closed") for valve in close):
        commands += [_valve(site, valve, ratio=1.0) for valve in sorted(opened)]
        if all(_stands(view, valve, "open") for valve in opened):
            commands += [_pump(site, pump, on=True) for pump, on in pumps.items() if on]
    return tuple(commands)


def _valve(site: SiteFile, name: str, *, ratio: float) -> Command:
    valve = site.valves[name]
    return Command(f"{valve.device}.{valve.point}", ratio, Kind.ISOLATING_VALVE, name, Because.SEQUENCE)


def _pump(site: SiteFile, name: str, *, on: bool) -> Command:
    pump = site.pumps[name]
    return Command(f"{pump.device}.{pump.command}", float(on), Kind.PUMP, name, Because.SEQUENCE)


def way_proven(site: SiteFile, view: PlantView, unit_mode: str) -> bool:
    """Whether the valves that only the modes move stand as some mode wants them in which a unit may run so."""
    ours = mode_valves(site)
    if not ours:
        return True
    return any(
        all(_stands(view, valve, wanted) for valve, wanted in mode.valves.items() if valve in ours)
        for mode in site.operating_modes.values()
        if unit_mode in mode.units_in
    )


def allowed_under(site: SiteFile, name: str, *, value: float, active: frozenset[str]) -> bool:
    """Whether a valve or pump of the modes may go so while units run in some modes: another mode has both."""
    if name in mode_pumps(site):
        wanted = {"on"} if value == 1.0 else {"off", None}
        return any(
            active <= frozenset(mode.units_in) and mode.pumps.get(name) in wanted
            for mode in site.operating_modes.values()
        )
    wanted_valve = "open" if value == 1.0 else "closed"
    return any(
        active <= frozenset(mode.units_in) and mode.valves.get(name) in (wanted_valve, "modulating")
        for mode in site.operating_modes.values()
    )


def with_setpoints(wants: Mapping[str, Want], site: SiteFile, code: str | None) -> dict[str, Want]:
    """Leaving temperatures that a mode asks of units, in the place of those of dispatch (ice: below zero)."""
    asked = {} if code is None or code not in site.operating_modes else site.operating_modes[code].setpoints_degc
    if not asked:
        return dict(wants)
    return {name: replace(want, setpoint_degc={**want.setpoint_degc, **asked}) for name, want in wants.items()}


def mode_words(site: SiteFile, code: str) -> tuple[str, str]:
    """A mode in both languages."""
    mode = modes_of(site).get(code)
    if mode is None:
        return "待机", "standby"
    return mode.name, mode.name_en or code.replace("_", " ")
