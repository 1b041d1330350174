"""Protobuf descriptors as they are needed to build pools of one's own."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto


def file_protos(files: Iterable[FileDescriptor]) -> list[FileDescriptorProto]:
    """Returns files and those they import as messages, each once and after what it imports."""
    protos = []
    for file in _with_dependencies(files).values():
        proto = FileDescriptorProto()
        file.CopyToProto(proto)
        protos.append(proto)
    return protos


def _with_dependencies(files: Iterable[FileDescriptor]) -> dict[str, FileDescriptor]:
    found: dict[str, FileDescriptor] = {}
    for file in files:
        found |= _with_dependencies(file.dependencies) | {file.name: file}
    return found
