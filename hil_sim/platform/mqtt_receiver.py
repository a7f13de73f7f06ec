"""The city platform behind an MQTT broker: takes records, acknowledges them after its own commit, counts them.

Message as the plants are told to send it: topic `hp/{plant}/up/frame`, JSON with v, plant, epoch, seq, sent_at and
records[{point, time, value, quality}], perhaps corrects{epoch, seq} (which earlier one it replaces), and perhaps
gaps[] (what will never come) or alarms[]; the answer on
`hp/{plant}/down/ack` names a mark, ranges and refused numbers. A span is asked for on `hp/{plant}/down/query` and comes
on `hp/{plant}/up/reply`, record by record, the last message marked.
Source: the project's MQTT dialect; quality 192 valid, 64 of an uncertain instant, 0 invalid. It shares no code with
the agent.
"""

import asyncio
import json
import logging
import math
import re
import socket
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt

from hil_sim.platform.ledger import Ledger, Message, Reading

LOG = logging.getLogger(__name__)

VALID = 192
UNCERTAIN = 64
"""The value is good; the collector's clock was not to be trusted when it was measured."""
INVALID = 0
TOPIC = re.compile(r"^hp/([^/]+)/up/frame$")
REPLY = re.compile(r"^hp/([^/]+)/up/reply$")
RECONNECT_S = 0.2
NO_DELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
"""Small messages that answer each other would wait 40 ms for each other; measured: 39 records/s without."""
CALL_S_MAX = 10.0
RECORD_COUNT_MAX = 10_000


class Malformed(ValueError):
    """A message that breaks the description; `key` says which number to refuse, where that could be read."""

    def __init__(self, message: str, *, key: tuple[str, str, int] | None = None) -> None:
        super().__init__(message)
        self.key = key


def _reading(entry: object) -> Reading:
    if not isinstance(entry, dict) or set(entry) != {"point", "time", "value", "quality"}:
        raise Malformed("a record has other keys")
    code, time, value, quality = entry["point"], entry["time"], entry["value"], entry["quality"]
    if not isinstance(code, str) or not code or not isinstance(time, str) or not time.endswith("Z"):
        raise Malformed("point or time")
    try:
        time_utc = datetime.fromisoformat(time).astimezone(UTC)
    except ValueError as error:
        raise Malformed(f"time {time}") from error
    if value is None:
        if quality != INVALID:
            raise Malformed("no value, yet not invalid")
        return Reading(code, time_utc, None, INVALID)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Malformed("value")
    if quality not in (VALID, UNCERTAIN):
        raise Malformed("quality")
    return Reading(code, time_utc, float(value), quality)


def parse(payload: bytes, *, plant: str) -> Message:
    """Reads a message.

    Args:
        payload: the bytes.
        plant: the plant that the topic names.

    Raises:
        Malformed: it breaks the description.
    """
    try:
        body = json.loads(payload)
    except ValueError as error:
        raise Malformed("not JSON") from error
    if not isinstance(body, dict):
        raise Malformed("not an object")
    epoch, seq = body.get("epoch"), body.get("seq")
    if not isinstance(epoch, str) or not epoch or isinstance(seq, bool) or not isinstance(seq, int) or seq < 1:
        raise Malformed("epoch or seq")
    try:
        declared = _declared(body)
        readings = _readings(body, plant=plant, may_be_empty=bool(declared))
        return Message(plant, epoch, seq, readings, declared, corrects=_corrects(body))
    except Malformed as fault:
        raise Malformed(str(fault), key=(plant, epoch, seq)) from fault


def _corrects(body: dict[str, object]) -> bool:
    named = body.get("corrects")
    if named is None:
        return False
    if not isinstance(named, dict) or not isinstance(named.get("epoch"), str) or not isinstance(named.get("seq"), int):
        raise Malformed("corrects")
    return True


