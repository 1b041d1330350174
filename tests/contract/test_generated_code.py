"""The generated code that is committed is that of protos/."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import graphwire.v1
import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

PACKAGE = Path(graphwire.v1.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*_pb2.py"))


def test_every_file_of_the_contract_has_its_module(protos: dict[str, FileDescriptorProto]) -> None:
    assert {f"graphwire/v1/{name.removesuffix('_pb2')}.proto" for name in MODULES} == set(protos)


@pytest.mark.parametrize("name", MODULES)
def test_a_committed_module_is_that_of_its_file(
    protos: dict[str, FileDescriptorProto], name: str
) -> None:
    module: Any = importlib.import_module(f"graphwire.v1.{name}")
    committed = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(committed)
    current = FileDescriptorProto()
    current.CopyFrom(protos[committed.name])
    current.ClearField("source_code_info")
    for message in current.message_type:
        _without_json_names(message)
    assert committed == current


def test_every_rpc_has_its_stub_and_its_servicer(protos: dict[str, FileDescriptorProto]) -> None:
    services = [(file.name, service) for file in protos.values() for service in file.service]
    assert len(services) == 4
    for name, service in services:
        stem = name.removeprefix("graphwire/v1/").removesuffix(".proto")
        grpc_module: Any = importlib.import_module(f"graphwire.v1.{stem}_pb2_grpc")
        servicer = getattr(grpc_module, f"{service.name}Servicer")
        own = {key for key in vars(servicer) if not key.startswith("_")}
        assert own == {rpc.name for rpc in service.method}


def test_every_module_is_typed() -> None:
    assert sorted(path.stem for path in PACKAGE.glob("*_pb2.pyi")) == MODULES
    stubs = {path.stem for path in PACKAGE.glob("*_pb2_grpc.py")}
    assert {path.stem for path in PACKAGE.glob("*_pb2_grpc.pyi")} == stubs


def _without_json_names(message: DescriptorProto) -> None:
    """Removes what protoc does not compile in: the default name of each field in JSON."""
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        _without_json_names(nested)
