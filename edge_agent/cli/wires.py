"""What the commissioning verbs share: wires named on the command line, and who owns them."""

import logging
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import click

from drivers.commissioning.scan import USUAL_SETTINGS, OpenWire, Setting
from edge_agent.cli.common import Common, Exit, emit
from edge_agent.errors import ConfigurationFault
from edge_agent.field import TCP_PORT, Target, bus_named, scan_wire, service_runs, service_wire
from edge_agent.settings.files import DEVICES
from edge_agent.settings.load import Configuration, load_configuration

FRAMINGS = ("8N1", "8E1", "8O1", "8N2")
BAUD_MIN, BAUD_MAX = 300, 921_600
UNIT_LAST = 247
TCP_UNIT_LAST = 255
_UNITS = re.compile(r"(\d+)(?:-(\d+))?")


def quiet() -> None:
    """Keeps the drivers' log off the terminal: these verbs say in their own words what they met."""
    logging.getLogger("drivers").setLevel(logging.CRITICAL)


def end(common: Common, verb: str, status: Exit, *, zh: str, en: str) -> NoReturn:
    """Ends a verb with one message, and with one object on stdout where that is wanted."""
    head = common.pick("拒绝", "refused") if status is Exit.REFUSED else common.pick("错误", "error")
    click.echo(f"{head}: {common.pick(zh, en)}", err=True)
    if common.as_json:
        emit(f"{verb}/1", {"ok": False, "message": common.pick(zh, en)})
    sys.exit(status)


def configuration_if_any(common: Common) -> Configuration | None:
    """The configuration, or None where there is none yet: a wire is scanned before anything is written down.

    Raises:
        ConfigurationFault: there is one, and it cannot be used.
    """
    if not (common.config / DEVICES).exists():
        return None
    return load_configuration(common.config)


def configuration_or_none(common: Common) -> Configuration | None:
    """As above, but a configuration that cannot be used counts as none: it is being written."""
    try:
        return configuration_if_any(common)
    except ConfigurationFault as fault:
        click.echo(f"{common.pick('注意', 'warning')}: {fault}", err=True)
        return None


def parse_units(common: Common, verb: str, text: str, *, last: int) -> list[int]:
    """Reads `1-247`, `1,5,10-20`."""
    units: dict[int, None] = {}
    for part in text.replace("，", ",").split(","):
        match = _UNITS.fullmatch(part.strip())
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not 0 < low <= high <= last:
            end(
                common,
                verb,
                Exit.USAGE,
                zh=f"--units {text}: 应为站号或范围,例如 1-{UNIT_LAST} 或 1,5,10-20,最大 {last}",
                en=f"--units {text}: unit numbers or ranges such as 1-{UNIT_LAST} or 1,5,10-20, at most {last}",
            )
        units.update(dict.fromkeys(range(low, high + 1)))
    return list(units)


def parse_settings(common: Common, verb: str, baud: str, framing: str) -> list[tuple[int, str]]:
    """Speeds and framings to be tried, in the usual order; `auto` stands for all usual ones."""
    bauds = list(_bauds(common, verb, baud)) if baud != "auto" else None
    framings = framing.upper().split(",") if framing != "auto" else None
    for word in framings or ():
        if word not in FRAMINGS:
            known = ", ".join(FRAMINGS)
            end(
                common,
                verb,
                Exit.USAGE,
                zh=f"--framing {word}: 应为 {known} 或 auto",
                en=f"--framing {word}: {known} or auto",
            )
    if bauds is None and framings is None:
        return list(USUAL_SETTINGS)
    if bauds is None:
        bauds = list(dict.fromkeys(usual for usual, _ in USUAL_SETTINGS))
    return [(number, word) for word in framings or ("8N1", "8E1") for number in bauds]


def _bauds(common: Common, verb: str, text: str) -> Iterator[int]:
    for word in text.replace("，", ",").split(","):
        number = int(word) if word.strip().isdecimal() else 0
        if not BAUD_MIN <= number <= BAUD_MAX:
            end(
                common,
                verb,
                Exit.USAGE,
                zh=f"--baud {word}: 应为波特率,例如 9600 或 9600,19200,或 auto",
                en=f"--baud {word}: a speed such as 9600 or 9600,19200, or auto",
            )
        yield number


