"""What the server raised, the client raises: class, text and details."""

from __future__ import annotations

from typing import Any

import graphwire
import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from graphwire import AsyncClient, FieldViolation, GraphwireError, errors

from .scripted import ScriptedServer, fail, refuse, stay_open


async def caught_from(client: AsyncClient, scripted: ScriptedServer, answer: Any) -> GraphwireError:
    scripted.on("DeleteThread", answer)
    with pytest.raises(GraphwireError) as caught:
        await client.threads.delete("t")
    return caught.value


@pytest.mark.parametrize("reason", sorted(errors.BY_REASON))
async def test_every_reason_is_raised_as_its_class(
    client: AsyncClient, scripted: ScriptedServer, reason: str
) -> None:
    raised = errors.BY_REASON[reason]("what went wrong", metadata={"run_id": "r"})
    error = await caught_from(client, scripted, refuse(raised))
    assert type(error) is errors.BY_REASON[reason]
    assert (error.message, error.code, error.reason) == ("what went wrong", raised.code, reason)
    assert error.metadata == {"run_id": "r"}


async def test_all_details_come_across(client: AsyncClient, scripted: ScriptedServer) -> None:
    violations = [FieldViolation("a.b[0]", "is wrong"), FieldViolation("c", "is too long")]
    raised = graphwire.InvalidFieldError(
        "two fields are wrong",
        violations=violations,
        metadata={"k": "v"},
        resource=("thread", "t"),
        retry_after=1.5,
    )
    error = await caught_from(client, scripted, refuse(raised))
    assert vars(error) == vars(raised)
    assert str(error) == str(raised) == "a.b[0], c: two fields are wrong"
    assert isinstance(error.__cause__, grpc.RpcError)
    assert error.__cause__.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_is_in_the_way_comes_across(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    raised = graphwire.PauseNotOpenError("it was resumed", resource=("pause", "a/b"))
    error = await caught_from(client, scripted, refuse(raised))
    assert (error.resource, str(error)) == (("pause", "a/b"), "it was resumed")


@pytest.mark.parametrize(
    "base",
    [
        graphwire.InvalidArgumentError,
        graphwire.NotFoundError,
        graphwire.AlreadyExistsError,
        graphwire.FailedPreconditionError,
    ],
)
async def test_a_reason_of_a_newer_server_is_raised_as_its_nearest_base(
    client: AsyncClient, scripted: ScriptedServer, base: type[GraphwireError]
) -> None:
    raised = base("something new")
    vars(raised)["reason"] = "BRAND_NEW"
    error = await caught_from(client, scripted, refuse(raised))
    assert type(error) is base
    assert (error.code, error.reason, error.message) == (base.code, "BRAND_NEW", "something new")


async def test_a_new_reason_with_an_unusual_code_is_a_plain_graphwire_error(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    raised = GraphwireError("not yours")
    vars(raised).update(code="PERMISSION_DENIED", reason="FORBIDDEN")
    error = await caught_from(client, scripted, refuse(raised))
    assert type(error) is GraphwireError
    assert (error.code, error.reason) == ("PERMISSION_DENIED", "FORBIDDEN")
    assert (GraphwireError.code, GraphwireError.reason) == ("UNKNOWN", "")


@pytest.mark.parametrize(
    "code, expected",
    [
        (grpc.StatusCode.UNAVAILABLE, graphwire.ConnectionLostError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, graphwire.DeadlineExceededError),
        (grpc.StatusCode.CANCELLED, graphwire.CallCancelledError),
        (grpc.StatusCode.UNAUTHENTICATED, graphwire.TransportError),
        (grpc.StatusCode.NOT_FOUND, graphwire.TransportError),
        (grpc.StatusCode.UNIMPLEMENTED, graphwire.TransportError),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_a_status_without_details_is_a_transport_error(
    client: AsyncClient,
    scripted: ScriptedServer,
    code: grpc.StatusCode,
    expected: type[graphwire.TransportError],
) -> None:
    error = await caught_from(client, scripted, fail(code, "says the proxy"))
    assert type(error) is expected
    assert (error.code, error.reason, str(error)) == (code.name, "", "says the proxy")


async def test_an_empty_text_is_replaced_by_the_code(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    error = await caught_from(client, scripted, fail(grpc.StatusCode.PERMISSION_DENIED))
    assert str(error) == "PERMISSION_DENIED, without a text"


@pytest.mark.parametrize("raw", [b"\xff not a status", b""], ids=["garbage", "empty"])
async def test_details_that_cannot_be_read_leave_code_and_text(
    client: AsyncClient, scripted: ScriptedServer, raw: bytes
) -> None:
    def answer(_request: Any, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", raw),))
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")

    error = await caught_from(client, scripted, answer)
    assert type(error) is graphwire.TransportError
    assert (error.code, str(error)) == ("NOT_FOUND", "no such thing")


async def test_details_of_another_domain_are_not_taken_for_ours(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    def answer(_request: Any, context: grpc.ServicerContext) -> None:
        status = status_pb2.Status(code=5, message="quota")
        info = error_details_pb2.ErrorInfo(domain="example.com", reason="THREAD_NOT_FOUND")
        status.details.add().Pack(info)
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(2500)
        status.details.add().Pack(retry)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(grpc.StatusCode.NOT_FOUND, "quota")

    error = await caught_from(client, scripted, answer)
    assert type(error) is graphwire.TransportError
    assert (error.code, error.retry_after) == ("NOT_FOUND", 2.5)


async def test_a_call_that_takes_too_long_is_deadline_exceeded(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("GetThread", stay_open)
    with pytest.raises(graphwire.DeadlineExceededError):
        await client.threads.get("t", timeout=0.1)
    assert len(scripted.calls) == 1
