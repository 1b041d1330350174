"""Settings: where data is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphwire_server.settings import Settings


@pytest.mark.parametrize(
    ("database", "file"),
    [
        ("data.db", "data.db"),
        ("/var/data.db", "/var/data.db"),
        ("sqlite:///data.db", "data.db"),
        ("sqlite:////var/data.db", "/var/data.db"),
    ],
)
def test_a_database_is_a_file_or_an_sqlite_address(database: str, file: str) -> None:
    assert Settings(database=database).database_file == Path(file)


def test_without_one_data_is_kept_in_the_project(tmp_path: Path) -> None:
    kept = tmp_path / ".graphwire" / "graphwire.db"
    assert Settings(project=tmp_path).database_file == kept
    config = tmp_path / "langgraph.json"
    config.touch()
    assert Settings(project=config).database_file == kept
