"""The reader refuses what the contract does not list, and names the place."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scheduling.errors import RequestFault
from scheduling.request import read_request

Change = Callable[[dict[str, Any]], object]


def limited(document: dict[str, Any], change: dict[str, Any]) -> None:
    """A store with a limit that holds for a while and has a fault."""
    limit = {"from": "2026-01-12T22:00:00Z", "to": "2026-01-12T23:00:00Z", "charge_kw_max": 0.0}
    document["storages"][0]["limits"] = [{**limit, **change}]


FAULTS: list[tuple[str, str, Change]] = [
    ("unknown key", "$.foo", lambda d: d.update(foo=1)),
    ("unknown inner key", "$.groups[0].units[0].avail", lambda d: d["groups"][0]["units"][0].update(avail=True)),
    ("other major", "$.schema", lambda d: d.update(schema="plan-request/2")),
    ("missing key", "$.loops", lambda d: d.pop("loops")),
    ("short series", "$.price_cny_per_kwh", lambda d: d["price_cny_per_kwh"].pop()),
    ("short step list", "$.grid.step_minutes", lambda d: d["grid"].update(steps=7)),
    ("NaN", "$.other_load_kw", lambda d: d.update(other_load_kw=float("nan"))),
    ("infinite", "$.loops[0].load_kw[1]", lambda d: d["loops"][0]["load_kw"].__setitem__(1, float("inf"))),
    ("text for a number", "$.aux[0].max_kw", lambda d: d["aux"][0].update(max_kw="200")),
    ("true for a number", "$.loops[0].load_kw[5]", lambda d: d["loops"][0]["load_kw"].__setitem__(slice(5, 6), [True])),
    ("negative step", "$.grid.step_minutes[5]", lambda d: d["grid"]["step_minutes"].__setitem__(5, -60)),
    ("negative power", "$.aux[0].max_kw", lambda d: d["aux"][0].update(max_kw=-1)),
    ("negative energy", "$.storages[0].soc_kwh", lambda d: d["storages"][0].update(soc_kwh=-3)),
    ("more than full", "$.storages[0].soc_kwh", lambda d: d["storages"][0].update(soc_kwh=801)),
    (
        "not convex",
        "$.groups[0].modes[0].curve",
        lambda d: d["groups"][0]["modes"][0].update(curve=[[0.25, 20], [0.5, 40], [1, 60]]),
    ),
    (
        "not concave",
        "$.storages[0].charge_limit_kw",
        lambda d: d["storages"][0].update(charge_limit_kw=[[0, 300], [400, 50], [800, 0]]),
    ),
    (
        "level, then rising",
        "$.storages[0].discharge_limit_kw",
        lambda d: d["storages"][0].update(discharge_limit_kw=[[100, 20], [200, 350], [800, 350]]),
    ),
    ("no zone", "$.grid.start_utc", lambda d: d["grid"].update(start_utc="2026-01-12T21:30:00")),
    ("not UTC", "$.grid.start_utc", lambda d: d["grid"].update(start_utc="2026-01-13T05:30:00+08:00")),
    ("unknown zone", "$.timezone", lambda d: d.update(timezone="Asia/Beijing2")),
    ("running without mode", "$.groups[0].units[0].mode", lambda d: d["groups"][0]["units"][0].update(mode=None)),
    ("window past the end", "$.demand[0].to_step", lambda d: d["demand"][0].update(to_step=7)),
    ("unknown storage", "$.groups[0].modes[1].storage", lambda d: d["groups"][0]["modes"][1].update(storage="ice")),
    ("two of a name", "$.groups[0].units[1].name", lambda d: d["groups"][0]["units"][1].update(name="HP1")),
    (
        "short availability",
        "$.groups[0].units[0].available",
        lambda d: d["groups"][0]["units"][0].update(available=[True]),
    ),
    ("lowest above highest output", "$.aux[0].min_kw", lambda d: d["aux"][0].update(min_kw=300.0)),
    ("short bands", "$.bands", lambda d: d.update(bands=["valley"])),
    *(
        (f"limit of a while, {name}", f"$.storages[0].limits[0]{path}", lambda d, limit=limit: limited(d, limit))
        for name, path, limit in [
            ("unknown key", ".charge_kw", {"charge_kw": 0}),
            ("wrong sign", ".charge_kw_max", {"charge_kw_max": -1}),
            ("NaN", ".discharge_kw_max", {"discharge_kw_max": float("nan")}),
            ("text", ".charge_kw_max", {"charge_kw_max": "0"}),
            ("true", ".charge_kw_max", {"charge_kw_max": True}),
            ("no limit", ".charge_kw_max", {"charge_kw_max": None}),
            ("no end", ".to", {"to": None}),
            ("not UTC", ".from", {"from": "2026-01-13T05:30:00+08:00"}),
            ("ends as it begins", ".to", {"to": "2026-01-12T22:00:00Z"}),
        ]
    ),
]


@pytest.mark.parametrize(("path", "change"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_a_fault_is_refused_with_its_path(path: str, change: Change, document: dict[str, Any]) -> None:
    change(document)
    with pytest.raises(RequestFault) as refused:
        read_request(json.dumps(document))
    assert refused.value.path == path
    assert re.search("[\u4e00-\u9fff]", refused.value.zh), "in Chinese"
    assert not re.search("[\u4e00-\u9fff]", refused.value.en), "and in English"


def _unknown(document: dict[str, Any], key: str) -> None:
    document["storages"][0][key] = 1.0


@pytest.mark.parametrize(
    ("key", "zh", "en"),
    [
        ("capacity_kw", "没有这个键,是否指 capacity_kwh?", "no such key; did you mean capacity_kwh?"),
        ("nonsense", "请删去;这里可用: name, kind, loop", "take it out; keys here: name, kind, loop"),
    ],
)
def test_an_unknown_key_is_named_with_what_there_is(key: str, zh: str, en: str, document: dict[str, Any]) -> None:
    _unknown(document, key)
    with pytest.raises(RequestFault) as refused:
        read_request(json.dumps(document))
    assert refused.value.path == f"$.storages[0].{key}"
    assert zh in refused.value.zh
    assert en in refused.value.en


def test_what_stands_there_is_told(document: dict[str, Any]) -> None:
    document["storages"][0]["loss_kw"] = "much"
    with pytest.raises(RequestFault) as refused:
        read_request(json.dumps(document))
    assert (
        str(refused.value)
        == "$.storages[0].loss_kw: 应为数字,不加引号: 'much' / needs a number, without quotes: 'much'"
    )


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(RequestFault) as refused:
        read_request("{")
    assert refused.value.path == "$"


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[1] / "golden" / "cases").glob("[01]*.json")), ids=lambda path: path.stem
)
def test_every_case_is_read_and_written_back(path: Path) -> None:
    request = read_request(path.read_bytes())
    assert read_request(request.model_dump_json(by_alias=True)) == request


def test_a_limit_holds_in_every_step_that_it_touches(document: dict[str, Any]) -> None:
    """Steps of the tiny request begin at 21:30, 22:00, 23:00 ... UTC."""
    document["storages"][0]["limits"] = [
        {"from": "2026-01-12T20:00:00Z", "to": "2026-01-12T22:00:00Z", "charge_kw_max": 50.0},
        {"from": "2026-01-12T22:59:00Z", "to": "2026-01-12T23:01:00Z", "charge_kw_max": 0.0, "discharge_kw_max": 7.0},
        {"from": "2026-01-12T23:30:00Z", "to": "2026-01-12T23:31:00Z", "charge_kw_max": 10.0},
        {"from": "2026-01-14T00:00:00Z", "to": "2026-01-15T00:00:00Z", "charge_kw_max": 0.0},
    ]
    request = read_request(json.dumps(document))
    charge_kw, discharge_kw = request.flow_caps_kw(request.storages[0])
    free = float("inf")
    assert charge_kw.tolist() == [50.0, 0.0, 0.0, free, free, free]
    assert discharge_kw.tolist() == [free, 7.0, 7.0, free, free, free]
    assert read_request(request.model_dump_json(by_alias=True)) == request
