"""Checks across fields and files: names that must exist, curves, limits, signatures, and what this version cannot do.

They work on the files as they were read, not on the models: a wrong type in one line must not hide a misspelt name in
another, so that an operator meets all errors in one round. Where a value has not even the right form they stay silent.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from drivers.profile import Profile
from drivers.read_plan import LineCost
from drivers.wire_budget import WireBudget, device_share, line_cost
from edge_agent.settings.check_actuation import check_actuation, writable
from edge_agent.settings.check_modes import check_modes
from edge_agent.settings.check_paths import check_paths
from edge_agent.settings.check_plan import check_plan
from edge_agent.settings.check_uplink import check_uplink
from edge_agent.settings.dialect import Dialect
from edge_agent.settings.finding import Finding
from edge_agent.settings.form import nearest
from edge_agent.settings.model import Loop, Performance
from edge_agent.settings.yaml_file import Document, Path_
from scheduling.plant.curve import HULL_RATIO_MAX, SMOOTH_RATIO, convex_hull

DAY_MIN = 24 * 60
HOUR_MIN = 60
FRAMINGS = ("8N1", "8E1", "8O1", "8N2")
DEAREST_SHOWN = 5
CHINA = "Asia/Shanghai"
CHINESE = (
    "beijing",
    "peking",
    "tianjin",
    "guangzhou",
    "shenzhen",
    "chengdu",
    "nanjing",
    "xian",
    "china",
    "北京",
    "utc+8",
    "gmt+8",
)
"""In these words people ask for China's zone, which carries another city's name."""
"""Devices named where a bus is asked too much."""
LEAP_YEAR = 2024
"""A year that has every date, for dates without a year."""
NAMEPLATE = "nameplate"

# Kind of name -> what it is called (zh, en); the key of the texts' placeholder.
KINDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "device": ("设备", "device"),
        "bus": ("总线", "bus"),
        "pump": ("水泵", "pump"),
        "valve": ("阀门", "valve"),
        "loop": ("环路", "loop"),
        "storage": ("蓄能装置", "storage"),
        "source": ("热源", "source"),
        "unit": ("机组", "unit"),
        "profile": ("设备型号文件", "profile"),
        "performance": ("性能曲线", "performance map"),
        "point": ("测点", "point"),
    }
)

# Where names stand; `*` is any key or index. File, path, kind of the name that stands there.
REFERENCES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("site", ("loops", "*", "meter"), "device"),
    ("site", ("loops", "*", "supply_point"), "point"),
    ("site", ("loops", "*", "return_point"), "point"),
    ("site", ("sources", "*", "meter"), "device"),
    ("site", ("storages", "*", "loop"), "loop"),
    ("site", ("storages", "*", "meter"), "device"),
    ("site", ("storages", "*", "layers", "*"), "point"),
    ("site", ("storages", "*", "isolating_valve"), "valve"),
    ("site", ("storages", "*", "discharge_valve"), "valve"),
    ("site", ("units", "*", "device"), "device"),
    ("site", ("units", "*", "source"), "source"),
    ("site", ("units", "*", "loop"), "loop"),
    ("site", ("units", "*", "storage"), "storage"),
    ("site", ("units", "*", "identical_to"), "unit"),
    ("site", ("units", "*", "points", "*"), "point"),
    ("site", ("units", "*", "points", "*", "*"), "point"),
    ("site", ("units", "*", "source_pump"), "pump"),
    ("site", ("units", "*", "user_pump"), "pump"),
    ("site", ("auxiliaries", "*", "loop"), "loop"),
    ("site", ("auxiliaries", "*", "device"), "device"),
    ("site", ("pumps", "*", "device"), "device"),
    ("site", ("valves", "*", "device"), "device"),
    ("site", ("meters", "electricity"), "device"),
    ("site", ("meters", "units", "*"), "device"),
    ("site", ("meters", "weather"), "point"),
    ("devices", ("devices", "*", "bus"), "bus"),
    ("uplink", ("points", "*", "point"), "point"),
)
# Mappings whose keys are names of something else.
KEY_REFERENCES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("site", ("operating_modes", "*", "valves"), "valve"),
    ("site", ("operating_modes", "*", "pumps"), "pump"),
    ("site", ("meters", "units"), "unit"),
)
# Devices that must have a certain point: path to the device's name, point, what it is for.
NEEDED_POINTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("loops", "*", "meter"), "heat_power"),
    (("sources", "*", "meter"), "heat_power"),
    (("storages", "*", "meter"), "heat_power"),
    (("meters", "electricity"), "electric_power"),
    (("meters", "units", "*"), "electric_power"),
)
# What the configuration can say but this version cannot do: file, path, values.
NOT_BUILT: tuple[tuple[str, tuple[str, ...], frozenset[str]], ...] = (
    ("site", ("units", "*", "performance"), frozenset({NAMEPLATE})),
    ("site", ("storages", "*", "kind"), frozenset({"chilled_water", "ice", "pcm"})),
)
TCP_ONLY = ("depth", "lenient_ids", "connect_delay_s")
"""Keys of a bus that mean nothing on a serial line."""
NOT_BUILT_KEYS: tuple[tuple[str, tuple[str, ...]], ...] = (("site", ("auxiliaries", "*", "kind")),)


@dataclass(frozen=True, slots=True)
class Files:
    """What could be read of a configuration.

    Attributes:
        documents: file without its ending (site, devices, tariff, uplink) -> what it says; absent when unreadable.
        profiles: device -> register map; absent when its profile could not be used.
        profile_names: profiles that exist.
        performance: performance maps that could be read.
        performance_names: performance maps that exist.
        dialects: uplink -> how its platform is spoken to; absent when it could not be read.
    """

    documents: Mapping[str, Document]
    profiles: Mapping[str, Profile]
    profile_names: tuple[str, ...]
    performance: Mapping[str, Performance]
    performance_names: tuple[str, ...]
    dialects: Mapping[str, Dialect]


def check(files: Files) -> list[Finding]:
    """Make every check that the readable files allow."""
    found: list[Finding] = []
    site, devices, uplink = (files.documents.get(name) for name in ("site", "devices", "uplink"))
    found.extend(_names(files))
    found.extend(_not_built(files))
    if devices is not None:
        found.extend(_buses(devices))
        found.extend(_device_entries(devices))
        found.extend(_overloaded_buses(devices, files.profiles))
    if site is not None:
        for rule in (_identity, _loops, _storages, _seasons, _limits, check_modes):
            found.extend(rule(site))
        found.extend(_units(site, files))
        found.extend(check_paths(site))
        found.extend(check_plan(site, files.performance))
        found.extend(check_actuation(site, files.profiles))
        found.extend(_points_needed(site, files))
        found.extend(_actuators(site, files))
        found.extend(_stale(site, devices, files.profiles))
    if uplink is not None:
        found.extend(check_uplink(uplink, site, files.dialects))
    return found


# ---------------------------------------------------------------------------------------------- walking through files


def _walk(node: object, pattern: tuple[str, ...], at: Path_ = ()) -> Iterator[tuple[Path_, object]]:
    """Every place that fits a pattern, and what stands there."""
    if not pattern:
        yield at, node
    elif pattern[0] == "*":
        members: Iterable[tuple[Any, object]] = ()
        if isinstance(node, Mapping):
            members = node.items()
        elif isinstance(node, list):
            members = enumerate(node)
        for key, value in members:
            if isinstance(key, (str, int)):
                yield from _walk(value, pattern[1:], (*at, key))
    elif isinstance(node, Mapping) and pattern[0] in node:
        yield from _walk(node[pattern[0]], pattern[1:], (*at, pattern[0]))


def _entries(document: Document, section: str) -> dict[str, Mapping[str, Any]]:
    """The entries of a section that are mappings, by name."""
    members = document.data.get(section)
    if not isinstance(members, Mapping):
        return {}
    return {name: entry for name, entry in members.items() if isinstance(name, str) and isinstance(entry, Mapping)}


def _keys(document: Document | None, section: str) -> tuple[str, ...] | None:
    """Names in a section; None when the file could not be read."""
    if document is None:
        return None
    members = document.data.get(section)
    return tuple(str(name) for name in members) if isinstance(members, Mapping) else ()


def _number(entry: Mapping[str, Any], key: str) -> float | None:
    return _finite(entry.get(key))


def _finite(value: object) -> float | None:
    """A number that can be compared; None for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _pairs(value: object) -> list[tuple[float, float]] | None:
    """A curve, if it has the form of one."""
    if not isinstance(value, list):
        return None
    points: list[tuple[float, float]] = []
    for item in value:
        pair = [_finite(number) for number in item] if isinstance(item, list) else []
        if len(pair) != 2 or pair[0] is None or pair[1] is None:  # noqa: PLR2004 - a pair
            return None
        points.append((pair[0], pair[1]))
    return points


