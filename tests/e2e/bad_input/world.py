"""A server of its own with a thread in each state, and what its database holds."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import grpc
from graphwire.v1 import (
    assistants_pb2,
    assistants_pb2_grpc,
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.e2e.drive import get_thread, new_thread, payload, stream
from tests.servers import ServerProcess

LOG = payload({"log": ["in"]})
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class World:
    """Threads and runs to be wrong about.

    Attributes:
        database: The server's database.
        new: A thread on which nothing has run.
        done: A thread of `linear` whose run has come to its end.
        done_run: That run.
        stopped: A thread of `linear` that is paused before b.
        stopped_pause: Its pause.
        stopped_run: Its run.
        stopped_checkpoint: Its head.
        resumed_pause: A pause of `done` that was resumed.
        asking: A thread of `ask` that waits for an answer.
        asking_pause: Its pause.
        asking_interrupt: LangGraph's id of it.
        asking_twice: A thread of `ask_parallel` that waits for two answers.
        asking_by_schema: A thread of `ask_schema`, whose answer needs an `amount`.
        forked: A thread of `ask_parallel` on which both sides have run, paused before the join.
        failed: A thread of `boom` whose run has failed.
        calling: A thread of `calls_tools` that is paused before its two tool calls, r and m.
        calling_pause: Its pause.
        busy: A thread of `gated` whose run is under way.
        busy_run: That run.
    """

    database: Path
    new: str
    done: str
    done_run: str
    stopped: str
    stopped_pause: str
    stopped_run: str
    stopped_checkpoint: str
    resumed_pause: str
    asking: str
    asking_pause: str
    asking_interrupt: str
    asking_twice: str
    asking_by_schema: str
    forked: str
    failed: str
    calling: str
    calling_pause: str
    busy: str
    busy_run: str
    _read: dict[int, list[str]] = field(default_factory=dict, repr=False)

    @property
    def asking_second(self) -> str:
        """Of the two ids of the question of `asking`, the one that sorts last."""
        return max(self.asking_pause, self.asking_interrupt)

    def contents(self) -> list[str]:
        """Everything in the database, as SQL, without the server's lease, which it renews.

        It is read only when somebody has committed something since it was read the last time.
        """
        (version,) = self._reader.execute("PRAGMA data_version").fetchone()
        if version not in self._read:
            self._read.clear()
            lines = self._reader.iterdump()
            self._read[version] = [line for line in lines if '"gw_servers"' not in line]
        return self._read[version]

    def close(self) -> None:
        """Ends the reading of the database."""
        self._reader.close()

    @cached_property
    def _reader(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)


def make_world(server: ServerProcess, channel: grpc.Channel, gate: Path) -> World:
    """Brings a server's threads into each state. The busy one waits until `gate` is there."""
    runs, threads = runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel)
    # An assistant to be wrong about: the only one that is no graph.
    assistants_pb2_grpc.AssistantsStub(channel).CreateAssistant(
        assistants_pb2.CreateAssistantRequest(assistant_id="made-of-linear", graph_id="linear")
    )

    def ran(assistant_id: str, before: str = "") -> threads_pb2.Thread:
        thread = new_thread(threads)
        breakpoints = [before] if before else []
        stream(
            runs,
            thread_id=thread,
            assistant_id=assistant_id,
            input=LOG,
            interrupt_before=breakpoints,
        )
        return get_thread(threads, thread)

    done = ran("linear", before="b")
    resumed_pause = done.pauses[0].pause_id
    done_run = stream(runs, thread_id=done.thread_id, resume={})[0].run_id
    stopped, asking = ran("linear", before="b"), ran("ask")
    calling = ran("calls_tools", before="tools")
    forked = ran("ask_parallel", before="done")
    answers = {pause.pause_id: payload("yes") for pause in forked.pauses}
    stream(runs, thread_id=forked.thread_id, resume=run_pb2.Resume(answers=answers))
    busy = new_thread(threads)
    request = runs_pb2.CreateRunRequest(
        thread_id=busy,
        assistant_id="gated",
        input=payload({"log": ["in"], "path": str(gate)}),
        stream_modes=[run_pb2.STREAM_MODE_TASKS],
    )
    busy_run = runs.CreateRun(request).run.run_id
    # What the run does from here on it does only when the gate opens.
    for response in runs.JoinRun(runs_pb2.JoinRunRequest(run_id=busy_run)):
        if response.event.task_started.node == "gate":
            break
    return World(
        database=Path(server.database),
        new=new_thread(threads),
        done=done.thread_id,
        done_run=done_run,
        stopped=stopped.thread_id,
        stopped_pause=stopped.pauses[0].pause_id,
        stopped_run=stopped.pauses[0].run_id,
        stopped_checkpoint=stopped.checkpoint_id,
        resumed_pause=resumed_pause,
        asking=asking.thread_id,
        asking_pause=asking.pauses[0].pause_id,
        asking_interrupt=asking.pauses[0].interrupt_id,
        asking_twice=ran("ask_parallel").thread_id,
        asking_by_schema=ran("ask_schema").thread_id,
        forked=forked.thread_id,
        failed=ran("boom").thread_id,
        calling=calling.thread_id,
        calling_pause=calling.pauses[0].pause_id,
        busy=busy,
        busy_run=busy_run,
    )
