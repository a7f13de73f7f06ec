"""How much of a line's time its devices want: whether the periods asked for can be kept at all. Pure.

It reckons with the cheapest legal reads; what really happens on a line is counted there (`BusCounts`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.profile import Access, Profile
from drivers.read_plan import LineCost, read_plan, wants_of
from drivers.schedule import point_periods

SERIAL_TURNAROUND_S = 0.02
"""Usual for meters; 8 to 100 ms are met. Source: makers' figures collected in the project's notes on Modbus, 4."""
TCP_TURNAROUND_S = 0.005
SHARE_MAX = 0.9
"""Share of a line's time that polling may want: the rest is for commands, repeats and probes of dead units."""


@dataclass(frozen=True, slots=True)
class WireBudget:
    """What the devices of one line want of it.

    Attributes:
        shares: by device: seconds of bus time a second of wall time.
    """

    shares: Mapping[str, float]

    @property
    def share(self) -> float:
        """Seconds of bus time a second of wall time, all devices together."""
        return sum(self.shares.values())

    @property
    def fits(self) -> bool:
        """Whether the line can keep the periods, with room for commands and repeats."""
        return self.share <= SHARE_MAX

    @property
    def stretch(self) -> float:
        """By which factor the periods would have to be longer to fit; 1 when they do."""
        return max(1.0, self.share / SHARE_MAX)

    def dearest(self) -> list[tuple[str, float]]:
        """Devices and their shares, the greatest first."""
        return sorted(self.shares.items(), key=lambda entry: (-entry[1], entry[0]))


def line_cost(*, baud: int | None, framing: str = "8N1") -> LineCost:
    """What a read costs on a line as it is configured, with a usual turnaround.

    Args:
        baud: of a serial line; None: TCP.
        framing: data bits, parity, stop bits.
    """
    if baud is None:
        return LineCost.tcp(turnaround_s=TCP_TURNAROUND_S)
    bits = 1 + int(framing[0]) + (framing[1] != "N") + int(framing[2])
    return LineCost.serial(baud=baud, bits_per_character=bits, turnaround_s=SERIAL_TURNAROUND_S)


def device_share(profile: Profile, *, period_s: float, cost: LineCost) -> float:
    """Seconds of bus time that one device wants a second.

    Points with longer periods are read together with the faster ones whenever both are due: they cost the difference.

    Args:
        profile: its register map.
        period_s: of the device [s of wall time].
        cost: of a read on its line; the turnaround of the profile goes before the line's.
    """
    if profile.timing.turnaround_s is not None:
        cost = cost.paced(profile.timing.turnaround_s)
    periods_s = point_periods(profile, period_s=period_s)
    readable = {name: spec for name, spec in profile.points.items() if spec.access is not Access.WRITE}
    share = before_s = 0.0
    for own_s in sorted({periods_s[name] for name in readable}):
        due = [spec for name, spec in readable.items() if periods_s[name] <= own_s]
        reads = read_plan(wants_of(due), cost=cost, limits=profile.limits)
        round_s = sum(cost.price_s(read.span) for read in reads)
        share += (round_s - before_s) / own_s
        before_s = round_s
    return share
