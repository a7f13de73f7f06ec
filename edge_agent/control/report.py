"""What a cycle saw, wanted and did, in words for the operator. Data and words only; nothing is decided here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from edge_agent.control.actuation import Load
from edge_agent.control.command import Alarm, Because, Outcome
from edge_agent.control.memory import Phase, UnitMemory
from edge_agent.control.want import Step, Want

PHASE_WORDS: Mapping[Phase, tuple[str, str]] = {
    Phase.UNKNOWN: ("等待反馈", "waiting for feedback"),
    Phase.LOCAL: ("就地", "local"),
    Phase.TRIPPED: ("故障", "tripped"),
    Phase.OFF: ("停", "off"),
    Phase.PATH: ("阀门到位中", "valves moving"),
    Phase.SOURCE_PUMP: ("启源侧泵", "source pump starting"),
    Phase.USER_PUMP: ("启用户侧泵", "user pump starting"),
    Phase.FLOW: ("等待水流", "waiting for flow"),
    Phase.LEAD: ("水泵预运行", "pumps running ahead"),
    Phase.STARTING: ("启动中", "starting"),
    Phase.RUNNING: ("运行", "running"),
    Phase.STOPPING: ("停机中", "stopping"),
    Phase.OVERRUN: ("水泵延时", "pumps overrunning"),
}
MODE_WORDS: Mapping[str, tuple[str, str]] = {"direct": ("直供", "direct"), "charge": ("蓄热", "charge")}


@dataclass(frozen=True, slots=True)
class UnitReport:
    """A unit: phase, its mode while it has one, what a wished start waits for; what it is told and gives."""

    phase: Phase
    mode: str | None
    zh: str
    en: str
    waiting: tuple[str, ...] = ()
    load: Load | None = None


@dataclass(frozen=True, slots=True)
class CycleReport:
    """What a cycle saw, wanted and did.

    Attributes:
        instant_utc: when.
        outcomes: commands of this cycle that were written, advised or refused.
        units: each unit in words.
        operating_mode: code of the hydraulic mode: standby, or a key of the site's `operating_modes`.
        operating_words: the same in Chinese and English.
        setpoints_degc: supply temperature aimed at, by loop.
        wants: what dispatch wants of each unit; empty in monitor.
        because: plan or rule, by loop.
        notes: codes of what is done beyond the plan.
        alarms: what is wrong.
        storage_kwh: usable heat of each tank; None if not known.
        holding: nothing new is commanded, because too much is unknown.
        replan: the plant has been off its plan for long: a new one is worth asking for.
        settled: all has been read since the start, or the time for that is over: what is not wrong now is over.
    """

    instant_utc: datetime
    outcomes: tuple[Outcome, ...] = ()
    units: Mapping[str, UnitReport] = field(default_factory=dict)
    operating_mode: str = "standby"
    operating_words: tuple[str, str] = ("待机", "standby")
    setpoints_degc: Mapping[str, float] = field(default_factory=dict)
    wants: Mapping[str, Want] = field(default_factory=dict)
    because: Mapping[str, Because] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    storage_kwh: Mapping[str, float | None] = field(default_factory=dict)
    holding: bool = False
    replan: bool = False
    settled: bool = True


def unit_words(memory: UnitMemory, taken: Step | None, load: Load | None = None) -> UnitReport:
    """A unit in words.

    Args:
        memory: of the unit.
        taken: its step of this cycle; None when it took none.
        load: what it is told and gives.
    """
    zh, en = PHASE_WORDS[memory.phase]
    mode_zh, mode_en = MODE_WORDS.get(memory.mode or "", ("", ""))
    return UnitReport(
        phase=memory.phase,
        mode=memory.mode,
        zh=f"{zh} {mode_zh}".strip(),
        en=f"{en} {mode_en}".strip(),
        waiting=taken.waiting if taken is not None else (),
        load=load,
    )
