"""`hil-sim`: the simulated other end of every wire, on the command line. Thin: the work is done in `demo` and `site`.

Exit status: 0 ok; 1 an invariant broke, something was lost or wrong, or the scenario's expectations were missed;
2 usage; 4 broker not reachable; 130 interrupted.
"""

import asyncio
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, Self, TextIO

import click

from edge_agent.cli.common import Finite

if TYPE_CHECKING:
    from hil_sim.bench_play import BenchPlay
    from hil_sim.demo import Play
    from hil_sim.scenario import Scenario

Language = Literal["zh", "en"]

EXIT_FINDING: Final = 1
EXIT_USAGE: Final = 2
EXIT_BROKER: Final = 4
EXIT_INTERRUPTED: Final = 130
DEMO_SPEED: Final = 120.0
RUN_SPEED: Final = 240.0
SERVE_SPEED: Final = 1.0
DEMO_DAYS_MAX: Final = 7.0
"""A demo without --days ends by itself after so many: the wire log of the whole run is kept in memory."""
DEFAULT_SCENARIO: Final = "winter-day"
DEFAULT_PLANT: Final = "ground-office"
SEASON_FIRST: Final = "2025-11-15"
SEASON_LAST: Final = "2026-03-15"


def _language() -> Language:
    return "zh" if os.environ.get("LANG", "").lower().startswith("zh") else "en"


