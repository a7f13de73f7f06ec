"""A temperature sensor in a pipe: true with flow, drifting to the room without."""

from hil_sim.plant.water import relaxation_ratio

ROOM_DEGC = 18.0
DRIFT_TAU_S = 7200.0
"""Time constant of a filled, insulated pipe at rest. Design assumption, 1-4 h."""


class PipeSensor:
    """What the sensor shows; a flow-dependent sensor without flow is not a reading."""

    __slots__ = ("degc",)

    def __init__(self, degc: float) -> None:
        self.degc = degc

    def step(self, step_s: float, water_degc: float, *, flowing: bool) -> None:
        """Follows the water, or drifts."""
        if flowing:
            self.degc = water_degc
        else:
            self.degc += (ROOM_DEGC - self.degc) * relaxation_ratio(step_s, DRIFT_TAU_S)
