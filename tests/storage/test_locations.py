"""Where databases are, and that no password is ever shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from graphwire_server.storage.interface import StorageError
from graphwire_server.storage.locations import Location, PostgresAddress, read_location
from graphwire_server.storage.opening import open_storage
from hypothesis import assume, given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("data.db", "data.db"),
        ("/var/data.db", "/var/data.db"),
        ("sqlite:///data.db", "data.db"),
        ("sqlite:////var/data.db", "/var/data.db"),
        ("12:30.db", "12:30.db"),
        ("a:b", "a:b"),
        ("me@home.db", "me@home.db"),
        ("/var/host=1/me:x@y.db", "/var/host=1/me:x@y.db"),
    ],
)
def test_files(text: str, path: str) -> None:
    assert read_location(text) == Path(path)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://db/agents", "postgresql://db/agents"),
        ("postgres://db", "postgresql://db"),
        ("postgresql://me@db:5432/agents", "postgresql://me@db:5432/agents"),
        ("postgresql://me:secret@db/agents", "postgresql://me@db/agents"),
        ("postgresql://me:@db/agents", "postgresql://me@db/agents"),
        ("postgresql://:secret@db/agents", "postgresql://db/agents"),
        ("postgresql://db/agents?user=me&password=secret", "postgresql://db/agents"),
        ("postgresql://db?password=secret", "postgresql://db"),
        (
            "postgresql:///agents?host=/run/pg&password=secret",
            "postgresql:///agents?host=/run/pg",
        ),
        ("postgresql:///agents?password=secret&host=a,b", "postgresql:///agents?host=a,b"),
        ("postgresql://me@/agents?host=%2Frun%2Fpg", "postgresql://me@/agents?host=/run/pg"),
        ("postgresql://db/agents?host=pass word", "postgresql://db/agents"),
        ("postgresql://db/agents?hostaddr=secret", "postgresql://db/agents"),
        ("postgresql://me:s%40%2Fecret@a:1,b:2/agents", "postgresql://me@a:1,b:2/agents"),
        ("postgresql://me:secret@[::1]:5432/agents", "postgresql://me@[::1]:5432/agents"),
        ("postgresql://me:secret@%2Frun%2Fpg/agents", "postgresql://me@%2Frun%2Fpg/agents"),
        ("postgresql://m%40e:secret@db/agents", "postgresql://db/agents"),
    ],
)
def test_addresses_are_shown_without_their_password(text: str, shown: str) -> None:
    address = read_location(text)
    assert isinstance(address, PostgresAddress)
    assert str(address) == shown
    assert repr(address) == f"PostgresAddress({shown!r})"
    assert address.url == text


def test_what_psycopg_is_given() -> None:
    parameters = PostgresAddress(
        "postgresql://me:s%40crt@db:5433/agents?connect_timeout=2&sslmode=require"
    ).parameters()
    wanted = {
        "user": "me",
        "password": "s@crt",
        "host": "db",
        "port": "5433",
        "dbname": "agents",
        "connect_timeout": "2",
        "sslmode": "require",
        "application_name": "graphwire",
    }
    assert wanted.items() <= parameters.items()


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        ("mysql://me:secret@db", "mysql://"),
        ("postgress://me:secret@db", "postgress://"),
        ("postgresql+psycopg://me:secret@db", "postgresql+psycopg://"),
        ("postgresql:me:secret@db", "postgresql:"),
        ("postgres:/me:secret@db", "postgres:"),
        ("sqlite:data.db", "sqlite:"),
        ("sqlite://data.db", "sqlite://"),
    ],
)
def test_what_means_nothing_is_refused(text: str, beginning: str) -> None:
    with pytest.raises(StorageError) as caught:
        read_location(text)
    assert str(caught.value) == (
        f"no database's address begins with {beginning}: name a file, sqlite:///path, or "
        "postgresql://user@host/database"
    )


@pytest.mark.parametrize(
    "text",
    [
        "host=127.0.0.1 port=1 password=secret",
        "password='secret' host = db",
        "  dbname=agents",
        "SSLMODE=require user=me",
        "me:secret@db/agents",
        "//me:secret@db:5432/agents",
        ":s/ecret@db",
    ],
)
def test_an_address_without_a_scheme_becomes_no_file(text: str) -> None:
    with pytest.raises(StorageError) as caught:
        read_location(text)
    assert str(caught.value) == (
        "it looks like the address of a Postgres database, but does not begin with "
        "postgresql://: write postgresql://user:password@host:port/database, not keywords such "
        "as host=…; if a file is called that, sqlite:///path"
    )
    assert read_location(f"sqlite:///{text}") == Path(text)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:s@cret@db/agents",
        "postgresql://me:s/cret@db/agents",
        "postgresql://me:s?cret@db/agents",
        "postgresql://me:s#cret@db/agents",
        "postgresql://me:secret",
        "postgresql://db/agents?user=me@here",
    ],
)
def test_an_address_in_which_a_password_may_end_anywhere_is_refused(text: str) -> None:
    with pytest.raises(StorageError, match="the address of the database can't be read") as caught:
        read_location(text)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["postgresql://me:s%zzcret@db/agents", "postgresql://me:secret@db/agents?colour=red"]
)
async def test_an_address_that_libpq_can_not_read_is_not_quoted(text: str) -> None:
    with pytest.raises(StorageError) as caught:
        await open_storage(text)
    assert str(caught.value) == (
        "the address of the database, postgresql://me@db/agents, can't be read: an option is "
        "unknown, or a % is not followed by two hexadecimal digits"
    )
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@given(st.text(min_size=1, max_size=20), st.booleans())
def test_no_password_is_ever_shown(password: str, encoded: bool) -> None:
    # Marks that stand nowhere else; all that is between them is secret.
    secret = f"⟨{password}⟩"
    written = quote(secret, safe="") if encoded else secret
    said = _said(f"postgresql://me:{written}@db:5432/agents?sslmode=disable")
    assert "⟨" not in said
    assert "⟩" not in said
    assert "%E2%9F" not in said


def _said(text: str) -> str:
    """Returns all that can be said about an address."""
    address: Location | None = None
    try:
        address = read_location(text)
        assert isinstance(address, PostgresAddress)
        parameters = address.parameters()
    except StorageError as error:
        return f"{error} {address}"
    assume(parameters["host"] == "db")
    return f"{address} {address!r}"


async def test_a_storage_is_opened_where_the_text_says(
    tmp_path: Path, postgres_address: PostgresAddress
) -> None:
    for text in (
        str(tmp_path / "a.db"),
        f"sqlite:///{tmp_path / 'b.db'}",
        postgres_address.url,
    ):
        storage = await open_storage(text)
        try:
            assert await storage.read(lambda r: r.thread("nobody")) is None
        finally:
            await storage.close()
    assert (tmp_path / "a.db").exists()
    assert (tmp_path / "b.db").exists()
