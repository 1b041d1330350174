"""Copies a thread, so that either can go on without the other."""

from __future__ import annotations

from dataclasses import replace

import orjson

from graphwire_server import jsontext
from graphwire_server.runs.caller import Caller
from graphwire_server.runs.clock import new_id
from graphwire_server.runs.inheritance import as_user, inherited, without_start, without_webhook
from graphwire_server.runs.refusals import thread_busy, thread_exists, thread_not_found
from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.records import ThreadStatus


def copy_thread(
    tx: Transaction, thread_id: str, new_thread_id: str, *, now: int, caller: Caller
) -> str:
    """Copies a thread as it stands, and returns the id of the copy.

    What was approved stays approved, since tasks have the same ids in the copy; what is open is
    open in both, under ids of its own, and never expires in the copy. The runs stay behind, and so
    does what waits in the queue: the pauses of the copy name none that has made them.

    Args:
        tx: The database.
        thread_id: The thread.
        new_thread_id: The id of the copy; empty: a new one.
        now: The time, in microseconds.
        caller: Who copies it, to whom the copy belongs.

    Raises:
        ThreadNotFoundError: There is no such thread.
        ThreadExistsError: The id of the copy is taken.
        ThreadBusyError: A run of the thread is queued or running, and no pause holds it.
    """
    thread = tx.thread(thread_id)
    if thread is None or not caller.access.admits(thread.owner, thread.metadata):
        raise thread_not_found(thread_id)
    if new_thread_id and (tx.thread(new_thread_id) or tx.checkpoint_namespaces(new_thread_id)):
        raise thread_exists(new_thread_id)
    if thread.status is ThreadStatus.BUSY:
        raise thread_busy(thread_id, tx.active_runs(thread_id))
    copy = replace(
        thread,
        thread_id=new_thread_id or new_id(),
        create_time=now,
        update_time=now,
        stateless=False,
        owner=caller.owner,
    )
    if caller.thread_metadata:
        merged = {**orjson.loads(thread.metadata), **caller.thread_metadata}
        copy = replace(copy, metadata=jsontext.dumps(merged))
    tx.copy_thread(thread_id, copy, new_id)
    tx.insert_pauses(
        [
            replace(
                pause,
                pause_id=new_id(),
                thread_id=copy.thread_id,
                # To cancel that run is to give up the original's pauses.
                run_id="",
                # The deadline is about the original: a copy must do nothing by itself.
                expire_time=None,
                on_expiry="",
                expiry_message="",
            )
            for pause in tx.open_pauses(thread_id)
        ],
        now=now,
    )
    inheritance = inherited(tx, thread_id)
    if inheritance is not None:
        # Nor does anybody hear of the copy who asked to be told of the original; and what goes on
        # there by itself does so for whoever has made it.
        kept = without_webhook(without_start(inheritance))
        tx.put_inheritance(copy.thread_id, as_user(kept, caller.user))
    return copy.thread_id
