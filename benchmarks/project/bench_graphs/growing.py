"""A state that grows by one message a step."""

from __future__ import annotations

from random import Random
from typing import Literal

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

#: Characters of each message: about what a short paragraph has.
MESSAGE_LENGTH = 200

_WORDS = ("rain", "wind", "sun", "cloud", "north", "south", "light", "cold", "warm", "mild", "dry")


class Growing(MessagesState):
    """The messages so far, and how many steps there are to be."""

    steps: int


async def step(state: Growing) -> dict[str, list[AIMessage]]:
    """Adds a message."""
    return {"messages": [AIMessage(message_text(len(state["messages"])))]}


def message_text(number: int) -> str:
    """Returns a text that is always the same for its number, and for no other."""
    words = Random(number).choices(_WORDS, k=MESSAGE_LENGTH)
    return f"{number}: {' '.join(words)}"[:MESSAGE_LENGTH]


def route(state: Growing) -> Literal["step", "__end__"]:
    """Goes on until there are as many messages as there are to be steps."""
    return "step" if len(state["messages"]) < state["steps"] else "__end__"


_builder = StateGraph(Growing)
_builder.add_node("step", step)
_builder.add_edge(START, "step")
_builder.add_conditional_edges("step", route)
graph = _builder.compile(name="growing")
