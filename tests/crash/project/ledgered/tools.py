"""Graphs whose model calls tools: a node runs them, the next one says what came of each."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import Send

from ledgered.lines import Talk
from ledgered.nodes import Task, left

#: The ids of the calls that the model makes, each of the tool `add` with the number of its place.
CALLS = ("a", "b", "c", "d")


async def _model(state: Talk, config: RunnableConfig) -> dict[str, Any]:
    task = Task.of(config)
    task.begin(state)
    calls: Any = [
        {"id": name, "name": "add", "args": {"n": n}, "type": "tool_call"}
        for n, name in enumerate(CALLS, start=1)
    ]
    task.end()
    return {**left("model"), "messages": [AIMessage("", id="asks", tool_calls=calls)]}


async def _tools(given: Any, config: RunnableConfig) -> dict[str, Any]:
    """Runs the calls of the model, or those that it was sent."""
    task = Task.of(config)
    calls = given if isinstance(given, list) else _asks(given).tool_calls
    task.begin({"calls": [f"{call['id']} {call['args']['n']}" for call in calls]})
    results = [ToolMessage(f"{c['args']['n']}", tool_call_id=c["id"]) for c in calls]
    task.end()
    return {"messages": results, "count": 0}


async def _report(state: Talk, config: RunnableConfig) -> dict[str, Any]:
    """Leaves in the log what the model asked for, as it is in the state now, and what it got."""
    task = Task.of(config)
    task.begin(state)
    found = {m.tool_call_id: m for m in state["messages"] if isinstance(m, ToolMessage)}
    calls = _asks(state).tool_calls
    said = [f"{c['id']} {c['args']['n']}: {_said(found.get(str(c['id'])))}" for c in calls]
    task.end()
    return left(", ".join(said))


def _asks(state: Talk) -> AIMessage:
    return next(m for m in state["messages"] if isinstance(m, AIMessage))


def _said(message: ToolMessage | None) -> str:
    if message is None:
        return "nothing"
    return f"{message.status} {message.content}" if message.status == "error" else message.text


def _send(state: Talk) -> list[Send]:
    return [Send("tools", [call]) for call in _asks(state).tool_calls]


def _agent(*, sends: bool) -> Any:
    graph: StateGraph[Any] = StateGraph(Talk)
    for name, node in (("model", _model), ("tools", _tools), ("report", _report)):
        add: Any = graph.add_node
        add(name, node)
    graph.add_edge(START, "model")
    if sends:
        graph.add_conditional_edges("model", _send, ["tools"])
    else:
        graph.add_edge("model", "tools")
    graph.add_edge("tools", "report")
    return graph.compile()


agent = _agent(sends=False)
agent_that_sends = _agent(sends=True)
