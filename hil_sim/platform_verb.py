"""`hil-sim platform`: the simulated city platform alone, to try an uplink against before the real one is reached.

It takes any collector that shows the keys, tells packet by packet what it sees and what is wrong with it, and
misbehaves on request.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence

import click

from edge_agent.clock import RealClock
from hil_sim.platform.mohurd_conduct import KINDS, Conduct
from hil_sim.platform.mohurd_dialects import DIALECTS
from hil_sim.platform.mohurd_server import Collector, MohurdServer
from hil_sim.platform.mohurd_wire import PlatformKeys

EXIT_INTERRUPTED = 130


def _ways(_context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> list[tuple[str, str]]:
    chosen = []
    for value in values:
        kind, _, way = value.partition(".")
        if way not in KINDS.get(kind, ()):
            known = " ".join(f"{kind}.{way}" for kind, ways in KINDS.items() for way in ways)
            raise click.BadParameter(f"{value}: 可选 / one of {known}")
        chosen.append((kind, way))
    return chosen


@click.command("platform")
@click.option(
    "--dialect", type=click.Choice(sorted(DIALECTS)), default="g2009", show_default=True, help="协议写法 / dialect."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="在此地址监听 / listen here.")
@click.option("--port", type=click.IntRange(0, 65_535), default=4400, show_default=True, help="端口,0 任意 / 0: any.")
@click.option("--project", default="110108900", show_default=True, help="项目号 / project_id.")
@click.option("--gateway", default="1101089000101", show_default=True, help="采集器号 / gateway_id.")
@click.option("--md5-key", default="0000000000123456", show_default=True, help="只用试验密钥 / a test key only.")
@click.option("--aes-key", default="0000000000123456", show_default=True, help="16 个字符 / 16 characters.")
@click.option("--aes-iv", default="0000000000123456", show_default=True, help="16 个字符 / 16 characters.")
@click.option("--lenient", is_flag=True, help="报文有错只记不断 / only count what is wrong, keep the connection.")
@click.option(
    "--misbehave", "ways", multiple=True, callback=_ways, metavar="KIND.WAY", help="如 acks.none / as acks.none."
)
@click.option("--json", "as_json", is_flag=True, help="每行一个 JSON / one JSON object a line.")
def command(
    *,
    dialect: str,
    host: str,
    port: int,
    project: str,
    gateway: str,
    md5_key: str,
    aes_key: str,
    aes_iv: str,
    lenient: bool,
    ways: list[tuple[str, str]],
    as_json: bool,
) -> None:
    """仿真市平台(TCP),直到中断 / a simulated city platform behind a TCP port, until interrupted."""
    if len(aes_key.encode()) != 16 or len(aes_iv.encode()) != 16:  # noqa: PLR2004 - an AES block
        raise click.UsageError("AES 密钥和初始向量各 16 个字符 / 16 characters each")
    conduct = Conduct(strict=not lenient)
    for kind, way in ways:
        conduct.misbehave(kind, way)
    server = MohurdServer(dialect, conduct=conduct, now=RealClock().now_utc)
    collector = server.know(project=project, gateway=gateway, keys=PlatformKeys(md5_key, aes_key, aes_iv))
    try:
        asyncio.run(_until_interrupted(server, collector, host=host, port=port, as_json=as_json))
    except OSError as error:
        raise click.ClickException(f"{host}:{port}: {error.strerror or error}") from error
    sys.exit(EXIT_INTERRUPTED)


async def _until_interrupted(
    server: MohurdServer, collector: Collector, *, host: str, port: int, as_json: bool
) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await server.start(host=host, port=port)
    _say(as_json=as_json, event="listening", host=host, port=server.port)
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(_tell(server, collector, as_json=as_json))
        await stop.wait()
        watch.cancel()
    await server.stop()
    _say(
        as_json=as_json,
        event="held",
        periods=len(collector.times()),
        values=len(collector.values),
        duplicates=collector.duplicates,
        contradictions=collector.contradictions,
        packets=dict(server.heard),
        wrong=dict(server.wrong),
    )


async def _tell(server: MohurdServer, collector: Collector, *, as_json: bool) -> None:
    """Says what has come since it last looked."""
    while True:
        await server.changed()
        while server.seen:
            packet = server.seen.popleft()
            _say(as_json=as_json, event="packet", saw=packet, online=server.online, periods=len(collector.times()))


def _say(*, as_json: bool, event: str, **facts: object) -> None:
    if as_json:
        click.echo(json.dumps({"schema": "platform/1", "event": event, **facts}, ensure_ascii=False))
    else:
        click.echo(f"{event} " + " ".join(f"{name}={value}" for name, value in facts.items()))
