"""What those may do with whom something is shared, and what they must not."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Any

import grpc
import pytest
from graphwire.v1 import (
    assistants_pb2,
    run_event_pb2,
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.access.guarded import PROJECT, Guest, Guests, guests_of, serving
from tests.access.test_ownership import last_value
from tests.e2e.drive import DEADLINE, payload, refusal_of
from tests.servers import ServerProcess

DELAYED: dict[str, Any] = {
    "assistant_id": "two",
    "input": payload({"log": []}),
    "start_delay": {"seconds": 60},
}


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of a project whose rules share."""
    with serving(tmp_path_factory.mktemp("sharing"), PROJECT / "sharing.json") as process:
        yield process


@pytest.fixture
def member(sharing: ServerProcess) -> Iterator[Guests]:
    """Makes callers, by name."""
    with guests_of(sharing) as guests:
        yield guests


def shared_with(owner: Guest, *readers: str) -> str:
    return owner.new_thread(metadata=payload({"readers": list(readers)}))


def test_who_may_only_read_a_run_does_not_cancel_it_by_leaving(member: Guests) -> None:
    ada, bob = member("ada"), member("bob")
    thread_id = shared_with(ada, "bob")
    run_id = ada.call("CreateRun", thread_id=thread_id, **DELAYED).run.run_id
    assert bob.refusal("CancelRun", run_id=run_id)[1] == "RUN_NOT_FOUND"
    leaving = runs_pb2.JoinRunRequest(run_id=run_id, on_disconnect=run_pb2.ON_DISCONNECT_CANCEL)
    assert bob.refusal("JoinRun", leaving)[:2] == ("NOT_FOUND", "RUN_NOT_FOUND")
    waiting = runs_pb2.WaitRunRequest(run_id=run_id, on_disconnect=run_pb2.ON_DISCONNECT_CANCEL)
    assert bob.refusal("WaitRun", waiting)[:2] == ("NOT_FOUND", "RUN_NOT_FOUND")
    joined = runs_pb2_grpc.RunsStub(bob.channel).JoinRun(
        runs_pb2.JoinRunRequest(run_id=run_id), metadata=tuple(bob.metadata), timeout=DEADLINE
    )
    assert next(joined).event.HasField("metadata")
    joined.cancel()
    ada.call("CancelRun", run_id=run_id)


def lost(call: Iterable[Any]) -> tuple[str, str, str]:
    """Reads a stream to its end, which must be a refusal."""
    with pytest.raises(grpc.RpcError) as raised:
        list(call)
    refusal = refusal_of(raised.value)
    return refusal.code, refusal.reason, refusal.text


def test_who_may_not_read_a_thread_any_more_follows_it_no_further(member: Guests) -> None:
    ada, bob = member("ada"), member("bob")
    thread_id = shared_with(ada, "bob")
    starting = runs_pb2_grpc.RunsStub(ada.channel).StreamRun(
        runs_pb2.StreamRunRequest(
            thread_id=thread_id, on_disconnect=run_pb2.ON_DISCONNECT_CANCEL, **DELAYED
        ),
        metadata=tuple(ada.metadata),
        timeout=DEADLINE,
    )
    run_id = next(starting).event.run_id
    runs, his = runs_pb2_grpc.RunsStub(bob.channel), tuple(bob.metadata)
    run = runs.JoinRun(runs_pb2.JoinRunRequest(run_id=run_id), metadata=his, timeout=DEADLINE)
    assert next(run).event.HasField("metadata")
    thread = threads_pb2_grpc.ThreadsStub(bob.channel).JoinThread(
        threads_pb2.JoinThreadRequest(thread_id=thread_id), metadata=his, timeout=DEADLINE
    )
    assert next(thread).cursor
    waiting = runs.WaitRun.future(
        runs_pb2.WaitRunRequest(run_id=run_id), metadata=his, timeout=DEADLINE
    )
    fields = {"thread_id": thread_id, "metadata": payload({"readers": ["ada", "cleo"]})}
    ada.call("UpdateThread", **fields)
    not_there = ("NOT_FOUND", "RUN_NOT_FOUND", f"there is no run {run_id}")
    assert lost(run) == not_there
    assert lost(thread) == ("NOT_FOUND", "THREAD_NOT_FOUND", f"there is no thread {thread_id}")
    with pytest.raises(grpc.RpcError) as raised:
        waiting.result()
    assert refusal_of(raised.value).reason == "RUN_NOT_FOUND"
    # Whoever started it loses it with the thread; that is not to leave it.
    ada.call("UpdateThread", thread_id=thread_id, metadata=payload({"owner": "bob"}))
    assert lost(starting) == not_there
    assert ada.call("GetRun", run_id=run_id).run.status == run_pb2.RUN_STATUS_PENDING
    bob.call("CancelRun", run_id=run_id)


