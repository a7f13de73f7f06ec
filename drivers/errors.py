"""What can go wrong between a device and us, split by what the caller can do about it.

DriverError
├── RetryLater            the same call may succeed later
│   ├── NoAnswer          silence until the time-out; on a serial line the quarantine has been kept
│   ├── LineDown          the port or the connection is not there; it is being reopened
│   └── ProtocolFault     an answer came that is not the answer to this request: never a value
├── GiveUpPoint           this point, in this form, will not work: configuration or device must change
│   ├── DeviceRefused     Modbus exception answer (code in `.code`)
│   ├── CannotDecode      the registers do not hold a value of the stated type
│   └── WriteForbidden    the mode of the plant allows no write: no frame was sent
└── ProfileFault          a profile or device entry is wrong: the service must not start with it
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType


class DriverError(Exception):
    """Root of everything the drivers raise."""


class RetryLater(DriverError):
    """The same call may succeed later."""


class NoAnswer(RetryLater):
    """The device was silent until its time-out."""


class LineDown(RetryLater):
    """The serial port or the TCP connection is not there."""


class ProtocolFault(RetryLater):
    """An answer arrived that does not belong to the request, or is damaged."""


class GiveUpPoint(DriverError):
    """The point as configured will not work."""


class DeviceRefused(GiveUpPoint):
    """The device answered with a Modbus exception."""

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


class CannotDecode(GiveUpPoint):
    """Registers that hold no value of the stated type."""


class WriteForbidden(GiveUpPoint):
    """The mode of the plant allows no write; no frame was sent."""


class ProfileFault(DriverError):
    """A profile or a device entry that cannot be used.

    Attributes:
        at: path of keys to the faulty entry, for the reader that knows file and line.
        code: what kind of fault it is.
        why: stable code of the words in `edge_agent/texts`, more exact than `code`; empty: there are none.
        values: what the words name.
        others: further faults of the same file.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        at: tuple[str | int, ...] = (),
        why: str = "",
        values: Mapping[str, object] = MappingProxyType({}),
        others: Sequence["ProfileFault"] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.at = at
        self.why = why
        self.values = values
        self.others = tuple(others)