# -------------------------------------------------------------------------------------------------------------- names


def _names(files: Files) -> Iterator[Finding]:
    """Names that stand for something: does it exist?"""
    documents = files.documents
    site, devices = documents.get("site"), documents.get("devices")
    known: dict[str, tuple[str, ...] | None] = {
        "device": _keys(devices, "devices"),
        "bus": _keys(devices, "buses"),
        **{
            kind: _keys(site, section)
            for kind, section in {
                "pump": "pumps", "valve": "valves", "loop": "loops", "storage": "storages", "source": "sources",
                "unit": "units",
            }.items()
        },
    }  # fmt: skip
    for file, pattern, kind in REFERENCES:
        document = documents.get(file)
        if document is None:
            continue
        for at, value in _walk(document.data, pattern):
            if not isinstance(value, str):
                continue
            if kind == "point":
                yield from _point(document, at, value, known["device"], files)
            else:
                yield from _name(document, at, value, kind=kind, known=known[kind])
    for file, pattern, kind in KEY_REFERENCES:
        document = documents.get(file)
        if document is None:
            continue
        for at, members in _walk(document.data, pattern):
            for key in members if isinstance(members, Mapping) else ():
                yield from _name(document, (*at, key), str(key), kind=kind, known=known[kind], at_key=True)


