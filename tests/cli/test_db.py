"""`graphwire db`: which version a database has, and how it gets the newest."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from graphwire_server.storage.sql.migrations import load_migrations
from graphwire_server.storage.sqlite.lock import DatabaseLock

from tests.cli.command import call

NEWEST = load_migrations()[-1].number
UPGRADE = f"`graphwire db upgrade`, or a server that starts, brings it to {NEWEST}"


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that is not there yet, or empty; in the address of Postgres is a password."""
    if request.param == "sqlite":
        return str(tmp_path / "data.db")
    url: str = request.getfixturevalue("postgres_url")
    return url.replace("postgres@", "postgres:top-secret@")


def shown(database: str) -> str:
    """How the database is to be shown."""
    return database.replace(":top-secret", "")


def set_version(database: str, version: int) -> None:
    """Makes a database one of another Graphwire."""
    if database.startswith("postgresql://"):
        with psycopg.connect(database) as connection:
            connection.execute("UPDATE gw_schema SET version = %s", (version,))
    else:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")


def status(database: str) -> tuple[int, dict[str, str]]:
    """Returns the exit code of `db status`, and the fields that it shows."""
    result = call("db", "status", "--database", database)
    assert result.err == ""
    assert "top-secret" not in result.out
    fields = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert fields.pop("database") == shown(database)
    return result.code, fields


def test_a_new_database_is_upgraded_once(database: str) -> None:
    assert status(database) == (1, {"schema": f"none yet; {UPGRADE}"})
    result = call("db", "upgrade", "--database", database)
    assert (result.code, result.err) == (0, "")
    assert result.out == f"{shown(database)} now has schema version {NEWEST}\n"
    assert status(database) == (0, {"schema": f"version {NEWEST}, which is the newest"})
    result = call("db", "upgrade", "--database", database)
    assert (result.code, result.err) == (0, "")
    assert result.out == f"{shown(database)} has schema version {NEWEST}\n"


def test_looking_makes_no_file(tmp_path: Path) -> None:
    status(str(tmp_path / "folder" / "data.db"))
    assert list(tmp_path.iterdir()) == []


def test_status_for_programs(database: str) -> None:
    for version in (0, NEWEST):
        result = call("db", "status", "--database", database, "--json")
        assert result.objects == [
            {"database": shown(database), "version": version, "newest": NEWEST}
        ]
        assert call("db", "upgrade", "--database", database).code == 0


def test_a_database_of_an_older_graphwire_is_not_the_newest(database: str) -> None:
    call("db", "upgrade", "--database", database)
    set_version(database, 1)
    assert status(database) == (1, {"schema": f"version 1; {UPGRADE}"})


def test_a_database_of_a_newer_graphwire_is_left_as_it_is(database: str) -> None:
    call("db", "upgrade", "--database", database)
    set_version(database, NEWEST + 1)
    described = f"version {NEWEST + 1}, of a newer Graphwire: this one knows {NEWEST}"
    assert status(database) == (1, {"schema": described})
    result = call("db", "upgrade", "--database", database)
    assert result.err == (
        f"graphwire: the database {shown(database)} has schema version {NEWEST + 1}, and this "
        f"Graphwire knows versions up to {NEWEST}: use the newer Graphwire, or another database\n"
    )
    assert (result.code, result.out) == (3, "")


def test_the_database_is_the_projects_own_or_named_in_the_environment(tmp_path: Path) -> None:
    own = tmp_path / ".graphwire" / "graphwire.db"
    own.parent.mkdir()
    result = call("db", "upgrade", str(tmp_path))
    assert result.out == f"{own} now has schema version {NEWEST}\n"
    result = call("db", "status", "--json", env={"GRAPHWIRE_DATABASE": f"sqlite:///{own}"})
    assert result.objects == [{"database": str(own), "version": NEWEST, "newest": NEWEST}]


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A file that a server uses."""
    lock = DatabaseLock.acquire(tmp_path / "data.db")
    yield tmp_path / "data.db"
    lock.release()


def test_a_file_that_a_server_uses_is_looked_at_but_not_upgraded(locked: Path) -> None:
    assert status(str(locked))[0] == 1
    result = call("db", "upgrade", "--database", str(locked))
    assert f"graphwire: the database {locked} is in use by another server" in result.err
    assert result.code == 3


@pytest.mark.parametrize("command", ["status", "upgrade"])
def test_a_database_that_can_not_be_used_is_code_3(command: str) -> None:
    result = call("db", command, "--database", "postgresql://me:top-secret@127.0.0.1:1/agents")
    assert result.err.startswith(
        "graphwire: the database postgresql://me@127.0.0.1:1/agents can't be used: "
    )
    assert "top-secret" not in result.err
    assert (result.code, result.out) == (3, "")


@pytest.mark.parametrize("command", ["status", "upgrade"])
def test_an_address_that_is_none_is_code_2(command: str) -> None:
    result = call("db", command, "--database", "mysql://me:top-secret@db")
    assert result.err == (
        "graphwire: --database: no database's address begins with mysql://: name a file, "
        "sqlite:///path, or postgresql://user@host/database\n"
    )
    assert (result.code, result.out) == (2, "")
