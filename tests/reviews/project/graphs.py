"""Agents of every kind, with a model that says in turn what its conversation asks it to.

The question is a JSON list of tool calls, each as [id, tool, args]: the model makes them. With
their results before it, it says what it sees: its calls as they are in the conversation, and
their results. Each tool tells of itself when it runs.
"""

from __future__ import annotations

import json
import operator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypedDict

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.cache.memory import InMemoryCache
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import CachePolicy, Command, Send, interrupt
from pydantic import BaseModel

Builder = Any


@tool
def refund(amount: int) -> str:
    """Pays money back."""
    get_stream_writer()(["refund", amount])
    return f"refunded {amount}"


@tool
def mail(to: str) -> str:
    """Sends a mail."""
    get_stream_writer()(["mail", to])
    return f"mailed {to}"


@tool
def confirm(what: str) -> str:
    """Asks, and then does it."""
    answer = interrupt(f"really {what}?")
    get_stream_writer()(["confirm", what, answer])
    return f"{what}: {answer}"


TOOLS = [refund, mail, confirm]


def answer(messages: list[Any]) -> AIMessage:
    """What the model says to a conversation."""
    asked = [m for m in messages if isinstance(m, AIMessage)]
    if not asked:
        question = messages[0]
        # Only LangGraph's reducer makes a message of it.
        text = question["content"] if isinstance(question, dict) else question.content
        calls = json.loads(text)
        made = [
            {"id": call_id, "name": name, "args": args, "type": "tool_call"}
            for call_id, name, args in calls
        ]
        return AIMessage("", id="asks", tool_calls=made)
    calls = [[c["id"], c["name"], c["args"]] for m in asked for c in m.tool_calls]
    results = [
        [m.tool_call_id, m.name, m.status, m.content]
        for m in messages
        if isinstance(m, ToolMessage)
    ]
    return AIMessage(json.dumps([calls, results]), id="says")


def model(state: Any) -> dict[str, Any]:
    return {"messages": [answer(state["messages"])]}


def run(call: Any) -> ToolMessage:
    """Runs a tool call as many graphs do, in a function of their own."""
    by_name = {each.name: each for each in TOOLS}
    result = by_name[call["name"]].invoke(call["args"])
    return ToolMessage(result, name=call["name"], tool_call_id=call["id"])


def run_last(state: Any) -> dict[str, Any]:
    last = state["messages"][-1]
    assert isinstance(last, AIMessage)
    return {"messages": [run(call) for call in last.tool_calls]}


def of(schema: Any, model: Any, tools: Any, route: Any = tools_condition) -> Builder:
    """The usual two nodes."""
    builder: Any = StateGraph(schema)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", route)
    builder.add_edge("tools", "model")
    return builder


prebuilt = of(MessagesState, model, ToolNode(TOOLS)).compile()
plain = of(MessagesState, model, run_last).compile()


class Typed(BaseModel):
    """A state that is a pydantic model."""

    messages: Annotated[list[AnyMessage], add_messages]
    tries: int = 0


@dataclass
class InDataclass:
    """A state that is a dataclass."""

    messages: Annotated[list[AnyMessage], add_messages] = field(default_factory=list)


def _model_of_object(state: Any) -> dict[str, Any]:
    return {"messages": [answer(state.messages)]}


def _typed_tools(state: Typed) -> Typed:
    last = state.messages[-1]
    assert isinstance(last, AIMessage)
    return Typed(messages=[run(call) for call in last.tool_calls], tries=state.tries + 1)


typed = of(Typed, _model_of_object, _typed_tools).compile()
in_dataclass = of(InDataclass, _model_of_object, ToolNode(TOOLS)).compile()

listed = of(
    Annotated[list[AnyMessage], add_messages],
    lambda messages: [answer(messages)],
    ToolNode(TOOLS),
).compile()


class Renamed(TypedDict):
    """A state whose messages have another name."""

    notes: list[str]
    conversation: Annotated[list[AnyMessage], add_messages]


def _route(key: str) -> Any:
    def route(state: Any) -> str:
        last = state[key][-1]
        return "tools" if getattr(last, "tool_calls", None) else END

    return route


