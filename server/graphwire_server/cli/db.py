"""`graphwire db`: looks after the schema of a database."""

from __future__ import annotations

import sys
from pathlib import Path

import typer
from rich.text import Text

from graphwire_server.cli import jsonlines
from graphwire_server.cli.console import fail, out
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.serve import read_settings
from graphwire_server.cli.tables import show_fields
from graphwire_server.storage.interface import StorageError
from graphwire_server.storage.locations import Location
from graphwire_server.storage.schema import SchemaVersion, schema_version, upgrade_schema


def show_status(project: str | None, database: str | None, *, as_json: bool) -> None:
    """Shows a database's place and version; exits with FAILED unless it is the newest."""
    location = location_of(project, database)
    try:
        version = schema_version(location)
    except StorageError as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    if as_json:
        jsonlines.write(
            {"database": str(location), "version": version.found, "newest": version.newest}
        )
    else:
        show_fields(
            out(), [("database", Text(str(location))), ("schema", Text(_described(version)))]
        )
    if version.found != version.newest:
        raise typer.Exit(ExitCode.FAILED)


def upgrade(project: str | None, database: str | None) -> None:
    """Brings a database to the newest version, and says from which."""
    location = location_of(project, database)
    try:
        before = upgrade_schema(location)
    except StorageError as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    done = "has" if before.found == before.newest else "now has"
    sys.stdout.write(f"{location} {done} schema version {before.newest}\n")


def location_of(project: str | None, database: str | None) -> Location:
    """Returns where the database is; exits if what was given means none."""
    options = {"project": project, "database": database}
    given = {name: value for name, value in options.items() if value is not None}
    location = read_settings(given).location
    return location.resolve() if isinstance(location, Path) else location


def _described(version: SchemaVersion) -> str:
    if version.found == version.newest:
        return f"version {version.found}, which is the newest"
    if version.found > version.newest:
        return f"version {version.found}, of a newer Graphwire: this one knows {version.newest}"
    has = f"version {version.found}" if version.found else "none yet"
    return f"{has}; `graphwire db upgrade`, or a server that starts, brings it to {version.newest}"
