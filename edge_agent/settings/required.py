"""Points that the monitoring rules require of a plant of a given type, by their index in the 16-digit code.

Source: 可再生能源建筑应用示范项目数据监测系统技术导则 (2009), 4.1.2 (required points) and 4.3 (codes). The guideline
knows ground, water and waste-water sources only; of other types of plant it requires nothing. Auxiliary heat of
boilers is filed by hand.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

INDEX_NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "02": ("室外温度", "outdoor temperature"),
        "06": ("机组用户侧进口水温", "unit, user side in"),
        "07": ("机组用户侧出口水温", "unit, user side out"),
        "08": ("机组热源侧进口水温", "unit, source side in"),
        "09": ("机组热源侧出口水温", "unit, source side out"),
        "10": ("系统用户侧进口水温", "system, user side in"),
        "11": ("系统用户侧出口水温", "system, user side out"),
        "12": ("系统热源侧进口水温", "system, source side in"),
        "13": ("系统热源侧出口水温", "system, source side out"),
        "14": ("机组输入功率", "unit, input power"),
        "16": ("系统耗电量", "system electricity"),
        "19": ("系统热源侧流量", "system, source side flow"),
        "20": ("系统用户侧流量", "system, user side flow"),
        "21": ("机组热源侧流量", "unit, source side flow"),
        "22": ("机组用户侧流量", "unit, user side flow"),
    }
)
"""Index -> what it is (zh, en)."""
REQUIRED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ground_source": tuple(INDEX_NAMES),
        "reclaimed_water": tuple(INDEX_NAMES),
    }
)
"""Plant type -> indices that must be reported."""
_CODE = re.compile(r"[0-9]{16}")


def missing_indices(plant_type: str, codes: Iterable[str]) -> tuple[str, ...]:
    """Indices that the type of plant requires and that no code carries.

    Where no code has the guideline's 16 digits, the receiver uses codes of its own and nothing can be said.
    """
    given = {code[-2:] for code in codes if _CODE.fullmatch(code)}
    return tuple(index for index in REQUIRED.get(plant_type, ()) if index not in given) if given else ()
