"""Callers that their certificates name."""

from __future__ import annotations

from graphwire.errors import UnauthenticatedError

from graphwire_server.auth.identity import Credentials, Identity
from graphwire_server.auth.names import described, wrong_name


def identity_of_certificate(credentials: Credentials) -> Identity | None:
    """Returns whom a caller's verified certificate names; None without a certificate.

    Raises:
        UnauthenticatedError: It names nobody that can be a principal.
    """
    name = credentials.certificate
    if not name:
        return None
    if reason := wrong_name(name):
        raise UnauthenticatedError(f"the name in the caller's certificate {reason}")
    return Identity(principal=name, owner=name, user=described(name, ()))
