"""Sends webhooks: one POST to an address that was checked, and what its answer means.

It is httpx's transport below its client: nothing follows redirects, reads proxies or passwords
from the environment, keeps cookies, or uses a connection twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path

import httpx
from graphwire.webhooks import sign

from graphwire_server.webhooks.addresses import Address, read_address
from graphwire_server.webhooks.policy import Target, UrlPolicy, UrlRefusedError

#: Looks a name up: (name, port) to the addresses, as texts.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

#: Those that say that a request is right, and comes at the wrong time or place.
_RETRIED_CODES = frozenset({408, 421, 425, 429})
#: How much of an answer's body is read, so that its sender sees no broken connection, and for
#: how long.
_MAX_READ_BYTES, _MAX_READ_SECONDS = 16 * 1024, 1.0
#: How many addresses of one name are tried.
_MAX_ADDRESSES = 3
_MAX_ERROR = 300


class Result(StrEnum):
    """What came of an attempt: DELIVERED, or the attempt may be repeated, or must not be."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt.

    Attributes:
        result: What it means.
        status_code: The status of the answer; 0 if there was none.
        error: What went wrong, without secrets; empty if nothing did.
        retry_after: How long the receiver wants to be left alone, in seconds; None if it did
            not say.
    """

    result: Result
    status_code: int = 0
    error: str = ""
    retry_after: float | None = None


class Sender:
    """Sends webhooks."""

    def __init__(
        self,
        policy: UrlPolicy,
        *,
        secrets: Sequence[str],
        headers: Mapping[str, str],
        timeout_seconds: float,
        context: ssl.SSLContext,
        resolve: Resolve,
        agent: str = "graphwire",
    ) -> None:
        """Makes a sender.

        Args:
            policy: Where webhooks may be sent to.
            secrets: Each signs them all; none: they are not signed.
            headers: Sent with each.
            timeout_seconds: How long an attempt may take.
            context: Whose certificates are believed.
            resolve: Looks names up.
            agent: What User-Agent says.
        """
        self._policy = policy
        self._secrets = tuple(secrets)
        self._headers = {"User-Agent": agent, **headers}
        self._timeout = timeout_seconds
        self._resolve = resolve
        self._transport = httpx.AsyncHTTPTransport(
            verify=context,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """Closes what is open."""
        await self._transport.aclose()

    async def send(self, url: str, *, webhook_id: str, attempt: int, body: bytes) -> Answer:
        """Sends a webhook once; what goes wrong is in the answer.

        Args:
            url: Where to; it is checked.
            webhook_id: Its id, the same in each attempt.
            attempt: Which attempt it is, from 1.
            body: Its JSON.
        """
        try:
            async with asyncio.timeout(self._timeout):
                target = self._policy.check(url)
                addresses = await self._addresses(target)
                return await self._post(target, addresses, webhook_id, attempt, body)
        except UrlRefusedError as error:
            return Answer(Result.REFUSED, error=f"the URL {error}")
        except TimeoutError:
            return Answer(Result.RETRY, error=f"no answer within {self._timeout:g} s")
        except OSError as error:
            return Answer(Result.RETRY, error=_words("its host was not found", error))
        except httpx.ConnectError as error:
            return Answer(Result.RETRY, error=_words("can't connect", error))
        except httpx.TimeoutException:
            return Answer(Result.RETRY, error=f"no answer within {self._timeout:g} s")
        except httpx.HTTPError as error:
            return Answer(Result.RETRY, error=_words("no answer", error))

    async def _addresses(self, target: Target) -> list[Address]:
        """Returns the addresses of a target, each of which was checked."""
        if target.address is not None:
            found = [target.address]
        else:
            texts = await self._resolve(target.host, target.port)
            read = [read_address(text) for text in dict.fromkeys(texts)]
            found = [address for address in read if address is not None]
            if not found or len(found) < len(read):
                raise OSError("it has no address that can be used")
        # All of them: a name with a private address among others is no accident.
        for address in found:
            self._policy.check_address(address)
        return found[:_MAX_ADDRESSES]

    async def _post(
        self,
        target: Target,
        addresses: Sequence[Address],
        webhook_id: str,
        attempt: int,
        body: bytes,
    ) -> Answer:
        for address in addresses[:-1]:
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._post_to(
                    target, address, webhook_id, attempt, body, connect=self._timeout / 4
                )
        return await self._post_to(
            target, addresses[-1], webhook_id, attempt, body, connect=self._timeout
        )

    async def _post_to(
        self,
        target: Target,
        address: Address,
        webhook_id: str,
        attempt: int,
        body: bytes,
        *,
        connect: float,
    ) -> Answer:
        timeouts = httpx.Timeout(self._timeout, connect=connect)
        request = httpx.Request(
            "POST",
            httpx.URL(
                scheme=target.scheme,
                host=str(address),
                port=target.port,
                raw_path=target.path.encode(),
            ),
            headers={
                **self._headers,
                **self._signature(webhook_id, body),
                "Host": target.authority,
                "Content-Type": "application/json",
                "Graphwire-Attempt": str(attempt),
            },
            content=body,
            # The connection goes to the address that was checked; the name is for the
            # certificate, and for whoever serves several names.
            extensions={"sni_hostname": target.host, "timeout": timeouts.as_dict()},
        )
        response = await self._transport.handle_async_request(request)
        await _read_some(response)
        return _answer(response)

    def _signature(self, webhook_id: str, body: bytes) -> dict[str, str]:
        now = int(time.time())
        headers = {"webhook-id": webhook_id, "webhook-timestamp": str(now)}
        if self._secrets:
            signatures = [sign(webhook_id, now, body, secret) for secret in self._secrets]
            headers["webhook-signature"] = " ".join(signatures)
        return headers


class Resolver:
    """Looks names up with the system's resolver, on threads of its own.

    On no others: a name server that does not answer would keep nodes from running.
    """

    def __init__(self, threads: int) -> None:
        """Takes how many names may be looked up at once."""
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="webhook-dns")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Returns the addresses of a name, in the order in which to try them."""

        def look_up() -> list[str]:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return [str(entry[4][0]) for entry in found]

        return await asyncio.get_running_loop().run_in_executor(self._threads, look_up)

    def close(self) -> None:
        """Gives the threads up; one that waits for an answer ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Returns whose certificates are believed: the system's, and those of a file.

    Raises:
        OSError: The file can't be read, or has no certificates.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


async def _read_some(response: httpx.Response) -> None:
    read = 0
    try:
        with contextlib.suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(_MAX_READ_SECONDS):
                async for chunk in response.aiter_raw():
                    read += len(chunk)
                    if read >= _MAX_READ_BYTES:
                        break
    finally:
        await response.aclose()


def _answer(response: httpx.Response) -> Answer:
    code = response.status_code
    if 200 <= code < 300:
        return Answer(Result.DELIVERED, code)
    if 300 <= code < 400:
        error = f"HTTP {code}: a redirect, which is not followed"
        return Answer(Result.REFUSED, code, error)
    if 400 <= code < 500 and code not in _RETRIED_CODES:
        return Answer(Result.REFUSED, code, f"HTTP {code}")
    after = _seconds(response.headers.get("Retry-After", ""))
    return Answer(Result.RETRY, code, f"HTTP {code}", after)


def _seconds(text: str) -> float | None:
    """Returns what Retry-After says, in seconds from now; None if it says nothing."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        return max(when.timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):  # numbers of any length are read
        return None


def _words(what: str, error: Exception) -> str:
    text = "".join(filter(str.isprintable, str(error)))
    return f"{what}: {text}"[:_MAX_ERROR] if text else what
