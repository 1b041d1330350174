"""Gives a graph's file the name of a module, and imports it once.

Checkpoints store the module and name of each type, so the name has to be the same after
a restart: it depends on where the file lies, never on the order of loading.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import structlog

_log = structlog.stdlib.get_logger("graphwire.graphs")


@dataclass(frozen=True, slots=True)
class ModulePlace:
    """Where a file stands among the modules.

    Attributes:
        name: Its natural dotted name; empty if its path can't be one.
        folder: The folder from which that name is imported.
        package: True if the file is part of a package (its folder has an __init__.py).
    """

    name: str
    folder: Path
    package: bool


def place_of(file: Path, root: Path) -> ModulePlace:
    """Returns the place of a file.

    In a package it is the package's dotted name, `src/agent/graph.py` → `agent.graph` if
    `src` has no __init__.py; else the path from the project's root, `src.agent.graph`.
    """
    if _is_package(file.parent) and "." not in file.stem:
        parts = [] if file.stem == "__init__" else [file.stem]
        folder = file.parent
        while _is_package(folder):
            parts.insert(0, folder.name)
            folder = folder.parent
        return ModulePlace(".".join(parts), folder, True)
    parts = list(file.relative_to(root).with_suffix("").parts) if file.is_relative_to(root) else []
    natural = all(part.isidentifier() for part in parts)
    return ModulePlace(".".join(parts) if natural else "", root, False)


def import_file(file: Path, root: Path) -> ModuleType:
    """Imports a file, or returns the module if something has imported it already.

    If its natural name belongs to something else (an installed module, or a namesake
    elsewhere in the project) it gets one with a checksum of its path.

    Raises:
        Exception: Whatever the file raises.
    """
    if (loaded := _loaded(file)) is not None:
        return loaded
    place = place_of(file, root)
    append_import_path(place.folder if place.package else file.parent)
    if place.name and _leads_to(place, file):
        return importlib.import_module(place.name)
    return _import_package_aliased(place, root) if place.package else _import_aliased(file, root)


def append_import_path(folder: Path) -> None:
    """Makes the modules in a folder importable, after everything that is so already.

    After, not before: a project's `types.py` or `email.py` must not take the place of the
    module that the server itself imports under that name.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()


def same_file(one: str | Path | None, other: Path) -> bool:
    """Tells whether two paths lead to the same existing file or folder."""
    try:
        return one is not None and os.path.samefile(one, other)
    except OSError:
        return False


def top_level_spec(name: str) -> importlib.machinery.ModuleSpec | None:
    """Returns what `import name` would find, without importing it; None if nothing."""
    try:
        return importlib.util.find_spec(name)
    except ValueError:  # in sys.modules without a spec, as __main__ may be
        return None


def _is_package(folder: Path) -> bool:
    return folder.name.isidentifier() and (folder / "__init__.py").is_file()


def _loaded(file: Path) -> ModuleType | None:
    file_name = file.name
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__dict__", {}).get("__file__")
        if (
            name != "__main__"
            and isinstance(origin, str)
            and origin.endswith(file_name)
            and os.path.basename(origin) == file_name
            and same_file(origin, file)
        ):
            return module
    return None


def _leads_to(place: ModulePlace, file: Path) -> bool:
    """Tells whether importing the natural name would import this file."""
    top, dot, _ = place.name.partition(".")
    spec = top_level_spec(top)
    if spec is None:
        return False
    if not dot:
        return same_file(spec.origin, file)
    # The top first: looking further down imports the packages on the way.
    locations = spec.submodule_search_locations or ()
    if not any(same_file(location, place.folder / top) for location in locations):
        return False
    found = importlib.util.find_spec(place.name)
    return found is not None and same_file(found.origin, file)


def _import_package_aliased(place: ModulePlace, root: Path) -> ModuleType:
    top, dot, rest = place.name.partition(".")
    folder = place.folder / top
    init = folder / "__init__.py"
    alias = _alias(top, init, root)
    taken_by = top_level_spec(top)
    _log.warning(
        "package_name_taken",
        package=str(folder),
        loaded_as=alias,
        taken_by=taken_by and (taken_by.origin or list(taken_by.submodule_search_locations or ())),
        hint=f"inside it, relative imports work; `import {top}` finds the other package",
    )
    if alias not in sys.modules:
        _execute(alias, init, [str(folder)])
    return importlib.import_module(alias + dot + rest)


def _import_aliased(file: Path, root: Path) -> ModuleType:
    return _execute(_alias(re.sub(r"\W", "_", file.stem), file, root), file, None)


def _alias(name: str, file: Path, root: Path) -> str:
    """Returns a name that only this file has: as stable as the layout of the project.

    The absolute path comes in only when another project in this process has taken the
    name that the path from the root gives.
    """
    relative = Path(os.path.relpath(file, root)).as_posix()
    alias = f"{name}_{zlib.crc32(relative.encode()):08x}"
    holder = sys.modules.get(alias)
    if holder is None or same_file(holder.__file__, file):
        return alias
    return f"{name}_{zlib.crc32(str(file).encode()):08x}"


def _execute(name: str, file: Path, locations: Sequence[str] | None) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        name, file, submodule_search_locations=None if locations is None else list(locations)
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} can't be imported as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
