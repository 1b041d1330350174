"""What the contract promises of one thread, said as plainly as possible.

A model of the graph `watched`: `a`, then `ask` (which asks) beside `b`, then `c`. Each call of
a client is a method that returns the reason for which the call is refused, or None, and
changes the model as the call changes the thread.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from tests.machine.parts import Kind, Pause, Resume, Run, Snapshot, Stop, Task

NODES = ("a", "ask", "b", "c")
_FOLLOWING: Mapping[str, tuple[str, ...]] = {
    "__start__": ("a",),
    "a": ("ask", "b"),
    "ask": ("c",),
    "b": ("c",),
    "c": (),
    "__end__": (),
}


class Model:
    """A thread.

    Attributes:
        status: What it is doing.
        log: The log in its state.
        stands: Whether it has a state.
        tasks: The nodes that come next, by name; those that have finished among them.
        stops: The breakpoints after the nodes before that.
        runs: Its runs, in the order of their acceptance.
        pauses: All its pauses.
        ledger: Every node that ever began, in order as far as there is one.
        hold: The node that waits when it begins; "" for none.
        held: The task that waits now.
    """

    def __init__(self) -> None:
        """A new thread."""
        self.ledger: list[str] = []
        self.hold = ""
        self._reset()

    def _reset(self) -> None:
        self.status = "IDLE"
        self.log: list[str] = []
        self.stands = False
        self.tasks: dict[str, Task] = {}
        self.stops: list[Stop] = []
        self.runs: list[Run] = []
        self.pauses: list[Pause] = []
        self.head = ""
        self.held: Task | None = None
        self._started: list[Run] = []

    # --- what is asked of it ---

    @property
    def open(self) -> list[Pause]:
        """The open pauses."""
        return [pause for pause in self.pauses if pause.status == "OPEN"]

    @property
    def active(self) -> list[Run]:
        """The runs that are queued or running."""
        return [run for run in self.runs if run.status in ("PENDING", "RUNNING")]

    @property
    def running(self) -> Run | None:
        """The run that executes; it waits in the node `held`."""
        return next((run for run in self.runs if run.status == "RUNNING"), None)

    @property
    def unfinished(self) -> list[Task]:
        """The tasks that have not finished."""
        return [task for task in self.tasks.values() if not task.wrote]

    @property
    def shown(self) -> list[str]:
        """The log, with what tasks have returned already while others wait."""
        return self.log + [t.wrote for _, t in sorted(self.tasks.items()) if t.wrote]

    @property
    def last(self) -> Run | None:
        """The run that began last, deleted or not: the next one inherits from it."""
        return self._started[-1] if self._started else None

    # --- the calls ---

    def start(self, run: Run, resume: Resume | None = None) -> str | None:
        """CreateRun and StreamRun."""
        refused = self._refusal(run, resume)
        if refused:
            return refused
        last = self.last
        if run.kind != "input" and last:
            run.before |= last.before
            run.after |= last.after
        run.waited = self.status == "INTERRUPTED"
        run.discard = run.discard and resume is None
        for other in self.active if run.makes_room else []:
            if other.status == "PENDING":
                other.status = "CANCELLED"
        if resume or not self.active:
            run.before_it = self._snapshot()
        if resume:
            run.resumed = last.run_id if last in self.runs else ""
            if last:
                last.resumed_by = "new"
            meant = _meant(self.open, resume)
            for pause in meant:
                pause.status, pause.by = "RESUMED", "new"
                if isinstance(pause.of, Task) and pause.kind == "INTERRUPT":
                    pause.of.answer = resume.answer
                else:
                    pause.of.approved = True
        elif self.status == "INTERRUPTED":
            run.discards = run.kind == "command"
            self._settle((), (), by="new")
        if run.kind == "command" and run.makes_room == "INTERRUPT" and self.running:
            run.discards = True
        starts = resume is not None or not self.active
        self.runs.append(run)
        self.status = "BUSY"
        if starts:
            self._begin(run)
        elif run.makes_room and self.running:
            self.held = None
            if run.makes_room == "ROLLBACK":
                self._roll_back(self.running)
            else:
                self._end(self.running, "CANCELLED")
        self._go_on()
        return None

    def name(self, run: Run, run_id: str) -> None:
        """Says which id the newest run has."""
        run.run_id = run_id
        for pause in self.pauses:
            pause.by = run_id if pause.by == "new" else pause.by
        for other in self.runs:
            other.resumed_by = run_id if other.resumed_by == "new" else other.resumed_by
            other.resumed = run_id if other.resumed == "new" else other.resumed

    def release(self, *, fails: bool) -> None:
        """The node that waits goes on, or fails."""
        run, task = self.running, self.held
        assert run
        assert task
        self.hold, self.held = "", None
        if fails and (task.node != "ask" or task.answer):
            task.asks = False
            self._end(run, "FAILED")
        else:
            self._finish(task)
            self._advance(run)
        self._go_on()

    def cancel(self, run: Run, *, rollback: bool = False) -> str | None:
        """CancelRun."""
        if run.status not in ("PENDING", "RUNNING"):
            waits = run.status == self.status == "INTERRUPTED"
            if rollback or run is not self.last or not waits:
                return "RUN_ENDED"
            for pause in self.open:
                pause.status = "CANCELLED"
            self.status = "BUSY" if self.active else "IDLE"
        elif rollback:
            self.held = None if run.status == "RUNNING" else self.held
            self._roll_back(run)
        elif run.status == "RUNNING":
            self.held = None
            self._end(run, "CANCELLED")
        else:
            run.status = "CANCELLED"
            if self.status != "INTERRUPTED" and not self.active:
                self.status = "IDLE"
            self._give_way(cancelled=True)
        self._go_on()
        return None

    def delete_run(self, run: Run) -> str | None:
        """DeleteRun."""
        if run.status in ("PENDING", "RUNNING"):
            return "RUN_ACTIVE"
        # What comes next inherits from it all the same.
        self.runs.remove(run)
        return None

    def edit(self, entry: str, as_node: str, *, moved_on: bool = False) -> str | None:
        """UpdateThreadState; `entry` is added to the log."""
        if self.status == "BUSY":
            return "THREAD_BUSY"
        if moved_on:
            return "CHECKPOINT_MISMATCH"
        if as_node == "__end__":
            self._end_step()
        else:
            self.log.append(entry)
        self._move(_FOLLOWING[as_node])
        waiting = self._waiting(self.last)
        if self.status == "INTERRUPTED":
            # What was paused stays so, until somebody lets it run.
            lost = {p.of.node for p in self.open if p.kind != "BREAKPOINT_AFTER"}
            held = [of for _, of in waiting]
            waiting += [
                ("PAUSE", task)
                for task in self.unfinished
                if task not in held and (not held or task.node in lost)
            ]
        self._settle(waiting, ())
        if self.open:
            self.status = "INTERRUPTED"
        else:
            self.status = "BUSY" if self.active else "IDLE"
        self._go_on()
        return None

    def delete_thread(self) -> str | None:
        """DeleteThread, and CreateThread with the same id."""
        if self.active:
            return "THREAD_BUSY"
        self._reset()
        return None

    # --- refusals ---

    def _refusal(self, run: Run, resume: Resume | None) -> str | None:
        if resume is None:
            if self.status == "INTERRUPTED" and not run.discard:
                return "THREAD_INTERRUPTED"
            if self.active and not run.queues:
                return "THREAD_BUSY"
            left = [] if run.makes_room == "ROLLBACK" else self.active
            if run.makes_room == "INTERRUPT":
                left = [other for other in left if other.status == "RUNNING"]
            stood = self.running.before_it if self.running else None
            # Whether it had a state before the run that executes.
            stands = self.stands if stood is None else stood.stands
            nowhere = run.goto and not left and not stands
            return "NOTHING_TO_RESUME" if nowhere else None
        if run.queues:
            return "INVALID_FIELD"
        asks = any(pause.kind == "INTERRUPT" for pause in self.open)
        # Whoever comes second is told so first of all.
        last = self.running or self.last
        late = any(pause.pause_id and pause.status != "OPEN" for pause in resume.pauses)
        answered = last is not None and any(
            (p.kind, p.status, p.by) == ("INTERRUPT", "RESUMED", last.run_id) for p in self.pauses
        )
        if late or (resume.answer and not asks and answered):
            return "PAUSE_NOT_OPEN"
        goes_on = self.status != "BUSY" and (self.open or self.unfinished)
        there = [pause for pause in self.pauses if pause.checkpoint_id == self.head]
        resumed = any(pause.status == "RESUMED" for pause in there)
        if resumed and not (resume.pauses or resume.moved_on):
            waits = [pause for pause in there if pause.status == "OPEN"]
            asked = not resume.answer and any(pause.kind == "INTERRUPT" for pause in waits)
            if asked or not (waits or goes_on):
                return "PAUSE_NOT_OPEN"
        if self.status == "BUSY":
            return "THREAD_BUSY"
        if resume.moved_on:
            return "CHECKPOINT_MISMATCH"
        if (resume.answer and not asks) or not {*resume.pauses} <= {*self.open}:
            return "PAUSE_NOT_OPEN"
        if not resume.answer and any(p.kind == "INTERRUPT" for p in _meant(self.open, resume)):
            return "ANSWER_REQUIRED"
        return None if self.open or self.unfinished else "NOTHING_TO_RESUME"

    # --- how a run goes ---

    def _go_on(self) -> None:
        """Begins what is queued, while nothing runs and nothing is paused."""
        while self.status == "BUSY" and not self.running:
            self._begin(self.active[0])

    def _begin(self, run: Run) -> None:
        run.status = "RUNNING"
        run.before_it = run.before_it or self._snapshot()
        self._started.append(run)
        if run.kind == "input":
            self._move(("a",))
        elif run.discards:
            self._end_step()
            self._move(())
        if run.goto and not self.stands:
            self._end(run, "FAILED")
            return
        if run.kind == "command" and not self.stands:
            self._move(("a",))
        if run.entry:
            self.log.append(run.entry)
        for node in run.goto:
            self.tasks.setdefault(node, Task(node))
        self._advance(run)

    def _advance(self, run: Run) -> None:
        """Runs step after step, until nothing can begin."""
        while self.tasks and all(stop.approved for stop in self.stops):
            barred = self._barred(run)
            begun = any(t.approved or t.asks or t.wrote for t in self.tasks.values())
            if barred and not begun:
                break
            for task in self.unfinished:
                if task not in barred and (task.answer or not task.asks):
                    self._run_node(run, task)
            if self.held:
                return
            if self.unfinished:
                break
            nodes = sorted(self.tasks)
            self._end_step()
            self._move({following for node in nodes for following in _FOLLOWING[node]})
            self.stops = [Stop(node) for node in nodes if node in run.after]
        waits = self.unfinished or not all(stop.approved for stop in self.stops)
        self._end(run, "INTERRUPTED" if waits else "SUCCEEDED")

    def _run_node(self, run: Run, task: Task) -> None:
        self.ledger.append(task.node)
        run.began.append(task.node)
        if task.node == self.hold:
            self.held = task
        else:
            self._finish(task)

    def _finish(self, task: Task) -> None:
        task.asks = False
        if task.node != "ask":
            task.wrote = task.node
        elif task.answer:
            task.wrote = f"ask: {task.answer}"
        else:
            task.asks = True

    def _end_step(self) -> None:
        self.log = self.shown

    def _move(self, nodes: Iterable[str]) -> None:
        """Puts the thread before these nodes."""
        self.stands, self.stops = True, []
        self.tasks = {node: Task(node) for node in sorted(nodes)}

    def _end(self, run: Run, status: str) -> None:
        run.status = status
        if status == "INTERRUPTED":
            self._settle(self._waiting(run), (), by=run.run_id or "new")
            run.paused = self.open
        else:
            # Questions that were asked stay, and breakpoints that waited before the run. What
            # was answered, and has not taken it, asks again.
            for task in self.unfinished:
                task.answer = "" if task.asks else task.answer
            questions = [reason for reason in self._waiting(None) if reason[0] == "INTERRUPT"]
            keep: list[Task | Stop] = [*self.unfinished, *self.stops]
            self._settle(questions, keep, by=run.run_id or "new")
        if self.open:
            self.status = "INTERRUPTED"
        elif self.active:
            self.status = "BUSY"
        else:
            self.status = "ERROR" if status == "FAILED" else "IDLE"
        self._give_way(cancelled=status == "CANCELLED")

    def _give_way(self, *, cancelled: bool) -> None:
        """Gives up what waits, for the run whose turn it is, if it is one that has it so."""
        if self.status != "INTERRUPTED" or not self.active:
            return
        first = self.active[0]
        if first.discard or (cancelled and first.makes_room):
            self._settle((), (), by=first.run_id or "new")
            first.discard = first.waited = True
            first.discards = first.kind == "command"
            self.status = "BUSY"

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            tuple(self.log),
            self.stands,
            tuple((task, replace(task)) for task in self.tasks.values()),
            tuple((stop, stop.approved) for stop in self.stops),
        )

    def _roll_back(self, run: Run) -> None:
        """Puts the thread back to where it stood before a run."""
        run.status, run.rolled_back = "CANCELLED", True
        before = run.before_it
        if run in self._started and before:
            self._started.remove(run)
            self.log, self.stands = [*before.log], before.stands
            for task, then in before.tasks:
                for name in ("approved", "asks", "answer", "wrote"):
                    setattr(task, name, getattr(then, name))
            for stop, approved in before.stops:
                stop.approved = approved
            self.tasks = {task.node: task for task, _ in before.tasks}
            self.stops = [stop for stop, _ in before.stops]
        resolved = [pause for pause in self.pauses if pause.by == run.run_id]
        for pause in resolved:
            pause.status = "SUPERSEDED"
        self.pauses += [Pause(pause.kind, pause.of) for pause in resolved]
        for other in self.runs:
            if other.resumed_by == run.run_id:
                other.resumed_by = ""
        if self.open or run.waited:
            self.status = "INTERRUPTED"
        else:
            self.status = "BUSY" if self.active else "IDLE"
        self._give_way(cancelled=True)

    # --- pauses ---

    def _barred(self, run: Run | None) -> list[Task]:
        before = run.before if run else frozenset[str]()
        paused = self._paused()
        return [
            task
            for task in self.unfinished
            if (task.node in before or task in paused) and not task.approved and not task.asks
        ]

    def _paused(self) -> list[Task | Stop]:
        """The tasks that an edit has left waiting."""
        return [pause.of for pause in self.open if pause.kind == "PAUSE"]

    def _waiting(self, run: Run | None) -> list[tuple[Kind, Task | Stop]]:
        """Why the thread waits, given the breakpoints of a run."""
        paused = self._paused()
        return [
            *(("BREAKPOINT_AFTER", stop) for stop in self.stops if not stop.approved),
            *(("INTERRUPT", task) for task in self.unfinished if task.asks),
            *(
                ("PAUSE" if task in paused else "BREAKPOINT_BEFORE", task)
                for task in self._barred(run)
            ),
        ]

    def _settle(
        self,
        waiting: Iterable[tuple[Kind, Task | Stop]],
        keep: Collection[Task | Stop],
        *,
        by: str = "",
    ) -> None:
        """Supersedes what does not wait any more, and opens a pause for what is new."""
        new = list(waiting)
        for pause in self.open:
            if (pause.kind, pause.of) in new:
                new.remove((pause.kind, pause.of))
            elif pause.kind == "INTERRUPT" or pause.of not in keep:
                pause.status, pause.by = "SUPERSEDED", by
        self.pauses += [Pause(kind, of) for kind, of in new]


def _meant(pauses: list[Pause], resume: Resume) -> list[Pause]:
    """Returns the open pauses that a resume is about; empty: all of them."""
    named = [p for p in pauses if p in resume.pauses or (resume.answer and p.kind == "INTERRUPT")]
    return named or pauses
