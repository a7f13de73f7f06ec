"""A motor valve: it travels to its commanded position at constant speed."""


class Valve:
    """Position 0 (closed) to 1 (open).

    Args:
        travel_s: time for the whole stroke [s].
    """

    __slots__ = ("commanded_ratio", "position_ratio", "travel_s")

    def __init__(self, travel_s: float) -> None:
        self.travel_s = travel_s
        self.commanded_ratio = 0.0
        self.position_ratio = 0.0

    def step(self, step_s: float) -> None:
        """Moves the valve for one step."""
        reach_ratio = step_s / self.travel_s
        missing_ratio = self.commanded_ratio - self.position_ratio
        self.position_ratio += max(-reach_ratio, min(reach_ratio, missing_ratio))
