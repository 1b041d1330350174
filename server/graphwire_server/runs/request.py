"""What a caller asks for when starting a run, and what is made of it.

A `RunRequest` is the call, checked in itself. A `RunSpec` is the decision: everything
inherited, added up and defaulted; it is stored with the run, and nothing else is needed to
execute it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Literal

import orjson

from graphwire_server import jsontext
from graphwire_server.graphs.breakpoints import Breakpoint
from graphwire_server.graphs.tool_calls import Decision
from graphwire_server.storage.records import Failure


class StreamMode(StrEnum):
    """Which events a run records; the contract's `StreamMode` without its prefix."""

    VALUES = "VALUES"
    UPDATES = "UPDATES"
    MESSAGES = "MESSAGES"
    TASKS = "TASKS"
    CHECKPOINTS = "CHECKPOINTS"
    CUSTOM = "CUSTOM"
    DEBUG = "DEBUG"


class Durability(StrEnum):
    """When checkpoints reach the disk; the contract's `Durability` without its prefix."""

    SYNC = "SYNC"
    ASYNC = "ASYNC"
    EXIT = "EXIT"


Multitask = Literal["REJECT", "ENQUEUE", "INTERRUPT", "ROLLBACK"]
Recovery = Literal["CONTINUE", "MANUAL"]
StepMode = Literal["", "INTO", "OVER", "OUT"]


@dataclass(frozen=True, slots=True)
class Given:
    """A JSON value that was given, null included; where nothing was given there is None."""

    value: Any


@dataclass(frozen=True, slots=True)
class InputStart:
    """Starts with new input: any JSON value but null and {}."""

    value: Any


@dataclass(frozen=True, slots=True)
class ResumeStart:
    """Goes on from where the thread is paused; see the contract's `Resume`."""

    pause_ids: tuple[str, ...] = ()
    answers: tuple[tuple[str, Any], ...] = ()
    answer: Given | None = None
    expected_checkpoint_id: str = ""
    reviews: tuple[tuple[str, tuple[Decision, ...]], ...] = ()
    review: tuple[Decision, ...] | None = None
    step: StepMode = ""
    run_to: str = ""
    answered_by: str = ""


@dataclass(frozen=True, slots=True)
class CommandStart:
    """Updates the state, goes to nodes, answers; see the contract's `Command`."""

    update: Given | None = None
    goto: tuple[tuple[str, Given | None], ...] = ()
    resume: ResumeStart | None = None


