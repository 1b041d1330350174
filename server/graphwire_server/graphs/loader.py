"""Applies a project to the process, and imports what its graphs name.

Nothing here imports langgraph; that is left to the project and to the registry.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import os
import re
from pathlib import Path
from types import ModuleType

from graphwire_server.graphs.clashes import find_clash
from graphwire_server.graphs.load_errors import GraphLoadError, load_error
from graphwire_server.graphs.modules import (
    append_import_path,
    import_file,
    place_of,
    top_level_spec,
)
from graphwire_server.graphs.project import GraphSpec, Project
from graphwire_server.graphs.sources import display_path

_MISSING = object()


def prepare(project: Project) -> tuple[str, ...]:
    """Sets the environment and the import path of this process for a project.

    A variable that is set already keeps its value. The import path gets the project's
    root, each local dependency, and the `src` folder of a dependency that has one.

    Returns:
        What will probably go wrong, a sentence each: an `env` file that is not there,
        dependencies that are not installed.
    """
    for name, value in project.env.items():
        os.environ.setdefault(name, value)
    for folder in project.source_roots:
        append_import_path(folder)
        if _has_src_layout(folder):
            append_import_path(folder / "src")
    warnings = []
    if project.env_file is not None and not os.path.exists(project.env_file):
        warnings.append(
            f"env: there is no file {display_path(project.env_file, project.root)}, "
            "so it sets nothing"
        )
    warnings.extend(
        f'dependencies: "{requirement}" is not installed in the environment of this server'
        for requirement in project.distributions
        if not _is_installed(requirement)
    )
    return tuple(warnings)


def load_object(project: Project, spec: GraphSpec) -> object:
    """Returns the object that a graph's entry names. The project has to be prepared.

    A file is executed once, whatever the number of graphs in it.

    Raises:
        GraphLoadError: It can't be imported, or has no such name.
    """
    try:
        module = _import(project, spec)
        value = getattr(module, spec.symbol, _MISSING)
    except GraphLoadError:
        raise
    except (Exception, SystemExit) as error:
        raise load_error(project, spec, error, hint=_hint(spec, error)) from error
    if value is _MISSING:
        raise GraphLoadError(
            spec.name,
            _missing_symbol(module, spec.symbol),
            file=_file_of(project, module, spec),
            label=spec.label,
        )
    return value


def _import(project: Project, spec: GraphSpec) -> ModuleType:
    if spec.file is None:
        return importlib.import_module(spec.target)
    place = place_of(spec.file, project.root)
    folder = place.folder if place.package else spec.file.parent
    append_import_path(folder)
    if (clash := find_clash(spec.file, folder, project.source_roots)) is not None:
        meant, found = (display_path(path, project.root) for path in (clash.meant, clash.found))
        raise GraphLoadError(
            spec.name,
            f"`{clash.name}` is {found} in this process, not {meant}; rename one of them, or "
            "make the folders packages (an __init__.py in each) and import relatively",
            file=display_path(spec.file, project.root),
            line=clash.line,
            source=clash.source,
            label=spec.label,
        )
    return import_file(spec.file, project.root)


def _has_src_layout(folder: Path) -> bool:
    """Tells whether installing the folder would make what is in its `src` importable."""
    src = folder / "src"
    return (
        src.is_dir()
        and not (src / "__init__.py").exists()
        and any((folder / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg"))
    )


def _is_installed(requirement: str) -> bool:
    """Tells whether a requirement's distribution is there; what can't be told counts as there."""
    match = re.match(
        r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*\])?\s*([<>=!~@;].*)?$", requirement
    )
    if match is None or ";" in requirement:  # a URL, or only for some environments
        return True
    name = match[1]
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        module = name.replace("-", "_")
        return module.isidentifier() and top_level_spec(module) is not None
    return True


def _hint(spec: GraphSpec, error: BaseException) -> str:
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    if spec.file is None and f"{spec.target}.".startswith(f"{error.name}."):
        return (
            "it was looked for among the installed packages, in the project's folder and in its "
            "local dependencies; a file is named with its path"
        )
    if top_level_spec(error.name.partition(".")[0]) is None:
        return "install it in the environment of this server, or name its folder in `dependencies`"
    return ""


def _missing_symbol(module: ModuleType, symbol: str) -> str:
    names = [name for name in vars(module) if not name.startswith("__")]
    close = difflib.get_close_matches(symbol, names, n=3)
    if close:
        return f'it has no "{symbol}"; did you mean {" or ".join(close)}?'
    return f'it has no "{symbol}"'


def _file_of(project: Project, module: ModuleType, spec: GraphSpec) -> str:
    file = spec.file or getattr(module, "__file__", None)
    return display_path(file, project.root) if file else spec.target
