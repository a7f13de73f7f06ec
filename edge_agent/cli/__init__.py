"""The command line `edge-agent`: one file a verb, each loaded only when it is asked for.

`edge-agent --help` prints the table below and imports no verb, so that help answers at once and never pulls in the
solver or a bus library.
"""

import importlib
import importlib.util
import os
from collections.abc import Mapping
from types import MappingProxyType

import click
from typing_extensions import override

from edge_agent.cli.common import Exit, default_language

# Our matrices are small: a second thread of the linear algebra only spins, three times slower on a busy machine
# (forecast of a day on two cores with ten processes: 0.5 s with two threads, 0.17 s with one). Read when numpy loads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Verb -> what it does (zh, en). The order is that of the help page: service, files, bus, money, proof.
VERBS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "run": ("运行服务 (systemd 启动的就是它)", "run the service (what systemd starts)"),
        "status": ("正在运行的服务在做什么", "what the running service is doing"),
        "mode": ("切换运行方式: monitor / advise / auto", "change the mode: monitor / advise / auto"),
        "override": ("人工指令: 蓄热、不蓄不放、停机、解除", "an operator's order: charge, hold, stop, release"),
        "release": ("停用的机组查明原因后再用", "let a locked-out unit be tried again"),
        "init": ("写出一套带注释的配置", "write a commented configuration"),
        "check": ("检查全部配置文件", "check all configuration files"),
        "schema": ("输出配置文件的 JSON Schema", "print the JSON Schema of a file"),
        "read": ("读取设备或测点的当前值", "read devices or points now"),
        "scan": ("查找总线上的设备", "find the units on a bus"),
        "probe": ("按表计显示值核对寄存器", "find a register by the value on the meter's screen"),
        "bus": ("总线轮询能力与实测", "what polling costs on each bus"),
        "prove": ("现场验证一条指令", "prove one command, attended"),
        "tariff": ("查看电价时段和价格", "show bands and prices"),
        "plan": ("制定蓄能与机组计划", "make a plan"),
        "backtest": ("用历史数据回算计划的效益", "replay stored days: plan against rule and no storage"),
        "upload": ("上传情况: 应传、已确认、积压", "uploads: due, acknowledged, backlog"),
        "export": ("导出原始采样", "export raw samples"),
        "audit": ("指令审计: 谁、为何、改了什么、结果", "who commanded what, why, and what became of it"),
    }
)


def _module(verb: str) -> str:
    return f"edge_agent.cli.{verb}"


class LazyGroup(click.Group):
    """A group that imports a verb's module (its attribute `command`) only when the verb is called."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the verbs whose module is there."""
        return [verb for verb in VERBS if importlib.util.find_spec(_module(verb)) is not None]

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one verb, or None when there is no such verb."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(_module(cmd_name)).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{_module(cmd_name)}.command is no click command: {command!r}")
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the verbs from the table, importing none of them."""
        language = default_language()
        verbs = self.list_commands(ctx)
        if not verbs:
            return
        with formatter.section("命令" if language == "zh" else "Verbs"):
            formatter.write_dl([(verb, VERBS[verb][0 if language == "zh" else 1]) for verb in verbs])

    @override
    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; Ctrl-C while a verb is still being loaded ends with status 130 as well."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(Exit.INTERRUPTED)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="heat-pump-edge-agent", prog_name="edge-agent")
def main() -> None:
    """热泵机房边缘控制器 / edge controller for heat-pump plants.

    只有 run、prove 和 override 会使设备被写入 / only `run`, `prove` and `override` may lead to a write on a device.
    """
