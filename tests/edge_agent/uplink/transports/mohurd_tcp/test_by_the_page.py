"""A whole conversation with a platform of a few lines, written from the protocol's description alone.

Neither the agent's codec nor the simulator's is used: the frame is taken apart field by field, and the texts are the
description's own examples, word for word.

Source: 可再生能源建筑应用示范项目数据监测系统技术导则(试行) (2009), appendix 4, with the orders of its
public packets.
"""

import asyncio
import hashlib
import struct
from typing import Any
from xml.etree import ElementTree as ET

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from edge_agent.uplink.transports.base import Lane

KEY = b"0000000000123456"
HEAD, TAIL = bytes.fromhex("68681616"), bytes.fromhex("55AA55AA")
IDS = "<project_id>110108900</project_id><gateway_id>1101089000101</gateway_id>"
COMMON = f"<root><common>{IDS}{{types}}</common>{{body}}</root>"


def crc(data: bytes) -> int:
    value = 0
    for byte in data:
        for bit in range(8):
            top = (value >> 15) ^ (byte >> (7 - bit) & 1)
            value = ((value << 1) & 0xFFFF) ^ (0x1021 * top)
    return value


def pack(text: str, sequence: bytes) -> bytes:
    raw = text.encode()
    raw += b"0" * (-len(raw) % 16)
    work = Cipher(algorithms.AES(KEY), modes.CBC(KEY)).encryptor()
    cipher = work.update(raw) + work.finalize()
    front = HEAD + struct.pack("<I", len(cipher) + 4) + sequence + cipher
    return front + struct.pack("<H", crc(front)) + TAIL


async def unpack(reader: asyncio.StreamReader) -> tuple[bytes, ET.Element]:
    async with asyncio.timeout(60):
        front = await reader.readexactly(8)
        assert front[:4] == HEAD
        (length,) = struct.unpack("<I", front[4:])
        inner = await reader.readexactly(length)
        (value,) = struct.unpack("<H", await reader.readexactly(2))
        assert value == crc(front + inner)
        assert await reader.readexactly(4) == TAIL
    work = Cipher(algorithms.AES(KEY), modes.CBC(KEY)).decryptor()
    plain = work.update(inner[4:]) + work.finalize()
    return inner[:4], ET.fromstring(plain[: plain.rindex(b">") + 1].decode())  # noqa: S314 - our own words, on loopback


def told(types: str, body: str) -> str:
    return COMMON.format(types="".join(f"<type>{kind}</type>" for kind in types.split()), body=body)


async def hear(reader: asyncio.StreamReader, kind: str) -> tuple[bytes, ET.Element]:
    sequence, root = await unpack(reader)
    assert root.findtext("common/project_id") == "110108900"
    assert root.findtext("common/gateway_id") == "1101089000101"
    assert root.findtext("common/type") == kind
    body = root[1]
    assert body.get("operation") == kind
    return sequence, body