def test_a_search_finds_what_a_handler_wrote_into_it(member: Guests) -> None:
    ada, bob = member("ada"), member("bob")
    thread_id = ada.new_thread()
    ada.run(thread_id, interrupt_before=["second"])
    made = ada.call("CreateAssistant", graph_id="two", name="ada's").assistant.assistant_id
    for caller, seen in ((ada, True), (bob, False)):
        found = caller.call("ListThreads", page_size=1000).threads
        assert (thread_id in [thread.thread_id for thread in found]) is seen
        which = threads_pb2.ThreadFilter(thread_ids=[thread_id])
        assert caller.call("CountThreads", filter=which).count == seen
        pauses = caller.call("ListPauses", filter={"thread_id": thread_id}).pauses
        assert len(pauses) == seen
        # Graphs are for all.
        there = {each.assistant_id for each in caller.call("ListAssistants").assistants}
        assert ("two" in there, made in there) == (True, seen)
        named = assistants_pb2.AssistantFilter(name="ada's")
        assert bool(caller.call("CountAssistants", filter=named).count) is seen
    # Whose are asked for does not matter.
    asked = threads_pb2.ThreadFilter(metadata=payload({"owner": "ada"}))
    assert bob.call("CountThreads", filter=asked).count == 0


def test_a_watcher_hears_what_a_search_would_find(member: Guests) -> None:
    ada, bob = member("ada"), member("bob")
    watching = bob.watch()
    next(watching)
    hers, his = ada.new_thread(), bob.new_thread()
    ada.run(hers)
    bob.run(his)
    assert next(watching).thread_id == his
    watching.cancel()


def test_filters_of_or_and_and_hold_in_every_way_to_a_thread(member: Guests) -> None:
    name = f"auditor-{uuid.uuid4()}"
    ada, auditor, other = member("ada"), member(name), member(f"{name}-2")
    watching = auditor.watch()
    next(watching)
    marks: tuple[dict[str, object], ...] = (
        {"audited": True, "auditors": [name]},
        {"audited": False, "auditors": [name]},
        {"audited": True, "auditors": ["auditor-x"]},
        {},
    )
    shown, *hidden = (ada.new_thread(metadata=payload(mark)) for mark in marks)
    own = auditor.new_thread()
    for thread_id in (shown, *hidden, own):
        owner = auditor if thread_id == own else ada
        owner.run(thread_id, interrupt_before=["second"])
    heard = takewhile(lambda change: change.thread_id != own, watching)
    assert {change.thread_id for change in heard} == {shown}
    watching.cancel()
    listed = auditor.call("ListThreads", page_size=1000).threads
    assert {thread.thread_id for thread in listed} == {shown, own}
    assert auditor.call("CountThreads").count == 2
    assert other.call("CountThreads").count == 0
    pauses = {pause.thread_id: pause for pause in auditor.call("ListPauses").pauses}
    assert pauses.keys() == {shown, own}
    for thread_id in hidden:
        for rpc in ("GetThread", "GetThreadState", "ListRuns", "DeleteThread"):
            refused = auditor.refusal(rpc, thread_id=thread_id)
            assert refused[:2] == ("NOT_FOUND", "THREAD_NOT_FOUND"), rpc
        edit = {"thread_id": thread_id, "values": payload({"log": ["x"]})}
        assert auditor.refusal("UpdateThreadState", **edit)[1] == "THREAD_NOT_FOUND"
        assert auditor.refusal("CreateRun", thread_id=thread_id, **DELAYED)[1] == "THREAD_NOT_FOUND"
    assert auditor.call("GetThread", thread_id=shown).thread.thread_id == shown
    auditor.call("UpdateThread", thread_id=shown, metadata=payload({"seen": True}))
    auditor.run(shown, assistant_id="", input=None, resume={})
    auditor.call("DeleteThread", thread_id=shown)


