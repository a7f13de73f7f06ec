"""Finds and reads the dialect of an uplink: one that comes with the product or the plant's own, with options changed.

A plant's own `uplink/NAME.yaml` beside uplink.yaml stands before one of the product with the same name. What stands
under `options:` of the uplink replaces single options; what is wrong there is shown there, not in the dialect's file.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edge_agent.settings.dialect import Dialect
from edge_agent.settings.files import shipped_config
from edge_agent.settings.finding import Finding
from edge_agent.settings.form import validate
from edge_agent.settings.yaml_file import Document, Path_, read_document

FOLDER = "uplink"
"""Below the product's data and below the configuration folder."""
NESTING_MAX = 3
"""Options lie in sections: deeper ones replace what stands there."""


def dialect_paths(folder: Path | None) -> dict[str, Path]:
    """Every dialect that can be named, by name.

    Args:
        folder: configuration folder; None: only those that come with the product.
    """
    places = [shipped_config() / FOLDER, *([folder / FOLDER] if folder is not None else [])]
    return {path.stem: path for place in places for path in sorted(place.glob("*.yaml"))}


class _Changed:
    """A dialect's file with options of an uplink in it; each entry keeps the place where it stands."""

    def __init__(
        self, dialect: Document, options: Mapping[str, object], *, uplink: Document | None, below: Path_
    ) -> None:
        self.data: Mapping[str, object] = _merged(dialect.data, options)
        self.file = dialect.file
        self._dialect = dialect
        self._options = options
        self._uplink = uplink
        self._below = below

    def _placed(self, at: Path_) -> tuple[Document, Path_]:
        node: object = self._options
        for step in at:
            if not isinstance(node, Mapping) or step not in node:
                return self._dialect, at
            node = node[step]
        return (self._uplink, (*self._below, *at)) if self._uplink is not None and at else (self._dialect, at)

    def finding(self, code: str, at: Path_, **options: object) -> Finding:
        """A finding where the entry stands."""
        document, path = self._placed(at)
        return document.finding(code, path, **options)  # type: ignore[arg-type] # passed on

    def place(self, at: Path_, *, at_key: bool = False) -> tuple[int, int]:
        """Line and column where the entry stands."""
        document, path = self._placed(at)
        return document.place(path, at_key=at_key)

    def worded(self, *words: Any, **options: Any) -> Finding:  # noqa: ANN401 - passed on
        """A finding whose words are given; in the uplink's file where anything is changed."""
        return (self._uplink or self._dialect).worded(*words, **options)


def _merged(base: Mapping[str, object], changes: Mapping[str, object], depth: int = 0) -> dict[str, object]:
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and depth < NESTING_MAX:
            merged[key] = _merged(below, value, depth + 1)
        else:
            merged[key] = value
    return merged


def read_dialect(
    path: Path,
    *,
    file: str,
    options: Mapping[str, object],
    uplink: Document | None = None,
    below: Path_ = (),
) -> tuple[Dialect | None, list[Finding]]:
    """Reads a dialect with the options of one uplink.

    Args:
        path: the dialect's file.
        file: its name in findings.
        options: what the uplink changes.
        uplink: uplink.yaml, where they stand.
        below: path to them.
    """
    document, findings = read_document(path, file=file)
    if document is None:
        return None, findings
    changed = _Changed(document, options, uplink=uplink, below=below)
    dialect, faults = validate(Dialect, changed)
    return dialect, [*findings, *faults]


def shipped_dialect(name: str, options: Mapping[str, object] | None = None) -> Dialect:
    """A dialect that comes with the product, for tools and tests.

    Raises:
        ValueError: there is none of this name, or the options do not fit.
    """
    paths = dialect_paths(None)
    if name not in paths:
        raise ValueError(f"no dialect {name}; known: {', '.join(_known(paths))}")
    dialect, findings = read_dialect(paths[name], file=name, options=options or {})
    if dialect is None:
        raise ValueError("; ".join(finding.en for finding in findings))
    return dialect


def _known(paths: Mapping[str, Path]) -> Iterable[str]:
    return sorted(paths)