def _name(
    document: Document, at: Path_, name: str, *, kind: str, known: tuple[str, ...] | None, at_key: bool = False
) -> Iterator[Finding]:
    if known is None or name in known:
        return
    zh, en = KINDS[kind]
    close = nearest(name, known)
    code = "unknown_name_near" if close else "unknown_name"
    yield document.finding(
        code, at, at_key=at_key, name=name, kind_zh=zh, kind_en=en, close=close, known=", ".join(known) or "-"
    )


def _point(
    document: Document, at: Path_, name: str, devices: tuple[str, ...] | None, files: Files
) -> Iterator[Finding]:
    """A point is `device.point`: both halves must exist."""
    device, dot, point = name.partition(".")
    if not dot or not point:
        yield document.finding("point_form", at, name=name)
        return
    if devices is not None and device not in devices:
        yield from _name(document, at, device, kind="device", known=devices)
        return
    profile = files.profiles.get(device)
    if profile is not None and point not in profile.points:
        known = [f"{device}.{key}" for key in profile.points]
        yield from _name(document, at, name, kind="point", known=tuple(known))


# ---------------------------------------------------------------------------------------------------------- not built


def _not_built(files: Files) -> Iterator[Finding]:
    for file, pattern, values in NOT_BUILT:
        document = files.documents.get(file)
        if document is None:
            continue
        for at, value in _walk(document.data, pattern):
            if isinstance(value, str) and value in values:
                yield document.finding("not_built", at, what=f"{pattern[-1]}: {value}")
    for file, pattern in NOT_BUILT_KEYS:
        document = files.documents.get(file)
        if document is None:
            continue
        for at, value in _walk(document.data, pattern):
            if value is not None:
                yield document.finding("not_built", at, at_key=True, what=pattern[-1])


