"""A mailing: `send` sends ten mails at a time, until all are sent."""

from __future__ import annotations

import asyncio
from typing import Literal, TypedDict

from langgraph.graph import START, StateGraph

BATCH = 10
SECONDS = 0.1


class Mailing(TypedDict, total=False):
    """How many mails there are, and how many of them are sent."""

    mails: int
    sent: int


async def send(state: Mailing) -> Mailing:
    """Sends a batch."""
    await asyncio.sleep(SECONDS)
    return {"sent": min(state.get("sent", 0) + BATCH, state["mails"])}


def route(state: Mailing) -> Literal["send", "__end__"]:
    """Returns what follows a batch: the next, or the end."""
    return "send" if state["sent"] < state["mails"] else "__end__"


mailing = (
    StateGraph(Mailing)
    .add_node("send", send)
    .add_edge(START, "send")
    .add_conditional_edges("send", route)
    .compile()
)
