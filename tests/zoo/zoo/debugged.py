"""Graphs to set breakpoints in, where none is compiled in."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Annotated, Any

from langchain_core.messages import AIMessage, ToolMessage
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph

from zoo.log import writes
from zoo.questions import asks, beside, chain
from zoo.shapes import fanout
from zoo.trouble import waits_for_gate as waits


class Desk(MessagesState, total=False):
    """A desk at which refunds are made, of the amounts in `amounts`, one after another."""

    amounts: list[int]
    refunded: Annotated[list[int], operator.add]


async def _decide(state: Desk) -> dict[str, Any]:
    amount = state["amounts"][0]
    call = {"name": "refund", "args": {"amount": amount}, "id": f"call {amount}"}
    message = AIMessage("", tool_calls=[call], id=f"message {amount}")
    return {"messages": [message], "amounts": state["amounts"][1:]}


async def _refund(state: Desk) -> dict[str, Any]:
    message = state["messages"][-1]
    assert isinstance(message, AIMessage)
    call = message.tool_calls[0]
    return {
        "messages": [ToolMessage("refunded", tool_call_id=call["id"], id=f"for {call['id']}")],
        "refunded": [call["args"]["amount"]],
    }


def _refunds() -> StateGraph[Any]:
    graph = StateGraph(Desk)
    graph.add_node("decide", _decide)
    graph.add_node("refund", _refund)
    graph.add_edge(START, "decide")
    graph.add_edge("decide", "refund")
    graph.add_conditional_edges("refund", lambda s: "decide" if s["amounts"] else END)
    return graph


refunds = _refunds().compile()


@dataclass
class Account:
    """A state that is a dataclass."""

    balance: int = 0
    owners: list[str] = field(default_factory=list)


async def _deposit(state: Account) -> dict[str, Any]:
    return {"balance": state.balance + 100}


def _accounts() -> StateGraph[Any]:
    graph = StateGraph(Account)
    graph.add_node("first", _deposit)
    graph.add_node("second", _deposit)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    return graph


account = _accounts().compile()


def _listed() -> StateGraph[Any]:
    async def add(state: list[int]) -> list[int]:
        return [len(state)]

    numbers: Any = Annotated[list[int], operator.add]
    graph: Any = StateGraph(numbers)
    graph.add_node("first", add)
    graph.add_node("second", add)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    return graph  # type: ignore[no-any-return]


#: Its state is a list.
listed = _listed().compile()


def _low() -> StateGraph[Any]:
    return chain(x=writes("x"), y=writes("y"))


def _child() -> StateGraph[Any]:
    return chain(one=writes("one"), low=_low().compile(), two=writes("two"))


#: `begin`, `child` (which is `one`, `low` (which is `x`, `y`), `two`), `end`.
nest = chain(begin=writes("begin"), child=_child().compile(), end=writes("end")).compile()

#: Two subgraphs of two nodes beside each other, and `done`.
pair = beside(
    left=chain(a=writes("a"), b=writes("b")).compile(),
    right=chain(c=writes("c"), d=writes("d")).compile(),
).compile()

#: A node whose name looks like a path, one that is the path, and one with both.
slashed = chain(
    **{
        "a/b": writes("a/b"),
        "a": chain(b=writes("b"), c=writes("c")).compile(),
        "d/e": chain(f=writes("f")).compile(),
    }
).compile()

remembers_where = chain(
    child=chain(one=writes("one"), two=writes("two")).compile(checkpointer=True),
    after=writes("after"),
).compile()

forgets_where = chain(
    child=chain(one=writes("one"), gate=waits, two=writes("two")).compile(checkpointer=False),
    after=writes("after"),
).compile()

#: The node in the middle of its subgraph waits for `path`.
gated_child = chain(
    begin=writes("begin"),
    child=chain(one=writes("one"), gate=waits, two=writes("two")).compile(),
    end=writes("end"),
).compile()

#: A subgraph whose first node waits for `path`, beside one that asks, and `done`.
gate_beside_ask = beside(
    left=chain(gate=waits, two=writes("two")).compile(), right=asks("right")
).compile()


#: A subgraph that sends to a node, beside one of two nodes.
sends_beside = beside(
    left=chain(a=writes("a"), b=writes("b")).compile(), sends=fanout.builder.compile()
).compile()


@task
async def _triple(number: int) -> int:
    return number * 3


@entrypoint()
async def triples(number: int) -> int:
    """Three times three times a number."""
    return await _triple(await _triple(number))
