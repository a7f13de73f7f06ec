"""The bench of meters: what belongs together fits together, at every instant."""

import math

import pytest

from hil_sim.devices.catalogue import MODELS, asked_of_the_plant
from hil_sim.plant.bench import MeterBench
from hil_sim.plant.water import HEAT_CAPACITY_KJ_PER_KG_K, density_kg_per_m3

HEAT = frozenset({"flow", "heat_power", "supply_temperature", "return_temperature", "heat_total", "volume_total"})
PHASES = frozenset(f"{what}_{phase}" for phase in "abc" for what in ("voltage", "current"))
POWER = frozenset({"electric_power", "energy_total", "power_factor"}) | PHASES
START_S = 1.8e9


@pytest.fixture
def bench() -> MeterBench:
    return MeterBench(seed=3, start_s=START_S, devices={"hm": HEAT, "em": POWER, "hp": frozenset({"run_request"})})


@pytest.mark.parametrize("gone_s", [0.0, 13.0, 71.0, 4000.0])
def test_heat_is_flow_times_difference_and_totals_are_integrals(bench: MeterBench, gone_s: float) -> None:
    def now(name: str, device: str = "hm", later_s: float = 0.0) -> float:
        return bench.quantity(device, name, instant_s=START_S + gone_s + later_s)

    kg_per_s = now("flow") * density_kg_per_m3(now("return_temperature")) / 3600.0
    heat_kw = kg_per_s * HEAT_CAPACITY_KJ_PER_KG_K * (now("supply_temperature") - now("return_temperature"))
    assert now("heat_power") == pytest.approx(heat_kw, rel=0.01)
    for device, total, rate in (
        ("hm", "heat_total", "heat_power"),
        ("hm", "volume_total", "flow"),
        ("em", "energy_total", "electric_power"),
    ):
        grown = now(total, device, 0.5) - now(total, device, -0.5)
        assert grown * 3600.0 == pytest.approx(now(rate, device), rel=1e-3)
    watts = sum(now(f"voltage_{p}", "em") * now(f"current_{p}", "em") * now("power_factor", "em") for p in "abc")
    assert watts / 1000.0 == pytest.approx(now("electric_power", "em"))


def test_readings_move_between_two_polls(bench: MeterBench) -> None:
    for name in ("flow", "heat_power", "supply_temperature"):
        seen = {bench.quantity("hm", name, instant_s=START_S + 5.0 * turn) for turn in range(100)}
        assert len(seen) == 100


def test_a_command_reads_back_and_what_is_not_there_is_refused(bench: MeterBench) -> None:
    bench.command("hp", "run_request", 0.0)
    assert bench.quantity("hp", "run_request", instant_s=START_S) == 0.0
    with pytest.raises(KeyError):
        bench.command("hp", "heartbeat", 1.0)
    with pytest.raises(ValueError, match="the bench makes no 'colour'"):
        MeterBench(seed=1, start_s=START_S, devices={"x": frozenset({"colour"})})


@pytest.mark.parametrize("model", MODELS)
def test_every_model_can_stand_on_the_bench(model: str) -> None:
    names = asked_of_the_plant(model)
    bench = MeterBench(seed=1, start_s=0.0, devices={"dut": names})
    for name in names:
        assert math.isfinite(bench.quantity("dut", name, instant_s=100.0)), name
