"""Records with what a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from graphwire_server.storage.interface import Storage, Transaction
from graphwire_server.storage.records import (
    AssistantRecord,
    EventRecord,
    PauseKind,
    PauseRecord,
    RequestRecord,
    RunRecord,
    RunStatus,
    ThreadRecord,
    ThreadStatus,
)

#: A lease that does not lapse while a test runs, in microseconds.
A_DAY = 24 * 60 * 60 * 1_000_000


def a_thread(thread_id: str = "thread", **given: Any) -> ThreadRecord:
    filled: dict[str, Any] = {
        "status": ThreadStatus.IDLE,
        "metadata": "{}",
        "create_time": 1,
        "update_time": 1,
    }
    return ThreadRecord(thread_id=thread_id, **(filled | given))


def a_run(run_id: str = "run", thread_id: str = "thread", **given: Any) -> RunRecord:
    filled: dict[str, Any] = {
        "assistant_id": "agent",
        "status": RunStatus.PENDING,
        "spec": '{"input": 1}',
        "metadata": "{}",
        "create_time": 1,
        "due_time": 1,
    }
    return RunRecord(run_id=run_id, thread_id=thread_id, **(filled | given))


def a_pause(pause_id: str = "pause", thread_id: str = "thread", **given: Any) -> PauseRecord:
    filled: dict[str, Any] = {
        "run_id": "run",
        "kind": PauseKind.BREAKPOINT_BEFORE,
        "node": "action",
        "namespace": (),
        "checkpoint_id": "checkpoint",
        "create_time": 1,
    }
    return PauseRecord(pause_id=pause_id, thread_id=thread_id, **(filled | given))


def an_assistant(assistant_id: str = "mine", **given: Any) -> AssistantRecord:
    filled: dict[str, Any] = {
        "graph_id": "agent",
        "version": 1,
        "name": assistant_id,
        "create_time": 1,
        "update_time": 1,
    }
    return AssistantRecord(assistant_id=assistant_id, **(filled | given))


def an_event(sequence: int, run_id: str = "run", data: bytes = b"event") -> EventRecord:
    return EventRecord(run_id=run_id, sequence=sequence, data=data)


def a_request(request_id: str = "request", **given: Any) -> RequestRecord:
    filled: dict[str, Any] = {
        "principal": "alice",
        "method": "/graphwire.v1.Runs/CreateRun",
        "fingerprint": "f00",
        "subject": "subject",
        "create_time": 1,
    }
    return RequestRecord(request_id=request_id, **(filled | given))


async def add(
    storage: Storage, *records: ThreadRecord | RunRecord | PauseRecord | EventRecord
) -> None:
    """Adds records in one write, in the order given."""

    def insert(tx: Transaction) -> None:
        for record in records:
            match record:
                case ThreadRecord():
                    tx.insert_thread(record)
                case RunRecord():
                    tx.insert_run(record)
                case PauseRecord():
                    tx.insert_pauses([record])
                case EventRecord():
                    tx.append_events([record])

    await storage.write(insert)
