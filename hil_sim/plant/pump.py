"""A pump of constant speed: a command, a run feedback, a flow, an electric power."""


class Pump:
    """On or off; the motor follows its command with the next step of the plant, then the flow stands at once.

    Args:
        flow_kg_per_s: flow while it runs, set by its circuit.
        running_kw: electric power while it runs.
    """

    __slots__ = ("commanded", "flow_kg_per_s", "running", "running_kw")

    def __init__(self, flow_kg_per_s: float, running_kw: float) -> None:
        self.flow_kg_per_s = flow_kg_per_s
        self.running_kw = running_kw
        self.commanded = False
        self.running = False

    @property
    def electric_kw(self) -> float:
        """Electric power now [kW]."""
        return self.running_kw if self.running else 0.0

    def step(self) -> None:
        """Lets the motor follow its command."""
        self.running = self.commanded
