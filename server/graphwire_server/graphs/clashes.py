"""Finds imports of a graph's file that would silently get another folder's module."""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from functools import lru_cache
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
    for name, line in _absolute_imports(source):
        meant = _module_file(folder, name)
        if meant is None or name in sys.stdlib_module_names:
            continue
        spec = top_level_spec(name)
        if spec is None or spec.origin is None or same_file(spec.origin, meant):
            continue
        if is_project_file(spec.origin, roots):
            lines = source.decode(errors="replace").splitlines()
            return Clash(name, line, lines[line - 1].strip(), meant, Path(spec.origin))
    return None


@lru_cache(maxsize=8)  # a file with many graphs is asked about once for each
def _absolute_imports(source: bytes) -> Sequence[tuple[str, int]]:
    """Returns the top-level names that are imported, each with its line."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()  # importing it says so better
    found: list[tuple[str, int]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name.partition(".")[0], node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.append((node.module.partition(".")[0], node.lineno))
    return found


def _module_file(folder: Path, name: str) -> Path | None:
    candidates = (folder / name / "__init__.py", folder / f"{name}.py")
    return next((file for file in candidates if file.is_file()), None)
