"""The graph: `agent` asks the model, `action` runs the tools it calls, and back."""

from __future__ import annotations

from typing import Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, SystemMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode

from weather_agent.model import model_from_environment
from weather_agent.tools import get_weather

INSTRUCTIONS = SystemMessage(
    "You answer questions about the weather in one or two sentences. Look it up with "
    "get_weather, once for each city; say only what it returns. Unless the user names a city, "
    "take the one talked about last, or San Francisco."
)


def build_graph(
    model: BaseChatModel,
) -> CompiledStateGraph[MessagesState, None, MessagesState, MessagesState]:
    """Compiles the agent round a chat model that supports `bind_tools`.

    Its nodes are asynchronous: run it with `ainvoke` or `astream`.
    """
    tools = [get_weather]
    model_with_tools = model.bind_tools(tools)

    async def agent(state: MessagesState) -> MessagesState:
        return {"messages": [await model_with_tools.ainvoke([INSTRUCTIONS, *state["messages"]])]}

    builder = StateGraph(MessagesState)
    builder.add_node("agent", agent)
    builder.add_node("action", ToolNode(tools, name="action"))
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", route)
    builder.add_edge("action", "agent")
    return builder.compile(name="agent")


def route(state: MessagesState) -> Literal["action", "__end__"]:
    """Returns what follows the agent: `action` if it called tools, otherwise the end."""
    last = state["messages"][-1]
    return "action" if isinstance(last, AIMessage) and last.tool_calls else "__end__"


graph = build_graph(model_from_environment())
