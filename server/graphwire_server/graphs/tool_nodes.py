"""Which nodes of a graph run tool calls, and which only hand them on to those that do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from langchain_core.runnables import RunnableSequence, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase
from langgraph._internal._runnable import RunnableSeq
from langgraph.graph import END, START
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from langgraph.pregel import Pregel

from graphwire_server.graphs.langgraph_compat import AnyPregel


def tool_nodes(graph: AnyPregel) -> frozenset[str]:
    """Returns the nodes that are LangGraph's tool node."""
    return frozenset(name for name, node in graph.nodes.items() if runs_tool_calls(node.bound))


def runs_tool_calls(runnable: Any) -> bool:
    """Returns whether what a node runs is LangGraph's tool node, or something around one."""
    match runnable:
        case ToolNode():
            return True
        case RunnableBindingBase():
            return runs_tool_calls(runnable.bound)
        case RunnableWithFallbacks():
            return any(map(runs_tool_calls, runnable.runnables))
        case RunnableSequence() | RunnableSeq():
            return any(map(runs_tool_calls, runnable.steps))
    return False


def handing_on(graph: AnyPregel) -> dict[str, tuple[str, ...]]:
    """Returns the nodes that hand tool calls on, each with the tool nodes that run them.

    LangGraph's tool node runs every call of the last message, whether it was answered or not.
    So what somebody rejects at a node that stands between the model and a tool node is run all
    the same. Such a node is one from which a tool node is reached without passing the nodes
    that lead to it. Where a graph runs its calls in nodes of its own, nobody can tell.
    """
    if not isinstance(graph, CompiledStateGraph):
        return {}
    runs = tool_nodes(graph)
    if not runs:
        return {}
    following = _following(graph)
    found: dict[str, tuple[str, ...]] = {}
    for name in following:
        if name in runs or isinstance(graph.nodes[name].bound, Pregel):
            continue
        leading = {node for node, after in following.items() if name in after}
        reached = _reached(following, name, leading, runs)
        if reached:
            found[name] = tuple(sorted(reached))
    return found


def _following(graph: CompiledStateGraph[Any, Any, Any, Any]) -> dict[str, set[str]]:
    """Returns which nodes may come after each."""
    builder = graph.builder
    following: dict[str, set[str]] = {name: set() for name in builder.nodes}
    for start, end in builder.edges:
        if start in following:
            following[start].add(end)
    for starts, end in builder.waiting_edges:
        for start in starts:
            following[start].add(end)
    for start, branches in builder.branches.items():
        for branch in branches.values():
            if start in following:
                following[start].update(branch.ends.values() if branch.ends else builder.nodes)
    for name, node in builder.nodes.items():
        following[name].update(node.ends or ())
    return {name: after - {START, END} for name, after in following.items()}


def _reached(
    following: Mapping[str, Iterable[str]], name: str, leading: set[str], runs: Collection[str]
) -> set[str]:
    """Returns the tool nodes that are reached from a node past no other one of `leading`."""
    reached: set[str] = set()
    seen, ahead = {name, *leading}, [name]
    while ahead:
        for node in following[ahead.pop()]:
            if node in runs:
                reached.add(node)
            elif node not in seen:
                seen.add(node)
                ahead.append(node)
    return reached
