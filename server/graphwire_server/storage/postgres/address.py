"""Where a Postgres database is, in a form that can be shown."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from graphwire_server.storage.interface import StorageError

SCHEMES = ("postgresql://", "postgres://")

_USER = re.compile(r"[\w.+-]+")


class PostgresAddress:
    """A `postgresql://user:password@host:port/database?option=value` address.

    Its `str` has the user, the host and the database, and nothing else: no password, however
    it was given. It is what errors, logs and commands show.
    """

    def __init__(self, url: str) -> None:
        """Takes an address apart, as far as showing it needs.

        Raises:
            StorageError: Where its password ends is not clear. The error does not quote it.
        """
        self.url = url
        _, _, rest = url.partition("://")
        authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
        if authority.count("@") > 1 or "@" in path:
            raise StorageError(
                "the address of the database can't be read: in a user name or password, write "
                "@ as %40, / as %2F, : as %3A, ? as %3F, # as %23 and % as %25"
            )
        user, at, host = authority.rpartition("@")
        user = unquote(user.partition(":")[0])
        shown_user = user + at if _USER.fullmatch(user) else ""
        self._shown = f"postgresql://{shown_user}{host}{slash}{path}"

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
