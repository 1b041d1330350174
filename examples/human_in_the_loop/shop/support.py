"""An agent with two tools: `agent` asks the model, `tools` runs what it calls, and back.

The model is a script: it does what the last message asks for in so many words, as in "Refund 120
for A-7 and tell ada@example.com".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode


@tool
def refund(order_id: str, amount: int) -> str:
    """Refund an amount of money for an order."""
    return f"refunded {amount} for {order_id}"


@tool
def send_email(to: str, text: str) -> str:
    """Send an email."""
    return f"sent {text!r} to {to}"


def reply(messages: Sequence[BaseMessage]) -> AIMessage:
    """Returns what the model says next: a report of the tools' results, or the calls of tools."""
    if isinstance(messages[-1], ToolMessage):
        results: list[ToolMessage] = []
        for message in reversed(messages):
            if not isinstance(message, ToolMessage):
                break
            results.insert(0, message)
        return AIMessage("; ".join(f"{m.status}: {m.text}" for m in results))
    request = messages[-1].text
    calls: list[ToolCall] = []
    number = 1 + sum(len(m.tool_calls) for m in messages if isinstance(m, AIMessage))
    if found := re.search(r"[Rr]efund (\d+) for ([\w-]+)", request):
        args = {"order_id": found[2], "amount": int(found[1])}
        calls.append(ToolCall(name="refund", args=args, id=f"call_{number}"))
    if found := re.search(r"tell (\S+@\S*\w)", request):
        args = {"to": found[1], "text": "We have refunded your order."}
        calls.append(ToolCall(name="send_email", args=args, id=f"call_{number + len(calls)}"))
    return AIMessage("" if calls else "What can I do for you?", tool_calls=calls)


async def agent(state: MessagesState) -> MessagesState:
    """Asks the model."""
    return {"messages": [reply(state["messages"])]}


def route(state: MessagesState) -> Literal["tools", "__end__"]:
    """Returns what follows the agent: `tools` if it called some, otherwise the end."""
    last = state["messages"][-1]
    return "tools" if isinstance(last, AIMessage) and last.tool_calls else "__end__"


support = (
    StateGraph(MessagesState)
    .add_node("agent", agent)
    .add_node("tools", ToolNode([refund, send_email], name="tools"))
    .add_edge(START, "agent")
    .add_conditional_edges("agent", route)
    .add_edge("tools", "agent")
    .compile()
)
