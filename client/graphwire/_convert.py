"""Messages of the contract to the values of `graphwire.values`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from graphwire import _enums as enums
from graphwire import values
from graphwire._breakpoints import read_breakpoint, read_met, read_on_expiry
from graphwire._payload import decode
from graphwire._reviews import review, tool_call
from graphwire.v1 import (
    assistants_pb2,
    pause_pb2,
    run_pb2,
    runs_pb2,
    server_pb2,
    threads_pb2,
)


def instant(timestamp: Timestamp) -> datetime:
    """Reads a timestamp."""
    return timestamp.ToDatetime(UTC)


def run_error(message: run_pb2.RunError) -> values.RunError:
    """Reads the exception that ended a run or task."""
    return values.RunError(
        type=message.type,
        message=message.message,
        node=message.node,
        namespace=tuple(message.namespace),
    )


def pause(message: pause_pb2.Pause) -> values.Pause:
    """Reads a pause."""
    return values.Pause(
        pause_id=message.pause_id,
        thread_id=message.thread_id,
        run_id=message.run_id,
        kind=enums.PAUSE_KIND.read(message.kind),
        node=message.node,
        namespace=tuple(message.namespace),
        interrupt_id=message.interrupt_id,
        value=decode(message.value),
        response_schema=decode(message.response_schema),
        checkpoint_id=message.checkpoint_id,
        create_time=_instant_if_set(message, "create_time"),
        tool_calls=tuple(map(tool_call, message.tool_calls)),
        task_input=decode(message.task_input),
        assistant_id=message.assistant_id,
        # An older server, and events of its time, say nothing; what they tell of was open.
        status=enums.PAUSE_STATUS.read(message.status or pause_pb2.PAUSE_STATUS_OPEN),
        breakpoints=tuple(map(read_met, message.breakpoints)),
        expire_time=_instant_if_set(message, "expire_time"),
        on_expiry=read_on_expiry(message.on_expiry),
        task_id=message.task_id,
        resolution=_resolution(message.resolution) if message.HasField("resolution") else None,
        response_schema_error=message.response_schema_error,
    )


def _resolution(message: pause_pb2.PauseResolution) -> values.PauseResolution:
    return values.PauseResolution(
        time=_instant_if_set(message, "time"),
        run_id=message.run_id,
        principal=message.principal,
        answered_by=message.answered_by,
        expired=message.expired,
        answer=decode(message.answer),
        review=review(message.review) if message.HasField("review") else None,
    )


def thread_change(message: threads_pb2.WatchThreadsResponse) -> values.ThreadChange:
    """Reads something that has happened on a thread."""
    return values.ThreadChange(
        kind=enums.THREAD_CHANGE_KIND.read(message.kind),
        thread_id=message.thread_id,
        time=_instant_if_set(message, "time"),
        pause=pause(message.pause) if message.HasField("pause") else None,
        run=run(message.run) if message.HasField("run") else None,
        cursor=message.cursor,
        truncated=message.truncated.size_bytes,
    )


def thread(message: threads_pb2.Thread) -> values.Thread:
    """Reads a thread."""
    return values.Thread(
        thread_id=message.thread_id,
        status=enums.THREAD_STATUS.read(message.status),
        metadata=decode(message.metadata),
        assistant_id=message.assistant_id,
        checkpoint_id=message.checkpoint_id,
        next=tuple(message.next),
        pauses=tuple(map(pause, message.pauses)),
        error=run_error(message.error) if message.HasField("error") else None,
        create_time=_instant_if_set(message, "create_time"),
        update_time=_instant_if_set(message, "update_time"),
        stateless=message.stateless,
        ttl=_duration_if_set(message, "ttl"),
        breakpoints=tuple(map(read_breakpoint, message.breakpoints)),
        state_update_time=_instant_if_set(message, "state_update_time"),
        values=decode(message.values),
        extracted={name: decode(part) for name, part in message.extracted.items()},
    )


def thread_storage(message: threads_pb2.GetThreadStorageResponse) -> values.ThreadStorage:
    """Reads how much a thread keeps."""
    return values.ThreadStorage(
        checkpoints=_amount(message.checkpoints),
        channel_values=_amount(message.channel_values),
        channels={name: _amount(amount) for name, amount in message.channels.items()},
        writes=_amount(message.writes),
        events=_amount(message.events),
        run_count=message.run_count,
    )


def _amount(message: threads_pb2.StorageAmount) -> values.StorageAmount:
    return values.StorageAmount(count=message.count, bytes=message.bytes)


def thread_state(message: threads_pb2.ThreadState) -> values.ThreadState:
    """Reads the state of a thread at a checkpoint, with its subgraphs."""
    return values.ThreadState(
        values=decode(message.values),
        next=tuple(message.next),
        tasks=tuple(map(_task_state, message.tasks)),
        checkpoint_id=message.checkpoint_id,
        parent_checkpoint_id=message.parent_checkpoint_id,
        namespace=tuple(message.namespace),
        metadata=decode(message.metadata),
        create_time=_instant_if_set(message, "create_time"),
        pauses=tuple(map(pause, message.pauses)),
    )


def run(message: run_pb2.Run) -> values.Run:
    """Reads a run."""
    return values.Run(
        run_id=message.run_id,
        thread_id=message.thread_id,
        assistant_id=message.assistant_id,
        status=enums.RUN_STATUS.read(message.status),
        error=run_error(message.error) if message.HasField("error") else None,
        metadata=decode(message.metadata),
        create_time=_instant_if_set(message, "create_time"),
        start_time=_instant_if_set(message, "start_time"),
        end_time=_instant_if_set(message, "end_time"),
        resumed_run_id=message.resumed_run_id,
        resumed_by_run_id=message.resumed_by_run_id,
        interrupt_before=tuple(message.interrupt_before),
        interrupt_after=tuple(message.interrupt_after),
        stream_modes=tuple(map(enums.STREAM_MODE.read, message.stream_modes)),
        stream_subgraphs=message.stream_subgraphs,
        multitask_strategy=enums.MULTITASK_STRATEGY.read(message.multitask_strategy),
        durability=enums.DURABILITY.read(message.durability),
        last_sequence=message.last_sequence,
        cancel_requested=message.cancel_requested,
        recovery_policy=enums.RECOVERY_POLICY.read(message.recovery_policy),
        attempt=message.attempt,
        assistant_version=message.assistant_version,
        breakpoints=tuple(map(read_breakpoint, message.breakpoints)),
        pause_requested=message.pause_requested,
        rolled_back=message.rolled_back,
        principal=message.principal,
        webhook=_webhook(message.webhook) if message.HasField("webhook") else None,
    )


def _webhook(message: run_pb2.RunWebhook) -> values.RunWebhook:
    return values.RunWebhook(
        url=message.url,
        status=enums.WEBHOOK_STATUS.read(message.status) if message.status else None,
        webhook_id=message.webhook_id,
        attempts=message.attempts,
        attempt_time=_instant_if_set(message, "attempt_time"),
        next_attempt_time=_instant_if_set(message, "next_attempt_time"),
        status_code=message.status_code,
        error=message.error,
    )


def run_result(message: runs_pb2.WaitRunResponse) -> values.RunResult:
    """Reads a run that has ended, with what it left."""
    return values.RunResult(
        run=run(message.run),
        values=decode(message.values),
        pauses=tuple(map(pause, message.pauses)),
    )


def assistant(message: assistants_pb2.Assistant) -> values.Assistant:
    """Reads an assistant."""
    return values.Assistant(
        assistant_id=message.assistant_id,
        graph_id=message.graph_id,
        description=message.description,
        create_time=_instant_if_set(message, "create_time"),
        interrupt_before=tuple(message.interrupt_before),
        interrupt_after=tuple(message.interrupt_after),
        version=message.version,
        name=message.name,
        config=_assistant_config(message.config) if message.HasField("config") else None,
        context=decode(message.context),
        metadata=decode(message.metadata),
        breakpoints=tuple(map(read_breakpoint, message.breakpoints)),
        update_time=_instant_if_set(message, "update_time"),
        built_in=message.built_in,
    )


def _assistant_config(message: run_pb2.RunConfig) -> values.AssistantConfig:
    return values.AssistantConfig(
        recursion_limit=message.recursion_limit,
        tags=tuple(message.tags),
        configurable=decode(message.configurable),
    )


def assistant_graph(message: assistants_pb2.GetAssistantGraphResponse) -> values.AssistantGraph:
    """Reads a drawing."""
    return values.AssistantGraph(
        nodes=tuple(
            values.GraphNode(
                node_id=node.node_id,
                name=node.name,
                interrupt_before=node.interrupt_before,
                interrupt_after=node.interrupt_after,
            )
            for node in message.nodes
        ),
        edges=tuple(
            values.GraphEdge(
                source=edge.source,
                target=edge.target,
                label=edge.label,
                conditional=edge.conditional,
            )
            for edge in message.edges
        ),
        mermaid=message.mermaid,
    )


def assistant_schemas(
    message: assistants_pb2.GetAssistantSchemasResponse,
) -> values.AssistantSchemas:
    """Reads an assistant's schemas."""
    return values.AssistantSchemas(
        input=decode(message.input),
        output=decode(message.output),
        state=decode(message.state),
        context=decode(message.context),
        config=decode(message.config),
    )


