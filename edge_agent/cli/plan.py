"""`edge-agent plan`: a plan from a PlanRequest file without any site, or the running service's present plan."""

import json
import os
import sys
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from zoneinfo import ZoneInfo

import click
from click.core import ParameterSource

from edge_agent.cli.common import Common, Exit, emit, shared_options, unreadable
from edge_agent.cli.solver_options import solver_options

if TYPE_CHECKING:
    from scheduling.errors import RequestFault
    from scheduling.plan import Plan
    from scheduling.request import PlanRequest

BROKEN_SAID = 5
"""So many broken rules are named."""
LIMIT_S = 10.0
GAP_SHARE = 0.001
TYPED = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


@click.command(help="制定蓄能与机组计划 / make a plan, from a request file or of the running service.")
@click.option(
    "--request", "request_file", type=click.Path(dir_okay=False, allow_dash=True), help="PlanRequest; - = stdin."
)
@click.option("--at", "made_at", help="计划时刻 / instant of making, UTC with Z (default: start of the grid).")
@click.option("--why", is_flag=True, help="说明理由 / print the reasons.")
@solver_options(limit_s=LIMIT_S, gap_share=GAP_SHARE)
@click.option(
    "--method",
    type=click.Choice(["auto", "milp", "rule"]),
    default="auto",
    show_default=True,
    help="优化 (auto, milp) 或常规规则 / the optimisation, or the rule.",
)
@click.option("--hint", "hint_file", type=click.Path(dir_okay=False), help="上一计划 / the last plan, to start from.")
@click.option("--progress", is_flag=True, help="每个更好的计划报告一行 / a line on stderr for each better plan.")
@shared_options
def command(
    common: Common,
    *,
    request_file: str | None,
    made_at: str | None,
    why: bool,
    limit_s: float,
    gap_share: float,
    method: str,
    hint_file: str | None,
    progress: bool,
) -> None:
    """Prints the plan; exit status 2 for a faulty document, 1 when no method gave a plan that keeps every rule."""
    if request_file is None:
        given = click.get_current_context().get_parameter_source
        asked = [
            name
            for name in ("made_at", "limit_s", "gap_share", "method", "hint_file", "progress")
            if given(name) in TYPED
        ]
        if asked:
            raise click.UsageError(
                "这些选项只与 --request 同用,服务自己定时重算 / only with --request; the service plans by itself"
            )
        _of_service(common, why=why)
        return
    made_utc = None if made_at is None else _instant(common, made_at)
    # The solver and its models are loaded here and nowhere before: `check` and `--help` must stay quick.
    from edge_agent.plan_in_time import plan_in_time  # noqa: PLC0415 - see above
    from scheduling.errors import NoPlan, RequestFault  # noqa: PLC0415 - see above
    from scheduling.explain import with_reasons  # noqa: PLC0415 - see above
    from scheduling.plan import read_plan  # noqa: PLC0415 - see above
    from scheduling.request import read_request  # noqa: PLC0415 - see above
    from scheduling.solve import Method  # noqa: PLC0415 - see above

    try:
        request = read_request(_read_json(common, request_file))
    except RequestFault as fault:
        _refuse(common, Exit.USAGE, _worded(common, request_file, fault), path=fault.path)
    try:
        hint = None if hint_file is None else read_plan(_read_json(common, hint_file))
    except RequestFault as fault:
        _refuse(common, Exit.USAGE, _worded(common, str(hint_file), fault), path=fault.path)
    chosen: dict[str, Method] = {"auto": "auto", "milp": "milp", "rule": "rule"}
    try:
        with _answer_alone_on_stdout():
            found = plan_in_time(
                request,
                limit_s=limit_s,
                gap_ratio=gap_share,
                method=chosen[method],
                hint=hint,
                offer=_say_better if progress else None,
            )
    except NoPlan:
        _refuse(common, Exit.FINDING, _impossible(common, request), path="$")
    plan = with_reasons(request, found.plan)
    if made_utc is not None:
        plan = plan.model_copy(update={"made_utc": made_utc})
    if common.as_json:
        click.echo(plan.to_json())
    else:
        _print(common, plan, zone=ZoneInfo(request.timezone), title=request.name, why=why)
    if found.late:
        # A solver that has not returned cannot be ended but with its process; the plan is delivered.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(Exit.OK)