def _broker(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    host, separator, port = value.rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65_536:  # noqa: PLR2004 - ports
        raise click.BadParameter(f"{value!r}: 写成 主机:端口 / write HOST:PORT")
    return host, int(port)


def _shared(verb: Callable[..., None]) -> Callable[..., None]:
    """Gives a verb the options that all of them know."""
    for option in (
        click.option(
            "--lang", type=click.Choice(["zh", "en"]), default=_language, help="语言 / language (from $LANG)."
        ),
        click.option("--json", "as_json", is_flag=True, help="标准输出只有一个 JSON 对象 / one JSON object on stdout."),
    ):
        verb = option(verb)
    return verb


def _playing(verb: Callable[..., None]) -> Callable[..., None]:
    """Gives a verb the options of a run."""
    for option in (
        click.option("--keep", is_flag=True, help="保留运行文件夹 / leave the run folder there."),
        click.option("--broker", callback=_broker, metavar="HOST:PORT", help="使用别的 broker / use another broker."),
        click.option("--seed", type=click.IntRange(0), help="随机种子 / seed of weather, instruments, events."),
        click.option("--speed", type=Finite(0.01, 10_000.0), help="每秒仿真多少秒 / simulated s per s."),
        click.option("--days", type=Finite(0.01, 400.0), help="仿真多少天 / days to simulate."),
        click.option("--plant", help="电站 / plant; see `hil-sim list`."),
    ):
        verb = option(verb)
    return verb


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """仿真热泵站与城市平台 / a simulated heat-pump plant and city platform for the edge agent."""


@main.command()
@_shared
def list(*, as_json: bool, lang: Language) -> None:  # noqa: A001 - the verb's name
    """电站与场景 / plants and scenarios, each with one line."""
    from hil_sim.bench import BENCHES  # noqa: PLC0415 - heavy imports inside the verb that needs them
    from hil_sim.scenario import load, names  # noqa: PLC0415
    from hil_sim.site import PLANTS  # noqa: PLC0415

    plants = {**PLANTS, **{name: (bench.zh, bench.en) for name, bench in BENCHES.items()}}
    scenarios = [load(name) for name in names()]
    if as_json:
        _emit(
            "list",
            {
                "plants": [{"name": name, "zh": zh, "en": en} for name, (zh, en) in plants.items()],
                "scenarios": [
                    {
                        "name": scenario.name,
                        "plant": scenario.plant,
                        "days": scenario.days,
                        "speed_max": scenario.speed_max,
                        "zh": scenario.title_zh,
                        "en": scenario.title_en,
                    }
                    for scenario in scenarios
                ],
            },
        )
        return
    click.echo("电站" if lang == "zh" else "plants")
    for name, (zh, en) in plants.items():
        click.echo(f"  {name:<22} {zh if lang == 'zh' else en}")
    click.echo("场景" if lang == "zh" else "scenarios")
    for scenario in scenarios:
        click.echo(f"  {scenario.name:<22} {scenario.title_zh if lang == 'zh' else scenario.title_en}")


@main.command()
@click.option("--scenario", help=f"场景 / scenario; {DEFAULT_SCENARIO} by default.")
@_playing
@_shared
def demo(*, scenario: str | None, days: float | None, speed: float | None, **others: Any) -> None:  # noqa: ANN401 - click's
    """现场演示 / the main job, live; ends (Ctrl-C, --days) with the score."""
    _play("demo", scenario=scenario, days=DEMO_DAYS_MAX if days is None else days, speed=speed or DEMO_SPEED, **others)


@main.command()
@click.argument("scenario", required=False)
@_playing
@_shared
def run(*, scenario: str | None, days: float | None, speed: float | None, **others: Any) -> None:  # noqa: ANN401 - click's
    """运行一个场景并给出成绩 / play a scenario and print its score; exit 1 when anything was lost or wrong."""
    _play("run", scenario=scenario, days=days, speed=speed, **others)


def _play(
    verb: Literal["demo", "run"],
    *,
    scenario: str | None,
    plant: str | None,
    days: float | None,
    speed: float | None,
    seed: int | None,
    broker: tuple[str, int] | None,
    keep: bool,
    as_json: bool,
    lang: Language,
) -> NoReturn:
    from edge_agent.clock import elapsed_s  # noqa: PLC0415
    from hil_sim.bench import BENCHES  # noqa: PLC0415
    from hil_sim.demo import Options, Play, RunFailed  # noqa: PLC0415
    from hil_sim.show import Screen, render_score  # noqa: PLC0415
    from hil_sim.site import BrokerUnreachable, SiteFault  # noqa: PLC0415

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    chosen = _scenario(scenario, plant=plant).changed(days=days, seed=seed)
    speed = speed or min(RUN_SPEED, chosen.speed_max)
    if chosen.plant in BENCHES:
        _play_bench(verb, chosen, speed=speed, keep=keep, as_json=as_json, lang=lang)
    if speed > chosen.speed_max:
        click.echo(
            f"注意: 场景 {chosen.name} 只在 {chosen.speed_max:g}x 以下试过 / only tried up to {chosen.speed_max:g}x",
            err=True,
        )
    try:
        play = Play(Options(scenario=chosen, speed_ratio=speed, broker=broker, keep=keep, verb=verb), wall_s=elapsed_s)
    except SiteFault as fault:
        raise click.UsageError(str(fault)) from fault
    live = verb == "demo" and not as_json
    stream = sys.stdout if live else sys.stderr
    colour = stream.isatty() and not os.environ.get("NO_COLOR")
    show = _Show(
        play, stream=stream, picture=live and stream.isatty(), silent=not live and not stream.isatty(), lang=lang
    )
    try:
        with show:
            result = asyncio.run(_until_told(play, show))
    except BrokerUnreachable as fault:
        click.echo(str(fault), err=True)
        shutil.rmtree(play.folder, ignore_errors=True)
        sys.exit(EXIT_BROKER)
    except (RunFailed, KeyboardInterrupt) as fault:
        click.echo(f"{fault}\n{_folder_line(play.folder, lang)}".lstrip(), err=True)
        sys.exit(EXIT_FINDING if isinstance(fault, RunFailed) else EXIT_INTERRUPTED)
    except BaseException:
        click.echo(_folder_line(play.folder, lang), err=True)
        raise
    if as_json:
        _emit(verb, result)
    else:
        for line in render_score(
            result, Screen(columns=shutil.get_terminal_size().columns, colour=colour, language=lang)
        ):
            click.echo(line)
    if play.kept:
        click.echo(_folder_line(play.folder, lang), err=True)
    bad = result["failures"] or result["expectations_missed"]
    sys.exit(EXIT_INTERRUPTED if play.interrupted else EXIT_FINDING if bad else 0)


def _play_bench(
    verb: str, scenario: "Scenario", *, speed: float, keep: bool, as_json: bool, lang: Language
) -> NoReturn:
    """Plays a scenario of the field bus; it has no picture, only lines on stderr."""
    from edge_agent.clock import elapsed_s  # noqa: PLC0415
    from hil_sim.bench_play import BenchPlay, BenchRunFailed  # noqa: PLC0415
    from hil_sim.show import Screen, render_bus_score  # noqa: PLC0415
    from hil_sim.site import SiteFault  # noqa: PLC0415

    def tell(line: str) -> None:
        if sys.stderr.isatty() or not as_json:
            click.echo(line, err=True)

    try:
        play = BenchPlay(scenario, speed_ratio=speed, keep=keep, wall_s=elapsed_s, tell=tell)
    except SiteFault as fault:
        raise click.UsageError(str(fault)) from fault
    try:
        result = asyncio.run(_until_interrupted(play))
    except (BenchRunFailed, KeyboardInterrupt) as fault:
        click.echo(f"{fault}\n{_folder_line(play.folder, lang)}".lstrip(), err=True)
        sys.exit(EXIT_FINDING if isinstance(fault, BenchRunFailed) else EXIT_INTERRUPTED)
    if as_json:
        _emit(verb, result)
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        for line in render_bus_score(
            result, Screen(columns=shutil.get_terminal_size().columns, colour=colour, language=lang)
        ):
            click.echo(line)
    if play.kept:
        click.echo(_folder_line(play.folder, lang), err=True)
    bad = result["failures"] or result["expectations_missed"]
    sys.exit(EXIT_INTERRUPTED if play.interrupted else EXIT_FINDING if bad else 0)


async def _until_interrupted(play: "Play | BenchPlay") -> dict[str, object]:
    """Plays; the first Ctrl-C or TERM ends the run with its score, the second one at once."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    def told() -> None:
        if play.interrupted:
            task.cancel()
        play.interrupt()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told)
    try:
        return await play.run()
    except asyncio.CancelledError as cancelled:
        raise KeyboardInterrupt from cancelled


async def _until_told(play: "Play", show: "_Show") -> dict[str, object]:
    """Plays with its picture."""
    play.on_picture = show.draw
    return await _until_interrupted(play)


@main.command()
@click.option("--plant", default=DEFAULT_PLANT, show_default=True, help="电站 / plant.")
@click.option("--scenario", help="场景 / scenario: first instant and seed are taken from it.")
@click.option("--speed", type=Finite(0.0, 10_000.0), default=SERVE_SPEED, show_default=True)
@click.option("--broker", callback=_broker, metavar="HOST:PORT", help="使用别的 broker / use another broker.")
@click.option(
    "--write-config",
    type=click.Path(path_type=Path, file_okay=False),
    help="配置写到这里 / write a fitting configuration here.",
)
@_shared
def serve(
    *,
    plant: str,
    scenario: str | None,
    speed: float,
    broker: tuple[str, int] | None,
    write_config: Path | None,
    as_json: bool,
    lang: Language,
) -> None:
    """只有仿真一侧,直到中断 / the simulated side alone, until interrupted."""
    from edge_agent.clock import elapsed_s  # noqa: PLC0415
    from hil_sim.demo import serve as serve_site  # noqa: PLC0415
    from hil_sim.site import BrokerUnreachable, SiteFault  # noqa: PLC0415

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    chosen = _scenario(scenario, plant=plant)

    def ready(facts: Mapping[str, object]) -> None:
        if as_json:
            _emit("serve", facts)
            return
        for key, value in facts.items():
            shown = (
                ", ".join(f"{name} {place}" for name, place in value.items()) if isinstance(value, Mapping) else value
            )
            click.echo(f"{key:<8} {shown}")
        click.echo("Ctrl-C 结束" if lang == "zh" else "Ctrl-C ends")

    async def until_told() -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):  # also where a parent shell had Ctrl-C ignored
            loop.add_signal_handler(number, task.cancel)
        await serve_site(chosen, speed_ratio=speed, broker=broker, folder=write_config, wall_s=elapsed_s, ready=ready)

    try:
        with suppress(asyncio.CancelledError):
            asyncio.run(until_told())
    except SiteFault as fault:
        raise click.UsageError(str(fault)) from fault
    except BrokerUnreachable as fault:
        click.echo(str(fault), err=True)
        sys.exit(EXIT_BROKER)
    sys.exit(EXIT_INTERRUPTED)


@main.command()
@click.argument("models", nargs=-1, metavar="MODEL[:UNIT]...")
@click.option("--unit", type=click.IntRange(1, 247), default=1, show_default=True, help="首个从站地址 / first unit.")
@click.option("--tcp", "port", type=click.IntRange(0, 65_535), help="TCP 端口,0 任意 / TCP port, 0 any free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="在此地址监听 / listen here.")
@click.option("--pty", "link", type=click.Path(path_type=Path), help="伪终端的固定名称 / fixed name of the terminal.")
@click.option("--baud", type=click.IntRange(300, 921_600), default=9600, show_default=True, help="串口速率 / baud.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="随机种子 / seed.")
@_shared
def device(
    *,
    models: tuple[str, ...],
    unit: int,
    port: int | None,
    host: str,
    link: Path | None,
    baud: int,
    seed: int,
    as_json: bool,
    lang: Language,
) -> None:
    """单台仿真仪表,直到中断 / single simulated meters on a pseudo terminal or a TCP port, until interrupted."""
    from edge_agent.clock import RealClock, elapsed_s  # noqa: PLC0415
    from hil_sim.stand import Stand, StandFault, places  # noqa: PLC0415

    if port is not None and link is not None:
        raise click.UsageError("--tcp 与 --pty 只能选一个 / --tcp or --pty, not both")
    if not models:
        _list_models(as_json=as_json)
        return
    try:
        chosen = places(models, first_unit=unit)
    except StandFault as fault:
        raise click.UsageError(str(fault)) from fault
    clock = RealClock()
    stand = Stand(chosen, seed=seed, now_s=lambda: clock.now_utc().timestamp(), wall_s=elapsed_s)
    # Waited for and not handled: an event that a handler sets while this thread is about to wait for it locks both.
    ends = {signal.SIGINT, signal.SIGTERM}
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ends}  # a shell may have Ctrl-C ignored
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        if port is not None:
            stand.open_port(host, port)
        else:
            stand.open_line(baud=baud, link=link)
    except OSError as fault:
        _as_before(before)
        raise click.ClickException(str(fault)) from fault
    try:
        facts = stand.facts(host)
        if as_json:
            _emit("device", facts)
        else:
            _show_stand(facts, lang=lang)
        signal.sigwait(ends)
    finally:
        _as_before(before)
        stand.close()
    sys.exit(EXIT_INTERRUPTED)


@main.command("platform", add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def platform(*, words: tuple[str, ...]) -> None:
    """仿真市平台(TCP),直到中断 / a simulated city platform behind a TCP port, until interrupted."""
    from hil_sim.platform_verb import command  # noqa: PLC0415 - loads ciphers and an event loop

    command.main(args=[*words], prog_name="hil-sim platform", standalone_mode=True)


def _as_before(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers)


def _list_models(*, as_json: bool) -> None:
    from hil_sim.devices.catalogue import MODELS  # noqa: PLC0415

    if as_json:
        _emit("device", {"models": sorted(MODELS)})
        return
    for model in sorted(MODELS):
        click.echo(model)


def _show_stand(facts: Mapping[str, Any], *, lang: Language) -> None:
    where = facts["tcp"] or f"{facts['serial']}  {facts['baud']} 8N1"
    click.echo(f"{'接口' if lang == 'zh' else 'wire'}  {where}")
    for entry in facts["devices"]:
        click.echo(f"\n{entry['model']}  {'从站' if lang == 'zh' else 'unit'} {entry['unit']}")
        for point in entry["points"]:
            value = "-" if point["value"] is None else f"{point['value']:.10g}"
            place = f"{point['function']}/{point['address']}"
            click.echo(f"  {point['point']:<32} {place:>8} {point['type']:<8} {value:>12} {point['unit']}")
        if entry["points"]:
            click.echo(f"  {entry['points'][0]['mbpoll']}")
    click.echo("\nCtrl-C 结束" if lang == "zh" else "\nCtrl-C ends")
    sys.stdout.flush()


@main.command()
@click.option("--plant", default=DEFAULT_PLANT, show_default=True, help="电站 / plant.")
@click.option("--from", "first", metavar="DATE", default=SEASON_FIRST, show_default=True, help="第一天 / first day.")
@click.option("--to", "last", metavar="DATE", help=f"最后一天 (含) / last day, included. [{SEASON_LAST}]")
@click.option("--days", type=click.IntRange(1, 400), help="多少天,代替 --to / so many days, in place of --to.")
@click.option(
    "--strategy",
    type=click.Choice(["optimal", "rule", "no-plan", "no-storage"]),
    default="optimal",
    show_default=True,
    help="优化 / 规则 / 无计划 / 不蓄热 / who decides when heat is made.",
)
@click.option(
    "--forecast",
    type=click.Choice(["real", "perfect"]),
    default="real",
    show_default=True,
    help="产品自己的预测,或预知负荷、天气与电价 / the product's own, or load, weather and prices known.",
)
@click.option(
    "--replan-min", type=click.IntRange(15, 240), default=60, show_default=True, help="多久重新计划 / a new plan every."
)
@click.option(
    "--weather",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="室外温度文件,首行 start,outdoor_degc / outdoor air, first line start,outdoor_degc.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="随机种子 / seed.")
@click.option(
    "--limit",
    "limit_s",
    type=Finite(0.5, 600.0),
    help="每个计划的求解秒数 / seconds a plan; the site's if not given.",
)
@click.option(
    "--gap",
    "gap_ratio",
    type=Finite(0.0, 0.1),
    help="达到即停的间隙 / proven gap to stop at; the site's if not given.",
)
@click.option(
    "--load-ratio",
    type=Finite(0.2, 1.2),
    default=1.0,
    show_default=True,
    help="建筑与示范站的比例 / size of the building against the example plant's: how roomy the station is.",
)
@click.option(
    "--damped/--undamped",
    default=True,
    help="不衰减:每个新计划都照办,只用于比较 / undamped: every new plan is followed, to compare.",
)
@_shared
def season(
    *,
    plant: str,
    first: str,
    last: str | None,
    days: int | None,
    weather: Path | None,
    limit_s: float | None,
    gap_ratio: float | None,
    as_json: bool,
    lang: Language,
    **others: Any,  # noqa: ANN401 - click's
) -> None:
    """采暖季闭环仿真,无总线,假时钟 / closed loop through days of a season, in lockstep, no wires; the score."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # small matrices: threads cost more than they bring
        os.environ.setdefault(name, "1")
    from edge_agent.clock import elapsed_s  # noqa: PLC0415
    from hil_sim.closed_loop.season import Options, live  # noqa: PLC0415
    from hil_sim.closed_loop.weather_file import WeatherFileWrong  # noqa: PLC0415
    from hil_sim.closed_loop.words import day_line, lines  # noqa: PLC0415
    from hil_sim.score import failures  # noqa: PLC0415
    from hil_sim.show import Screen  # noqa: PLC0415
    from hil_sim.site import UNITS_OF  # noqa: PLC0415

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    if plant not in UNITS_OF:
        raise click.UsageError(f"没有这个电站 / there is no such plant: {plant!r} ({', '.join(UNITS_OF)})")
    begin = _day(first)
    if days is not None and last is not None:
        raise click.UsageError("--to 与 --days 只能选一个 / --to or --days, not both")
    end = begin + timedelta(days=days - 1) if days is not None else _day(last or SEASON_LAST)
    if end < begin:
        raise click.UsageError(f"--to {end} 早于 / is before --from {begin}")
    options = Options(plant, begin, end, weather_file=weather, limit_s=limit_s, gap_ratio=gap_ratio, **others)
    plain = Screen(columns=100, colour=False, language=lang)
    show_days = sys.stderr.isatty() or not as_json
    try:
        result = asyncio.run(
            live(
                options,
                elapsed_s=elapsed_s,
                told=lambda day: click.echo(day_line(day, plain), err=True) if show_days else None,
            )
        )
    except WeatherFileWrong as fault:
        raise click.UsageError(str(fault)) from fault
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    bad = failures(result, unknown=("samples_lost", "wrong_values", "records_lost", "record_values_wrong"))
    if as_json:
        _emit("season", {**result, "failures": bad})
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        for line in lines(result, Screen(columns=shutil.get_terminal_size().columns, colour=colour, language=lang)):
            click.echo(line)
    sys.exit(EXIT_FINDING if bad else 0)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"{text!r}: 写成 2026-01-12 / write a date as 2026-01-12") from error


