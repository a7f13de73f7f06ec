"""What `edge-agent probe` is asked for: which unit on which wire, which points, which numbers on their screens."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_agent.cli.common import Common, Exit

if TYPE_CHECKING:
    from drivers.bus.base import Bus
    from drivers.commissioning.expected import Expected
    from drivers.commissioning.mbpoll import Line
    from drivers.commissioning.reach import Reached
    from drivers.profile import Profile
    from edge_agent.settings.load import Configuration


@dataclass(slots=True)
class Place:
    """A unit on a wire, as this verb needs it."""

    device: str
    bus: "Bus"
    unit: int
    line: "Line"
    profile: "Profile | None" = None
    configuration: "Configuration | None" = None


@dataclass(slots=True)
class Wish:
    """One point that is looked for, and the numbers its screen shows, in the order of time."""

    point: str | None
    expected: "list[Expected]"
    looks: "list[tuple[Reached, Expected]]" = field(default_factory=list)


def place_of(
    common: Common, where: tuple[str, ...], *, unit: int | None, baud: int, framing: str, via_service: bool
) -> Place:
    """Finds the device, in the configuration or on the wire that is named."""
    from drivers.commissioning.scan import Setting  # noqa: PLC0415 - heavy
    from edge_agent.cli import wires  # noqa: PLC0415
    from edge_agent.field import ServiceBus, Target, ask_wire  # noqa: PLC0415

    wires.quiet()
    if where[0] not in ("rtu", "tcp"):
        return _configured(common, where[0], via_service=via_service)
    if len(where) < 2 or unit is None:  # noqa: PLR2004 - kind and place
        wires.end(
            common,
            "probe",
            Exit.USAGE,
            zh=f"probe {where[0]} 后面要写串口或主机,并用 --unit 给出站号",
            en=f"probe {where[0]} needs a port or host, and --unit with the unit number",
        )
    if where[0] == "rtu":
        target = Target(port=where[1], setting=Setting(baud, framing))
    else:
        target = wires.parse_host(common, "probe", where[1])
    owned = wires.owned_bus(common, "probe", target, via_service=via_service)
    bus: Bus
    if owned is None:
        bus = ask_wire(target, timeout_s=1.0)
    else:
        bus = ServiceBus(owned[0], state_dir=owned[1].site.storage_media.state_dir)
    return Place(f"{where[0]} {where[1]} --unit {unit}", bus, unit, target.line)


def _configured(common: Common, device: str, *, via_service: bool) -> Place:
    from drivers.commissioning.mbpoll import Line  # noqa: PLC0415 - heavy
    from edge_agent.cli import wires  # noqa: PLC0415
    from edge_agent.field import ServiceBus, service_runs, target_of  # noqa: PLC0415
    from edge_agent.settings.load import load_configuration  # noqa: PLC0415
    from edge_agent.wiring import build_buses  # noqa: PLC0415

    configuration = load_configuration(common.config)
    entry = configuration.devices.devices.get(device)
    if entry is None:
        known = ", ".join(configuration.devices.devices)
        wires.end(
            common,
            "probe",
            Exit.USAGE,
            zh=f"没有设备 {device};已配置: {known}。未配置的用 probe rtu 串口 --unit 站号",
            en=f"no device {device}; configured: {known}. One that is not yet: probe rtu PORT --unit N",
        )
    state_dir = configuration.site.storage_media.state_dir
    bus: Bus
    if service_runs(state_dir):
        if not via_service:
            wires.busy(common, "probe", entry.bus)
        bus = ServiceBus(entry.bus, state_dir=state_dir)
    else:
        bus = build_buses(configuration)[entry.bus]
    target = target_of(configuration.devices.buses[entry.bus])
    line = Line("HOST", port=502) if target is None else target.line
    return Place(device, bus, entry.unit, line, configuration.profiles[device], configuration)


def point_of(common: Common, place: Place, where: tuple[str, ...]) -> str | None:
    """The point on the command line, if there is one and the device has it."""
    from edge_agent.cli import wires  # noqa: PLC0415 - heavy

    rest = where[1:] if place.profile is not None else where[2:]
    if not rest:
        return None
    if len(rest) > 1 or place.profile is None:
        wires.end(
            common, "probe", Exit.USAGE, zh=f"多余的参数: {' '.join(rest)}", en=f"too many words: {' '.join(rest)}"
        )
    return known_point(common, place.profile, rest[0].removeprefix(f"{place.device}."))


def known_point(common: Common, profile: "Profile", point: str) -> str:
    """The point, which the profile has; otherwise the verb ends."""
    from drivers.profile_check import nearest  # noqa: PLC0415 - heavy
    from edge_agent.cli import wires  # noqa: PLC0415

    if point not in profile.points:
        wires.end(
            common,
            "probe",
            Exit.USAGE,
            zh=f"{profile.name} 没有测点 {point}{nearest(point, profile.points)}",
            en=f"{profile.name} has no point {point}{nearest(point, profile.points)}",
        )
    return point


def wishes_of(common: Common, place: Place, point: str | None, expects: tuple[str, ...]) -> list[Wish]:
    """Numbers by point; without a name they belong to the point on the command line."""
    from drivers.commissioning.expected import parse_expected  # noqa: PLC0415 - heavy
    from drivers.errors import GiveUpPoint  # noqa: PLC0415
    from edge_agent.cli import wires  # noqa: PLC0415

    wishes: dict[str | None, Wish] = {}
    for text in expects:
        name, mark, number = text.rpartition("=")
        named = point if not mark else name.strip()
        if mark and place.profile is not None and named is not None:
            named = known_point(common, place.profile, named.removeprefix(f"{place.device}."))
        try:
            expected = parse_expected(number)
        except GiveUpPoint as fault:
            wires.end(common, "probe", Exit.USAGE, zh=str(fault), en=str(fault))
        wishes.setdefault(named, Wish(named, [])).expected.append(expected)
    return list(wishes.values())


def unreachable(common: Common, place: Place, reached: "Reached") -> None:
    """Ends the verb: not one register could be read; says what that speaks for."""
    from edge_agent.cli import wires  # noqa: PLC0415 - heavy

    if reached.refused:
        code = next(iter(reached.refused.values()))
        zh = f"{place.device}: 设备在,但拒绝了所有读取(异常 {code}):查功能码和地址"
        en = f"{place.device}: it is there and refuses every read (exception {code}): check function and address"
    elif reached.damaged:
        zh = f"{place.device}: 只有杂乱字节:查波特率、校验、终端电阻,以及是否有两台同号"
        en = f"{place.device}: stray bytes only: check speed, parity, terminator, and for two units of one number"
    else:
        zh = f"{place.device}: 没有应答:查供电、接线、站号、波特率;edge-agent scan 可以查找"
        en = f"{place.device}: silence: check power, wires, unit number, speed; edge-agent scan finds them"
    wires.end(common, "probe", Exit.DEVICE, zh=zh, en=en)
