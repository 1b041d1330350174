"""Random calls on one thread, compared with the model after each.

`GRAPHWIRE_TEST_EXAMPLES` says how many threads to play on; unset: a few, the same each time.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from graphwire.v1 import runs_pb2_grpc, threads_pb2_grpc
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.machine.model import NODES, Model
from tests.machine.parts import Pause, Resume, Run
from tests.machine.real import RealThread
from tests.servers import ServerProcess

EXAMPLES = int(os.environ.get("GRAPHWIRE_TEST_EXAMPLES", "0"))

SETTINGS = settings(
    max_examples=EXAMPLES or 40,
    stateful_step_count=30 if EXAMPLES else 15,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)

#: Those beside each other are worth a try of their own.
BREAKPOINTS = st.frozensets(st.sampled_from(NODES), max_size=2) | st.just(frozenset({"ask", "b"}))
Room = Literal["", "INTERRUPT", "ROLLBACK"]
ROOMS: list[Room] = ["", "INTERRUPT", "ROLLBACK"]
MAKES_ROOM = st.sampled_from(ROOMS)
RARELY = st.integers(0, 7).map(lambda number: number == 7)


class StatusMachine(RuleBasedStateMachine):
    """All that a client can do to a thread, on a real one and on the model."""

    new_thread: Callable[[], RealThread]

    def __init__(self) -> None:
        """Creates the thread."""
        super().__init__()
        self.model = Model()
        self.real = self.new_thread()
        self._entries = (f"entry {number}" for number in itertools.count(1))

    @rule(
        before=BREAKPOINTS,
        after=BREAKPOINTS,
        queues=st.booleans(),
        makes_room=MAKES_ROOM,
        discard=RARELY,
        streams=st.booleans(),
    )
    def give_input(
        self,
        *,
        before: frozenset[str],
        after: frozenset[str],
        queues: bool,
        makes_room: Room,
        discard: bool,
        streams: bool,
    ) -> None:
        """Starts a run with input."""
        run = Run("input", next(self._entries), (), before, after, queues, discard)
        run.makes_room = makes_room if queues else ""
        self._start(run, None, streams=streams)

    @precondition(lambda self: self.model.pauses or self.model.unfinished)
    @rule(
        data=st.data(),
        all_pauses=st.booleans(),
        moved_on=RARELY,
        before=st.just(frozenset()) | BREAKPOINTS,
        streams=st.booleans(),
    )
    def resume(
        self,
        *,
        data: st.DataObject,
        all_pauses: bool,
        moved_on: bool,
        before: frozenset[str],
        streams: bool,
    ) -> None:
        """Resumes everything, or some pauses, those among them that are not open any more."""
        resume = self._resume(data, all_pauses=all_pauses, moved_on=moved_on)
        self._start(Run("resume", before=before), resume, streams=streams)

    @precondition(lambda self: self.model.open)
    @rule(which=st.integers(0, 3), streams=st.booleans())
    def resume_one(self, *, which: int, streams: bool) -> None:
        """Resumes one open pause, and leaves the others."""
        pause = self.model.open[which % len(self.model.open)]
        resume = Resume((pause,), "yes" if pause.kind == "INTERRUPT" else "")
        self._start(Run("resume"), resume, streams=streams)

    @rule(
        data=st.data(),
        goto=st.lists(st.sampled_from(NODES), max_size=2, unique=True),
        updates=st.booleans(),
        resumes=st.booleans(),
        after=BREAKPOINTS,
        queues=st.booleans(),
        makes_room=MAKES_ROOM,
        discard=RARELY,
    )
    def command(
        self,
        *,
        data: st.DataObject,
        goto: list[str],
        updates: bool,
        resumes: bool,
        after: frozenset[str],
        queues: bool,
        makes_room: Room,
        discard: bool,
    ) -> None:
        """Starts a run with a command: an update, nodes to go to, a resume."""
        entry = next(self._entries) if updates or not goto else ""
        run = Run("command", entry, tuple(goto), frozenset(), after, queues, discard)
        run.makes_room = makes_room if queues else ""
        resume = None
        if resumes and (self.model.pauses or self.model.unfinished):
            resume, run.queues = self._resume(data, all_pauses=True), False
            run.makes_room = ""
        self._start(run, resume, streams=False)

    @precondition(lambda self: not self.model.running)
    @rule(node=st.sampled_from(["", *NODES]))
    def hold(self, *, node: str) -> None:
        """Has a node wait when it begins."""
        self.model.hold = node
        self.real.hold(node)

    @precondition(lambda self: self.model.running)
    @rule(fails=st.booleans())
    def release(self, *, fails: bool) -> None:
        """Lets the node go on that waits, or fail."""
        run, held = self.model.running, self.model.held
        assert run
        assert held
        self.model.release(fails=fails)
        self.real.release(held.node, run, fails=fails)

    @precondition(lambda self: self.model.runs)
    @rule(which=st.integers(0, 9), active=st.booleans(), rollback=st.booleans())
    def cancel(self, *, which: int, active: bool, rollback: bool) -> None:
        """Cancels a run, or rolls it back."""
        runs = (active and self.model.active) or self.model.runs
        run = runs[-1 - which % len(runs)]
        found = self.real.cancel(run, rollback=rollback)
        assert found == self.model.cancel(run, rollback=rollback)

    @precondition(lambda self: self.model.runs)
    @rule(which=st.integers(0, 9))
    def delete_run(self, *, which: int) -> None:
        """Deletes a run."""
        run = self.model.runs[-1 - which % len(self.model.runs)]
        assert self.real.delete_run(run) == self.model.delete_run(run)

    @rule(as_node=st.sampled_from(["__start__", *NODES]), moved_on=RARELY)
    def edit(self, *, as_node: str, moved_on: bool) -> None:
        """Edits the state."""
        self._edit(as_node, moved_on=moved_on)

    @precondition(lambda self: self.model.stands)
    @rule(meant=RARELY)
    def drop(self, *, meant: bool) -> None:
        """Drops what waits."""
        if meant or self.model.active:
            self._edit("__end__")

    @precondition(lambda self: self.model.runs)
    @rule(meant=RARELY)
    def delete_thread(self, *, meant: bool) -> None:
        """Deletes the thread, and creates it anew."""
        if meant or self.model.active:
            assert self.real.delete_thread([*self.model.runs]) == self.model.delete_thread()

    @invariant()
    def agree(self) -> None:
        """The thread is as the model says."""
        self.real.settle(self.model)
        self.real.check(self.model)

    def teardown(self) -> None:
        """Looks at all events again, and leaves nothing that runs."""
        self.real.check_events(self.model)
        for run in self.model.active[::-1]:
            self.real.cancel(run)

    def _start(self, run: Run, resume: Resume | None, *, streams: bool) -> None:
        refusal = self.model.start(run, resume)
        streamed = streams and run.status != "PENDING" and run.status != "RUNNING"
        found, run_id = self.real.start(run, resume, streamed=streamed and not refusal)
        assert found == refusal
        if not refusal:
            self.model.name(run, run_id)

    def _resume(self, data: st.DataObject, *, all_pauses: bool, moved_on: bool = False) -> Resume:
        pauses: list[Pause] = []
        if not all_pauses and self.model.pauses:
            # Mostly one that is open; one that is not is refused.
            pool = self.model.pauses[-1:] + self.model.open + self.model.pauses[-3:-1]
            pauses = [data.draw(st.sampled_from(pool))]
        asks = any(pause.kind == "INTERRUPT" for pause in self.model.open)
        answers = data.draw(RARELY) != asks
        return Resume(tuple(pauses), "yes" if answers else "", moved_on)

    def _edit(self, as_node: str, *, moved_on: bool = False) -> None:
        entry = next(self._entries)
        found = self.real.edit(entry, as_node, moved_on=moved_on)
        assert found == self.model.edit(entry, as_node, moved_on=moved_on)


@pytest.mark.timeout(0 if EXAMPLES else 120)
def test_a_thread_is_what_the_contract_says_after_any_calls(
    server: ServerProcess,
    runs: runs_pb2_grpc.RunsStub,
    threads: threads_pb2_grpc.ThreadsStub,
    tmp_path: Path,
) -> None:
    folders = (tmp_path / str(number) for number in itertools.count())

    class OnThisServer(StatusMachine):
        def new_thread(self) -> RealThread:
            return RealThread(runs, threads, Path(server.database), next(folders))

    run_state_machine_as_test(OnThisServer, settings=SETTINGS)
