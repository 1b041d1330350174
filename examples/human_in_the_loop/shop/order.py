"""An order: two nodes ask for what is missing, a subgraph takes the payment, then it ships."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt


class Payment(TypedDict, total=False):
    """The state of the subgraph; it shares both with the order."""

    total: int
    done: Annotated[list[str], operator.add]


class Order(TypedDict, total=False):
    """The state of an order."""

    total: int
    address: dict[str, str]
    gift_wrap: bool
    done: Annotated[list[str], operator.add]


ADDRESS = {
    "type": "object",
    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
    "required": ["street", "city"],
}


async def address(state: Order) -> dict[str, Any]:
    """Asks where to ship to, unless that is known."""
    known = state.get("address")
    return {"address": known or interrupt("Where to?", response_schema=ADDRESS)}


async def gift(state: Order) -> dict[str, Any]:
    """Asks whether it is a gift, unless that is known."""
    known = state.get("gift_wrap")
    if known is None:
        known = interrupt("Is it a gift?", response_schema={"type": "boolean"})
    return {"gift_wrap": known}


async def authorize(state: Payment) -> dict[str, Any]:
    """Reserves the money."""
    return {"done": [f"authorized {state['total']}"]}


async def capture(state: Payment) -> dict[str, Any]:
    """Takes the money."""
    return {"done": [f"captured {state['total']}"]}


async def ship(state: Order) -> dict[str, Any]:
    """Ships the order."""
    return {"done": [f"shipped to {state['address']['city']}"]}


payment = (
    StateGraph(Payment)
    .add_node("authorize", authorize)
    .add_node("capture", capture)
    .add_edge(START, "authorize")
    .add_edge("authorize", "capture")
    .compile()
)

order = (
    StateGraph(Order)
    .add_node("address", address)
    .add_node("gift", gift)
    .add_node("payment", payment)
    .add_node("ship", ship)
    .add_edge(START, "address")
    .add_edge(START, "gift")
    .add_edge(["address", "gift"], "payment")
    .add_edge("payment", "ship")
    .compile()
)
