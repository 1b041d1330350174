"""ListThreads: in which order, which fields, and which parts of the states."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from graphwire.v1 import runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import DEADLINE, new_thread, payload, refused, value
from tests.e2e.driven import DrivenThread

Runs = runs_pb2_grpc.RunsStub
Threads = threads_pb2_grpc.ThreadsStub


@dataclass(frozen=True)
class Crowd:
    """Threads of one mark: `new`, on which nothing has run, `done` and `paused`, in this order."""

    stub: Threads
    mark: str
    new: str
    done: str
    paused: str

    def request(self, **fields: Any) -> threads_pb2.ListThreadsRequest:
        """A list of these threads."""
        which = threads_pb2.ThreadFilter(metadata=payload({"mark": self.mark}))
        return threads_pb2.ListThreadsRequest(filter=which, **fields)

    def page(self, **fields: Any) -> list[threads_pb2.Thread]:
        """The threads of one page."""
        return list(self.stub.ListThreads(self.request(**fields), timeout=DEADLINE).threads)

    def pages(self, **fields: Any) -> list[str]:
        """The names of the threads, of pages of one."""
        names = {self.new: "new", self.done: "done", self.paused: "paused"}
        found: list[str] = []
        token = ""
        while not found or token:
            request = self.request(page_size=1, page_token=token, **fields)
            response = self.stub.ListThreads(request, timeout=DEADLINE)
            found += [names[thread.thread_id] for thread in response.threads]
            token = response.next_page_token
        return found


@pytest.fixture(scope="module")
def crowd(runs: Runs, threads: Threads) -> Crowd:
    mark = str(uuid.uuid4())
    # Their ids are in another order than their times.
    ids = [f"{prefix}-{mark}" for prefix in ("m", "z", "a")]
    for thread_id in ids:
        new_thread(threads, thread_id=thread_id, metadata=payload({"mark": mark}))
    new, done, paused = ids
    DrivenThread(runs, threads, paused).start("linear", interrupt_before=["b"])
    DrivenThread(runs, threads, done).start("linear")
    change = threads_pb2.UpdateThreadRequest(thread_id=new, metadata=payload({"changed": True}))
    threads.UpdateThread(change, timeout=DEADLINE)
    return Crowd(threads, mark, new, done, paused)


@pytest.mark.parametrize(
    ("order", "descending", "ascending"),
    [
        ("UNSPECIFIED", "paused done new", "new done paused"),
        ("CREATE_TIME", "paused done new", "new done paused"),
        ("UPDATE_TIME", "new done paused", "paused done new"),
        # That without a state comes last in any case.
        ("STATE_UPDATE_TIME", "done paused new", "paused done new"),
        ("THREAD_ID", "done new paused", "paused new done"),
        ("STATUS", "paused done new", "new done paused"),
    ],
)
def test_threads_are_listed_in_the_order_that_is_asked_for(
    crowd: Crowd, order: str, descending: str, ascending: str
) -> None:
    by = threads_pb2.ThreadOrder.Value(f"THREAD_ORDER_{order}")
    assert crowd.pages(order_by=by) == descending.split()
    down, up = threads_pb2.SORT_DIRECTION_DESCENDING, threads_pb2.SORT_DIRECTION_ASCENDING
    assert crowd.pages(order_by=by, direction=down) == descending.split()
    assert crowd.pages(order_by=by, direction=up) == ascending.split()


@pytest.mark.parametrize(
    "change",
    [
        {"order_by": threads_pb2.THREAD_ORDER_UPDATE_TIME},
        {"direction": threads_pb2.SORT_DIRECTION_ASCENDING},
    ],
    ids=str,
)
def test_a_page_token_is_for_one_order(crowd: Crowd, change: dict[str, Any]) -> None:
    first = crowd.stub.ListThreads(crowd.request(page_size=1), timeout=DEADLINE)
    with refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token"):
        crowd.page(page_token=first.next_page_token, **change)


def test_threads_are_found_by_their_ids(crowd: Crowd) -> None:
    ids = [crowd.paused, "nobody", crowd.new, crowd.paused]
    which = threads_pb2.ThreadFilter(thread_ids=ids)
    request = threads_pb2.ListThreadsRequest(filter=which)
    found = crowd.stub.ListThreads(request, timeout=DEADLINE).threads
    assert [thread.thread_id for thread in found] == [crowd.paused, crowd.new]
    counted = crowd.stub.CountThreads(threads_pb2.CountThreadsRequest(filter=which))
    assert counted.count == 2


def test_the_state_update_time_is_that_of_the_last_end_pause_or_edit(
    crowd: Crowd, thread: DrivenThread
) -> None:
    assert not thread.now.HasField("state_update_time")
    thread.start("linear", interrupt_before=["b"])
    paused = thread.now
    assert paused.state_update_time == paused.update_time
    change = threads_pb2.UpdateThreadRequest(
        thread_id=thread.thread_id, metadata=payload({"changed": True})
    )
    changed = thread.threads_stub.UpdateThread(change, timeout=DEADLINE).thread
    assert changed.state_update_time == paused.state_update_time != changed.update_time
    thread.edit({"log": ["x"]}, as_node="a")
    assert thread.now.state_update_time == thread.now.update_time != changed.update_time


def test_without_a_mask_there_is_everything_but_the_values(crowd: Crowd) -> None:
    for found in crowd.page():
        request = threads_pb2.GetThreadRequest(thread_id=found.thread_id)
        assert crowd.stub.GetThread(request, timeout=DEADLINE).thread == found
        assert found.HasField("create_time")
        assert not found.HasField("values")


@pytest.mark.parametrize("names", [["values"], ["thread_id", "values"], ["status"], ["pauses"]])
def test_only_the_fields_of_the_mask_are_returned(crowd: Crowd, names: list[str]) -> None:
    mask = FieldMask(paths=names)
    for found in crowd.page(read_mask=mask):
        assert {field.name for field, _ in found.ListFields()} <= {*names}
    listed = {"paused": ["in", "a"], "done": ["in", "a", "b", "c"]}
    for name, log in listed.items():
        thread_id = getattr(crowd, name)
        request = threads_pb2.GetThreadRequest(thread_id=thread_id, read_mask=mask)
        found = crowd.stub.GetThread(request, timeout=DEADLINE).thread
        assert {field.name for field, _ in found.ListFields()} == {*names} - (
            {"pauses"} if name == "done" else set()
        )
        if "values" in names:
            assert value(found.values) == {"log": log}
            by_id = {t.values.json: t for t in crowd.page(read_mask=mask)}
            assert found.values.json in by_id


def test_a_thread_without_a_state_has_no_values(crowd: Crowd) -> None:
    mask = FieldMask(paths=["values", "metadata"])
    request = threads_pb2.GetThreadRequest(thread_id=crowd.new, read_mask=mask)
    found = crowd.stub.GetThread(request, timeout=DEADLINE).thread
    assert {field.name for field, _ in found.ListFields()} == {"metadata"}


def test_parts_of_the_state_are_extracted(crowd: Crowd) -> None:
    extract = {"last": "log[-1]", "fourth": '["log"][3]', "whole": "log", "none": "total.sum"}
    found = {
        t.thread_id: {name: value(part) for name, part in t.extracted.items()}
        for t in crowd.page(extract=extract)
    }
    whole = ["in", "a", "b", "c"]
    assert found == {
        crowd.new: dict.fromkeys(extract),
        crowd.paused: {"last": "a", "fourth": None, "whole": whole[:2], "none": None},
        crowd.done: {"last": "c", "fourth": "c", "whole": whole, "none": None},
    }


def test_what_is_extracted_comes_whatever_the_mask_says(crowd: Crowd) -> None:
    mask = FieldMask(paths=["thread_id"])
    for found in crowd.page(read_mask=mask, extract={"last": "log[-1]"}):
        assert {field.name for field, _ in found.ListFields()} == {"thread_id", "extracted"}
    # The values are only read for it.
    assert not any(t.HasField("values") for t in crowd.page(extract={"last": "log[-1]"}))
