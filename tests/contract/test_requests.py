"""Requests and responses: alike where they should be, and each RPC decided on."""

from __future__ import annotations

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto
from graphwire.v1 import runs_pb2
from graphwire_server.rpc.interceptor import MUTATING

from tests.e2e.wire import METHODS, PATHS

#: The RPCs that change nothing: they ignore fields that they do not know. One that changes
#: something belongs in `interceptor.MUTATING`, where they are refused.
READS = {
    "ListAssistants",
    "GetAssistant",
    "GetAssistantGraph",
    "GetAssistantSchemas",
    "CountAssistants",
    "ListAssistantVersions",
    "GetServerInfo",
    "GetThread",
    "ListThreads",
    "CountThreads",
    "GetThreadState",
    "GetThreadStorage",
    "ListThreadHistory",
    "JoinThread",
    "WatchThreads",
    "ListPauses",
    "GetPause",
    "WaitRun",
    "JoinRun",
    "GetRun",
    "ListRuns",
    "ListRunBreakpoints",
}


def test_every_rpc_is_either_a_read_or_refuses_fields_that_it_does_not_know() -> None:
    mutating = {path.rpartition("/")[2] for path in MUTATING}
    assert set(METHODS) >= MUTATING
    assert mutating & READS == set()
    assert mutating | READS == set(PATHS)


def test_the_names_of_rpcs_are_used_once() -> None:
    assert len(PATHS) == len(METHODS)


def test_every_rpc_has_a_request_and_a_response_of_its_own() -> None:
    for method in METHODS.values():
        assert method.input_type.name == f"{method.name}Request"
        assert method.output_type.name == f"{method.name}Response"


def test_a_run_is_created_with_the_same_fields_as_it_is_streamed() -> None:
    streamed, created = DescriptorProto(), DescriptorProto()
    runs_pb2.StreamRunRequest.DESCRIPTOR.CopyToProto(streamed)
    runs_pb2.CreateRunRequest.DESCRIPTOR.CopyToProto(created)
    shared = [field for field in streamed.field if field.name != "on_disconnect"]
    assert len(shared) == len(streamed.field) - 1
    assert list(created.field) == shared
    assert created.oneof_decl == streamed.oneof_decl


def test_everything_that_makes_or_changes_something_can_be_repeated() -> None:
    # Deleting and cancelling twice does no harm.
    harmless = {"DeleteThread", "DeleteRun", "CancelRun", "CancelRuns", "DeleteAssistant"}
    harmless |= {"SetLatestAssistantVersion", "PruneThreads", "PauseRun"}
    harmless |= {"RemoveRunBreakpoints"}
    repeatable = {
        method.name
        for method in METHODS.values()
        if "request_id" in method.input_type.fields_by_name
    }
    assert repeatable == set(PATHS) - READS - harmless


def test_every_list_is_paged_in_the_same_way() -> None:
    for method in METHODS.values():
        # A run has few breakpoints.
        if method.name.startswith("List") and method.name != "ListRunBreakpoints":
            request, response = method.input_type.fields_by_name, method.output_type.fields_by_name
            assert request["page_size"].type == FieldDescriptor.TYPE_INT32
            assert request["page_token"].type == FieldDescriptor.TYPE_STRING
            assert response["next_page_token"].type == FieldDescriptor.TYPE_STRING
            assert response["next_page_token"].number == 2
