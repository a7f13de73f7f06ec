"""Real units, chillers and drives of the simulator, commanded by their shipped profiles over TCP as a plant would.

What a profile says of locks, pulses, watchdogs, order, codes and bounds is obeyed, and each command is proven.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from ruamel.yaml import YAML

from drivers.bus.modbus_tcp import ModbusTcpBus
from drivers.catalogue import shipped
from drivers.device import Device
from drivers.profile_file import parse_profile
from drivers.writing import Reason
from edge_agent.clock import elapsed_s
from hil_sim.devices.catalogue import MODELS
from hil_sim.devices.server import DeviceServer
from hil_sim.devices.tcp import serve_tcp
from hil_sim.wire_log import WireLog

pytestmark = pytest.mark.system

INSTANT_UTC = datetime(2026, 1, 15, 8, tzinfo=UTC)
Step = tuple[str, float, Reason]
OK, BOUNDS = Reason.NONE, Reason.OUT_OF_BOUNDS
DAYS: dict[str, list[Step]] = {
    # unlocked by itself; off is a mode, and then no set-point is legal; the range follows the mode
    "eas_ech_r32_modular": [
        ("supply_setpoint", 45, Reason.NOT_NOW),
        ("mode_request", 2, OK),
        ("supply_setpoint", 45, OK),
        ("supply_setpoint", 12, BOUNDS),
        ("mode_request", 4, BOUNDS),
        ("mode_request", 1, OK),
        ("supply_setpoint", 7, OK),
        ("mode_request", 8, OK),
    ],
    # command and state stand in different registers; pump only is 8, and there is nothing between 1 and 8
    "york_yvag": [
        ("mode_request", 1, OK),
        ("heating_supply_setpoint", 45, OK),
        ("cooling_supply_setpoint", 3, BOUNDS),
        ("run_request", 1, OK),
        ("mode_request", 5, BOUNDS),
        ("run_request", 2, OK),
    ],
    # 37.2 would hand the set-point back to the panel
    "york_ylaa_ipu2": [
        ("mode_request", 1, OK),
        ("cooling_setpoint", 7, OK),
        ("cooling_setpoint", 37.2, BOUNDS),
        ("load_limit_stage", 2, OK),
        ("run_request", 1, OK),
        ("run_request", 0, OK),
    ],
    # a coil; what has no known scale or code is not written
    "trane_rthd_ch530_pic": [
        ("run_request", 1, OK),
        ("cooling_setpoint", 7, Reason.NOT_WRITABLE),
        ("mode_request", 1, Reason.NOT_WRITABLE),
        ("run_request", 0, OK),
    ],
    # nothing between two control words; parameters stay out of the EEPROM
    "danfoss_fc102": [
        ("bus_reference", 50, OK),
        ("control_word", 1148, OK),
        ("control_word", 1100, BOUNDS),
        ("param_write_to_eeprom", 1, BOUNDS),
        ("control_word", 1084, OK),
    ],
    "abb_acx580": [("reference_1", 50, OK), ("control_word", 1151, OK), ("control_word", 1150, OK)],
    "nibe_s_series": [("power_limit", 2.5, OK), ("power_limit", 2.6, OK), ("power_limit", 0.1, BOUNDS)],
    "idm_navigator": [("pv_surplus", 5, OK), ("dhw_trigger", 1, OK)],
    "lambda_eureka": [("excess_power_setpoint", 3.5, OK), ("buffer_setpoint", 40, OK), ("buffer_setpoint", 55, BOUNDS)],
    "lambda_eureka_1_1_3": [("excess_power_setpoint", 3.5, OK)],
}
START = {"eas_ech_r32_modular": {"mode_request": 8, "modbus_enable": 0}, "nibe_s_series": {"power_limit_enable": 0}}
"""What stands in the registers before; 0 elsewhere."""
WRITE_FUNCTIONS = {"lambda_eureka": {16}, "lambda_eureka_1_1_3": {16}, "nibe_s_series": {16}, "idm_navigator": {6, 16}}
WRITE_FUNCTIONS |= {"trane_rthd_ch530_pic": {5}}
FUNCTION_USUAL = {6}


class Unit:
    """One simulated unit: what stands in its registers, and every command that reached it, in order."""

    def __init__(self, model: str) -> None:
        self.truth = dict.fromkeys(MODELS[model].names(), 0.0) | START.get(model, {})
        self.commands: list[tuple[str, float]] = []
        self.log = WireLog()
        self.server = DeviceServer(
            model, 1, model, truth=self.truth.__getitem__, command=self.command, seed=3, now_s=lambda: 0.0, log=self.log
        )

    def command(self, quantity: str, value: float) -> None:
        self.truth[quantity] = value
        self.commands.append((quantity, round(value, 6)))
        if self.server.name == "york_yvag" and quantity == "run_request":
            self.truth["state"] = value


async def command(model: str, unit: Unit, waited: Callable[[float], None]) -> None:
    """Gives the commands of the model's day and compares each outcome."""
    profile = parse_profile(YAML().load(shipped()[model].read_text(encoding="utf-8")), name=model)
    server = serve_tcp([unit.server], "127.0.0.1", 0)
    bus = ModbusTcpBus("net", host="127.0.0.1", port=server.port, elapsed_s=elapsed_s, timeout_s=1.0)

    async def pause(duration_s: float) -> None:
        waited(duration_s)

    try:
        await bus.open()
        device = Device(
            "u",
            bus=bus,
            unit=1,
            profile=profile,
            period_s=10,
            now_utc=lambda: INSTANT_UTC,
            elapsed_s=elapsed_s,
            may_write=lambda: True,
        )
        device._writer._sleep = pause
        for point, value, reason in DAYS[model]:
            outcome = await device.write(point, value)
            assert outcome.reason == reason, (point, value, outcome)
            if reason is OK:
                assert outcome.verified
    finally:
        await bus.close()
        server.stop()


@pytest.mark.parametrize("model", sorted(DAYS))
async def test_a_unit_takes_what_its_profile_allows_and_nothing_else(model: str) -> None:
    unit, waits_s = Unit(model), list[float]()
    await command(model, unit, waits_s.append)
    commanded = [(point, value) for point, value, reason in DAYS[model] if reason is OK]
    if model == "nibe_s_series":
        commanded.remove(("power_limit", 2.6))  # within the deadband of 2.5: proven without a frame
    assert [entry for entry in unit.commands if entry in commanded] == commanded
    functions = {function for _, function in unit.log.frames if function in (5, 6, 15, 16)}
    assert functions == WRITE_FUNCTIONS.get(model, FUNCTION_USUAL)
    beyond = [entry for entry in unit.commands if entry not in commanded]
    if model == "eas_ech_r32_modular":
        assert unit.commands[0] == ("modbus_enable", 1), "unlocked before anything else"
        assert beyond == [("modbus_enable", 1)]
    elif model == "nibe_s_series":
        assert unit.commands == [("power_limit_enable", 1), ("power_limit", 2.5)]
        assert waits_s == [pytest.approx(10, abs=1)]
    elif model == "idm_navigator":
        assert unit.commands[-2:] == [("dhw_trigger", 1), ("dhw_trigger", 0)], "the pulse is ended by us"
        assert waits_s == [pytest.approx(60, abs=1)]
    else:
        assert beyond == []


def test_every_simulated_unit_that_can_be_commanded_is() -> None:
    for model in MODELS:
        if model not in shipped() or model.startswith("generic_"):
            continue
        profile = parse_profile(YAML().load(shipped()[model].read_text(encoding="utf-8")), name=model)
        if any(spec.write for spec in profile.points.values()):
            assert model in DAYS, model
