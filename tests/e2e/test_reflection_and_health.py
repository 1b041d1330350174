"""Reflection, health, and grpcurl: what tools see that know nothing of Graphwire."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from graphwire.v1 import assistants_pb2, runs_pb2, server_pb2, threads_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from tests.e2e.drive import DEADLINE
from tests.e2e.wire import METHODS
from tests.servers import ServerProcess

GRPCURL = Path(sys.executable).parent / "grpcurl"
SERVICES = [
    "graphwire.v1.Assistants",
    "graphwire.v1.Runs",
    "graphwire.v1.Server",
    "graphwire.v1.Threads",
]
ALL_SERVICES = [
    *SERVICES,
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
]


@pytest.fixture(params=["v1", "v1alpha"])
def reflect(request: pytest.FixtureRequest, grpc_channel: grpc.Channel) -> Any:
    """Asks the server's reflection, in either version, one question."""
    connect: Any = grpc_channel.stream_stream(
        f"/grpc.reflection.{request.param}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )

    def ask(**question: Any) -> reflection_pb2.ServerReflectionResponse:
        questions = iter([reflection_pb2.ServerReflectionRequest(**question)])
        (answer,) = connect(questions, timeout=DEADLINE)
        return answer

    return ask


def files(answer: reflection_pb2.ServerReflectionResponse) -> dict[str, FileDescriptorProto]:
    """The files in an answer, by name."""
    blobs = answer.file_descriptor_response.file_descriptor_proto
    protos = [FileDescriptorProto.FromString(blob) for blob in blobs]
    return {proto.name: proto for proto in protos}


def test_reflection_lists_every_service(reflect: Any) -> None:
    answer = reflect(list_services="")
    assert [s.name for s in answer.list_services_response.service] == ALL_SERVICES


@pytest.mark.parametrize("service", ALL_SERVICES)
def test_reflection_describes_every_service_with_all_that_its_file_needs(
    reflect: Any, service: str
) -> None:
    found = files(reflect(file_containing_symbol=service))
    package, _, name = service.rpartition(".")
    assert any(
        file.package == package and name in [s.name for s in file.service]
        for file in found.values()
    )
    assert {needed for file in found.values() for needed in file.dependency} <= set(found)


@pytest.mark.parametrize("module", [assistants_pb2, runs_pb2, server_pb2, threads_pb2])
def test_reflection_gives_the_contract_as_it_is(reflect: Any, module: Any) -> None:
    own = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(own)
    assert files(reflect(file_by_filename=own.name))[own.name] == own


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("google.rpc.ErrorInfo", "google/rpc/error_details.proto"),
        ("google.rpc.BadRequest", "google/rpc/error_details.proto"),
        ("google.rpc.Status", "google/rpc/status.proto"),
        ("graphwire.v1.ErrorReason", "graphwire/v1/error_reason.proto"),
        ("graphwire.v1.Runs.StreamRun", "graphwire/v1/runs.proto"),
    ],
)
def test_reflection_knows_what_an_error_is_made_of(reflect: Any, symbol: str, file: str) -> None:
    assert file in files(reflect(file_containing_symbol=symbol))


def test_reflection_describes_no_more_than_is_served(reflect: Any) -> None:
    answer = reflect(file_containing_symbol="google.protobuf.compiler.CodeGeneratorRequest")
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_every_service_is_serving(grpc_channel: grpc.Channel, service: str) -> None:
    health = health_pb2_grpc.HealthStub(grpc_channel)
    answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=DEADLINE)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_health_of_a_service_that_is_not_there_is_not_found(grpc_channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(grpc_channel)
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(health_pb2.HealthCheckRequest(service="graphwire.v1.Crons"), timeout=DEADLINE)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_health_can_be_watched(grpc_channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(grpc_channel)
    watch = health.Watch(
        health_pb2.HealthCheckRequest(service="graphwire.v1.Runs"), timeout=DEADLINE
    )
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


def grpcurl(
    server: ServerProcess, *arguments: str, flags: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Runs grpcurl against a server."""
    return subprocess.run(
        [GRPCURL, "-plaintext", *flags, server.address, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def test_grpcurl_lists_services_and_methods(server: ServerProcess) -> None:
    assert grpcurl(server, "list").stdout.split() == ALL_SERVICES
    listed = [line for name in SERVICES for line in grpcurl(server, "list", name).stdout.split()]
    assert sorted(listed) == sorted(path[1:].replace("/", ".") for path in METHODS)


def test_grpcurl_describes_all_that_is_listed(server: ServerProcess) -> None:
    described = grpcurl(server, "describe")
    assert (described.returncode, described.stderr) == (0, "")
    for service in ALL_SERVICES:
        assert f"{service} is a service" in described.stdout
    method = grpcurl(server, "describe", "graphwire.v1.Runs.JoinRun").stdout
    assert "returns ( stream .graphwire.v1.JoinRunResponse );" in method
    message = grpcurl(server, "describe", "graphwire.v1.Resume").stdout
    assert "map<string, .graphwire.v1.Payload> answers = 2;" in message


def test_grpcurl_runs_a_graph_with_plain_json_both_ways(server: ServerProcess) -> None:
    request = {"assistant_id": "linear", "input": {"value": {"log": ["in"]}}}
    flags = ("-H", "graphwire-payload: value", "-d", json.dumps(request))
    done = grpcurl(server, "graphwire.v1.Runs/StreamRun", flags=flags)
    assert (done.returncode, done.stderr) == (0, "")
    events = [event["event"] for event in _json_texts(done.stdout)]
    assert [e["updates"] for e in events if "updates" in e] == [
        {"node": name, "update": {"value": {"log": [name]}}} for name in "abc"
    ]
    assert events[-1]["end"]["status"] == "RUN_STATUS_SUCCEEDED"


def test_grpcurl_shows_the_details_of_an_error_as_text(server: ServerProcess) -> None:
    request = {"assistant_id": "linear", "input": {"json": '{"log": }'}}
    flags = ("-d", json.dumps(request))
    failed = grpcurl(server, "graphwire.v1.Runs/CreateRun", flags=flags)
    assert failed.returncode != 0
    assert "Code: InvalidArgument" in failed.stderr
    details = [
        json.loads(line.partition("\t")[2])
        for line in failed.stderr.splitlines()
        if "@type" in line
    ]
    assert details == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "domain": "graphwire.dev",
            "reason": "INVALID_PAYLOAD",
        },
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "field_violations": [
                {"field": "input.json", "description": "line 1, column 9: Expecting value"}
            ],
        },
    ]


def _json_texts(text: str) -> list[Any]:
    """The values of JSON texts that follow each other."""
    decoder, values, index = json.JSONDecoder(), [], 0
    while index < len(text.rstrip()):
        value, index = decoder.raw_decode(text, index)
        values.append(value)
        while index < len(text) and text[index].isspace():
            index += 1
    return values
