"""What a client is told when it is made, checked, and what it means for its channel."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from graphwire._calls import Call
from graphwire._retry import LIMIT_PATIENCE, Retry
from graphwire.tls import Tls, from_environment, in_words_of_the_environment

#: Where a client connects to when neither it nor GRAPHWIRE_TARGET says.
DEFAULT_TARGET = "127.0.0.1:50051"

#: The limit of a unary call in seconds, where neither call nor client says.
DEFAULT_TIMEOUT = 30.0

#: For how many seconds without progress a stream tries to rejoin.
DEFAULT_REJOIN_TIMEOUT = 60.0

#: For how many seconds a call that can be repeated is tried again.
CALL_PATIENCE = 2.0

_WHOLE_EVENTS = ("graphwire-events", "whole")

_CHANNEL_OPTIONS: dict[str, Any] = {
    # State can be large; the server has its own limits.
    "grpc.max_receive_message_length": -1,
    # Finds out about a peer that is gone without a word.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.http2.max_pings_without_data": 0,
    # gRPC waits up to two minutes before it connects again, longer than a stream tries; a call
    # is refused meanwhile, so this is shorter than it is tried again.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
}


class PlainTokenError(ValueError):
    """A token would go over the network in plain text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a client; see `AsyncClient` for what they mean."""

    target: str
    credentials: grpc.ChannelCredentials | None
    tls: Tls | None
    token: str | Callable[[], str] | None = field(repr=False)
    timeout: float | None
    rejoin_timeout: float
    metadata: tuple[tuple[str, str | bytes], ...] = field(repr=False)
    options: tuple[tuple[str, Any], ...]

    def retry(self, call: Call[Any]) -> Retry:
        """Returns the deadline of a call, and how often it may be tried."""
        patience = self.rejoin_timeout if call.waits else CALL_PATIENCE
        timeout = None if call.waits else self.timeout
        return Retry(
            patience=patience if call.repeatable else 0.0,
            timeout=timeout if call.timeout is None else call.timeout,
            limit_patience=LIMIT_PATIENCE,
        )

    def call_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """Returns what goes with each call."""
        if self.token is None:
            return self.metadata
        token = self.token() if callable(self.token) else self.token
        return (*self.metadata, ("authorization", f"Bearer {token}"))

    def channel_options(self) -> list[tuple[str, Any]]:
        """Returns the options for the channel: ours, then the caller's in their place."""
        options = dict(_CHANNEL_OPTIONS)
        if _is_local(self.target):
            options["grpc.enable_http_proxy"] = 0
        if self.tls is not None:
            options |= self.tls.options()
        return list({**options, **dict(self.options)}.items())


def check_settings(
    *,
    target: str | None,
    credentials: grpc.ChannelCredentials | None,
    tls: Tls | bool | None,
    token: str | Callable[[], str] | None,
    allow_insecure_token: bool,
    timeout: float | None,
    rejoin_timeout: float,
    metadata: Sequence[tuple[str, str | bytes]],
    options: Sequence[tuple[str, Any]],
    has_channel: bool,
) -> Settings:
    """Checks what a client was given, and fills in the defaults.

    Raises:
        ValueError: Settings that contradict one another, a file that can't be read, or a token
            that would go over the network in plain text.
    """
    if has_channel and (target is not None or credentials is not None or tls or options):
        raise ValueError("channel= brings its own target, credentials, tls and options")
    if credentials is not None and tls:
        raise ValueError("credentials= and tls= say the same: give one of them")
    if timeout is not None and timeout <= 0:
        raise ValueError(f"timeout is {timeout}: it must be more than 0")
    if rejoin_timeout < 0:
        raise ValueError(f"rejoin_timeout is {rejoin_timeout}: it must be 0 or more")
    keys = {key.lower() for key, _ in metadata}
    if "graphwire-payload" in keys:
        raise ValueError("metadata can't have graphwire-payload: the client reads JSON alone")
    if token is not None and "authorization" in keys:
        raise ValueError("metadata can't have authorization as well as token=")
    target = target or os.environ.get("GRAPHWIRE_TARGET") or DEFAULT_TARGET
    used_tls = None
    if credentials is None and not has_channel:
        used_tls, credentials = _tls(tls)
    plain = credentials is None and not has_channel and not _is_local(target)
    secret = token is not None or "authorization" in keys
    if secret and plain and not allow_insecure_token:
        raise PlainTokenError(
            f"the token (or authorization) would go to {target} in plain text: pass tls=True, "
            "or allow_insecure_token=True"
        )
    return Settings(
        target=target,
        credentials=credentials,
        tls=used_tls,
        token=token,
        timeout=timeout,
        rejoin_timeout=rejoin_timeout,
        metadata=_with_whole_events(metadata, has_channel=has_channel),
        options=tuple(options),
    )


def _tls(given: Tls | bool | None) -> tuple[Tls | None, grpc.ChannelCredentials | None]:
    if given is False:
        return None, None
    if isinstance(given, Tls):
        return given, given.credentials()
    try:
        found = from_environment(wanted=given is True)
        return found, None if found is None else found.credentials()
    except ValueError as error:
        raise ValueError(in_words_of_the_environment(str(error))) from error


def _with_whole_events(
    metadata: Sequence[tuple[str, str | bytes]], *, has_channel: bool
) -> tuple[tuple[str, str | bytes], ...]:
    """Asks for events and answers of any size, which a channel of the client's own takes."""
    asked = any(key.lower() == _WHOLE_EVENTS[0] for key, _ in metadata)
    return tuple(metadata) if has_channel or asked else (*metadata, _WHOLE_EVENTS)


def _is_local(target: str) -> bool:
    """Whether what is sent to the target stays on this machine."""
    scheme, colon, rest = target.partition(":")
    if colon and scheme in ("unix", "unix-abstract"):
        return True
    if colon and scheme in ("dns", "ipv4", "ipv6"):
        target = rest.rpartition("/")[2]
    return all(_is_loopback(_host(address)) for address in target.split(","))


def _host(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.rpartition(":")[0] or address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
