"""The contract as buf reads it, comments included."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).parents[2]
BUF = Path(sys.executable).parent / "buf"


@pytest.fixture(scope="session")
def protos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FileDescriptorProto]:
    """The files below protos/, by name."""
    target = tmp_path_factory.mktemp("buf") / "contract.binpb"
    build = ["build", "--as-file-descriptor-set", "--output", str(target)]
    subprocess.run([BUF, *build], cwd=ROOT, check=True, timeout=60)
    files = FileDescriptorSet.FromString(target.read_bytes()).file
    return {file.name: file for file in files if file.package.startswith("graphwire.")}


@pytest.fixture(scope="session")
def comments(protos: dict[str, FileDescriptorProto]) -> dict[str, str]:
    """The comment of each RPC by its name, and of each enum value by its own, on one line."""
    found: dict[str, str] = {}
    for file in protos.values():
        # The places of what is looked for, by the numbers of the fields of a descriptor.
        names: dict[tuple[int, ...], str] = {}
        for s, service in enumerate(file.service):
            names |= {(6, s, 2, m): rpc.name for m, rpc in enumerate(service.method)}
        for e, enum in enumerate(file.enum_type):
            names |= {(5, e, 2, v): value.name for v, value in enumerate(enum.value)}
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            if name is not None:
                assert name not in found
                found[name] = " ".join(location.leading_comments.split())
    return found
