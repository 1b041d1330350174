"""The interceptor that every RPC of ours passes: checks, errors, payload form, log.

Servicers raise; they never touch a status. What a client may see of an error is decided
here and in `rpc.errors` alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError, Message
from graphwire import errors

from graphwire_server.graphs.load_errors import GraphBuildError
from graphwire_server.rpc import validation
from graphwire_server.rpc.answer_size import Answer, set_answer
from graphwire_server.rpc.counts import REQUESTS, check_counts
from graphwire_server.rpc.errors import internal_error, wire_status
from graphwire_server.rpc.event_frames import EventFrame, serializer
from graphwire_server.rpc.event_size import EVENT_BYTES, fitted
from graphwire_server.rpc.guard import Guard
from graphwire_server.rpc.load import Load, LoadLimits
from graphwire_server.rpc.observed import ObservedCall
from graphwire_server.rpc.payloads import PayloadForm, check_values, to_value_form
from graphwire_server.rpc.principal import current_principal
from graphwire_server.storage.interface import (
    LONGEST_READ,
    StorageError,
    StorageSlow,
    StorageUnavailable,
)
from graphwire_server.telemetry.setup import Telemetry

_OURS = "/graphwire.v1."
#: The metadata key with which a caller chooses the form of payloads in the response.
_PAYLOAD_FORM = "graphwire-payload"
#: The metadata key with which a caller asks for events and answers of any size; and what it says
#: then.
_EVENTS, _WHOLE = "graphwire-events", "whole"
#: The methods that change something. They refuse requests with fields they do not know.
MUTATING = frozenset(
    {
        "/graphwire.v1.Threads/CreateThread",
        "/graphwire.v1.Threads/UpdateThread",
        "/graphwire.v1.Threads/DeleteThread",
        "/graphwire.v1.Threads/UpdateThreadState",
        "/graphwire.v1.Threads/CopyThread",
        "/graphwire.v1.Threads/PruneThreads",
        "/graphwire.v1.Runs/StreamRun",
        "/graphwire.v1.Runs/CreateRun",
        "/graphwire.v1.Runs/CancelRun",
        "/graphwire.v1.Runs/DeleteRun",
        "/graphwire.v1.Runs/CreateRuns",
        "/graphwire.v1.Runs/CancelRuns",
        "/graphwire.v1.Runs/PauseRun",
        "/graphwire.v1.Runs/AddRunBreakpoints",
        "/graphwire.v1.Runs/RemoveRunBreakpoints",
        "/graphwire.v1.Assistants/CreateAssistant",
        "/graphwire.v1.Assistants/UpdateAssistant",
        "/graphwire.v1.Assistants/DeleteAssistant",
        "/graphwire.v1.Assistants/SetLatestAssistantVersion",
    }
)


@dataclass(frozen=True, slots=True)
class _Serving:
    """With what calls are served; see `CallInterceptor`."""

    telemetry: Telemetry
    guard: Guard | None
    load: Load
    max_event_bytes: int
    max_response_bytes: int


class Call:
    """One call of one of our RPCs."""

    def __init__(
        self,
        method: str,
        context: grpc.aio.ServicerContext[Any, Any],
        serving: _Serving,
        *,
        streams: bool = False,
    ) -> None:
        """Reads the call's metadata; larger events are cut unless it asks for whole ones."""
        metadata = {k: v for k, v in context.invocation_metadata() or () if isinstance(v, str)}
        self.method = method
        self.observed = ObservedCall(method, metadata, serving.telemetry, streams=streams)
        context.set_trailing_metadata(self.observed.trailers)
        self._events = metadata.get(_EVENTS, "").lower()
        self._max_event_bytes = serving.max_event_bytes
        self._max_response_bytes = serving.max_response_bytes
        self._payload_form = metadata.get(_PAYLOAD_FORM, PayloadForm.JSON).lower()
        self._context = context
        self._log = self.observed.log

    def read(self, data: bytes, decode: Callable[[bytes], Message]) -> Message:
        """Returns the request, and refuses what no servicer should have to look at."""
        try:
            # First of all: whatever looks at the request looks at each item.
            check_counts(REQUESTS[self.method], data)
            request = decode(data)
        except DecodeError:
            raise errors.InvalidFieldError(
                "the request is no message of this method: it is damaged, or has a text that is "
                "not UTF-8, or messages more than 100 levels deep",
                field="",
            ) from None
        self.observed.note(request)
        check_values(request)
        if self._payload_form not in list(PayloadForm):
            raise errors.InvalidFieldError(
                f"the call's metadata {_PAYLOAD_FORM} must be json or value", field=_PAYLOAD_FORM
            )
        if self._events not in ("", _WHOLE):
            raise errors.InvalidFieldError(
                f"the call's metadata {_EVENTS} must be {_WHOLE}, or not there", field=_EVENTS
            )
        validation.single_oneofs(request, data)
        validation.known_enums(request)
        if self.method in MUTATING:
            validation.known_fields(request)
        return request

    def answer(self) -> Answer:
        """Returns how large the answer may be; what something has changed is told in any case."""
        whole = self._events == _WHOLE or self.method in MUTATING
        form = PayloadForm(self._payload_form)
        return Answer(self.method, self._max_response_bytes, whole, form)

    def finish(self, response: Message | EventFrame) -> Message | EventFrame:
        """Returns a response in the form that the caller asked for."""
        if self._payload_form == PayloadForm.VALUE:
            message = response.message() if isinstance(response, EventFrame) else response
            to_value_form(message)
            return message
        return response

    def send(self, response: Message | EventFrame) -> Message | EventFrame:
        """Returns a response of a stream in the form that the caller asked for, and can take."""
        if self._events == _WHOLE:
            return self.finish(response)
        finished = self.finish(fitted(response, self._max_event_bytes))
        if finished is response:
            return response
        # In the other form it may be larger.
        return fitted(finished, self._max_event_bytes)

    async def cancelled(self, error: asyncio.CancelledError) -> NoReturn:
        """Ends the call when a servicer was cancelled, or something that it waited for."""
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            # Not the call is cancelled: without a status its caller would wait for ever.
            await self.abort(error)
        self.observed.end_cancelled(self._context)
        raise error

    async def abort(self, error: BaseException) -> NoReturn:
        """Ends the call with the status for an exception."""
        status = wire_status(self._public(error))
        self.observed.end(status.code.name)
        trailers: tuple[tuple[str, str | bytes], ...] = (
            *status.trailers,
            *self.observed.trailers,
        )
        await self._context.abort(status.code, status.text, trailers)

    def _public(self, error: BaseException) -> errors.GraphwireError:
        """Returns what the caller is told; writes the rest to the log."""
        if isinstance(error, errors.GraphwireError):
            return error
        if isinstance(error, GraphBuildError):
            self._log.warning("graph_unavailable", error=str(error))
            return errors.GraphUnavailableError(str(error))
        if isinstance(error, StorageUnavailable):
            self._log.warning("database_unavailable", error=str(error))
            return errors.DatabaseUnavailableError(
                "the server can't reach its database at present", retry_after=1.0
            )
        if isinstance(error, StorageSlow):
            self._log.warning("database_too_slow", error=str(error))
            return errors.LimitReachedError(
                f"the database has not found this in {LONGEST_READ} s, and no call may keep it "
                "busy for longer; ask for less",
                metadata={
                    "limit": "database_seconds",
                    "value": str(LONGEST_READ),
                    "maximum": str(LONGEST_READ),
                },
            )
        if isinstance(error, StorageError):
            self._log.exception("storage_failed")
        else:
            self._log.exception("rpc_failed")
        return internal_error(self.observed.request_id)


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the handlers of our services; leaves health and reflection as they are."""

    def __init__(
        self,
        telemetry: Telemetry | None = None,
        guard: Guard | None = None,
        load: Load | None = None,
        *,
        max_event_bytes: int = EVENT_BYTES,
        max_response_bytes: int = EVENT_BYTES,
    ) -> None:
        """Takes what is asked of each call.

        Args:
            telemetry: Tells of calls.
            guard: Says who makes them, and whether he may; None: everybody may do everything.
            load: What is under way.
            max_event_bytes: The largest event that is sent unasked.
            max_response_bytes: The largest answer that is.
        """
        self._serving = _Serving(
            telemetry or Telemetry(),
            guard,
            load or Load(LoadLimits()),
            max_event_bytes,
            max_response_bytes,
        )

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Returns the handler of a call, wrapped."""
        handler: Any = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(_OURS):
            return handler
        # Requests arrive here as bytes: what can't be decoded gets an answer as well.
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                _stream(method, handler, self._serving),
                response_serializer=serializer(handler.response_serializer),
            )
        # They leave as bytes: what is too large gets another answer.
        return grpc.unary_unary_rpc_method_handler(_unary(method, handler, self._serving))


