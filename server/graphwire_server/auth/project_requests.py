"""A call, as a project's `authenticate` expects to see an HTTP request."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from http.cookies import CookieError, SimpleCookie
from types import SimpleNamespace
from typing import Any, NamedTuple

from graphwire_server.auth.identity import Credentials

#: What `authenticate` may ask for by name.
PARAMETERS = frozenset(
    {
        "authorization",
        "body",
        "headers",
        "method",
        "path",
        "path_params",
        "query_params",
        "request",
        "scope",
        "scopes",
        "user",
    }
)
_METHOD = "POST"
_PEER = re.compile(r"ipv[46]:(?P<host>\[[^]]*\]|[^:]*):(?P<port>\d+)")


class Headers(Mapping[bytes, bytes]):
    """The call's metadata: found as text or bytes, in any case; values are bytes.

    Of a key that stands there more than once the first counts.
    """

    def __init__(self, credentials: Credentials) -> None:
        """Takes the metadata of a call."""
        self._values: dict[bytes, bytes] = {}
        for key, value in credentials.metadata:
            data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
            self._values.setdefault(key.lower().encode(), data)

    def __getitem__(self, key: bytes | str) -> bytes:
        data = key.encode() if isinstance(key, str) else key
        return self._values[data.lower()]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str | bytes) and self.get(key) is not None  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<headers {', '.join(key.decode() for key in self._values)}>"


class TextHeaders(Mapping[str, str]):
    """The call's metadata, found in any case; values are texts."""

    def __init__(self, headers: Headers) -> None:
        """Takes the same headers as bytes."""
        self._headers = headers

    def __getitem__(self, key: str) -> str:
        return self._headers[key].decode("latin-1")

    def __contains__(self, key: object) -> bool:
        return key in self._headers

    def __iter__(self) -> Iterator[str]:
        return (key.decode("latin-1") for key in self._headers)

    def __len__(self) -> int:
        return len(self._headers)


class _Client(NamedTuple):
    host: str
    port: int


class SmallRequest:
    """What of Starlette's Request a call has, where Starlette is not installed."""

    def __init__(self, scope: dict[str, Any], headers: Headers) -> None:
        """Takes the call as an ASGI scope."""
        self.scope = scope
        self.headers = TextHeaders(headers)
        self.method: str = scope["method"]
        self.url = SimpleNamespace(path=scope["path"], query="", scheme=scope["scheme"])
        self.client = _Client(*scope["client"]) if scope["client"] else None
        self.path_params: dict[str, str] = {}
        self.query_params: dict[str, str] = {}
        self.state = SimpleNamespace()
        self.cookies = _cookies(self.headers.get("cookie", ""))

    def __getitem__(self, key: str) -> Any:
        return self.scope[key]

    async def body(self) -> bytes:
        """Returns nothing: who calls is found out before the request is read."""
        return b""

    async def json(self) -> Any:
        """Raises ValueError, as for an empty body."""
        return json.loads(b"")


def parameters_of(authenticate: Callable[..., Any]) -> frozenset[str]:
    """Returns which parameters a project's `authenticate` asks for.

    Raises:
        TypeError: It asks for one that there is not; the text says which there are.
    """
    asked = set()
    for name, parameter in inspect.signature(authenticate).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in PARAMETERS and parameter.kind is not parameter.POSITIONAL_ONLY:
            asked.add(name)
        elif parameter.default is parameter.empty:
            raise TypeError(
                f'its parameter "{name}" is none that it can be given; there are '
                f"{', '.join(sorted(PARAMETERS))}"
            )
    return frozenset(asked)


def arguments_for(
    asked: frozenset[str], credentials: Credentials, authorization: str | None
) -> dict[str, Any]:
    """Returns the arguments that `authenticate` asks for."""
    headers = Headers(credentials)
    # No body: who calls is found out before the request is read. A dict, as code takes it for one.
    given: dict[str, Any] = {
        "authorization": authorization,
        "body": {},
        "headers": headers,
        "method": _METHOD,
        "path": credentials.method,
        "path_params": {},
        "query_params": {},
        "scopes": [],
        "user": None,
    }
    if asked & {"request", "scope"}:
        scope = _scope(credentials, headers)
        given["scope"] = scope
        given["request"] = _request(scope, headers)
    return {name: given[name] for name in asked}


def _scope(credentials: Credentials, headers: Headers) -> dict[str, Any]:
    peer = _PEER.fullmatch(credentials.peer)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "2",
        "method": _METHOD,
        "scheme": "http",
        "path": credentials.method,
        "raw_path": credentials.method.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": list(headers.items()),
        "client": (peer["host"].strip("[]"), int(peer["port"])) if peer else None,
        "server": None,
        "path_params": {},
        "state": {},
    }


def _request(scope: dict[str, Any], headers: Headers) -> Any:
    try:
        requests = importlib.import_module("starlette.requests")
    except ModuleNotFoundError:
        return SmallRequest(scope, headers)
    return requests.Request(scope, _receive_nothing)


async def _receive_nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}