def _scenario(name: str | None, *, plant: str | None) -> "Scenario":
    from hil_sim.scenario import ScenarioFault, load  # noqa: PLC0415
    from hil_sim.site import PLANTS  # noqa: PLC0415

    try:
        chosen = load(name or DEFAULT_SCENARIO)
    except ScenarioFault as fault:
        raise click.UsageError(str(fault)) from fault
    if name is None and plant is not None and plant in PLANTS:
        return replace(chosen, plant=plant)  # an undisturbed day of whatever plant
    if plant is not None and plant != chosen.plant:
        raise click.UsageError(
            f"场景 {chosen.name} 属于电站 / scenario belongs to plant {chosen.plant!r}, not {plant!r}"
        )
    return chosen


def _emit(verb: str, body: Mapping[str, object]) -> None:
    click.echo(json.dumps({"schema": f"{verb}/1", **body}, ensure_ascii=False, allow_nan=False))
    sys.stdout.flush()


def _folder_line(folder: Path, lang: Language) -> str:
    return f"运行文件夹: {folder}" if lang == "zh" else f"run folder: {folder}"


class _Show:
    """Writes the picture: a live screen on a terminal, a line for each simulated hour elsewhere, or nothing."""

    def __init__(self, play: "Play", *, stream: TextIO, picture: bool, silent: bool, lang: Language) -> None:
        self._play = play
        self._stream = stream
        self._picture = picture
        self._silent = silent
        self._lang = lang
        self._colour = stream.isatty() and not os.environ.get("NO_COLOR")
        self._hour: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        if self._picture:  # the other screen of the terminal, without a cursor: what was there comes back at the end
            self._stream.write("\x1b[?1049h\x1b[?25l")
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._picture:
            self._stream.write("\x1b[?25h\x1b[?1049l")
            self._stream.flush()

    def draw(self) -> None:
        """Draws what the run looks like now."""
        if self._silent:
            return
        from hil_sim.show import Screen, render, summary_line  # noqa: PLC0415

        size = shutil.get_terminal_size((100, 50))
        screen = Screen(columns=size.columns, colour=self._colour, language=self._lang)
        snapshot = self._play.snapshot()
        if self._picture:
            lines = render(snapshot, screen)[: size.lines]
            self._stream.write("\x1b[H" + "\x1b[K\n".join(lines) + "\x1b[K\x1b[J")
        else:
            hour = (snapshot.now.day, snapshot.now.hour)
            if hour == self._hour:
                return
            self._hour = hour
            self._stream.write(summary_line(snapshot, screen) + "\n")
        self._stream.flush()


if __name__ == "__main__":
    main()