renamed = of(
    Renamed,
    lambda state: {"conversation": [answer(state["conversation"])]},
    ToolNode(TOOLS, messages_key="conversation"),
    _route("conversation"),
).compile()


class Appending(TypedDict):
    """A state whose messages are only added to."""

    messages: Annotated[list[AnyMessage], operator.add]


class Overwriting(TypedDict):
    """A state whose messages are written as a whole."""

    messages: list[AnyMessage]


appending = of(Appending, model, ToolNode(TOOLS)).compile()


def _all_and_more(state: Any) -> dict[str, Any]:
    messages = state["messages"]
    return {"messages": [*messages, *(run(call) for call in messages[-1].tool_calls)]}


overwriting = of(
    Overwriting,
    lambda state: {"messages": [*state["messages"], answer(state["messages"])]},
    _all_and_more,
).compile()


def _send_each(state: Any) -> Any:
    last = state["messages"][-1]
    calls = last.tool_calls if isinstance(last, AIMessage) else []
    return [Send("tools", [call]) for call in calls] or END


def _send_each_with_context(state: MessagesState) -> Any:
    last = state["messages"][-1]
    calls = last.tool_calls if isinstance(last, AIMessage) else []
    return [
        Send("tools", {"__type": "tool_call_with_context", "tool_call": call, "state": state})
        for call in calls
    ] or END


def _send_each_in_an_object(state: MessagesState) -> Any:
    last = state["messages"][-1]
    calls = last.tool_calls if isinstance(last, AIMessage) else []
    return [Send("tools", {"call": call, "number": n}) for n, call in enumerate(calls)] or END


def _run_sent(given: Any) -> dict[str, Any]:
    return {"messages": [run(given["call"])]}


sent = of(MessagesState, model, ToolNode(TOOLS), _send_each).compile()
sent_in_objects = of(MessagesState, model, _run_sent, _send_each_in_an_object).compile()
sent_with_context = of(MessagesState, model, ToolNode(TOOLS), _send_each_with_context).compile()


def _look(state: MessagesState) -> dict[str, Any]:
    """What stands between the model and the tools, and changes nothing."""
    get_stream_writer()(["looked", len(state["messages"])])
    return {}


def _asks(state: MessagesState) -> bool:
    last = state["messages"][-1]
    return isinstance(last, AIMessage) and bool(last.tool_calls)


def _routed(nodes: dict[str, Any], first: list[str], edges: list[tuple[str, str]]) -> Any:
    """A model whose calls go to the nodes `first`, in one step, and from there along the edges."""
    builder: Any = StateGraph(MessagesState)
    builder.add_node("model", model)
    for name, node in nodes.items():
        builder.add_node(name, node)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", lambda s: first if _asks(s) else END, [*nodes, END])
    for start, end in edges:
        builder.add_edge(start, end)
    return builder


def _checked(tools: Any, check: Any = _look) -> Any:
    """A node that only looks, before what runs the calls in a way of its own."""
    edges = [("tools", "model"), *([("check", "tools")] if check is _look else [])]
    return _routed({"check": check, "tools": tools}, ["check"], edges)


def _child_with_tools() -> Any:
    builder: Any = StateGraph(MessagesState)
    builder.add_node("run", ToolNode(TOOLS))
    builder.add_edge(START, "run")
    return builder.compile()


def _look_and_go(state: MessagesState) -> Any:
    return Command(goto="tools")


def _as_it_is(state: Any) -> Any:
    return state


class Noting(MessagesState):
    """A state that has the calls a second time, for somebody who looks at it."""

    pending: list[dict[str, Any]]
    tool_call: dict[str, Any]


def _model_that_notes(state: Noting) -> Any:
    message = answer(state["messages"])
    calls = message.tool_calls
    return {"messages": [message], **({"pending": calls, "tool_call": calls[0]} if calls else {})}