Start = InputStart | ResumeStart | CommandStart


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A request to start a run.

    None, "" and () mean that the caller left it out. Times are in microseconds. Of the ids of
    the breakpoints, `breakpoint_ids` are those that the caller gave. `expired` says that there
    is no caller: the time of the pauses that it resumes is over. A `webhook` that is empty says
    that nobody is to be called; None, that the run before it decides.
    """

    start: Start
    thread_id: str = ""
    assistant_id: str = ""
    interrupt_before: tuple[str, ...] = ()
    interrupt_after: tuple[str, ...] = ()
    clear_breakpoints: bool = False
    stream_modes: tuple[StreamMode, ...] = ()
    stream_subgraphs: bool = False
    recursion_limit: int = 0
    tags: tuple[str, ...] = ()
    configurable: dict[str, Any] | None = None
    has_config: bool = False
    context: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    checkpoint_id: str = ""
    durability: Durability | None = None
    multitask: Multitask = "REJECT"
    discard_pause: bool = False
    create_thread: bool = False
    start_delay: int = 0
    recovery: Recovery | None = None
    breakpoints: tuple[Breakpoint, ...] = ()
    breakpoint_ids: tuple[str, ...] = ()
    expired: bool = False
    keep_thread: bool = False
    request_id: str = ""
    webhook: str | None = None

    @property
    def resume(self) -> ResumeStart | None:
        """Returns how it resumes, by itself or within a command; None if it does not."""
        if isinstance(self.start, CommandStart):
            return self.start.resume
        return self.start if isinstance(self.start, ResumeStart) else None

    def fingerprint(self) -> str:
        """Returns a digest of what the request means, its request_id apart.

        A default that is given means what leaving it out does, and the order of names nothing.
        """
        inherits = not isinstance(self.start, InputStart)
        plain = replace(
            self,
            interrupt_before=tuple(sorted(self.interrupt_before)),
            interrupt_after=tuple(sorted(self.interrupt_after)),
            breakpoints=tuple(
                each
                if each.breakpoint_id in self.breakpoint_ids
                else replace(each, breakpoint_id="")
                for each in self.breakpoints
            ),
            clear_breakpoints=inherits and self.clear_breakpoints,
            stream_modes=tuple(sorted(self.stream_modes))
            or (() if inherits else (StreamMode.UPDATES,)),
            has_config=inherits and self.has_config,
            configurable=self.configurable or {},
            metadata=self.metadata or {},
            durability=self.durability or (None if inherits else Durability.SYNC),
            recovery=self.recovery or (None if inherits else "CONTINUE"),
            webhook=self.webhook if inherits else self.webhook or "",
        )
        meaning = {f.name: _plain(getattr(plain, f.name)) for f in fields(plain)}
        del meaning["request_id"]
        meaning["kind"] = type(self.start).__name__
        return hashlib.sha256(jsontext.canonical(meaning).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Step:
    """A step: how far a run goes before it pauses again.

    Attributes:
        mode: INTO, OVER or OUT.
        tasks: The tasks that it goes on from, each as (id, namespace, node).
        checkpoints: The checkpoints of the breakpoints after nodes that it goes on from, each as
            (id, namespace).
    """

    mode: StepMode
    tasks: list[tuple[str, list[str], str]]
    checkpoints: list[tuple[str, list[str]]]


@dataclass(frozen=True, slots=True)
class Found:
    """How a run found its thread: what that is again where nothing but the run says otherwise.

    Attributes:
        assistant_id: The assistant to which it belonged; empty: to none.
        graph_id: The graph of its state.
        error: How the run before had failed, if the thread stood at that.
    """

    assistant_id: str = ""
    graph_id: str = ""
    error: Failure | None = None


@dataclass(frozen=True, slots=True)
class RunSpec:
    """How a run executes.

    Attributes:
        kind: How it starts: with input, by going on, or by a command.
        value: For "input": the input. For "command": the update; None for none.
        goto: For "command": nodes to go to, each as [name] or [name, input].
        answers: Answers by LangGraph's interrupt id.
        interrupt_before: All breakpoints of the root, inherited and compiled ones included.
        interrupt_after: As interrupt_before.
        stream_modes: Which events it records.
        stream_subgraphs: Whether it records those of subgraphs.
        recursion_limit: The most steps.
        tags: For traces and callbacks.
        configurable: The caller's configurable values.
        context: The run's context; None for none.
        metadata: The caller's metadata.
        user: What the graph is told of who started it: a JSON object; empty: nothing.
        checkpoint_id: Where to start from; empty for the head.
        discards: For "command": drops the nodes that wait, before it does anything else.
        durability: When checkpoints reach the disk.
        multitask: How it was asked to treat a busy thread.
        recovery: What happens to it when the server that executes it is lost.
        first: Whether nothing had run on the thread when it began.
        branches: Whether it makes a branch at `checkpoint_id` also where that is the head.
        graph_id: The graph that it executes; empty: that of the assistant's name.
        assistant_version: The version of the assistant that it has.
        defaults: The breakpoints of the thread and of the assistant: a JSON array as text, see
            `graphs.breakpoints`. (The run's own may change: they are in its record.)
        step: For a step: how far it goes, and from where; else None.
        run_to: The node before which it pauses; empty: none.
        waited: Whether the thread waited for somebody when it was accepted, or began.
        clears: Whether it inherits no breakpoints of runs.
        from_before: For one that is queued: those of its own breakpoints that it had from the run
            before it when it was accepted, as `defaults`.
        known_metadata: What conditions see as metadata: the run's, over that of the runs it
            continues.
        chain: The run with new input that it continues, or its own id: what breakpoints let
            pass is counted over all runs of a chain.
        found: How it found its thread; of one that was queued, as the run before it did, but for
            the error, of which it knows nothing.
        origin: The request id and the trace context of the call that started it, as headers.
        webhook_values: The longest state that its webhook has, in bytes.
        webhook: The URL that is called when it has ended; empty: none. See `webhook_in`.
    """

    kind: Literal["input", "resume", "command"]
    value: Any
    goto: list[list[Any]]
    answers: dict[str, Any]
    interrupt_before: list[str]
    interrupt_after: list[str]
    stream_modes: list[str]
    stream_subgraphs: bool
    recursion_limit: int
    tags: list[str]
    configurable: dict[str, Any]
    context: dict[str, Any] | None
    metadata: dict[str, Any]
    checkpoint_id: str
    discards: bool
    durability: str
    multitask: Multitask
    recovery: Recovery
    first: bool = False
    branches: bool = False
    graph_id: str = ""
    assistant_version: int = 1
    defaults: str = "[]"
    step: Step | None = None
    run_to: str = ""
    waited: bool = False
    clears: bool = False
    from_before: str = "[]"
    known_metadata: dict[str, Any] = field(default_factory=dict)
    chain: str = ""
    found: Found = field(default_factory=Found)
    user: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    webhook_values: int = 0
    webhook: str = ""

    @staticmethod
    def webhook_in(text: str) -> tuple[str, int]:
        """Returns `webhook` and `webhook_values` of what `to_json` gave.

        Where there is none, nothing is read, as it holds the run's input: its last member says
        so. It also knows them where all the rest means nothing to this program.
        """
        if text.endswith(',"webhook":""}'):
            return "", 0
        members = orjson.loads(text)
        return members.get("webhook", ""), members.get("webhook_values", 0)

    @staticmethod
    def found_in(text: str) -> Found:
        """Returns `found` of what `to_json` gave, also where all the rest means nothing here."""
        return _found(orjson.loads(text).get("found"))

    @staticmethod
    def graph_in(text: str) -> str:
        """Returns `graph_id` of what `to_json` gave, as `found_in` does."""
        graph_id: str = orjson.loads(text).get("graph_id", "")
        return graph_id

    def to_json(self) -> str:
        """Returns it as JSON text, to be stored."""
        return orjson.dumps(self).decode()

    @classmethod
    def from_json(cls, text: str) -> RunSpec:
        """Reads it back from `to_json`."""
        fields_ = orjson.loads(text)
        if fields_.get("step") is not None:
            fields_["step"] = Step(**fields_["step"])
        fields_["found"] = _found(fields_.get("found"))
        return cls(**fields_)


def _found(members: dict[str, Any] | None) -> Found:
    if members is None:
        return Found()
    error = members["error"] and Failure(**members["error"])
    return Found(members["assistant_id"], members["graph_id"], error)


def _plain(value: Any) -> Any:
    match value:
        case Given():
            return {"given": value.value}
        case InputStart() | ResumeStart() | CommandStart() | Breakpoint() | Decision():
            return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
        case tuple():
            return [_plain(item) for item in value]
        case _:
            return value
