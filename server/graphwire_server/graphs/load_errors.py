"""What is raised when a graph can't be loaded or built."""

from __future__ import annotations

import ast
import linecache
import sys
from pathlib import Path
from typing import NamedTuple

from graphwire_server.graphs.failures import describe
from graphwire_server.graphs.project import GraphSpec, Project
from graphwire_server.graphs.sources import display_path, is_project_file


class GraphLoadError(Exception):
    """A graph of the project, or its `auth`, can't be loaded, so the server can't start.

    Attributes:
        graph: The graph's name.
        reason: What is wrong, and what would be right.
        file: Where: a path from the project's root, or a module's name.
        line: The line in it, from 1; None if it is no particular line.
        source: The text of that line; empty if there is none.
    """

    def __init__(
        self,
        graph: str,
        reason: str,
        *,
        file: str,
        line: int | None = None,
        source: str = "",
        label: str = "",
    ) -> None:
        """Makes the error; its text is `graph "…": file:line: reason`, and the line.

        `label` stands there instead for what is no graph.
        """
        self.graph = graph
        self.reason = reason
        self.file = file
        self.line = line
        self.source = source
        position = file if line is None else f"{file}:{line}"
        what = label or f'graph "{graph}"'
        text = f"{what} can't be loaded: {position}: {reason}"
        super().__init__(f"{text}\n    {source}" if source else text)


class NotAGraphError(TypeError):
    """Something is neither a graph nor a factory that the server can call, or no `auth`."""


class GraphBuildError(Exception):
    """A graph's factory failed when it was called for a run or a request.

    Attributes:
        name: The graph's name.
        original: What the factory raised; also the `__cause__`.
    """

    def __init__(self, name: str, original: BaseException) -> None:
        """Makes the error; its text names the exception's class and text."""
        self.name = name
        self.original = original
        super().__init__(f'graph "{name}" can\'t be built: {_why(original)}')


def load_error(
    project: Project, spec: GraphSpec, error: BaseException, *, hint: str = ""
) -> GraphLoadError:
    """Makes the GraphLoadError for what the project's code raised, or for what it gave.

    It points at the innermost line of the project itself, since what libraries do below
    it is not what the reader can change; if there is none, at where the symbol is bound.
    """
    reason = f"{_why(error)}; {hint}" if hint else _why(error)
    place = (
        _syntax_error_place(project, spec, error)
        or _innermost_place(project, spec, error)
        or _symbol_place(spec)
    )
    if place is None:
        return GraphLoadError(spec.name, reason, file=spec.target, label=spec.label)
    return GraphLoadError(
        spec.name,
        reason,
        file=display_path(place.filename, project.root),
        line=place.line,
        source=place.source.strip(),
        label=spec.label,
    )


def _why(error: BaseException) -> str:
    return str(error) if isinstance(error, NotAGraphError) else describe(error)


class _Place(NamedTuple):
    filename: str
    line: int
    source: str


def _is_own(project: Project, spec: GraphSpec, filename: str) -> bool:
    roots = project.source_roots if spec.file is None else (*project.source_roots, spec.file.parent)
    return is_project_file(filename, roots)


def _syntax_error_place(project: Project, spec: GraphSpec, error: BaseException) -> _Place | None:
    if not isinstance(error, SyntaxError) or error.filename is None or error.lineno is None:
        return None
    if not _is_own(project, spec, error.filename):
        return None
    return _Place(error.filename, error.lineno, error.text or "")


def _innermost_place(project: Project, spec: GraphSpec, error: BaseException) -> _Place | None:
    place, traceback = None, error.__traceback__
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if _is_own(project, spec, filename):
            place = _place(filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    if place is None and error.__cause__ is not None:
        return _innermost_place(project, spec, error.__cause__)
    return place


def _symbol_place(spec: GraphSpec) -> _Place | None:
    """Returns the last statement of the graph's module that binds the symbol."""
    module = sys.modules.get(spec.target)
    filename = str(spec.file) if spec.file else getattr(module, "__file__", None)
    if filename is None:
        return None
    try:
        tree = ast.parse(Path(filename).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    lines = [node.lineno for node in tree.body if spec.symbol in _bound_names(node)]
    return _place(filename, lines[-1]) if lines else None


def _bound_names(statement: ast.stmt) -> set[str]:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {statement.name}
        case ast.Import() | ast.ImportFrom():
            return {alias.asname or alias.name for alias in statement.names}
        case _:
            return {
                node.id
                for node in ast.walk(statement)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }


def _place(filename: str, line: int) -> _Place:
    linecache.checkcache(filename)
    return _Place(filename, line, linecache.getline(filename, line))
