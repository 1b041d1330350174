"""Service tokens: a TOML file with the SHA-256 of each, for set-ups without an issuer."""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from graphwire_server.auth.changing_files import ChangingFile
from graphwire_server.auth.fresh_tokens import digest
from graphwire_server.auth.identity import PERMISSIONS, Identity
from graphwire_server.auth.names import described, wrong_name
from graphwire_server.auth.setup_errors import UnusableFileError, did_you_mean

_KEYS = frozenset({"token_sha256", "owner", "permissions"})
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_DIGEST_FORM = "the SHA-256 of a token: 64 hexadecimal digits, or a list of such"


class ServiceTokens:
    """The callers that a token file names.

    One table for each:

        [billing]
        token_sha256 = "9f86d0…"       # or a list, while a token is replaced
        owner = "finance"              # may be left out: the principal
        permissions = ["threads:all"]  # may be left out: none

    Who comes with a certificate alone has an empty list of tokens.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Reads the file.

        Raises:
            AuthSetupError: It can't be used.
        """
        self._file = ChangingFile("auth_tokens", path, read_tokens, clock=clock)

    async def find(self, token: str) -> Identity | None:
        """Returns whose token it is; None if it is nobody's."""
        known = await self._file.current()
        # Found by its digest: how long that takes tells nothing of the tokens.
        return known.by_digest.get(digest(token))

    async def named(self, principal: str) -> Identity | None:
        """Returns what the file says of a principal who is known otherwise; None: nothing."""
        return (await self._file.current()).by_name.get(principal)


@dataclass(frozen=True, slots=True)
class TokenFile:
    """The callers of a token file.

    Attributes:
        by_digest: By the SHA-256 of each of their tokens.
        by_name: By their names.
    """

    by_digest: Mapping[str, Identity]
    by_name: Mapping[str, Identity]


def read_tokens(data: bytes) -> TokenFile:
    """Returns the callers of a token file.

    Raises:
        UnusableFileError: It is no such file.
    """
    try:
        tables = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UnusableFileError("is no UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = re.search(r"\(at .*\)", str(error))
        raise UnusableFileError(f"is no TOML{f' {place[0]}' if place else ''}") from None
    except ValueError:  # of Python's own numbers
        raise UnusableFileError("has a number that is too long to be read") from None
    if not tables:
        raise UnusableFileError(
            "names nobody; add a table: [NAME] with a token_sha256 "
            "(`graphwire new-token NAME` writes one)"
        )
    found: dict[str, Identity] = {}
    names: dict[str, Identity] = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UnusableFileError(f"{name}: has to be in a table of a caller: [NAME]")
        if reason := wrong_name(name):
            raise UnusableFileError(f"[{name[:40]!r}]: the name of a caller {reason}")
        identity = names[name] = _identity(name, table)
        for value in _digests(name, table):
            if value in found:
                raise UnusableFileError(
                    f"[{name}] token_sha256: the same token is that of "
                    f"[{found[value].principal}]; give each caller his own"
                )
            found[value] = identity
    return TokenFile(found, names)


def _identity(name: str, table: dict[str, object]) -> Identity:
    for key in table.keys() - _KEYS:
        if isinstance(table[key], dict):
            raise UnusableFileError(
                f'[{name}.{key}]: a name with dots has to be quoted: ["{name}.{key}"]'
            )
        if key == "token":
            raise UnusableFileError(
                f"[{name}] token: tokens themselves are not kept here; put its SHA-256 into "
                "token_sha256"
            )
        raise UnusableFileError(f"[{name}] {key}: is no key; {did_you_mean(key, _KEYS)}")
    owner = table.get("owner", name)
    if reason := wrong_name(owner):
        raise UnusableFileError(f"[{name}] owner: {reason}")
    permissions = table.get("permissions", [])
    if not isinstance(permissions, list) or not all(isinstance(p, str) for p in permissions):
        raise UnusableFileError(f"[{name}] permissions: has to be a list of texts")
    for index, permission in enumerate(permissions):
        if permission not in PERMISSIONS:
            raise UnusableFileError(
                f'[{name}] permissions[{index}]: there is no permission "{permission}"; '
                f"{did_you_mean(permission, PERMISSIONS)}"
            )
    return Identity(
        principal=name,
        owner=str(owner),
        permissions=frozenset(permissions),
        user=described(name, permissions),
    )


def _digests(name: str, table: dict[str, object]) -> set[str]:
    value = table.get("token_sha256")
    if value is None:
        raise UnusableFileError(f"[{name}] token_sha256: is missing; it is {_DIGEST_FORM}")
    listed = value if isinstance(value, list) else [value]
    for index, item in enumerate(listed):
        if not isinstance(item, str) or not _DIGEST.fullmatch(item):
            at = f"[{index}]" if isinstance(value, list) else ""
            raise UnusableFileError(f"[{name}] token_sha256{at}: has to be {_DIGEST_FORM}")
    return {str(item).lower() for item in listed}
