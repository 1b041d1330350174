"""States and events that are too large: what is kept, and what is sent."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import grpc
import pytest
from graphwire import Client
from graphwire.events import Custom
from graphwire.v1 import run_pb2, runs_pb2, threads_pb2

from tests.e2e.drive import DEADLINE, get_thread, payload, refused, value
from tests.limits.limited import Limited, limited

STATE, EVENT, ANSWER = 20_000, 5000, 8192
WHOLE = (("graphwire-events", "whole"),)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    """A server that keeps small states, and sends small events."""
    with limited(
        tmp_path_factory.mktemp("small"),
        max_state_bytes=STATE,
        max_event_bytes=EVENT,
        max_response_bytes=ANSWER,
    ) as server:
        yield server


def join(server: Limited, run_id: str, after: int, **how: Any) -> list[Any]:
    request = runs_pb2.JoinRunRequest(run_id=run_id, after_sequence=after)
    return [each.event for each in server.runs.JoinRun(request, timeout=DEADLINE, **how)]


# --- states ---


@pytest.mark.parametrize("durability", ["SYNC", "ASYNC", "EXIT"])
def test_a_run_that_makes_its_state_too_large_fails_and_keeps_the_one_before(
    small: Limited, durability: str
) -> None:
    run = small.create(
        {"size": STATE, "path": "p" * 200},
        "grows",
        durability=run_pb2.Durability.Value(f"DURABILITY_{durability}"),
    )
    end = small.wait(run.run_id).run
    assert (end.status, end.error.type) == (run_pb2.RUN_STATUS_FAILED, "StateTooLarge")
    assert "; the server keeps 20000 (max_state_bytes)" in end.error.message
    thread = get_thread(small.threads, run.thread_id)
    assert thread.status == threads_pb2.THREAD_STATUS_ERROR
    if durability == "EXIT":
        return  # it keeps nothing before the end
    assert list(thread.next) == ["grow"]
    state = threads_pb2.GetThreadStateRequest(thread_id=run.thread_id)
    kept = value(small.threads.GetThreadState(state, timeout=DEADLINE).state.values)
    assert kept["small"] == "begun, and kept in the last checkpoint that fits"
    assert "text" not in kept
    # With a smaller state it goes on from there.
    edit = threads_pb2.UpdateThreadStateRequest(
        thread_id=run.thread_id, values=payload({"size": 100}), as_node="begin"
    )
    small.threads.UpdateThreadState(edit, timeout=DEADLINE)
    again = small.create(None, "", thread_id=run.thread_id, resume=run_pb2.Resume())
    assert small.wait(again.run_id).run.status == run_pb2.RUN_STATUS_SUCCEEDED


def test_a_state_grows_over_many_steps_up_to_the_limit(small: Limited) -> None:
    thread = ""
    for size in (6000, 6000, 6000):
        run = small.create(
            {"size": size, "path": "p" * 6000, "answer": "a" * 6000},
            "grows",
            thread_id=thread,
            if_not_exists=run_pb2.IF_NOT_EXISTS_CREATE,
        )
        thread = run.thread_id
        assert small.wait(run.run_id, metadata=WHOLE).run.status == run_pb2.RUN_STATUS_SUCCEEDED
    # What stays as it is counts, though it is not written again.
    run = small.create({"size": 9000}, "grows", thread_id=thread)
    end = small.wait(run.run_id, metadata=WHOLE).run
    assert end.error.type == "StateTooLarge"


def test_an_edit_that_makes_the_state_too_large_is_refused(small: Limited) -> None:
    run = small.create({"size": 100}, "grows")
    small.wait(run.run_id)
    before = get_thread(small.threads, run.thread_id)
    edit = threads_pb2.UpdateThreadStateRequest(
        thread_id=run.thread_id, values=payload({"text": "x" * STATE})
    )
    with refused("RESOURCE_EXHAUSTED", "LIMIT_REACHED") as refusal:
        small.threads.UpdateThreadState(edit, timeout=DEADLINE)
    assert (refusal.metadata["limit"], refusal.metadata["maximum"]) == (
        "max_state_bytes",
        str(STATE),
    )
    size = refusal.metadata["value"]
    assert refusal.text == f"the values have {size} bytes; the server keeps 20000 (max_state_bytes)"
    assert refusal.retry_after is None
    assert get_thread(small.threads, run.thread_id) == before
    begin = threads_pb2.StateUpdate(values=payload({"text": "x" * STATE}), as_node="__input__")
    create = threads_pb2.CreateThreadRequest(
        assistant_id="grows", supersteps=[threads_pb2.Superstep(updates=[begin])]
    )
    with refused("RESOURCE_EXHAUSTED", "LIMIT_REACHED"):
        small.threads.CreateThread(create, timeout=DEADLINE)


def test_what_a_delta_channel_keeps_is_measured_where_it_is_kept_whole(small: Limited) -> None:
    run = small.create({"size": 3000}, "piles")
    end = small.wait(run.run_id, metadata=WHOLE).run
    assert end.error.type == "StateTooLarge"
    assert "bytes in 'items'" in end.error.message
    request = threads_pb2.ListThreadHistoryRequest(thread_id=run.thread_id)
    state = small.threads.ListThreadHistory(request, timeout=DEADLINE, metadata=WHOLE).states[0]
    # After four updates it had room, after eight it had not; those between are not measured.
    assert value(state.values)["items"] == ["x" * 3000] * 7


# --- events ---


@pytest.mark.parametrize("form", ["json", "value"])
def test_an_event_that_is_too_large_comes_without_its_payload_and_can_be_had_whole(
    small: Limited, form: str
) -> None:
    headers = (("graphwire-payload", form),)
    events = small.stream({"size": 6000}, "speaks", "CUSTOM", "VALUES", metadata=headers)
    (custom,) = (event for event in events if event.HasField("custom"))
    assert not custom.custom.HasField("data")
    assert custom.truncated.limit_bytes == EVENT
    assert custom.truncated.size_bytes > 6000
    # Those that fit are whole.
    assert all(
        event.values.HasField("values") and not event.HasField("truncated")
        for event in events
        if event.HasField("values")
    )
    run_id = events[0].run_id
    after = custom.sequence - 1
    (again, *_) = join(small, run_id, after, metadata=headers)
    assert again == custom
    (whole, *rest) = join(small, run_id, after, metadata=(*headers, *WHOLE))
    assert not whole.HasField("truncated")
    said = whole.custom.data.json if form == "json" else str(whole.custom.data.value)
    assert "x" * 6000 in said
    assert [event.sequence for event in rest] == [
        event.sequence for event in events if event.sequence > custom.sequence
    ]


def test_a_form_that_makes_an_event_larger_is_measured_as_it_is_sent(small: Limited) -> None:
    numbers = {"answer": [1] * 1500, "size": 1}
    modes = ("VALUES",)
    as_json = small.stream(numbers, "speaks", *modes)
    assert not any(event.HasField("truncated") for event in as_json)
    as_value = small.stream(numbers, "speaks", *modes, metadata=(("graphwire-payload", "value"),))
    (sent,) = (event for event in as_value if event.HasField("values"))
    assert sent.HasField("truncated")


def test_a_thread_that_is_joined_or_watched_gets_large_events_the_same_way(small: Limited) -> None:
    watch = small.threads.WatchThreads(threads_pb2.WatchThreadsRequest(), timeout=DEADLINE)
    next(watch)
    run = small.create({"size": 6000}, "speaks", stream_modes=[run_pb2.STREAM_MODE_CUSTOM])
    small.wait(run.run_id)
    request = threads_pb2.JoinThreadRequest(thread_id=run.thread_id)
    for headers, truncated in (((), True), (WHOLE, False)):
        joined = small.threads.JoinThread(request, timeout=DEADLINE, metadata=headers)
        (custom,) = (
            each for each in (next(joined) for _ in range(3)) if each.event.HasField("custom")
        )
        assert custom.cursor
        assert custom.event.HasField("truncated") is truncated
        assert custom.event.custom.HasField("data") is not truncated
        joined.cancel()
    watch.cancel()


def test_another_word_for_whole_is_refused(small: Limited) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "graphwire-events"):
        small.stream({"size": 1}, "speaks", metadata=(("graphwire-events", "all"),))


def test_our_client_gets_events_of_any_size(small: Limited) -> None:
    with Client(small.process.address) as client:
        said = [
            event.data["said"]
            for event in client.runs.stream(
                None, "speaks", input={"size": 5_000_000}, stream_modes=["custom"]
            )
            if isinstance(event, Custom)
        ]
    assert said == ["x" * 5_000_000]
    # One with the channel of somebody else's takes what that takes.
    with grpc.insecure_channel(small.process.address) as channel, Client(channel=channel) as client:
        events = [
            event
            for event in client.runs.stream(
                None, "speaks", input={"size": 5_000_000}, stream_modes=["custom"]
            )
            if isinstance(event, Custom)
        ]
    assert [(event.data, event.truncated > 5_000_000) for event in events] == [(None, True)]


# --- answers ---

FORMS = [(("graphwire-payload", form),) for form in ("json", "value")]


def thread_of(server: Limited, *sizes: int) -> str:
    """A thread with a run for each size, whose state has a text as large."""
    made = server.threads.CreateThread(threads_pb2.CreateThreadRequest(), timeout=DEADLINE)
    thread: str = made.thread.thread_id
    for size in sizes:
        run = server.create({"size": size}, "grows", thread_id=thread)
        status = server.wait(run.run_id, metadata=WHOLE).run.status
        assert status == run_pb2.RUN_STATUS_SUCCEEDED
    return thread


def pages(call: Any, request: Any, **how: Any) -> list[Any]:
    """All pages of a list, none larger than an answer may be."""
    found = []
    while True:
        found.append(call(request, timeout=DEADLINE, **how))
        assert found[-1].ByteSize() <= ANSWER
        if not found[-1].next_page_token:
            return found
        request.page_token = found[-1].next_page_token


@pytest.mark.parametrize("form", FORMS, ids=["json", "value"])
def test_pages_of_large_states_end_early_and_miss_nothing(small: Limited, form: Any) -> None:
    threads = [thread_of(small, size) for size in (3000, 3000, 3000, 100, 100, 100)]
    request = threads_pb2.ListThreadsRequest(
        filter=threads_pb2.ThreadFilter(thread_ids=threads), page_size=5
    )
    request.read_mask.paths.extend(["thread_id", "values"])
    found = pages(small.threads.ListThreads, request, metadata=form)
    assert [[t.thread_id for t in page.threads] for page in found] == [
        threads[:0:-1][:5],
        threads[:1],
    ]
    # All that is asked for has room, and without the values there is nothing to leave out.
    del request.read_mask.paths[:]
    request.page_token = ""
    (first, _) = pages(small.threads.ListThreads, request)
    assert len(first.threads) == 5


@pytest.mark.parametrize("form", FORMS, ids=["json", "value"])
def test_pages_of_a_history_end_early_and_miss_nothing(small: Limited, form: Any) -> None:
    thread = thread_of(small, 3000, 3000)
    request = threads_pb2.ListThreadHistoryRequest(thread_id=thread)
    found = pages(small.threads.ListThreadHistory, request, metadata=form)
    one_by_one = threads_pb2.ListThreadHistoryRequest(thread_id=thread, page_size=1)
    singles = pages(small.threads.ListThreadHistory, one_by_one, metadata=form)
    assert len(singles) == 8
    assert [state for page in found for state in page.states] == [p.states[0] for p in singles]
    assert 2 < len(found) < 8
    for page, following in pairwise(found):
        assert page.ByteSize() + following.states[0].ByteSize() > ANSWER - 1100
    # Also who takes large messages gets pages.
    request = threads_pb2.ListThreadHistoryRequest(thread_id=thread)
    assert pages(small.threads.ListThreadHistory, request, metadata=(*form, *WHOLE)) == found


def test_pages_of_an_inbox_end_early_and_miss_nothing(small: Limited) -> None:
    runs = [
        small.create({"text": "x" * 3000}, "asks_of_text", thread_id=thread_of(small))
        for _ in range(7)
    ]
    for run in runs:
        small.wait(run.run_id)
    request = threads_pb2.ListPausesRequest(
        filter=threads_pb2.PauseFilter(assistant_id="asks_of_text")
    )
    found = pages(small.threads.ListPauses, request)
    assert [len(page.pauses) for page in found] == [2, 2, 2, 1]
    assert [pause.run_id for page in found for pause in page.pauses] == [
        run.run_id for run in reversed(runs)
    ]
    listed = threads_pb2.ListThreadsRequest(
        filter=threads_pb2.ThreadFilter(thread_ids=[run.thread_id for run in runs])
    )
    found = pages(small.threads.ListThreads, listed)
    assert [len(page.threads) for page in found] == [2, 2, 2, 1]


def test_an_answer_that_is_too_large_says_so_and_can_be_had_whole(small: Limited) -> None:
    thread = thread_of(small, 100, 9000)
    run = small.runs.ListRuns(runs_pb2.ListRunsRequest(thread_id=thread), timeout=DEADLINE).runs[0]
    of_thread = threads_pb2.GetThreadRequest(thread_id=thread)
    of_thread.read_mask.paths.append("values")
    of_list = threads_pb2.ListThreadsRequest(
        filter=threads_pb2.ThreadFilter(thread_ids=[thread]), read_mask=of_thread.read_mask
    )
    calls: dict[str, tuple[Any, Any]] = {
        "WaitRun": (small.runs.WaitRun, runs_pb2.WaitRunRequest(run_id=run.run_id)),
        "GetThread": (small.threads.GetThread, of_thread),
        "ListThreads": (small.threads.ListThreads, of_list),
        "GetThreadState": (
            small.threads.GetThreadState,
            threads_pb2.GetThreadStateRequest(thread_id=thread),
        ),
        "ListThreadHistory": (
            small.threads.ListThreadHistory,
            threads_pb2.ListThreadHistoryRequest(thread_id=thread),
        ),
    }
    for form in FORMS:
        for name, (call, request) in calls.items():
            with refused("RESOURCE_EXHAUSTED", "LIMIT_REACHED") as refusal:
                call(request, timeout=DEADLINE, metadata=form)
            assert refusal.retry_after is None
            assert int(refusal.metadata.pop("value")) > 9000
            assert refusal.metadata == {"limit": "max_response_bytes", "maximum": str(ANSWER)}
            assert refusal.text.startswith(f"the answer of {name} has ")
            assert "graphwire-events: whole" in refusal.text
            whole = call(request, timeout=DEADLINE, metadata=(*form, *WHOLE))
            assert "x" * 9000 in str(whole)
    # What is too large can be left out, or passed over.
    of_list.read_mask.paths[:] = ["thread_id"]
    of_list.extract["size"] = "size"
    (listed,) = small.threads.ListThreads(of_list, timeout=DEADLINE).threads
    assert value(listed.extracted["size"]) == 9000


def test_what_was_done_is_told_whatever_its_size(small: Limited) -> None:
    thread = thread_of(small, 100)
    edit = threads_pb2.UpdateThreadStateRequest(
        thread_id=thread, values=payload({"text": "x" * 9000}), as_node="grow"
    )
    edited = small.threads.UpdateThreadState(edit, timeout=DEADLINE).state
    assert value(edited.values)["text"] == "x" * 9000


def test_our_client_gets_answers_of_any_size_and_pages_through_lists(small: Limited) -> None:
    thread = thread_of(small, 9000, 9000)
    with Client(small.process.address) as client:
        assert client.threads.state(thread).values["text"] == "x" * 9000
        assert len(list(client.threads.history(thread))) == 8
