import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_agent import local_api
from edge_agent.errors import EdgeAgentError, RefusedByInterlock, ServiceUnreachable


async def status(arguments: Mapping[str, object]) -> Mapping[str, object]:
    return {"mode": "auto", "asked": dict(arguments)}


async def mode(_arguments: Mapping[str, object]) -> Mapping[str, object]:
    raise RefusedByInterlock("调试未签字 / commissioning is not signed")


@pytest.fixture
def no_runtime_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)


@pytest.mark.usefixtures("no_runtime_folder")
async def test_question_and_answer(tmp_path: Path) -> None:
    async with await local_api.serve(tmp_path, {"status": status, "mode": mode}):
        answer = await asyncio.to_thread(local_api.ask, tmp_path, "status", unit="hp1")
        assert answer == {"mode": "auto", "asked": {"unit": "hp1"}}
        with pytest.raises(RefusedByInterlock, match="not signed"):
            await asyncio.to_thread(local_api.ask, tmp_path, "mode")
        with pytest.raises(EdgeAgentError, match="unknown verb"):
            await asyncio.to_thread(local_api.ask, tmp_path, "nonsense")


@pytest.mark.usefixtures("no_runtime_folder")
async def test_garbage_ends_only_that_conversation(tmp_path: Path) -> None:
    async with await local_api.serve(tmp_path, {"status": status}):
        reader, writer = await asyncio.open_unix_connection(tmp_path / local_api.SOCKET_NAME)
        writer.write(b"\xff\xfe{not json\n")
        assert await reader.read() == b""
        writer.close()
        assert (await asyncio.to_thread(local_api.ask, tmp_path, "status"))["mode"] == "auto"


def test_no_service_is_said(tmp_path: Path) -> None:
    with pytest.raises(ServiceUnreachable, match="not running"):
        local_api.ask(tmp_path, "status")
