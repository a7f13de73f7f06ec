"""A motor valve: it travels to its commanded position at constant speed; it can stick."""


class Valve:
    """Position 0 (closed) to 1 (open).

    Args:
        travel_s: time for the whole stroke [s].
    """

    __slots__ = ("commanded_ratio", "jammed_ratio", "position_ratio", "powered", "travel_s")

    def __init__(self, travel_s: float) -> None:
        self.travel_s = travel_s
        self.commanded_ratio = 0.0
        self.position_ratio = 0.0
        self.powered = True
        """Without power the drive stays where it is."""
        self.jammed_ratio: float | None = None
        """Fault: it sticks as soon as it comes to this position."""

    def step(self, step_s: float) -> None:
        """Moves the valve for one step."""
        if not self.powered or self.position_ratio == self.jammed_ratio:
            return
        reach_ratio = step_s / self.travel_s
        missing_ratio = self.commanded_ratio - self.position_ratio
        target_ratio = self.position_ratio + max(-reach_ratio, min(reach_ratio, missing_ratio))
        jam = self.jammed_ratio
        if jam is not None and min(self.position_ratio, target_ratio) <= jam <= max(self.position_ratio, target_ratio):
            target_ratio = jam
        self.position_ratio = target_ratio
