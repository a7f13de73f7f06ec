"""Runs the agent as a machine would: a process of its own, started again when it dies, killed when asked.

It reads the promises: the agent writes each frame's sequence number to a pipe once the frame is committed, and whatever
was promised must be found afterwards. Nothing here looks into the agent; no clock is read, wall time is handed in.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

LOG = logging.getLogger(__name__)

BACKOFF_S = 0.5
"""Wall time before the first new start; doubled while the process keeps dying young."""
BACKOFF_S_MAX = 8.0
YOUNG_S = 10.0
"""A process that dies within this wall time has not really run."""
YOUNG_DEATHS_MAX = 5
"""After so many in a row nobody starts it again, as systemd's start limit would."""
EXIT_CONFIGURATION = 2
"""Exit status of the agent for a configuration that cannot be used: starting again would not help."""
TERM_S_MAX = 20.0
"""Wall time that an orderly end may take."""
READ_BYTES = 65_536
LOG_LINES_SHOWN = 15
_NOT_INHERITED = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "RUNTIME_DIRECTORY", "STATE_DIRECTORY")
"""Variables by which a service manager speaks to its service: they would mean hil-sim, not the agent."""


class AgentFailed(Exception):
    """The agent cannot be kept running; the message ends with the last lines of its log."""


class AgentProcess(Protocol):
    """What the supervisor needs of a process."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    @property
    def returncode(self) -> int | None:
        """Its exit status; None while it lives."""
        ...

    async def wait(self) -> int:
        """Waits for its end."""
        ...

    def terminate(self) -> None:
        """Asks it to end."""
        ...


Start = Callable[[BinaryIO, int], Awaitable[AgentProcess]]
"""Starts an agent that writes its log and its promises (a file descriptor) there."""


class Supervisor:
    """One agent, over as many processes as it takes.

    Attributes:
        promised: sequence numbers of frames, in the order of promising.
        starts: how many processes were started.
        deaths: how many ended without being asked to.
    """

    def __init__(
        self,
        *,
        config: Path,
        log_path: Path,
        wall_s: Callable[[], float],
        report: Callable[[str, Mapping[str, object]], None] = lambda _what, _facts: None,
        on_promise: Callable[[], None] = lambda: None,
        command: Sequence[str] | None = None,
        start: Start | None = None,
    ) -> None:
        """Prepares; `run` starts the process.

        Args:
            config: folder of the agent's configuration.
            log_path: what the agent says on stdout and stderr goes to the end of this file.
            wall_s: monotonic wall time [s].
            report: is told "agent_started", "agent_died" and "agent_killed", with facts.
            on_promise: called when promises have come in.
            command: program and arguments before `--promise-fd`; by default the agent of this Python.
            start: starts the agent some other way than with `command`.
        """
        self.promised: list[int] = []
        self.starts = 0
        self.deaths = 0
        self._command = (
            tuple(command)
            if command is not None
            else (sys.executable, "-m", "edge_agent", "run", "--config", str(config))
        )
        self._log_path = log_path
        self._wall_s = wall_s
        self._report = report
        self._on_promise = on_promise
        self._start = start or self.start_command
        self._process: AgentProcess | None = None
        self._started_s = 0.0
        self._stopping = asyncio.Event()
        self._may_run = asyncio.Event()
        self._may_run.set()

    @property
    def held(self) -> bool:
        """True while the machine has no power: nobody starts the agent."""
        return not self._may_run.is_set()

    @property
    def running(self) -> bool:
        """True while there is a process."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """Process number, or None while there is no process."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def up_s(self) -> float:
        """For how long the present process has been there [wall s]; 0 while there is none."""
        return self._wall_s() - self._started_s if self.running else 0.0

    async def run(self) -> None:
        """Keeps the agent running until `stop`.

        Raises:
            AgentFailed: its configuration is refused, or it dies again and again.
        """
        young_deaths, backoff_s = 0, BACKOFF_S
        while not self._stopping.is_set():
            await self._may_run.wait()
            if self._stopping.is_set():
                return
            status = await self._one_life()
            if self._stopping.is_set():
                return
            self.deaths += 1
            lived_s = self._wall_s() - self._started_s
            self._report("agent_died", {"status": status, "lived_s": lived_s})
            LOG.warning("agent ended status=%s lived_s=%.1f", status, lived_s)
            young_deaths = young_deaths + 1 if lived_s < YOUNG_S and status != -signal.SIGKILL else 0
            if status == EXIT_CONFIGURATION or young_deaths >= YOUNG_DEATHS_MAX:
                raise AgentFailed(f"agent ended with status {status}\n{self.log_tail()}")
            backoff_s = min(backoff_s * 2, BACKOFF_S_MAX) if young_deaths > 1 else BACKOFF_S
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff_s)

    def kill(self) -> bool:
        """Ends the process without warning, as `kill -9` does; False if there is none."""
        pid = self.pid
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it has just ended by itself
            return False
        self._report("agent_killed", {"pid": pid})
        return True

    def hold(self) -> None:
        """The machine loses its power: the agent dies, and is not started before `release`."""
        self._may_run.clear()
        self.kill()

    def release(self) -> None:
        """The machine has power again, and boots."""
        self._may_run.set()

    async def stop(self) -> None:
        """Asks the agent to end, insists after a while; `run` returns."""
        self._stopping.set()
        self._may_run.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), TERM_S_MAX)
        except TimeoutError:
            LOG.warning("agent does not end when asked; killed limit_s=%.0f", TERM_S_MAX)
            _kill_group(process.pid)
            await process.wait()

    def log_tail(self) -> str:
        """The last lines that the agent wrote."""
        try:
            lines = self._log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(lines[-LOG_LINES_SHOWN:])

    async def start_command(self, log: BinaryIO, promise_fd: int) -> AgentProcess:
        """Starts a process of its own, as a service manager does."""
        environment = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
        # Our package names are generic: the working directory must not supply them.
        environment |= {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
        return await asyncio.create_subprocess_exec(
            *self._command,
            "--promise-fd",
            str(promise_fd),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            pass_fds=(promise_fd,),
            process_group=0,  # Ctrl-C at the terminal is ours to pass on
        )

    async def _one_life(self) -> int:
        """Starts a process, reads its promises to the end, and returns its exit status."""
        read_fd, write_fd = os.pipe()
        reading = _Promises(read_fd, self.promised, self._on_promise)
        try:
            try:
                with self._log_path.open("ab") as log:
                    self._process = await self._start(log, write_fd)
            finally:
                os.close(write_fd)
            self.starts += 1
            self._started_s = self._wall_s()
            self._report("agent_started", {"pid": self._process.pid, "start": self.starts})
            status = await self._process.wait()
            # A solver must not outlive its service: systemd clears the control group, too.
            _kill_group(self._process.pid)
            await reading.ended()
        except asyncio.CancelledError:
            if self._process is not None and self._process.returncode is None:
                _kill_group(self._process.pid)
                await self._process.wait()
            raise
        else:
            return status
        finally:
            reading.close()


class _Promises:
    """Reads decimal numbers, one a line, from a pipe until its other end is closed everywhere."""

    def __init__(self, read_fd: int, into: list[int], on_promise: Callable[[], None]) -> None:
        self._fd = read_fd
        self._into = into
        self._on_promise = on_promise
        self._rest = b""
        self._end = asyncio.Event()
        os.set_blocking(read_fd, False)
        asyncio.get_running_loop().add_reader(read_fd, self._read)

    async def ended(self) -> None:
        """Waits for the end of the pipe."""
        await self._end.wait()

    def close(self) -> None:
        """Lets go of the pipe."""
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        portion = os.read(self._fd, READ_BYTES)
        if not portion:
            asyncio.get_running_loop().remove_reader(self._fd)
            self._end.set()
            return
        *lines, self._rest = (self._rest + portion).split(b"\n")
        for line in lines:
            try:
                self._into.append(int(line))
            except ValueError:
                LOG.error("promise is no number line=%r", line)  # noqa: TRY400 - said once, the trace says no more
        self._on_promise()


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
