"""Which files restart a server with --reload."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphwire_server.cli.reload import ProjectFiles
from watchfiles import Change


@pytest.mark.parametrize(
    "path",
    [
        "graph.py",
        "pkg/tools.py",
        "langgraph.json",
        "settings.env",
        "prompts/answer.jinja",
        "a.yaml",
    ],
)
def test_code_configuration_and_templates_count(tmp_path: Path, path: str) -> None:
    assert counts(tmp_path, path)


@pytest.mark.parametrize(
    "path",
    [
        ".graphwire/graphwire.db",
        ".graphwire/graph.py",
        ".venv/lib/graph.py",
        "venv/lib/graph.py",
        "pkg/__pycache__/graph.py",
        "node_modules/a/b.py",
        ".#graph.py",
        "data.db",
        "report.md",
        "other.json",
        "../elsewhere.py",
    ],
)
def test_data_output_and_other_peoples_code_do_not(tmp_path: Path, path: str) -> None:
    assert not counts(tmp_path, path)


def test_local_dependencies_outside_of_the_project_count(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    files = files_of(tmp_path, '["../shared"]')
    assert set(files.folders) == {tmp_path / "project", tmp_path / "shared"}
    assert files.counts(Change.modified, str(tmp_path / "shared" / "tool.py"))


def test_a_project_with_a_mistake_is_watched_too(tmp_path: Path) -> None:
    (tmp_path / "langgraph.json").write_text("{")
    files = ProjectFiles.of(tmp_path)
    assert files.folders == (tmp_path,)
    assert files.counts(Change.modified, str(tmp_path / "langgraph.json"))


def counts(tmp_path: Path, path: str) -> bool:
    """Tells whether a file of a project counts."""
    return files_of(tmp_path).counts(Change.modified, str((tmp_path / "project" / path).resolve()))


def files_of(tmp_path: Path, dependencies: str = '["."]') -> ProjectFiles:
    """Makes a project and returns its files."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "graph.py").touch()
    (project / "langgraph.json").write_text(
        f'{{"dependencies": {dependencies}, "env": "settings.env", '
        '"graphs": {"agent": "./graph.py:graph"}}'
    )
    return ProjectFiles.of(project)
