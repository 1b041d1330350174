"""Settings: where data is kept."""

from __future__ import annotations

from pathlib import Path

from graphwire_server.settings import Settings


def test_a_database_is_a_file_or_an_address() -> None:
    assert Settings(database="sqlite:///data.db").location == Path("data.db")
    assert str(Settings(database="postgresql://me:secret@db/x").location) == "postgresql://me@db/x"


def test_settings_do_not_show_the_password_of_the_database() -> None:
    assert "secret" not in repr(Settings(database="postgresql://me:secret@db/x"))


def test_without_one_data_is_kept_in_the_project(tmp_path: Path) -> None:
    kept = tmp_path / ".graphwire" / "graphwire.db"
    assert Settings(project=tmp_path).location == kept
    config = tmp_path / "langgraph.json"
    config.touch()
    assert Settings(project=config).location == kept