class ByThePage:
    """The platform's side of the conversation."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self.asked = False
        self.failed: BaseException | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self.failed = error
        finally:
            self.done.set()
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sequence, body = await hear(reader, "request")
        assert body.tag == "id_validate"
        challenge = '<id_validate operation="sequence"><sequence>40dfbc87592be8a</sequence></id_validate>'
        writer.write(pack(told("sequence", challenge), sequence))
        again, body = await hear(reader, "md5")
        assert again == sequence
        assert body.findtext("md5") == "22c14618b0c881301b49a741bfd46db4"
        assert body.findtext("md5") == hashlib.md5(b"40dfbc87592be8a" + KEY).hexdigest()  # noqa: S324 - the protocol's
        result = '<id_validate operation="result"><result>pass</result><time>20260115083004</time></id_validate>'
        writer.write(pack(told("result time", result), again))

        _, body = await hear(reader, "report")
        assert body.findtext("time") == "20260115084500"  # the end of the period, local time
        assert (body.findtext("parse"), body.findtext("sequence")) == ("yes", "1")
        functions = body.findall("meter/function")
        assert [(one.get("coding"), one.get("error"), one.text) for one in functions] == [
            ("1101089002050120", "0", "0.1"),
            ("1101089002050111", "0", "40"),
        ]
        assert {one.get("sample_time") for one in functions} == {"20260115084500"}
        assert body.find("meter").get("conn") == "conn"  # type: ignore[union-attr] # two functions are in it
        heart, body = await hear(reader, "notify")
        assert body.tag == "heart_beat"
        answer = '<id_validate operation="heart_result"><heart_result>0000</heart_result></id_validate>'
        writer.write(pack(told("heart_result", answer), heart))

        query = '<data operation="query"><beginTime>20260115000000</beginTime><endTime>20260115093000</endTime></data>'
        writer.write(pack(told("query", query), b"\x01\x02\x03\x04"))
        again, body = await hear(reader, "reply")
        assert again == b"\x01\x02\x03\x04"
        assert body.findtext("time") == "20260115084500"
        heart, body = await hear(reader, "notify")  # it wants to know that the answer was read
        writer.write(pack(told("heart_result", answer), heart))
        period = '<config operation="period"><period>1</period></config>'
        writer.write(pack(told("period", period), b"\x05\x06\x07\x08"))
        again, body = await hear(reader, "period_ack")
        assert again == b"\x05\x06\x07\x08"
        assert int(body.findtext("return") or "0") < 0
        key = '<stand operation="setkey"><type>\r\n1\r\n</type><key>\r\n0000000000654321\r\n</key></stand>'
        writer.write(pack(told("setkey", key), b"\x09\x0a\x0b\x0c"))
        again, body = await hear(reader, "setkey_ack")
        assert (again, body.findtext("return")) == (b"\x09\x0a\x0b\x0c", "1")
        surprise = '<stand operation="restart"></stand>'
        writer.write(pack(told("restart", surprise), b"\x0d\x0e\x0f\x10"))
        again, body = await hear(reader, "restart_ack")
        assert (again, body.findtext("return")) == (b"\x0d\x0e\x0f\x10", "0")
        self.asked = True

        sequence, body = await hear(reader, "continuous")
        assert (body.findtext("total"), body.findtext("current")) == ("1", "1")
        assert body.findtext("time") == "20260115084500"
        ack = '<data operation="continuous_ack">< continuous_ack > 1 </ continuous_ack ></data>'
        writer.write(pack(told("continuous_ack", ack), sequence))
        await writer.drain()
        await reader.read(1)


async def test_a_conversation_by_the_page(city: Any, until: Any) -> None:  # noqa: ANN401 - fixtures
    plant = await city()
    page = ByThePage()
    server = await asyncio.start_server(page.serve, "127.0.0.1", 0)
    transport = plant.platform.transport(port=server.sockets[0].getsockname()[1])
    await plant.period_ends(1)
    (row,) = await plant.store.outbox_due("city", 1)
    async with plant.delivering(transport=transport) as sender:
        await until(lambda: sender.connected or page.failed is not None, "the login")
        await until(lambda: page.failed is not None or sender.server_clock_off_s is not None, "its clock")
        assert page.failed or sender.server_clock_off_s == -12 * 3600 + 4
        await until(lambda: page.failed is not None or len(plant.platform.memory.texts) > 0, "the new key, kept")
        async with asyncio.timeout(60):  # the heartbeat proves the report; then it goes again, as history
            while page.failed is None and (await sender.status()).backlog:  # noqa: ASYNC110 - the store sets no event
                await asyncio.sleep(0.02)
        await until(lambda: page.failed is not None or page.asked, "everything that the platform asks")
        await transport.send([row], Lane.RECONCILE)
        await until(lambda: page.failed is not None or not len(transport._connected().flights), "the acknowledgement")
    server.close()
    await page.done.wait()
    assert page.failed is None, page.failed
