"""Several requests to start runs, taken together: all or none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from graphwire import errors

from graphwire_server import jsontext
from graphwire_server.runs.acceptance import run_started_earlier
from graphwire_server.runs.caller import Caller
from graphwire_server.runs.idempotency import RequestKey, remembered
from graphwire_server.runs.request import RunRequest
from graphwire_server.storage.interface import Reader
from graphwire_server.storage.records import RunRecord

#: Between the ids of the runs that a request_id of a batch stands for.
_SEPARATOR = " "
_PLACE = re.compile(r"requests\[(\d+)\]")


@contextmanager
def of_request(index: int) -> Iterator[None]:
    """Has an error say of which request of a batch it is."""
    try:
        yield
    except errors.GraphwireError as error:
        place = f"requests[{index}]"
        violations = [
            errors.FieldViolation(f"{place}.{v.field}" if v.field else place, v.description)
            for v in error.violations
        ]
        raise type(error)(
            error.message if violations else f"{place}: {error.message}",
            violations=violations,
            metadata={**error.metadata, "request_index": str(index)},
            resource=error.resource,
            retry_after=error.retry_after,
        ) from error


def place_of(field: str) -> dict[str, str]:
    """Returns, as metadata of an error about a field, of which request of a batch it is."""
    found = _PLACE.match(field)
    return {"request_index": found[1]} if found else {}


def sure_to_wait(requests: Sequence[RunRequest], *, at_once: int) -> int:
    """Returns how many runs of a batch have to wait in the queue, however empty the server is.

    They are those that are put off, those behind another one on their thread, and those beyond
    what is executed at once. A resume never waits.

    Args:
        requests: The batch.
        at_once: How many runs of its principal are executed at once at the most.
    """
    threads: set[str] = set()
    waiting = others = 0
    for request in requests:
        if request.resume is not None:
            continue
        behind = request.thread_id in threads and request.multitask == "ENQUEUE"
        waiting += bool(request.start_delay) or behind
        others += not (request.start_delay or behind)
        if request.thread_id:
            threads.add(request.thread_id)
    return waiting + max(0, others - at_once)


def fingerprint(requests: Sequence[RunRequest]) -> str:
    """Returns a digest of what a batch means."""
    each = [request.fingerprint() for request in requests]
    return hashlib.sha256(jsontext.canonical(each).encode()).hexdigest()


def subject(runs: Sequence[RunRecord]) -> str:
    """Returns what is remembered of the runs that came of a batch."""
    return _SEPARATOR.join(run.run_id for run in runs)


def batch_started_earlier(
    db: Reader, key: RequestKey | None, callers: Sequence[Caller]
) -> Sequence[RunRecord] | None:
    """Returns the runs that an earlier call with the same request_id started; None if none did.

    Args:
        db: Where runs are kept.
        key: The request_id; None without one.
        callers: Who calls, once for each of the requests.

    Raises:
        RequestIdReusedError: The earlier call was another request.
        RunNotFoundError: One of the runs was deleted meanwhile, or is not to be seen any more.
    """
    earlier = remembered(db, key) if key is not None else None
    if earlier is None:
        return None
    return [
        run_started_earlier(db, run_id, caller.access)
        for run_id, caller in zip(earlier.subject.split(_SEPARATOR), callers, strict=True)
    ]
