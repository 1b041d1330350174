"""request_id: a call that is repeated gets the answer of the first one."""

from __future__ import annotations

from dataclasses import dataclass

from graphwire import errors

from graphwire_server.storage.interface import Reader
from graphwire_server.storage.records import RequestRecord

#: How long a request_id is remembered, in microseconds.
RETENTION = 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A request_id in its scope, with what the request means.

    Attributes:
        principal: Who calls.
        method: The RPC's name.
        request_id: The caller's id.
        fingerprint: A digest of the request's meaning, its request_id apart.
    """

    principal: str
    method: str
    request_id: str
    fingerprint: str

    def record(self, subject: str, *, now: int) -> RequestRecord:
        """Returns what to remember of the first call: the thread or run that came of it."""
        return RequestRecord(
            principal=self.principal,
            method=self.method,
            request_id=self.request_id,
            fingerprint=self.fingerprint,
            subject=subject,
            create_time=now,
        )


def remembered(db: Reader, key: RequestKey) -> RequestRecord | None:
    """Returns what is known of an earlier call with the same id; None if there was none.

    Raises:
        RequestIdReusedError: The earlier call was another request.
    """
    earlier = db.request(key.principal, key.method, key.request_id)
    if earlier is not None and earlier.fingerprint != key.fingerprint:
        raise errors.RequestIdReusedError(
            f"request_id {key.request_id!r} was used for another request; take a new one",
            resource=("request", key.request_id),
        )
    return earlier
