"""Where the keys of an issuer come from: a file, or an address that they are fetched from."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import structlog
from graphwire.errors import KeysUnavailableError

from graphwire_server.auth.changing_files import ChangingFile
from graphwire_server.auth.keys import KeySet, read_key_file, read_key_set
from graphwire_server.auth.setup_errors import AuthSetupError, UnusableFileError

if TYPE_CHECKING:
    import httpx

_log = structlog.get_logger("graphwire.auth")

_SETTING = "jwt_keys"
_MAX_BYTES = 1024 * 1024
_MAX_AGE = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?(\d{1,10})", re.IGNORECASE)


class KeySource(Protocol):
    """Has the keys of an issuer."""

    @property
    def generation(self) -> int:
        """Returns how often the keys have changed."""
        ...

    async def keys(self) -> KeySet:
        """Returns the keys.

        Raises:
            KeysUnavailableError: They are not to be had now.
        """
        ...

    async def look_again(self) -> bool:
        """Looks for a key that a token names and that is not there; False: it did just now.

        Raises:
            KeysUnavailableError: It can't be told now whether there is such a key.
        """
        ...

    async def close(self) -> None:
        """Ends what it does in the background."""
        ...


class KeyFile:
    """The keys of a PEM or JWKS file, which is read again when it has changed."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Reads the file.

        Raises:
            AuthSetupError: It can't be used.
        """
        self._file = ChangingFile(_SETTING, path, read_key_file, clock=clock)

    @property
    def generation(self) -> int:
        """Returns how often the keys have changed."""
        return self._file.generation

    async def keys(self) -> KeySet:
        """Returns the keys that the file has now, or had a second ago."""
        return await self._file.current()

    async def look_again(self) -> bool:
        """Does nothing: the file is looked at all the time."""
        return False

    async def close(self) -> None:
        """Does nothing."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long and how often, in seconds.

    Attributes:
        fresh: How long keys are used whose answer says nothing of it.
        least, most: Between which the answer's max-age counts.
        retry: How long to wait after a failure; twice as long after each further one,
            up to `unknown`.
        unknown: How often the keys are fetched at the most because a token names an unknown one.
        stale: How long keys are used when they can't be fetched any more.
        timeout: How long a fetch may take.
    """

    fresh: float = 300
    least: float = 60
    most: float = 3600
    retry: float = 1
    unknown: float = 10
    stale: float = 86_400
    timeout: float = 5


class KeyAddress:
    """The keys of a JWKS that is fetched from an address, again and again.

    They are fetched in the background, so that no call waits for that: only one whose token
    names a key that is not there.
    """

    def __init__(
        self, address: str, *, times: Times | None = None, clock: Callable[[], float] | None = None
    ) -> None:
        """Takes an address that `check_address` lets pass."""
        self._generation = 0
        self._address = address
        self._times = times or Times()
        self._clock = clock or time.monotonic
        self._client: httpx.AsyncClient | None = None
        self._set: KeySet | None = None
        self._got_at = 0.0
        self._tried_at = -float("inf")
        self._due = 0.0
        self._failures = 0
        self._fetching: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def generation(self) -> int:
        """Returns how often the keys have been fetched."""
        return self._generation

    async def open(self) -> None:
        """Fetches the keys for the first time; if that fails, it goes on trying."""
        import httpx

        parts = urlsplit(self._address)
        # Never through a proxy to this machine itself; the certificates of the environment
        # (SSL_CERT_FILE) count either way.
        self._client = httpx.AsyncClient(
            verify=httpx.create_ssl_context(),
            trust_env=not _is_loopback(parts.hostname or ""),
            timeout=self._times.timeout,
            headers={"accept": "application/jwk-set+json, application/json"},
        )
        await self._fetch_once()
        self._keeping = asyncio.create_task(self._keep_fresh())

    async def keys(self) -> KeySet:
        """Returns the keys as last fetched.

        Raises:
            KeysUnavailableError: They never were, or too long ago.
        """
        now = self._clock()
        if self._set is None or now - self._got_at > self._times.stale:
            raise self._unavailable()
        return self._set

    async def look_again(self) -> bool:
        """Fetches the keys, unless that was tried within the last seconds.

        Raises:
            KeysUnavailableError: That failed: the key may be among those that are there by now.
        """
        looks = self._fetching is not None or (
            self._clock() - self._tried_at >= self._times.unknown
        )
        if looks:
            await self._fetch_once()
        if self._failures:
            raise self._unavailable()
        return looks

    async def close(self) -> None:
        """Ends the fetching."""
        for task in (self._keeping, self._fetching):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if self._client is not None:
            await self._client.aclose()

    def _unavailable(self) -> KeysUnavailableError:
        return KeysUnavailableError(
            "the server can't get the keys at present that tell whether the token holds; try again",
            retry_after=max(1.0, self._due - self._clock()),
        )

    async def _keep_fresh(self) -> None:
        while True:
            wait = self._due - self._clock()
            if wait > 0:
                # A call may fetch them meanwhile: then it is not due yet.
                await asyncio.sleep(wait)
            else:
                await self._fetch_once()

    async def _fetch_once(self) -> None:
        """Fetches the keys; whoever wants that meanwhile waits for the same fetch."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        # The call that waits may be cancelled; the fetch is everybody's.
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            found, fresh = await self._answer()
        except UnusableFileError as error:
            self._note_failure(str(error))
        except Exception as error:  # noqa: BLE001  # whatever it was, it must go on trying
            _log.exception("auth_keys_failed", **self._named())
            self._note_failure(type(error).__name__)
        else:
            self._take(found, fresh)
        finally:
            self._tried_at = self._clock()
            self._fetching = None

    async def _answer(self) -> tuple[KeySet, float]:
        """Returns the keys that the address has, and how long they are fresh."""
        import httpx

        assert self._client is not None
        body = b""
        try:
            async with (
                asyncio.timeout(self._times.timeout),
                self._client.stream("GET", self._address) as response,
            ):
                if response.status_code != 200:
                    raise UnusableFileError(f"answered with HTTP status {response.status_code}")
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > _MAX_BYTES:
                        raise UnusableFileError("answered with more than 1 MiB")
                caching = response.headers.get("cache-control", "")
        except TimeoutError:
            raise UnusableFileError(f"has not answered in {self._times.timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            why = f"{type(error).__name__}: {error}".rstrip(": ")
            raise UnusableFileError(f"can't be reached: {why}") from None
        return read_key_set(body, with_secrets=False), self._fresh_for(caching)

    def _fresh_for(self, caching: str) -> float:
        times = self._times
        if re.search(r"\bno-(?:cache|store)\b", caching, re.IGNORECASE):
            return times.least
        found = _MAX_AGE.search(caching)
        age = float(found[1]) if found else times.fresh
        return min(max(age, times.least), times.most)

    def _take(self, found: KeySet, fresh: float) -> None:
        now = self._clock()
        if self._set is None or _names(found) != _names(self._set):
            for reason in found.skipped:
                _log.warning("auth_key_unusable", **self._named(), reason=reason)
            if not found.keys:
                _log.warning("auth_keys_empty", **self._named(), hint="no token can hold")
        if self._failures:
            _log.info("auth_keys_reached", **self._named(), keys=len(found.keys))
        self._set, self._got_at, self._due, self._failures = found, now, now + fresh, 0
        self._generation += 1

    def _note_failure(self, reason: str) -> None:
        times = self._times
        wait = min(times.retry * 2 ** min(self._failures, 30), times.unknown)
        self._due = self._clock() + wait
        self._failures += 1
        if self._failures > 1:
            return
        if self._set is None:
            hint = "tokens are refused with UNAVAILABLE until the keys are there"
        else:
            hint = f"the keys that were fetched last are used for {times.stale / 3600:g} h"
        _log.warning("auth_keys_unreachable", **self._named(), error=reason, hint=hint)

    def _named(self) -> dict[str, str]:
        # Without the query, which may be a secret.
        return {"setting": _SETTING, "address": self._address.partition("?")[0]}


def _names(found: KeySet) -> list[tuple[str, frozenset[str]]]:
    return [(key.kid, key.algorithms) for key in found.keys]


def check_address(address: str) -> None:
    """Checks that keys may be fetched from an address.

    Raises:
        AuthSetupError: Not over https, or it has a user's name and password in it.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise AuthSetupError(f"{_SETTING}: is no address that can be read") from None
    if not host:
        raise AuthSetupError(f"{_SETTING}: the address names no host")
    if parts.username is not None or parts.password is not None:
        raise AuthSetupError(
            f"{_SETTING}: the address must not have a name and password in it: keys are public"
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise AuthSetupError(
            f"{_SETTING}: http://{host}: whoever sits in between could give the server keys of "
            "his own; use https:// (http:// is for this machine alone)"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
