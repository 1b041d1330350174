"""What a langgraph.json says of `auth`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphwire_server.graphs.project import GraphSpec

_KEY = "auth"
_KNOWN = frozenset({"path", "cache", "disable_studio_auth"})
_TTL_SECONDS, _MAX_SIZE = 60, 1000
_CACHE_KNOWN = frozenset({"cache_keys", "ttl_seconds", "max_size"})


@dataclass(frozen=True, slots=True)
class AuthCache:
    """How long it is remembered who somebody was found to be.

    Attributes:
        keys: The names of the headers that tell, in lower case. Never empty.
        ttl_seconds: For how long.
        max_size: Of how many at the most.
    """

    keys: frozenset[str]
    ttl_seconds: float = _TTL_SECONDS
    max_size: int = _MAX_SIZE


@dataclass(frozen=True, slots=True)
class AuthEntry:
    """`auth` of a langgraph.json.

    Attributes:
        place: Where the `langgraph_sdk.Auth` is.
        cache: Whether it is remembered who somebody was found to be; None: asked each time.
    """

    place: GraphSpec
    cache: AuthCache | None = None


def read_auth(
    value: object,
    error: Callable[[str, str], Exception],
    place: Callable[[str, str], GraphSpec],
) -> tuple[AuthEntry, list[str]]:
    """Reads `auth`.

    Args:
        value: What stands there.
        error: Makes the exception for a key and what is wrong with it.
        place: Reads a path under a key.

    Returns it, and the keys that mean nothing to this server.
    """
    form = '{"path": "./path/to/file.py:auth"}'
    if not isinstance(value, dict):
        raise error(_KEY, f"has to be an object: {form}")
    value = {key: item for key, item in value.items() if item is not None}
    path = value.get("path")
    if not isinstance(path, str):
        wrong = "is missing" if path is None else "has to be text"
        raise error(f"{_KEY}.path", f"{wrong}; write {form}")
    studio = value.get("disable_studio_auth", True)
    if not isinstance(studio, bool):
        raise error(f"{_KEY}.disable_studio_auth", "has to be true or false")
    unhonoured = [f"{_KEY}.{key}" for key in value.keys() - _KNOWN]
    if not studio:
        # Studio can't call this server, so there is nothing to let in.
        unhonoured.append(f"{_KEY}.disable_studio_auth")
    cache, more = _cache(value.get("cache"), error)
    return AuthEntry(place(f"{_KEY}.path", path), cache), unhonoured + more


def _cache(
    value: object, error: Callable[[str, str], Exception]
) -> tuple[AuthCache | None, list[str]]:
    key = f"{_KEY}.cache"
    if value is None:
        return None, []
    if not isinstance(value, dict):
        raise error(key, 'has to be an object: {"cache_keys": ["authorization"]}')
    names: Any = value.get("cache_keys") or []
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise error(f"{key}.cache_keys", "has to be a list of the names of headers")
    seconds = value.get("ttl_seconds", _TTL_SECONDS)
    if not _is_number(seconds) or not 0 < seconds < math.inf:
        raise error(f"{key}.ttl_seconds", "has to be a number of seconds above 0")
    size = value.get("max_size", _MAX_SIZE)
    if not _is_number(size) or not isinstance(size, int) or size < 1:
        raise error(f"{key}.max_size", "has to be a whole number above 0")
    more = [f"{key}.{name}" for name in value.keys() - _CACHE_KNOWN]
    if not names:
        return None, more
    return AuthCache(frozenset(name.lower() for name in names), seconds, size), more


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
