"""What can go wrong in the service, split by what the caller can do about it.

EdgeAgentError
├── ConfigurationFault    a file must be mended before the service starts
├── ServiceUnreachable    no service is running here, or it does not answer on its socket
├── StoreFault            the disk or the database refuses; nothing counts as accepted
├── RetryUplink           the platform or the broker is not reachable now; records stay in the outbox
└── RefusedByInterlock    a mode, a guard or a missing signature forbids it (exit status 5)
"""


class EdgeAgentError(Exception):
    """Root of everything the service raises."""


class ConfigurationFault(EdgeAgentError):
    """Configuration that cannot be used; `findings` name file, line and column."""

    def __init__(self, message: str, *, findings: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.findings = findings


class ServiceUnreachable(EdgeAgentError):
    """The running service cannot be asked.

    Attributes:
        place: the socket on which nobody answers.
    """

    def __init__(self, message: str, *, place: str | None = None) -> None:
        super().__init__(message)
        self.place = place


class StoreFault(EdgeAgentError):
    """The store cannot keep its promise."""


class RetryUplink(EdgeAgentError):
    """The link to the platform is down; try again later."""


class RefusedByInterlock(EdgeAgentError):
    """Not allowed now; the message gives the reason in words.

    Attributes:
        code: of `edge_agent/texts`; empty if there is none.
        zh, en: the reason and what to do, in each language; the whole message if nobody has worded it.
    """

    def __init__(self, message: str, *, code: str = "", zh: str = "", en: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.zh = zh or message
        self.en = en or message
