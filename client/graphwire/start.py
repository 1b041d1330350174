"""How a run starts: what `runs.stream`, `runs.create` and `runs.run` take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any, Final, TypedDict

from graphwire.breakpoints import Breakpoint
from graphwire.enums import (
    Durability,
    IfNotExists,
    MultitaskStrategy,
    OnCompletion,
    OnPause,
    RecoveryPolicy,
    StepMode,
    StreamMode,
)
from graphwire.reviews import Decision


class _NotGiven(Enum):
    """The type of `NOT_GIVEN`; an enum, so that a copy of it is still the same object."""

    NOT_GIVEN = "NOT_GIVEN"

    def __repr__(self) -> str:
        return self.value


#: Stands for 'nothing', where any JSON value is a value, None (JSON null) included.
NOT_GIVEN: Final = _NotGiven.NOT_GIVEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Goes on from where the thread stands; `Resume()`: from everything it is paused at.

    Attributes:
        pause_ids: The pauses to resume; empty: all that are open or, with answers, the
            interrupts that are answered.
        answers: Answers to `interrupt()`, by pause id or interrupt id. Interrupts that
            are not answered go on waiting.
        answer: The answer where a single interrupt is open: any JSON value, None too.
        expected_checkpoint_id: Compare and set: `CheckpointMismatchError` unless the
            thread is still at this checkpoint. Empty: do not check.
        reviews: Decisions on tool calls, by the id of the pause before the node that would
            run them: a decision for a single call, or one for each by its id.
        review: The same for the single pause with tool calls.
        step: Pause again after one step: INTO, OVER or OUT.
        run_to: Pause again before this node. Not with `step`.
        answered_by: For whom you answer, such as a user's id: kept with each pause. At most
            256 characters.
    """

    pause_ids: Sequence[str] = ()
    answers: Mapping[str, Any] = field(default_factory=dict)
    answer: Any = NOT_GIVEN
    expected_checkpoint_id: str = ""
    reviews: Mapping[str, Decision | Mapping[str, Decision]] = field(default_factory=dict)
    review: Decision | Mapping[str, Decision] | None = None
    step: StepMode | str | None = None
    run_to: str = ""
    answered_by: str = ""


@dataclass(frozen=True, slots=True)
class StateUpdate:
    """What a node is taken to have returned, in a state to begin a thread with.

    Attributes:
        as_node: The node. `"__input__"` takes the values as new input, `"__end__"` drops what
            waits; each is alone in its step. `"__start__"` is the step between input and the
            first nodes, which `"__input__"` takes by itself unless it comes next.
        values: What it is taken to have returned; None: it has written nothing.
        command: In place of values: the `Command` that it is taken to have returned, without
            `resume`. What it goes to comes next besides what follows the node.
    """

    as_node: str
    values: Any = None
    command: Command | None = None

    def __post_init__(self) -> None:
        """Raises TypeError for arguments in LangGraph's order, or of the wrong type."""
        given: object = self.as_node
        if not isinstance(given, str):
            kind = type(given).__name__
            raise TypeError(
                f"as_node is the name of a node, not {kind}: StateUpdate('node', {{…}}), the node "
                "first"
            )
        command: object = self.command
        if command is not None and not isinstance(command, Command):
            raise TypeError(f"command is {command!r}: it must be Command(…)")
        if command is not None and command.resume is not None:
            raise TypeError("command has a resume: that is for a run, and a node returns none")


@dataclass(frozen=True, slots=True)
class Goto:
    """A node to go to.

    Attributes:
        node: The node.
        input: What it gets instead of the state (LangGraph's Send). Not given: the state.
    """

    node: str
    input: Any = NOT_GIVEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """LangGraph's Command: updates the state and goes to nodes of one's choice.

    Attributes:
        update: Applied to the state first: a dict of channel values. Not given: nothing.
        goto: A node, or nodes, to run next.
        resume: Answers what the thread is paused at.
    """

    update: Any = NOT_GIVEN
    goto: str | Goto | Sequence[str | Goto] = ()
    resume: Resume | None = None


