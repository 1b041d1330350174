"""The part of a client, on one thread: what it can do, look at and expect."""

from __future__ import annotations

import functools
import itertools
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import timestamp_pb2
from graphwire.v1 import (
    breakpoint_pb2,
    pause_pb2,
    review_pb2,
    run_event_pb2,
    run_pb2,
    runs_pb2,
    threads_pb2,
)

from tests.crash.caller import PATIENCE, Caller, Followed
from tests.crash.errors import BrokenError, RefusedError
from tests.crash.ledger import Entry, Kind, Ledger
from tests.crash.links import Links
from tests.crash.racing import race
from tests.e2e.drive import namespace, pause_shape, payload, value

Pauses = list[pause_pb2.Pause]
#: How a call is refused that is about a pause, when somebody else was quicker. RUN_ENDED: where
#: the run is to give up what it was paused at.
_TOO_LATE = ("PAUSE_NOT_OPEN", "THREAD_BUSY", "CHECKPOINT_MISMATCH", "RUN_ENDED")
#: Decisions on tool calls, by their ids.
Review = Mapping[str, review_pb2.ToolCallReview]

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
        self._requests = itertools.count(1)
        self._resumes: dict[str, run_pb2.Resume] = {}
        self._answers: dict[str, int] = {}

    @property
    def ledger(self) -> Ledger:
        """The ledger of its thread."""
        return Ledger(self._ledgers, self.thread_id)

    # --- what a client does ---

    def create_thread(self) -> None:
        """Creates the thread."""
        request = threads_pb2.CreateThreadRequest(
            thread_id=self.thread_id, assistant_id=self.graph, request_id=self._request_id()
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

    def resume(
        self,
        *pauses: pause_pb2.Pause,
        bare: bool = False,
        step: run_pb2.StepMode.ValueType = run_pb2.STEP_MODE_UNSPECIFIED,
        run_to: str = "",
        **fields: Any,
    ) -> Followed:
        """Approves breakpoints and answers questions, and streams that run to its end.

        Args:
            *pauses: The pauses that are meant; questions get their next answer.
            bare: Name no pauses: these are all that are open, and none is a question.
            step: How far it goes.
            run_to: Before which node it pauses.
            **fields: Further fields of the request.
        """
        approved = resume = self._approve(pauses)
        if bare:
            resume = run_pb2.Resume(expected_checkpoint_id=pauses[0].checkpoint_id)
        resume.MergeFrom(run_pb2.Resume(step=step, run_to=run_to))
        return self._with(approved, lambda: self._stream(resume=resume, **fields))

    def expired(self, pause: pause_pb2.Pause) -> Followed:
        """Waits until the time of a pause is over and the server has gone on; follows that run."""
        if pause.on_expiry == breakpoint_pb2.ON_EXPIRY_RESUME:
            # Then, and not earlier, its node may begin.
            since = pause.expire_time.ToMicroseconds()
            self._note_approval(pause, at=since)
        now = self._wait_resolved(pause)
        if now.status != pause_pb2.PAUSE_STATUS_RESUMED or not now.resolution.expired:
            raise BrokenError("expiry", f"the pause has not expired: {now}")
        return self.follow(now.resolution.run_id)

    def given_up(self, pause: pause_pb2.Pause) -> None:
        """Waits until the time of a pause is over and the server has given up what waits."""
        now = self._wait_resolved(pause)
        if now.status != pause_pb2.PAUSE_STATUS_CANCELLED or not now.resolution.expired:
            raise BrokenError("expiry", f"the pause was not given up: {now}")
        self.open()

    def wait_until(self, time_: timestamp_pb2.Timestamp, just_before: float) -> None:
        """Waits until so many seconds before a time."""
        seconds = time_.ToMicroseconds() / 1e6 - time.time() - just_before
        time.sleep(max(seconds, 0))

    def _wait_resolved(self, pause: pause_pb2.Pause) -> pause_pb2.Pause:
        request = threads_pb2.GetPauseRequest(pause_id=pause.pause_id)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            now = self._caller.call(lambda link: link.threads.GetPause, request).pause
            if now.status != pause_pb2.PAUSE_STATUS_OPEN:
                return now
            time.sleep(0.05)
        raise BrokenError("stuck", f"nobody saw to {pause_path(pause)} within {PATIENCE:g} s")

    def resume_at_once(self, *groups: Pauses) -> list[Followed]:
        """Has several clients resume at the same time, each these pauses.

        Returns the runs that have come of it: at least one, and just one for each pause. The
        others were refused.
        """
        resumes = [self._approve(pauses, by=by) for by, pauses in enumerate(groups, start=1)]
        calls = [functools.partial(self._stream, resume=resume) for resume in resumes]
        results = race(*calls)
        won = [n for n, result in enumerate(results) if not isinstance(result, RefusedError)]
        taken = Counter(pause.pause_id for n in won for pause in groups[n])
        for resume, result in zip(resumes, results, strict=True):
            if isinstance(result, RefusedError):
                self.too_late(result)
                self._refused(resume, but=taken)
        if not won or max(taken.values()) > 1:
            raise BrokenError("race", f"{len(won)} of {len(groups)} won, of each pause {taken}")
        return [results[n] for n in won]

    def resume_beside(
        self, pause: pause_pb2.Pause, other: Callable[[], Any], *, also_after: bool = False
    ) -> tuple[Followed | None, Any]:
        """Resumes a pause while another client does what would take it away.

        Returns the run that came of it, and what the other call has returned; None for the one
        that was refused.

        Args:
            pause: The pause.
            other: What the other client does.
            also_after: Whether that may be taken when the run has ended: when its first call was
                lost, it may come so late.
        """
        resume = self._approve([pause])
        run, result = race(functools.partial(self._stream, resume=resume), other)
        refused = [each for each in (run, result) if isinstance(each, RefusedError)]
        if also_after and not refused:
            return run, result
        if len(refused) != 1:
            raise BrokenError("race", f"of two calls that exclude each other came {run}, {result}")
        if isinstance(run, RefusedError):
            self.too_late(run)
            self._refused(resume)
            return None, result
        self.too_late(result)
        return run, None

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
        resume = self._approve(pauses)
        command = run_pb2.Command(
            update=None if update is None else payload(update),
            goto=[run_pb2.Goto(node=node) for node in goto],
            resume=resume if pauses else None,
        )
        return self._with(resume, lambda: self._stream(command=command, **fields))

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

    def create_resume(self, *pauses: pause_pb2.Pause) -> str:
        """Approves and answers in the background, and returns the id of the run."""
        resume = self._approve(pauses)
        request = runs_pb2.CreateRunRequest(**self._common(), resume=resume)
        run_id = self._caller.call(lambda link: link.runs.CreateRun, request).run.run_id
        self._resumes[run_id] = resume
        return run_id

    def review(self, pause: pause_pb2.Pause, review: Review) -> Followed:
        """Decides on the tool calls of a pause, and streams that run to its end."""
        return self._stream(resume=self._reviewed(pause, review))

    def review_at_once(self, pause: pause_pb2.Pause, *reviews: Review) -> Followed:
        """Has several clients decide at the same time; returns the one run that comes of it."""
        resumes = [self._reviewed(pause, review) for review in reviews]
        results = race(*[functools.partial(self._stream, resume=resume) for resume in resumes])
        for refused in (result for result in results if isinstance(result, RefusedError)):
            self.too_late(refused)
        won = [result for result in results if isinstance(result, Followed)]
        if len(won) != 1:
            raise BrokenError("race", f"{len(won)} of {len(reviews)} won")
        return won[0]

    def _reviewed(self, pause: pause_pb2.Pause, review: Review) -> run_pb2.Resume:
        self._approve([pause])
        decided = []
        for name, decision in review.items():
            said = review_pb2.ToolCallReview(tool_call_id=name)
            said.MergeFrom(decision)
            decided.append(said)
        return run_pb2.Resume(reviews={pause.pause_id: review_pb2.Review(tool_calls=decided)})

    def cancel(self, run_id: str) -> None:
        """Cancels a run; that it is cancelled already is no error."""
        request = runs_pb2.CancelRunRequest(run_id=run_id)
        try:
            self._caller.call(lambda link: link.runs.CancelRun, request)
        except RefusedError as refused:
            if refused.reason != "RUN_ENDED":
                raise

    def roll_back(self, run_id: str) -> None:
        """Rolls an active run back, and waits for that."""
        request = runs_pb2.CancelRunRequest(
            run_id=run_id, action=runs_pb2.CANCEL_ACTION_ROLLBACK, wait=True
        )
        try:
            self._caller.call(lambda link: link.runs.CancelRun, request)
        except RefusedError as refused:
            if refused.reason != "RUN_ENDED":
                raise
        self.rolled_back(run_id)

    def rolled_back(self, run_id: str) -> None:
        """Expects a run to be rolled back, and waits for that."""
        self.ended(self.follow(run_id), "CANCELLED")
        if not self._run(run_id).rolled_back:
            raise BrokenError("status", f"run {run_id} was cancelled, and not rolled back")
        if run_id in self._resumes:
            self._note(Kind.ROLLED_BACK, self._resumes[run_id])

    def give_up(self, run_id: str) -> None:
        """Gives up what a run is paused at.

        Raises:
            RefusedError: Somebody has resumed it.
        """
        request = runs_pb2.CancelRunRequest(run_id=run_id)
        try:
            self._caller.call(lambda link: link.runs.CancelRun, request)
        except RefusedError as refused:
            # A call that has no request id finds what it did itself before the server was lost.
            if refused.reason != "RUN_ENDED" or self._run(run_id).resumed_by_run_id:
                raise

    def pause(self, run_id: str) -> None:
        """Has an active run pause before whatever would begin next."""
        request = runs_pb2.PauseRunRequest(run_id=run_id)
        try:
            self._caller.call(lambda link: link.runs.PauseRun, request)
        except RefusedError as refused:
            # When the server was lost that was asked first, the next one pauses the run at once.
            if refused.reason != "RUN_ENDED" or not self._run(run_id).pause_requested:
                raise

    def add(self, run_id: str, *breakpoints: breakpoint_pb2.Breakpoint) -> None:
        """Adds breakpoints to a run: they hold when this returns."""
        request = runs_pb2.AddRunBreakpointsRequest(
            run_id=run_id, breakpoints=breakpoints, request_id=self._request_id()
        )
        added = self._caller.call(lambda link: link.runs.AddRunBreakpoints, request).breakpoints
        ids = [each.breakpoint_id for each in added]
        if ids != [each.breakpoint_id for each in breakpoints]:
            raise BrokenError("breakpoints", f"added to {run_id} are {ids}")

    def remove(self, run_id: str, breakpoint_id: str) -> None:
        """Removes a breakpoint of a run: it holds nothing any more when this returns."""
        before = self.breakpoints(run_id)
        if breakpoint_id not in before:
            raise BrokenError("breakpoints", f"{run_id} has {before}, and not {breakpoint_id}")
        request = runs_pb2.RemoveRunBreakpointsRequest(
            run_id=run_id, breakpoint_ids=[breakpoint_id]
        )
        try:
            self._caller.call(lambda link: link.runs.RemoveRunBreakpoints, request)
        except RefusedError as refused:
            # A call that has no request id finds what it did itself before the server was lost.
            if refused.reason != "BREAKPOINT_NOT_FOUND":
                raise
        if breakpoint_id in (after := self.breakpoints(run_id)):
            raise BrokenError("breakpoints", f"{run_id} still has {after}")

    def set_breakpoints(self, *breakpoints: breakpoint_pb2.Breakpoint) -> None:
        """Gives the thread breakpoints for all of its runs, in place of those that it has."""
        request = threads_pb2.UpdateThreadRequest(
            thread_id=self.thread_id,
            breakpoints=breakpoint_pb2.BreakpointList(breakpoints=breakpoints),
            request_id=self._request_id(),
        )
        self._caller.call(lambda link: link.threads.UpdateThread, request)

    def breakpoints(self, run_id: str) -> list[str]:
        """Returns the ids of the breakpoints in force for a run."""
        request = runs_pb2.ListRunBreakpointsRequest(run_id=run_id)
        found = self._caller.call(lambda link: link.runs.ListRunBreakpoints, request).breakpoints
        return [each.breakpoint_id for each in found]

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

    def close_gate(self) -> None:
        """Has nodes wait there again."""
        self.ledger.path.with_suffix(".open").unlink()

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
    def pauses(self) -> list[pause_pb2.Pause]:
        """All pauses that there ever were, oldest first."""
        statuses = [status for status in pause_pb2.PauseStatus.values() if status]
        request = threads_pb2.ListPausesRequest(
            filter=threads_pb2.PauseFilter(thread_id=self.thread_id, statuses=statuses),
            page_size=1000,
            direction=threads_pb2.SORT_DIRECTION_ASCENDING,
        )
        return list(self._caller.call(lambda link: link.threads.ListPauses, request).pauses)

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

    def wait_begun(self, node: str, run_id: str, *, times: int = 1) -> None:
        """Waits until so many tasks of a node have begun; fails if the run ends without that."""
        deadline = time.monotonic() + PATIENCE
        while self._tasks_begun(node) < times:
            run = self._run(run_id)
            if run.HasField("end_time") and self._tasks_begun(node) < times:
                status = run_pb2.RunStatus.Name(run.status)
                raise BrokenError("status", f"run {run_id} is {status}, and {node} never began")
            if time.monotonic() > deadline:
                raise BrokenError("stuck", f"{node} did not begin within {PATIENCE:g} s")
            time.sleep(0.01)

    def _tasks_begun(self, node: str) -> int:
        return len({entry.task for entry in self.began(node)})

    def _run(self, run_id: str) -> run_pb2.Run:
        request = runs_pb2.GetRunRequest(run_id=run_id)
        return self._caller.call(lambda link: link.runs.GetRun, request).run

    # --- what it expects ---

    def paused(self, run: Followed, *shapes: tuple[Any, ...]) -> Pauses:
        """Expects a run to have ended at just these pauses, and the thread to stand there.

        Returns them in the order of `shapes`.
        """
        pauses = self.left_at(run, *shapes)
        thread = self.thread
        self._expect_status(thread, "INTERRUPTED")
        self._expect_pauses("the thread stands at", list(thread.pauses), shapes)
        if {p.pause_id for p in thread.pauses} != {p.pause_id for p in run.pauses}:
            raise BrokenError("pauses", "thread and `interrupted` have different pause ids")
        return pauses

    def left_at(self, run: Followed, *shapes: tuple[Any, ...]) -> Pauses:
        """Expects a run to have ended at just these pauses, whatever has become of them since.

        Returns them in the order of `shapes`.
        """
        self.ended(run, "INTERRUPTED")
        self._expect_pauses("the run ended at", run.pauses, shapes)
        found: dict[tuple[Any, ...], Pauses] = {pause_shape(p): [] for p in run.pauses}
        for pause in run.pauses:
            found[pause_shape(pause)].append(pause)
        return [found[shape].pop(0) for shape in shapes]

    def paused_somewhere(self, run: Followed, *options: tuple[tuple[Any, ...], ...]) -> Pauses:
        """Expects the same, where each pause may be in one of several places."""
        found = {pause_shape(pause) for pause in run.pauses}
        shapes = [next((s for s in each if s in found), each[0]) for each in options]
        return self.paused(run, *shapes)

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

    def ran(self, node: str, times: int) -> None:
        """Expects so many tasks of a node to have begun so far."""
        if (begun := self._tasks_begun(node)) != times:
            raise BrokenError("held", f"{begun} tasks of {node} began, and not {times}")

    def called(self, *calls: str) -> None:
        """Expects the node `tools` to have begun with these tool calls, and no others."""
        began = {", ".join(entry.given["calls"]) for entry in self.began("tools")}
        if began != {*calls}:
            raise BrokenError("reviewed", f"the tools were called with {began}, and not {calls}")

    def open(self, *shapes: tuple[Any, ...]) -> Pauses:
        """Expects the thread to stand at these pauses; at none: to be idle. Returns them."""
        thread = self.thread
        self._expect_status(thread, "INTERRUPTED" if shapes else "IDLE")
        self._expect_pauses("the thread stands at", list(thread.pauses), shapes)
        return list(thread.pauses)

    def back_at(self, checkpoint_id: str) -> None:
        """Expects the thread to stand at a checkpoint, and to have none after it."""
        newest = next((state.checkpoint_id for state in self.history), "")
        if (self.thread.checkpoint_id, newest) != (checkpoint_id, checkpoint_id):
            raise BrokenError(
                "rolled back",
                f"the thread is at {self.thread.checkpoint_id}, its newest checkpoint {newest}, "
                f"and it was at {checkpoint_id}",
            )

    def met(self, pause: pause_pb2.Pause, *ids: str, failed: bool = False) -> None:
        """Expects a pause to name just these breakpoints, and whether their conditions failed."""
        found = [(met.breakpoint_id, bool(met.condition_error)) for met in pause.breakpoints]
        expected = [(breakpoint_id, failed) for breakpoint_id in ids]
        if found != expected:
            raise BrokenError("pauses", f"{pause_path(pause)} waits at {found}, not {expected}")

    def not_begun(self, *nodes: str) -> None:
        """Expects nodes not to have begun yet."""
        if begun := [node for node in nodes if self.began(node)]:
            raise BrokenError("held", f"{begun} began while the step was held")

    def too_late(self, refused: RefusedError) -> None:
        """Expects a call to be refused since somebody was quicker."""
        if refused.reason not in _TOO_LATE:
            raise refused

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
        return f"{self._name}#{next(self._requests)}"

    def _approve(self, pauses: Iterable[pause_pb2.Pause], *, by: int = 1) -> run_pb2.Resume:
        """Notes what is approved and answered, and returns what says so to the server.

        Args:
            pauses: What is approved, and answered.
            by: Who of those that race says it. All say the same, but for that.
        """
        pause_ids: list[str] = []
        answers = {}
        for pause in pauses:
            node = pause_path(pause)
            if pause.kind == pause_pb2.PAUSE_KIND_INTERRUPT:
                question = value(pause.value)
                number = self._answers.setdefault(pause.pause_id, len(self._answers) + 1)
                answer = {"to": question, "text": f"answer {number}", "by": by}
                answers[pause.pause_id] = payload(answer)
                said = {"question": question, "answer": answer}
                self.ledger.append(Kind.ANSWERED, node=node, pause=pause.pause_id, **said)
            else:
                pause_ids.append(pause.pause_id)
                self._note_approval(pause)
        return run_pb2.Resume(pause_ids=pause_ids, answers=answers)

    def _note_approval(self, pause: pause_pb2.Pause, **fields: Any) -> None:
        self.ledger.append(
            Kind.APPROVED,
            node=pause_path(pause),
            pause=pause.pause_id,
            task=pause.task_id,
            why=pause_pb2.PauseKind.Name(pause.kind).removeprefix("PAUSE_KIND_"),
            **fields,
        )

    def _with(self, resume: run_pb2.Resume, call: Callable[[], Followed]) -> Followed:
        """Makes a call; if it is refused, what it would have approved is not approved."""
        try:
            return call()
        except RefusedError:
            self._refused(resume)
            raise

    def _refused(self, resume: run_pb2.Resume, *, but: Collection[str] = ()) -> None:
        """Notes that nothing comes of approvals, but for those that another call gave as well,
        and of answers.
        """
        self._note(Kind.REFUSED, resume, but=but)

    def _note(self, kind: Kind, resume: run_pb2.Resume, *, but: Collection[str] = ()) -> None:
        for pause_id in resume.pause_ids:
            if pause_id not in but:
                self.ledger.append(kind, pause=pause_id)
        for pause_id, answer in resume.answers.items():
            self.ledger.append(kind, pause=pause_id, answer=value(answer))

    def _stream(self, **fields: Any) -> Followed:
        run = Followed()
        self.followed.append(run)
        self._caller.follow(run, runs_pb2.StreamRunRequest(**self._common(), **fields))
        return run
