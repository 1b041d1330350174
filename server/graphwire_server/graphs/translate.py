"""LangGraph's stream parts as events of the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphwire.v1 import payload_pb2
from graphwire.v1 import run_event_pb2 as pb

from graphwire_server import jsontext
from graphwire_server.graphs.langgraph_compat import node_updates, task_failure
from graphwire_server.graphs.messages import MessagePieces
from graphwire_server.graphs.position import checkpoint_id_of

#: `{type, ns, data}`, as of LangGraph's `astream(version="v2")`.
StreamPart = dict[str, Any]


class Translator:
    """Translates the parts of one run. The events lack run, sequence, attempt and time.

    The data of a `custom` part is a payload already.
    """

    def __init__(self) -> None:
        """Starts with no message begun."""
        self._messages = MessagePieces()

    def events(self, part: StreamPart) -> Iterator[pb.RunEvent]:
        """Yields the events for a part `{type, ns, data}` of `astream(version="v2")`."""
        namespace, data = part["ns"], part["data"]
        match part["type"]:
            case "values":
                yield pb.RunEvent(namespace=namespace, values=pb.ValuesEvent(values=payload(data)))
            case "updates":
                updates, cached = node_updates(data)
                for node, update in updates.items():
                    event = pb.UpdatesEvent(node=node, update=payload(update), cached=cached)
                    yield pb.RunEvent(namespace=namespace, updates=event)
            case "tasks" if "input" in data:
                yield pb.RunEvent(namespace=namespace, task_started=_task_started(data))
            case "tasks":
                yield pb.RunEvent(namespace=namespace, task_finished=_task_finished(data))
            case "checkpoints":
                yield pb.RunEvent(namespace=namespace, checkpoint=_checkpoint(data))
            case "custom":
                yield pb.RunEvent(namespace=namespace, custom=pb.CustomEvent(data=data))
            case "messages":
                message, metadata = data
                piece = self._messages.piece(message, metadata)
                if _says_something(piece):
                    yield pb.RunEvent(namespace=namespace, message=piece)
            case unknown:
                raise AssertionError(f"langgraph streams parts of an unknown type: {unknown!r}")


def _task_started(data: Mapping[str, Any]) -> pb.TaskStartedEvent:
    return pb.TaskStartedEvent(
        task_id=data["id"],
        node=data["name"],
        input=payload(data["input"]),
        triggers=data["triggers"],
    )


def _task_finished(data: Mapping[str, Any]) -> pb.TaskFinishedEvent:
    event = pb.TaskFinishedEvent(task_id=data["id"], node=data["name"])
    if data["error"]:
        failure = task_failure(data["error"], data["name"])
        event.error.type, event.error.message = failure.type, failure.message
        event.error.node = failure.node
    elif data["interrupts"]:
        event.interrupt_ids.extend(interrupt["id"] for interrupt in data["interrupts"])
    else:
        event.result.CopyFrom(payload(data["result"]))
    return event


def _checkpoint(data: Mapping[str, Any]) -> pb.CheckpointEvent:
    metadata = data["metadata"]
    return pb.CheckpointEvent(
        checkpoint_id=checkpoint_id_of(data["config"]),
        parent_checkpoint_id=checkpoint_id_of(data["parent_config"]),
        values=payload(data["values"]),
        next=data["next"],
        step=metadata.get("step", 0),
        source=metadata.get("source", ""),
    )


def _says_something(piece: pb.MessageEvent) -> bool:
    return bool(
        piece.HasField("start")
        or piece.content
        or piece.tool_calls
        or piece.HasField("usage")
        or piece.last
    )


def payload(value: object) -> payload_pb2.Payload:
    """Returns a value of a graph as a payload."""
    return payload_pb2.Payload(json=jsontext.dumps(value))
