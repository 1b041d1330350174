"""Projects written for one test, and a process that forgets them; a database for checkpoints."""

from __future__ import annotations

import importlib
import json
import os
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from graphwire_server.storage.sqlite import SqliteStorage

#: Writes a project's files (dedented; a langgraph.json from `config`) and returns its root.
WriteProject = Callable[..., Path]


@pytest.fixture
def write_project(tmp_path: Path) -> Iterator[WriteProject]:
    """Writes projects; what they do to the import system and the environment is undone."""
    path, environment, modules = list(sys.path), dict(os.environ), set(sys.modules)

    def write(
        files: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        name: str = "project",
    ) -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for relative, text in (files or {}).items():
            file = root / relative
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text), encoding="utf-8")
        if config is not None:
            (root / "langgraph.json").write_text(json.dumps(config), encoding="utf-8")
        return root

    yield write
    # The path of a namespace package can be asked for only while its parents are there.
    written = [m for m in set(sys.modules) - modules if _lies_in(sys.modules[m], tmp_path)]
    for module_name in written:
        del sys.modules[module_name]
    sys.path[:] = path
    os.environ.clear()
    os.environ.update(environment)
    importlib.invalidate_caches()


def _lies_in(module: ModuleType, folder: Path) -> bool:
    places = [module.__dict__.get("__file__"), *(module.__dict__.get("__path__") or ())]
    return any(isinstance(place, str) and Path(place).is_relative_to(folder) for place in places)


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    """An empty database."""
    storage = await SqliteStorage.open(tmp_path / "graphwire.db")
    yield storage
    await storage.close()
