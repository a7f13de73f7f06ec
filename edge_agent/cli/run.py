"""`edge-agent run`: the service, in the foreground; systemd starts it."""

import asyncio
import logging
import os
import select
import signal
import sys
import threading

import click

from edge_agent.cli.common import Common, Exit, shared_options


@click.command(help="运行服务 / run the service (what systemd calls).")
@click.option(
    "--promise-fd",
    type=int,
    default=None,
    help="仅仿真: 每帧提交后写出其序号 / simulated sites only: sequence numbers of committed frames go there.",
)
@shared_options
def command(common: Common, promise_fd: int | None) -> None:
    """Loads the configuration, refuses to start with a faulty one, and runs until it is told to stop."""
    from edge_agent.app import run  # noqa: PLC0415 - heavy: buses, broker, store
    from edge_agent.settings.load import load_configuration  # noqa: PLC0415

    logging.basicConfig(
        level=os.environ.get("EDGE_AGENT_LOG", "INFO"),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    configuration = load_configuration(common.config)
    if promise_fd is not None and not configuration.site.site.simulated:
        click.echo("--promise-fd 只用于仿真站点 / --promise-fd is for simulated sites only", err=True)
        sys.exit(Exit.USAGE)
    if promise_fd is not None:
        threading.Thread(target=_end_with_the_plant, args=(promise_fd,), name="plant", daemon=True).start()
    asyncio.run(run(configuration, promise_fd=promise_fd))


def _end_with_the_plant(promise_fd: int) -> None:
    """Ends the service once nobody holds the other end of the promises: the simulated plant died without a word.

    Its pseudo terminals are given to somebody else next, who must not find this service on the line.
    """
    pipe = select.poll()
    pipe.register(promise_fd, 0)  # the end of the reader is told unasked
    pipe.poll()
    os.kill(os.getpid(), signal.SIGTERM)