checked_child = _checked(_child_with_tools()).compile()
checked_bound = _checked(ToolNode(TOOLS).with_config(tags=["mine"])).compile()
checked_in_row = _checked(RunnableLambda(_as_it_is) | ToolNode(TOOLS)).compile()
checked_by_command = _checked(ToolNode(TOOLS), _look_and_go).compile()
noting = of(Noting, _model_that_notes, ToolNode(TOOLS)).compile()
# Two nodes that look at the calls before the tool node gets them.
guarded = _routed(
    {"guard": _look, "again": _look, "tools": ToolNode(TOOLS)},
    ["guard"],
    [("guard", "again"), ("again", "tools"), ("tools", "model")],
).compile()
# A node that runs beside the tool node, in one step.
audited = _routed(
    {"audit": _look, "tools": ToolNode(TOOLS)},
    ["audit", "tools"],
    [("audit", END), ("tools", "model")],
).compile()
# A tool node, and a node of its own that runs the calls that are dangerous.
of_two_kinds = _routed(
    {"danger": run_last, "tools": ToolNode(TOOLS)},
    ["danger"],
    [("danger", "model"), ("tools", "model")],
).compile()


class Done(TypedDict):
    """A state without messages."""

    question: str
    done: Annotated[list[str], operator.add]


def _run_one(call: Any) -> dict[str, Any]:
    return {"done": [run(call).content]}


def _send_calls(state: Done) -> list[Send]:
    calls = json.loads(state["question"])
    return [Send("tools", {"id": i, "name": name, "args": args}) for i, name, args in calls]


def _without_messages() -> Builder:
    builder: Any = StateGraph(Done)
    builder.add_node("tools", _run_one)
    builder.add_conditional_edges(START, _send_calls, ["tools"])
    return builder


sent_without_messages = _without_messages().compile()


def _choosing(state: MessagesState) -> Command[Literal["model", "__end__"]]:
    return Command(update=run_last(state), goto="model")


def _choosing_of_two(state: MessagesState) -> Command[Literal["model", "other"]]:
    return Command(update=run_last(state), goto="model")


def _chosen(tools: Any) -> Builder:
    builder: Any = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_node("other", model)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    return builder


chosen = _chosen(_choosing).compile()
chosen_of_two = _chosen(_choosing_of_two).compile()


class Noted(MessagesState):
    """A conversation, and notes beside it."""

    notes: Annotated[list[str], operator.add]


def _commanding(state: Noted) -> Any:
    return [
        Command(update={"notes": ["seen"]}),
        {"messages": run_last(state)["messages"]},
    ]


commanding = of(Noted, model, _commanding).compile()


def _in_pairs(state: MessagesState) -> Command[Any]:
    return Command(update=[("messages", run_last(state)["messages"])])


in_pairs = of(MessagesState, model, _in_pairs).compile()


def _in_child(**stops: Any) -> Builder:
    """A whole agent as a node."""
    child = of(MessagesState, model, ToolNode(TOOLS)).compile(**stops)
    builder: Any = StateGraph(MessagesState)
    builder.add_node("agent", child)
    builder.add_edge(START, "agent")
    return builder


def _child_as_tools() -> Builder:
    """Tools that are a graph."""
    child: Any = StateGraph(MessagesState)
    child.add_node("first", ToolNode(TOOLS))
    child.add_edge(START, "first")
    return of(MessagesState, model, child.compile())


in_child = _in_child(interrupt_before=["tools"]).compile()
in_child_without_stop = _in_child().compile()
child_as_tools = _child_as_tools().compile()


def _beside() -> Builder:
    """Two nodes that each run some of the calls."""
    names = ("refund", "mail")

    def only(name: str) -> Any:
        def node(state: MessagesState) -> dict[str, Any]:
            last = state["messages"][-1]
            assert isinstance(last, AIMessage)
            return {"messages": [run(c) for c in last.tool_calls if c["name"] == name]}

        return node

    builder: Any = StateGraph(MessagesState)
    builder.add_node("model", model)
    for name in names:
        builder.add_node(name, only(name))
    builder.add_edge(START, "model")
    builder.add_conditional_edges(
        "model", lambda state: [] if state["messages"][-1].id == "says" else list(names)
    )
    builder.add_edge(list(names), "model")
    return builder


beside = _beside().compile()
asking = of(MessagesState, model, ToolNode(TOOLS)).compile()


def _cached() -> Builder:
    builder: Any = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_node("tools", run_last, cache_policy=CachePolicy(key_func=lambda state: "same"))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder


cached = _cached().compile(cache=InMemoryCache())


class Model(BaseChatModel):
    """The model, as a chat model."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=answer(messages))])


agent = create_agent(Model(), TOOLS)
