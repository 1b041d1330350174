"""Ends streams before their connection is cut, so that nobody takes that for a caller who left."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from graphwire import errors

_OURS = "/graphwire.v1."


class StreamAge(grpc.aio.ServerInterceptor):
    """Wraps our streams. To be the last of the interceptors: it throws into the servicer."""

    def __init__(self, seconds: float) -> None:
        """Takes how long a stream may last; it is looked at with each response."""
        self._seconds = seconds

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Returns the handler of a call, wrapped if it is one of our streams."""
        handler: Any = await continuation(handler_call_details)
        ours = handler_call_details.method.startswith(_OURS)
        if handler is None or not ours or not handler.response_streaming:
            return handler
        return grpc.unary_stream_rpc_method_handler(
            _aging(handler.unary_stream, self._seconds),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _aging(handle: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    async def aging(request: Any, context: Any) -> AsyncIterator[Any]:
        ends_at = time.monotonic() + seconds
        responses = handle(request, context)
        try:
            async for response in responses:
                yield response
                if time.monotonic() > ends_at:
                    # The servicer has to know that its caller has not gone away.
                    await responses.athrow(
                        errors.StreamExpiredError(
                            "the stream is as old as one may become on this server; join again "
                            "after what it has shown last",
                            retry_after=0.0,
                        )
                    )
        finally:
            await responses.aclose()

    return aging
