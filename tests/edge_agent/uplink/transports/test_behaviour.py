"""One suite for every transport: whatever happens to the connection, each period arrives as it was."""

# ruff: noqa: ANN401 - the fixture is one of several kinds

import asyncio
from typing import Any


async def test_what_is_accepted_is_delivered_and_known_to_be(plant: Any) -> None:
    await plant.period_ends(3)
    async with plant.delivering():
        await plant.everything_arrives()
        await plant.period_ends(2)
        await plant.everything_arrives()


async def test_a_backlog_goes_out_and_live_periods_go_first(plant: Any) -> None:
    await plant.period_ends(60)
    async with plant.delivering():
        await plant.everything_arrives()


async def test_lost_acknowledgements_lead_to_repeats_and_nothing_else(plant: Any) -> None:
    await plant.period_ends(2)
    plant.platform.lose_acks(2)
    async with plant.delivering():
        await plant.everything_arrives()


async def test_a_connection_that_breaks_again_and_again_loses_nothing(plant: Any) -> None:
    async with plant.delivering():
        for _ in range(3):
            await plant.period_ends(4)
            await plant.platform.cut()
        await plant.everything_arrives()


async def test_a_platform_that_was_away_gets_everything(plant: Any) -> None:
    await plant.platform.stop()
    await plant.period_ends(5)
    async with plant.delivering():
        await asyncio.sleep(0.1)
        await plant.platform.start()
        await plant.everything_arrives()


async def test_a_sender_that_was_stopped_mid_way_goes_on_later(plant: Any) -> None:
    await plant.period_ends(30)
    async with plant.delivering():
        await asyncio.sleep(0.05)
    async with plant.delivering():
        await plant.everything_arrives()
