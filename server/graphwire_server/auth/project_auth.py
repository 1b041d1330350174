"""A project's own `authenticate`: the `auth` object of its langgraph.json."""

from __future__ import annotations

import hashlib
import inspect
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from graphwire.errors import UnauthenticatedError

from graphwire_server.auth.chain import authorization_of
from graphwire_server.auth.identity import Credentials, Identity
from graphwire_server.auth.project_errors import (
    failure,
    http_error_of,
    is_refusal,
    refusal_of,
    secrets_of_call,
    wrong_result,
)
from graphwire_server.auth.project_requests import arguments_for, parameters_of
from graphwire_server.auth.project_user import (
    NotAuthenticatedError,
    WrongUserError,
    identity_of_user,
)
from graphwire_server.graphs.node_threads import in_thread

if TYPE_CHECKING:
    from graphwire_server.graphs.auth_entry import AuthCache

_log = structlog.get_logger("graphwire.auth")

_WHAT = "authenticate"
#: How many calls of an `authenticate` that is no coroutine function run at once.
_THREADS = 16


@dataclass(frozen=True, slots=True)
class _Kept:
    identity: Identity
    until: float


class ProjectAuthenticator:
    """Asks the project who calls."""

    def __init__(
        self,
        authenticate: Callable[..., Any],
        cache: AuthCache | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes the project's handler.

        Raises:
            TypeError: It asks for a parameter that there is not.
        """
        self._authenticate = authenticate
        self._asked = parameters_of(authenticate)
        self._cache = cache
        self._clock = clock
        self._kept: dict[bytes, _Kept] = {}
        self._threads: ThreadPoolExecutor | None = None
        if not _is_async(authenticate):
            # Threads of its own: the others may all be busy with nodes.
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="authenticate")

    async def authenticate(self, credentials: Credentials) -> Identity:
        """Returns who calls, as the project says.

        Raises:
            UnauthenticatedError, PermissionDeniedError, LimitReachedError: The project refuses.
            InternalError: It failed, or returned what makes no sense.
        """
        authorization = authorization_of(credentials)
        key = self._cache_key(credentials)
        if key is not None and (kept := self._kept.get(key)) is not None:
            if self._clock() < kept.until:
                return kept.identity
            del self._kept[key]
        identity = await self._ask(credentials, authorization)
        if key is not None and self._cache is not None:
            while self._kept and len(self._kept) >= self._cache.max_size:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = _Kept(identity, self._clock() + self._cache.ttl_seconds)
        return identity

    async def close(self) -> None:
        """Lets go of its threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, credentials: Credentials, authorization: str | None) -> Identity:
        try:
            arguments = arguments_for(self._asked, credentials, authorization)
            returned = await self._call(arguments)
            return identity_of_user(returned)
        except NotAuthenticatedError:
            raise UnauthenticatedError("the project says that the caller is nobody") from None
        except WrongUserError as error:
            raise wrong_result(_WHAT, self._authenticate, str(error)) from None
        except (Exception, SystemExit) as error:  # noqa: BLE001  # the project's own code
            if (answer := http_error_of(error)) is not None and is_refusal(answer[0]):
                raise refusal_of(*answer) from None
            if _is_starlettes_refusal(error):
                raise UnauthenticatedError(str(error) or "Unauthorized") from None
            raise failure(_WHAT, self._authenticate, error, secrets_of_call(credentials)) from None

    async def _call(self, arguments: dict[str, Any]) -> Any:
        if self._threads is None:
            return await self._authenticate(**arguments)
        returned = await in_thread(partial(self._authenticate, **arguments), self._threads)
        return await returned if inspect.isawaitable(returned) else returned

    def _cache_key(self, credentials: Credentials) -> bytes | None:
        """Returns by what a caller is known again; None if it has to be asked each time.

        A digest: what callers send is not kept.
        """
        if self._cache is None:
            return None
        names = self._cache.keys
        found = [(k, v) for k, v in credentials.metadata if k in names]
        if not found or not self._cache.max_size:
            return None
        return hashlib.sha256(repr(found).encode("utf-8", "surrogatepass")).digest()


def _is_async(code: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(code) or inspect.iscoroutinefunction(
        getattr(code, "__call__", None)  # noqa: B004  # an object with `async def __call__`
    )


def _is_starlettes_refusal(error: BaseException) -> bool:
    module = sys.modules.get("starlette.authentication")
    return module is not None and isinstance(error, module.AuthenticationError)
