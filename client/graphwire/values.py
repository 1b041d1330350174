"""What the server returns: plain, frozen Python values.

Free-form JSON (state, metadata, questions, schemas) is decoded: dicts, lists, strings,
numbers, booleans, None. Where there is no JSON value at all the field is None. Ids that
are not set are empty strings. Times are aware, in UTC; a time that is not set is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from graphwire.breakpoints import Breakpoint, MetBreakpoint
from graphwire.enums import (
    Durability,
    MultitaskStrategy,
    OnExpiry,
    PauseKind,
    PauseStatus,
    RecoveryPolicy,
    RunStatus,
    StreamMode,
    ThreadChangeKind,
    ThreadStatus,
    WebhookStatus,
)
from graphwire.errors import RunFailedError
from graphwire.reviews import Decision, ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class RunError:
    """An exception that ended a run or a task.

    Attributes:
        type: The exception's class, such as `"ValueError"`; for a run that the server
            failed `"ServerLost"`, `"ServerShutdown"`, `"RunTimeout"`, `"UnknownNode"`.
        message: Its text.
        node: The node that raised; empty if it was none.
        namespace: The subgraph path of that node; empty at the root.
    """

    type: str
    message: str
    node: str
    namespace: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseResolution:
    """How a pause was resolved: by whom, when, with what.

    Attributes:
        time: When.
        run_id: The run that went on from it, or by which it was superseded; empty if none.
        principal: Who did it, by his credentials; `"anonymous"` where the server asks for none.
        answered_by: For whom, as the caller said in `Resume(answered_by=…)`.
        expired: Whether nobody did, and its time was over.
        answer: For INTERRUPT: the answer; None also for the answer null.
        review: For tool calls: the decisions, by tool call id; None if there were none.
    """

    time: datetime | None
    run_id: str
    principal: str
    answered_by: str
    expired: bool
    answer: Any
    review: Mapping[str, Decision] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """One reason for which a thread is paused; each is resumed once.

    Attributes:
        pause_id: Identifies it, for `Resume(pause_ids=…)` and `Resume(answers=…)`.
        thread_id: The thread that is paused.
        run_id: The run that stopped here; empty if the thread was copied, or edited before
            anything had run: no run can be cancelled then to give it up.
        kind: Why.
        node: The node that is about to run, has run, or asks.
        namespace: The subgraph path of the node, one `node:task` per level.
        interrupt_id: For INTERRUPT: LangGraph's id of the interrupt.
        value: For INTERRUPT: what the node asks.
        response_schema: For INTERRUPT: the JSON Schema that an answer must fit.
        checkpoint_id: The root checkpoint at which the thread is paused.
        create_time: When it paused.
        tool_calls: The tool calls that wait for an answer there. A breakpoint before a node
            takes a review of them: `Resume(review=…)`.
        assistant_id: The assistant of the run.
        status: What has become of it. In an event of a run: what it was then.
        breakpoints: For a breakpoint: all that hold the node here. One approval is for all.
        expire_time: When its time is over; None: it waits for ever.
        on_expiry: What happens then; None: nothing.
        task_id: LangGraph's id of the task that waits; for BREAKPOINT_AFTER the checkpoint
            that the node has led to.
        resolution: How it was resolved; None while it is OPEN.
        task_input: What was sent to the task that waits, by which the tasks of a fan-out (Send)
            are told apart; None if it gets the state, if `tool_calls` has it, or if it is very
            long.
        response_schema_error: Why answers are not checked against `response_schema`; empty if
            they are.
    """

    pause_id: str
    thread_id: str
    run_id: str
    kind: PauseKind
    node: str
    namespace: tuple[str, ...]
    interrupt_id: str
    value: Any
    response_schema: Any
    checkpoint_id: str
    create_time: datetime | None
    tool_calls: tuple[ToolCall, ...] = ()
    assistant_id: str = ""
    status: PauseStatus = PauseStatus.OPEN
    breakpoints: tuple[MetBreakpoint, ...] = ()
    expire_time: datetime | None = None
    on_expiry: OnExpiry | None = None
    task_id: str = ""
    resolution: PauseResolution | None = None
    task_input: Any = None
    response_schema_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A thread: the state of a conversation or job across runs.

    Attributes:
        thread_id: Identifies it.
        status: What it is doing.
        metadata: The caller's own JSON object.
        assistant_id: The assistant of its state, and of the run that executes or is paused on it.
            Without a state: that for which it was created, or of the run that is first in line;
            else empty.
        checkpoint_id: Its head; empty until there is one.
        next: The nodes that come next at the root; empty at the graph's end.
        pauses: The open pauses. A thread may be INTERRUPTED without one after the loss of a
            server, if its runs are not to be recovered by themselves.
        error: For ERROR: how the last run failed.
        create_time: When it was created.
        update_time: When its status, state or metadata last changed.
        stateless: Whether it was made for a stateless run.
        ttl: How long it is kept after its last change; zero: for ever; None: as long as the
            server says.
        breakpoints: Breakpoints for all of its runs.
        state_update_time: When its state last changed.
        values: The state as of then; None unless a read mask names it.
        extracted: The parts of the state that were asked for, by name; None for what is not
            there.
    """

    thread_id: str
    status: ThreadStatus
    metadata: Any
    assistant_id: str
    checkpoint_id: str
    next: tuple[str, ...]
    pauses: tuple[Pause, ...]
    error: RunError | None
    create_time: datetime | None
    update_time: datetime | None
    stateless: bool
    ttl: timedelta | None = None
    breakpoints: tuple[Breakpoint, ...] = ()
    state_update_time: datetime | None = None
    values: Any = None
    extracted: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageAmount:
    """How much there is of something.

    Attributes:
        count: The number of rows.
        bytes: The bytes of what they hold, as it is stored.
    """

    count: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadStorage:
    """How much a thread keeps in the database.

    Attributes:
        checkpoints: Its checkpoints, those of subgraphs included.
        channel_values: The values of its channels: each once for each version.
        channels: The same by channel.
        writes: What tasks have written.
        events: The events of its runs.
        run_count: Its runs.
    """

    checkpoints: StorageAmount
    channel_values: StorageAmount
    channels: Mapping[str, StorageAmount]
    writes: StorageAmount
    events: StorageAmount
    run_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptState:
    """An `interrupt()` that waits.

    Attributes:
        interrupt_id: LangGraph's id of it.
        value: What the node asks.
    """

    interrupt_id: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """A task of the next step.

    Attributes:
        task_id: LangGraph's id of it.
        node: The node.
        error: Set if it raised.
        result: What it returned already, while other tasks of its step wait.
        interrupts: The interrupts that it waits at.
        state: With `subgraphs=True`: the state of the subgraph that it runs.
        task_input: What was sent to it, by which the tasks of a fan-out (Send) are told apart;
            None if it gets the state, or if it is very long.
    """

    task_id: str
    node: str
    error: RunError | None
    result: Any
    interrupts: tuple[InterruptState, ...]
    state: ThreadState | None
    task_input: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadState:
    """The state of a thread at one checkpoint.

    Attributes:
        values: The state: a dict for a StateGraph; None if nothing has run yet.
        next: The nodes that come next; empty at the graph's end.
        tasks: The tasks of the next step.
        checkpoint_id: The checkpoint; empty if there is none yet.
        parent_checkpoint_id: The one before it; empty for the first.
        namespace: The subgraph path that it belongs to; empty at the root.
        metadata: LangGraph's metadata of the checkpoint: source, step, run_id and so on.
        create_time: When the checkpoint was made.
        pauses: At the head of the thread: the open pauses.
    """

    values: Any
    next: tuple[str, ...]
    tasks: tuple[TaskState, ...]
    checkpoint_id: str
    parent_checkpoint_id: str
    namespace: tuple[str, ...]
    metadata: Any
    create_time: datetime | None
    pauses: tuple[Pause, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWebhook:
    """The webhook of a run.

    Attributes:
        url: Where it goes, without the query.
        status: What became of it; None before the run has ended, and where the server does not
            say: it does in `runs.get`, `runs.list` and `runs.wait`.
        webhook_id: By what the receiver knows it.
        attempts: How often it was tried.
        attempt_time: When it was tried last.
        next_attempt_time: For PENDING: when it is tried next.
        status_code: The HTTP status of the last answer; 0 if there was none.
        error: What went wrong the last time.
    """

    url: str
    status: WebhookStatus | None = None
    webhook_id: str = ""
    attempts: int = 0
    attempt_time: datetime | None = None
    next_attempt_time: datetime | None = None
    status_code: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run: one execution of a graph on a thread.

    Attributes:
        run_id: Identifies it.
        thread_id: Its thread.
        assistant_id: Its assistant.
        status: Where it is in its life.
        error: For FAILED and TIMED_OUT: what happened.
        metadata: The metadata it was started with.
        create_time: When it was accepted.
        start_time: When it began to execute.
        end_time: When it ended.
        resumed_run_id: The run that it continues; empty if it resumes none.
        resumed_by_run_id: The run that continued it; empty if none did.
        interrupt_before: The breakpoints in force before nodes; `"*"` for all.
        interrupt_after: The breakpoints in force after nodes.
        stream_modes: The events that it records.
        stream_subgraphs: Whether it records those of subgraphs.
        multitask_strategy: What it does, or did, on a busy thread.
        durability: The durability in force.
        last_sequence: The sequence of its last event so far.
        cancel_requested: Whether someone has asked to cancel it.
        recovery_policy: What happens to it when the server that executes it is lost.
        attempt: How often it was begun to be executed: 1, unless it went on after its server
            had stopped or was lost; 0 before it begins.
        breakpoints: All breakpoints in force, but for plain names and those compiled in.
        pause_requested: Whether someone has asked to pause it.
        rolled_back: For CANCELLED: whether the thread was put back to where it stood before it.
        principal: Who started it, by his credentials: `"anonymous"` where the server asks for
            none; empty where the server itself went on, as a pause had expired.
        assistant_version: The version of the assistant that it runs.
        webhook: Whom the server calls when it has ended; None: nobody.
    """

    run_id: str
    thread_id: str
    assistant_id: str
    status: RunStatus
    error: RunError | None
    metadata: Any
    create_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None
    resumed_run_id: str
    resumed_by_run_id: str
    interrupt_before: tuple[str, ...]
    interrupt_after: tuple[str, ...]
    stream_modes: tuple[StreamMode, ...]
    stream_subgraphs: bool
    multitask_strategy: MultitaskStrategy
    durability: Durability
    last_sequence: int
    cancel_requested: bool
    recovery_policy: RecoveryPolicy
    attempt: int
    breakpoints: tuple[Breakpoint, ...] = ()
    pause_requested: bool = False
    rolled_back: bool = False
    principal: str = ""
    assistant_version: int = 1
    webhook: RunWebhook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadChange:
    """Something that has happened on a thread, from `threads.watch`.

    Attributes:
        kind: What has happened.
        thread_id: The thread.
        time: When.
        pause: For PAUSED and PAUSE_RESOLVED: the pause, as it is now.
        run: For RUN_STARTED and RUN_ENDED: the run, as it is now.
        cursor: Where the stream stands after it: `threads.watch(cursor=…)` goes on from here.
        truncated: How large it is, in bytes, where the server has left the payloads of the pause
            out, as for `events.Event`; 0: this is the whole.
    """

    kind: ThreadChangeKind
    thread_id: str
    time: datetime | None
    pause: Pause | None
    run: Run | None
    cursor: str
    truncated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A run that has ended.

    Attributes:
        run: The run.
        values: The thread's state when it ended; None if it made none, or if the thread
            is gone.
        pauses: For INTERRUPTED: the pauses with which it ended, each as it was when this was
            asked for: one that is not OPEN has been resolved since.
    """

    run: Run
    values: Any
    pauses: tuple[Pause, ...]

    def raise_for_status(self) -> None:
        """Raises `RunFailedError` if the run FAILED, was CANCELLED or TIMED_OUT."""
        run = self.run
        if run.status not in (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMED_OUT):
            return
        error = run.error
        cause = f": {error.type}: {error.message}" if error else ""
        raise RunFailedError(
            f"run {run.run_id} ended as {run.status}{cause}",
            run_id=run.run_id,
            status=run.status,
            error_type=error.type if error else "",
            node=error.node if error else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantConfig:
    """The config that an assistant has for its runs.

    Attributes:
        recursion_limit: The most steps; 0: the server's default.
        tags: Tags for traces and callbacks.
        configurable: A JSON object that nodes find in `config["configurable"]`; None: nothing.
    """

    recursion_limit: int
    tags: tuple[str, ...]
    configurable: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Assistant:
    """What can be run: a graph with settings, in one version of them.

    Attributes:
        assistant_id: Identifies it.
        graph_id: The graph that it runs.
        description: What it is for; may be empty.
        create_time: When it was created; for a graph of `langgraph.json`, when the server
            loaded it.
        interrupt_before: The breakpoints compiled into the graph, before nodes.
        interrupt_after: The breakpoints compiled into the graph, after nodes.
        version: The version, from 1.
        name: For people.
        config: Config for its runs; None: none.
        context: Context for its runs; None: none.
        metadata: The caller's own JSON object.
        breakpoints: Breakpoints for all of its runs.
        update_time: When this version was made.
        built_in: Whether it is a graph of `langgraph.json`.
    """

    assistant_id: str
    graph_id: str
    description: str
    create_time: datetime | None
    interrupt_before: tuple[str, ...]
    interrupt_after: tuple[str, ...]
    version: int
    name: str
    config: AssistantConfig | None
    context: Any
    metadata: Any
    breakpoints: tuple[Breakpoint, ...]
    update_time: datetime | None
    built_in: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode:
    """A node of a drawing.

    Attributes:
        node_id: Its id; `parent:node` in an opened subgraph.
        name: Its name.
        interrupt_before: Whether a breakpoint before it is compiled in.
        interrupt_after: Whether a breakpoint after it is compiled in.
    """

    node_id: str
    name: str
    interrupt_before: bool
    interrupt_after: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphEdge:
    """An edge of a drawing.

    Attributes:
        source: The id of the node it leaves.
        target: The id of the node it enters.
        label: The condition's label; may be empty.
        conditional: Whether a router decides if it is taken.
    """

    source: str
    target: str
    label: str
    conditional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantGraph:
    """The drawing of an assistant's graph.

    Attributes:
        nodes: The nodes, `__start__` and `__end__` among them.
        edges: The edges.
        mermaid: The same as Mermaid text.
    """

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    mermaid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantSchemas:
    """JSON Schemas; each None if the graph does not define it.

    Attributes:
        input: Of the input.
        output: Of the output.
        state: Of the state.
        context: Of the context.
        config: Of the configurable values.
    """

    input: Any
    output: Any
    state: Any
    context: Any
    config: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Limits that the server enforces.

    Attributes:
        max_request_bytes: The largest request.
        max_payload_bytes: The largest JSON text of one payload in a request.
        max_payload_depth: The deepest nesting of a payload in a request, in levels.
        max_page_size: The largest page.
        default_recursion_limit: The recursion limit of a run that names none.
        max_recursion_limit: The highest that a run may name.
        max_concurrent_runs: How many runs execute at once; further ones wait.
        max_run_time: How long a run may execute; None: no limit.
        heartbeat_interval: How long a stream may be quiet before a heartbeat is sent.
        max_concurrent_runs_per_principal: How many runs of one principal execute at once, on
            all servers; 0: no limit.
        max_queued_runs: How many runs may be PENDING, on all servers; 0: no limit.
        max_queued_runs_per_principal: How many of one principal; 0: no limit.
        max_concurrent_calls: How many calls that do not stream are served at once.
        max_streams: How many streams, and calls that wait for a run, are open at once.
        max_streams_per_principal: How many of those one principal has open; 0: no limit.
        max_state_bytes: The largest state of a thread, as checkpoints keep it.
        max_event_bytes: The largest event that is sent whole to those who do not ask for that.
        max_response_bytes: Where a page of a list ends, and the largest other answer that is sent
            to those who do not ask for whole ones.
        max_metadata_bytes: The largest JSON text of metadata.
        max_metadata_keys: The most keys of metadata, at its top level.
        max_id_length: The longest id that a caller may choose, in characters.
        max_label_length: The longest label of a breakpoint, or tag, in characters.
        max_breakpoints: The most breakpoints of one request, a thread or an assistant.
        max_run_breakpoints: The most breakpoints of a run, with those that it inherits.
        max_tags: The most tags of a run.
        max_batch_size: The most runs of one `runs.create_many`.
        max_ids: The most ids in one request that names several threads or runs.
        max_run_attempts: How often a run is begun that loses its server each time.
        max_start_delay: The longest start delay of a run; None if the server does not say.
    """

    max_request_bytes: int
    max_payload_bytes: int
    max_payload_depth: int
    max_page_size: int
    default_recursion_limit: int
    max_recursion_limit: int
    max_concurrent_runs: int
    max_run_time: timedelta | None
    heartbeat_interval: timedelta | None
    max_concurrent_runs_per_principal: int = 0
    max_queued_runs: int = 0
    max_queued_runs_per_principal: int = 0
    max_concurrent_calls: int = 0
    max_streams: int = 0
    max_streams_per_principal: int = 0
    max_state_bytes: int = 0
    max_event_bytes: int = 0
    max_response_bytes: int = 0
    max_metadata_bytes: int = 0
    max_metadata_keys: int = 0
    max_id_length: int = 0
    max_label_length: int = 0
    max_breakpoints: int = 0
    max_run_breakpoints: int = 0
    max_tags: int = 0
    max_batch_size: int = 0
    max_ids: int = 0
    max_run_attempts: int = 0
    max_start_delay: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """What the server is and can do.

    Attributes:
        version: Graphwire's version.
        langgraph_version: The version of the langgraph library.
        python_version: The version of Python.
        start_time: When the server started.
        limits: Its limits.
        stream_modes: The stream modes it knows.
        capabilities: Optional features, by name.
    """

    version: str
    langgraph_version: str
    python_version: str
    start_time: datetime | None
    limits: ServerLimits
    stream_modes: tuple[StreamMode, ...]
    capabilities: tuple[str, ...]
