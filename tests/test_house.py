"""The house itself: whose package names these are, and whether every number says its unit."""

import ast
import importlib
import importlib.metadata
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("edge_agent", "drivers", "scheduling", "hil_sim")

# A name that holds a float ends in its unit, its qualifier (`_max`) last. These are what the house uses, no more.
UNITS = """
    s min minutes h hours day days us ms kw kwh w degc k kpa pa m m2 m3 l kg t cny ratio factor share pct count hz a v
    va kva deg per_h per_s per_k per_kg per_kw per_kwh per_m per_m2 per_m3 per_month per_day fraction mb kj
""".split()
QUALIFIERS = """
    max min mean total now rated nominal so_far target start end limit before after design wanted last first floor
    median residual high low
""".split()
# Names that need no unit: their type or meaning is the unit.
PLAIN = set("value values raw scale wrote read_back old x y seed minimum maximum first last mean wanted".split())


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
    if name in PLAIN:
        return True
    for qualifier in QUALIFIERS:
        name = re.sub(rf"_{qualifier}$", "", name)
    return any(name == unit or name.endswith(f"_{unit}") for unit in UNITS)


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