def test_a_filter_of_one_choice_lets_nobody_pass_and_is_told_of(
    member: Guests, sharing: ServerProcess
) -> None:
    nora = member("nora")
    thread_id = nora.new_thread()
    assert nora.refusal("GetThread", thread_id=thread_id) == (
        "INTERNAL",
        "INTERNAL",
        "the project's handler for threads.read returned what makes no sense; the server's log "
        "says more",
    )
    (line,) = (line for line in sharing.log.splitlines() if "auth_result_wrong" in line)
    assert "shared (sharing.py:" in line
    assert 'has for "$or" a list of 1, not of two filters or more' in line.replace("\\", "")


def test_what_is_there_is_returned_instead_of_made_to_those_who_may_read_it(
    member: Guests,
) -> None:
    ada, bob, name = member("ada"), member("bob"), f"n-{uuid.uuid4()}"
    ada.call("CreateThread", thread_id=name, metadata=payload({"readers": ["cleo"]}))
    ada.call("CreateAssistant", assistant_id=name, graph_id="two")
    thread = {"thread_id": name, "if_exists": threads_pb2.IF_EXISTS_RETURN}
    dora = member("dora")
    for stranger in (bob, dora):
        refusal = stranger.refusal("CreateThread", **thread)
        assert refusal[:2] == ("ALREADY_EXISTS", "THREAD_EXISTS")
    assert member("cleo").call("CreateThread", **thread).thread.thread_id == name
    assistant = {
        "assistant_id": name,
        "graph_id": "two",
        "if_exists": assistants_pb2.IF_ASSISTANT_EXISTS_RETURN,
    }
    for stranger in (bob, dora):
        assert stranger.refusal("CreateAssistant", **assistant)[1] == "ASSISTANT_EXISTS"
    assert ada.call("CreateAssistant", **assistant).assistant.assistant_id == name


def test_an_assistant_in_use_names_no_thread_of_somebody_else(member: Guests) -> None:
    ada, bob = member("ada"), member("bob")
    shared = payload({"readers": ["ada"]})
    made = bob.call("CreateAssistant", graph_id="two", metadata=shared).assistant.assistant_id
    hers = ada.new_thread()
    ada.run(hers, assistant_id=made, interrupt_before=["second"])
    assert bob.refusal("DeleteAssistant", assistant_id=made) == (
        "FAILED_PRECONDITION",
        "ASSISTANT_IN_USE",
        f"threads of others use assistant '{made}': a run of theirs is active, or a pause is "
        "open; try again when they are through",
    )
    his = bob.new_thread()
    bob.run(his, assistant_id=made, interrupt_before=["second"])
    text = bob.refusal("DeleteAssistant", assistant_id=made)[2]
    assert his in text
    assert hers not in text


def test_an_assistant_that_is_hidden_is_none_to_begin_a_state_with(member: Guests) -> None:
    ada, bob = member("ada"), member("bob")
    hidden = ada.call(
        "CreateAssistant",
        graph_id="two",
        config={"configurable": payload({"prompt": "ada's secret"})},
    ).assistant.assistant_id
    step = {"updates": [{"as_node": "first", "values": payload({"log": ["x"]})}]}
    not_there = f"there is no assistant '{hidden}'; there are: two"
    for fields in ({}, {"supersteps": [step]}):
        code, reason, text = bob.refusal("CreateThread", assistant_id=hidden, **fields)
        assert (code, reason, text) == ("NOT_FOUND", "ASSISTANT_NOT_FOUND", not_there)
    edit = {"thread_id": bob.new_thread(), "values": payload({"log": ["x"]})}
    refused = bob.refusal("UpdateThreadState", assistant_id=hidden, **edit)
    assert refused == ("NOT_FOUND", "ASSISTANT_NOT_FOUND", not_there)
    assert ada.new_thread(assistant_id=hidden)


