"""The supervisor: promises are read to the last one, a dead process is started again, a hopeless one is given up."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_agent.clock import elapsed_s
from hil_sim.supervisor import AgentFailed, Supervisor

# Stands for the agent: last argument is the pipe; the behaviour is the text between.
PROMISING = """
import os, sys, time
fd = int(sys.argv[-1])
assert sys.argv[-2] == "--promise-fd" and sys.flags.safe_path and "NOTIFY_SOCKET" not in os.environ
for number in range({count}):
    os.write(fd, b"%d\\n" % number)
print("said", flush=True)
{then}
"""


def supervisor(folder: Path, then: str, *, count: int = 3, events: list[str] | None = None) -> Supervisor:
    def report(what: str, _facts: Mapping[str, object]) -> None:
        if events is not None:
            events.append(what)

    return Supervisor(
        config=folder,
        log_path=folder / "agent.log",
        wall_s=elapsed_s,
        report=report,
        command=(sys.executable, "-c", PROMISING.format(count=count, then=then)),
    )


async def until(condition: object, *, limit_s: float = 20.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - it watches a process, not a task
            await asyncio.sleep(0.01)


def gone(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text(encoding="utf-8").split(")")[1].split()[0] == "Z"


async def test_a_killed_process_is_started_again_and_no_promise_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    events: list[str] = []
    agent = supervisor(tmp_path, "time.sleep(60)", count=2000, events=events)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(agent.run())
        await until(lambda: len(agent.promised) == 2000)
        first_pid = agent.pid
        assert agent.running
        assert agent.kill()
        await until(lambda: agent.starts == 2 and len(agent.promised) == 4000)
        assert agent.pid != first_pid
        await agent.stop()
    assert not agent.running
    assert not agent.kill()
    assert agent.promised == [*range(2000), *range(2000)]
    assert events == ["agent_started", "agent_killed", "agent_died", "agent_started"]
    assert (agent.starts, agent.deaths) == (2, 1)


async def test_a_child_of_the_killed_process_does_not_outlive_it(tmp_path: Path) -> None:
    """The solver's worker holds the pipe's other end here: without the group's end, reading would never finish."""
    then = "pid = os.fork()\nos.write(fd, b'%d\\n' % pid) if pid else None\ntime.sleep(60)"
    agent = supervisor(tmp_path, then, count=0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(agent.run())
        await until(lambda: agent.promised)
        child = agent.promised[0]
        agent.kill()
        await until(lambda: agent.deaths == 1)
        await agent.stop()
    assert gone(child)


async def test_a_refused_configuration_is_not_tried_again(tmp_path: Path) -> None:
    agent = supervisor(tmp_path, "print('site.yaml:3:1  unknown key'); sys.exit(2)")
    with pytest.raises(AgentFailed, match=r"(?s)status 2.*site\.yaml:3:1  unknown key"):
        await agent.run()
    assert agent.starts == 1
    assert agent.promised == [0, 1, 2]


async def test_an_orderly_stop_asks_before_it_insists(tmp_path: Path) -> None:
    then = """import signal
signal.signal(15, lambda *_: (os.write(fd, b'99\\n'), sys.exit(0)))
os.write(fd, b'7\\n')
time.sleep(60)"""
    agent = supervisor(tmp_path, then, count=0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(agent.run())
        await until(lambda: agent.promised == [7])
        await agent.stop()
    assert agent.promised == [7, 99]
    assert agent.deaths == 0


async def test_cancelling_leaves_no_process(tmp_path: Path) -> None:
    agent = supervisor(tmp_path, "time.sleep(60)")
    task = asyncio.get_running_loop().create_task(agent.run())
    await until(lambda: len(agent.promised) == 3)
    pid = agent.pid
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pid is not None
    assert gone(pid)


async def test_without_power_nobody_starts_it_again(tmp_path: Path) -> None:
    events: list[str] = []
    agent = supervisor(tmp_path, "time.sleep(60)", events=events)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(agent.run())
        await until(lambda: len(agent.promised) == 3)
        agent.hold()
        await until(lambda: agent.deaths == 1)
        assert agent.held
        assert agent.starts == 1
        agent.release()
        await until(lambda: agent.starts == 2 and len(agent.promised) == 6)
        agent.hold()
        await agent.stop()  # a machine that is dark when the run ends holds nothing up
    assert agent.starts == 2
    assert events.count("agent_started") == 2
