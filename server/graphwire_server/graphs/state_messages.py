"""Where a graph's state has its chat messages, and what becomes of those that are written."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, NotRequired, Required, Union, get_args, get_origin

from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.channels.base import BaseChannel
from langgraph.channels.binop import BinaryOperatorAggregate
from langgraph.channels.delta import DeltaChannel
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.langgraph_compat import AnyPregel
from graphwire_server.graphs.schema_hints import schema_hints

#: The channel of a state that is no object.
ROOT = "__root__"

#: What the channel is called by convention.
_USUAL = "messages"
_LISTS = (list, tuple, Sequence, MutableSequence, Iterable)
_QUALIFIERS = (Required, NotRequired)


class Keeping(Enum):
    """What a channel does with messages that are written to it."""

    #: Adds them; one with an id that is there already replaces the one there.
    MERGED = "merged"
    #: Adds them.
    APPENDED = "appended"
    #: Has these, and no others any more.
    LAST = "last"


@dataclass(frozen=True, slots=True)
class StateMessages:
    """The messages of a state.

    Attributes:
        channel: Where they are; ROOT if they are the whole state.
        keeping: What becomes of those that are written.
    """

    channel: str
    keeping: Keeping


def messages_channel(graph: AnyPregel) -> str:
    """Returns the channel of a graph's messages; empty if it has none, or several."""
    if not isinstance(graph, CompiledStateGraph):
        return ""
    hints = dict(_hints(graph))
    if _USUAL in hints and (_is_list(hints[_USUAL]) or _is_of_messages(hints[_USUAL])):
        return _USUAL
    found = [name for name, hint in hints.items() if _is_of_messages(hint)]
    return found[0] if len(found) == 1 else ""


def state_messages(graph: AnyPregel) -> StateMessages | None:
    """Returns where a graph has its messages; None if nowhere."""
    channel = messages_channel(graph)
    return StateMessages(channel, _keeping(graph.channels[channel])) if channel else None


def _hints(graph: CompiledStateGraph[Any, Any, Any, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the type of each of a graph's channels."""
    builder = graph.builder
    # The state's own types come last, so that they count.
    schemas = [schema for schema in builder.schemas if schema is not builder.state_schema]
    for schema in (*schemas, builder.state_schema):
        channels = builder.schemas[schema]
        if ROOT in channels:
            yield ROOT, schema
            continue
        try:
            hints = schema_hints(schema)
        except Exception:  # noqa: BLE001  # langgraph has understood it; here it does not matter
            continue
        for name, hint in hints.items():
            if isinstance(channels.get(name), BaseChannel):
                yield name, hint


def _is_of_messages(hint: Any) -> bool:
    """Returns whether a type is that of a list of messages."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _is_of_messages(args[0]) or any(map(_is_add_messages, args[1:]))
    if origin in _QUALIFIERS or origin in (Union, types.UnionType):
        return any(map(_is_of_messages, args))
    return origin in _LISTS and any(map(_mentions_message, args))


def _is_list(hint: Any) -> bool:
    """Returns whether a type is that of a list, whatever is in it."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated or origin in _QUALIFIERS:
        return _is_list(args[0])
    if origin in (Union, types.UnionType):
        return any(map(_is_list, args))
    return (origin or hint) in _LISTS


def _mentions_message(hint: Any) -> bool:
    if isinstance(hint, type):
        return issubclass(hint, BaseMessage)
    return any(map(_mentions_message, get_args(hint)))


def _is_add_messages(reducer: Any) -> bool:
    """Returns whether a reducer is LangGraph's, with settings or without."""
    plain = getattr(reducer, "func", reducer)
    return plain is add_messages or (
        getattr(plain, "__module__", "") == add_messages.__module__
        and getattr(plain, "__name__", "") in ("add_messages", "_add_messages")
    )


def _keeping(channel: object) -> Keeping:
    """Returns what a channel does, found out by asking its reducer."""
    if compat.takes_one_value(channel):
        return Keeping.LAST
    old, new = HumanMessage("old", id="same"), HumanMessage("new", id="same")
    try:
        if isinstance(channel, BinaryOperatorAggregate):
            merged = channel.operator([old], [new])
        elif isinstance(channel, DeltaChannel):
            merged = channel.reducer([old], [[new]])
        else:
            return Keeping.APPENDED
        replaces = [message.content for message in merged] == ["new"]
    except Exception:  # noqa: BLE001  # a reducer of the project's that expects something else
        return Keeping.APPENDED
    return Keeping.MERGED if replaces else Keeping.APPENDED
