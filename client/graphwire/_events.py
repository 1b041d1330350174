"""`RunEvent` messages to the classes of `graphwire.events`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

from graphwire import _enums as enums
from graphwire import events
from graphwire._convert import instant, pause, run_error
from graphwire._payload import decode
from graphwire.v1 import run_event_pb2 as pb


class EventReader:
    """Reads the events of one stream.

    It remembers who speaks in the messages that have begun, since the wire says so with
    a message's first piece only.
    """

    def __init__(self) -> None:
        """Begins a stream."""
        self._starts: dict[str, pb.MessageStart] = {}

    def read(self, event: pb.RunEvent) -> events.Event | None:
        """Returns the event; None for a heartbeat and for a kind not known here."""
        kind = event.WhichOneof("event")
        common = _Common(
            run_id=event.run_id,
            sequence=event.sequence,
            attempt=event.attempt,
            time=instant(event.event_time),
            namespace=tuple(event.namespace),
            truncated=event.truncated.size_bytes,
        )
        if kind == "message":
            return self._message(event.message, common)
        if kind == "attempt_started":
            self._starts.clear()
        reader = _READERS.get(kind or "")
        return reader(getattr(event, kind), common) if reader and kind else None

    def _message(self, message: pb.MessageEvent, common: _Common) -> events.Message:
        if message.HasField("start"):
            self._starts[message.message_id] = message.start
        start = self._starts.get(message.message_id, message.start)
        if message.last:
            self._starts.pop(message.message_id, None)
        pieces = message.content
        usage = message.usage
        return events.Message(
            **common,
            message_id=message.message_id,
            role=enums.MESSAGE_ROLE.read(start.role),
            type=start.type,
            node=start.node,
            name=start.name,
            tool_call_id=start.tool_call_id,
            text="".join(piece.text for piece in pieces),
            reasoning="".join(piece.reasoning for piece in pieces),
            blocks=tuple(decode(piece.block) for piece in pieces if piece.HasField("block")),
            tool_calls=tuple(
                events.ToolCallPiece(index=call.index, id=call.id, name=call.name, args=call.args)
                for call in message.tool_calls
            ),
            usage=events.Usage(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                total_tokens=usage.total_tokens,
            )
            if message.HasField("usage")
            else None,
            last=message.last,
        )


class _Common(TypedDict):
    run_id: str
    sequence: int
    attempt: int
    time: Any
    namespace: tuple[str, ...]
    truncated: int


def _metadata(message: pb.MetadataEvent, common: _Common) -> events.Metadata:
    return events.Metadata(
        **common,
        thread_id=message.thread_id,
        assistant_id=message.assistant_id,
        resumed_run_id=message.resumed_run_id,
    )


def _attempt_started(message: pb.AttemptStartedEvent, common: _Common) -> events.AttemptStarted:
    return events.AttemptStarted(
        **common, reason=message.reason, checkpoint_id=message.checkpoint_id
    )


def _values(message: pb.ValuesEvent, common: _Common) -> events.Values:
    return events.Values(**common, values=decode(message.values))


def _updates(message: pb.UpdatesEvent, common: _Common) -> events.Updates:
    return events.Updates(
        **common, node=message.node, update=decode(message.update), cached=message.cached
    )


def _task_started(message: pb.TaskStartedEvent, common: _Common) -> events.TaskStarted:
    return events.TaskStarted(
        **common,
        task_id=message.task_id,
        node=message.node,
        input=decode(message.input),
        triggers=tuple(message.triggers),
    )


def _task_finished(message: pb.TaskFinishedEvent, common: _Common) -> events.TaskFinished:
    return events.TaskFinished(
        **common,
        task_id=message.task_id,
        node=message.node,
        result=decode(message.result),
        error=run_error(message.error) if message.HasField("error") else None,
        interrupt_ids=tuple(message.interrupt_ids),
    )


def _checkpoint(message: pb.CheckpointEvent, common: _Common) -> events.Checkpoint:
    return events.Checkpoint(
        **common,
        checkpoint_id=message.checkpoint_id,
        parent_checkpoint_id=message.parent_checkpoint_id,
        values=decode(message.values),
        next=tuple(message.next),
        step=message.step,
        source=message.source,
    )


def _custom(message: pb.CustomEvent, common: _Common) -> events.Custom:
    return events.Custom(**common, data=decode(message.data))


def _interrupted(message: pb.InterruptedEvent, common: _Common) -> events.Interrupted:
    return events.Interrupted(
        **common,
        pauses=tuple(map(pause, message.pauses)),
        next=tuple(message.next),
        checkpoint_id=message.checkpoint_id,
    )


def _end(message: pb.EndEvent, common: _Common) -> events.End:
    return events.End(
        **common,
        status=enums.RUN_STATUS.read(message.status),
        error=run_error(message.error) if message.HasField("error") else None,
        checkpoint_id=message.checkpoint_id,
    )


_READERS: dict[str, Callable[[Any, _Common], events.Event]] = {
    "metadata": _metadata,
    "attempt_started": _attempt_started,
    "values": _values,
    "updates": _updates,
    "task_started": _task_started,
    "task_finished": _task_finished,
    "checkpoint": _checkpoint,
    "custom": _custom,
    "interrupted": _interrupted,
    "end": _end,
}
