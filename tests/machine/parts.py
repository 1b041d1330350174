"""What the model of a thread is made of: tasks, pauses, runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["BREAKPOINT_BEFORE", "BREAKPOINT_AFTER", "INTERRUPT", "PAUSE"]


@dataclass(eq=False)
class Task:
    """A node that comes next.

    Attributes:
        node: Its name.
        approved: Whether somebody resumed the breakpoint before it.
        asks: Whether it has asked, and has not taken an answer.
        answer: What it was answered; "" if nothing.
        wrote: What it adds to the log when its step ends; "" until it has finished.
    """

    node: str
    approved: bool = False
    asks: bool = False
    answer: str = ""
    wrote: str = ""


@dataclass(eq=False)
class Stop:
    """A breakpoint after a node, at the end of the step of that node."""

    node: str
    approved: bool = False


@dataclass(eq=False)
class Pause:
    """A pause.

    Attributes:
        kind: Why.
        of: The task that waits, or the breakpoint after a node.
        status: What became of it.
        by: The id of the run that resumed it or left it behind; "" for none.
        pause_id: Its id on the server, once it was seen there.
        checkpoint_id: Its checkpoint there.
    """

    kind: Kind
    of: Task | Stop
    status: Literal["OPEN", "RESUMED", "SUPERSEDED", "CANCELLED"] = "OPEN"
    by: str = ""
    pause_id: str = ""
    checkpoint_id: str = ""

    @property
    def shape(self) -> tuple[str, str]:
        """Why, and where."""
        return self.kind, self.of.node


@dataclass(frozen=True)
class Snapshot:
    """A thread's state at one time: its log, and what came next with how far it was.

    Attributes:
        log: The log.
        stands: Whether there was a state.
        tasks: The tasks, each with a copy of it.
        stops: The breakpoints after nodes, each with whether it was approved.
    """

    log: tuple[str, ...]
    stands: bool
    tasks: tuple[tuple[Task, Task], ...]
    stops: tuple[tuple[Stop, bool], ...]


@dataclass(eq=False)
class Run:
    """A run.

    Attributes:
        entry: What its input or update adds to the log; "" for none.
        kind: How it starts.
        goto: The nodes that its command goes to.
        before: The nodes before which it pauses.
        after: The nodes after which it pauses.
        queues: Whether it waits for the runs before it.
        makes_room: How it treats those: "" lets them be; or INTERRUPT or ROLLBACK.
        discard: Whether it asks to give up what is paused.
        discards: Whether it has to give up what waits when it begins.
        waited: Whether the thread waited for somebody when it was accepted, or began.
        before_it: What the thread was when it began; None before.
        rolled_back: Whether the thread was put back to that.
        status: Where it is in its life.
        run_id: Its id on the server.
        resumed: The id of the run that it continues; "" for none.
        resumed_by: The id of the run that continues it; "" for none.
        began: The nodes that began in it.
        paused: The pauses with which it ended.
    """

    kind: Literal["input", "resume", "command"]
    entry: str = ""
    goto: tuple[str, ...] = ()
    before: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()
    queues: bool = False
    discard: bool = False
    makes_room: Literal["", "INTERRUPT", "ROLLBACK"] = ""
    discards: bool = False
    waited: bool = False
    before_it: Snapshot | None = None
    rolled_back: bool = False
    status: str = "PENDING"
    run_id: str = ""
    resumed: str = ""
    resumed_by: str = ""
    began: list[str] = field(default_factory=list)
    paused: list[Pause] = field(default_factory=list)


@dataclass(frozen=True)
class Resume:
    """What a resume names.

    Attributes:
        pauses: The pauses; none: all that are open.
        answer: Its answer; "" for none.
        moved_on: Whether it expects another checkpoint than that of the thread.
    """

    pauses: tuple[Pause, ...] = ()
    answer: str = ""
    moved_on: bool = False
