"""The request_id of a call that is no start of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from graphwire_server import jsontext
from graphwire_server.rpc import validation
from graphwire_server.rpc.principal import current_principal
from graphwire_server.runs.idempotency import RequestKey


def request_key(method: str, request_id: str, meaning: Mapping[str, Any]) -> RequestKey | None:
    """Returns a request_id in its scope; None for "".

    Args:
        method: The RPC's name.
        request_id: The caller's id.
        meaning: What the request means, as JSON.

    Raises:
        InvalidFieldError: The id is malformed.
    """
    if not validation.request_id(request_id):
        return None
    digest = hashlib.sha256(jsontext.canonical(meaning).encode()).hexdigest()
    return RequestKey(current_principal(), method, request_id, digest)
