"""The trials of `make crash`: each does one thing to a living site, at a moment thrown by dice, and lets it recover.

Whether anything was lost is not asked here (crash_judge).
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from crash_site import PERIOD_MIN, STARTING_SPEED, CrashSite, until
from power_fs import Disk

FRAME_WALL_S = 0.09
"""About one scan at the site's speed."""
STARTING_S = 0.6
"""Wall time in which a forked agent opens its store, reads its configuration and makes its first frame."""
JUMPS_S = (300.0, -300.0, 1000.0, -1000.0)
FILL_BYTES = 1 << 20
FILL_BYTES_MAX = 64 << 20
"""More than the disk of ours holds; a disk that takes more is another one."""


@dataclass
class Ground:
    """Where a trial takes place.

    Attributes:
        site: the site.
        disk: what its state folder lies on; None: the machine's own disk.
        tasks: where a platform that starts again lives.
        dice: of this trial.
    """

    site: CrashSite
    disk: Disk | None
    tasks: asyncio.TaskGroup
    dice: random.Random


async def kill(ground: Ground) -> str:
    """Kills with -9: somewhere between two frames, right after a promise, or while the agent is still starting."""
    site, dice = ground.site, ground.dice
    moment = dice.choice(("between", "between", "promise", "starting"))
    await site.promises(dice.randint(1, 12))
    if moment == "between":
        await asyncio.sleep(dice.uniform(0.0, 4 * FRAME_WALL_S))
    starts = site.agent.starts
    site.kill_agent()
    if moment == "starting":
        await until(lambda: site.agent.starts > starts, "the agent's next start")
        await asyncio.sleep(dice.uniform(0.0, STARTING_S))
        site.kill_agent()
    await site.recovers()
    return moment


async def power_cut(ground: Ground) -> str:
    """The machine loses its power: what was not flushed is gone, the agent with it; then it boots."""
    site, dice = ground.site, ground.dice
    assert ground.disk is not None
    await site.promises(dice.randint(1, 12))
    await asyncio.sleep(dice.uniform(0.0, 4 * FRAME_WALL_S))
    counts = await asyncio.to_thread(ground.disk.cut)
    site.agent.hold()
    site.clock.set_speed(STARTING_SPEED)
    await until(lambda: not site.agent.running, "the agent's end")
    await asyncio.to_thread(ground.disk.restore)
    site.agent.release()
    await site.recovers()
    return f"{counts['writes_waiting']} writes were not on the medium"


async def full_disk(ground: Ground) -> str:
    """Others fill the disk; the store refuses for a while; then there is space again, perhaps after a kill."""
    site, dice = ground.site, ground.dice
    assert ground.disk is not None
    await site.promises(dice.randint(1, 6))
    filler = site.state_dir.parent / site.state_dir.name / "filler"
    await asyncio.to_thread(_fill, filler)
    await asyncio.sleep(dice.uniform(0.3, 1.0))
    if killed := dice.random() < 0.3:
        site.kill_agent()
        await asyncio.sleep(dice.uniform(0.2, 0.6))
    # What the agent gives back to keep going (its ballast) is taken as well.
    await asyncio.to_thread(_fill, filler)
    await asyncio.sleep(dice.uniform(0.3, 0.8))
    await asyncio.to_thread(_remove, filler)
    await site.recovers()
    return "killed while full" if killed else "lived through it"


def _remove(filler: Path) -> None:
    os.truncate(filler, 0)  # the disk of ours counts what is still open
    filler.unlink()


def _fill(filler: Path) -> None:
    if not filler.parent.is_mount():  # never the machine's own disk
        raise OSError(f"{filler.parent}: the disk of ours is gone")
    size = FILL_BYTES
    with filler.open("ab", buffering=0) as file:
        written = 0
        while size >= 512 and written < FILL_BYTES_MAX:
            try:
                written += file.write(bytes(size))
            except OSError:
                size //= 2


async def clock_jump(ground: Ground) -> str:
    """The clock is set forward or back, and right again later; or it is wrong when the agent boots."""
    site, dice = ground.site, ground.dice
    await site.promises(dice.randint(1, 6))
    jump_s = dice.choice(JUMPS_S)
    at_boot = dice.random() < 0.4
    if at_boot:
        site.kill_agent()
    site.set_clock(jump_s)
    await site.promises(dice.randint(2, 8))
    site.set_clock(0.0)
    await site.recovers()
    # Time goes on over all that the wrong clock has shown: what it has spoilt then shows.
    await until(lambda: site.clock.now_s() > site.clock_shown_s + 60.0 * PERIOD_MIN, "the wrong clock's instants again")
    return f"{jump_s:+.0f} s{' at boot' if at_boot else ''}"


async def broker_restart(ground: Ground) -> str:
    """The broker is killed with whatever it holds in memory, and starts again."""
    site, dice = ground.site, ground.dice
    await site.promises(dice.randint(1, 8))
    await asyncio.sleep(dice.uniform(0.0, 0.5))
    site.broker.kill()
    await asyncio.sleep(dice.uniform(0.0, 0.6))
    await site.broker.start()
    await site.promises(2)
    return ""


async def platform_restart(ground: Ground) -> str:
    """The platform dies with what it has received and not yet committed or acknowledged, and comes back."""
    site, dice = ground.site, ground.dice
    await site.promises(dice.randint(1, 8))
    await asyncio.sleep(dice.uniform(0.0, 0.5))
    await site.stop_platform()
    await asyncio.sleep(dice.uniform(0.1, 0.9))
    site.start_platform(ground.tasks)
    await site.promises(2)
    return ""


Trial = Callable[[Ground], Awaitable[str]]
TRIALS: Mapping[str, Trial] = {
    "kill": kill,
    "power_cut": power_cut,
    "full_disk": full_disk,
    "clock_jump": clock_jump,
    "broker_restart": broker_restart,
    "platform_restart": platform_restart,
}
ON_A_DISK = frozenset({"power_cut", "full_disk"})
"""Trials that need a disk of ours: root and /dev/fuse."""
