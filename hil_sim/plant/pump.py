"""A pump of constant speed: a command, a motor, a run feedback, a flow, an electric power; and what can fail of it."""


class Pump:
    """On or off; the motor follows its command with the next step of the plant, then the flow stands at once.

    Args:
        flow_kg_per_s: flow while it runs, set by its circuit.
        running_kw: electric power while it runs.
    """

    __slots__ = ("blocked", "commanded", "dead", "feedback_lost", "flow_kg_per_s", "running", "running_kw")

    def __init__(self, flow_kg_per_s: float, running_kw: float) -> None:
        self.flow_kg_per_s = flow_kg_per_s
        self.running_kw = running_kw
        self.commanded = False
        self.running = False
        self.blocked = False
        """Fault: it turns and moves no water: a shut valve, a full strainer, a broken coupling."""
        self.dead = False
        """Fault, or no power: the motor does not follow its command."""
        self.feedback_lost = False
        """Fault: it runs, and its contact does not say so."""

    @property
    def flowing(self) -> bool:
        """Whether it moves water."""
        return self.running and not self.blocked

    @property
    def failed(self) -> bool:
        """Whether it would move water but for a fault of its own."""
        return self.commanded and (self.blocked or self.dead)

    @property
    def feedback(self) -> bool:
        """What its contact says."""
        return self.running and not self.feedback_lost

    @property
    def electric_kw(self) -> float:
        """Electric power now [kW]."""
        return self.running_kw if self.running else 0.0

    def step(self) -> None:
        """Lets the motor follow its command."""
        self.running = self.commanded and not self.dead
