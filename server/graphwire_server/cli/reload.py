"""`graphwire serve --reload`: a server process, started again when the project changes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from watchfiles import Change, awatch

from graphwire_server.cli.console import say
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.handing_on import as_option
from graphwire_server.graphs.project import CONFIG_NAME, ProjectError, load_project

if TYPE_CHECKING:
    from graphwire_server.settings import Settings

# What a project is written in. Not whatever lies in its folder: graphs that write files
# there (reports, downloads) would be stopped by their own output.
_SUFFIXES = frozenset({".py", ".toml", ".yaml", ".yml", ".jinja", ".jinja2", ".j2"})
_IGNORED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})

#: Runs that are executing get so long when the project has changed, in seconds.
_GRACE = "1"
#: A process that has not ended so long after SIGTERM is killed.
_KILL_AFTER = 10.0

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve_reloading(settings: Settings, given: Mapping[str, Any]) -> None:
    """Runs servers one after another until SIGTERM or Ctrl-C.

    Args:
        settings: The settings, for the place of the project.
        given: Those that were given as options, to be handed on.
    """
    options = [as_option(name, given[name]) for name in given if name != "project"]
    command = [sys.executable, "-m", "graphwire", "serve", str(settings.project), *options]
    raise typer.Exit(asyncio.run(_Supervisor(settings.project, command).run()))


@dataclass(frozen=True, slots=True)
class ProjectFiles:
    """The files that a project is made of.

    Attributes:
        folders: Where they are.
        named: Files that count whatever they are called.
    """

    folders: tuple[Path, ...]
    named: frozenset[Path]

    @classmethod
    def of(cls, path: Path) -> ProjectFiles:
        """Returns those of a project, also of one whose langgraph.json has a mistake."""
        root = path.resolve() if path.is_dir() else path.resolve().parent
        named = {root / CONFIG_NAME, path.resolve()}
        try:
            project = load_project(path)
        except ProjectError:
            return cls((root,), frozenset(named))
        if project.env_file is not None:
            named.add(project.env_file)
        folders = tuple(dict.fromkeys(project.source_roots))
        return cls(folders, frozenset(named))

    def counts(self, change: Change, path: str) -> bool:
        """Tells whether a change of a file matters; a filter for watchfiles."""
        del change
        file = Path(path)
        if file in self.named:
            return True
        if file.suffix not in _SUFFIXES or file.name.startswith("."):
            return False
        return any(
            not any(_is_ignored(folder) for folder in file.relative_to(root).parts[:-1])
            for root in self.folders
            if file.is_relative_to(root)
        )


def _is_ignored(folder: str) -> bool:
    return folder.startswith(".") or folder in _IGNORED_FOLDERS


class _Supervisor:
    """Keeps one server process running, in the state of the files."""

    def __init__(self, project: Path, command: list[str]) -> None:
        self._project = project
        self._command = command
        self._stop = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> int:
        """Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.add_signal_handler(number, self._on_signal)
        while True:
            async with _changes(ProjectFiles.of(self._project)) as changed:
                code = await self._run_until(changed)
            if code is not None:
                return code
            say(f"{_names(changed.result(), self._project)} changed: starting again")

    async def _run_until(self, changed: asyncio.Task[set[str]]) -> int | None:
        """Runs one process until files change; returns the exit code if it is to be the last."""
        process = await self._start()
        ended = asyncio.create_task(process.wait())
        stop = asyncio.create_task(self._stop.wait())
        await _first(ended, stop, changed)
        if ended.done() and not (stop.done() or changed.done()):
            if ended.result() in (ExitCode.OK, ExitCode.USAGE):
                stop.cancel()
                return ended.result()
            say("waiting for the project to change")
            await _first(stop, changed)
        await self._end(process, ended)
        stop.cancel()
        return ExitCode.OK if self._stop.is_set() else None

    async def _start(self) -> asyncio.subprocess.Process:
        environment = {"GRAPHWIRE_SHUTDOWN_GRACE_SECONDS": _GRACE, **os.environ}
        # In a process group of its own: a Ctrl-C comes here alone, and the server gets one
        # signal instead of two, of which the second would kill it.
        self._process = await asyncio.create_subprocess_exec(
            *self._command, env=environment, process_group=0
        )
        return self._process

    async def _end(self, process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(asyncio.shield(ended), _KILL_AFTER)
        except TimeoutError:
            process.kill()
            await ended

    def _on_signal(self) -> None:
        if self._stop.is_set() and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        self._stop.set()


async def _first(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


@contextlib.asynccontextmanager
async def _changes(files: ProjectFiles) -> AsyncIterator[asyncio.Task[set[str]]]:
    """Watches files; gives a task whose result are the first that change."""

    async def first() -> set[str]:
        async for changes in awatch(*files.folders, watch_filter=files.counts):
            return {path for _, path in changes}
        return set()

    watching = asyncio.create_task(first())
    await asyncio.sleep(0)  # the watch is set up before the server reads the files
    try:
        yield watching
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


def _names(paths: Iterable[str], project: Path) -> str:
    root = project.resolve() if project.is_dir() else project.resolve().parent
    names = sorted(os.path.relpath(path, root) for path in paths)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
