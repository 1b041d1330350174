"""Where a database is: how that is written, and how it is shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote

from graphwire_server.storage.interface import StorageError

# An address, or what was meant to be one: of a file's name, a colon may be part.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://|(sqlite|postgres|postgresql):", re.IGNORECASE)
_POSTGRES = ("postgresql://", "postgres://")
# What psycopg and libpq take for an address as well: keywords with values, and what an address is
# without its scheme. Either has a password, which is not to become a file's name.
_KEYWORDS = re.compile(
    r"(^|\s)(host|hostaddr|port|dbname|user|password|passfile|service|options|application_name|"
    r"connect_timeout|channel_binding|ssl[a-z]+|target_session_attrs)\s*=",
    re.IGNORECASE,
)
_NO_SCHEME = re.compile(r"(//)?[^/@]*:[^@]*@")
_USER = re.compile(r"[\w.+-]*")
# A name, a number or a folder with a socket; or several, with commas.
_HOST_OPTION = re.compile(r"[\w.:/,%-]*")
_HOSTS = re.compile(r"{host}(,{host})*".format(host=r"(\[[0-9A-Fa-f:.%]*\]|[\w.%-]*)(:[0-9]*)?"))


class PostgresAddress:
    """A `postgresql://user:password@host:port/database?option=value` address.

    Its `str` has the user, the host, also one that is given as an option, and the database,
    and nothing else: no password, however it was given. It is what errors, logs and commands
    show.
    """

    def __init__(self, url: str) -> None:
        """Takes an address apart, as far as showing it needs.

        Raises:
            StorageError: Where its password ends is not clear. The error does not quote it.
        """
        self.url = url
        rest = url.partition("://")[2]
        place = re.split(r"[?#]", rest, maxsplit=1)[0]
        authority, slash, database = place.partition("/")
        user, at, hosts = authority.rpartition("@")
        # Whatever else there is may be a part of the password, to our eyes or to libpq's.
        if rest.count("@") > len(at) or not _HOSTS.fullmatch(hosts):
            raise StorageError(
                "the address of the database can't be read: it is to be "
                "postgresql://user:password@host:port/database, and in the user name and the "
                "password, @ is written %40, / %2F, : %3A, ? %3F, # %23 and % %25"
            )
        user = unquote(user.partition(":")[0])
        shown_user = user if _USER.fullmatch(user) else ""
        shown = f"postgresql://{shown_user}{at if shown_user else ''}{hosts}{slash}{database}"
        self._shown = shown + _shown_host(rest.partition("?")[2])

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"PostgresAddress({self._shown!r})"

    def parameters(self) -> dict[str, Any]:
        """Returns what psycopg connects with: the address's own, and defaults of ours.

        Raises:
            StorageError: It can't be read. The error does not quote it.
        """
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        try:
            given = conninfo_to_dict(self.url)
        except psycopg.Error:
            # libpq's text may quote the password.
            raise StorageError(
                f"the address of the database, {self}, can't be read: an option is unknown, or "
                "a % is not followed by two hexadecimal digits"
            ) from None
        return _DEFAULTS | given


def _shown_host(options: str) -> str:
    """Returns the option of an address that says where its server is, as it is shown."""
    given = dict(option.partition("=")[::2] for option in options.split("&"))
    host = unquote(given.get("host", ""))
    return f"?host={host}" if host and _HOST_OPTION.fullmatch(host) else ""


#: A SQLite file, or a Postgres database.
Location: TypeAlias = Path | PostgresAddress


def read_location(text: str) -> Location:
    """Returns the place that a text means: a file, sqlite:///path, or postgresql://….

    As in other programs, sqlite:///data.db is relative and sqlite:////data.db is not.

    Raises:
        StorageError: It means none, or it can't be read. The error quotes no password.
    """
    scheme = _SCHEME.match(text)
    if scheme is None:
        if _KEYWORDS.search(text) or _NO_SCHEME.match(text):
            # Without the text, of which a part may be a password.
            raise StorageError(
                "it looks like the address of a Postgres database, but does not begin with "
                "postgresql://: write postgresql://user:password@host:port/database, not "
                "keywords such as host=…; if a file is called that, sqlite:///path"
            )
        return Path(text)
    if text.startswith("sqlite:///"):
        return Path(text.removeprefix("sqlite:///"))
    if text.startswith(_POSTGRES):
        return PostgresAddress(text)
    raise StorageError(
        f"no database's address begins with {scheme[0]}: name a file, sqlite:///path, or "
        "postgresql://user@host/database"
    )


#: A peer that is gone is noticed within half a minute, also where nothing is being sent.
_DEFAULTS: dict[str, Any] = {
    "application_name": "graphwire",
    "client_encoding": "UTF8",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
