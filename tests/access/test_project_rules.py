"""The rules of a project's own `auth` object."""

from __future__ import annotations

from graphwire.v1 import run_pb2, threads_pb2

from tests.access.guarded import Guests
from tests.access.test_ownership import last_value
from tests.e2e.drive import payload, value
from tests.servers import ServerProcess


def test_who_calls_is_what_the_project_says(user: Guests) -> None:
    assert user("nobody", token=None).refusal("ListThreads") == (
        "UNAUTHENTICATED",
        "UNAUTHENTICATED",
        "Invalid token",
    )
    assert user("ada").call("GetServerInfo").version


def test_a_handler_marks_what_is_made_and_filters_what_is_seen(user: Guests) -> None:
    ada, bob = user("ada"), user("bob")
    thread = ada.call("CreateThread", metadata=payload({"topic": "x"})).thread
    assert value(thread.metadata) == {"topic": "x", "owner": "ada"}
    which = threads_pb2.ThreadFilter(thread_ids=[thread.thread_id])
    assert ada.call("CountThreads", filter=which).count == 1
    assert bob.call("CountThreads", filter=which).count == 0
    refusal = bob.refusal("UpdateThread", thread_id=thread.thread_id)
    assert refusal[:2] == ("NOT_FOUND", "THREAD_NOT_FOUND")
    assert bob.refusal("DeleteThread", thread_id=thread.thread_id)[1] == "THREAD_NOT_FOUND"


def test_the_most_exact_handler_decides(user: Guests) -> None:
    ada, bob = user("ada"), user("bob")
    thread_id = ada.new_thread(metadata=payload({"readers": ["bob", "cleo"]}))
    assert bob.call("GetThread", thread_id=thread_id).thread.thread_id == thread_id
    # `readers` has not the owner: so say the rules.
    assert ada.refusal("GetThread", thread_id=thread_id)[1] == "THREAD_NOT_FOUND"
    assert bob.refusal("UpdateThreadState", thread_id=thread_id)[1] == "THREAD_NOT_FOUND"


def test_whom_the_rules_refuse_may_not(user: Guests) -> None:
    eve = user("eve")
    assert eve.refusal("CreateThread")[:2] == ("PERMISSION_DENIED", "PERMISSION_DENIED")
    assert eve.refusal("GetThread", thread_id="t") == (
        "PERMISSION_DENIED",
        "PERMISSION_DENIED",
        "not for you",
    )


def test_a_run_and_the_thread_that_it_makes_are_marked(user: Guests) -> None:
    ada, bob = user("ada"), user("bob")
    events = ada.run(
        "made-by-a-run", if_not_exists=run_pb2.IF_NOT_EXISTS_CREATE, metadata=payload({"n": 1})
    )
    made = ada.call("ListThreads", filter={"thread_ids": ["made-by-a-run"]}).threads
    assert [value(thread.metadata) for thread in made] == [{"n": 1, "owner": "ada"}]
    assert events[-1].end.status == run_pb2.RUN_STATUS_SUCCEEDED
    assert last_value(events) == {
        "identity": "ada",
        "same": [True, True],
        "permissions": ["use"],
        "known": ["display_name", "identity", "is_authenticated", "permissions", "secret"],
    }
    fields = {"thread_id": "made-by-a-run", "assistant_id": "two"}
    refusal = bob.refusal("StreamRun", **fields, input=payload({"log": []}))
    assert refusal[:2] == ("NOT_FOUND", "THREAD_NOT_FOUND")


def test_assistants_are_marked_and_filtered_and_graphs_are_for_all(user: Guests) -> None:
    ada, bob = user("ada"), user("bob")
    made = ada.call("CreateAssistant", graph_id="two", name="ada's").assistant
    assert value(made.metadata) == {"owner": "ada"}
    there = {a.assistant_id for a in bob.call("ListAssistants").assistants}
    assert there == {"two"}
    code, reason, text = bob.refusal("GetAssistant", assistant_id=made.assistant_id)
    assert (code, reason) == ("NOT_FOUND", "ASSISTANT_NOT_FOUND")
    assert text == f"there is no assistant '{made.assistant_id}'; there are: two"
    fields = {"assistant_id": made.assistant_id, "input": payload({"log": []})}
    assert bob.refusal("CreateRun", **fields)[1] == "ASSISTANT_NOT_FOUND"
    assert bob.call("GetAssistant", assistant_id="two").assistant.assistant_id == "two"
    refusal = bob.refusal("UpdateAssistant", assistant_id="two", name="x")
    assert refusal[:2] == ("PERMISSION_DENIED", "PERMISSION_DENIED")


def test_what_the_graph_is_told_is_in_no_event_and_no_log(
    user: Guests, ruled: ServerProcess
) -> None:
    events = user("ada").run()
    assert "ada's own key" not in "".join(str(event) for event in events)
    assert "ada's own key" not in ruled.log
    assert "ada-token" not in ruled.log
