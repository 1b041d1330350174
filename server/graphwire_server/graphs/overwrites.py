"""Edits that say what a channel is to hold, whatever its reducer does: `{"__overwrite__": value}`.

LangGraph knows the form where a channel has a reducer. Here it means the same for all channels,
so that who edits need not know which of them have one; and messages in it become messages.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import orjson
from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.runnables import RunnableConfig
from langgraph.channels.binop import BinaryOperatorAggregate
from langgraph.channels.delta import DeltaChannel

from graphwire_server import jsontext
from graphwire_server.graphs.langgraph_compat import AnyPregel

_OVERWRITE = "__overwrite__"


def without_needless(graph: AnyPregel, values: Any) -> Any:
    """Returns an update in which channels that have no reducer get the value itself."""
    if not isinstance(values, Mapping):
        return values
    return {
        key: value[_OVERWRITE] if _is_overwrite(value) and not _has_reducer(graph, key) else value
        for key, value in values.items()
    }


async def with_messages(graph: AnyPregel, config: RunnableConfig, values: Any, given: Any) -> Any:
    """Returns an update that puts messages where messages are.

    Args:
        graph: The root graph.
        config: The checkpoint that is edited.
        values: The update, as `without_needless` has made it.
        given: The update as it was given.

    Raises:
        Exception: Something in it is no message.
    """
    if not isinstance(given, Mapping):
        return values
    overwritten = [key for key, value in given.items() if _is_overwrite(value)]
    if not overwritten:
        return values
    try:
        there = (await graph.aget_state(config)).values
    except Exception:  # noqa: BLE001  # types of the user's that refuse the state: it may be mended
        return values
    made = dict(values)
    for key in overwritten:
        old, new = there.get(key), given[key][_OVERWRITE]
        if _are_messages(old) and isinstance(new, list):
            new = _messages(old, new)
        # A reducer's channel without a value takes the first one as it is.
        made[key] = {_OVERWRITE: new} if _is_overwrite(values[key]) and key in there else new
    return made


def _is_overwrite(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {_OVERWRITE}


def _has_reducer(graph: AnyPregel, key: str) -> bool:
    return isinstance(graph.channels.get(key), BinaryOperatorAggregate | DeltaChannel)


def _are_messages(value: Any) -> TypeGuard[Sequence[BaseMessage]]:
    return (
        isinstance(value, Sequence)
        and bool(value)
        and all(isinstance(each, BaseMessage) for each in value)
    )


def _messages(old: Sequence[BaseMessage], new: list[Any]) -> list[BaseMessage]:
    """Returns messages: those that are as they were themselves, others as LangChain reads them.

    It moves fields that it does not know about when it reads one.
    """
    known = {_canonical(orjson.loads(jsontext.dumps(message))): message for message in old}
    identified = all(message.id for message in old)
    made = []
    for each in new:
        kept = known.get(_canonical(each))
        message = kept if kept is not None else convert_to_messages([each])[0]
        if identified and message.id is None:
            message.id = str(uuid.uuid4())
        made.append(message)
    return made


def _canonical(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
