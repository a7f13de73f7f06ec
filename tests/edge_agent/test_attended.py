"""What a proof must put back is put back, however often Ctrl-C is pressed."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack

import pytest

from edge_agent.attended import interrupted_once, to_the_end


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("while_watching", [True, False])
def test_ctrl_c_again_and_again_does_not_stop_the_restoration(*, while_watching: bool) -> None:
    told: list[str] = []

    async def restore() -> bool:
        for _ in range(3):
            press_ctrl_c()
            await asyncio.sleep(0.01)
        told.append("restored")
        return True

    async def close() -> None:
        told.append("bus closed")

    async def prove() -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(close)
            with interrupted_once():
                try:
                    if while_watching:
                        press_ctrl_c()
                        await asyncio.sleep(60)
                finally:
                    await to_the_end(restore())
            told.append("went on")

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(prove())
    assert told == ["restored", "bus closed"]
    assert signal.getsignal(signal.SIGINT) is handler


async def test_what_fails_on_the_way_is_told() -> None:
    async def fail() -> None:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        await to_the_end(fail())
