"""Calls, as authenticators see them."""

from __future__ import annotations

from graphwire_server.auth.identity import Credentials

METHOD = "/graphwire.v1.Threads/GetThread"


def call(
    authorization: str | None = None,
    *metadata: tuple[str, str | bytes],
    certificate: str = "",
    peer: str = "ipv4:127.0.0.1:4711",
) -> Credentials:
    """A call with an `authorization` and other metadata."""
    own: list[tuple[str, str | bytes]] = []
    if authorization is not None:
        own.append(("authorization", authorization))
    return Credentials(METHOD, (*own, *metadata), peer=peer, certificate=certificate)
