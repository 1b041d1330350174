"""What a project's `auth` raises, as its callers are told of it; and what is written down."""

from __future__ import annotations

import base64
import binascii
import http
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog
from graphwire import errors
from langgraph_sdk import Auth

from graphwire_server.auth.identity import Credentials

_log = structlog.get_logger("graphwire.auth")

#: The shortest text that is taken for a secret, in characters: shorter ones are everywhere.
_SHORTEST_SECRET = 6


def http_error_of(error: BaseException) -> tuple[int, str, str] | None:
    """Returns status, detail and Retry-After of an HTTPException, LangGraph's or Starlette's."""
    kinds: list[type] = [Auth.exceptions.HTTPException]
    # FastAPI's is one of Starlette's. Only what is imported can have been raised.
    if (starlette := sys.modules.get("starlette.exceptions")) is not None:
        kinds.append(starlette.HTTPException)
    if not isinstance(error, tuple(kinds)):
        return None
    raised: Any = error
    status, detail = raised.status_code, raised.detail
    if not isinstance(status, int):
        return None
    if not isinstance(detail, str):
        detail = json.dumps(detail, default=str)
    headers = {str(key).lower(): str(value) for key, value in (raised.headers or {}).items()}
    return status, detail or _phrase(status), headers.get("retry-after", "")


def refusal_of(status: int, detail: str, retry_after: str) -> errors.GraphwireError:
    """Returns the error for an HTTP status from 400 to 499.

    401 is UNAUTHENTICATED and 429 RESOURCE_EXHAUSTED; whatever else a project answers with is
    PERMISSION_DENIED: nothing was wrong with the call itself.
    """
    match status:
        case 401:
            return errors.UnauthenticatedError(detail)
        case 429:
            seconds = float(retry_after) if retry_after.isdecimal() else None
            return errors.LimitReachedError(detail, retry_after=seconds)
        case _:
            return errors.PermissionDeniedError(detail)


def is_refusal(status: int) -> bool:
    """Tells whether an HTTP status is the caller's affair; others are faults of the project."""
    return 400 <= status < 500


def failure(
    what: str, code: Callable[..., Any], error: BaseException, secrets: Iterable[str]
) -> errors.InternalError:
    """Writes a fault in a project's `auth` to the log; returns what the caller is told of it.

    Of the secrets nothing is written, though the exception may quote them.
    """
    text = "".join(traceback.format_exception(error))
    for secret in secrets:
        text = text.replace(secret, "…")
    _log.error("auth_failed", handler=place_of_code(code), exception=text.rstrip("\n"))
    return errors.InternalError(
        f"the project's {what} failed ({type(error).__name__}); the server's log says more"
    )


def wrong_result(what: str, code: Callable[..., Any], reason: str) -> errors.InternalError:
    """Writes to the log what a project's `auth` returned that makes no sense."""
    _log.error("auth_result_wrong", handler=place_of_code(code), error=reason)
    return errors.InternalError(
        f"the project's {what} returned what makes no sense; the server's log says more"
    )


def secrets_of_call(credentials: Credentials) -> list[str]:
    """Returns what of a call's metadata must not be written down, the longest first."""
    texts: list[str] = []
    for key, value in credentials.metadata:
        if key != "user-agent":
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            texts += [text, *text.split(), *_decoded(text)]
    return _secrets(texts)


def secrets_of_user(user: Mapping[str, Any]) -> list[str]:
    """Returns what a project knows of a user and must not be written down, the longest first."""
    plain = ("identity", "display_name", "permissions", "is_authenticated")
    return _secrets(str(value) for key, value in user.items() if key not in plain)


def _secrets(texts: Iterable[str]) -> list[str]:
    long_enough = [text for text in texts if len(text) >= _SHORTEST_SECRET]
    # Also as they stand in the text of a KeyError, say.
    return sorted({*long_enough, *(repr(text)[1:-1] for text in long_enough)}, key=len)[::-1]


def _decoded(text: str) -> Iterable[str]:
    """Returns name and password of `Basic …`, together and apart."""
    scheme, _, coded = text.partition(" ")
    if scheme.lower() != "basic":
        return ()
    try:
        plain = base64.b64decode(coded).decode()
    except (binascii.Error, ValueError):
        return ()
    return (plain, *plain.split(":", 1))


def place_of_code(code: Callable[..., Any]) -> str:
    """Returns the name of a function and where it stands: `allow (auth.py:12)`."""
    name = getattr(code, "__qualname__", repr(code))
    found = getattr(inspect.unwrap(code), "__code__", None)
    return f"{name} ({Path(found.co_filename).name}:{found.co_firstlineno})" if found else name


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP status {status}"