@contextmanager
def _answer_alone_on_stdout() -> Iterator[None]:
    """Native solvers print where they like: meanwhile what goes to stdout comes out on stderr."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # closed by the caller
        yield
        return
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _worded(common: Common, file: str, fault: "RequestFault") -> str:
    return f"{file}: {fault.path}: {common.pick(fault.zh, fault.en)}"


def _say_better(plan: "Plan") -> None:
    """One line for a better plan, beside the answer on stdout."""
    click.echo(
        json.dumps({"s": plan.solve_seconds, "cost_cny": plan.objective_cny, "method": plan.method, "gap": plan.gap}),
        err=True,
    )


def _impossible(common: Common, request: "PlanRequest") -> str:
    """Which rules no plan of a request can keep, as a good operator's plan breaks them."""
    from scheduling.plan import check  # noqa: PLC0415 - heavy
    from scheduling.rule import plan_by_rule  # noqa: PLC0415 - heavy

    broken = check(request, plan_by_rule(request))
    zone, edges_s = ZoneInfo(request.timezone), request.grid.time_grid.edges_s
    seen: dict[tuple[str, str], str] = {}
    for violation in broken:
        begin = None if violation.step is None else request.grid.start_utc + timedelta(seconds=edges_s[violation.step])
        when = "" if begin is None else f"{begin.astimezone(zone):%m-%d %H:%M}"
        seen.setdefault((violation.rule, violation.name), common.pick(*violation.words(when=when)))
    said = list(seen.values())
    out = [
        common.pick(
            f"{unit.name} 正在运行,却不可用:已停的机组写 on: false, mode: null",
            f"{unit.name} is on and yet not available: of a unit that has stopped write on: false, mode: null",
        )
        for group in request.groups
        for unit in group.units
        if unit.on and not request.available(unit)[0]
    ]
    head = common.pick("没有能遵守全部规则的计划", "no plan keeps every rule")
    return "\n  ".join([f"{head}:", *out[:BROKEN_SAID], *said[:BROKEN_SAID]])


def _of_service(common: Common, *, why: bool) -> None:
    """The plan that the service follows now."""
    from edge_agent import local_api  # noqa: PLC0415 - only this form needs the service
    from edge_agent.settings.load import load_site  # noqa: PLC0415 - only to find the state folder
    from scheduling.plan import Plan  # noqa: PLC0415 - heavy

    site = load_site(common.config)
    answer = local_api.ask(site.storage_media.state_dir, "plan")
    document = answer.get("plan")
    if document is None:
        _refuse(common, Exit.FINDING, common.pick("服务还没有计划", "the service has no plan yet"), path="$")
    plan = Plan.model_validate(document, strict=False)
    if common.as_json:
        click.echo(plan.to_json())
    else:
        _print(common, plan, zone=ZoneInfo(site.site.timezone), title=site.site.name, why=why)


def _read(common: Common, name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        _refuse(common, Exit.USAGE, f"{name}: {unreadable(common, error)}", path="$")


def _read_json(common: Common, name: str) -> bytes:
    """A document that is JSON at least; the caller judges what it says."""
    content = _read(common, name).removeprefix(BOM_UTF8)  # some editors write one
    doubled = None
    try:
        doubled = next(_doubled(json.loads(content, object_pairs_hook=_Object)), None)
    except UnicodeDecodeError:
        _refuse(common, Exit.USAGE, f"{name}: {common.pick('不是 UTF-8', 'not UTF-8')}", path="$")
    except json.JSONDecodeError as error:
        line, column = error.lineno, error.colno
        words = common.pick(f"不是 JSON:第 {line} 行第 {column} 列", f"not JSON: line {line}, column {column}")
        _refuse(common, Exit.USAGE, f"{name}: {words}", path="$")
    except (RecursionError, ValueError):  # ValueError: a whole number of thousands of digits
        words = common.pick("嵌套过深或数字过长", "nested too deep, or a number too long")
        _refuse(common, Exit.USAGE, f"{name}: {words}", path="$")
    if doubled is not None:
        words = common.pick("这个键写了两次", "this key stands there twice")
        _refuse(common, Exit.USAGE, f"{name}: {doubled}: {words}", path=doubled)
    return content


class _Object(dict[str, object]):
    """A JSON object that remembers which key came twice, where a plain one would keep the last."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        keys = Counter(key for key, _ in pairs)
        self.twice = [key for key, count in keys.items() if count > 1]


def _doubled(value: object, path: str = "$") -> Iterator[str]:
    """JSON paths of keys that stand twice in their object."""
    if isinstance(value, _Object):
        for key in value.twice:
            yield f"{path}.{key}"
        for key, member in value.items():
            yield from _doubled(member, f"{path}.{key}")
    elif isinstance(value, list):
        for at, member in enumerate(value):
            yield from _doubled(member, f"{path}[{at}]")


def _instant(common: Common, text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.utcoffset() != timedelta(0):
        _refuse(
            common,
            Exit.USAGE,
            f"--at {text}: {common.pick('应为 UTC 时刻,如', 'needs an instant in UTC such as')} 2026-01-12T21:30:00Z",
            path="$",
        )
    return instant.astimezone(UTC)


def _refuse(common: Common, status: Exit, message: str, *, path: str) -> NoReturn:
    click.echo(f"{common.pick('错误', 'error')}: {message}", err=True)
    if common.as_json:
        emit("plan/1", {"ok": False, "message": message, "path": path})
    sys.exit(status)


def _print(common: Common, plan: "Plan", *, zone: ZoneInfo, title: str, why: bool) -> None:
    """The plan for people."""
    from edge_agent.cli.plan_show import PlanPrinter  # noqa: PLC0415 - only for people

    PlanPrinter(common, plan, zone=zone, title=title).show(why=why)
