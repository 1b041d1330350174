"""Records and views as messages of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from google.protobuf import duration_pb2, timestamp_pb2
from graphwire.v1 import (
    assistants_pb2,
    payload_pb2,
    run_pb2,
    threads_pb2,
)

from graphwire_server import jsontext
from graphwire_server.graphs.breakpoints import breakpoints_in
from graphwire_server.graphs.state import StateView, TaskView
from graphwire_server.runs.assistant_service import AssistantView
from graphwire_server.runs.assistants import Config
from graphwire_server.runs.events import error_message, pause_message, timestamp
from graphwire_server.runs.run_message import breakpoint_messages
from graphwire_server.runs.thread_states import ThreadStateView
from graphwire_server.runs.thread_view import ThreadView
from graphwire_server.storage.records import PauseRecord


def payload(text: str | None) -> payload_pb2.Payload | None:
    """JSON text as a payload; None stays None."""
    return None if text is None else payload_pb2.Payload(json=text)


def thread_message(view: ThreadView) -> threads_pb2.Thread:
    """A thread."""
    thread = view.thread
    return threads_pb2.Thread(
        thread_id=thread.thread_id,
        status=threads_pb2.ThreadStatus.Value(f"THREAD_STATUS_{thread.status}"),
        metadata=payload(thread.metadata),
        assistant_id=thread.assistant_id,
        checkpoint_id=thread.checkpoint_id,
        next=thread.next,
        pauses=[pause_message(pause) for pause in view.pauses],
        error=error_message(thread.error),
        create_time=timestamp(thread.create_time),
        update_time=timestamp(thread.update_time),
        stateless=thread.stateless,
        ttl=None if thread.ttl is None else _duration(thread.ttl),
        breakpoints=breakpoint_messages(breakpoints_in(thread.breakpoints)),
        state_update_time=None
        if thread.state_update_time is None
        else timestamp(thread.state_update_time),
        values=payload(thread.values),
        extracted={name: payload_pb2.Payload(json=t) for name, t in view.extracted.items()},
    )


def thread_state_message(view: ThreadStateView) -> threads_pb2.ThreadState:
    """A thread's state with the pauses that are open at it."""
    return state_message(view.state, view.pauses)


def state_message(state: StateView, pauses: Sequence[PauseRecord] = ()) -> threads_pb2.ThreadState:
    """A thread's state at one checkpoint."""
    return threads_pb2.ThreadState(
        values=payload(state.values),
        next=state.next,
        tasks=[_task_message(task) for task in state.tasks],
        checkpoint_id=state.checkpoint_id,
        parent_checkpoint_id=state.parent_checkpoint_id,
        namespace=state.namespace,
        metadata=payload(state.metadata),
        create_time=_iso_timestamp(state.created_at),
        pauses=[pause_message(pause) for pause in pauses],
    )


def assistant_message(view: AssistantView) -> assistants_pb2.Assistant:
    """An assistant, with the breakpoints compiled into its graph."""
    assistant = view.assistant
    return assistants_pb2.Assistant(
        assistant_id=assistant.assistant_id,
        graph_id=assistant.graph_id,
        description=assistant.description,
        create_time=timestamp(assistant.create_time),
        interrupt_before=view.interrupt_before,
        interrupt_after=view.interrupt_after,
        version=assistant.version,
        name=assistant.name,
        config=_config_message(Config.from_json(assistant.config)),
        context=payload(assistant.context),
        metadata=payload(assistant.metadata),
        breakpoints=breakpoint_messages(breakpoints_in(assistant.breakpoints)),
        update_time=timestamp(assistant.update_time),
        built_in=assistant.built_in,
    )


def _config_message(config: Config) -> run_pb2.RunConfig | None:
    if config == Config():
        return None
    configurable = config.configurable
    return run_pb2.RunConfig(
        recursion_limit=config.recursion_limit,
        tags=config.tags,
        configurable=None if configurable is None else payload(jsontext.dumps(configurable)),
    )


def _task_message(task: TaskView) -> threads_pb2.TaskState:
    return threads_pb2.TaskState(
        task_id=task.task_id,
        node=task.node,
        error=error_message(task.error),
        result=payload(task.result),
        interrupts=[
            threads_pb2.InterruptState(interrupt_id=interrupt_id, value=payload(value))
            for interrupt_id, value in task.interrupts
        ],
        state=state_message(task.state) if task.state else None,
        task_input=payload(task.task_input),
    )


def _duration(microseconds: int) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromMicroseconds(microseconds)
    return duration


def _iso_timestamp(text: str) -> timestamp_pb2.Timestamp | None:
    if not text:
        return None
    result = timestamp_pb2.Timestamp()
    result.FromDatetime(datetime.fromisoformat(text))
    return result