# --------------------------------------------------------------------------------------------------------- devices.yaml


def _buses(devices: Document) -> Iterator[Finding]:
    ports: dict[str, str] = {}
    for name, entry in _entries(devices, "buses").items():
        kinds = [key for key in ("serial", "tcp", "rtu_over_tcp") if entry.get(key) is not None]
        if len(kinds) != 1:
            yield devices.finding("bus_kind", ("buses", name), at_key=True, name=name, kinds=", ".join(kinds) or "-")
        for key in ("tcp", "rtu_over_tcp"):
            address = entry.get(key)
            if isinstance(address, str) and not _is_host_port(address):
                yield devices.finding("host_port", ("buses", name, key), given=address, example="192.0.2.10:502")
            elif isinstance(address, str):
                # Many devices take one client only, and two masters on one line disturb each other.
                if address.lower() in ports:
                    yield devices.finding(
                        "host_twice", ("buses", name, key), given=address, other=ports[address.lower()]
                    )
                ports.setdefault(address.lower(), name)
        if entry.get("tcp") is None:
            for key in TCP_ONLY:
                if entry.get(key) is not None:
                    yield devices.finding("tcp_only", ("buses", name, key), at_key=True, key=key)
        depth = entry.get("depth")
        if entry.get("lenient_ids") is True and isinstance(depth, int) and depth > 1:
            yield devices.finding("lenient_depth", ("buses", name, "depth"), given=depth)
        port = entry.get("serial")
        if isinstance(port, str):
            if port in ports:
                yield devices.finding("port_twice", ("buses", name, "serial"), given=port, other=ports[port])
            ports.setdefault(port, name)
            if re.fullmatch(r"/dev/tty(USB|ACM)[0-9]+", port):
                yield devices.finding("port_by_number", ("buses", name, "serial"), warning=True, given=port)


def _is_host_port(address: str) -> bool:
    host, colon, port = address.rpartition(":")
    return bool(host and colon) and re.fullmatch(r"[0-9]{1,5}", port) is not None and 0 < int(port) <= 0xFFFF  # noqa: PLR2004 - 16 bit


def _device_entries(devices: Document) -> Iterator[Finding]:
    taken: dict[tuple[str, int], str] = {}
    buses = _entries(devices, "buses")
    for name, entry in _entries(devices, "devices").items():
        bus, unit = entry.get("bus"), entry.get("unit")
        if not isinstance(bus, str) or not isinstance(unit, int):
            continue
        if (bus, unit) in taken:
            yield devices.finding("unit_twice", ("devices", name, "unit"), bus=bus, unit=unit, other=taken[bus, unit])
        taken.setdefault((bus, unit), name)
        if unit == 0 and buses.get(bus, {}).get("serial") is not None:
            yield devices.finding("unit_broadcast", ("devices", name, "unit"))


# ------------------------------------------------------------------------------------------------------------ site.yaml


def _identity(site: Document) -> Iterator[Finding]:
    identity = site.data.get("site")
    identity = identity if isinstance(identity, Mapping) else {}
    yield from check_zone(site)
    if identity.get("simulated_clock") is not None and identity.get("simulated") is not True:
        yield site.finding("clock_not_simulated", ("site", "simulated_clock"), at_key=True)
    signature = site.data.get("commissioning")
    if not isinstance(signature, Mapping):
        return
    if signature.get("start_mode") == "auto" and not (signature.get("signed_by") and signature.get("signed_on")):
        yield site.finding("unsigned", ("commissioning", "start_mode"))
    elif bool(signature.get("signed_by")) != bool(signature.get("signed_on")):
        yield site.finding("half_signed", ("commissioning",), at_key=True)