def test_no_error_lists_assistants_that_a_search_would_hide(member: Guests) -> None:
    ada, bob = member("ada"), member("bob")
    hidden = ada.call("CreateAssistant", graph_id="two").assistant.assistant_id
    gone = bob.call("CreateAssistant", graph_id="two").assistant.assistant_id
    step = {"updates": [{"as_node": "first", "values": payload({"log": ["x"]})}]}
    thread_id = bob.new_thread(assistant_id=gone, supersteps=[step])
    bob.call("UpdateThreadState", thread_id=thread_id, as_node="__end__")
    bob.call("DeleteAssistant", assistant_id=gone)
    start = {"thread_id": thread_id, "resume": {}}
    for refusal in (
        bob.refusal("StreamRun", **start),
        bob.refusal("GetAssistant", assistant_id="missing"),
        bob.refusal("StreamRun", assistant_id="missing", input=payload({})),
    ):
        assert refusal[1] == "ASSISTANT_NOT_FOUND"
        assert hidden not in refusal[2]


def test_a_copy_goes_on_as_who_made_it_also_by_itself(member: Guests) -> None:
    ada, bob = member("ada"), member("bob")
    thread_id = shared_with(ada, "bob")
    timed = {
        "node": "second",
        "expires_after": {"seconds": 1},
        "on_expiry": "ON_EXPIRY_RESUME",
    }
    ada.run(thread_id, breakpoints=[timed])
    copy_id = bob.call("CopyThread", thread_id=thread_id).thread.thread_id
    # His now, by the rules; what the edit leaves waits under the same breakpoint.
    edit = {"thread_id": copy_id, "values": payload({"log": ["bob's"]}), "as_node": "first"}
    bob.call("UpdateThreadState", **edit)
    events: list[run_event_pb2.RunEvent] = []
    joined = threads_pb2_grpc.ThreadsStub(bob.channel).JoinThread(
        threads_pb2.JoinThreadRequest(thread_id=copy_id),
        metadata=tuple(bob.metadata),
        timeout=DEADLINE,
    )
    for response in joined:
        events.append(response.event)
        if response.event.HasField("end"):
            break
    joined.cancel()
    assert last_value(events)["identity"] == "bob"  # type: ignore[index]


def test_checkpoints_do_not_name_the_caller(member: Guests) -> None:
    ada = member("ada")
    thread_id = ada.new_thread()
    ada.run(thread_id)
    states = ada.call("ListThreadHistory", thread_id=thread_id).states
    assert states
    assert "langgraph_auth" not in "".join(map(str, states))


def test_who_goes_on_with_a_thread_must_be_allowed_its_assistant_too(member: Guests) -> None:
    ada, bob, auditor = member("ada"), member("bob"), member("auditor-3")
    assistant_id = ada.call("CreateAssistant", graph_id="two").assistant.assistant_id
    thread_id = ada.new_thread(
        metadata=payload({"audited": True, "auditors": ["auditor-3"], "readers": ["bob"]})
    )
    ada.run(
        thread_id,
        assistant_id=assistant_id,
        interrupt_before=["second"],
        metadata=payload({"audited": True, "auditors": ["auditor-3"]}),
    )
    resume = {"thread_id": thread_id, "resume": run_pb2.Resume()}
    # He may not know what runs on a thread that he may not run.
    refusal = bob.refusal("CreateRun", **resume)
    assert refusal == ("NOT_FOUND", "THREAD_NOT_FOUND", f"there is no thread {thread_id}")
    assert auditor.refusal("CreateRun", **resume)[:2] == ("NOT_FOUND", "ASSISTANT_NOT_FOUND")
    assert ada.call("CreateRun", **resume).run.assistant_id == assistant_id
