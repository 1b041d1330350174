"""The events of a run, made for `match`.

    async for event in client.runs.stream(...):
        match event:
            case Updates(node=node, update=update): ...
            case Message(text=text): ...
            case Interrupted(pauses=[pause, *_]): ...
            case End(status=RunStatus.SUCCEEDED): ...

The first event of a run is always `Metadata`, the last always `End`. Kinds that this
client does not know are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from graphwire.enums import MessageRole, RunStatus
from graphwire.values import Pause, RunError


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event has.

    Attributes:
        run_id: The run.
        sequence: The event's number in the run, from 1; pass the last one seen to
            `runs.join(run_id, after_sequence=…)` to go on after it.
        attempt: Which attempt at executing the run it belongs to, from 1.
        time: When it happened.
        namespace: The subgraph it comes from, one `node:task` per level; empty at the
            root.
        truncated: How large the event is, in bytes, where the server has left its payloads
            out; 0: this is the whole. Only with a `channel` of one's own: it takes what it
            was made to take, and metadata `("graphwire-events", "whole")` asks for all.
    """

    run_id: str
    sequence: int
    attempt: int
    time: datetime
    namespace: tuple[str, ...]
    truncated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata(Event):
    """The run was accepted; always first.

    Attributes:
        thread_id: The thread it runs on; for a stateless run, the one made for it.
        assistant_id: The assistant that runs.
        resumed_run_id: The run that this one continues; empty if it resumes none.
    """

    thread_id: str
    assistant_id: str
    resumed_run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(Event):
    """A run whose server was lost goes on; messages that had not ended are void.

    Attributes:
        reason: Why the attempt before it stopped.
        checkpoint_id: The checkpoint it goes on from; empty if there was none yet.
    """

    reason: str
    checkpoint_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Values(Event):
    """Mode VALUES: the whole state, after the input and after each step.

    Attributes:
        values: The state.
    """

    values: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Updates(Event):
    """Mode UPDATES: what one node (or one `@task`) returned.

    Attributes:
        node: The node.
        update: What it returned; None if nothing.
        cached: Whether it did not run now: the result was kept from an earlier run of the same
            step, which waited for other nodes, or comes from the graph's cache.
    """

    node: str
    update: Any
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStarted(Event):
    """Mode TASKS or DEBUG: a node starts.

    Attributes:
        task_id: LangGraph's id of the task, the same in `TaskFinished`.
        node: The node.
        input: What it gets: the state, or what a Send gave it.
        triggers: The channels that triggered it.
    """

    task_id: str
    node: str
    input: Any
    triggers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFinished(Event):
    """Mode TASKS or DEBUG: a node has finished, failed, or waits for answers.

    Attributes:
        task_id: LangGraph's id of the task, the same as in `TaskStarted`.
        node: The node.
        result: What it returned, by channel; None if it failed or asks.
        error: Set if it raised.
        interrupt_ids: The LangGraph ids of the interrupts that it waits at.
    """

    task_id: str
    node: str
    result: Any
    error: RunError | None
    interrupt_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(Event):
    """Mode CHECKPOINTS or DEBUG: a checkpoint was made.

    Attributes:
        checkpoint_id: The checkpoint.
        parent_checkpoint_id: The one before it; empty for the first.
        values: The state in it.
        next: The nodes that come next.
        step: -1 for the input, 0 for the first step, and so on.
        source: What made it: `"input"`, `"loop"`, `"update"` or `"fork"`.
    """

    checkpoint_id: str
    parent_checkpoint_id: str
    values: Any
    next: tuple[str, ...]
    step: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom(Event):
    """Mode CUSTOM: what a node wrote to its stream writer.

    Attributes:
        data: The value as the node wrote it.
    """

    data: Any


@dataclass(frozen=True, slots=True)
class ToolCallPiece:
    """A piece of a tool call.

    Attributes:
        index: Which of the message's tool calls, from 0.
        id: The call's id; only with its first piece, otherwise empty.
        name: The tool; only with its first piece, otherwise empty.
        args: More of the arguments' JSON text, to be appended.
    """

    index: int
    id: str
    name: str
    args: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a whole message.

    Attributes:
        input_tokens: Tokens read.
        output_tokens: Tokens written.
        total_tokens: Both together.
    """

    input_tokens: int
    output_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Event):
    """Mode MESSAGES: a piece of a chat message, or the whole of one.

    The wire says once per message who speaks; the client repeats it with every piece. A
    stream that was joined in the middle of a message does not know: then `role` is
    UNKNOWN, and `type`, `node`, `name` and `tool_call_id` are empty.

    Attributes:
        message_id: The message, the same for all of its pieces and in the state.
        role: Who speaks.
        type: LangChain's type of the message: `"ai"`, `"human"`, `"system"`, `"tool"`, …
        node: The node that it comes from.
        name: The message's name, if it has one; for TOOL the tool.
        tool_call_id: For TOOL: the tool call that it answers.
        text: The text of this piece.
        reasoning: The model's reasoning in this piece.
        blocks: Any other content blocks of this piece, in LangChain's JSON form.
        tool_calls: Pieces of tool calls.
        usage: Token counts of the whole message, when the model reports them.
        last: Whether this is the last piece of the message.
    """

    message_id: str
    role: MessageRole
    type: str
    node: str
    name: str
    tool_call_id: str
    text: str
    reasoning: str
    blocks: tuple[Any, ...]
    tool_calls: tuple[ToolCallPiece, ...]
    usage: Usage | None
    last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted(Event):
    """The run is pausing; `End` follows.

    Attributes:
        pauses: Every reason for which the thread is now paused; at least one.
        next: The nodes that come next at the root.
        checkpoint_id: The root checkpoint at which the thread is paused.
    """

    pauses: tuple[Pause, ...]
    next: tuple[str, ...]
    checkpoint_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Event):
    """The run has ended; always last.

    Attributes:
        status: Its final status.
        error: For FAILED and TIMED_OUT: what happened.
        checkpoint_id: The thread's root checkpoint at the end; empty if none was made.
    """

    status: RunStatus
    error: RunError | None
    checkpoint_id: str
