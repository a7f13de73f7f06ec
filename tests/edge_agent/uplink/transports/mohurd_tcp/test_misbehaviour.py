"""Every misbehaviour of the platform, by name: afterwards all records are there as they were, no lie is believed."""
# ruff: noqa: ANN401 - the fixtures are plants and platforms of tests

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from hil_sim.platform.mohurd_conduct import ACKS, BYTES, HARMLESS, LINK, LOGIN, XML


@pytest.mark.parametrize("way", LOGIN)
async def test_a_strange_login_ends_in_delivery(city: Callable[..., Any], way: str) -> None:
    plant = await city(options={"login": {"step_s": 0.3}} if way == "silence" else None)
    plant.platform.server.conduct.misbehave("login", way, times=1)
    await plant.period_ends(3)
    if way == "second_sequence":
        plant.platform.server.conduct.strict = False
    async with plant.delivering():
        await plant.everything_arrives(sound=way != "second_sequence")
    struck = plant.platform.server.conduct.struck
    assert struck[f"login.{way}"] >= 1
    failed = way in {"fail", "silence", "drop_after_pass"}
    assert (plant.platform.server.connections > 1) == failed
    if way == "second_sequence":
        assert plant.platform.server.wrong == {"md5": 1}  # the answer to its first challenge, which it has forgotten


@pytest.mark.parametrize("way", LINK)
async def test_a_strange_connection_ends_in_delivery(city: Callable[..., Any], way: str) -> None:
    plant = await city(options={"login": {"step_s": 0.3}, "heartbeat": {"missed_max": 1, "proof_s": 0.2}})
    plant.platform.server.conduct.misbehave("link", way, times=1 if way != "drip" else 6)
    await plant.period_ends(3)
    async with plant.delivering():
        await plant.everything_arrives()
    assert plant.platform.server.conduct.struck[f"link.{way}"] >= 1


async def test_damaged_bytes_are_never_believed(city: Callable[..., Any], until: Any) -> None:
    plant = await city(options={"crc": {"order_rx": "low_first"}})
    conduct = plant.platform.server.conduct
    async with plant.delivering() as sender:
        for way in BYTES:
            await plant.period_ends(1)
            await plant.everything_arrives()
            sessions = sender.session_count
            conduct.misbehave("bytes", way, times=1)
            await plant.period_ends(1)
            await plant.everything_arrives()
            await until(lambda way=way: conduct.struck[f"bytes.{way}"] == 1, way)
            # What must be understood leaves the connection alone, everything else ends it.
            kept = way in HARMLESS
            if not kept:
                await until(lambda before=sessions: sender.session_count > before, f"an end after {way}")
            assert (sender.session_count == sessions) == kept, way


async def test_misprinted_and_hostile_texts(city: Callable[..., Any]) -> None:
    plant = await city(options={"heartbeat": {"missed_max": 2, "proof_s": 0.2}})
    conduct = plant.platform.server.conduct
    async with plant.delivering() as sender:
        for way in XML:
            await plant.period_ends(1)
            await plant.everything_arrives()
            sessions = sender.session_count
            conduct.misbehave("xml", way, times=1)
            await plant.period_ends(1)
            await plant.everything_arrives()
            assert conduct.struck[f"xml.{way}"] == 1, way
            if way in HARMLESS | {"two_types"}:
                assert sender.session_count == sessions, way
            elif way == "doctype":
                assert sender.session_count > sessions


@pytest.mark.parametrize("dialect", ["g2009", "qx"])
async def test_strange_acknowledgements_move_nothing_they_do_not_name(city: Callable[..., Any], dialect: str) -> None:
    plant = await city(dialect)
    conduct = plant.platform.server.conduct
    conduct.late_s = 0.1
    async with plant.delivering(resend_s=0.3):
        for way in ACKS:
            if way == "lost":
                continue
            conduct.misbehave("acks", way, times=1)
            await plant.period_ends(2)
            await plant.everything_arrives()
            assert conduct.struck[f"acks.{way}"] == 1


@pytest.mark.parametrize("seed", [1])
async def test_a_platform_gone_mad_by_dice_gets_everything_in_the_end(
    city: Callable[..., Any], until: Any, seed: int
) -> None:
    plant = await city(options={"login": {"step_s": 1.0}, "heartbeat": {"missed_max": 1}})
    conduct = plant.platform.server.conduct
    conduct.dice, conduct.dice_ratio, conduct.strict = Random(seed), 0.3, False  # noqa: S311 - dice of a test
    conduct.dice_kinds = ("bytes", "xml")  # among the acknowledgements is one that only a query could heal
    async with plant.delivering(resend_s=0.4):
        for _ in range(25):
            await plant.period_ends(1)
            await asyncio.sleep(0.02)
        await until(lambda: sum(conduct.struck.values()) > 3, "dice that strike: else nothing is tried")
        conduct.behave()
        await plant.everything_arrives(sound=False)
    assert plant.platform.collector.contradictions == 0


async def test_a_slow_platform_is_waited_for(city: Callable[..., Any]) -> None:
    plant = await city()
    plant.platform.server.conduct.slow_s = 0.15
    await plant.period_ends(4)
    async with plant.delivering() as sender:
        await plant.everything_arrives()
        assert sender.session_count == 1


async def test_a_platform_that_never_reads_again_does_not_hold_up_the_stop(city: Callable[..., Any]) -> None:
    plant = await city()
    plant.platform.server.conduct.misbehave("link", "never_read")
    await plant.period_ends(4)
    begun = asyncio.get_running_loop().time()
    async with plant.delivering():
        await asyncio.sleep(0.2)
    assert asyncio.get_running_loop().time() - begun < 4
    assert plant.platform.held() == {}
