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


async def send(mailing: Mailing) -> Mailing:
    """Sends a batch."""
    await asyncio.sleep(SECONDS)
    return {"sent": min(mailing.get("sent", 0) + BATCH, mailing["mails"])}


def route(mailing: Mailing) -> Literal["send", "__end__"]:
    """Returns what follows a batch: the next, or the end."""
    return "send" if mailing["sent"] < mailing["mails"] else "__end__"


mailing = (
    StateGraph(Mailing)
    .add_node("send", send)
    .add_edge(START, "send")
    .add_conditional_edges("send", route)
    .compile()
)
