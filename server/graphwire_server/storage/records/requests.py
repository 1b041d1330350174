"""Requests that are not to be carried out twice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request_id that was used, and what came of it.

    Attributes:
        principal: Who called.
        method: The full name of the RPC.
        request_id: The caller's id.
        fingerprint: A digest of the request's meaning.
        subject: The id of what it made or changed: a thread or a run.
        create_time: When it was used.
    """

    principal: str
    method: str
    request_id: str
    fingerprint: str
    subject: str
    create_time: int
