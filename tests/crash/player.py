"""The part of a client, on one thread: what it can do, look at and expect."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from graphwire.v1 import pause_pb2, run_event_pb2, run_pb2, runs_pb2, threads_pb2

from tests.crash.caller import PATIENCE, Caller, Followed
from tests.crash.errors import BrokenError, RefusedError
from tests.crash.ledger import Entry, Kind, Ledger
from tests.crash.links import Links
from tests.e2e.drive import namespace, pause_shape, payload, value

Pauses = list[pause_pb2.Pause]

#: What is recorded of every run, so that checks find it in the log.
STREAM_MODES = (
    run_pb2.STREAM_MODE_UPDATES,
    run_pb2.STREAM_MODE_VALUES,
    run_pb2.STREAM_MODE_DEBUG,
    run_pb2.STREAM_MODE_CUSTOM,
    run_pb2.STREAM_MODE_MESSAGES,
)


def pause_path(pause: pause_pb2.Pause) -> str:
    """The node of a pause, with its path from the root: `child/danger`."""
    return "/".join([*filter(None, [namespace(pause.namespace)]), pause.node])


class Player:
    """Plays a client on one LangGraph thread. Every call is repeated until it is answered.

    Attributes:
        thread_id: The thread; for a stateless run, empty until its first event has come.
        graph: The assistant.
        followed: The runs that it has started, in order.
        ledger: What it and the nodes do.
    """

    def __init__(self, links: Links, ledgers: Path, name: str, graph: str) -> None:
        """Takes the part; nothing is sent yet.

        Args:
            links: The way to the server.
            ledgers: The folder of the ledgers.
            name: A name that nobody else has, also the id of the thread.
            graph: The assistant.
        """
        self.thread_id = name
        self.graph = graph
        self.followed: list[Followed] = []
        self._caller = Caller(links)
        self._ledgers = ledgers
        self._name = name
        self._requests = 0
        self._answers = 0

    @property
    def ledger(self) -> Ledger:
        """The ledger of its thread."""
        return Ledger(self._ledgers, self.thread_id)

    # --- what a client does ---

    def create_thread(self) -> None:
        """Creates the thread."""
        request = threads_pb2.CreateThreadRequest(
            thread_id=self.thread_id, request_id=self._request_id()
        )
        self._caller.call(lambda link: link.threads.CreateThread, request)

    def start(self, given: Any, **fields: Any) -> Followed:
        """Streams a run with new input to its end."""
        return self._stream(input=payload(given), **self._first(fields))

    def start_stateless(self, given: Any, **fields: Any) -> Followed:
        """Streams a run on a thread of its own, which becomes the player's."""
        self.thread_id = ""
        run = self._stream(input=payload(given), **self._first(fields))
        self.thread_id = run.thread_id
        return run

    def resume(self, *pauses: pause_pb2.Pause, bare: bool = False, **fields: Any) -> Followed:
        """Approves breakpoints and answers questions, and streams that run to its end.

        Args:
            *pauses: The pauses that are meant; questions get their next answer.
            bare: Name no pauses: these are all that are open, and none is a question.
            **fields: Further fields of the request.
        """
        resume = self._approve(pauses)
        if bare:
            resume = run_pb2.Resume(expected_checkpoint_id=pauses[0].checkpoint_id)
        return self._with(pauses, lambda: self._stream(resume=resume, **fields))

    def replay(self, checkpoint_id: str, **fields: Any) -> Followed:
        """Goes on from an older checkpoint, and streams that run to its end."""
        return self._stream(resume=run_pb2.Resume(), checkpoint_id=checkpoint_id, **fields)

    def command(
        self,
        *pauses: pause_pb2.Pause,
        update: Any = None,
        goto: Iterable[str] = (),
        **fields: Any,
    ) -> Followed:
        """Updates, goes elsewhere, resumes, and streams that run to its end."""
        command = run_pb2.Command(
            update=None if update is None else payload(update),
            goto=[run_pb2.Goto(node=node) for node in goto],
            resume=self._approve(pauses) if pauses else None,
        )
        return self._with(pauses, lambda: self._stream(command=command, **fields))

    def create(self, given: Any, **fields: Any) -> str:
        """Starts a run in the background, and returns its id."""
        request = runs_pb2.CreateRunRequest(
            **self._common(), input=payload(given), **self._first(fields)
        )
        return self._caller.call(lambda link: link.runs.CreateRun, request).run.run_id

    def follow(self, run_id: str) -> Followed:
        """Joins a run, and streams it to its end."""
        run = Followed(run_id)
        self.followed.append(run)
        self._caller.follow(run)
        return run

    def wait(self, run_id: str) -> runs_pb2.WaitRunResponse:
        """Waits for the end of a run."""
        request = runs_pb2.WaitRunRequest(run_id=run_id)
        return self._caller.call(lambda link: link.runs.WaitRun, request)

    def cancel(self, run_id: str, **fields: Any) -> None:
        """Cancels a run; that it is cancelled already is no error."""
        request = runs_pb2.CancelRunRequest(run_id=run_id, **fields)
        try:
            self._caller.call(lambda link: link.runs.CancelRun, request)
        except RefusedError as refused:
            if refused.reason != "RUN_ENDED":
                raise

    def edit(self, values: Any, *, as_node: str = "", **fields: Any) -> threads_pb2.ThreadState:
        """Edits the state, and returns the new one."""
        request = threads_pb2.UpdateThreadStateRequest(
            thread_id=self.thread_id,
            values=payload(values),
            as_node=as_node,
            request_id=self._request_id(),
            **fields,
        )
        return self._caller.call(lambda link: link.threads.UpdateThreadState, request).state

    def open_gate(self) -> None:
        """Lets the nodes go on that wait at the thread's gate."""
        self.ledger.path.with_suffix(".open").touch()

    # --- what it looks at ---

    @property
    def thread(self) -> threads_pb2.Thread:
        """The thread as it is now."""
        request = threads_pb2.GetThreadRequest(thread_id=self.thread_id)
        return self._caller.call(lambda link: link.threads.GetThread, request).thread

    @property
    def state(self) -> threads_pb2.ThreadState:
        """The state as it is now."""
        request = threads_pb2.GetThreadStateRequest(thread_id=self.thread_id)
        return self._caller.call(lambda link: link.threads.GetThreadState, request).state

    @property
    def values(self) -> Any:
        """The values of the state."""
        return value(self.state.values)

    @property
    def history(self) -> list[threads_pb2.ThreadState]:
        """The states of all checkpoints, newest first."""
        request = threads_pb2.ListThreadHistoryRequest(thread_id=self.thread_id, page_size=1000)
        return list(self._caller.call(lambda link: link.threads.ListThreadHistory, request).states)

    @property
    def runs(self) -> list[run_pb2.Run]:
        """The runs of the thread, oldest first."""
        request = runs_pb2.ListRunsRequest(thread_id=self.thread_id, page_size=1000)
        runs = self._caller.call(lambda link: link.runs.ListRuns, request).runs
        return list(reversed(runs))

    def log(self, run: run_pb2.Run) -> list[run_event_pb2.RunEvent]:
        """Returns the events of a run as the server has them; it need not have ended."""
        logged = Followed(run.run_id)
        if run.HasField("end_time"):
            self._caller.follow(logged)
        else:
            self._caller.follow(logged, until=run.last_sequence)
        return logged.events

    def checkpoint(self, *next_nodes: str) -> str:
        """Returns the newest checkpoint at which exactly these nodes come next."""
        return next(s.checkpoint_id for s in self.history if list(s.next) == [*next_nodes])

    def began(self, node: str) -> list[Entry]:
        """Returns the beginnings of a node so far."""
        return [e for e in self.ledger.read() if e.kind is Kind.BEGAN and e.node == node]

    def wait_begun(self, node: str, run_id: str) -> None:
        """Waits until a node has begun; fails if the run ends without that."""
        request = runs_pb2.GetRunRequest(run_id=run_id)
        deadline = time.monotonic() + PATIENCE
        while not self.began(node):
            run = self._caller.call(lambda link: link.runs.GetRun, request).run
            if run.HasField("end_time") and not self.began(node):
                status = run_pb2.RunStatus.Name(run.status)
                raise BrokenError("status", f"run {run_id} is {status}, and {node} never began")
            if time.monotonic() > deadline:
                raise BrokenError("stuck", f"{node} did not begin within {PATIENCE:g} s")
            time.sleep(0.01)

    # --- what it expects ---

    def paused(self, run: Followed, *shapes: tuple[Any, ...]) -> Pauses:
        """Expects a run to have ended at just these pauses, and the thread to stand there.

        Returns them in the order of `shapes`.
        """
        self.ended(run, "INTERRUPTED")
        self._expect_pauses("the run ended at", run.pauses, shapes)
        thread = self.thread
        self._expect_status(thread, "INTERRUPTED")
        self._expect_pauses("the thread stands at", list(thread.pauses), shapes)
        if {p.pause_id for p in thread.pauses} != {p.pause_id for p in run.pauses}:
            raise BrokenError("pauses", "thread and `interrupted` have different pause ids")
        found: dict[tuple[Any, ...], Pauses] = {pause_shape(p): [] for p in run.pauses}
        for pause in thread.pauses:
            found[pause_shape(pause)].append(pause)
        return [found[shape].pop(0) for shape in shapes]

    def done(self, run: Followed) -> None:
        """Expects a run to have come to the graph's end, and the thread to be idle."""
        self.ended(run, "SUCCEEDED")
        self._expect_status(self.thread, "IDLE")

    def ended(self, run: Followed, status: str) -> None:
        """Expects a run to have ended in this way."""
        if run.status != status:
            error = run.events[-1].end.error
            said = f" ({error.type}: {error.message})" if error.type else ""
            where = f" at {[pause_shape(p) for p in run.pauses]}" if run.pauses else ""
            raise BrokenError(
                "status", f"run {run.run_id} is {run.status}{said}{where}, and not {status}"
            )

    def same(self, before: Iterable[pause_pb2.Pause], after: Iterable[pause_pb2.Pause]) -> None:
        """Expects pauses to be the same ones as before."""
        was, now = {p.pause_id for p in before}, {p.pause_id for p in after}
        if was != now:
            raise BrokenError("pauses", f"pauses that nobody resumed were {was} and are {now}")

    def superseded(self, was: pause_pb2.Pause, now: pause_pb2.Pause) -> None:
        """Expects a pause to have a new id, and to be the only one that is open."""
        opened = [p.pause_id for p in self.thread.pauses]
        if now.pause_id == was.pause_id or opened != [now.pause_id]:
            raise BrokenError("pauses", f"{was.pause_id} was superseded, and open are {opened}")

    def not_begun(self, *nodes: str) -> None:
        """Expects nodes not to have begun yet."""
        if begun := [node for node in nodes if self.began(node)]:
            raise BrokenError("held", f"{begun} began while the step was held")

    def _expect_pauses(self, where: str, pauses: Pauses, shapes: Iterable[tuple[Any, ...]]) -> None:
        found = sorted(map(repr, map(pause_shape, pauses)))
        if found != sorted(map(repr, shapes)):
            raise BrokenError("pauses", f"{where} {found}, and not {[*shapes]}")

    def _expect_status(self, thread: threads_pb2.Thread, status: str) -> None:
        found = threads_pb2.ThreadStatus.Name(thread.status).removeprefix("THREAD_STATUS_")
        if found != status:
            raise BrokenError("thread status", f"the thread is {found}, and not {status}")

    # --- how it calls ---

    def _first(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {
            "assistant_id": self.graph,
            "stream_modes": STREAM_MODES,
            "stream_subgraphs": True,
            **fields,
        }

    def _common(self) -> dict[str, Any]:
        return {"thread_id": self.thread_id, "request_id": self._request_id()}

    def _request_id(self) -> str:
        self._requests += 1
        return f"{self._name}#{self._requests}"

    def _approve(self, pauses: Iterable[pause_pb2.Pause]) -> run_pb2.Resume:
        """Notes what is approved and answered, and returns what says so to the server."""
        pause_ids: list[str] = []
        answers = {}
        for pause in pauses:
            why = pause_pb2.PauseKind.Name(pause.kind).removeprefix("PAUSE_KIND_")
            node = pause_path(pause)
            if pause.kind == pause_pb2.PAUSE_KIND_INTERRUPT:
                question = value(pause.value)
                self._answers += 1
                answer = {"to": question, "text": f"answer {self._answers}"}
                answers[pause.pause_id] = payload(answer)
                said = {"question": question, "answer": answer}
                self.ledger.append(Kind.ANSWERED, node=node, pause=pause.pause_id, **said)
            else:
                pause_ids.append(pause.pause_id)
                self.ledger.append(Kind.APPROVED, node=node, pause=pause.pause_id, why=why)
        return run_pb2.Resume(pause_ids=pause_ids, answers=answers)

    def _with(self, pauses: Iterable[pause_pb2.Pause], call: Callable[[], Followed]) -> Followed:
        """Makes a call; if it is refused, what it would have approved is not approved."""
        try:
            return call()
        except RefusedError:
            for pause in pauses:
                self.ledger.append(Kind.REFUSED, pause=pause.pause_id)
            raise

    def _stream(self, **fields: Any) -> Followed:
        run = Followed()
        self.followed.append(run)
        self._caller.follow(run, runs_pb2.StreamRunRequest(**self._common(), **fields))
        return run
