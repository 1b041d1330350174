"""Who is at the other end of a connection, as its certificate says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import grpc

_SPIFFE = b"spiffe://"


def peer_identity(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """Returns the name in the certificate of a caller, which the client CA vouches for.

    That is its SPIFFE id (a URI among its alternative names), else the first DNS name among
    them, else the common name of its subject. Empty: it has shown no certificate, as without
    mTLS, or one with none of these, or with one that could be taken for somebody else's.
    """
    found: Mapping[str, Iterable[bytes]] = context.auth_context()
    uris = [uri for uri in found.get("peer_uri", ()) if uri.startswith(_SPIFFE)]
    # A certificate with several SPIFFE ids is none of a workload: nobody says which is meant.
    if len(uris) > 1:
        return ""
    for names in (uris, found.get("peer_dns", ()), found.get("x509_common_name", ())):
        for name in names:
            if name:
                # Authorities look at URIs more closely than at what else may be written there.
                posing = names is not uris and name.lower().startswith(_SPIFFE)
                return "" if posing else _text(name)
    return ""


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return ""
