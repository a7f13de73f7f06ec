"""What an acknowledgement moves: what it names, and nothing that it could mean as well."""

from zoneinfo import ZoneInfo

import pytest

from edge_agent.settings.dialect_file import shipped_dialect
from edge_agent.uplink.transports.mohurd_tcp.conversation import Conversation, Proven
from edge_agent.uplink.transports.mohurd_tcp.keys import Keys
from edge_agent.uplink.transports.mohurd_tcp.words import Told, Value
from hil_sim.platform.mohurd_dialects import DIALECTS
from hil_sim.platform.mohurd_wire import frame_of

TOLD = Told("20260115083000", (Value("1101089002050120", "", 182.4),))


def talking(name: str) -> Conversation:
    talk = Conversation(
        shipped_dialect(name),
        project="1",
        gateway="2",
        keys=Keys("k"),
        zone=ZoneInfo("Asia/Shanghai"),
        first_sequence=1,
    )
    talk.logged_in = True
    talk.history([(TOLD, "e", 1), (TOLD, "e", 2)])
    talk.history([(TOLD, "e", 3), (TOLD, "e", 4)])
    talk.take()
    return talk


def acknowledgement(inside: str) -> bytes:
    common = "<common><project_id>1</project_id><gateway_id>2</gateway_id><type>continuous_ack</type></common>"
    text = f"<root>{common}<data operation='continuous_ack'>{inside}</data></root>"
    return frame_of(DIALECTS["qx"], sequence=b"", content=text.encode(), kind="data")


@pytest.mark.parametrize(
    ("inside", "seqs"),
    [
        ("<sequence>3</sequence><continuous_ack>1</continuous_ack>", [3]),
        ("<sequence>3</sequence><continuous_ack>2</continuous_ack>", []),  # another place in its batch
        ("<sequence>9</sequence><continuous_ack>1</continuous_ack>", []),  # never sent
        ("<sequence>3</sequence><continuous_ack>-1</continuous_ack>", []),
        ("<continuous_ack>1</continuous_ack>", []),  # the first of which batch?
    ],
)
def test_history_is_proven_by_name(inside: str, seqs: list[int]) -> None:
    said = talking("qx").hear(acknowledgement(inside))
    assert [flight.seq for one in said if isinstance(one, Proven) for flight in one.flights] == seqs
