"""Tool calls and reviews, as they are kept, in the contract's form."""

from __future__ import annotations

import orjson
from graphwire.v1 import payload_pb2, review_pb2

from graphwire_server import jsontext
from graphwire_server.graphs.tool_calls import Decision, review_in


def tool_call_messages(tool_calls: str) -> list[review_pb2.ToolCall]:
    """Returns the tool calls of a pause; see `PauseRecord.tool_calls`."""
    if tool_calls == "[]":
        return []
    return [
        review_pb2.ToolCall(tool_call_id=call["id"], name=call["name"], args=_payload(call["args"]))
        for call in orjson.loads(tool_calls)
    ]


def review_message(review: str) -> review_pb2.Review:
    """Returns the review of a pause; see `PauseRecord.review`."""
    return review_pb2.Review(tool_calls=[_decision_message(each) for each in review_in(review)])


def _decision_message(decision: Decision) -> review_pb2.ToolCallReview:
    message = review_pb2.ToolCallReview(tool_call_id=decision.tool_call_id)
    match decision.decision:
        case "approve":
            message.approve.SetInParent()
        case "edit":
            message.edit.args.CopyFrom(_payload(decision.args))
            message.edit.name = decision.name
        case "reject":
            message.reject.SetInParent()
            message.reject.message = decision.message
        case "respond":
            message.respond.content.CopyFrom(_payload(decision.content))
    return message


def _payload(value: object) -> payload_pb2.Payload:
    return payload_pb2.Payload(json=jsontext.dumps(value))
