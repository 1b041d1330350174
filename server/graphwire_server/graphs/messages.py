"""LangChain's messages as typed pieces: `graphwire.v1.MessageEvent`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphwire.v1 import payload_pb2
from graphwire.v1 import run_event_pb2 as pb
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, BaseMessageChunk

from graphwire_server import jsontext

_ROLES = {
    "ai": pb.MESSAGE_ROLE_ASSISTANT,
    "human": pb.MESSAGE_ROLE_USER,
    "system": pb.MESSAGE_ROLE_SYSTEM,
    "tool": pb.MESSAGE_ROLE_TOOL,
}
#: Content blocks that say again what the message's tool call pieces say.
_TOOL_CALL_BLOCKS = frozenset({"tool_use", "input_json_delta", "tool_call", "tool_call_chunk"})


@dataclass(slots=True)
class _Open:
    """What is known of a message that has begun and not ended."""

    blocks: dict[object, int] = field(default_factory=dict)
    usage: pb.Usage = field(default_factory=pb.Usage)


class MessagePieces:
    """Turns the message parts of one run into pieces."""

    def __init__(self) -> None:
        """Starts with no message begun."""
        self._open: dict[str, _Open] = {}

    def piece(self, message: BaseMessage, metadata: Mapping[str, Any]) -> pb.MessageEvent:
        """Returns the piece for a message or a chunk of one."""
        message_id = message.id or str(uuid.uuid4())
        event = pb.MessageEvent(message_id=message_id)
        state = self._open.get(message_id)
        if state is None:
            state = self._open[message_id] = _Open()
            event.start.CopyFrom(_start(message, metadata))
        event.content.extend(_content(message, state))
        event.tool_calls.extend(_tool_calls(message))
        usage = getattr(message, "usage_metadata", None)
        if usage:
            # A model may report its counts bit by bit; the sum is the message's.
            state.usage.input_tokens += usage.get("input_tokens", 0)
            state.usage.output_tokens += usage.get("output_tokens", 0)
            state.usage.total_tokens += usage.get("total_tokens", 0)
            event.usage.CopyFrom(state.usage)
        if (
            not isinstance(message, BaseMessageChunk)
            or getattr(message, "chunk_position", None) == "last"
        ):
            event.last = True
            del self._open[message_id]
        return event


def messages_in(update: object) -> Iterator[BaseMessage]:
    """Yields the messages in what a node returned: by itself, in a list, or in channels."""
    match update:
        case BaseMessage():
            yield update
        case Mapping():
            for value in update.values():
                yield from messages_in(value)
        case list() | tuple():
            for value in update:
                yield from messages_in(value)


def join(first: pb.MessageEvent, second: pb.MessageEvent) -> bool:
    """Appends `second` to `first` if it goes on with the same message; returns whether it did."""
    if first.message_id != second.message_id or first.last or second.HasField("start"):
        return False
    for piece in second.content:
        tail = first.content[-1] if first.content else None
        kind = piece.WhichOneof("piece")
        if (
            tail is not None
            and kind in ("text", "reasoning")
            and tail.WhichOneof("piece") == kind
            and tail.index == piece.index
        ):
            setattr(tail, kind, getattr(tail, kind) + getattr(piece, kind))
        else:
            first.content.append(piece)
    for call in second.tool_calls:
        last = first.tool_calls[-1] if first.tool_calls else None
        if last is not None and last.index == call.index and not call.id and not call.name:
            last.args += call.args
        else:
            first.tool_calls.append(call)
    if second.HasField("usage"):
        first.usage.CopyFrom(second.usage)
    first.last = second.last
    return True


def _start(message: BaseMessage, metadata: Mapping[str, Any]) -> pb.MessageStart:
    kind = message.type.removesuffix("MessageChunk").lower()
    return pb.MessageStart(
        role=_ROLES.get(kind, pb.MESSAGE_ROLE_UNSPECIFIED),
        node=str(metadata.get("langgraph_node", "")),
        name=message.name or "",
        tool_call_id=str(getattr(message, "tool_call_id", "") or ""),
        type=kind,
    )


def _content(message: BaseMessage, state: _Open) -> Iterator[pb.ContentPiece]:
    if isinstance(message.content, str):
        if message.content:
            yield pb.ContentPiece(index=0, text=message.content)
        return
    for position, block in enumerate(message.content):
        if isinstance(block, str):
            yield pb.ContentPiece(index=_block_index(state, position), text=block)
            continue
        kind = block.get("type")
        if kind in _TOOL_CALL_BLOCKS:
            continue
        index = _block_index(state, block.get("index", position))
        if kind == "text" and set(block) <= {"type", "text", "index", "id"}:
            yield pb.ContentPiece(index=index, text=str(block.get("text", "")))
        elif kind == "reasoning" and isinstance(block.get("reasoning"), str):
            yield pb.ContentPiece(index=index, reasoning=block["reasoning"])
        elif kind == "thinking" and isinstance(block.get("thinking"), str):
            yield pb.ContentPiece(index=index, reasoning=block["thinking"])
        else:
            payload = payload_pb2.Payload(json=jsontext.dumps(block))
            yield pb.ContentPiece(index=index, block=payload)


def _block_index(state: _Open, key: object) -> int:
    # Providers number their blocks with integers or with names; ours count from 0.
    return state.blocks.setdefault(key, len(state.blocks))


def _tool_calls(message: BaseMessage) -> Iterator[pb.ToolCallPiece]:
    chunks = getattr(message, "tool_call_chunks", None)
    if chunks:
        for position, chunk in enumerate(chunks):
            index = chunk.get("index")
            yield pb.ToolCallPiece(
                index=index if isinstance(index, int) else position,
                id=chunk.get("id") or "",
                name=chunk.get("name") or "",
                args=chunk.get("args") or "",
            )
    elif isinstance(message, AIMessage) and not isinstance(message, AIMessageChunk):
        for position, call in enumerate(message.tool_calls):
            yield pb.ToolCallPiece(
                index=position,
                id=call.get("id") or "",
                name=call["name"],
                args=jsontext.dumps(call["args"]),
            )
