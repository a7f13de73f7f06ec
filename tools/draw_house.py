"""Draws the house from the code: every room with its first docstring line, who imports whom (docs/architecture.md).

Usage: draw_house.py [--check]     (--check writes nothing and fails when the picture is not the code's)
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PICTURE = REPOSITORY / "docs" / "architecture.md"
BEGIN, END = "<!-- drawn by tools/draw_house.py: begin -->", "<!-- drawn by tools/draw_house.py: end -->"
PACKAGES = ("hil_sim", "edge_agent", "drivers", "scheduling")


def modules(package: str) -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every module of a package, packages' own `__init__` left out."""
    for file in sorted((REPOSITORY / package).rglob("*.py")):
        if file.name != "__init__.py":
            yield ".".join(file.relative_to(REPOSITORY).with_suffix("").parts), file


def sentence(file: Path) -> str:
    """First line of a module's docstring."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    return text.splitlines()[0] if text else ""


def room(module: str) -> str:
    """The room of a module: its package and the next name, e.g. edge_agent.control."""
    return ".".join(module.split(".")[:2])


def imported(file: Path) -> Iterator[str]:
    """Our own modules that a file imports, at the top or inside a function."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            names = [f"{node.module}.{alias.name}" for alias in node.names] if "." not in node.module else [node.module]
            yield from names
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in PACKAGES)


def rooms() -> list[str]:
    """The list of rooms, as Markdown."""
    lines: list[str] = []
    for package in PACKAGES:
        lines += [f"### `{package}/`", "", "| module | what lives here |", "|---|---|"]
        for name, file in modules(package):
            short = name.removeprefix(f"{package}.").replace(".", "/")
            lines.append(f"| `{short}` | {sentence(file)} |")
        lines.append("")
    return lines


def arrows() -> list[str]:
    """Who imports whom, room by room, as Markdown."""
    edges: dict[str, set[str]] = defaultdict(set)
    for package in PACKAGES:
        for name, file in modules(package):
            targets = {room(target) for target in imported(file)}
            edges[room(name)] |= targets - {room(name)}
    lines = ["### Who imports whom", "", "| room | knows |", "|---|---|"]
    lines += [
        f"| `{source}` | {', '.join(f'`{target}`' for target in sorted(targets)) or '-'} |"
        for source, targets in sorted(edges.items(), key=lambda item: (PACKAGES.index(item[0].split(".")[0]), item[0]))
    ]
    return [*lines, ""]


def main() -> int:
    """Writes the picture, or checks it."""
    text = PICTURE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    drawn = "\n".join([before + BEGIN, "", *rooms(), *arrows(), END]) + after
    if "--check" in sys.argv[1:]:
        if drawn != text:
            print("docs/architecture.md is not the code's: run `make picture`", file=sys.stderr)
            return 1
        return 0
    PICTURE.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
