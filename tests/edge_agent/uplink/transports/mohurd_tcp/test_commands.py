"""What the platform may ask: history, a period, keys, its clock, when history may come; served, not obeyed blindly."""
# ruff: noqa: ANN401 - the fixtures are plants and platforms of tests

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edge_agent.store.rows import OutboxEntry
from edge_agent.uplink.record import Record, RecordPoint, encode

GATEWAY = "1101089000101"
START = datetime(2026, 1, 15, 0, 30, tzinfo=UTC)
NEW_KEY = "9999888877776666"


async def test_a_query_is_served_from_the_archive_though_the_outbox_is_empty(city: Any, until: Any) -> None:
    plant = await city()
    plant.platform.lose_records(6)
    await plant.period_ends(6)
    async with plant.delivering() as sender:
        await until(lambda: plant.platform.collector.arrivals["lost"] == 6, "records that the platform drops")
        await until_empty(sender)
        assert plant.platform.held() == {}  # acknowledged and lost: nothing but a query can heal that
        # Periods are named by their ends in local time: 08:45 is the first, 09:15 the third.
        await plant.platform.server.ask(GATEWAY, "20260115084500", "20260115091500")
        await until(lambda: len(plant.platform.held()) == 3, "the span")
        assert plant.platform.held() == dict(list(plant.due.items())[:3])
        await plant.platform.server.ask(GATEWAY)
        await until(lambda: plant.platform.held() == plant.due, "a query without a span: the last day")
        assert plant.platform.collector.arrivals["reply"] == 9
        await plant.platform.server.ask(GATEWAY, "20250115084500", "20250115091500")
        await until(lambda: plant.platform.collector.arrivals["reply"] == 10, "that there is nothing")
        await plant.platform.server.ask(GATEWAY, "20260115091500", "20260115084500")
        await until(lambda: plant.platform.collector.answers["query_ack -2"] == 1, "the refusal of a senseless span")
    plant.platform.sound()


async def until_empty(sender: Any) -> None:
    async with asyncio.timeout(60):
        while (await sender.status()).backlog:  # noqa: ASYNC110 - the store sets no event
            await asyncio.sleep(0.02)


async def test_a_query_during_back_fill_is_served_as_well(city: Any, until: Any) -> None:
    plant = await city()
    await plant.period_ends(80)
    async with plant.delivering():
        await until(lambda: plant.platform.server.online, "the login")
        await plant.platform.server.ask(GATEWAY, "20260115084500", "20260115084500")
        await until(lambda: plant.platform.collector.arrivals["reply"] == 1, "the reply")
        await plant.everything_arrives()


@pytest.mark.parametrize(
    ("number", "answer"),
    [("1", "-1"), ("1440", "-1"), ("4", "-1"), ("721", "-1"), ("half", "-2"), ("", "-2"), ("7", "-3"), ("-30", "-1")],
)
async def test_periods_that_cannot_be_are_refused(city: Any, until: Any, number: str, answer: str) -> None:
    plant = await city()
    async with plant.delivering():
        await until(lambda: plant.platform.server.online, "the login")
        await plant.platform.server.set_period(GATEWAY, number)
        await until(lambda: plant.platform.collector.answers[f"period_ack {answer}"] == 1, "the refusal")


async def test_unknown_commands_are_answered_with_not_supported_and_answers_with_nothing(city: Any, until: Any) -> None:
    plant = await city()
    async with plant.delivering():
        await until(lambda: plant.platform.server.online, "the login")
        for kind in ("restart", "some_ack", "notify", "report"):
            await plant.platform.server.command(GATEWAY, kind)
        await until(lambda: plant.platform.collector.answers["restart_ack 0"] == 1, "the answer")
        await plant.period_ends(1)
        await plant.everything_arrives()
        assert plant.platform.collector.answers == {"restart_ack 0": 1}


@pytest.mark.parametrize("wrong", [timedelta(hours=1), timedelta(days=-1), datetime(2000, 1, 1, tzinfo=UTC) - START])
async def test_the_platform_s_clock_changes_nothing_but_a_number(city: Any, until: Any, wrong: timedelta) -> None:
    plant = await city()
    async with plant.delivering() as sender:
        await until(lambda: plant.platform.server.online, "the login")
        await plant.platform.server.set_clock(GATEWAY, START + timedelta(hours=12) + wrong)
        await until(lambda: sender.server_clock_off_s == wrong.total_seconds(), "the offset")
        await plant.period_ends(2)
        await plant.everything_arrives()


async def test_a_clock_may_be_passed_over(city: Any, until: Any) -> None:
    plant = await city(options={"clock": "ignore"})
    async with plant.delivering() as sender:
        await until(lambda: plant.platform.server.online, "the login, which carries the clock")
        await plant.period_ends(1)
        await plant.everything_arrives()
        assert sender.server_clock_off_s is None


@pytest.mark.parametrize("clock", ["00010101000000", "99991231235959"])
async def test_a_clock_at_the_edge_of_the_calendar_ends_nothing(city: Any, until: Any, clock: str) -> None:
    plant = await city()
    async with plant.delivering() as sender:
        await until(lambda: plant.platform.server.online, "the login")
        inside = f"<time>{clock}</time>"
        await plant.platform.server.command(GATEWAY, "time", element="id_validate", inside=inside)
        await plant.platform.server.ask(GATEWAY, clock, clock)
        await until(lambda: plant.platform.collector.answers["query_ack -2"] == 1, "the refusal of the query")
        await plant.period_ends(1)
        await plant.everything_arrives()
        assert sender.session_count == 1


