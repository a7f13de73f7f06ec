"""The city platform: takes what fits the description, counts the rest, remembers over a restart."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil_sim.platform.ledger import Held, Ledger
from hil_sim.platform.mqtt_receiver import Malformed, parse

TIME = datetime(2026, 1, 15, 0, 30, tzinfo=UTC)


def body(**changes: object) -> dict[str, object]:
    return {
        "v": 1,
        "plant": "bj",
        "epoch": "e1",
        "seq": 1,
        "sent_at": "2026-01-15T00:45:04Z",
        "records": [
            {"point": "01", "time": "2026-01-15T00:30:00Z", "value": 182.4, "quality": 192},
            {"point": "02", "time": "2026-01-15T00:30:00Z", "value": None, "quality": 0},
        ],
    } | changes


def payload(**changes: object) -> bytes:
    return json.dumps(body(**changes)).encode()


def test_counts_tell_new_repeated_and_altered_apart(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    ledger = Ledger(path)
    first = payload()
    assert ledger.take(parse(first, plant="bj"), first) == "stored"
    assert ledger.take(parse(first, plant="bj"), first) == "duplicate"
    other = payload(sent_at="2026-01-15T00:46:00Z")
    assert ledger.take(parse(other, plant="bj"), other) == "altered"
    # A new epoch brings the same values: no contradiction; then one that differs.
    again = payload(epoch="e2")
    assert ledger.take(parse(again, plant="bj"), again) == "stored"
    assert ledger.count("contradictions") == 0
    changed = payload(epoch="e3", records=[{"point": "01", "time": "2026-01-15T00:30:00Z", "value": 1, "quality": 192}])
    assert ledger.take(parse(changed, plant="bj"), changed) == "stored"
    ledger.close()
    ledger = Ledger(path)
    counted = {name: ledger.count(name) for name in ("frames", "duplicate", "altered", "contradictions", "malformed")}
    assert counted == {"frames": 5, "duplicate": 1, "altered": 1, "contradictions": 1, "malformed": 0}
    assert ledger.messages() == 3
    assert ledger.periods() == {TIME}
    assert ledger.readings("01") == {TIME: (182.4, 192)}
    assert ledger.readings("02") == {TIME: (None, 0)}
    assert ledger.held("bj", "e1").hwm == 1
    ledger.close()


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), max_size=60))
def test_mark_and_ranges_name_exactly_what_is_held(seqs: list[int]) -> None:
    held = Held(seqs)
    named = set(range(1, held.hwm + 1))
    last = held.hwm
    for low, high in held.ranges():
        assert last + 1 < low <= high
        last = high
        named |= set(range(low, high + 1))
    assert named == set(seqs)


RECORD = {"point": "01", "time": "2026-01-15T00:30:00Z", "value": 1.0, "quality": 192}


@pytest.mark.parametrize(
    ("changes", "refusable"),
    [
        ({"v": 2}, True),
        ({"plant": "other"}, True),
        ({"seq": 0}, False),
        ({"seq": True}, False),
        ({"epoch": ""}, False),
        ({"records": []}, True),
        ({"records": [RECORD | {"value": None}]}, True),
        ({"records": [RECORD | {"value": float("nan")}]}, True),
        ({"records": [RECORD | {"value": "1"}]}, True),
        ({"records": [RECORD | {"quality": 65}]}, True),
        ({"records": [RECORD | {"value": None, "quality": 64}]}, True),
        ({"records": [RECORD | {"time": "2026-01-15 08:30"}]}, True),
        ({"records": [RECORD | {"more": 1}]}, True),
    ],
)
def test_what_breaks_the_description_is_malformed(changes: dict[str, object], *, refusable: bool) -> None:
    with pytest.raises(Malformed) as raised:
        parse(payload(**changes), plant="bj")
    assert (raised.value.key is not None) == refusable


def test_a_value_of_an_uncertain_instant_is_kept_as_such() -> None:
    message = parse(payload(records=[RECORD | {"quality": 64}]), plant="bj")
    assert [(reading.value, reading.quality) for reading in message.readings] == [(1.0, 64)]


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_junk_is_malformed(junk: bytes) -> None:
    with pytest.raises(Malformed):
        parse(junk, plant="bj")
