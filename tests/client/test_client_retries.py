"""A call is tried again only where that is safe, and not for ever."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import graphwire
import grpc
import pytest
from graphwire import AsyncClient, NewRun
from graphwire._retry import Retry
from graphwire.v1 import assistants_pb2, runs_pb2, server_pb2, threads_pb2

from . import wire
from .conftest import Connect
from .scripted import ScriptedServer, fail, refuse, reply, stay_open, unavailable

Use = Callable[[AsyncClient], Awaitable[Any]]

READS: dict[str, Use] = {
    "GetThread": lambda c: c.threads.get("t"),
    "CountThreads": lambda c: c.threads.count(),
    "ListThreads": lambda c: anext(c.threads.list(), None),
    "GetThreadState": lambda c: c.threads.state("t"),
    "ListThreadHistory": lambda c: anext(c.threads.history("t"), None),
    "ListPauses": lambda c: anext(c.pauses.list(), None),
    "GetPause": lambda c: c.pauses.get("p"),
    "GetThreadStorage": lambda c: c.threads.storage("t"),
    "GetRun": lambda c: c.runs.get("r"),
    "WaitRun": lambda c: c.runs.wait("r"),
    "ListRuns": lambda c: anext(c.runs.list("t"), None),
    "ListRunBreakpoints": lambda c: c.runs.breakpoints("r"),
    "ListAssistants": lambda c: anext(c.assistants.list(), None),
    "GetAssistant": lambda c: c.assistants.get("agent"),
    "CountAssistants": lambda c: c.assistants.count(),
    "ListAssistantVersions": lambda c: anext(c.assistants.versions("a"), None),
    "GetAssistantGraph": lambda c: c.assistants.graph("agent"),
    "GetAssistantSchemas": lambda c: c.assistants.schemas("agent"),
    "GetServerInfo": lambda c: c.server.info(),
}
WRITES_WITH_ID: dict[str, Use] = {
    "CreateThread": lambda c: c.threads.create(),
    "UpdateThread": lambda c: c.threads.update("t", {"k": 1}),
    "UpdateThreadState": lambda c: c.threads.update_state("t", {"k": 1}),
    "CopyThread": lambda c: c.threads.copy("t"),
    "CreateRun": lambda c: c.runs.create("t", resume=True),
    "CreateRuns": lambda c: c.runs.create_many([NewRun(thread_id="t", resume=True)]),
    "AddRunBreakpoints": lambda c: c.runs.add_breakpoints("r", "node"),
    "CreateAssistant": lambda c: c.assistants.create("agent"),
    "UpdateAssistant": lambda c: c.assistants.update("a", name="other"),
}
WRITES_WITHOUT_ID: dict[str, Use] = {
    "DeleteThread": lambda c: c.threads.delete("t"),
    "PruneThreads": lambda c: c.threads.prune("t", "keep_latest"),
    "PauseRun": lambda c: c.runs.pause("r"),
    "RemoveRunBreakpoints": lambda c: c.runs.remove_breakpoints("r", "b"),
    "DeleteAssistant": lambda c: c.assistants.delete("a"),
    "SetLatestAssistantVersion": lambda c: c.assistants.set_latest("a", 1),
    "CancelRun": lambda c: c.runs.cancel("r"),
    "CancelRuns": lambda c: c.runs.cancel_many("r"),
    "DeleteRun": lambda c: c.runs.delete("r"),
}


def empty_response(method: str) -> Any:
    for file in (threads_pb2, runs_pb2, assistants_pb2, server_pb2):
        if hasattr(file, f"{method}Response"):
            return getattr(file, f"{method}Response")()
    raise LookupError(method)


@pytest.mark.parametrize("method", READS)
@pytest.mark.usefixtures("no_delays")
async def test_reads_are_tried_again(
    client: AsyncClient, scripted: ScriptedServer, method: str
) -> None:
    scripted.on(method, unavailable, unavailable, reply(empty_response(method)))
    await READS[method](client)
    assert len(scripted.requests(method)) == 3


@pytest.mark.parametrize("method", WRITES_WITH_ID)
@pytest.mark.usefixtures("no_delays")
async def test_writes_are_tried_again_with_the_same_request_id(
    client: AsyncClient, scripted: ScriptedServer, method: str
) -> None:
    scripted.on(method, unavailable, reply(empty_response(method)))
    await WRITES_WITH_ID[method](client)
    first, second = scripted.requests(method)
    assert len(first.request_id) == 32
    assert first == second


@pytest.mark.parametrize("method", WRITES_WITH_ID)
async def test_each_write_has_a_request_id_of_its_own(
    client: AsyncClient, scripted: ScriptedServer, method: str
) -> None:
    scripted.on(method, empty_response(method))
    await WRITES_WITH_ID[method](client)
    await WRITES_WITH_ID[method](client)
    first, second = scripted.requests(method)
    assert first.request_id != second.request_id


@pytest.mark.parametrize("method", WRITES_WITHOUT_ID)
@pytest.mark.usefixtures("no_delays")
async def test_writes_without_a_request_id_are_not_tried_again(
    client: AsyncClient, scripted: ScriptedServer, method: str
) -> None:
    scripted.on(method, unavailable)
    with pytest.raises(graphwire.ConnectionLostError, match="going away"):
        await WRITES_WITHOUT_ID[method](client)
    assert len(scripted.requests(method)) == 1


async def test_every_unary_method_is_in_one_of_these_lists() -> None:
    unary = {
        method.name
        for file in (threads_pb2, runs_pb2, assistants_pb2, server_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if not method.server_streaming
    }
    assert unary == READS.keys() | WRITES_WITH_ID.keys() | WRITES_WITHOUT_ID.keys()


@pytest.mark.usefixtures("no_delays")
async def test_an_error_of_the_server_is_not_tried_again(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("GetThread", refuse(graphwire.InternalError("oops", retry_after=0.1)))
    with pytest.raises(graphwire.InternalError, match="oops"):
        await client.threads.get("t")
    assert len(scripted.calls) == 1


@pytest.mark.usefixtures("no_delays")
async def test_a_server_that_stays_away_is_reported_with_its_own_text(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("GetThread", unavailable)
    with pytest.raises(graphwire.ConnectionLostError, match=r"^going away$"):
        await client.threads.get("t")
    assert 3 <= len(scripted.calls) <= 100


async def test_nobody_listening_is_connection_lost(
    connect: Connect, scripted: ScriptedServer
) -> None:
    client = connect(scripted.target)
    scripted.stop()
    with pytest.raises(graphwire.ConnectionLostError, match="Connection refused"):
        await client.threads.get("t", timeout=0.3)


async def test_a_named_retry_delay_beyond_the_timeout_is_not_waited_for(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("GetThread", refuse(graphwire.ShuttingDownError("bye", retry_after=1)))
    with pytest.raises(graphwire.ShuttingDownError) as caught:
        await client.threads.get("t", timeout=0.9)
    assert caught.value.retry_after == 1
    assert len(scripted.calls) == 1


async def test_the_timeout_covers_all_tries(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("GetThread", unavailable, stay_open)
    with pytest.raises(graphwire.DeadlineExceededError):
        await client.threads.get("t", timeout=0.5)
    first, second = (call.time_remaining or 0 for call in scripted.calls)
    assert second < first < 1


async def test_calls_have_the_timeout_of_the_client(
    connect: Connect, scripted: ScriptedServer
) -> None:
    scripted.on("GetThread", threads_pb2.GetThreadResponse(thread=wire.thread()))
    await connect(scripted.target).threads.get("t")
    await connect(scripted.target, timeout=9).threads.get("t")
    await connect(scripted.target, timeout=None).threads.get("t")
    await connect(scripted.target, timeout=9).threads.get("t", timeout=4)
    default, of_client, none, of_call = (call.time_remaining for call in scripted.calls)
    assert [default, of_client, of_call] == pytest.approx([30, 9, 4], abs=1)
    assert none is None


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lost(retry_after: float | None = None) -> graphwire.ConnectionLostError:
    error = graphwire.ConnectionLostError("lost", code="UNAVAILABLE")
    error.retry_after = retry_after
    return error


def test_delays_double_from_a_tenth_of_a_second_to_five(clock: Clock) -> None:
    retry = Retry(patience=1000, timeout=None, clock=clock, jitter=lambda: 1.0)
    delays = [retry.delay(lost()) for _ in range(8)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_jitter_takes_off_up_to_half(clock: Clock) -> None:
    retry = Retry(patience=1000, timeout=None, clock=clock, jitter=lambda: 0.0)
    assert [retry.delay(lost()) for _ in range(3)] == [0.05, 0.1, 0.2]


def test_patience_counts_from_the_first_failure_after_progress(clock: Clock) -> None:
    retry = Retry(patience=10, timeout=None, clock=clock, jitter=lambda: 1.0)
    clock.now += 500
    assert retry.delay(lost()) == 0.1
    clock.now += 9
    assert retry.delay(lost()) == 0.2
    retry.progress()
    clock.now += 9
    assert retry.delay(lost()) == 0.1
    clock.now += 10
    assert retry.delay(lost()) is None
    assert retry.gave_up


def test_a_try_that_stood_for_long_counts_as_progress(clock: Clock) -> None:
    retry = Retry(patience=10, timeout=None, clock=clock, jitter=lambda: 1.0)
    assert retry.delay(lost()) == 0.1
    clock.now += 600
    assert retry.delay(lost()) == 0.1


def test_a_call_that_the_server_ends_for_its_age_counts_as_progress(clock: Clock) -> None:
    retry = Retry(patience=10, timeout=None, clock=clock, jitter=lambda: 1.0)
    expired = graphwire.StreamExpiredError("old", retry_after=0.0)
    for _ in range(20):
        assert retry.delay(expired) == 0.1
        clock.now += 1
    retry = Retry(patience=0, timeout=None, clock=clock)
    assert retry.delay(expired) is None


def test_a_longer_delay_named_by_the_server_is_kept(clock: Clock) -> None:
    retry = Retry(patience=10, timeout=None, clock=clock, jitter=lambda: 1.0)
    assert retry.delay(lost(retry_after=3)) == 3
    assert retry.delay(lost(retry_after=0.01)) == 0.2


def test_patience_0_never_tries_again(clock: Clock) -> None:
    retry = Retry(patience=0, timeout=None, clock=clock)
    assert retry.delay(lost()) is None
    assert not retry.gave_up


def test_a_deadline_ends_the_tries(clock: Clock) -> None:
    retry = Retry(patience=1000, timeout=5, clock=clock, jitter=lambda: 1.0)
    assert retry.remaining() == 5
    clock.now += 4.95
    assert retry.delay(lost()) is None
    clock.now += 1
    assert retry.remaining() == 0


def test_a_deadline_that_passed_is_tried_again_only_if_it_was_not_ours(clock: Clock) -> None:
    exceeded = graphwire.DeadlineExceededError("too late", code="DEADLINE_EXCEEDED")
    assert Retry(patience=10, timeout=5, clock=clock).delay(exceeded) is None
    assert Retry(patience=10, timeout=None, clock=clock).delay(exceeded) is not None


@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if c is not grpc.StatusCode.OK])
async def test_only_a_lost_connection_is_tried_again(
    client: AsyncClient, scripted: ScriptedServer, code: grpc.StatusCode, delays: list[float]
) -> None:
    scripted.on("GetThread", fail(code, "no"), reply(empty_response("GetThread")))
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        await client.threads.get("t")
        assert len(delays) == 1
    else:
        with pytest.raises(graphwire.TransportError):
            await client.threads.get("t")
        assert delays == []


@pytest.mark.parametrize("method", [*READS, *WRITES_WITH_ID, *WRITES_WITHOUT_ID])
async def test_a_call_that_a_busy_server_refuses_is_tried_again_after_the_time_it_names(
    client: AsyncClient, scripted: ScriptedServer, delays: list[float], method: str
) -> None:
    # Nothing was done, so that is safe whatever the call does.
    limit = graphwire.LimitReachedError("too many calls", retry_after=1.25)
    scripted.on(method, refuse(limit), reply(empty_response(method)))
    await {**READS, **WRITES_WITH_ID, **WRITES_WITHOUT_ID}[method](client)
    assert (len(scripted.calls), delays) == (2, [1.25])


async def test_a_server_that_stays_busy_is_not_waited_for_long(
    client: AsyncClient, scripted: ScriptedServer, delays: list[float]
) -> None:
    limit = graphwire.LimitReachedError(
        "the queue is full", retry_after=2.5, metadata={"limit": "max_queued_runs"}
    )
    scripted.on("CreateRun", refuse(limit))
    with pytest.raises(graphwire.LimitReachedError, match="the queue is full") as caught:
        await client.runs.create("t", resume=True)
    assert (caught.value.retry_after, caught.value.metadata) == (2.5, {"limit": "max_queued_runs"})
    assert (len(scripted.calls), delays) == (1, [])


async def test_a_limit_that_will_not_pass_is_raised_at_once(
    client: AsyncClient, scripted: ScriptedServer, delays: list[float]
) -> None:
    scripted.on("UpdateThreadState", refuse(graphwire.LimitReachedError("the state is too large")))
    with pytest.raises(graphwire.LimitReachedError, match="too large") as caught:
        await client.threads.update_state("t", {"k": 1})
    assert caught.value.retry_after is None
    assert (len(scripted.calls), delays) == (1, [])
