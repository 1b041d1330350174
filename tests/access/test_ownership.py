"""Whose threads are whose, with service tokens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from graphwire.v1 import run_pb2, runs_pb2, threads_pb2

from tests.access.guarded import PROJECT, Guest, Guests, write_tokens
from tests.e2e.drive import payload, value
from tests.servers import ServerProcess

DELETED = threads_pb2.THREAD_CHANGE_KIND_PAUSES_DELETED


def last_value(events: list) -> object:  # type: ignore[type-arg]
    """What the last node has noted."""
    updates = [event.updates for event in events if event.HasField("updates")]
    return value(updates[-1].update)["log"][0]


def test_the_run_and_the_answer_name_their_principals(guest: Guests) -> None:
    ada, boss = guest("ada"), guest("boss")
    thread_id = ada.new_thread()
    first = ada.run(thread_id, interrupt_before=["second"])
    pause_id = first[-2].interrupted.pauses[0].pause_id
    resume = {"pause_ids": [pause_id], "answered_by": "the boss, by mail"}
    second = boss.run(thread_id, input=None, assistant_id="", resume=resume)
    runs = ada.call("ListRuns", thread_id=thread_id).runs
    assert [(run.run_id, run.principal) for run in runs] == [
        (second[0].run_id, "boss"),
        (first[0].run_id, "ada"),
    ]
    resolution = ada.call("GetPause", pause_id=pause_id).pause.resolution
    assert (resolution.principal, resolution.answered_by) == ("boss", "the boss, by mail")


def test_the_graph_is_told_who_runs_it(guest: Guests) -> None:
    assert last_value(guest("boss").run()) == {
        "identity": "boss",
        "same": [True, True],
        "permissions": ["assistants:write", "threads:all"],
        "known": ["display_name", "identity", "is_authenticated", "permissions"],
    }


def test_a_group_shares_its_threads(guest: Guests) -> None:
    carl, cora, ada = guest("carl"), guest("cora"), guest("ada")
    thread_id = carl.new_thread()
    assert cora.call("GetThread", thread_id=thread_id).thread.thread_id == thread_id
    assert ada.refusal("GetThread", thread_id=thread_id)[1] == "THREAD_NOT_FOUND"
    runs = cora.run(thread_id)
    assert carl.call("GetRun", run_id=runs[0].run_id).run.principal == "cora"


def test_a_stateless_run_is_its_callers(guest: Guests) -> None:
    run_id = guest("ada").run()[0].run_id
    assert guest("ada").call("GetRun", run_id=run_id).run.principal == "ada"
    assert guest("bob").refusal("GetRun", run_id=run_id)[1] == "RUN_NOT_FOUND"


def test_a_copy_is_the_copiers(guest: Guests) -> None:
    boss, ada = guest("boss"), guest("ada")
    thread_id = ada.new_thread()
    ada.run(thread_id)
    copy_id = boss.call("CopyThread", thread_id=thread_id).thread.thread_id
    assert ada.refusal("GetThread", thread_id=copy_id)[1] == "THREAD_NOT_FOUND"
    assert boss.call("GetThread", thread_id=copy_id).thread.thread_id == copy_id


def test_a_request_id_is_of_one_principal(guest: Guests, once: str) -> None:
    ada, bob = guest("ada"), guest("bob")
    fields = {"assistant_id": "two", "input": payload({"log": ["in"]}), "request_id": once}
    run_id = ada.call("CreateRun", **fields).run.run_id
    assert ada.call("CreateRun", **fields).run.run_id == run_id
    other = bob.call("CreateRun", **fields).run
    assert (other.run_id != run_id, other.principal) == (True, "bob")


def test_who_cancels_all_cancels_his_own(guest: Guests) -> None:
    ada, bob = guest("ada"), guest("bob")
    delayed = {"assistant_id": "two", "input": payload({"log": []}), "start_delay": {"seconds": 60}}
    hers = ada.call("CreateRun", **delayed).run.run_id
    his = bob.call("CreateRun", **delayed).run.run_id
    cancelled = bob.call("CancelRuns", statuses=[run_pb2.RUN_STATUS_PENDING]).runs
    assert [run.run_id for run in cancelled] == [his]
    assert ada.call("GetRun", run_id=hers).run.status == run_pb2.RUN_STATUS_PENDING
    ada.call("CancelRun", run_id=hers)


def test_a_watcher_sees_what_is_his(guest: Guests) -> None:
    ada, bob = guest("ada"), guest("bob")
    watching = bob.watch()
    next(watching)
    for caller in (ada, bob):
        thread_id = caller.new_thread()
        caller.run(thread_id, interrupt_before=["second"])
        caller.call("DeleteThread", thread_id=thread_id)
    last = thread_id
    seen = []
    for change in watching:
        seen.append((change.kind, change.thread_id))
        if change.kind == DELETED:
            break
    watching.cancel()
    assert [thread for _, thread in seen] == [last] * len(seen)
    assert [kind for kind, _ in seen][-1] == DELETED


@pytest.mark.parametrize(
    ("rpc", "fields"),
    [
        ("CreateAssistant", {"graph_id": "two", "name": "mine"}),
        ("UpdateAssistant", {"assistant_id": "two", "name": "mine"}),
        ("SetLatestAssistantVersion", {"assistant_id": "two", "version": 1}),
        ("DeleteAssistant", {"assistant_id": "two"}),
    ],
)
def test_assistants_are_changed_by_those_who_may(
    guest: Guests, rpc: str, fields: dict[str, object]
) -> None:
    verb = {"Create": "create", "Delete": "delete"}.get(rpc.removesuffix("Assistant"), "update")
    assert guest("ada").refusal(rpc, **fields) == (
        "PERMISSION_DENIED",
        "PERMISSION_DENIED",
        f"ada may not {verb} assistants: that takes the permission 'assistants:write'",
    )


def test_who_may_delete_an_assistant_hears_of_no_thread_of_somebody_else(guest: Guests) -> None:
    ada, anna, boss = guest("ada"), guest("anna"), guest("boss")
    made = anna.call("CreateAssistant", graph_id="two").assistant.assistant_id
    thread_id = ada.new_thread()
    ada.run(thread_id, assistant_id=made, interrupt_before=["second"])
    code, reason, text = anna.refusal("DeleteAssistant", assistant_id=made)
    assert (code, reason) == ("FAILED_PRECONDITION", "ASSISTANT_IN_USE")
    assert thread_id not in text
    assert "INTERRUPTED" not in text
    assert thread_id in boss.refusal("DeleteAssistant", assistant_id=made)[2]


def test_who_may_not_change_an_assistant_does_not_drop_its_breakpoints(guest: Guests) -> None:
    boss, ada = guest("boss"), guest("ada")
    made = boss.call(
        "CreateAssistant", graph_id="two", breakpoints=[{"node": "second"}]
    ).assistant.assistant_id
    events = ada.run(assistant_id=made, clear_breakpoints=True)
    assert events[-1].end.status == run_pb2.RUN_STATUS_INTERRUPTED
    assert [p.node for p in events[-2].interrupted.pauses] == ["second"]
    # Her thread goes with it: that takes the permission for all threads as well.
    boss.call("DeleteAssistant", assistant_id=made, delete_threads=True)


def test_a_run_that_is_waited_for_by_its_id_alone_is_its_callers(guest: Guests) -> None:
    ada = guest("ada")
    run_id = ada.run()[0].run_id
    request = runs_pb2.JoinRunRequest(run_id=run_id)
    assert guest("bob").refusal("JoinRun", request)[1] == "RUN_NOT_FOUND"
    assert ada.call("JoinRun", request)[-1].event.HasField("end")


def test_nobody_sees_what_was_made_before_callers_were_known_but_who_sees_all(
    own_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    process = own_server(PROJECT)
    with closing(Guest(process, "anybody", token=None)) as anybody:
        thread_id = anybody.new_thread()
    process.stop()
    write_tokens(tmp_path / "tokens.toml")
    env = {"GRAPHWIRE_AUTH_TOKENS": str(tmp_path / "tokens.toml")}
    guarded = ServerProcess(process.database, PROJECT, env=env).start()
    with closing(Guest(guarded, "ada")) as ada, closing(Guest(guarded, "boss")) as boss:
        assert ada.refusal("GetThread", thread_id=thread_id)[1] == "THREAD_NOT_FOUND"
        assert boss.call("GetThread", thread_id=thread_id).thread.thread_id == thread_id
    assert guarded.stop() == 0, guarded.log
