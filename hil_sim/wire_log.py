"""What the simulated devices really put on the wires, and when: the truth against which every exported value is judged.

It knows no agent: device and quantity names are those of the simulator's own register maps.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True)
class WireLog:
    """Values served and frames seen, kept in memory for one run.

    Attributes:
        served: per (device, quantity): instants [simulated s since 1970] and the values that the registers held,
            decoded by the simulator itself into kW, kWh, degC, m3 ..., in the order of serving. None: an "invalid"
            mark was served.
        frames: number of requests per (device, function code).
        last_request_s: when each device was last asked [simulated s since 1970].
        asked_s: when each device was asked, every time [simulated s since 1970].
        held_s: when a device on a serial line was asked and kept the line waiting: it answered late, wrongly or not at
            all [simulated s since 1970].
        late: per device, the answers that left late: from and until when it took their values, and when they left, all
            [simulated s since 1970].
    """

    served: dict[tuple[str, str], tuple[list[float], list[float | None]]] = field(
        default_factory=lambda: defaultdict(lambda: ([], []))
    )
    frames: Counter[tuple[str, int]] = field(default_factory=Counter)
    last_request_s: dict[str, float] = field(default_factory=dict)
    keeps_values: bool = True
    asked_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    held_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    late: dict[str, list[tuple[float, float, float]]] = field(default_factory=lambda: defaultdict(list))

    def request(self, device: str, *, function: int, instant_s: float) -> None:
        """Notes a request frame that reached a device."""
        self.frames[device, function] += 1
        self.last_request_s[device] = instant_s
        self.asked_s[device].append(instant_s)

    def serve(self, device: str, quantity: str, *, instant_s: float, value: float | None) -> None:
        """Notes what an answer carried; called before its first byte leaves, so that no reader can have it earlier."""
        if not self.keeps_values:
            return
        instants_s, values = self.served[device, quantity]
        values.append(value)  # first the value: the line writes in its own thread, and a reader looks instants up
        instants_s.append(instant_s)

    def hold(self, device: str, *, instant_s: float) -> None:
        """Notes that a request keeps the line waiting."""
        self.held_s[device].append(instant_s)

    def postpone(self, device: str, *, begin_s: float, end_s: float, left_s: float) -> None:
        """Notes that the answer made between two instants [simulated s] leaves late, when [simulated s]."""
        self.late[device].append((begin_s, end_s, left_s))

    def left_s(self, device: str, taken_s: float) -> float:
        """When the answer left that carried what a device took at an instant [simulated s]; if it was late."""
        return next((left_s for begin_s, end_s, left_s in self.late[device] if begin_s <= taken_s <= end_s), taken_s)

    def latest(self, device: str, quantity: str, *, until_s: float) -> tuple[bool, float | None]:
        """(True, value) of the last answer served at or before an instant; (False, None) if there was none."""
        instants_s, values = self.served.get((device, quantity), ([], []))
        position = bisect_right(instants_s, until_s)
        return (True, values[position - 1]) if position else (False, None)

    def write_frames(self) -> int:
        """How many frames with a write function code (5, 6, 15, 16, 22, 23) were seen."""
        return sum(count for (_, function), count in list(self.frames.items()) if function in (5, 6, 15, 16, 22, 23))