async def test_an_answer_to_a_query_counts_only_when_it_was_read(city: Any, until: Any) -> None:
    plant = await city()
    plant.platform.lose_records(2)
    await plant.period_ends(2)
    async with plant.delivering() as sender:
        await until(lambda: plant.platform.collector.arrivals["lost"] == 2, "records that the platform drops")
        await until_empty(sender)
        plant.platform.server.conduct.misbehave("link", "one_way")  # it hears us and is not heard
        await plant.platform.server.ask(GATEWAY)
        await until(lambda: plant.platform.collector.arrivals["reply"] == 2, "the answer")
        plant.platform.server.drop_connections()
        plant.platform.server.conduct.behave()
        await until(lambda: sender.session_count > 1, "the next connection")
        assert (await sender.status()).fetched == 0
        await plant.platform.server.ask(GATEWAY)
        async with asyncio.timeout(60):
            while (await sender.status()).fetched == 0:  # noqa: ASYNC110 - the store sets no event
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(("kind", "name"), [("0", "md5_key"), ("1", "aes_key"), ("2", "aes_iv")])
async def test_a_new_key_is_used_from_the_next_login_on(
    city: Any, until: Any, caplog: pytest.LogCaptureFixture, kind: str, name: str
) -> None:
    plant = await city()
    platform = plant.platform
    async with plant.delivering() as sender:
        await until(lambda: platform.server.online, "the login")
        await platform.server.set_key(GATEWAY, kind, NEW_KEY)
        await until(lambda: platform.collector.answers["setkey_ack 1"] == 1, "the answer, under the old key")
        assert NEW_KEY in next(iter(platform.memory.texts.values()))  # kept before it was answered
        await plant.period_ends(1)
        await plant.everything_arrives()  # under the old key
        platform.server.drop_connections()
        await until(lambda: sender.session_count == 2, "the next login")
        await plant.period_ends(1)
        await plant.everything_arrives()
        assert platform.server.logins == 2
    async with plant.delivering():  # another run of the service
        await until(lambda: platform.server.logins == 3, "the login after a restart")
        await plant.period_ends(1)
        await plant.everything_arrives()
    assert f"kind={name}" in caplog.text
    assert NEW_KEY not in caplog.text


async def test_a_platform_that_forgets_the_key_it_has_set_is_reached_with_the_old_one(
    city: Any, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    plant = await city()
    platform = plant.platform
    async with plant.delivering() as sender:
        await until(lambda: platform.server.online, "the login")
        await platform.server.set_key(GATEWAY, "1", NEW_KEY, then_old_only=True)
        await until(lambda: platform.collector.answers["setkey_ack 1"] == 1, "the answer")
        platform.server.drop_connections()
        await until(lambda: sender.session_count == 2, "the login with the old key")
        await plant.period_ends(1)
        await plant.everything_arrives(sound=False)
        assert platform.server.wrong == {"cipher": 1}  # once with the new one
        assert "the old one is used again" in caplog.text


async def test_a_key_that_cannot_be_one_is_refused(city: Any, until: Any) -> None:
    plant = await city()
    async with plant.delivering():
        await until(lambda: plant.platform.server.online, "the login")
        for kind, key in (("7", NEW_KEY), ("1", "x" * 65), ("0", "")):
            await plant.platform.server.set_key(GATEWAY, kind, key, then_old_only=True)
        answers = plant.platform.collector.answers
        await until(lambda: (answers["setkey_ack 0"], answers["setkey_ack -2"]) == (1, 2), "the refusals")
        assert not plant.platform.memory.texts


async def test_a_record_that_fits_no_packet_is_kept_apart_and_holds_up_nothing(city: Any) -> None:
    plant = await city("qx")  # whose length is four hex digits
    period = plant.period
    huge = [RecordPoint(f"11010890020501{n % 22 + 1:02d}", float(n), 192) for n in range(1000)]
    record = Record("bj-demo", period, tuple(huge))

    def made(epoch: str, seq: int) -> bytes:
        return encode(record, epoch=epoch, seq=seq, sent_at_utc=period.end_utc)

    await plant.store.close_period(period, [], [OutboxEntry("city", made)])
    plant.period = period.next()
    await plant.period_ends(2)
    async with plant.delivering() as sender:
        async with asyncio.timeout(60):
            while (await sender.status()).refused == 0 or (await sender.status()).backlog > 1:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.02)
        assert sender.session_count == 1
    assert plant.platform.held() == plant.due


async def test_history_waits_until_it_is_allowed(city: Any, until: Any) -> None:
    plant = await city(options={"resume": {"handshake": "ask", "wait_s": 0.3}})
    platform = plant.platform
    await plant.period_ends(5)
    async with plant.delivering():
        await until(lambda: platform.server.online, "the login")
        await until(lambda: platform.server.heard["continuous_request"] >= 1, "the question")
        assert platform.collector.arrivals["continuous"] == 0
        await platform.server.command(GATEWAY, "continuous_forbid")
        await until(lambda: platform.server.heard["continuous_request"] >= 2, "asked again")
        assert platform.collector.arrivals["continuous"] == 0
        await platform.server.command(GATEWAY, "continuous_allow")
        await plant.everything_arrives()
        assert platform.collector.arrivals["continuous"] > 0


async def test_three_servers_at_once_each_at_its_own_pace(city: Any) -> None:
    plants = [await city(name, uplink=name) for name in ("g2009", "zhejiang", "qx")]
    dead = plants[0].platform.server.conduct
    dead.misbehave("link", "black_hole")
    plants[0].beside = plants[1:]
    await plants[0].period_ends(3)
    async with plants[0].delivering(), plants[1].delivering(), plants[2].delivering():
        await plants[1].everything_arrives()
        await plants[2].everything_arrives()
        assert plants[0].platform.held() == {}
        assert (await plants[0].sender.status()).backlog == 3
        dead.behave()
        plants[0].platform.server.drop_connections()
        await plants[0].everything_arrives()
