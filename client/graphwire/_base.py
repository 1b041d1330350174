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
from graphwire.tls import Tls

ChannelT = TypeVar("ChannelT")


class BaseClient(Generic[ChannelT]):
    """The constructor of both clients."""

    def __init__(
        self,
        target: str | None = None,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        tls: Tls | bool | None = None,
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
            credentials: Of gRPC, in the place of `tls`.
            tls: A `Tls` says whom to trust, and with which certificate; True: what the
                environment says of that (GRAPHWIRE_CA_FILE, GRAPHWIRE_CLIENT_CERTIFICATE_FILE,
                GRAPHWIRE_CLIENT_KEY_FILE, GRAPHWIRE_SERVER_NAME), else gRPC's own
                authorities. False: plain text. None: TLS if the environment has one of these,
                or GRAPHWIRE_TLS=1; else plain text.
            token: Sent with each call as `authorization: Bearer …`; a callable is asked
                for each call. Over plain text only to this machine.
            allow_insecure_token: Send the token over plain text anywhere.
            timeout: The limit in seconds of unary calls that have none of their own;
                None: no limit. Waiting for a run and streams have none by default.
            rejoin_timeout: For how many seconds without progress a stream (or a wait)
                tries to reach the server again when the connection is lost; 0: not at all.
            metadata: Sent with each call.
            options: gRPC channel options, besides the client's own or in their place.
            channel: An existing channel to use, instead of `target`, `credentials`, `tls` and
                `options`; it is not closed with the client. A token goes over it as it is.

        Raises:
            ValueError: Settings that contradict one another, a file that can't be read, or
                a token that would go over the network in plain text.
        """
        settings = check_settings(
            target=target,
            credentials=credentials,
            tls=tls,
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
