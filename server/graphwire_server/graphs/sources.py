"""Which code is the project's own."""

from __future__ import annotations

import sysconfig
from collections.abc import Sequence
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_STANDARD = tuple({Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")})
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def is_project_file(filename: str, roots: Sequence[Path]) -> bool:
    """Tells whether a frame's file lies in `roots` and was not installed there.

    A project may well hold its own virtual environment, or be this server's own clone.
    """
    path = Path(filename)
    return (
        any(path.is_relative_to(root) for root in roots)
        and not _INSTALLED.intersection(path.parts)
        and not path.is_relative_to(_PACKAGE)
        and not is_standard_file(filename)
    )


def is_standard_file(filename: str) -> bool:
    """Tells whether a frame's file is the interpreter's own: standard library or frozen."""
    path = Path(filename)
    return filename.startswith("<frozen ") or (
        any(path.is_relative_to(folder) for folder in _STANDARD)
        and not _INSTALLED.intersection(path.parts)
    )


def display_path(filename: str | Path, root: Path) -> str:
    """Returns a path as people name it: from the project's root if it lies in there."""
    path = Path(filename)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
