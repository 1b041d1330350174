"""Reviews of tool calls in a request, each checked in itself."""

from __future__ import annotations

from graphwire import errors
from graphwire.v1 import review_pb2 as pb

from graphwire_server.graphs.tool_calls import Decision
from graphwire_server.rpc import validation
from graphwire_server.rpc.payloads import PayloadCodec

_MAX_NAME = 256
_MAX_MESSAGE = 16_384


def read_review(codec: PayloadCodec, review: pb.Review, field: str) -> tuple[Decision, ...]:
    """Returns the decisions of a review. Whether they fit its pause is checked elsewhere.

    Raises:
        MissingFieldError, InvalidFieldError, InvalidPayloadError: One is not right in itself.
    """
    return tuple(
        _decision(codec, each, f"{field}.tool_calls[{index}]")
        for index, each in enumerate(review.tool_calls)
    )


def _decision(codec: PayloadCodec, message: pb.ToolCallReview, field: str) -> Decision:
    call_id = message.tool_call_id
    match message.WhichOneof("decision"):
        case "approve":
            return Decision(call_id, "approve")
        case "edit":
            args = codec.read_object(message.edit.args, f"{field}.edit.args")
            name = validation.text(message.edit.name, f"{field}.edit.name", most=_MAX_NAME)
            return Decision(call_id, "edit", args=args, name=name)
        case "reject":
            path = f"{field}.reject.message"
            text = validation.text(message.reject.message, path, most=_MAX_MESSAGE)
            return Decision(call_id, "reject", message=text)
        case "respond":
            content = codec.read(message.respond.content, f"{field}.respond.content")
            return Decision(call_id, "respond", content=content)
    raise errors.MissingFieldError(
        "say what becomes of the tool call: one of `approve`, `edit`, `reject` or `respond`",
        field=f"{field}.decision",
    )
