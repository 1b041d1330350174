"""request_id of StreamRun and CreateRun: what is repeated starts one run, and joins it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict
from graphwire.v1 import (
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.e2e.callers import at_once
from tests.e2e.drive import (
    DEADLINE,
    checked,
    create,
    delete_thread,
    get_thread,
    list_runs,
    new_thread,
    payload,
    refused,
    shapes,
    stream,
    value,
    wait,
)
from tests.e2e.gates import Gate
from tests.servers import ServerProcess

Runs = runs_pb2_grpc.RunsStub
Threads = threads_pb2_grpc.ThreadsStub

LOG = payload({"log": ["in"]})


def run_ids(runs: Runs, thread: str) -> list[str]:
    """The runs of a thread, newest first."""
    return [run.run_id for run in list_runs(runs, thread)]


class TestARunThatIsStartedAgain:
    """StreamRun and CreateRun with a request_id that has started a run."""

    def test_is_streamed_from_its_first_event_when_it_is_over(
        self, runs: Runs, threads: Threads, once: str
    ) -> None:
        request: dict[str, Any] = {
            "thread_id": new_thread(threads),
            "assistant_id": "linear",
            "input": LOG,
        }
        first = stream(runs, **request, request_id=once)
        assert stream(runs, **request, request_id=once) == first
        assert run_ids(runs, request["thread_id"]) == [first[0].run_id]
        assert stream(runs, **request)[0].run_id != first[0].run_id

    def test_is_streamed_from_its_first_event_while_it_is_under_way(
        self, runs: Runs, threads: Threads, once: str, gate: Gate
    ) -> None:
        request = runs_pb2.StreamRunRequest(
            thread_id=new_thread(threads), assistant_id="gated", input=gate.input, request_id=once
        )
        calls = [runs.StreamRun(request, timeout=DEADLINE) for _ in range(2)]
        begun = [[next(call).event for _ in range(2)] for call in calls]
        assert begun[0] == begun[1]
        gate.open()
        whole = [
            checked([*seen, *(r.event for r in call)])
            for seen, call in zip(begun, calls, strict=True)
        ]
        assert whole[0] == whole[1]
        assert shapes(whole[0]) == [
            ("updates", "before", {"log": ["before"]}),
            ("updates", "gate", {"log": ["gate"]}),
            ("updates", "after", {"log": ["after"]}),
            ("end", "SUCCEEDED"),
        ]
        assert run_ids(runs, request.thread_id) == [whole[0][0].run_id]

    def test_goes_on_for_a_caller_who_lost_the_first_call(
        self, runs: Runs, threads: Threads, once: str, gate: Gate
    ) -> None:
        request = runs_pb2.StreamRunRequest(
            thread_id=new_thread(threads), assistant_id="gated", input=gate.input, request_id=once
        )
        lost = runs.StreamRun(request, timeout=DEADLINE)
        seen = [next(lost).event for _ in range(2)]
        lost.cancel()
        gate.open()
        again = checked([r.event for r in runs.StreamRun(request, timeout=DEADLINE)])
        assert again[:2] == seen
        assert run_ids(runs, request.thread_id) == [seen[0].run_id]

    def test_is_returned_as_it_is_now(
        self, runs: Runs, threads: Threads, once: str, gate: Gate
    ) -> None:
        request = {
            "thread_id": new_thread(threads),
            "assistant_id": "gated",
            "input": gate.input,
            "request_id": once,
        }
        first = create(runs, **request)
        assert first.status == run_pb2.RUN_STATUS_RUNNING
        assert create(runs, **request).run_id == first.run_id
        gate.open()
        ended = wait(runs, first.run_id).run
        assert create(runs, **request) == ended
        assert ended.status == run_pb2.RUN_STATUS_SUCCEEDED

    @pytest.mark.parametrize("stateless", [False, True], ids=["on a thread", "stateless"])
    def test_is_one_run_for_callers_who_call_at_once(
        self, runs: Runs, threads: Threads, once: str, stateless: bool
    ) -> None:
        thread = "" if stateless else new_thread(threads)
        request = {"thread_id": thread, "assistant_id": "linear", "input": LOG, "request_id": once}
        streamed = at_once(lambda: stream(runs, **request))
        assert all(events == streamed[0] for events in streamed)
        created = at_once(lambda: create(runs, **request).run_id)
        assert len({*created}) == 1
        if thread:
            assert run_ids(runs, thread) == [created[0], streamed[0][0].run_id]

    def test_makes_one_thread_for_callers_who_call_at_once(
        self, runs: Runs, threads: Threads, once: str
    ) -> None:
        thread = str(uuid.uuid4())
        request = {
            "thread_id": thread,
            "assistant_id": "linear",
            "input": LOG,
            "if_not_exists": run_pb2.IF_NOT_EXISTS_CREATE,
            "request_id": once,
        }
        created = at_once(lambda: create(runs, **request).run_id)
        assert run_ids(runs, thread) == [created[0]]
        assert len({*created}) == 1

    def test_is_another_run_for_another_rpc(self, runs: Runs, threads: Threads, once: str) -> None:
        request: dict[str, Any] = {
            "thread_id": new_thread(threads),
            "assistant_id": "linear",
            "input": LOG,
        }
        streamed = stream(runs, **request, request_id=once)[0].run_id
        created = create(runs, **request, request_id=once).run_id
        assert run_ids(runs, request["thread_id"]) == [created, streamed]

    def test_is_not_run_again_when_it_was_deleted(
        self, runs: Runs, threads: Threads, once: str
    ) -> None:
        request: dict[str, Any] = {
            "thread_id": new_thread(threads),
            "assistant_id": "linear",
            "input": LOG,
        }
        run_id = stream(runs, **request, request_id=once)[0].run_id
        runs.DeleteRun(runs_pb2.DeleteRunRequest(run_id=run_id), timeout=DEADLINE)
        with refused("NOT_FOUND", "RUN_NOT_FOUND") as refusal:
            stream(runs, **request, request_id=once)
        assert refusal.resource == ("run", run_id)
        assert "which this request_id started, was deleted" in refusal.text
        assert run_ids(runs, request["thread_id"]) == []

    @pytest.mark.parametrize("start", ["input", "resume"])
    def test_is_not_run_again_when_its_thread_was_deleted(
        self, runs: Runs, threads: Threads, once: str, start: str
    ) -> None:
        thread = new_thread(threads)
        first: dict[str, Any] = {"thread_id": thread, "assistant_id": "stops", "input": LOG}
        request = first
        if start == "resume":
            stream(runs, **first)
            request = {"thread_id": thread, "resume": {}}
        run_id = stream(runs, **request, request_id=once)[0].run_id
        delete_thread(threads, thread)
        with refused("NOT_FOUND", "RUN_NOT_FOUND") as refusal:
            stream(runs, **request, request_id=once)
        assert refusal.resource == ("run", run_id)
        with refused("NOT_FOUND", "THREAD_NOT_FOUND"):
            get_thread(threads, thread)

    def test_is_joined_although_a_new_one_would_be_refused_by_now(
        self, runs: Runs, threads: Threads, once: str
    ) -> None:
        thread = new_thread(threads)
        stream(runs, thread_id=thread, assistant_id="ask", input=LOG)
        (pause,) = get_thread(threads, thread).pauses
        request = {
            "thread_id": thread,
            "resume": run_pb2.Resume(
                answers={pause.pause_id: payload("Ada")},
                expected_checkpoint_id=pause.checkpoint_id,
            ),
        }
        first = stream(runs, **request, request_id=once)
        assert shapes(first)[0] == ("updates", "ask", {"log": ["name: 'Ada'"]})
        assert stream(runs, **request, request_id=once) == first
        with refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
            stream(runs, **request)
        state = threads.GetThreadState(threads_pb2.GetThreadStateRequest(thread_id=thread)).state
        assert value(state.values) == {"log": ["in", "name: 'Ada'", "after"]}

    def test_is_still_known_after_a_restart(
        self, own_server: Callable[..., ServerProcess], once: str
    ) -> None:
        server = own_server()
        request = {"assistant_id": "linear", "input": LOG, "request_id": once}
        with grpc.insecure_channel(server.address) as channel:
            first = stream(Runs(channel), **request)
        assert server.stop() == 0
        server.start()
        with grpc.insecure_channel(server.address) as channel:
            assert stream(Runs(channel), **request) == first
            with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
                stream(Runs(channel), **{**request, "assistant_id": "loop"})


#: A run's request, the ways to say the same, and ways to say something else.
REQUEST: dict[str, Any] = {
    "assistant_id": "linear",
    "input": {"json": '{"log": ["in"], "count": 1}'},
    "interrupt_before": ["b", "c"],
    "metadata": {"json": '{"a": 1, "b": [1.5, null]}'},
}
SAME: dict[str, dict[str, Any]] = {
    "another order of keys": {"input": {"json": '{"count": 1, "log": ["in"]}'}},
    "other blanks": {"input": {"json": ' {"log":["in"] , "count":\n1} '}},
    "escapes": {"input": {"json": '{"l\\u006fg": ["\\u0069n"], "count": 1}'}},
    "the value form": {"input": {"value": {"log": ["in"], "count": 1}}},
    "a number's value form": {"metadata": {"value": {"b": [1.5, None], "a": 1.0}}},
    "another order of breakpoints": {"interrupt_before": ["c", "b"]},
    "a breakpoint twice": {"interrupt_before": ["b", "c", "b"]},
    "the default mode": {"stream_modes": ["STREAM_MODE_UPDATES"]},
    "the default durability": {"durability": "DURABILITY_SYNC"},
    "the default strategy": {"multitask_strategy": "MULTITASK_STRATEGY_REJECT"},
    "the default on_pause": {"on_pause": "ON_PAUSE_REJECT"},
    "the default if_not_exists": {"if_not_exists": "IF_NOT_EXISTS_REJECT"},
    "an empty config": {"config": {}},
    "an empty configurable": {"config": {"configurable": {"json": "{}"}}},
    "no delay": {"start_delay": "0s"},
    "no breakpoints to clear": {"clear_breakpoints": True},
    "no subgraphs": {"stream_subgraphs": False},
}
OTHER: dict[str, dict[str, Any]] = {
    "input": {"input": {"json": '{"log": ["in"], "count": 2}'}},
    "an input's type": {"input": {"json": '{"log": ["in"], "count": 1.0}'}},
    "a boolean for a number": {"input": {"json": '{"log": ["in"], "count": true}'}},
    "the order of a list": {"metadata": {"json": '{"a": 1, "b": [null, 1.5]}'}},
    "assistant": {"assistant_id": "stops"},
    "thread": {"thread_id": "another"},
    "fewer breakpoints": {"interrupt_before": ["b"]},
    "breakpoints after": {"interrupt_after": ["a"]},
    "modes": {"stream_modes": ["STREAM_MODE_VALUES"]},
    "subgraphs": {"stream_subgraphs": True},
    "recursion limit": {"config": {"recursion_limit": 24}},
    "tags": {"config": {"tags": ["x"]}},
    "configurable": {"config": {"configurable": {"json": '{"a": 1}'}}},
    "context": {"context": {"json": "{}"}},
    "metadata": {"metadata": {"json": '{"a": 1}'}},
    "durability": {"durability": "DURABILITY_ASYNC"},
    "strategy": {"multitask_strategy": "MULTITASK_STRATEGY_ENQUEUE"},
    "on_pause": {"on_pause": "ON_PAUSE_DISCARD"},
    "if_not_exists": {"if_not_exists": "IF_NOT_EXISTS_CREATE"},
    "delay": {"start_delay": "0.000001s"},
    "start": {"command": {"goto": [{"node": "c"}]}},
}


class TestWhatTheSameRequestIs:
    """Requests are compared by what they mean, not by their bytes."""

    @pytest.mark.parametrize("change", SAME.values(), ids=SAME)
    def test_the_same_by_meaning_is_the_same(
        self, runs: Runs, threads: Threads, once: str, change: dict[str, Any]
    ) -> None:
        thread = {"thread_id": new_thread(threads), "request_id": once}
        first = _create(runs, {**REQUEST, **thread})
        again = _create(runs, {**REQUEST, **change, **thread})
        assert again.run_id == first.run_id
        assert run_ids(runs, thread["thread_id"]) == [first.run_id]

    @pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
    def test_another_by_meaning_is_refused(
        self, runs: Runs, threads: Threads, once: str, change: dict[str, Any]
    ) -> None:
        thread = {"thread_id": new_thread(threads), "request_id": once}
        first = _create(runs, {**REQUEST, **thread})
        wait(runs, first.run_id)
        before = get_thread(threads, thread["thread_id"])
        request = {**REQUEST, **thread, **change}
        if "command" in change:
            del request["input"]
        with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED") as refusal:
            _create(runs, request)
        assert refusal.resource == ("request", once)
        assert get_thread(threads, thread["thread_id"]) == before
        assert run_ids(runs, thread["thread_id"]) == [first.run_id]
        assert _create(runs, {**REQUEST, **thread}).run_id == first.run_id

    def test_what_happens_on_disconnect_belongs_to_the_call_and_not_to_the_request(
        self, runs: Runs, once: str
    ) -> None:
        request = {"assistant_id": "linear", "input": LOG, "request_id": once}
        first = stream(runs, **request, on_disconnect=run_pb2.ON_DISCONNECT_CANCEL)
        assert stream(runs, **request) == first

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"answer": payload(1)}, {"answer": payload(2)}),
            ({"answer": payload(None)}, {}),
            ({}, {"expected_checkpoint_id": "00000000-0000-4000-8000-000000000000"}),
        ],
        ids=["another answer", "no answer", "an expectation"],
    )
    def test_another_resume_is_refused(
        self, runs: Runs, threads: Threads, once: str, one: Any, other: Any
    ) -> None:
        thread = new_thread(threads)
        assistant = "ask" if "answer" in one else "stops"
        stream(runs, thread_id=thread, assistant_id=assistant, input=LOG)
        request = {"thread_id": thread, "request_id": once}
        first = stream(runs, **request, resume=run_pb2.Resume(**one))
        with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
            stream(runs, **request, resume=run_pb2.Resume(**other))
        assert run_ids(runs, thread)[0] == first[0].run_id

    def test_a_resume_that_leaves_a_setting_out_inherits_it_and_so_is_another(
        self, runs: Runs, threads: Threads, once: str
    ) -> None:
        thread = new_thread(threads)
        stream(runs, thread_id=thread, assistant_id="stops", input=LOG)
        request = {"thread_id": thread, "request_id": once, "resume": run_pb2.Resume()}
        stream(runs, **request)
        for other in (
            {"durability": run_pb2.DURABILITY_SYNC},
            {"stream_modes": [run_pb2.STREAM_MODE_UPDATES]},
            {"config": run_pb2.RunConfig()},
            {"clear_breakpoints": True},
        ):
            with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
                stream(runs, **request, **other)


class TestARequestThatWasRefused:
    """A refusal leaves the request_id free."""

    def test_can_be_repeated_when_what_was_in_its_way_is_gone(
        self, runs: Runs, threads: Threads, once: str, gate: Gate
    ) -> None:
        thread = new_thread(threads)
        busy = create(runs, thread_id=thread, assistant_id="gated", input=gate.input)
        request = {"thread_id": thread, "assistant_id": "gated", "input": gate.input}
        with refused("FAILED_PRECONDITION", "THREAD_BUSY"):
            create(runs, **request, request_id=once)
        gate.open()
        wait(runs, busy.run_id)
        run = create(runs, **request, request_id=once)
        assert run_ids(runs, thread) == [run.run_id, busy.run_id]

    def test_can_be_put_right_under_the_same_id(
        self, runs: Runs, threads: Threads, once: str
    ) -> None:
        thread = new_thread(threads)
        request = {"thread_id": thread, "input": LOG, "request_id": once}
        with refused("NOT_FOUND", "ASSISTANT_NOT_FOUND"):
            create(runs, **request, assistant_id="liner")
        with refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "interrupt_before[0]"):
            create(runs, **request, assistant_id="linear", interrupt_before=["z"])
        with refused("INVALID_ARGUMENT", "INVALID_FIELD", "start_delay"):
            create(runs, **request, assistant_id="linear", start_delay=Duration(seconds=-1))
        run = create(runs, **request, assistant_id="linear")
        assert run_ids(runs, thread) == [run.run_id]


def _create(runs: Runs, fields: dict[str, Any]) -> run_pb2.Run:
    """Starts a run with a request in protobuf's JSON form."""
    request = ParseDict(fields, runs_pb2.CreateRunRequest())
    return runs.CreateRun(request, timeout=DEADLINE).run