def _declared(body: dict[str, object]) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for kind in ("gap", "alarm"):
        entries = body.get(f"{kind}s", [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise Malformed(f"{kind}s")
        found += [(kind, json.dumps(entry, ensure_ascii=False, sort_keys=True)) for entry in entries]
    return tuple(found)


def _readings(body: dict[str, object], *, plant: str, may_be_empty: bool = False) -> tuple[Reading, ...]:
    records = body.get("records")
    if body.get("v") != 1 or body.get("plant") != plant:
        raise Malformed("version or plant")
    if not isinstance(records, list) or not (may_be_empty or records) or len(records) > RECORD_COUNT_MAX:
        raise Malformed("records")
    return tuple(_reading(entry) for entry in records)


class MqttReceiver:
    """The platform: run `run()` as a task for as long as it is to exist."""

    def __init__(self, *, host: str, port: int, path: Path | None = None) -> None:
        """Opens what it held before.

        Args:
            host: the broker's address.
            port: the broker's port.
            path: its database; None keeps everything in memory.
        """
        self._host = host
        self._port = port
        self._ledger = Ledger(path)
        self._acks_to_drop = 0
        self._paused = False
        self._to_lose = 0
        self._client: aiomqtt.Client | None = None
        self._answered = asyncio.Event()
        self.ready = asyncio.Event()
        """Set while it is subscribed."""
        self.acks_sent = 0

    # ------------------------------------------------------------------------------------------------- what it has

    def held_periods(self) -> set[datetime]:
        """Starts of all periods of which it holds a record."""
        return self._ledger.periods()

    def digests(self) -> dict[tuple[str, str, int], bytes]:
        """SHA-256 of every message held, by (plant, epoch, seq)."""
        return self._ledger.digests()

    @property
    def records_held(self) -> int:
        """Different records held: one for each (plant, epoch, seq)."""
        return self._ledger.messages()

    @property
    def frames(self) -> int:
        """Well-formed messages that arrived, repeats included."""
        return self._ledger.count("frames")

    @property
    def duplicates(self) -> int:
        """Repeats with the same bytes."""
        return self._ledger.count("duplicate")

    @property
    def altered(self) -> int:
        """Repeats with other bytes: must never happen."""
        return self._ledger.count("altered")

    @property
    def contradictions(self) -> int:
        """Values that came again under the same code and time, but differ."""
        return self._ledger.count("contradictions")

    @property
    def malformed(self) -> int:
        """Messages that break the description."""
        return self._ledger.count("malformed")

    def readings(self, code: str) -> dict[datetime, tuple[float | None, int]]:
        """Value and quality held under a code, by start of the period."""
        return self._ledger.readings(code)

    def declared(self, kind: str) -> list[dict[str, object]]:
        """What plants have declared: kind `gap` or `alarm`."""
        return [json.loads(body) for body in self._ledger.declared(kind)]

    async def query(self, plant: str, *, begin: datetime | None, end: datetime | None) -> None:
        """Asks a plant for a span and stores the answer.

        Args:
            plant: which.
            begin: first start of a period; None: from the first on.
            end: the first start no longer wanted; None: all.
        """
        assert self._client is not None, "not connected"
        self._answered.clear()
        body = {"v": 1, "plant": plant, "id": "q1"}
        body |= {key: bound.isoformat() for key, bound in (("from", begin), ("to", end)) if bound is not None}
        await self._client.publish(f"hp/{plant}/down/query", json.dumps(body).encode(), qos=1, timeout=CALL_S_MAX)
        await self._answered.wait()

    # ------------------------------------------------------------------------------------------- how it misbehaves

    def lose_next(self, count: int) -> None:
        """Says of the next records that it has stored them, and has not."""
        self._to_lose = count

    def drop_next_acks(self, count: int) -> None:
        """Swallows the next acknowledgements; the records are kept all the same."""
        self._acks_to_drop = count

    def pause(self) -> None:
        """Throws away what arrives, as with a database that is down."""
        self._paused = True

    def resume(self) -> None:
        """Takes records again."""
        self._paused = False

    # ------------------------------------------------------------------------------------------------ how it works

    async def run(self) -> None:
        """Receives for ever, connecting anew when the broker goes away; ends only by cancellation."""
        down = False
        while True:
            try:
                async with aiomqtt.Client(
                    self._host, self._port, timeout=CALL_S_MAX, keepalive=60, socket_options=[NO_DELAY]
                ) as client:
                    await client.subscribe([("hp/+/up/frame", 1), ("hp/+/up/reply", 1)])
                    _end_if_cancelled()
                    self._client = client
                    LOG.info("platform listens broker=%s:%d", self._host, self._port)
                    down = False
                    self.ready.set()
                    async for message in client.messages:
                        await self._arrived(client, str(message.topic), message.payload)
                        _end_if_cancelled()
            except aiomqtt.MqttError as error:
                if not down:
                    LOG.warning("platform has lost its broker reason=%s", error)
                down = True
            finally:
                self.ready.clear()
                self._client = None
            _end_if_cancelled()
            await asyncio.sleep(RECONNECT_S)

    async def _arrived(self, client: aiomqtt.Client, topic: str, payload: object) -> None:
        if self._reply(topic, payload):
            return
        place = TOPIC.match(topic)
        if self._paused or place is None or not isinstance(payload, bytes):
            return
        plant = place[1]
        try:
            message = parse(payload, plant=plant)
        except Malformed as fault:
            self._ledger.malformed()
            LOG.warning("malformed record plant=%s reason=%s", plant, fault)
            if fault.key is not None:
                refused = [{"seq": fault.key[2], "reason": str(fault)}]
                await self._acknowledge(client, plant, epoch=fault.key[1], refused=refused)
            return
        if self._to_lose > 0:
            self._to_lose -= 1
            self._ledger.pretend(message)
            await self._acknowledge(client, plant, epoch=message.epoch, refused=[])
            return
        verdict = self._ledger.take(message, payload)
        if verdict == "altered":
            LOG.error("a record came again with other bytes plant=%s seq=%d", plant, message.seq)
        await self._acknowledge(client, plant, epoch=message.epoch, refused=[])

    def _reply(self, topic: str, payload: object) -> bool:
        """Takes a part of the answer to a query; False: it is none."""
        place = REPLY.match(topic)
        if place is None or not isinstance(payload, bytes):
            return False
        try:
            body = json.loads(payload)
            self._ledger.take_reply(place[1], _readings(body, plant=place[1], may_be_empty=True))
        except (ValueError, AttributeError) as fault:
            self._ledger.malformed()
            LOG.warning("malformed reply plant=%s reason=%s", place[1], fault)
            return True
        if body.get("last") is True:
            self._answered.set()
        return True

    async def _acknowledge(
        self, client: aiomqtt.Client, plant: str, *, epoch: str, refused: list[dict[str, object]]
    ) -> None:
        if self._acks_to_drop > 0:
            self._acks_to_drop -= 1
            return
        held = self._ledger.held(plant, epoch)
        ack: dict[str, object] = {"v": 1, "plant": plant, "epoch": epoch, "hwm": held.hwm, "ranges": held.ranges()}
        if refused:
            ack["refused"] = refused
        await client.publish(f"hp/{plant}/down/ack", json.dumps(ack).encode(), qos=1, timeout=CALL_S_MAX)
        self.acks_sent += 1

    def close(self) -> None:
        """Closes the database; after `run()` has ended."""
        self._ledger.close()


def _end_if_cancelled() -> None:
    """Obeys a cancellation that the library has swallowed, as `asyncio.wait_for` of Python 3.11 does."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
