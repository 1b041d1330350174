"""Finds imports of a graph's file that would silently get another folder's module."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from graphwire_server.graphs.modules import same_file, top_level_spec
from graphwire_server.graphs.sources import is_project_file


class Clash(NamedTuple):
    """An import that finds the wrong one of two modules of the same name.

    Attributes:
        name: The name that is imported.
        line: The line of the import, from 1.
        source: The text of that line.
        meant: The file beside the importing one.
        found: The file of the project that Python would take instead.
    """

    name: str
    line: int
    source: str
    meant: Path
    found: Path


def find_clash(file: Path, folder: Path, roots: Sequence[Path]) -> Clash | None:
    """Returns the first import in `file` that means a module in `folder` and misses it.

    Only other modules of the project count: that an installed package or the standard
    library comes first is how a project on an import path always works.
    """
    source = file.read_bytes()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None  # importing it says so better
    lines = source.decode(errors="replace").splitlines()
    for name, line in _absolute_imports(tree):
        meant = _module_file(folder, name)
        if meant is None or name in sys.stdlib_module_names:
            continue
        spec = top_level_spec(name)
        if spec is None or spec.origin is None or same_file(spec.origin, meant):
            continue
        if is_project_file(spec.origin, roots):
            return Clash(name, line, lines[line - 1].strip(), meant, Path(spec.origin))
    return None


def _absolute_imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yields the top-level names that are imported, each with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0], node.lineno


def _module_file(folder: Path, name: str) -> Path | None:
    candidates = (folder / name / "__init__.py", folder / f"{name}.py")
    return next((file for file in candidates if file.is_file()), None)
