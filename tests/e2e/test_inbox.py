"""The inbox: pauses across threads, found by what is asked for, with what became of them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from graphwire.v1 import (
    breakpoint_pb2,
    pause_pb2,
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.e2e.drive import DEADLINE, get_run, new_thread, payload, refused, stream, value
from tests.e2e.driven import INPUT, DrivenThread

OPEN, RESUMED, SUPERSEDED = (
    pause_pb2.PAUSE_STATUS_OPEN,
    pause_pb2.PAUSE_STATUS_RESUMED,
    pause_pb2.PAUSE_STATUS_SUPERSEDED,
)
ASCENDING = threads_pb2.SORT_DIRECTION_ASCENDING


class Inbox:
    """The pauses of the threads that one test has made."""

    def __init__(self, runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub) -> None:
        self.runs, self.threads = runs, threads
        self.mark = str(uuid.uuid4())

    def thread(self, **metadata: Any) -> DrivenThread:
        given = payload({"mark": self.mark, **metadata})
        return DrivenThread(self.runs, self.threads, new_thread(self.threads, metadata=given))

    def page(
        self, metadata: Any = None, page: str = "", size: int = 0, direction: int = 0, **which: Any
    ) -> threads_pb2.ListPausesResponse:
        wanted = payload({"mark": self.mark, **(metadata or {})})
        request = threads_pb2.ListPausesRequest(
            filter=threads_pb2.PauseFilter(thread_metadata=wanted, **which),
            page_size=size,
            page_token=page,
            direction=direction,  # type: ignore[arg-type]
        )
        return self.threads.ListPauses(request, timeout=DEADLINE)

    def list(self, **fields: Any) -> Sequence[pause_pb2.Pause]:
        response = self.page(**fields)
        assert response.next_page_token == ""
        return list(response.pauses)

    def get(self, pause_id: str) -> pause_pb2.Pause:
        request = threads_pb2.GetPauseRequest(pause_id=pause_id)
        return self.threads.GetPause(request, timeout=DEADLINE).pause


@pytest.fixture
def inbox(runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub) -> Inbox:
    return Inbox(runs, threads)


def test_the_pauses_of_a_fan_out_say_what_each_task_was_sent(inbox: Inbox) -> None:
    """Before its tasks, and where they ask; in events, lists and copies, and when it is over."""
    sent = [{"n": 1}, {"n": 2}, {"n": 3}]
    thread = inbox.thread()
    stops: tuple[dict[str, Any], ...] = ({"interrupt_before": ["work"]}, {})
    for fields in stops:
        graph = "fanout" if fields else "ask_each"
        events = thread.start(graph, **fields) if fields else thread.start(graph)
        pauses = events[-2].interrupted.pauses
        assert [value(pause.task_input) for pause in pauses] == sent
        assert [value(pause.task_input) for pause in inbox.list(thread_id=thread.thread_id)] == [
            *reversed(sent)
        ]
        copy = threads_pb2.CopyThreadRequest(thread_id=thread.thread_id)
        copied = inbox.threads.CopyThread(copy, timeout=DEADLINE).thread
        assert [value(pause.task_input) for pause in copied.pauses] == sent
        assert [value(task.task_input) for task in thread.state().tasks] == sent
        (head, *_) = thread.history()
        assert [value(task.task_input) for task in head.tasks] == sent
        second = pauses[1].pause_id
        given: dict[str, Any] = {"pause_ids": [second]} if fields else {"answers": {second: 2}}
        thread.resume(**given)
        assert value(inbox.get(pauses[1].pause_id).task_input) == {"n": 2}
        thread = inbox.thread()


def test_a_task_that_gets_the_state_was_sent_nothing(inbox: Inbox) -> None:
    for graph, fields in (("linear", {"interrupt_before": ["b"]}), ("ask", {})):
        thread = inbox.thread()
        thread.start(graph, **fields)
        (pause,) = inbox.list(thread_id=thread.thread_id)
        assert not pause.HasField("task_input")
        (task,) = thread.state().tasks
        assert not task.HasField("task_input")


def test_a_very_long_input_is_left_out(inbox: Inbox) -> None:
    for length, there in ((65_000, True), (66_000, False)):
        thread = inbox.thread()
        thread.start("linear")
        given = {"log": ["x" * length]}
        thread.command(goto=[("b", given)], interrupt_before=["b"])
        (pause,) = thread.pauses
        (task,) = thread.state().tasks
        for told in (pause, task):
            assert told.HasField("task_input") is there
            if there:
                assert value(told.task_input) == given


def test_a_pause_at_a_breakpoint_says_all_there_is(inbox: Inbox) -> None:
    thread = inbox.thread()
    money = breakpoint_pb2.Breakpoint(
        node="b",
        breakpoint_id="money",
        label="Spends money",
        condition="size(state.log) > 0",
        expires_after=Duration(seconds=3600),
        on_expiry=breakpoint_pb2.ON_EXPIRY_CANCEL,
    )
    events = thread.start("linear", breakpoints=[money], interrupt_before=["b"])
    (pause,) = inbox.list()
    assert pause == inbox.get(pause.pause_id) == thread.pauses[0]
    assert pause.assistant_id == "linear"
    assert pause.status == OPEN
    assert pause.task_id
    assert not pause.HasField("resolution")
    waits = pause.expire_time.ToDatetime() - pause.create_time.ToDatetime()
    assert waits.total_seconds() == 3600
    assert pause.on_expiry == breakpoint_pb2.ON_EXPIRY_CANCEL
    met = {each.breakpoint_id: each for each in pause.breakpoints}
    assert set(met) == {"money", ""}
    assert met["money"] == breakpoint_pb2.MetBreakpoint(
        breakpoint_id="money",
        label="Spends money",
        source=breakpoint_pb2.BREAKPOINT_SOURCE_RUN,
        condition="size(state.log) > 0",
    )
    # The stored event has it as it was then.
    (interrupted,) = [e.interrupted for e in events if e.HasField("interrupted")]
    assert list(interrupted.pauses) == [pause]
    resumed = thread.resume(answered_by="ann@example.com")[0].run_id
    now = inbox.get(pause.pause_id)
    assert now.status == RESUMED
    assert now.resolution == pause_pb2.PauseResolution(
        time=now.resolution.time,
        run_id=resumed,
        principal="anonymous",
        answered_by="ann@example.com",
    )
    run = get_run(inbox.runs, resumed)
    assert now.resolution.time == run.create_time
    now.ClearField("resolution")
    now.status = OPEN
    assert now == pause


def test_an_answer_is_kept_with_its_question(inbox: Inbox) -> None:
    thread = inbox.thread()
    thread.start("ask")
    (pause,) = inbox.list(kinds=[pause_pb2.PAUSE_KIND_INTERRUPT])
    assert value(pause.value) == {"question": "name"}
    thread.resume(answers={pause.pause_id: {"ok": [1, 2.5]}}, answered_by="bob")
    (now,) = inbox.list(statuses=[RESUMED])
    assert value(now.resolution.answer) == {"ok": [1, 2.5]}
    assert now.resolution.answered_by == "bob"
    assert inbox.list() == []


def test_what_is_superseded_says_by_whom_and_by_which_run(inbox: Inbox) -> None:
    thread = inbox.thread()
    thread.start("ask")
    run_id = thread.start("ask", on_pause=run_pb2.ON_PAUSE_DISCARD)[0].run_id
    (pause,) = inbox.list(statuses=[SUPERSEDED])
    assert pause.resolution == pause_pb2.PauseResolution(
        time=pause.resolution.time, run_id=run_id, principal="anonymous"
    )
    assert pause.resolution.time.ToDatetime() >= pause.create_time.ToDatetime()


def test_pauses_are_found_by_what_is_asked_for(inbox: Inbox) -> None:
    asks, stops, other = inbox.thread(), inbox.thread(team={"id": 7}), inbox.thread()
    asks.start("ask")
    soon = breakpoint_pb2.Breakpoint(
        node="c",
        label="late",
        expires_after=Duration(seconds=100),
        on_expiry=breakpoint_pb2.ON_EXPIRY_CANCEL,
    )
    stops.start("linear", breakpoints=[soon])
    other.start("linear", interrupt_before=["b"])
    other.resume(interrupt_after=["c"])
    everything = {p.thread_id: p for p in inbox.list()}
    assert set(everything) == {asks.thread_id, stops.thread_id, other.thread_id}

    def found(**which: Any) -> set[str]:
        pauses = inbox.list(**which)
        assert len({p.pause_id for p in pauses}) == len(pauses)
        return {p.thread_id for p in pauses}

    any_status = [pause_pb2.PAUSE_STATUS_UNSPECIFIED]
    assert found(statuses=[OPEN]) == set(everything)
    assert found(statuses=[RESUMED]) == {other.thread_id}
    assert len(inbox.list(statuses=any_status)) == 4
    assert len(inbox.list(statuses=[OPEN, RESUMED, SUPERSEDED])) == 4
    assert found(kinds=[pause_pb2.PAUSE_KIND_INTERRUPT]) == {asks.thread_id}
    after = pause_pb2.PAUSE_KIND_BREAKPOINT_AFTER
    assert found(kinds=[after]) == {other.thread_id}
    assert found(thread_id=stops.thread_id) == {stops.thread_id}
    assert found(thread_id="nobody") == set()
    assert found(assistant_id="linear") == {stops.thread_id, other.thread_id}
    assert found(assistant_id="nobody") == set()
    assert found(node="c") == {stops.thread_id, other.thread_id}
    assert found(node="c", kinds=[after]) == {other.thread_id}
    assert found(label="late") == {stops.thread_id}
    assert found(label="lat") == set()
    assert found(tool_name="refund") == set()
    assert found(metadata={"team": {"id": 7}}) == {stops.thread_id}
    expires = everything[stops.thread_id].expire_time
    assert found(expires_before=expires) == set()
    later = Timestamp(seconds=expires.seconds + 1)
    assert found(expires_before=later) == {stops.thread_id}


@pytest.mark.parametrize("direction", [0, ASCENDING])
def test_pages_follow_each_other_and_no_pause_comes_twice(inbox: Inbox, direction: int) -> None:
    threads = [inbox.thread() for _ in range(5)]
    for thread in threads:
        thread.start("ask_parallel")
    seen: list[pause_pb2.Pause] = []
    token = ""
    while True:
        page = inbox.page(page=token, size=3, direction=direction)
        seen += page.pauses
        token = page.next_page_token
        if not token:
            break
        assert len(page.pauses) == 3
    assert len({pause.pause_id for pause in seen}) == 10
    order = list(dict.fromkeys(pause.thread_id for pause in seen))
    made = [thread.thread_id for thread in threads]
    assert order == (made if direction else made[::-1])
    # A token is for the same filter and direction.
    token = inbox.page(size=3, direction=direction).next_page_token
    with refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token"):
        inbox.page(page=token, size=3, direction=ASCENDING - direction)
    with refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token"):
        inbox.page(page=token, size=3, direction=direction, node="ask")


@pytest.mark.parametrize(
    "time", [Timestamp(nanos=-1), Timestamp(nanos=10**9), Timestamp(seconds=2**40)]
)
def test_a_time_that_is_none_is_refused(inbox: Inbox, time: Timestamp) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "filter.expires_before"):
        inbox.list(expires_before=time)


def test_pauses_of_stateless_runs_are_in_the_inbox(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    events = stream(runs, assistant_id="ask", input=payload(INPUT))
    which = threads_pb2.PauseFilter(thread_id=events[0].metadata.thread_id)
    request = threads_pb2.ListPausesRequest(filter=which)
    (pause,) = threads.ListPauses(request, timeout=DEADLINE).pauses
    assert pause.run_id == events[0].run_id


def test_pauses_in_subgraphs_and_after_an_edit_name_their_assistant(inbox: Inbox) -> None:
    thread = inbox.thread()
    thread.start("ask_in_child")
    (pause,) = inbox.list(assistant_id="ask_in_child")
    assert len(pause.namespace) == 1
    other = inbox.thread()
    other.start("linear", interrupt_before=["b", "c"])
    other.edit({"log": ["edited"]}, as_node="b")
    (pause,) = inbox.list(assistant_id="linear")
    assert pause.node == "c"


def test_what_an_edit_has_left_waiting_is_there_to_be_resumed(inbox: Inbox) -> None:
    thread = inbox.thread()
    thread.start("ask")
    (asked,) = inbox.list(assistant_id="ask")
    thread.edit({"log": ["edited"]})
    (left,) = inbox.list(assistant_id="ask")
    assert (left.kind, left.node) == (pause_pb2.PAUSE_KIND_PAUSE, "ask")
    assert left.checkpoint_id == thread.now.checkpoint_id
    superseded = inbox.get(asked.pause_id)
    assert superseded.status == SUPERSEDED
    assert (superseded.resolution.principal, superseded.resolution.run_id) == ("anonymous", "")
    thread.resume(pause_ids=[left.pause_id])
    (again,) = inbox.list(assistant_id="ask")
    assert (again.kind, again.node) == (pause_pb2.PAUSE_KIND_INTERRUPT, "ask")


def test_there_is_no_pause_that_never_was(inbox: Inbox) -> None:
    unknown = str(uuid.uuid4())
    with refused("NOT_FOUND", "PAUSE_NOT_FOUND") as refusal:
        inbox.get(unknown)
    assert refusal.resource == ("pause", unknown)


def test_the_pauses_of_a_deleted_run_stay_and_those_of_a_deleted_thread_go(inbox: Inbox) -> None:
    thread = inbox.thread()
    run_id = thread.start("ask")[0].run_id
    (pause,) = inbox.list()
    thread.resume(answer="yes")
    request = runs_pb2.DeleteRunRequest(run_id=run_id)
    inbox.runs.DeleteRun(request, timeout=DEADLINE)
    assert inbox.get(pause.pause_id).run_id == run_id
    inbox.threads.DeleteThread(
        threads_pb2.DeleteThreadRequest(thread_id=thread.thread_id), timeout=DEADLINE
    )
    with refused("NOT_FOUND", "PAUSE_NOT_FOUND"):
        inbox.get(pause.pause_id)
