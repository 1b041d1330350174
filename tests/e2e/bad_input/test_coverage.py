"""No field without a decision: each has a test that it is refused, or can't be wrong."""

from __future__ import annotations

from google.protobuf.descriptor import FieldDescriptor

from tests.e2e.bad_input.case import paths
from tests.e2e.bad_input.test_everywhere import ENUMS, PAYLOADS
from tests.e2e.bad_input.test_refusals import CASES
from tests.e2e.wire import METHODS

#: Fields that can have any value, each with the reason why.
NOTHING_CAN_BE_WRONG = {
    "StreamRunRequest.clear_breakpoints": "either is allowed, for any start",
    "StreamRunRequest.stream_subgraphs": "either is allowed",
    "StreamRunRequest.config": "its fields have their own tests; empty is allowed",
    "CreateRunRequest.clear_breakpoints": "as in StreamRunRequest",
    "CreateRunRequest.stream_subgraphs": "as in StreamRunRequest",
    "CreateRunRequest.config": "as in StreamRunRequest",
    "CancelRunRequest.abandon": "either is allowed",
    "CancelRunRequest.wait": "either is allowed",
    "CancelRunsRequest.abandon": "either is allowed",
    "GetThreadStateRequest.subgraphs": "either is allowed",
    "ListThreadsRequest.filter": "its fields have their own tests; empty is allowed",
    "CountThreadsRequest.filter": "as in ListThreadsRequest",
    "UpdateThreadRequest.breakpoints": "its breakpoints have their own tests; none is allowed",
    "WatchThreadsRequest.filter": "as in ListThreadsRequest",
    "ListPausesRequest.filter": "as in ListThreadsRequest",
    "PauseFilter.assistant_id": "as in ThreadFilter",
    "PauseFilter.node": "as for an assistant",
    "PauseFilter.label": "as for an assistant",
    "PauseFilter.expires_before": "what JSON can't write is tried in test_inbox.py",
    "PauseFilter.tool_name": "as for an assistant",
    "ListAssistantsRequest.filter": "as in ListThreadsRequest",
    "ListAssistantsRequest.descending": "either is allowed",
    "CountAssistantsRequest.filter": "as in ListThreadsRequest",
    "AssistantFilter.graph_id": "of a graph that is not there there are no assistants",
    "CreateAssistantRequest.config": "as in StreamRunRequest",
    "UpdateAssistantRequest.config": "as in StreamRunRequest",
    "UpdateAssistantRequest.breakpoints": "what is in it has its own tests; empty is allowed",
    "DeleteAssistantRequest.delete_threads": "either is allowed",
    "ThreadFilter.assistant_id": "of an assistant that is not there there are no threads",
    "ToolCallReview.approve": "there is nothing in it",
    "ToolCallReview.edit": "its fields have their own tests",
    "ToolCallReview.reject": "its field has its own test; empty is allowed",
    "ToolCallReview.respond": "its field has its own test",
}

REVIEWS = (".review", ".reviews")


def _asked() -> dict[tuple[str, str], FieldDescriptor]:
    """Every field of every request, by RPC and path."""
    return {
        (method.name, path): field
        for method in METHODS.values()
        for path, field in paths(method.input_type)
    }


def _name(field: FieldDescriptor) -> str:
    assert field.containing_type is not None
    return f"{field.containing_type.name}.{field.name}"


def _covered() -> set[tuple[str, str]]:
    covered = {(bad.rpc, path) for bad in CASES for path in bad.covered}
    covered.update(ENUMS)
    for rpc, path in PAYLOADS:
        covered.update([(rpc, path), (rpc, f"{path}.json"), (rpc, f"{path}.value")])
    return covered


def test_every_field_of_every_request_has_a_test_that_it_is_refused_or_cannot_be_wrong() -> None:
    covered = _covered()
    undecided = [
        f"{rpc}: {path}"
        for (rpc, path), field in _asked().items()
        if (rpc, path) not in covered and _name(field) not in NOTHING_CAN_BE_WRONG
    ]
    assert undecided == []


def test_nothing_is_said_of_fields_that_are_not_there() -> None:
    asked = _asked()
    names = {_name(field) for field in asked.values()}
    assert set(NOTHING_CAN_BE_WRONG) - names == set()
    # Oneofs, which are no fields of their own.
    resumes = [f"{start}{review}" for start in ("resume", "command.resume") for review in REVIEWS]
    oneofs = {"start", *(f"{review}.tool_calls.decision" for review in resumes)}
    # Those of a batch are those of its requests.
    found = {path.removeprefix("requests.") for rpc, path in _covered() - set(asked)}
    assert found == oneofs


def test_what_cannot_be_wrong_has_no_test_that_it_is() -> None:
    asked = _asked()
    names = {_name(asked[key]) for key in _covered() if key in asked}
    assert names & set(NOTHING_CAN_BE_WRONG) == set()
