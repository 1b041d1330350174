"""Faults of the server itself: what a caller is told of them, and what the log is.

No RPC is known to have one; so servicers that have some stand in, behind our interceptor.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from graphwire import errors
from graphwire.v1 import runs_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc
from graphwire_server.rpc.interceptor import CallInterceptor
from graphwire_server.storage.interface import StorageUnavailable

from tests.e2e.drive import DEADLINE, refused

Raises = Callable[[], BaseException]

GET = threads_pb2.GetThreadRequest(thread_id="t")
JOIN = runs_pb2.JoinRunRequest(run_id="r")


class FaultyThreads(threads_pb2_grpc.ThreadsServicer):
    """Raises what it is told to."""

    def __init__(self, raises: Raises) -> None:
        self._raises = raises

    async def GetThread(self, request: threads_pb2.GetThreadRequest, context: Any) -> Any:
        raise self._raises()


class FaultyRuns(runs_pb2_grpc.RunsServicer):
    """Streams two events, and raises."""

    def __init__(self, raises: Raises) -> None:
        self._raises = raises

    async def JoinRun(self, request: runs_pb2.JoinRunRequest, context: Any) -> AsyncIterator[Any]:
        yield runs_pb2.JoinRunResponse()
        yield runs_pb2.JoinRunResponse()
        raise self._raises()


class Faulty:
    """Stubs of a server with faults."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.threads: Any = threads_pb2_grpc.ThreadsStub(channel)
        self.runs: Any = runs_pb2_grpc.RunsStub(channel)


@asynccontextmanager
async def faulty(raises: Raises) -> AsyncIterator[Faulty]:
    """A server whose servicers raise."""
    server = grpc.aio.server(interceptors=[CallInterceptor()])
    threads: Any = FaultyThreads
    runs: Any = FaultyRuns
    threads_pb2_grpc.add_ThreadsServicer_to_server(threads(raises), server)
    runs_pb2_grpc.add_RunsServicer_to_server(runs(raises), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Faulty(channel)
    await server.stop(None)


class SecretError(Exception):
    """An exception whose text is nobody's business."""


def secret() -> BaseException:
    """An exception with a cause."""
    error = SecretError("/etc/secret/path: hunter2")
    error.__cause__ = KeyError("password=hunter2")
    return error


async def test_a_fault_shows_a_request_id_and_nothing_else() -> None:
    async with faulty(secret) as server:
        with refused("INTERNAL", "INTERNAL") as refusal:
            await server.threads.GetThread(GET)
    request_id = refusal.metadata.pop("request_id")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", request_id)
    assert refusal.text == f"an error inside the server; its log has it under request {request_id}"
    assert (refusal.metadata, refusal.details) == ({}, ["google.rpc.ErrorInfo"])


async def test_nothing_of_the_exception_is_in_any_trailer() -> None:
    async with faulty(secret) as server:
        trailers = dict(await server.threads.GetThread(GET).trailing_metadata())
    assert sorted(trailers) == ["grpc-status-details-bin", "x-request-id"]
    status = str(status_pb2.Status.FromString(trailers["grpc-status-details-bin"]))
    assert [w for w in ("hunter2", "Secret", "KeyError", "Traceback", ".py") if w in status] == []


async def test_a_callers_own_request_id_is_the_one_that_is_shown() -> None:
    async with faulty(secret) as server:
        with refused("INTERNAL", "INTERNAL") as refusal:
            await server.threads.GetThread(GET, metadata=(("x-request-id", "mine-7"),))
    assert refusal.metadata == {"request_id": "mine-7"}


async def test_the_log_has_what_the_caller_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    async with faulty(secret) as server:
        with refused("INTERNAL", "INTERNAL"):
            await server.threads.GetThread(GET, metadata=(("x-request-id", "find-me"),))
    logged = "".join(capsys.readouterr())
    for text in ("find-me", "GetThread", "SecretError", "/etc/secret/path: hunter2"):
        assert text in logged


async def test_a_stream_that_breaks_ends_the_same_way_after_what_it_has_sent() -> None:
    received = []
    async with faulty(secret) as server:
        with refused("INTERNAL", "INTERNAL") as refusal:
            async for response in server.runs.JoinRun(JOIN):
                received.append(response)  # noqa: PERF401  # those before the error count
    assert len(received) == 2
    assert list(refusal.metadata) == ["request_id"]
    assert refusal.details == ["google.rpc.ErrorInfo"]


async def test_a_reason_to_retry_says_when() -> None:
    def stopping() -> BaseException:
        last = {"last_sequence": "2"}
        return errors.ShuttingDownError("stopping", metadata=last, retry_after=1.5)

    async with faulty(stopping) as server:
        with refused("UNAVAILABLE", "SHUTTING_DOWN") as refusal:
            await server.threads.GetThread(GET)
    assert refusal.retry_after == 1.5
    assert refusal.metadata == {"last_sequence": "2"}
    assert refusal.details == ["google.rpc.ErrorInfo", "google.rpc.RetryInfo"]


async def test_a_database_that_is_away_is_a_reason_to_retry_and_its_address_is_not_told() -> None:
    def away() -> BaseException:
        return StorageUnavailable("the database postgresql://user@db/name can't be used: refused")

    async with faulty(away) as server:
        with refused("UNAVAILABLE", "DATABASE_UNAVAILABLE") as refusal:
            await server.threads.GetThread(GET)
        assert refusal.text == "the server can't reach its database at present"
        assert (refusal.retry_after, refusal.metadata) == (1.0, {})
        received = []
        with refused("UNAVAILABLE", "DATABASE_UNAVAILABLE"):
            async for response in server.runs.JoinRun(JOIN):
                received.append(response)  # noqa: PERF401  # those before the error count
        assert len(received) == 2


async def test_a_servicer_whose_work_is_cancelled_does_not_leave_the_caller_waiting() -> None:
    async with faulty(asyncio.CancelledError) as server:
        with refused("INTERNAL", "INTERNAL"):
            await server.threads.GetThread(GET, timeout=DEADLINE)
        with refused("INTERNAL", "INTERNAL"):
            async for _ in server.runs.JoinRun(JOIN, timeout=DEADLINE):
                pass
