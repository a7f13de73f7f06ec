"""What every verb shares: the options, the exit status, one JSON object on stdout, errors in the operator's language.

Exit status of the contract (`docs/`, command lines):

    0    ok
    1    finding or failed check. Also: the service that was asked is not running or does not answer, and a store that
         cannot be read. Neither is a device (3), the platform (4) or wrong usage (2): for whoever asks, it is a finding
    2    usage, or configuration that the verb needs cannot be loaded
    3    device unreachable
    4    platform or broker unreachable
    5    refused by an interlock or a mode
    130  interrupted
"""

import functools
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Concatenate, Literal, NoReturn, ParamSpec, TypeVar

import click
from typing_extensions import override

from drivers.errors import DeviceRefused, DriverError, LineDown, NoAnswer, ProtocolFault, RetryLater
from edge_agent.errors import ConfigurationFault, EdgeAgentError, RefusedByInterlock, RetryUplink, ServiceUnreachable

Language = Literal["zh", "en"]
Rest = ParamSpec("Rest")
Result = TypeVar("Result")


class Exit(IntEnum):
    """Exit status; the meaning is in the module's docstring."""

    OK = 0
    FINDING = 1
    USAGE = 2
    DEVICE = 3
    PLATFORM = 4
    REFUSED = 5
    INTERRUPTED = 130


class Finite(click.FloatRange):
    """A number within bounds; "nan" and "inf" are none, though Python reads them."""

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"应为数字 / needs a number, not {value}", param, ctx)
        return number


@dataclass(frozen=True, slots=True)
class Common:
    """The shared options as one value: every verb's first argument.

    Attributes:
        config: folder of the configuration.
        as_json: one JSON object on stdout and nothing else there.
        language: language of texts for people.
    """

    config: Path
    as_json: bool
    language: Language

    def say(self, zh: str, en: str) -> None:
        """Print a line for people, in their language; with --json nothing, stdout belongs to the object."""
        if not self.as_json:
            click.echo(self.pick(zh, en))

    def pick(self, zh: str, en: str) -> str:
        """Choose the text of the operator's language."""
        return zh if self.language == "zh" else en


def default_language() -> Language:
    """Chinese when LANG starts with zh, English otherwise."""
    return "zh" if os.environ.get("LANG", "").lower().startswith("zh") else "en"


def emit(schema: str, body: Mapping[str, object]) -> None:
    """Print one JSON object on stdout.

    Args:
        schema: name and version, e.g. `check/1`.
        body: the object's other members. NaN and infinity are refused: they are no JSON.
    """
    click.echo(json.dumps({"schema": schema, **body}, ensure_ascii=False, allow_nan=False))


def exit_status(fault: EdgeAgentError | DriverError) -> Exit:
    """Which exit status an error that nobody caught ends with."""
    if isinstance(fault, ConfigurationFault):
        return Exit.USAGE
    if isinstance(fault, RetryLater):
        return Exit.DEVICE
    if isinstance(fault, RetryUplink):
        return Exit.PLATFORM
    if isinstance(fault, RefusedByInterlock):
        return Exit.REFUSED
    return Exit.FINDING


def fail(common: Common, fault: EdgeAgentError | DriverError) -> NoReturn:
    """Say what went wrong on stderr (and as an object on stdout with --json) and end with its exit status."""
    findings = fault.findings if isinstance(fault, ConfigurationFault) else ()
    if findings:
        from edge_agent.settings.finding import Finding, render  # noqa: PLC0415 - only when there is something to print

        known = [finding for finding in findings if isinstance(finding, Finding)]
        for finding in known:
            click.echo(render(finding, common.language), err=True)
        errors = [finding.as_dict(common.language) for finding in known]
    else:
        refused = isinstance(fault, RefusedByInterlock)
        head = common.pick("拒绝", "refused") if refused else common.pick("错误", "error")
        click.echo(f"{head}: {_worded(common, fault)}", err=True)
        errors = []
    if common.as_json:
        body = {"ok": False, "error": type(fault).__name__, "message": str(fault), "errors": errors}
        if isinstance(fault, RefusedByInterlock):
            body |= {"message": common.pick(fault.zh, fault.en), "code": fault.code or None}
        emit(f"{_verb()}/1", body)
    sys.exit(exit_status(fault))


def _worded(common: Common, fault: EdgeAgentError | DriverError) -> str:
    """The fault's own text; one of a device with what it means and what to do in front."""
    if isinstance(fault, RefusedByInterlock):
        return common.pick(fault.zh, fault.en)
    if isinstance(fault, ServiceUnreachable) and fault.place is not None:
        return common.pick(
            f"服务没有运行({fault.place})。启动: systemctl start edge-agent",
            f"the service is not running ({fault.place}). Start it: systemctl start edge-agent",
        )
    kinds = {LineDown: "line_down", NoAnswer: "no_answer", ProtocolFault: "protocol", DeviceRefused: "refused"}
    code = kinds.get(type(fault)) if isinstance(fault, DriverError) else None
    if code is None:
        return str(fault)
    from edge_agent.texts.catalogue import text  # noqa: PLC0415 - only when there is something to print

    words = text(code)
    return common.pick(f"{words.zh},{words.hint_zh}({fault})", f"{words.en}: {words.hint_en} ({fault})")


def unreadable(common: Common, error: OSError) -> str:
    """Why a file that was named cannot be read."""
    if isinstance(error, FileNotFoundError):
        return common.pick("没有这个文件", "there is no such file")
    if isinstance(error, IsADirectoryError):
        return common.pick("是文件夹,不是文件", "a folder, not a file")
    if isinstance(error, PermissionError):
        return common.pick("没有读取权限", "may not be read")
    return common.pick(f"读不出来({error.strerror})", f"cannot be read ({error.strerror})")


def _verb() -> str:
    """The verb on the command line: the name below `edge-agent`, also inside a group such as `tariff`."""
    context = click.get_current_context()
    while context.parent is not None and context.parent.parent is not None:
        context = context.parent
    return context.info_name or "edge-agent"


def shared_options(verb: Callable[Concatenate[Common, Rest], Result]) -> Callable[..., Result]:
    """Give a verb --config, --json and --lang as one `Common`, and turn its errors into messages and exit status.

    Put it directly above the function, below `@click.command` and the verb's own options.
    """

    @click.option(
        "--config",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="EDGE_AGENT_CONFIG",
        default=Path("/etc/edge-agent"),
        show_default=True,
        help="配置文件夹 / folder of the configuration ($EDGE_AGENT_CONFIG).",
    )
    @click.option("--json", "as_json", is_flag=True, help="只输出一个 JSON 对象 / print one JSON object on stdout.")
    @click.option(
        "--lang", type=click.Choice(["zh", "en"]), default=default_language, help="语言 / language (from $LANG)."
    )
    @functools.wraps(verb)
    def wrapped(*args: Rest.args, **kwargs: Rest.kwargs) -> Result:
        options: dict[str, Any] = {name: kwargs.pop(name) for name in ("config", "as_json", "lang")}
        common = Common(config=options["config"], as_json=options["as_json"], language=options["lang"])
        try:
            return verb(common, *args, **kwargs)
        except (EdgeAgentError, DriverError) as fault:
            fail(common, fault)
        except KeyboardInterrupt:
            sys.exit(Exit.INTERRUPTED)

    return wrapped
