"""Checks of uplink.yaml across its fields and against the site: addresses, dialects, numbers, codes, what is missing.

They work on the file as it was read, so that a wrong type in one line does not hide another fault.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from edge_agent.settings.codes import (
    AREA,
    GATEWAY_CHARACTERS,
    POINT_NUMBER_MAX,
    PROJECT_CHARACTERS,
    STANDARD_INDICES,
    TECHNOLOGIES,
    TECHNOLOGY_OF,
    has_form,
    read_data_code,
)
from edge_agent.settings.dialect import Dialect
from edge_agent.settings.finding import Finding
from edge_agent.settings.required import INDEX_NAMES, missing_indices
from edge_agent.settings.yaml_file import Document, Path_

DAY_MIN = 24 * 60
PORT_MAX = 65_535
NEEDED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "mqtt_json": (("broker", "mqtts://broker.example:8883"), ("plant", "bj-demo-office")),
    "mohurd_tcp": (
        ("profile", "g2009"),
        ("servers", '["platform.example:4400"]'),
        ("project_id", '"110108900"'),
        ("gateway_id", '"1101089000101"'),
        ("keys", "city-keys"),
    ),
    "https_json": (("url", "https://platform.example/records"), ("plant", "bj-demo-office")),
}
"""Transport -> keys that it cannot do without, each with an example."""
OF_TRANSPORT: Mapping[str, tuple[str, ...]] = {
    "broker": ("mqtt_json",),
    "url": ("https_json",),
    "profile": ("mohurd_tcp",),
    "options": ("mohurd_tcp",),
    "servers": ("mohurd_tcp",),
    "project_id": ("mohurd_tcp",),
    "gateway_id": ("mohurd_tcp",),
    "keys": ("mohurd_tcp",),
    "credentials": ("mqtt_json", "https_json"),
}
"""Keys that mean nothing to other transports."""


def check_uplink(uplink: Document, site: Document | None, dialects: Mapping[str, Dialect]) -> Iterator[Finding]:
    """Makes every check that the file allows.

    Args:
        uplink: uplink.yaml.
        site: site.yaml; None when unreadable.
        dialects: of the uplinks whose dialect could be read, with their options.
    """
    servers: dict[str, str] = {}
    for name, entry in _uplinks(uplink):
        at = ("uplinks", name)
        period = entry.get("period_min")
        if isinstance(period, int) and 1 <= period <= DAY_MIN and DAY_MIN % period:
            yield uplink.finding("period_form", (*at, "period_min"), given=period)
        transport = entry.get("transport")
        if not isinstance(transport, str) or transport not in NEEDED:
            continue
        for key, example in NEEDED[transport]:
            if entry.get(key) in (None, "", []):
                yield uplink.finding("uplink_lacks", at, at_key=True, transport=transport, key=key, example=example)
        for key, fitting in OF_TRANSPORT.items():
            if transport not in fitting and entry.get(key) is not None:
                yield uplink.finding("uplink_key_unused", (*at, key), at_key=True, key=key, transport=transport)
        yield from _addresses(uplink, at, entry)
        if transport == "mohurd_tcp":
            yield from _servers(uplink, name, entry, servers)
            dialect = dialects.get(name)
            if dialect is not None:
                yield from _collector(uplink, at, entry, dialect, site)
                yield from _codes(uplink, name, entry, dialect, site)
    yield from _code_twice(uplink)
    yield from _required(uplink, site)


def _uplinks(uplink: Document) -> Iterator[tuple[str, Mapping[str, Any]]]:
    members = uplink.data.get("uplinks")
    for name, entry in members.items() if isinstance(members, Mapping) else ():
        if isinstance(name, str) and isinstance(entry, Mapping):
            yield name, entry


def _points(uplink: Document) -> Iterator[tuple[int, Mapping[str, Any]]]:
    members = uplink.data.get("points")
    for index, entry in enumerate(members if isinstance(members, list) else ()):
        if isinstance(entry, Mapping):
            yield index, entry


def is_host_port(address: str) -> bool:
    """Whether an address is host:port."""
    host, separator, port = address.rpartition(":")
    return bool(separator and host and port.isascii() and port.isdigit() and 0 < int(port) <= PORT_MAX)


# ------------------------------------------------------------------------------------------------------------ addresses
def _addresses(uplink: Document, at: Path_, entry: Mapping[str, Any]) -> Iterator[Finding]:
    broker = entry.get("broker")
    if isinstance(broker, str):
        scheme, separator, address = broker.partition("://")
        if "@" in address:
            yield uplink.finding("secret_in_file", (*at, "broker"))
        elif not separator or scheme not in {"mqtt", "mqtts"} or not is_host_port(address):
            yield uplink.finding("broker_form", (*at, "broker"), given=broker)
    url = entry.get("url")
    if isinstance(url, str):
        try:
            parts = urlsplit(url)
            right = parts.scheme in {"https", "http"} and bool(parts.hostname) and (parts.port or 1) > 0
            secret = parts.username is not None
            plain = parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}
        except ValueError:
            right = secret = plain = False
        if secret:
            yield uplink.finding("secret_in_file", (*at, "url"))
        elif not right or plain or not url.isascii() or re.search(r"\s", url):
            yield uplink.finding("url_form", (*at, "url"), given=url)


def _servers(uplink: Document, name: str, entry: Mapping[str, Any], known: dict[str, str]) -> Iterator[Finding]:
    """Each server once: two connections of one collector push each other out."""
    servers = entry.get("servers")
    for index, server in enumerate(servers if isinstance(servers, list) else ()):
        if not isinstance(server, str):
            continue
        at = ("uplinks", name, "servers", index)
        if not is_host_port(server):
            yield uplink.finding("host_port", at, given=server, example="platform.example:4400")
            continue
        if server.lower() in known:
            yield uplink.finding("server_twice", at, given=server, other=known[server.lower()])
        known.setdefault(server.lower(), name)


# -------------------------------------------------------------------------------------------------------------- numbers
def _identity(site: Document | None) -> Mapping[str, Any]:
    identity = site.data.get("site") if site is not None else None
    return identity if isinstance(identity, Mapping) else {}


def _collector(
    uplink: Document, at: Path_, entry: Mapping[str, Any], dialect: Dialect, site: Document | None
) -> Iterator[Finding]:
    """Numbers of plant and collector: their form, and whether they fit each other and the site."""
    form = dialect.code_form
    project, gateway = entry.get("project_id"), entry.get("gateway_id")
    if isinstance(project, str) and not has_form(project, characters=PROJECT_CHARACTERS, form=form):
        yield uplink.finding("project_form", (*at, "project_id"), given=project)
    elif isinstance(project, str):
        area = _identity(site).get("area_code")
        if isinstance(area, str) and not project.startswith(area):
            yield uplink.finding("project_area", (*at, "project_id"), given=project[:AREA], area=area)
    if isinstance(gateway, str) and not has_form(gateway, characters=GATEWAY_CHARACTERS, form=form):
        yield uplink.finding("gateway_form", (*at, "gateway_id"), given=gateway)
    elif isinstance(gateway, str) and isinstance(project, str) and not gateway.startswith(project):
        # A public packet has such a pair: it can be right.
        yield uplink.finding("gateway_project", (*at, "gateway_id"), warning=True, given=gateway, project=project)
    period = entry.get("period_min")
    bounds = dialect.period
    if isinstance(period, int) and not bounds.min_min <= period <= bounds.max_min and not DAY_MIN % (period or 1):
        at_period = (*at, "period_min")
        yield uplink.finding(
            "period_outside", at_period, warning=True, given=period, least=bounds.min_min, most=bounds.max_min
        )


def _codes(
    uplink: Document, name: str, entry: Mapping[str, Any], dialect: Dialect, site: Document | None
) -> Iterator[Finding]:
    """Data codes: their form, and whether plant, technology and index are those of this site and platform."""
    project = entry.get("project_id")
    plant_type = _identity(site).get("plant_type")
    fitting = TECHNOLOGY_OF.get(plant_type, ()) if isinstance(plant_type, str) else ()
    unsent: list[str] = []
    count = 0
    for index, point in _points(uplink):
        code, at = point.get("code"), ("points", index, "code")
        count += 1
        if not isinstance(code, str):
            continue
        parts = read_data_code(code, form=dialect.code_form)
        if parts is None:
            yield uplink.finding("code_form", at, given=code, uplink=name, form=dialect.code_form)
            continue
        if isinstance(project, str) and parts.area + parts.project != project:
            yield uplink.finding("code_project", at, given=code, found=parts.area + parts.project, project=project)
        if parts.technology not in TECHNOLOGIES:
            yield uplink.finding(
                "code_technology", at, given=parts.technology, known=", ".join(TECHNOLOGIES), whole=code
            )
        elif fitting and parts.technology not in fitting:
            name_zh, name_en = TECHNOLOGIES[parts.technology]
            yield uplink.finding(
                "code_technology_unfit",
                at,
                warning=True,
                given=parts.technology,
                name_zh=name_zh,
                name_en=name_en,
                plant_type=plant_type,
            )
        if parts.system == "00":
            yield uplink.finding("code_system", at, given=code)
        if parts.index not in STANDARD_INDICES and parts.index not in dialect.extra_indices:
            unsent.append(parts.index)
    if unsent:
        indices = ", ".join(sorted(set(unsent)))
        at_profile = ("uplinks", name, "profile")
        yield uplink.finding(
            "indices_unsent", at_profile, warning=True, count=len(unsent), uplink=name, indices=indices
        )
    if count > POINT_NUMBER_MAX and dialect.body.point_code_in != "none":
        yield uplink.finding("too_many_points", ("points",), at_key=True, count=count, uplink=name)


def _code_twice(uplink: Document) -> Iterator[Finding]:
    codes: dict[str, int] = {}
    numbers: dict[int, int] = {}
    for index, point in _points(uplink):
        code, number = point.get("code"), point.get("number")
        if isinstance(code, str):
            if code in codes:
                yield uplink.finding("code_twice", ("points", index, "code"), given=code, other=codes[code] + 1)
            codes.setdefault(code, index)
        if isinstance(number, int):
            if number in numbers:
                at = ("points", index, "number")
                yield uplink.finding("number_twice", at, given=number, other=numbers[number] + 1)
            numbers.setdefault(number, index)


def _required(uplink: Document, site: Document | None) -> Iterator[Finding]:
    """What the monitoring rules require of this type of plant and nobody reports."""
    plant_type = _identity(site).get("plant_type")
    if not isinstance(plant_type, str) or not uplink.data.get("uplinks"):
        return
    codes = [code for _, point in _points(uplink) if isinstance(code := point.get("code"), str)]
    for index in missing_indices(plant_type, codes):
        name_zh, name_en = INDEX_NAMES[index]
        yield uplink.finding(
            "required_point_missing",
            ("points",),
            at_key=True,
            warning=True,
            index=index,
            name_zh=name_zh,
            name_en=name_en,
        )
