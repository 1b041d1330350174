"""Rules that go by the name of a thread hear it, whatever of the thread a request names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from graphwire.v1 import pause_pb2, run_pb2, runs_pb2, threads_pb2

from tests.access.guarded import PROJECT, Guest, Guests, serving
from tests.e2e.drive import payload
from tests.e2e.gates import until
from tests.servers import ServerProcess

DENIED = ("PERMISSION_DENIED", "PERMISSION_DENIED", "Forbidden")
NO_RUN = "5f0c1f9e-6a53-4d36-8b1a-000000000000"

Asked = Callable[[], list[tuple[str, dict[str, Any]]]]


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the rules note what they are asked."""
    return tmp_path_factory.mktemp("asked") / "asked.jsonl"


@pytest.fixture(scope="module")
def ruled(noted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of a project with such rules."""
    project = PROJECT / "by_name.json"
    with serving(tmp_path_factory.mktemp("named"), project, env={"ASKED": str(noted)}) as process:
        yield process


@pytest.fixture
def asked(noted: Path) -> Asked:
    """Returns what the rules were asked since the last time."""

    def since() -> list[tuple[str, dict[str, Any]]]:
        lines = noted.read_text().splitlines() if noted.exists() else []
        noted.write_text("")
        return [tuple(json.loads(line)) for line in lines]

    return since


def paused(guest: Guest, thread_id: str, **fields: Any) -> tuple[str, str]:
    """Pauses a run on a new thread; returns its run_id and pause_id."""
    create = run_pb2.IF_NOT_EXISTS_CREATE
    events = guest.run(thread_id, if_not_exists=create, interrupt_before=["second"], **fields)
    pause = events[-2].interrupted.pauses[0]
    return events[0].run_id, pause.pause_id


def test_of_a_run_or_a_pause_the_thread_is_told(user: Guests, asked: Asked) -> None:
    fin, eve = user("fin"), user("eve")
    run_id, pause_id = paused(fin, "fin-1")
    for rpc in (
        "GetRun",
        "WaitRun",
        "JoinRun",
        "ListRunBreakpoints",
        "CancelRun",
        "PauseRun",
        "DeleteRun",
    ):
        asked()
        assert eve.refusal(rpc, run_id=run_id) == DENIED, rpc
        [(_, value)] = asked()
        assert (value["thread_id"], value["run_id"]) == ("fin-1", run_id)
    assert eve.refusal("GetPause", pause_id=pause_id) == DENIED
    [(what, value)] = asked()
    assert what == "threads.read"
    assert value == {"thread_id": "fin-1", "pause_id": pause_id, "metadata": {}}
    leaving = runs_pb2.JoinRunRequest(run_id=run_id, on_disconnect=run_pb2.ON_DISCONNECT_CANCEL)
    assert fin.call("JoinRun", leaving)
    assert [value["thread_id"] for _, value in asked()] == ["fin-1", "fin-1"]
    waiting = runs_pb2.WaitRunRequest(run_id=run_id, on_disconnect=run_pb2.ON_DISCONNECT_CANCEL)
    assert fin.call("WaitRun", waiting).run.run_id == run_id
    assert [(what, value["thread_id"]) for what, value in asked()] == [
        ("threads.read", "fin-1"),
        ("threads.update", "fin-1"),
    ]
    assert fin.call("GetPause", pause_id=pause_id).pause.thread_id == "fin-1"


def test_what_there_is_not_needs_no_rule(user: Guests, asked: Asked) -> None:
    asked()
    assert user("ada").refusal("GetRun", run_id=NO_RUN)[:2] == ("NOT_FOUND", "RUN_NOT_FOUND")
    assert user("ada").refusal("GetPause", pause_id=NO_RUN)[1] == "PAUSE_NOT_FOUND"
    assert asked() == []


def test_of_several_threads_each_is_asked_about(user: Guests, asked: Asked) -> None:
    fin, eve = user("fin"), user("eve")
    for name in ("fin-a", "open-a", "dark-a", "dark-b", "open-b"):
        fin.new_thread(thread_id=name)
    delete = threads_pb2.PRUNE_STRATEGY_DELETE
    asked()
    assert eve.refusal("PruneThreads", thread_ids=["open-a", "fin-a"], strategy=delete) == DENIED
    assert [(what, value["thread_id"]) for what, value in asked()] == [
        ("threads.delete", "open-a"),
        ("threads.delete", "fin-a"),
    ]
    # Those that a filter hides are left as they are.
    hidden = {"thread_ids": ["dark-a", "dark-b"], "strategy": delete}
    assert eve.call("PruneThreads", **hidden).pruned_count == 0
    mixed = {"thread_ids": ["dark-a", "open-a", "dark-b"], "strategy": delete}
    assert eve.call("PruneThreads", **mixed).pruned_count == 1
    gone = {"thread_ids": ["dark-a", "open-a"], "strategy": delete}
    assert eve.call("PruneThreads", **gone).pruned_count == 0
    left = {thread.thread_id for thread in fin.call("ListThreads").threads}
    assert left >= {"fin-a", "dark-a", "dark-b", "open-b"}
    assert "open-a" not in left


def test_of_several_runs_the_thread_of_each_is_asked_about(user: Guests, asked: Asked) -> None:
    fin, ada = user("fin"), user("ada")
    runs = {name: paused(fin, f"{name}-runs")[0] for name in ("fin", "open", "dark")}
    asked()
    assert ada.refusal("CancelRuns", run_ids=[runs["open"], runs["fin"]]) == DENIED
    assert [(what, value["thread_id"], value["action"]) for what, value in asked()] == [
        ("threads.update", "open-runs", "interrupt"),
        ("threads.update", "fin-runs", "interrupt"),
    ]
    refusal = ada.refusal("CancelRuns", run_ids=[runs["open"], runs["dark"]])
    assert refusal[:2] == ("NOT_FOUND", "RUN_NOT_FOUND")
    assert ada.refusal("CancelRuns", run_ids=[NO_RUN])[1] == "RUN_NOT_FOUND"
    assert list(ada.call("CancelRuns", run_ids=[runs["open"]]).runs) == []
    asked()
    every = {"statuses": [run_pb2.RUN_STATUS_PENDING], "action": runs_pb2.CANCEL_ACTION_ROLLBACK}
    ada.call("CancelRuns", **every)
    ada.call("CancelRuns", thread_id="open-runs", **every)
    assert [(value["thread_id"], value["action"]) for _, value in asked()] == [
        (None, "rollback"),
        ("open-runs", "rollback"),
    ]


def test_a_search_says_what_for(user: Guests, asked: Asked) -> None:
    fin, eve = user("fin"), user("eve")
    paused(fin, "fin-search")
    asked()
    of_thread = {"filter": {"thread_id": "fin-search"}}
    assert eve.refusal("ListPauses", **of_thread) == DENIED
    assert len(fin.call("ListPauses", **of_thread).pauses) == 1
    eve.call(
        "ListThreads",
        filter=threads_pb2.ThreadFilter(
            thread_ids=["a", "b"],
            statuses=[threads_pb2.THREAD_STATUS_IDLE],
            metadata=payload({"k": 1}),
            values=payload({"v": 2}),
        ),
        page_size=7,
    )
    eve.call("ListAssistants", filter={"graph_id": "two"})
    assert asked()[2:] == [
        (
            "threads.search",
            {
                "thread_id": None,
                "metadata": {"k": 1},
                "values": {"v": 2},
                "status": "idle",
                "ids": ["a", "b"],
                "limit": 7,
                "offset": 0,
            },
        ),
        ("assistants.search", {"graph_id": "two", "metadata": {}, "limit": 50, "offset": 0}),
    ]


@pytest.mark.parametrize(
    "start",
    [
        {"resume": run_pb2.Resume()},
        {"command": run_pb2.Command(resume=run_pb2.Resume(), update=payload({"log": ["it"]}))},
    ],
    ids=["a resume", "a command"],
)
def test_what_goes_on_says_as_which_assistant(
    user: Guests, asked: Asked, start: dict[str, Any]
) -> None:
    ada, eve = user("ada"), user("eve")
    thread_id = f"open-{next(iter(start))}"
    paused(ada, thread_id)
    asked()
    for rpc in ("StreamRun", "CreateRun"):
        assert eve.refusal(rpc, thread_id=thread_id, **start) == DENIED
    several = runs_pb2.CreateRunsRequest(
        requests=[runs_pb2.CreateRunRequest(thread_id=thread_id, **start)]
    )
    assert eve.refusal("CreateRuns", several) == DENIED
    starts = [value for what, value in asked() if what == "threads.create_run"]
    assert [value["assistant_id"] for value in starts] == ["two"] * 3
    assert ada.call("CreateRun", thread_id=thread_id, **start).run.assistant_id == "two"
    assert [what for what, _ in asked()] == ["threads.create_run", "assistants.read"]


def test_what_goes_on_with_nothing_is_refused_as_ever(user: Guests, asked: Asked) -> None:
    ada = user("ada")
    thread_id = ada.new_thread()
    asked()
    refusal = ada.refusal("CreateRun", thread_id=thread_id, resume=run_pb2.Resume())
    assert refusal[:2] == ("FAILED_PRECONDITION", "NOTHING_TO_RESUME")
    [(what, value)] = asked()
    assert (what, value["assistant_id"]) == ("threads.create_run", None)


@pytest.mark.parametrize("several", [False, True], ids=["one run", "several"])
def test_nobody_goes_on_as_an_assistant_of_which_the_rules_were_not_told(
    user: Guests, asked: Asked, noted: Path, several: bool
) -> None:
    ada, eve = user("ada"), user("slow-eve")
    thread_id = ada.new_thread()
    start: dict[str, Any] = {"thread_id": thread_id, "resume": run_pb2.Resume()}
    requests = [runs_pb2.CreateRunRequest(**start)]
    asked()
    with ThreadPoolExecutor(1) as pool:
        if several:
            call = pool.submit(eve.refusal, "CreateRuns", requests=requests)
        else:
            call = pool.submit(eve.refusal, "CreateRun", **start)
        until(lambda: "create_run" in noted.read_text(), "the rules think")
        # Meanwhile the thread comes to wait for somebody, as an assistant that is not for her.
        paused(ada, thread_id)
        noted.with_suffix(".go").touch()
        refusal = call.result(30)
    noted.with_suffix(".go").unlink()
    assert refusal[:2] == ("FAILED_PRECONDITION", "THREAD_BUSY")
    assert refusal[2].endswith(f"thread {thread_id} is being changed by others; try again")
    found = eve.refusal("CreateRun", **start)
    assert found == DENIED
    pauses = ada.call("ListPauses", filter={"thread_id": thread_id}).pauses
    assert [pause.status for pause in pauses] == [pause_pb2.PAUSE_STATUS_OPEN]


def test_whoever_may_not_see_a_thread_hears_nothing_of_what_was_made_on_it(
    user: Guests, asked: Asked
) -> None:
    fin, ada = user("fin"), user("ada")
    fin.call("CreateAssistant", graph_id="two", assistant_id="careful")
    run_id, _ = paused(fin, "dark-made", assistant_id="careful")
    held = fin.call("GetThread", thread_id="dark-made").thread.checkpoint_id
    fin.run("dark-made", on_pause=run_pb2.ON_PAUSE_DISCARD)
    fin.call("DeleteRun", run_id=run_id)
    resume = {"thread_id": "dark-made", "resume": run_pb2.Resume(), "checkpoint_id": held}
    assert fin.refusal("CreateRun", **resume)[1] == "ASSISTANT_MISMATCH"
    assert ada.refusal("CreateRun", **resume)[:2] == ("NOT_FOUND", "THREAD_NOT_FOUND")
