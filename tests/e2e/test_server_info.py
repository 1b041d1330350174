"""GetServerInfo: versions, limits, capabilities."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from graphwire.v1 import run_pb2, runs_pb2, runs_pb2_grpc, server_pb2, server_pb2_grpc

from tests.e2e.drive import DEADLINE, payload, refused
from tests.servers import ServerProcess


def info(stub: server_pb2_grpc.ServerStub) -> server_pb2.GetServerInfoResponse:
    """What a server says of itself."""
    return stub.GetServerInfo(server_pb2.GetServerInfoRequest(), timeout=DEADLINE)


def test_a_server_says_what_it_is(server_stub: server_pb2_grpc.ServerStub) -> None:
    said = info(server_stub)
    assert said.version == version("graphwire")
    assert said.langgraph_version == version("langgraph")
    assert said.python_version == platform.python_version()
    assert 0 < said.start_time.ToSeconds() <= time.time()
    assert info(server_stub) == said


def test_a_server_names_every_stream_mode_and_its_features(
    server_stub: server_pb2_grpc.ServerStub,
) -> None:
    said = info(server_stub)
    assert list(said.stream_modes) == [mode for mode in run_pb2.StreamMode.values() if mode]
    assert list(said.capabilities) == ["enqueue", "sqlite", "start_delay", "stateless_runs"]


#: Limits that no setting changes.
FIXED: dict[str, Any] = {
    "max_id_length": 128,
    "max_label_length": 256,
    "max_breakpoints": 100,
    "max_run_breakpoints": 1000,
    "max_tags": 100,
    "max_batch_size": 100,
    "max_ids": 1000,
    "max_start_delay": Duration(seconds=86_400),
}


def test_a_server_tells_its_limits(server_stub: server_pb2_grpc.ServerStub) -> None:
    assert info(server_stub).limits == server_pb2.ServerLimits(
        max_request_bytes=16 * 1024 * 1024,
        max_payload_bytes=4 * 1024 * 1024,
        max_payload_depth=100,
        max_page_size=1000,
        default_recursion_limit=25,
        max_recursion_limit=1000,
        max_concurrent_runs=64,
        heartbeat_interval=Duration(seconds=15),
        max_queued_runs=100_000,
        max_queued_runs_per_principal=10_000,
        max_concurrent_calls=1000,
        max_streams=10_000,
        max_streams_per_principal=1000,
        max_state_bytes=64 * 1024 * 1024,
        max_event_bytes=4 * 1024 * 1024 - 64 * 1024,
        max_response_bytes=4 * 1024 * 1024 - 64 * 1024,
        max_metadata_bytes=64 * 1024,
        max_metadata_keys=128,
        max_run_attempts=5,
        **FIXED,
    )


def test_the_limits_that_are_told_are_those_that_are_set_and_kept(
    own_server: Callable[..., ServerProcess],
) -> None:
    settings = {
        "MAX_REQUEST_BYTES": "4096",
        "MAX_PAYLOAD_BYTES": "1024",
        "MAX_PAYLOAD_DEPTH": "3",
        "DEFAULT_RECURSION_LIMIT": "7",
        "MAX_RECURSION_LIMIT": "8",
        "MAX_CONCURRENT_RUNS": "2",
        "MAX_RUN_SECONDS": "90.5",
        "HEARTBEAT_SECONDS": "0.5",
        "MAX_PAGE_SIZE": "9",
        "MAX_RUN_ATTEMPTS": "10",
        "MAX_CONCURRENT_RUNS_PER_PRINCIPAL": "11",
        "MAX_QUEUED_RUNS": "12",
        "MAX_QUEUED_RUNS_PER_PRINCIPAL": "13",
        "MAX_CONCURRENT_CALLS": "14",
        "MAX_STREAMS": "15",
        "MAX_STREAMS_PER_PRINCIPAL": "16",
        "MAX_STATE_BYTES": "17000",
        "MAX_EVENT_BYTES": "18000",
        "MAX_RESPONSE_BYTES": "18500",
        "MAX_METADATA_BYTES": "19",
        "MAX_METADATA_KEYS": "20",
    }
    server = own_server(env={f"GRAPHWIRE_{name}": text for name, text in settings.items()})
    with grpc.insecure_channel(server.address) as channel:
        assert info(server_pb2_grpc.ServerStub(channel)).limits == server_pb2.ServerLimits(
            max_request_bytes=4096,
            max_payload_bytes=1024,
            max_payload_depth=3,
            max_page_size=9,
            default_recursion_limit=7,
            max_recursion_limit=8,
            max_concurrent_runs=2,
            max_run_time=Duration(seconds=90, nanos=500_000_000),
            heartbeat_interval=Duration(nanos=500_000_000),
            max_run_attempts=10,
            max_concurrent_runs_per_principal=11,
            max_queued_runs=12,
            max_queued_runs_per_principal=13,
            max_concurrent_calls=14,
            max_streams=15,
            max_streams_per_principal=16,
            max_state_bytes=17_000,
            max_event_bytes=18_000,
            max_response_bytes=18_500,
            max_metadata_bytes=19,
            max_metadata_keys=20,
            **FIXED,
        )
        runs = runs_pb2_grpc.RunsStub(channel)

        def create(value: object, limit: int = 0) -> run_pb2.Run:
            config = run_pb2.RunConfig(recursion_limit=limit)
            request = runs_pb2.CreateRunRequest(
                assistant_id="echo", input=payload(value), config=config
            )
            return runs.CreateRun(request, timeout=DEADLINE).run

        assert create("x" * 1022).run_id
        with refused("INVALID_ARGUMENT", "INVALID_PAYLOAD", "input.json"):
            create("x" * 1023)
        assert create([[[1]]]).run_id
        with refused("INVALID_ARGUMENT", "INVALID_PAYLOAD", "input.json"):
            create([[[[1]]]])
        assert create(1, limit=8).run_id
        with refused("OUT_OF_RANGE", "BEYOND_LIMIT", "config.recursion_limit") as refusal:
            create(1, limit=9)
        assert "is 9; this server allows 1 to 8 (max_recursion_limit)" in refusal.text
        with refused("RESOURCE_EXHAUSTED", ""):
            create("x" * 4096)
