"""What can go wrong in planning, split by what the caller can do about it.

SchedulingError
├── RequestFault      a PlanRequest or Plan document that cannot be used; `.path` is its JSON path (mend the document)
├── TariffFault       a tariff file that cannot be used; `.at` is the key path in the file (mend the file)
├── SolverFault       the solver failed or found nothing in its time: the ladder takes the next method
└── NoPlan            even the rule plan broke a rule: keep the last safe state and say why
"""


class SchedulingError(Exception):
    """Root of everything the planner raises."""


class RequestFault(SchedulingError):
    """A document that is not a PlanRequest or Plan of the agreed form.

    Attributes:
        path: JSON path of the fault, such as `$.groups[0].modes[1].curve`.
        zh: what is wrong there, and how to mend it, in Chinese.
        en: the same in English.
    """

    def __init__(self, path: str, zh: str, en: str) -> None:
        super().__init__(f"{path}: {zh} / {en}")
        self.path = path
        self.zh = zh
        self.en = en


class TariffFault(SchedulingError):
    """A tariff that cannot be used.

    Attributes:
        code: stable code of the fault.
        zh: what is wrong, in Chinese.
        en: the same in English.
        at: path of keys to the faulty entry, for the reader that knows file and line.
    """

    def __init__(self, code: str, zh: str, *, en: str, at: tuple[str | int, ...] = ()) -> None:
        super().__init__(f"{zh} / {en}")
        self.code = code
        self.zh = zh
        self.en = en
        self.at = at


class SolverFault(SchedulingError):
    """The solver gave nothing that can be used."""


class NoPlan(SchedulingError):
    """No method gave a plan that keeps every rule; the message lists the first broken rules."""
