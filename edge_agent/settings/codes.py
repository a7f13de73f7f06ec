"""Codes of the monitoring rules: made from area, project, technology, system and index, taken apart, and judged. Pure.

Source: 可再生能源建筑应用示范项目数据监测系统技术导则(试行) (2009), 4.3. Its own examples of data codes
have a digit too few and contradict the rule. The collector's and the plant's number are the point code without its last
digits, as in a public packet (single source). One deployed project has a letter in its number, so a platform may allow
letters.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from typing_extensions import override

AREA, PROJECT, TECHNOLOGY, SYSTEM, INDEX = 6, 3, 3, 2, 2
PROJECT_CHARACTERS = AREA + PROJECT
DATA_CODE_CHARACTERS = AREA + PROJECT + TECHNOLOGY + SYSTEM + INDEX
GATEWAY_CHARACTERS = AREA + PROJECT + SYSTEM + 2
POINT_CODE_CHARACTERS = GATEWAY_CHARACTERS + 2
POINT_NUMBER_MAX = 99
STANDARD_INDICES = frozenset(f"{index:02d}" for index in range(1, 23))
"""01 irradiance to 22 user-side flow of a unit."""
TECHNOLOGIES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "101": ("太阳能热水", "solar hot water"),
        "102": ("太阳能供热", "solar heating"),
        "103": ("太阳能供热制冷", "solar heating and cooling"),
        "104": ("光伏", "photovoltaic"),
        "201": ("地埋管", "ground coil"),
        "202": ("地下水", "groundwater"),
        "203": ("江河湖水", "fresh water"),
        "204": ("海水", "sea water"),
        "205": ("污水和工业余热水", "sewage and industrial waste-heat water"),
        "300": ("太阳能加地源", "solar and ground source"),
    }
)
"""Technology -> what it is (zh, en)."""
TECHNOLOGY_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ground_source": ("201", "202", "203", "204", "300"),
        "reclaimed_water": ("205",),
        "waste_heat": ("205",),
    }
)
"""Plant type -> technologies that fit; deep geothermal and air source have none in the guideline."""

_FORMS = {"digits": re.compile(r"[0-9]+"), "alnum": re.compile(r"[0-9A-Za-z]+")}


@dataclass(frozen=True, slots=True)
class DataCode:
    """A data code, taken apart.

    Attributes:
        area: GB/T 2260.
        project: given by the local authority.
        technology: of `TECHNOLOGIES`.
        system: 01 to 99.
        index: what is measured.
    """

    area: str
    project: str
    technology: str
    system: str
    index: str

    @override
    def __str__(self) -> str:
        """The sixteen characters."""
        return self.area + self.project + self.technology + self.system + self.index


def read_data_code(code: str, *, form: str = "digits") -> DataCode | None:
    """Takes a data code apart; None when it has not its form.

    Args:
        code: sixteen characters.
        form: `digits`, or `alnum` where letters are allowed.
    """
    if len(code) != DATA_CODE_CHARACTERS or not _FORMS[form].fullmatch(code):
        return None
    parts, place = [], 0
    for width in (AREA, PROJECT, TECHNOLOGY, SYSTEM, INDEX):
        parts.append(code[place : place + width])
        place += width
    return DataCode(*parts)


def data_code(*, area: str, project: str, technology: str, system: int, index: str) -> str:
    """Makes a data code.

    Raises:
        ValueError: a part has not its width.
    """
    code = str(DataCode(area, project, technology, f"{system:02d}", index))
    if (
        read_data_code(code, form="alnum") is None
        or len(area) != AREA
        or len(project) != PROJECT
        or len(index) != INDEX
    ):
        raise ValueError(f"{area} {project} {technology} {system:02d} {index}: 6 + 3 + 3 + 2 + 2 characters")
    return code


def point_code(gateway: str, number: int) -> str:
    """Makes a point code: the collector's number and the point's.

    Args:
        gateway: thirteen characters.
        number: 1 to 99.

    Raises:
        ValueError: there is no such number.
    """
    if not 1 <= number <= POINT_NUMBER_MAX or len(gateway) != GATEWAY_CHARACTERS:
        raise ValueError(f"{gateway} {number}: 13 characters and a number from 1 to {POINT_NUMBER_MAX}")
    return f"{gateway}{number:02d}"


def has_form(code: str, *, characters: int, form: str) -> bool:
    """Whether a project's or collector's number has its form."""
    return len(code) == characters and _FORMS[form].fullmatch(code) is not None


def point_codes(points: Iterable[tuple[str, int | None]], *, gateway: str) -> dict[str, str]:
    """Point codes by data code; a point without a number has that of its place in the list.

    Args:
        points: data code and number of each, in their order.
        gateway: the collector's number.
    """
    found = {}
    for place, (code, number) in enumerate(points, start=1):
        chosen = place if number is None else number
        if chosen <= POINT_NUMBER_MAX and len(gateway) == GATEWAY_CHARACTERS:
            found[code] = point_code(gateway, chosen)
    return found