def parse_host(common: Common, verb: str, text: str) -> Target:
    """Reads `192.0.2.10`, `gateway:1502`, `[2001:db8::1]:502`."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        host, port = text, str(TCP_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) <= 0xFFFF:  # noqa: PLR2004 - TCP ports
        end(
            common,
            verb,
            Exit.USAGE,
            zh=f"{text}: 应为 主机 或 主机:端口,例如 192.0.2.10:502",
            en=f"{text}: a host or host:port such as 192.0.2.10:502",
        )
    return Target(host=host.strip("[]"), tcp_port=int(port))


def owned_bus(common: Common, verb: str, target: Target, *, via_service: bool) -> tuple[str, Configuration] | None:
    """Name of the running service's bus that is this wire, when it may be borrowed; None: nobody owns it.

    Ends with status 3 when the service owns the wire and was not asked to lend it.
    """
    if target.port and not Path(target.port).exists():
        known = ports()
        shown = ", ".join(known) or "-"
        end(
            common,
            verb,
            Exit.DEVICE,
            zh=f"没有串口 {target.port};现有: {shown}",
            en=f"there is no serial port {target.port}; there are: {shown}",
        )
    configuration = configuration_or_none(common)
    name = None if configuration is None else bus_named(target, configuration.devices)
    if configuration is not None and name is not None and service_runs(configuration.site.storage_media.state_dir):
        if not via_service:
            busy(common, verb, name)
        return name, configuration
    if via_service:
        end(
            common,
            verb,
            Exit.USAGE,
            zh=f"--via-service: {target} 不是正在运行的服务的总线,去掉这个选项",
            en=f"--via-service: {target} is no bus of a running service, leave the option out",
        )
    return None


def ports() -> list[str]:
    """Serial ports of this machine that somebody may mean: USB adapters, and the first built-in ones."""
    return sorted(
        str(path)
        for name in ("serial/by-id/*", "ttyUSB*", "ttyACM*", "ttyAMA*", "ttyS[0-3]")
        for path in Path("/dev").glob(name)
    )


def busy(common: Common, verb: str, name: str) -> NoReturn:
    """Says that the service owns the wire, and ends with status 3."""
    end(
        common,
        verb,
        Exit.DEVICE,
        zh=f"服务正在运行,总线 {name} 归它所有。加 --via-service 借用,或先停服务: systemctl stop edge-agent",
        en=f"the service runs and owns bus {name}: add --via-service, or stop it first: systemctl stop edge-agent",
    )


def busy_for_prove(common: Common) -> NoReturn:
    """Says that a proof needs the wires for itself, and ends with status 3."""
    end(
        common,
        "prove",
        Exit.DEVICE,
        zh="服务正在运行,端口归它所有。验证指令前先停服务: systemctl stop edge-agent",
        en="the service runs and owns the ports: stop it before proving a command: systemctl stop edge-agent",
    )


def wire_for_scan(common: Common, verb: str, target: Target, *, via_service: bool) -> OpenWire:
    """The wire itself, or the service's."""
    owned = owned_bus(common, verb, target, via_service=via_service)
    if owned is None:
        return scan_wire(target)
    name, configuration = owned
    return service_wire(name, state_dir=configuration.site.storage_media.state_dir)


def setting_words(setting: Setting | None) -> str:
    """`9600 8N1`, or TCP."""
    return "TCP" if setting is None else f"{setting.baud} {setting.framing}"


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> Iterator[str]:
    """Lines of columns; a Chinese character takes two places on a terminal."""
    widths = [max(wide(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            " " * (width - wide(cell)) + cell if column in right else cell + " " * (width - wide(cell))
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def wide(text: str) -> int:
    """Places that a text takes on a terminal."""
    return sum(2 if "⺀" <= character <= "￦" else 1 for character in text)
