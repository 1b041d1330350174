"""One thread and all that can be done to it, in plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from graphwire.v1 import (
    pause_pb2,
    payload_pb2,
    run_event_pb2,
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.e2e.drive import (
    DEADLINE,
    Refusal,
    get_thread,
    new_thread,
    pause_shape,
    payload,
    refused,
    stream,
    value,
)

Events = list[run_event_pb2.RunEvent]

#: What most graphs of the zoo take.
INPUT = {"log": ["in"]}

_RESUME_FIELDS = (
    "pause_ids",
    "answers",
    "answer",
    "expected_checkpoint_id",
    "answered_by",
    "step",
    "run_to",
)


class DrivenThread:
    """A thread of its own for one test.

    Fields of requests are keyword arguments. Values that the contract has as payloads are
    given as Python values where a parameter is named for them.
    """

    def __init__(
        self,
        runs: runs_pb2_grpc.RunsStub,
        threads: threads_pb2_grpc.ThreadsStub,
        thread_id: str = "",
    ) -> None:
        """Creates a thread, or takes one that exists."""
        self.runs_stub, self.threads_stub = runs, threads
        self.thread_id = thread_id or new_thread(threads)

    def start(self, assistant: str, value: Any = INPUT, **fields: Any) -> Events:
        """Streams a run with new input."""
        return self.stream(assistant_id=assistant, input=payload(value), **fields)

    def resume(self, **fields: Any) -> Events:
        """Streams a resume; takes the fields of Resume and of the run, answers as values."""
        return self.stream(resume=resume(fields), **fields)

    def command(self, *, resumes: Mapping[str, Any] | None = None, **fields: Any) -> Events:
        """Streams a command: `update`, `goto` and the fields of its Resume in `resumes`.

        A step of `goto` is a node, or a node with its input.
        """
        return self.stream(command=command(fields, resumes), **fields)

    def stream(self, **fields: Any) -> Events:
        """Streams a run on this thread to its end."""
        return stream(self.runs_stub, thread_id=self.thread_id, **fields)

    def create(self, **fields: Any) -> str:
        """Starts a run in the background and returns its id."""
        request = runs_pb2.CreateRunRequest(thread_id=self.thread_id, **fields)
        return self.runs_stub.CreateRun(request, timeout=DEADLINE).run.run_id

    def cancel(self, run_id: str, **fields: Any) -> None:
        """Cancels a run and waits for its end."""
        request = runs_pb2.CancelRunRequest(run_id=run_id, **fields)
        self.runs_stub.CancelRun(request, timeout=DEADLINE)
        self.wait(run_id)

    def wait(self, run_id: str) -> runs_pb2.WaitRunResponse:
        """Waits for the end of a run."""
        request = runs_pb2.WaitRunRequest(run_id=run_id)
        return self.runs_stub.WaitRun(request, timeout=DEADLINE)

    def edit(self, values: Any = None, **fields: Any) -> threads_pb2.ThreadState:
        """Edits the state; None gives no values."""
        given = None if values is None else payload(values)
        request = threads_pb2.UpdateThreadStateRequest(
            thread_id=self.thread_id, values=given, **fields
        )
        return self.threads_stub.UpdateThreadState(request, timeout=DEADLINE).state

    def state(self, **fields: Any) -> threads_pb2.ThreadState:
        """Returns the state at the head, or at `checkpoint_id`."""
        request = threads_pb2.GetThreadStateRequest(thread_id=self.thread_id, **fields)
        return self.threads_stub.GetThreadState(request, timeout=DEADLINE).state

    def history(self) -> list[threads_pb2.ThreadState]:
        """Returns the states of all checkpoints, newest first."""
        request = threads_pb2.ListThreadHistoryRequest(thread_id=self.thread_id, page_size=1000)
        return list(self.threads_stub.ListThreadHistory(request, timeout=DEADLINE).states)

    def runs(self) -> list[run_pb2.Run]:
        """Returns the runs, newest first."""
        request = runs_pb2.ListRunsRequest(thread_id=self.thread_id)
        return list(self.runs_stub.ListRuns(request, timeout=DEADLINE).runs)

    @property
    def now(self) -> threads_pb2.Thread:
        """The thread as it is now."""
        return get_thread(self.threads_stub, self.thread_id)

    @property
    def status(self) -> str:
        """What the thread is doing."""
        return threads_pb2.ThreadStatus.Name(self.now.status).removeprefix("THREAD_STATUS_")

    @property
    def pauses(self) -> list[pause_pb2.Pause]:
        """The open pauses."""
        return list(self.now.pauses)

    @property
    def log(self) -> list[str]:
        """The log in the state: which nodes have run, in order, each as often as it did."""
        log: list[str] = value(self.state().values)["log"]
        return log

    def stands(self) -> tuple[str, list[str], list[tuple[Any, ...]]]:
        """Returns status, next nodes and open pauses in short."""
        now = self.now
        status = threads_pb2.ThreadStatus.Name(now.status).removeprefix("THREAD_STATUS_")
        return status, list(now.next), [pause_shape(pause) for pause in now.pauses]

    def checkpoint(self, *next_nodes: str) -> str:
        """Returns the newest checkpoint at which exactly these nodes come next."""
        return next(s.checkpoint_id for s in self.history() if list(s.next) == [*next_nodes])

    @contextmanager
    def refused(self, code: str, reason: str, *fields: str) -> Iterator[Refusal]:
        """Expects what is done in the block to be refused, and the thread to stay as it is."""
        before = self.now, self.runs(), self.history()
        with refused(code, reason, *fields) as refusal:
            yield refusal
        assert (self.now, self.runs(), self.history()) == before


def resume(fields: dict[str, Any]) -> run_pb2.Resume:
    """Takes the fields of a Resume out of `fields` and returns it."""
    given = {name: fields.pop(name) for name in _RESUME_FIELDS if name in fields}
    if "answer" in given:
        given["answer"] = payload(given["answer"])
    if "answers" in given:
        given["answers"] = {key: payload(answer) for key, answer in given["answers"].items()}
    return run_pb2.Resume(**given)


def command(fields: dict[str, Any], resumes: Mapping[str, Any] | None = None) -> run_pb2.Command:
    """Takes `update` and `goto` out of `fields` and returns the Command."""
    return run_pb2.Command(
        update=_optional_payload(fields, "update"),
        goto=[_step(step) for step in fields.pop("goto", ())],
        resume=None if resumes is None else resume(dict(resumes)),
    )


def _optional_payload(fields: dict[str, Any], name: str) -> payload_pb2.Payload | None:
    return payload(fields.pop(name)) if name in fields else None


def _step(step: str | tuple[str, Any]) -> run_pb2.Goto:
    if isinstance(step, str):
        return run_pb2.Goto(node=step)
    node, given = step
    return run_pb2.Goto(node=node, input=payload(given))
