"""A thread, as a caller sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from graphwire_server.runs.refusals import thread_not_found
from graphwire_server.storage.access import ALL, Access
from graphwire_server.storage.interface import Reader
from graphwire_server.storage.records import PauseRecord, ThreadRecord


@dataclass(frozen=True, slots=True)
class ThreadView:
    """A thread with its open pauses, and parts of its state, as JSON text, by name."""

    thread: ThreadRecord
    pauses: Sequence[PauseRecord]
    extracted: Mapping[str, str] = field(default_factory=dict)


def view_of(
    db: Reader, thread_id: str, *, values: bool = False, access: Access = ALL
) -> ThreadView:
    """Returns a thread; one that is not for the caller to see is not there."""
    thread = db.thread(thread_id, values=values)
    if thread is None or not access.admits(thread.owner, thread.metadata):
        raise thread_not_found(thread_id)
    return ThreadView(thread, db.open_pauses(thread_id))