def server_info(message: server_pb2.GetServerInfoResponse) -> values.ServerInfo:
    """Reads what the server is and can do."""
    limits = message.limits
    return values.ServerInfo(
        version=message.version,
        langgraph_version=message.langgraph_version,
        python_version=message.python_version,
        start_time=_instant_if_set(message, "start_time"),
        limits=values.ServerLimits(
            max_request_bytes=limits.max_request_bytes,
            max_payload_bytes=limits.max_payload_bytes,
            max_payload_depth=limits.max_payload_depth,
            max_page_size=limits.max_page_size,
            default_recursion_limit=limits.default_recursion_limit,
            max_recursion_limit=limits.max_recursion_limit,
            max_concurrent_runs=limits.max_concurrent_runs,
            max_run_time=_duration_if_set(limits, "max_run_time"),
            heartbeat_interval=_duration_if_set(limits, "heartbeat_interval"),
            max_concurrent_runs_per_principal=limits.max_concurrent_runs_per_principal,
            max_queued_runs=limits.max_queued_runs,
            max_queued_runs_per_principal=limits.max_queued_runs_per_principal,
            max_concurrent_calls=limits.max_concurrent_calls,
            max_streams=limits.max_streams,
            max_streams_per_principal=limits.max_streams_per_principal,
            max_state_bytes=limits.max_state_bytes,
            max_event_bytes=limits.max_event_bytes,
            max_response_bytes=limits.max_response_bytes,
            max_metadata_bytes=limits.max_metadata_bytes,
            max_metadata_keys=limits.max_metadata_keys,
            max_id_length=limits.max_id_length,
            max_label_length=limits.max_label_length,
            max_breakpoints=limits.max_breakpoints,
            max_run_breakpoints=limits.max_run_breakpoints,
            max_tags=limits.max_tags,
            max_batch_size=limits.max_batch_size,
            max_ids=limits.max_ids,
            max_run_attempts=limits.max_run_attempts,
            max_start_delay=_duration_if_set(limits, "max_start_delay"),
        ),
        stream_modes=tuple(map(enums.STREAM_MODE.read, message.stream_modes)),
        capabilities=tuple(message.capabilities),
    )


def _task_state(message: threads_pb2.TaskState) -> values.TaskState:
    return values.TaskState(
        task_id=message.task_id,
        node=message.node,
        error=run_error(message.error) if message.HasField("error") else None,
        result=decode(message.result),
        interrupts=tuple(
            values.InterruptState(interrupt_id=i.interrupt_id, value=decode(i.value))
            for i in message.interrupts
        ),
        state=thread_state(message.state) if message.HasField("state") else None,
        task_input=decode(message.task_input),
    )


def _instant_if_set(message: Message, field: str) -> datetime | None:
    return instant(getattr(message, field)) if message.HasField(field) else None


def _duration_if_set(message: Message, field: str) -> timedelta | None:
    if not message.HasField(field):
        return None
    duration: Duration = getattr(message, field)
    return duration.ToTimedelta()
