"""Reviews and tool calls, to messages of the contract and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphwire._payload import decode, encode
from graphwire.reviews import Approve, Decision, Edit, Reject, Respond, ToolCall
from graphwire.v1 import review_pb2 as pb


def review_message(review: Decision | Mapping[str, Decision], field: str) -> pb.Review:
    """Returns a review: one decision for a single tool call, or one for each by its id.

    Raises:
        TypeError: It is neither.
        InvalidArgumentError: A value can't be sent; the error names its field.
    """
    decisions = review if isinstance(review, Mapping) else {"": review}
    return pb.Review(
        tool_calls=[
            _decision(call_id, decision, f"{field}.tool_calls[{index}]")
            for index, (call_id, decision) in enumerate(decisions.items())
        ]
    )


def review(message: pb.Review) -> dict[str, Decision]:
    """Reads a review: the decisions by tool call id."""
    return {each.tool_call_id: _read(each) for each in message.tool_calls}


def tool_call(message: pb.ToolCall) -> ToolCall:
    """Reads a tool call."""
    return ToolCall(tool_call_id=message.tool_call_id, name=message.name, args=decode(message.args))


def _decision(call_id: str, decision: Any, field: str) -> pb.ToolCallReview:
    match decision:
        case Approve():
            return pb.ToolCallReview(tool_call_id=call_id, approve=pb.ApproveToolCall())
        case Edit(args, name):
            edit = pb.EditToolCall(args=encode(args, f"{field}.edit.args"), name=name or "")
            return pb.ToolCallReview(tool_call_id=call_id, edit=edit)
        case Reject(text):
            return pb.ToolCallReview(tool_call_id=call_id, reject=pb.RejectToolCall(message=text))
        case Respond(content):
            given = encode(content, f"{field}.respond.content")
            respond = pb.RespondToToolCall(content=given)
            return pb.ToolCallReview(tool_call_id=call_id, respond=respond)
    raise TypeError(
        f"{field} is {decision!r}: it must be Approve(), Edit(args), Reject(message) or "
        "Respond(content)"
    )


def _read(message: pb.ToolCallReview) -> Decision:
    match message.WhichOneof("decision"):
        case "edit":
            return Edit(decode(message.edit.args), message.edit.name or None)
        case "reject":
            return Reject(message.reject.message)
        case "respond":
            return Respond(decode(message.respond.content))
    return Approve()
