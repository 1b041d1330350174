"""Signatures of webhooks, for those who receive them.

    from graphwire.webhooks import WebhookVerificationError, verify

    event = verify(request.headers, body, secret)
    if event["type"] == "run.interrupted":
        ...

They are those of the Standard Webhooks specification, so any of its libraries can be used
instead.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["WebhookVerificationError", "sign", "verify"]

_ID, _TIMESTAMP, _SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_PREFIX = "whsec_"
_VERSION = "v1"
_TOLERANCE_SECONDS = 300.0


class WebhookVerificationError(ValueError):
    """A request is not a webhook of somebody who knows the secret, or is too old."""


def verify(
    headers: Mapping[str, str],
    body: bytes | str,
    secret: str | Iterable[str],
    *,
    tolerance_seconds: float = _TOLERANCE_SECONDS,
    now: float | None = None,
) -> dict[str, Any]:
    """Checks the signature of a webhook, and returns its body.

    The same webhook may come more than once: its `id`, which is also the header `webhook-id`,
    is the same each time.

    Args:
        headers: The headers of the request; upper and lower case are the same.
        body: The body as it came, not parsed and written again.
        secret: The secret, `whsec_…`; or several, any of which may have signed it.
        tolerance_seconds: How old the request may be, and how far ahead its clock.
        now: The time in seconds since 1970; unset: this machine's.

    Raises:
        WebhookVerificationError: It must not be believed.
        ValueError: A secret is none.
    """
    keys = [_key(each) for each in ([secret] if isinstance(secret, str) else secret)]
    if not keys:
        raise ValueError("no secret was given")
    found = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in (_ID, _TIMESTAMP, _SIGNATURE) if not found.get(name)]
    if missing:
        raise WebhookVerificationError(f"the request has no {', '.join(missing)}")
    timestamp = _timestamp(found[_TIMESTAMP])
    age = (time.time() if now is None else now) - timestamp
    if abs(age) > tolerance_seconds:
        when = "ago" if age > 0 else "ahead"
        raise WebhookVerificationError(
            f"the request was signed {abs(age):.0f} s {when}; at most {tolerance_seconds:.0f} s "
            "are allowed"
        )
    data = body.encode() if isinstance(body, str) else bytes(body)
    wanted = [_digest(key, found[_ID], timestamp, data).encode() for key in keys]
    given = [
        signature.encode()
        for version, comma, signature in (
            part.partition(",") for part in found[_SIGNATURE].split(" ")
        )
        if comma and version == _VERSION
    ]
    # All of them are compared, so that the time says nothing about which one fits.
    fits = [hmac.compare_digest(one, other) for one in wanted for other in given]
    if not any(fits):
        raise WebhookVerificationError("no signature of the request fits the secret")
    try:
        event = json.loads(data)
    except ValueError:
        raise WebhookVerificationError("the body is not JSON") from None
    if not isinstance(event, dict):
        raise WebhookVerificationError("the body is no JSON object")
    return event


def sign(webhook_id: str, timestamp: int, body: bytes | str, secret: str) -> str:
    """Returns the signature of a webhook: what the header `webhook-signature` has.

    Args:
        webhook_id: Its id, as in the header `webhook-id`.
        timestamp: When it is sent, in seconds since 1970, as in the header `webhook-timestamp`.
        body: Its body.
        secret: The secret, `whsec_…`.

    Raises:
        ValueError: The secret is none.
    """
    data = body.encode() if isinstance(body, str) else bytes(body)
    return f"{_VERSION},{_digest(_key(secret), webhook_id, timestamp, data)}"


def _digest(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ValueError(f"a secret is {_PREFIX} and its bytes in base64")
    return key


def _timestamp(text: str) -> int:
    # int() takes more than the specification does: blanks, signs, underscores.
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise WebhookVerificationError(f"{_TIMESTAMP} is no time in seconds since 1970")
    return int(text)
