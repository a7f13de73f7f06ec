"""What a proof must put back is put back, however often somebody wants to stop it."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack

import pytest

from edge_agent.to_the_end import stopped_once, to_the_end


@pytest.mark.parametrize("while_watching", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_again_and_again_does_not_stop_the_restoration(
    number: signal.Signals, *, while_watching: bool
) -> None:
    def stop() -> None:
        os.kill(os.getpid(), number)

    told: list[str] = []

    async def restore() -> bool:
        for _ in range(3):
            stop()
            await asyncio.sleep(0.01)
        told.append("restored")
        return True

    async def close() -> None:
        told.append("bus closed")

    async def prove() -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(close)
            with stopped_once():
                try:
                    if while_watching:
                        stop()
                        await asyncio.sleep(60)
                finally:
                    await to_the_end(restore())
            told.append("went on")

    handler = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else asyncio.CancelledError):
        asyncio.run(prove())
    assert told == ["restored", "bus closed"]
    assert signal.getsignal(number) is handler


async def test_what_fails_on_the_way_is_told() -> None:
    async def fail() -> None:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        await to_the_end(fail())
