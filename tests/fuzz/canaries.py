"""Threads that nobody who fuzzes knows of: whatever is called, they stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from graphwire.v1 import run_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import DEADLINE, create, join, list_runs, new_thread, payload, stream, wait

#: Those that end, and those that wait for somebody.
ASSISTANTS = ("linear", "echo", "boom", "stops", "ask", "ask_parallel", "stop_and_ask")


@dataclass(frozen=True, slots=True)
class _Thread:
    """All that there is to read of a thread."""

    thread: bytes
    state: bytes
    history: bytes
    runs: tuple[bytes, ...]
    events: tuple[bytes, ...]


class Canaries:
    """Threads in several states."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Makes them."""
        self._runs: Any = runs_pb2_grpc.RunsStub(channel)
        self._threads: Any = threads_pb2_grpc.ThreadsStub(channel)
        self._kept: dict[str, _Thread] = {}
        for assistant in ASSISTANTS:
            thread_id = new_thread(self._threads, metadata=payload({"canary": assistant}))
            given = payload({"log": ["canary"]})
            stream(self._runs, thread_id=thread_id, assistant_id=assistant, input=given)
            self._kept[thread_id] = self._read(thread_id)

    def check(self) -> None:
        """Checks that they are as they were, and that those that wait go on when they may."""
        for thread_id, kept in self._kept.items():
            assert self._read(thread_id) == kept, thread_id

    def go_on(self) -> None:
        """Resumes what waits, once and for all: nothing of it was used up."""
        self.check()
        for thread_id in self._kept:
            paused = threads_pb2.THREAD_STATUS_INTERRUPTED
            get = threads_pb2.GetThreadRequest(thread_id=thread_id)
            thread = self._threads.GetThread(get, timeout=DEADLINE).thread
            if thread.status != paused:
                continue
            answers = {
                pause.interrupt_id: payload("canary")
                for pause in thread.pauses
                if pause.interrupt_id
            }
            resume = run_pb2.Resume(
                pause_ids=[pause.pause_id for pause in thread.pauses], answers=answers
            )
            run = create(self._runs, thread_id=thread_id, resume=resume)
            ended = wait(self._runs, run.run_id).run.status
            assert ended in (run_pb2.RUN_STATUS_SUCCEEDED, run_pb2.RUN_STATUS_INTERRUPTED)

    def _read(self, thread_id: str) -> _Thread:
        get = threads_pb2.GetThreadRequest(thread_id=thread_id)
        state = threads_pb2.GetThreadStateRequest(thread_id=thread_id)
        history = threads_pb2.ListThreadHistoryRequest(thread_id=thread_id)
        runs = list_runs(self._runs, thread_id)
        return _Thread(
            _bytes(self._threads.GetThread(get, timeout=DEADLINE)),
            _bytes(self._threads.GetThreadState(state, timeout=DEADLINE)),
            _bytes(self._threads.ListThreadHistory(history, timeout=DEADLINE)),
            tuple(map(_bytes, runs)),
            tuple(_bytes(event) for run in runs for event in join(self._runs, run.run_id)),
        )


def _bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString(deterministic=True)
    return data