async def _admitted(
    call: Call,
    guard: Guard | None,
    context: grpc.aio.ServicerContext[Any, Any],
    data: bytes,
    decode: Callable[[bytes], Message],
) -> Message:
    """Returns the request of a call that may be served; who calls is asked before it is read."""
    if guard is None:
        return call.read(data, decode)
    identity = await guard.identify(call.method, context)
    call.observed.called_by(identity.principal)
    request = call.read(data, decode)
    await guard.admit(call.method, request, identity)
    return request


def _unary(method: str, handler: Any, serving: _Serving) -> Callable[..., Any]:
    async def handle(data: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        call = Call(method, context, serving)
        place = None
        try:
            place = serving.load.enter(method, data)
            decode = handler.request_deserializer
            request = await _admitted(call, serving.guard, context, data, decode)
            place.belongs_to(current_principal(), waits=getattr(request, "wait", False))
            answer = call.answer()
            set_answer(answer)
            response = call.finish(await handler.unary_unary(request, context))
            sent = answer.serialized(response, handler.response_serializer)
        except grpc.aio.AbortError:
            call.observed.end("UNKNOWN")
            raise
        except asyncio.CancelledError as error:
            await call.cancelled(error)
        except Exception as error:  # noqa: BLE001  # the one place that turns them into statuses
            await call.abort(error)
        finally:
            if place is not None:
                place.leave()
        call.observed.end("OK")
        return sent

    return handle


def _stream(method: str, handler: Any, serving: _Serving) -> Callable[..., Any]:
    async def handle(
        data: bytes, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Message | EventFrame]:
        call = Call(method, context, serving, streams=True)
        responses = place = None
        try:
            place = serving.load.enter(method, data)
            decode = handler.request_deserializer
            request = await _admitted(call, serving.guard, context, data, decode)
            place.belongs_to(current_principal())
            responses = handler.unary_stream(request, context)
            async for response in responses:
                yield call.send(response)
                call.observed.sent()
        except grpc.aio.AbortError:
            call.observed.end("UNKNOWN")
            raise
        except GeneratorExit:
            call.observed.end_cancelled(context)
            raise
        except asyncio.CancelledError as error:
            await call.cancelled(error)
        except Exception as error:  # noqa: BLE001  # the one place that turns them into statuses
            await call.abort(error)
        finally:
            if place is not None:
                place.leave()
            # The caller may have gone in the middle: let the servicer's `finally` run now.
            if responses is not None:
                await responses.aclose()
        call.observed.end("OK")

    return handle
