"""What both clients share: how they are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import grpc

from graphwire._settings import (
    DEFAULT_REJOIN_TIMEOUT,
    DEFAULT_TIMEOUT,
    Settings,
    check_settings,
)

ChannelT = TypeVar("ChannelT")


class BaseClient(Generic[ChannelT]):
    """The constructor of both clients."""

    def __init__(
        self,
        target: str | None = None,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | Callable[[], str] | None = None,
        allow_insecure_token: bool = False,
        timeout: float | None = DEFAULT_TIMEOUT,
        rejoin_timeout: float = DEFAULT_REJOIN_TIMEOUT,
        metadata: Sequence[tuple[str, str | bytes]] = (),
        options: Sequence[tuple[str, Any]] = (),
        channel: ChannelT | None = None,
    ) -> None:
        """Makes a client; it connects with the first call.

        Args:
            target: Where the server is, as gRPC writes it: `host:port`, `dns:///…`,
                `unix:…`. None: the environment's GRAPHWIRE_TARGET, else
                `127.0.0.1:50051`.
            credentials: For TLS, such as `grpc.ssl_channel_credentials()`; for mTLS
                with a certificate. None: plain text.
            token: Sent with each call as `authorization: Bearer …`; a callable is asked
                for each call. Over plain text only to this machine.
            allow_insecure_token: Send the token over plain text anywhere.
            timeout: The limit in seconds of unary calls that have none of their own;
                None: no limit. Waiting for a run and streams have none by default.
            rejoin_timeout: For how many seconds without progress a stream (or a wait)
                tries to reach the server again when the connection is lost; 0: not at all.
            metadata: Sent with each call.
            options: gRPC channel options, besides the client's own or in their place.
            channel: An existing channel to use, instead of `target`, `credentials` and
                `options`; it is not closed with the client. A token goes over it as it is.

        Raises:
            ValueError: Settings that contradict one another, or a token that would go
                over the network in plain text.
        """
        settings = check_settings(
            target=target,
            credentials=credentials,
            token=token,
            allow_insecure_token=allow_insecure_token,
            timeout=timeout,
            rejoin_timeout=rejoin_timeout,
            metadata=metadata,
            options=options,
            has_channel=channel is not None,
        )
        self._connect(settings, channel)

    def _connect(self, settings: Settings, channel: ChannelT | None) -> None:
        raise NotImplementedError
