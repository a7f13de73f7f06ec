"""What looks for ever outlives a store that refuses, and says so once."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from edge_agent.errors import StoreFault
from edge_agent.uplink.looking import look_for_ever

START = datetime(2026, 1, 15, tzinfo=UTC)


class Enough(Exception):
    """Ends the test."""


async def test_a_store_that_refuses_is_told_once_and_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    now = [START]
    looked: list[datetime] = []
    refusals = [False, True, True, False, True]

    async def look(instant_utc: datetime) -> None:
        looked.append(instant_utc)
        if refusals[len(looked) - 1]:
            raise StoreFault("disk full")

    async def sleep_until(instant_utc: datetime) -> None:
        if len(looked) == len(refusals):
            raise Enough
        now[0] = instant_utc

    with caplog.at_level(logging.WARNING), pytest.raises(Enough):
        await look_for_ever(
            look, what_waits="alarms wait", every_s=10.0, now_utc=lambda: now[0], sleep_until=sleep_until
        )
    assert looked == [START + timedelta(seconds=10 * n) for n in range(5)]
    assert caplog.messages == ["alarms wait, the store refuses: disk full"] * 2, "once for each time that it refused"
