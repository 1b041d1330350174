"""`client.runs`, `client.assistants` and `client.server`: the calls that answer at once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import graphwire
import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from graphwire import AsyncClient, HealthStatus, RunStatus, StreamMode
from graphwire.v1 import assistants_pb2, run_pb2, server_pb2
from graphwire.v1 import runs_pb2 as pb
from grpc_health.v1 import health_pb2

from . import wire
from .conftest import Connect
from .scripted import ScriptedServer, fail, refuse, stay_open, unavailable

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def test_get_returns_all_of_a_run(client: AsyncClient, scripted: ScriptedServer) -> None:
    message = run_pb2.Run(
        run_id="r",
        thread_id="t",
        assistant_id="agent",
        status=run_pb2.RUN_STATUS_TIMED_OUT,
        error=run_pb2.RunError(type="RunTimeout", message="too long"),
        metadata=wire.payload('{"k":1}'),
        create_time=wire.NOON,
        start_time=wire.NOON,
        end_time=wire.NOON,
        resumed_run_id="q",
        resumed_by_run_id="s",
        interrupt_before=["action"],
        interrupt_after=["*"],
        stream_modes=[run_pb2.STREAM_MODE_UPDATES, run_pb2.STREAM_MODE_DEBUG],
        stream_subgraphs=True,
        multitask_strategy=run_pb2.MULTITASK_STRATEGY_ENQUEUE,
        durability=run_pb2.DURABILITY_EXIT,
        last_sequence=12,
        cancel_requested=True,
        recovery_policy=run_pb2.RECOVERY_POLICY_MANUAL,
        attempt=3,
        rolled_back=True,
        principal="ada",
        assistant_version=2,
        webhook=run_pb2.RunWebhook(
            url="https://example.com/?…",
            status=run_pb2.WEBHOOK_STATUS_PENDING,
            webhook_id="msg_1",
            attempts=2,
            attempt_time=wire.NOON,
            next_attempt_time=wire.NOON,
            status_code=503,
            error="HTTP 503",
        ),
    )
    scripted.on("GetRun", pb.GetRunResponse(run=message))
    assert await client.runs.get("r") == graphwire.Run(
        run_id="r",
        thread_id="t",
        assistant_id="agent",
        status=RunStatus.TIMED_OUT,
        error=graphwire.RunError(type="RunTimeout", message="too long", node="", namespace=()),
        metadata={"k": 1},
        create_time=NOON,
        start_time=NOON,
        end_time=NOON,
        resumed_run_id="q",
        resumed_by_run_id="s",
        interrupt_before=("action",),
        interrupt_after=("*",),
        stream_modes=(StreamMode.UPDATES, StreamMode.DEBUG),
        stream_subgraphs=True,
        multitask_strategy=graphwire.MultitaskStrategy.ENQUEUE,
        durability=graphwire.Durability.EXIT,
        last_sequence=12,
        cancel_requested=True,
        recovery_policy=graphwire.RecoveryPolicy.MANUAL,
        attempt=3,
        rolled_back=True,
        principal="ada",
        assistant_version=2,
        webhook=graphwire.RunWebhook(
            url="https://example.com/?…",
            status=graphwire.WebhookStatus.PENDING,
            webhook_id="msg_1",
            attempts=2,
            attempt_time=NOON,
            next_attempt_time=NOON,
            status_code=503,
            error="HTTP 503",
        ),
    )
    assert scripted.requests("GetRun") == [pb.GetRunRequest(run_id="r")]


async def test_list_filters_by_status(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("ListRuns", pb.ListRunsResponse(runs=[wire.run("b"), wire.run("a")]))
    runs = client.runs.list("t", statuses=["failed", RunStatus.PENDING], limit=5)
    assert [run.run_id async for run in runs] == ["b", "a"]
    assert scripted.requests("ListRuns") == [
        pb.ListRunsRequest(
            thread_id="t",
            statuses=[run_pb2.RUN_STATUS_FAILED, run_pb2.RUN_STATUS_PENDING],
            page_size=5,
        )
    ]


async def test_cancel_returns_the_run(client: AsyncClient, scripted: ScriptedServer) -> None:
    cancelling = wire.run("r", run_pb2.RUN_STATUS_RUNNING)
    cancelling.cancel_requested = True
    scripted.on("CancelRun", pb.CancelRunResponse(run=cancelling))
    run = await client.runs.cancel("r", abandon=True)
    assert (run.status, run.cancel_requested) == (RunStatus.RUNNING, True)
    assert scripted.requests("CancelRun") == [pb.CancelRunRequest(run_id="r", abandon=True)]


async def test_cancel_says_what_becomes_of_the_run_and_waits_without_a_limit(
    connect: Connect, scripted: ScriptedServer
) -> None:
    scripted.on("CancelRun", pb.CancelRunResponse(run=wire.run("r")))
    client = connect(scripted.target, timeout=5)
    for action in ("rollback", graphwire.CancelAction.ROLLBACK):
        await client.runs.cancel("r", action=action, wait=True)
    await client.runs.cancel("r")
    asked = pb.CancelRunRequest(run_id="r", action=pb.CANCEL_ACTION_ROLLBACK, wait=True)
    assert scripted.requests("CancelRun") == [asked, asked, pb.CancelRunRequest(run_id="r")]
    limits = [call.time_remaining for call in scripted.calls]
    assert limits[:2] == [None, None]
    assert limits[2] == pytest.approx(5, abs=1)
    with pytest.raises(graphwire.InvalidFieldError, match="action: 'stop' is none of KEEP, ROLL"):
        await client.runs.cancel("r", action="stop")


async def test_cancel_many_names_runs_or_a_status(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("CancelRuns", pb.CancelRunsResponse(runs=[wire.run("b"), wire.run("a")]))
    cancelled = await client.runs.cancel_many(["a", "b"], action="keep", abandon=True)
    assert [run.run_id for run in cancelled] == ["b", "a"]
    await client.runs.cancel_many("one")
    await client.runs.cancel_many(thread_id="t", statuses=["pending", RunStatus.RUNNING])
    assert scripted.requests("CancelRuns") == [
        pb.CancelRunsRequest(run_ids=["a", "b"], action=pb.CANCEL_ACTION_KEEP, abandon=True),
        pb.CancelRunsRequest(run_ids=["one"]),
        pb.CancelRunsRequest(
            thread_id="t", statuses=[run_pb2.RUN_STATUS_PENDING, run_pb2.RUN_STATUS_RUNNING]
        ),
    ]


async def test_create_many_starts_what_create_would(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("CreateRuns", pb.CreateRunsResponse(runs=[wire.run("a"), wire.run("b")]))
    made = await client.runs.create_many(
        [
            graphwire.NewRun(assistant_id="agent", input={"n": 1}),
            graphwire.NewRun(thread_id="t", resume=True, options={"interrupt_before": "x"}),
        ],
        request_id="mine",
    )
    assert [run.run_id for run in made] == ["a", "b"]
    await client.runs.create_many([graphwire.NewRun(assistant_id="agent", input=1)])
    first, second = scripted.requests("CreateRuns")
    assert first == pb.CreateRunsRequest(
        requests=[
            pb.CreateRunRequest(assistant_id="agent", input=wire.payload('{"n":1}')),
            pb.CreateRunRequest(thread_id="t", resume=run_pb2.Resume(), interrupt_before=["x"]),
        ],
        request_id="mine",
    )
    assert len(second.request_id) == 32


async def test_create_many_takes_nothing_but_new_runs(client: AsyncClient) -> None:
    several: Any = [graphwire.NewRun(assistant_id="agent", input=1), {"assistant_id": "agent"}]
    with pytest.raises(TypeError, match=r"requests\[1\] is .*: it must be a NewRun"):
        await client.runs.create_many(several)


async def test_create_many_says_which_request_is_wrong(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    fine = graphwire.NewRun(assistant_id="agent", input=1)
    with pytest.raises(graphwire.InvalidPayloadError) as caught:
        await client.runs.create_many([fine, graphwire.NewRun(input=object())])
    assert [violation.field for violation in caught.value.violations] == ["requests[1].input"]
    with pytest.raises(TypeError, match="request_id is one for all runs"):
        await client.runs.create_many([graphwire.NewRun(input=1, options={"request_id": "x"})])
    with pytest.raises(TypeError, match="one of input, resume or command; given: none of them"):
        await client.runs.create_many([graphwire.NewRun()])
    assert scripted.calls == []


async def test_delete_returns_nothing(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("DeleteRun", pb.DeleteRunResponse())
    await client.runs.delete("r")
    assert scripted.requests("DeleteRun") == [pb.DeleteRunRequest(run_id="r")]


async def test_wait_returns_the_run_its_values_and_its_pauses(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    run = wire.run("r", run_pb2.RUN_STATUS_INTERRUPTED)
    response = pb.WaitRunResponse(run=run, values=wire.payload('{"n":1}'), pauses=[wire.pause("p")])
    scripted.on("WaitRun", response)
    result = await client.runs.wait("r", raise_error=True)
    assert result.run.status is RunStatus.INTERRUPTED
    assert result.values == {"n": 1}
    assert [pause.pause_id for pause in result.pauses] == ["p"]


FAILED = wire.run("r", run_pb2.RUN_STATUS_FAILED)
FAILED.error.type, FAILED.error.message, FAILED.error.node = "ValueError", "no", "action"


async def test_a_run_that_failed_is_an_error_only_if_asked_for(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("WaitRun", pb.WaitRunResponse(run=FAILED))
    result = await client.runs.wait("r")
    assert (result.run.status, result.values, result.pauses) == (RunStatus.FAILED, None, ())
    with pytest.raises(graphwire.RunFailedError) as caught:
        await client.runs.wait("r", raise_error=True)
    error = caught.value
    assert str(error) == "run r ended as FAILED: ValueError: no"
    found = (error.run_id, error.status, error.error_type, error.node)
    assert found == ("r", "FAILED", "ValueError", "action")


@pytest.mark.parametrize("name", ["CANCELLED", "TIMED_OUT"])
async def test_a_run_that_was_stopped_is_an_error_if_asked_for(
    client: AsyncClient, scripted: ScriptedServer, name: str
) -> None:
    run = wire.run("r", run_pb2.RunStatus.Value(f"RUN_STATUS_{name}"))
    scripted.on("WaitRun", pb.WaitRunResponse(run=run))
    with pytest.raises(graphwire.RunFailedError, match=f"^run r ended as {name}$"):
        await client.runs.wait("r", raise_error=True)


async def test_wait_has_no_limit_but_its_own(connect: Connect, scripted: ScriptedServer) -> None:
    scripted.on("WaitRun", pb.WaitRunResponse(run=wire.run()))
    client = connect(scripted.target, timeout=5)
    await client.runs.wait("r")
    await client.runs.wait("r", timeout=7)
    none, own = (call.time_remaining for call in scripted.calls)
    assert none is None
    assert own == pytest.approx(7, abs=1)


async def test_wait_is_as_patient_as_a_stream(
    connect: Connect, scripted: ScriptedServer, delays: list[float]
) -> None:
    tries = [unavailable] * 9
    scripted.on("WaitRun", *tries, lambda *_: pb.WaitRunResponse(run=wire.run()))
    assert (await connect(scripted.target).runs.wait("r")).run.run_id == "r"
    assert len(delays) == 9
    assert sum(delays) > 5


async def test_wait_without_rejoining_does_not_try_again(
    connect: Connect, scripted: ScriptedServer
) -> None:
    scripted.on("WaitRun", unavailable)
    with pytest.raises(graphwire.ConnectionLostError, match="going away"):
        await connect(scripted.target, rejoin_timeout=0).runs.wait("r")
    assert len(scripted.calls) == 1


async def test_run_starts_and_waits(client: AsyncClient, scripted: ScriptedServer) -> None:
    scripted.on("CreateRun", pb.CreateRunResponse(run=wire.run("new", run_pb2.RUN_STATUS_PENDING)))
    scripted.on("WaitRun", pb.WaitRunResponse(run=wire.run("new"), values=wire.payload("[1]")))
    result = await client.runs.run("t", "agent", input={"n": 1}, interrupt_before="action")
    assert (result.run.run_id, result.values) == ("new", [1])
    assert [call.method for call in scripted.calls] == ["CreateRun", "WaitRun"]
    assert scripted.requests("WaitRun") == [pb.WaitRunRequest(run_id="new")]
    assert scripted.calls[1].time_remaining is None


async def test_run_raises_what_refuses_it_and_how_it_failed(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on(
        "CreateRun",
        refuse(graphwire.ThreadBusyError("busy", metadata={"run_id": "x"})),
        lambda *_: pb.CreateRunResponse(run=wire.run("r", run_pb2.RUN_STATUS_PENDING)),
    )
    scripted.on("WaitRun", pb.WaitRunResponse(run=FAILED))
    with pytest.raises(graphwire.ThreadBusyError, match="busy"):
        await client.runs.run("t", "agent", input={"n": 1})
    with pytest.raises(graphwire.RunFailedError, match="ValueError: no"):
        await client.runs.run("t", "agent", input={"n": 1}, raise_error=True)


async def test_the_timeout_of_run_covers_both_calls(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    def slowly(_request: Any, _context: grpc.ServicerContext) -> pb.CreateRunResponse:
        threading.Event().wait(0.3)
        return pb.CreateRunResponse(run=wire.run("r", run_pb2.RUN_STATUS_PENDING))

    scripted.on("CreateRun", slowly)
    scripted.on("WaitRun", stay_open)
    with pytest.raises(graphwire.DeadlineExceededError):
        await client.runs.run("t", "agent", input={"n": 1}, timeout=0.6)
    create, wait = (call.time_remaining or 0 for call in scripted.calls)
    assert create - wait > 0.2


async def test_an_assistant_has_a_drawing_and_schemas(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on(
        "GetAssistantGraph",
        assistants_pb2.GetAssistantGraphResponse(
            nodes=[assistants_pb2.GraphNode(node_id="a", name="a", interrupt_before=True)],
            edges=[assistants_pb2.GraphEdge(source="a", target="b", label="x", conditional=True)],
            mermaid="graph TD",
        ),
    )
    scripted.on(
        "GetAssistantSchemas",
        assistants_pb2.GetAssistantSchemasResponse(
            input=wire.payload('{"type":"object"}'), config=wire.payload('{"a":1}')
        ),
    )
    assert await client.assistants.graph("agent", depth=2) == graphwire.AssistantGraph(
        nodes=(
            graphwire.GraphNode(
                node_id="a", name="a", interrupt_before=True, interrupt_after=False
            ),
        ),
        edges=(graphwire.GraphEdge(source="a", target="b", label="x", conditional=True),),
        mermaid="graph TD",
    )
    assert scripted.requests("GetAssistantGraph")[0].depth == 2
    assert await client.assistants.schemas("agent") == graphwire.AssistantSchemas(
        input={"type": "object"}, output=None, state=None, context=None, config={"a": 1}
    )


async def test_server_info(client: AsyncClient, scripted: ScriptedServer) -> None:
    message = server_pb2.GetServerInfoResponse(
        version="1",
        langgraph_version="2",
        python_version="3",
        start_time=wire.NOON,
        limits=server_pb2.ServerLimits(
            max_request_bytes=1,
            max_payload_bytes=2,
            max_payload_depth=3,
            max_page_size=4,
            default_recursion_limit=5,
            max_recursion_limit=6,
            max_concurrent_runs=7,
            heartbeat_interval=Duration(seconds=15),
        ),
        stream_modes=[run_pb2.STREAM_MODE_VALUES],
        capabilities=["sqlite"],
    )
    scripted.on("GetServerInfo", message)
    assert await client.server.info() == graphwire.ServerInfo(
        version="1",
        langgraph_version="2",
        python_version="3",
        start_time=NOON,
        limits=graphwire.ServerLimits(
            max_request_bytes=1,
            max_payload_bytes=2,
            max_payload_depth=3,
            max_page_size=4,
            default_recursion_limit=5,
            max_recursion_limit=6,
            max_concurrent_runs=7,
            max_run_time=None,
            heartbeat_interval=timedelta(seconds=15),
        ),
        stream_modes=(StreamMode.VALUES,),
        capabilities=("sqlite",),
    )


@pytest.mark.parametrize(
    "number, status",
    [
        (0, HealthStatus.UNKNOWN),
        (1, HealthStatus.SERVING),
        (2, HealthStatus.NOT_SERVING),
        (9, HealthStatus.UNKNOWN),
    ],
)
async def test_health_asks_the_standard_service(
    client: AsyncClient, scripted: ScriptedServer, number: int, status: HealthStatus
) -> None:
    response = health_pb2.HealthCheckResponse(status=number).SerializeToString()
    scripted.on("Check", lambda *_: response)
    assert await client.health() is status
    assert await client.health("graphwire.v1.Runs") is status
    requests = map(health_pb2.HealthCheckRequest.FromString, scripted.requests("Check"))
    assert [request.service for request in requests] == ["", "graphwire.v1.Runs"]


async def test_health_of_an_unknown_service_is_not_found(
    client: AsyncClient, scripted: ScriptedServer
) -> None:
    scripted.on("Check", fail(grpc.StatusCode.NOT_FOUND, "unknown service"))
    with pytest.raises(graphwire.TransportError, match="unknown service") as caught:
        await client.health("nobody")
    assert caught.value.code == "NOT_FOUND"


async def test_health_refuses_a_name_that_is_too_long(client: AsyncClient) -> None:
    call: Any = client.health
    with pytest.raises(ValueError, match="service: the name is longer than 127 bytes"):
        await call("x" * 128)