class RunConfig(TypedDict, total=False):
    """Settings of a run that LangGraph calls its config.

    Attributes:
        recursion_limit: The most steps that the run may take before it fails; 0 or not
            given: the server's default.
        tags: Tags for traces and callbacks.
        configurable: A JSON object that nodes find in `config["configurable"]`, over the context.
    """

    recursion_limit: int
    tags: Iterable[str]
    configurable: Mapping[str, Any]


class RunOptions(TypedDict, total=False):
    """The options of every call that starts a run. None is the same as not given.

    A resume or a command inherits what is not given here from the run before it.

    Attributes:
        interrupt_before: Pause before these nodes (a name, or names; `"*"` for all),
            besides the breakpoints compiled into the graph or inherited.
        interrupt_after: Pause after these nodes; as `interrupt_before`.
        breakpoints: More breakpoints, with conditions, in subgraphs, with an expiry; a plain
            name is one before that node.
        clear_breakpoints: For a resume or a command: do not inherit the breakpoints of
            the run before it. Those compiled into the graph stay.
        stream_modes: What to record and stream (a mode, or modes). New runs: UPDATES.
        stream_subgraphs: Also record the events of subgraphs.
        config: Recursion limit, tags and configurable values.
        context: The run's context (LangGraph's `runtime.context`), a JSON object. Nodes find it
            in `config["configurable"]` too, where configurable values go over it.
        metadata: Kept with the run and given to the graph: a JSON object.
        checkpoint_id: Time travel: start from this checkpoint instead of the head.
        durability: When checkpoints reach the disk. New runs: SYNC.
        multitask_strategy: What to do if the thread has an active run: REJECT.
        on_pause: What new input does on a paused thread: REJECT.
        if_not_exists: What to do if the thread does not exist: REJECT.
        start_delay: Start this much later (seconds, or a timedelta), at most 24 h.
        request_id: Makes the call safe to repeat: 1 to 128 printable ASCII characters,
            kept 24 h. Not given: the client makes one for each call.
        recovery_policy: What happens to the run when the server that executes it is lost.
            New runs: CONTINUE.
        on_completion: For a stateless run: DELETE its thread a while after its end, or KEEP it,
            as a thread like others. Not given: DELETE.
        webhook: A URL that the server calls when the run has ended or is paused; see
            `graphwire.webhooks`. For a resume or a command, not given: that of the run before
            it; "": none.
    """

    interrupt_before: str | Iterable[str] | None
    interrupt_after: str | Iterable[str] | None
    breakpoints: Breakpoint | str | Iterable[Breakpoint | str] | None
    clear_breakpoints: bool | None
    stream_modes: StreamMode | str | Iterable[StreamMode | str] | None
    stream_subgraphs: bool | None
    config: RunConfig | None
    context: Any
    metadata: Mapping[str, Any] | None
    checkpoint_id: str | None
    durability: Durability | str | None
    multitask_strategy: MultitaskStrategy | str | None
    on_pause: OnPause | str | None
    if_not_exists: IfNotExists | str | None
    start_delay: float | timedelta | None
    request_id: str | None
    recovery_policy: RecoveryPolicy | str | None
    on_completion: OnCompletion | str | None
    webhook: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """One of several runs that are started together, by `runs.create_many`.

    Exactly one of `input`, `resume` and `command` is given, as for `runs.create`.

    Attributes:
        thread_id: The thread to run on; None: a stateless run, on a thread of its own.
        assistant_id: The assistant; empty, for a resume or a command: the thread's.
        input: New input, as the graph takes it.
        resume: Goes on from where the thread is paused; True is short for `Resume()`.
        command: Updates the state, goes to nodes, answers.
        options: See `RunOptions`; without a `request_id`, which is one for all of them.
    """

    thread_id: str | None = None
    assistant_id: str = ""
    input: Any = NOT_GIVEN
    resume: Resume | bool | None = None
    command: Command | None = None
    options: RunOptions = field(default_factory=RunOptions)
