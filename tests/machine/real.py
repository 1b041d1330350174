"""A real thread on a server, and what it must have in common with the model."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
from graphwire.v1 import run_event_pb2, run_pb2, runs_pb2, runs_pb2_grpc, threads_pb2_grpc

from tests.e2e.drive import (
    DEADLINE,
    delete_thread,
    get_run,
    get_thread,
    join,
    new_thread,
    pause_shape,
    payload,
    reason_of,
    refused,
    shape,
)
from tests.e2e.driven import DrivenThread, command
from tests.e2e.gates import until
from tests.machine.model import Model
from tests.machine.parts import Resume, Run

MODES = [run_pb2.STREAM_MODE_UPDATES, run_pb2.STREAM_MODE_TASKS]
_NOBODY = "00000000-0000-0000-0000-000000000000"

Events = list[run_event_pb2.RunEvent]


def reason(call: Callable[[], object]) -> str | None:
    """Makes a call; returns the reason for which it was refused, or None."""
    try:
        call()
    except grpc.RpcError as error:
        return reason_of(error)
    return None


def same(what: str, found: object, wanted: object) -> None:
    """Compares what the server says with what the model says."""
    assert found == wanted, f"{what}: the server says {found!r}, the model {wanted!r}"


class RealThread:
    """A thread, the folder that its nodes look into, and the events that were seen of it."""

    def __init__(
        self,
        runs: runs_pb2_grpc.RunsStub,
        threads: threads_pb2_grpc.ThreadsStub,
        database: Path,
        folder: Path,
    ) -> None:
        """Creates a thread; nodes look into a new `folder`."""
        self.thread = DrivenThread(runs, threads)
        self._ended: dict[str, Events] = {}
        self._seen: dict[str, Events] = {}
        self._database = database
        self._folder = folder
        self._head = ""
        folder.mkdir()

    # --- the calls ---

    def start(self, run: Run, resume: Resume | None, *, streamed: bool) -> tuple[str | None, str]:
        """Starts a run; returns the reason of its refusal and the id of the run."""
        fields: dict[str, Any] = {
            "assistant_id": "watched",
            "interrupt_before": sorted(run.before),
            "interrupt_after": sorted(run.after),
            "stream_modes": MODES,
            "multitask_strategy": f"MULTITASK_STRATEGY_{run.makes_room or 'ENQUEUE'}"
            if run.queues
            else None,
            "on_pause": "ON_PAUSE_DISCARD" if run.discard else None,
        }
        resumes: dict[str, Any] | None = None
        if resume:
            # An id that nobody has seen stands for a pause of another thread.
            ids = [pause.pause_id or _NOBODY for pause in resume.pauses]
            resumes = {"pause_ids": ids}
            if resume.answer:
                resumes["answer"] = payload(resume.answer)
            resumes["expected_checkpoint_id"] = _NOBODY if resume.moved_on else self._head
        if run.kind == "input":
            fields["input"] = payload(self._state(run.entry))
        elif run.kind == "resume":
            fields["resume"] = run_pb2.Resume(**resumes or {})
        else:
            given: dict[str, Any] = {"goto": run.goto}
            if run.entry:
                given["update"] = self._state(run.entry)
            fields["command"] = command(given)
            if resumes is not None:
                fields["command"].resume.CopyFrom(run_pb2.Resume(**resumes))
        made: list[str] = []

        def call() -> None:
            if streamed:
                events = self.thread.stream(**fields)
                made.append(events[0].run_id)
                self._seen[made[0]] = events
            else:
                made.append(self.thread.create(**fields))

        return reason(call), made[0] if made else ""

    def cancel(self, run: Run, *, rollback: bool = False) -> str | None:
        """Cancels a run, and waits for its end."""
        action = runs_pb2.CANCEL_ACTION_ROLLBACK if rollback else None
        return reason(lambda: self.thread.cancel(run.run_id, action=action))

    def delete_run(self, run: Run) -> str | None:
        """Deletes a run."""
        request = runs_pb2.DeleteRunRequest(run_id=run.run_id)
        return reason(lambda: self.thread.runs_stub.DeleteRun(request, timeout=DEADLINE))

    def edit(self, entry: str, as_node: str, *, moved_on: bool) -> str | None:
        """Edits the state."""
        values = None if as_node == "__end__" else self._state(entry)
        return reason(
            lambda: self.thread.edit(
                values,
                as_node=as_node,
                assistant_id="watched",
                expected_checkpoint_id=_NOBODY if moved_on else self._head,
            )
        )

    def delete_thread(self, runs: list[Run]) -> str | None:
        """Deletes the thread, with these runs, and creates it anew."""
        thread_id, threads = self.thread.thread_id, self.thread.threads_stub
        refusal = reason(lambda: delete_thread(threads, thread_id))
        if refusal is None:
            with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
                get_thread(threads, thread_id)
            for run in runs:
                with refused("NOT_FOUND", "RUN_NOT_FOUND"):
                    get_run(self.thread.runs_stub, run.run_id)
            new_thread(threads, thread_id=thread_id)
            self._ended, self._seen = {}, {}
        return refusal

    def hold(self, node: str) -> None:
        """Has a node wait when it begins."""
        for path in self._folder.glob("*.hold"):
            path.unlink()
        if node:
            (self._folder / f"{node}.hold").touch()

    def release(self, node: str, run: Run, *, fails: bool) -> None:
        """Lets the node go on that waits, or fail, and waits for the end of its run."""
        fail = self._folder / f"{node}.fail"
        if fails:
            fail.touch()
        self.hold("")
        if fails:
            self.thread.wait(run.run_id)
            fail.unlink()

    # --- what must be so ---

    def settle(self, model: Model) -> None:
        """Waits for what the model says has happened."""
        for run in model.runs:
            if run.status not in ("PENDING", "RUNNING") and run.run_id not in self._ended:
                self.thread.wait(run.run_id)
        if model.running:
            until(lambda: len(self._ledger()) >= len(model.ledger), "the ledger", seconds=5)
            until(lambda: self._told(model), "the results beside the node that waits", seconds=5)

    def check(self, model: Model) -> None:
        """Compares everything that can be seen."""
        self._check_thread(model)
        self._check_runs(model)
        self._check_pauses(model)
        same("nodes that began", Counter(self._ledger()), Counter(model.ledger))
        same("tasks", self._told(model), True)
        same("log", self.thread.log if model.stands else [], model.shown)

    def check_events(self, model: Model) -> None:
        """Compares all events with those that were seen, once more."""
        for run in model.runs:
            if run.run_id in self._ended:
                events = join(self.thread.runs_stub, run.run_id)
                same("events", events, self._ended[run.run_id])

    def _check_thread(self, model: Model) -> None:
        now = self.thread.now
        same("status", self.thread.status, model.status)
        same("error", now.HasField("error"), model.status == "ERROR")
        if model.status != "BUSY":
            same("next", sorted(now.next), sorted(task.node for task in model.unfinished))
        shapes = sorted(pause_shape(pause)[:2] for pause in now.pauses)
        same("open pauses", shapes, sorted(pause.shape for pause in model.open))
        self._head = model.head = now.checkpoint_id
        known = {pause.pause_id for pause in model.pauses}
        for pause in now.pauses:
            if pause.pause_id in known:
                continue
            # What is new is new on both sides.
            twin = next(
                p for p in model.open if not p.pause_id and p.shape == pause_shape(pause)[:2]
            )
            twin.pause_id, twin.checkpoint_id = pause.pause_id, pause.checkpoint_id
        open_ids = {pause.pause_id for pause in now.pauses}
        same("ids of pauses", open_ids, {pause.pause_id for pause in model.open})

    def _check_runs(self, model: Model) -> None:
        found = {run.run_id: run for run in self.thread.runs()}
        same("runs", [*found][::-1], [run.run_id for run in model.runs])
        for run in model.runs:
            there = found[run.run_id]
            status = run_pb2.RunStatus.Name(there.status).removeprefix("RUN_STATUS_")
            same("run", status, run.status)
            same("rolled back", there.rolled_back, run.rolled_back)
            same("resumed run", there.resumed_run_id, run.resumed)
            same("resuming run", there.resumed_by_run_id, run.resumed_by)
            if run.status == "RUNNING":
                self._seen[run.run_id] = self._seen_so_far(there)
            elif run.status != "PENDING" and run.run_id not in self._ended:
                self._check_end(run)

    def _check_end(self, run: Run) -> None:
        events = join(self.thread.runs_stub, run.run_id)
        seen = self._seen.pop(run.run_id, [])
        same("first events", events[: len(seen)], seen)
        self._ended[run.run_id] = events
        same("end", shape(events[-1]), ("end", run.status))
        started = [e.task_started.node for e in events if e.WhichOneof("event") == "task_started"]
        same("nodes that began in the run", Counter(started), Counter(run.began))
        ended = self.thread.wait(run.run_id)
        shapes = sorted(pause_shape(pause)[:2] for pause in ended.pauses)
        same("pauses of the run", shapes, sorted(pause.shape for pause in run.paused))

    def _check_pauses(self, model: Model) -> None:
        """The contract shows open pauses only; what became of the others is in the database."""
        statement = "SELECT pause_id, status, resolved_by_run_id FROM gw_pauses WHERE thread_id = ?"
        with closing(sqlite3.connect(self._database)) as database:
            rows = database.execute(statement, (self.thread.thread_id,)).fetchall()
        found = {pause_id: (status, by) for pause_id, status, by in rows}
        wanted = {p.pause_id: (p.status, p.by) for p in model.pauses if p.pause_id}
        seen = {pause_id: found[pause_id] for pause_id in found.keys() & wanted.keys()}
        same("what became of pauses", seen, wanted)
        # Some are made and given up in one transaction.
        others = sorted(found[pause_id] for pause_id in found.keys() - wanted.keys())
        unseen = sorted((p.status, p.by) for p in model.pauses if not p.pause_id)
        same("pauses that nobody saw", others, unseen)

    def _seen_so_far(self, run: run_pb2.Run) -> Events:
        request = runs_pb2.JoinRunRequest(run_id=run.run_id)
        call = self.thread.runs_stub.JoinRun(request, timeout=DEADLINE)
        events = [next(call).event for _ in range(run.last_sequence)]
        call.cancel()
        return events

    def _state(self, entry: str) -> dict[str, Any]:
        return {"log": [entry], "path": str(self._folder)}

    def _ledger(self) -> list[str]:
        path = self._folder / "ledger"
        return path.read_text().splitlines() if path.exists() else []

    def _told(self, model: Model) -> bool:
        """Returns whether all is recorded that tasks of this step have returned and asked."""
        tasks = {task.node: task for task in self.thread.state().tasks}
        return tasks.keys() == model.tasks.keys() and all(
            task.HasField("result") == bool(model.tasks[node].wrote)
            and (bool(task.interrupts) or not model.tasks[node].asks)
            for node, task in tasks.items()
        )
