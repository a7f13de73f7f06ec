"""The house itself: whose package names these are, and whether every number says its unit."""

import ast
import importlib
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("edge_agent", "drivers", "scheduling", "hil_sim")

# A name that holds a float ends in its unit, its qualifier (`_max`) last. These are what the house uses, no more.
UNITS = """
    s seconds min minutes h hour hours day days us ms kw kwh w degc k kpa pa m m2 m3 l kg t cny ratio factor share
    fraction pct percent count hz a v va kva deg cop exponent per_h per_s per_k per_kg per_kw per_kwh per_m per_m2
    per_m3 per_month per_day per_unit per_k_n mb kj bits
""".split()
QUALIFIERS = """
    max min mean total now rated nominal so_far target start end limit before after design wanted last first floor
    median residual relative high low
""".split()
# Numbers whose unit is that of the thing they belong to (a point, a column of a model, a pure factor).
PLAIN = """
    value values raw scale wrote read_back old x y seed minimum maximum first last mean wanted step tolerance position
    amount upper lower cost sign default keep most above up_from number shift other bound before max deadband reset safe
    rate_max rolls_over_at correction expected
""".split()
# Keys that the configuration and command-line contracts spell without a unit.
CONTRACT = """
    speed speed_max sharp peak flat valley deep_valley minutes_in_state cny_per_kw_month energy_residual_relative
    demand_cny_per_kw_month capacity_cny_per_kva_month
""".split()


@pytest.mark.parametrize("package", PACKAGES)
def test_package_name_belongs_only_to_us(package: str) -> None:
    """A foreign wheel that ships `drivers/` would silently overwrite ours."""
    module = importlib.import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve().parent == REPOSITORY / package
    owners = importlib.metadata.packages_distributions().get(package, [])
    assert set(owners) <= {"heat-pump-edge-agent"}, f"{package} is also shipped by {owners}"


def _says_unit(name: str) -> bool:
    name = name.lstrip("_").lower()
    while not any(name == unit or name.endswith(f"_{unit}") for unit in UNITS):
        if name in PLAIN or name in CONTRACT:
            return True
        shorter = re.sub(rf"_({'|'.join(QUALIFIERS)})$", "", name)
        if shorter == name:
            return False
        name = shorter
    return True


def _is_float(annotation: ast.expr | None) -> bool:
    return annotation is not None and ast.unparse(annotation) in {"float", "float | None"}


def _float_names(tree: ast.Module) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            found += [(item.lineno, item.arg) for item in arguments if _is_float(item.annotation)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and _is_float(node.annotation):
            found.append((node.lineno, node.target.id))
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_every_float_argument_and_field_says_its_unit(package: str) -> None:
    bare = [
        f"{file.relative_to(REPOSITORY)}:{line} {name}"
        for file in sorted((REPOSITORY / package).rglob("*.py"))
        for line, name in _float_names(ast.parse(file.read_text(encoding="utf-8")))
        if not _says_unit(name)
    ]
    assert not bare, "names without a unit:\n" + "\n".join(bare)


def test_the_picture_of_the_house_is_the_code() -> None:
    """docs/architecture.md lists every room as it is; `make picture` draws it anew."""
    command = [sys.executable, REPOSITORY / "tools" / "draw_house.py", "--check"]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
