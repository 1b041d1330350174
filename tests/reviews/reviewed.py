"""A conversation with one of the agents, in plain values."""

from __future__ import annotations

import json
from typing import Any

from graphwire.v1 import pause_pb2, review_pb2, run_pb2

from tests.e2e.drive import payload, value
from tests.e2e.driven import DrivenThread, Events

MODES = [run_pb2.STREAM_MODE_UPDATES, run_pb2.STREAM_MODE_CUSTOM]

REFUND = ["r", "refund", {"amount": 5}]
MAIL = ["m", "mail", {"to": "ann"}]


class Conversation(DrivenThread):
    """A thread of one of the agents."""

    def ask(
        self, assistant: str, *calls: list[Any], key: str = "messages", **fields: Any
    ) -> list[pause_pb2.Pause]:
        """Has the model make tool calls, and returns the pauses before the tools."""
        question = {"role": "user", "content": json.dumps(calls), "id": "q"}
        fields.setdefault("interrupt_before", ["tools"])
        given = {key: [question]} if key else [question]
        self.start(assistant, given, stream_modes=MODES, **fields)
        return self.pauses

    def review(self, *decisions: dict[str, Any], **fields: Any) -> Events:
        """Resumes with a review of the one pause with tool calls."""
        fields.setdefault("stream_modes", MODES)
        given = run_pb2.Resume(review=review(*decisions))
        return self.stream(resume=given, stream_subgraphs=True, **fields)

    def review_each(self, reviews: dict[str, list[dict[str, Any]]], **fields: Any) -> Events:
        """Resumes with reviews by pause id."""
        given = {pause_id: review(*decisions) for pause_id, decisions in reviews.items()}
        return self.stream(resume=run_pb2.Resume(reviews=given), **fields)

    def messages(self, key: str = "messages") -> list[Any]:
        """The messages in the state: a question, calls, results and what the model says."""
        values = value(self.state().values)
        return [short(message) for message in (values[key] if key else values)]


def review(*decisions: dict[str, Any]) -> review_pb2.Review:
    """A review, of the fields of its decisions."""
    return review_pb2.Review(
        tool_calls=[review_pb2.ToolCallReview(**decision) for decision in decisions]
    )


def approve(call_id: str = "") -> dict[str, Any]:
    return {"tool_call_id": call_id, "approve": {}}


def edit(call_id: str = "", name: str = "", **args: Any) -> dict[str, Any]:
    return {"tool_call_id": call_id, "edit": {"args": payload(args), "name": name}}


def reject(call_id: str = "", message: str = "") -> dict[str, Any]:
    return {"tool_call_id": call_id, "reject": {"message": message}}


def respond(call_id: str = "", content: Any = "") -> dict[str, Any]:
    return {"tool_call_id": call_id, "respond": {"content": payload(content)}}


def short(message: dict[str, Any]) -> Any:
    """What a message says."""
    match message.get("type", message.get("role")):
        case "human" | "user":
            return "question"
        case "tool":
            return [
                message["tool_call_id"],
                message["name"],
                message["status"],
                message["content"],
            ]
        case "ai" if message["tool_calls"]:
            return [[c["id"], c["name"], c["args"]] for c in message["tool_calls"]]
        case _:
            return {"sees": json.loads(message["content"])}


def ran(events: Events) -> list[Any]:
    """Which tools have run, with what, in the order of their names."""
    return sorted(value(e.custom.data) for e in events if e.WhichOneof("event") == "custom")


def updates(events: Events) -> list[tuple[str, Any]]:
    """What nodes returned, the messages in short."""
    return [
        (event.updates.node, value(event.updates.update))
        for event in events
        if event.WhichOneof("event") == "updates"
    ]


def waiting(pause: pause_pb2.Pause) -> list[list[Any]]:
    """The tool calls of a pause."""
    return [[call.tool_call_id, call.name, value(call.args)] for call in pause.tool_calls]