def _zone_exists(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _loops(site: Document) -> Iterator[Finding]:
    for name, loop in _entries(site, "loops").items():
        low, high = _number(loop, "supply_degc_min"), _number(loop, "supply_degc_max")
        if low is not None and high is not None and low >= high:
            at = ("loops", name, "supply_degc_max")
            yield site.finding("min_above_max", at, low=f"{low:g}", high=f"{high:g}", low_key="supply_degc_min")
        yield from _outdoor(site, name, loop)
        at = ("loops", name, "supply_setpoint_degc")
        curve = _pairs(loop.get("supply_setpoint_degc"))
        if curve is None:
            continue
        if not curve:
            yield site.finding("curve_empty", at, at_key=True)
        for index, ((before, _), (after, _)) in enumerate(pairwise(curve), start=1):
            if after <= before:
                yield site.finding("curve_not_rising", (*at, index), before=f"{before:g}", after=f"{after:g}")
        for index, (_, supply) in enumerate(curve):
            if low is not None and high is not None and low < high and not low <= supply <= high:
                yield site.finding(
                    "curve_outside", (*at, index, 1), given=f"{supply:g}", low=f"{low:g}", high=f"{high:g}"
                )


def _outdoor(site: Document, name: str, loop: Mapping[str, Any]) -> Iterator[Finding]:
    """The design day of a heat loop is colder than where its load ends, that of a cold loop warmer."""
    design, balance = (
        Loop.model_fields[key].default if key not in loop else _number(loop, key)
        for key in ("design_outdoor_degc", "balance_outdoor_degc")
    )
    if design is None or balance is None or loop.get("medium") not in {"heat", "cold"}:
        return
    if (design >= balance) if loop["medium"] == "heat" else (design <= balance):
        key = next((key for key in ("design_outdoor_degc", "balance_outdoor_degc") if key in loop), "medium")
        at = ("loops", name, key)
        yield site.finding(f"no_design_{loop['medium']}", at, design=f"{design:g}", balance=f"{balance:g}")


def _storages(site: Document) -> Iterator[Finding]:
    for name, tank in _entries(site, "storages").items():
        low, high = _number(tank, "degc_min"), _number(tank, "degc_max")
        if low is not None and high is not None and low >= high:
            at = ("storages", name, "degc_max")
            yield site.finding("min_above_max", at, low=f"{low:g}", high=f"{high:g}", low_key="degc_min")
        charge = _number(tank, "charge_setpoint_degc")
        if charge is not None and high is not None and tank.get("kind") in {"hot_water", "pcm"} and charge < high:
            at = ("storages", name, "charge_setpoint_degc")
            yield site.finding("charge_too_cold", at, given=f"{charge:g}", high=f"{high:g}")
        yield from _charge_min(site, name, tank, charge_degc=charge, low_degc=low)
        layers = tank.get("layers")
        if isinstance(layers, list):
            if not layers:
                yield site.finding("layers_empty", ("storages", name, "layers"), at_key=True)
            for index, layer in enumerate(layers):
                if layer in layers[:index]:
                    yield site.finding("layer_twice", ("storages", name, "layers", index), name=layer)


def check_zone(site: Document) -> Iterator[Finding]:
    """Whether the site's zone is one."""
    identity = site.data.get("site")
    zone = identity.get("timezone") if isinstance(identity, Mapping) else None
    if isinstance(zone, str) and not _zone_exists(zone):
        in_china = any(name in zone.lower() for name in CHINESE)
        close = CHINA if in_china else nearest(zone, available_timezones()) or CHINA
        yield site.finding("unknown_zone", ("site", "timezone"), given=zone, close=close)


CHARGE_SPAN_K_MIN = 3.0
"""A tank that is charged over a smaller span cannot be told full from empty. Ours: twice what its sensors leave."""


def _charge_min(
    site: Document, name: str, tank: Mapping[str, object], *, charge_degc: float | None, low_degc: float | None
) -> Iterator[Finding]:
    """The lowest charging temperature, where the plan may choose one."""
    lowest = _number(tank, "charge_setpoint_degc_min")
    if lowest is None:
        return
    at = ("storages", name, "charge_setpoint_degc_min")
    if tank.get("kind") in {"chilled_water", "ice", "pcm"}:
        yield site.finding("charge_min_not_water", at)
    elif charge_degc is not None and lowest > charge_degc:
        yield site.finding(
            "min_above_max", at, low=f"{lowest:g}", high=f"{charge_degc:g}", low_key="charge_setpoint_degc_min"
        )
    elif low_degc is not None and lowest < low_degc + CHARGE_SPAN_K_MIN:
        yield site.finding("charge_min_empty", at, given=f"{lowest:g}", low=f"{low_degc:g}")


def _seasons(site: Document) -> Iterator[Finding]:
    seasons = site.data.get("seasons")
    for name, span in seasons.items() if isinstance(seasons, Mapping) else ():
        if isinstance(span, str) and not _is_season(span):
            yield site.finding("season_form", ("seasons", name), given=span)


def _is_season(span: str) -> bool:
    match = re.fullmatch(r"(\d\d)-(\d\d)\.\.(\d\d)-(\d\d)", span)
    if match is None:
        return False
    first_month, first_day, last_month, last_day = (int(part) for part in match.groups())
    try:
        date(LEAP_YEAR, first_month, first_day)
        date(LEAP_YEAR, last_month, last_day)
    except ValueError:
        return False
    return True


def _limits(site: Document) -> Iterator[Finding]:
    limits = site.data.get("limits")
    window = limits.get("demand_window_min") if isinstance(limits, Mapping) else None
    if isinstance(window, int) and 0 < window <= HOUR_MIN and HOUR_MIN % window:
        yield site.finding("window_form", ("limits", "demand_window_min"), given=window)
    web = site.data.get("web")
    listen = web.get("listen") if isinstance(web, Mapping) else None
    if isinstance(listen, str) and not _is_host_port(listen):
        yield site.finding("host_port", ("web", "listen"), given=listen, example="127.0.0.1:8080")


def _stale(site: Document, devices: Document | None, profiles: Mapping[str, Profile]) -> Iterator[Finding]:
    """A device read less often than readings stay valid would never be usable for control.

    Nothing is read faster than the device renews it, whatever the period asked for.
    """
    control = site.data.get("control")
    stale_s = _number(control if isinstance(control, Mapping) else {}, "stale_s") or 180.0
    for name, entry in _entries(devices, "devices").items() if devices is not None else ():
        period_s = _number(entry, "period_s")
        if devices is None or period_s is None:
            continue
        if name in profiles:
            period_s = max(period_s, profiles[name].timing.refresh_s or 0.0)
        if period_s >= stale_s:
            at = ("devices", name, "period_s")
            yield devices.finding("period_too_long", at, warning=True, given=f"{period_s:g}", stale=f"{stale_s:g}")


def _overloaded_buses(devices: Document, profiles: Mapping[str, Profile]) -> Iterator[Finding]:
    """A line that is asked for more than it can carry keeps no period at all."""
    buses = _entries(devices, "buses")
    shares: dict[str, dict[str, float]] = {}
    for name, entry in _entries(devices, "devices").items():
        period_s = _number(entry, "period_s")
        bus = entry.get("bus")
        if name in profiles and isinstance(bus, str) and bus in buses and period_s is not None and period_s > 0:
            cost = _line_cost(buses[bus])
            if cost is not None:
                shares.setdefault(bus, {})[name] = device_share(profiles[name], period_s=period_s, cost=cost)
    for bus, members in shares.items():
        budget = WireBudget(members)
        if not budget.fits:
            yield devices.finding(
                "bus_overloaded",
                ("buses", bus),
                at_key=True,
                warning=True,
                name=bus,
                share=f"{budget.share:.2f}",
                stretch=f"{budget.stretch:.1f}",
                devices=", ".join(f"{device} {share:.2f}" for device, share in budget.dearest()[:DEAREST_SHOWN]),
            )


def _line_cost(bus: Mapping[str, Any]) -> LineCost | None:
    """What a read costs on a bus; None where the entry has not the right form."""
    if isinstance(bus.get("tcp"), str):
        return line_cost(baud=None)
    baud, framing = bus.get("baud", 9600), bus.get("framing", "8N1")
    if not isinstance(baud, int) or isinstance(baud, bool) or baud <= 0 or framing not in FRAMINGS:
        return None
    return line_cost(baud=baud, framing=framing)


# ---------------------------------------------------------------------------------------------------------------- units


def _units(site: Document, files: Files) -> Iterator[Finding]:
    units = _entries(site, "units")
    metered = site.data.get("meters")
    metered = metered.get("units") if isinstance(metered, Mapping) else None
    for name, unit in units.items():
        at = ("units", name)
        modes = (
            [mode for mode in unit.get("modes") or () if isinstance(mode, str)]
            if isinstance(unit.get("modes"), list)
            else []
        )
        if isinstance(unit.get("modes"), list) and not modes:
            yield site.finding("modes_empty", (*at, "modes"), at_key=True)
        for index, mode in enumerate(unit.get("modes") or ()):
            if isinstance(mode, str) and mode not in {"direct", "charge"}:
                yield site.finding(
                    "not_one_of",
                    (*at, "modes", index),
                    given=mode,
                    allowed="direct, charge",
                    write=nearest(mode, ("direct", "charge")) or "direct",
                )
        if "charge" in modes and unit.get("storage") is None:
            yield site.finding("charge_without_storage", (*at, "modes"), name=name)
        yield from _performance(site, name, unit, modes, files)
        twin = unit.get("identical_to")
        if isinstance(twin, str) and twin in units:
            yield from _twins(site, name, twin, units)
        if isinstance(metered, Mapping) and name not in metered:
            yield site.finding("unit_unmetered", at, at_key=True, warning=True, name=name)


def _performance(
    site: Document, name: str, unit: Mapping[str, Any], modes: list[str], files: Files
) -> Iterator[Finding]:
    wanted = unit.get("performance")
    at = ("units", name, "performance")
    if not isinstance(wanted, str) or wanted == NAMEPLATE:
        return
    yield from _name(site, at, wanted, kind="performance", known=files.performance_names)
    performance = files.performance.get(wanted)
    for mode in modes if performance is not None else ():
        if performance is not None and mode not in performance.modes and mode in {"direct", "charge"}:
            yield site.finding("performance_mode_missing", at, name=wanted, mode=mode)


def _twins(site: Document, name: str, twin: str, units: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Identical units are planned as one kind: they must agree in everything that the plan knows of them."""
    at = ("units", name, "identical_to")
    if twin == name:
        yield site.finding("twin_itself", at)
        return
    if units[twin].get("identical_to") is not None:
        yield site.finding("twin_chain", at, name=twin)
    for key in (
        "source", "loop", "storage", "modes", "heat_kw_rated", "performance", "actuation", "stage_ratios", "min_on_s",
        "min_off_s", "starts_per_hour_max", "starts_per_day_max", "start_cost_cny",
    ):  # fmt: skip
        mine, theirs = units[name].get(key), units[twin].get(key)
        if mine != theirs:
            where = ("units", name, key) if key in units[name] else at
            yield site.finding("twin_differs", where, name=name, twin=twin, key=key, mine=str(mine), theirs=str(theirs))


def check_performance(document: Document) -> Iterator[Finding]:
    """A performance map: curves rise, are convex, and end at full load."""
    modes = document.data.get("modes")
    for name, mode in modes.items() if isinstance(modes, Mapping) else ():
        curve = _pairs(mode.get("curve")) if isinstance(mode, Mapping) else None
        if curve is None:
            continue
        at = ("modes", name, "curve")
        if len(curve) < 2:  # noqa: PLR2004 - a line has two ends
            yield document.finding("too_few", at, key="curve")
            continue
        rising = True
        for index, ((before, low), (after, high)) in enumerate(pairwise(curve), start=1):
            if after <= before or high < low:
                rising = False
                yield document.finding("curve_not_rising", (*at, index), before=f"{before:g}", after=f"{after:g}")
        if rising:
            yield from _bend(document, at, curve)
        if not 0 < curve[0][0] < 1 or not math.isclose(curve[-1][0], 1):
            yield document.finding("curve_ends", at)
        yield from _full_load(document, name, mode)


def _bend(document: Document, at: Path_, curve: list[tuple[float, float]]) -> Iterator[Finding]:
    """A curve that is not convex is planned by its hull while that is nearly true, and refused beyond."""
    hull = convex_hull(curve)
    if hull.error_ratio <= SMOOTH_RATIO:
        return
    slopes = [(high - low) / (after - before) for (before, low), (after, high) in pairwise(curve)]
    index = next(index for index, (flat, steep) in enumerate(pairwise(slopes), start=2) if steep < flat)
    percent = f"{100 * hull.error_ratio:.1f}"
    if hull.error_ratio <= HULL_RATIO_MAX:
        yield document.finding("curve_hull", (*at, index), warning=True, percent=percent, load=f"{hull.position:g}")
    else:
        yield document.finding("curve_not_convex", (*at, index), percent=percent)


def _full_load(document: Document, name: str, mode: Mapping[str, Any]) -> Iterator[Finding]:
    """Figures at other temperatures: positive, each place once, and the temperatures of the usual figures known."""
    rows = mode.get("full_load")
    if not isinstance(rows, list) or not rows:
        return
    at = ("modes", name, "full_load")
    for key in ("source_degc", "load_degc"):
        if _number(mode, key) is None:
            yield document.finding("map_needs", at, at_key=True, key=key)
    seen: set[tuple[float, float]] = set()
    for index, row in enumerate(rows):
        figures = [_finite(number) for number in row] if isinstance(row, list) else []
        if len(figures) != 4 or any(figure is None for figure in figures):  # noqa: PLR2004 - a row of the map
            continue  # its form has been complained about
        source, load, output, electric = (figure or 0.0 for figure in figures)
        if output <= 0 or electric <= 0 or electric >= output:
            yield document.finding("map_row", (*at, index))
        if (source, load) in seen:
            yield document.finding("map_twice", (*at, index), source=f"{source:g}", load=f"{load:g}")
        seen.add((source, load))


# -------------------------------------------------------------------------------------- what devices must be able to do


def _points_needed(site: Document, files: Files) -> Iterator[Finding]:
    for pattern, point in NEEDED_POINTS:
        for at, device in _walk(site.data, pattern):
            profile = files.profiles.get(device) if isinstance(device, str) else None
            if profile is not None and point not in profile.points:
                yield site.finding("device_lacks_point", at, device=device, profile=profile.name, point=point)


def _actuators(site: Document, files: Files) -> Iterator[Finding]:
    """Pumps and valves: the commanded point must be writable, the feedback must exist."""
    for section, command_key, command, feedback in (
        ("pumps", "command", "run_command", "running"),
        ("valves", "point", None, None),
    ):
        for name, entry in _entries(site, section).items():
            device = entry.get("device")
            profile = files.profiles.get(device) if isinstance(device, str) else None
            if profile is None:
                continue
            for key, default in ((command_key, command), ("feedback", feedback)):
                point = entry.get(key, default)
                if not isinstance(point, str):
                    continue
                at = (section, name, key) if key in entry else (section, name)
                if point not in profile.points:
                    full = f"{device}.{point}"
                    known = tuple(f"{device}.{other}" for other in profile.points)
                    yield from _name(site, at, full, kind="point", known=known)
                elif key != "feedback" and not writable(profile, point):
                    yield site.finding("device_lacks_command", at, device=device, profile=profile.name, point=point)
