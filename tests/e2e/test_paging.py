"""Pages of lists: every item once, in order; tokens for one method and filter only."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from graphwire.v1 import (
    assistants_pb2,
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.e2e.drive import DEADLINE, new_thread, payload, refused, stream
from tests.e2e.wire import call
from tests.servers import ZOO

Runs = runs_pb2_grpc.RunsStub
Threads = threads_pb2_grpc.ThreadsStub

LOG = payload({"log": ["in"]})
LISTS = ["ListThreads", "ListRuns", "ListThreadHistory", "ListAssistants"]
ASSISTANTS = sorted(json.loads((ZOO / "langgraph.json").read_text())["graphs"])


class Listed:
    """A list, and what is in it.

    Attributes:
        name: The RPC.
        request: The request for it.
        ids: What is in it, in order.
    """

    def __init__(self, channel: grpc.Channel, name: str, request: Any, ids: list[str]) -> None:
        self.name, self.request, self.ids = name, request, ids
        self._channel = channel

    def page(self, size: int = 0, token: str = "", **change: Any) -> tuple[list[str], str]:
        """The ids of one page, and the token of the next."""
        request = type(self.request)()
        request.CopyFrom(self.request)
        request.MergeFrom(type(request)(page_size=size, page_token=token, **change))
        (response,) = call(self._channel, self.name, request)
        items, id_field = {
            "ListThreads": ("threads", "thread_id"),
            "ListRuns": ("runs", "run_id"),
            "ListThreadHistory": ("states", "checkpoint_id"),
            "ListAssistants": ("assistants", "assistant_id"),
        }[self.name]
        return [getattr(item, id_field) for item in getattr(response, items)], str(
            response.next_page_token
        )

    def pages(self, *sizes: int) -> Iterator[list[str]]:
        """The ids of each page, with these sizes in turn, the last of them for the rest."""
        token, turn = "", 0
        while True:
            ids, token = self.page(sizes[min(turn, len(sizes) - 1)], token)
            yield ids
            turn += 1
            if not token:
                return


@pytest.fixture(scope="module")
def lists(grpc_channel: grpc.Channel) -> dict[str, Listed]:
    """One list of each kind, of five items or more."""
    runs, threads = Runs(grpc_channel), Threads(grpc_channel)
    mark = payload({"mark": str(uuid.uuid4())})
    made = [new_thread(threads, metadata=mark) for _ in range(5)]
    ran = [stream(runs, thread_id=made[0], assistant_id="linear", input=LOG) for _ in range(5)]
    request = threads_pb2.ListThreadHistoryRequest(thread_id=made[0], page_size=100)
    history = [state.checkpoint_id for state in threads.ListThreadHistory(request).states]
    assert len(history) == 25
    found = [
        Listed(
            grpc_channel,
            "ListThreads",
            threads_pb2.ListThreadsRequest(filter=threads_pb2.ThreadFilter(metadata=mark)),
            made[::-1],
        ),
        Listed(
            grpc_channel,
            "ListRuns",
            runs_pb2.ListRunsRequest(thread_id=made[0]),
            [events[0].run_id for events in reversed(ran)],
        ),
        Listed(
            grpc_channel,
            "ListThreadHistory",
            threads_pb2.ListThreadHistoryRequest(thread_id=made[0]),
            history,
        ),
        # Those that other tests make are left out.
        Listed(
            grpc_channel,
            "ListAssistants",
            assistants_pb2.ListAssistantsRequest(
                filter=assistants_pb2.AssistantFilter(metadata=payload({"created_by": "system"}))
            ),
            ASSISTANTS,
        ),
    ]
    return {listed.name: listed for listed in found}


@pytest.mark.parametrize("sizes", [(1,), (2,), (3, 1), (1, 4, 2), (1000,)], ids=str)
@pytest.mark.parametrize("name", LISTS)
def test_pages_of_any_size_have_every_item_once_and_in_order(
    lists: dict[str, Listed], name: str, sizes: tuple[int, ...]
) -> None:
    pages = list(lists[name].pages(*sizes))
    assert [item for page in pages for item in page] == lists[name].ids
    for index, page in enumerate(pages[:-1]):
        assert len(page) == sizes[min(index, len(sizes) - 1)]
    assert pages[-1]


@pytest.mark.parametrize("name", LISTS)
def test_a_page_that_holds_the_last_item_has_no_token(lists: dict[str, Listed], name: str) -> None:
    listed = lists[name]
    for size in (len(listed.ids), len(listed.ids) + 1, 1001, 2**31 - 1):
        assert listed.page(size) == (listed.ids, "")


@pytest.mark.parametrize("name", LISTS)
def test_a_token_can_be_used_again(lists: dict[str, Listed], name: str) -> None:
    _, token = lists[name].page(2)
    assert lists[name].page(2, token) == lists[name].page(2, token)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("other", LISTS)
def test_a_token_of_another_method_is_refused(
    lists: dict[str, Listed], name: str, other: str
) -> None:
    _, token = lists[other].page(2)
    if name == other:
        assert lists[name].page(1, token)[0] == lists[name].ids[2:3]
        return
    with refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token"):
        lists[name].page(2, token)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ListThreads", {"filter": threads_pb2.ThreadFilter(assistant_id="linear")}),
        ("ListThreads", {"filter": threads_pb2.ThreadFilter(metadata=payload({"mark": "other"}))}),
        (
            "ListThreads",
            {"filter": threads_pb2.ThreadFilter(statuses=[threads_pb2.THREAD_STATUS_IDLE])},
        ),
        ("ListThreads", {"filter": threads_pb2.ThreadFilter(values=payload({}))}),
        ("ListRuns", {"statuses": [run_pb2.RUN_STATUS_SUCCEEDED]}),
    ],
    ids=["assistant", "metadata", "status", "values", "status of runs"],
)
def test_a_token_of_another_filter_is_refused(
    lists: dict[str, Listed], name: str, change: dict[str, Any]
) -> None:
    _, token = lists[name].page(2)
    with refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token"):
        lists[name].page(2, token, **change)


@pytest.mark.parametrize("name", ["ListRuns", "ListThreadHistory"])
def test_a_token_of_another_thread_is_refused(
    lists: dict[str, Listed], threads: Threads, name: str
) -> None:
    _, token = lists[name].page(2)
    with refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token"):
        lists[name].page(2, token, thread_id=new_thread(threads))


def _forged(token: str, change: Callable[[list[Any]], Any]) -> str:
    """A token with another content."""
    content = change(json.loads(base64.urlsafe_b64decode(token)))
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize("name", LISTS)
def test_a_token_that_was_tampered_with_is_refused(lists: dict[str, Listed], name: str) -> None:
    _, token = lists[name].page(2)
    tampered = [
        "x",
        "é",
        token[:-4],
        token + "AAAA",
        f" {token}",
        base64.urlsafe_b64encode(b"\xff").decode(),
        base64.urlsafe_b64encode(b"{}").decode(),
        _forged(token, lambda place: place[0]),
        _forged(token, lambda place: place[:1]),
        _forged(token, lambda place: [*place, 1]),
        _forged(token, lambda place: ["0" * 16, *place[1:]]),
        _forged(token, lambda place: [place[0], *([None] * len(place[1:]))]),
        _forged(token, lambda place: [place[0], *([True] * len(place[1:]))]),
        _forged(token, lambda place: [place[0], 2**63, *place[2:]]),
        _forged(token, lambda place: [place[0], -(2**63), *place[2:]]),
    ]
    for bad in tampered:
        with refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token"):
            lists[name].page(2, bad)


def test_what_is_made_while_one_pages_is_not_in_later_pages(threads: Threads) -> None:
    mark = payload({"mark": str(uuid.uuid4())})
    made = [new_thread(threads, metadata=mark) for _ in range(4)]
    which = threads_pb2.ThreadFilter(metadata=mark)

    def page(token: str = "") -> threads_pb2.ListThreadsResponse:
        request = threads_pb2.ListThreadsRequest(filter=which, page_size=2, page_token=token)
        return threads.ListThreads(request, timeout=DEADLINE)

    first = page()
    newer = new_thread(threads, metadata=mark)
    second = page(first.next_page_token)
    ids = [thread.thread_id for thread in (*first.threads, *second.threads)]
    assert ids == made[::-1]
    assert second.next_page_token == ""
    assert page().threads[0].thread_id == newer


def test_what_is_deleted_while_one_pages_loses_nothing_else(threads: Threads) -> None:
    mark = payload({"mark": str(uuid.uuid4())})
    made = [new_thread(threads, metadata=mark) for _ in range(4)][::-1]
    which = threads_pb2.ThreadFilter(metadata=mark)
    request = threads_pb2.ListThreadsRequest(filter=which, page_size=2)
    first = threads.ListThreads(request, timeout=DEADLINE)
    # The last one of the page, from which the next page goes on, and the first of the next.
    for thread in made[1:3]:
        threads.DeleteThread(threads_pb2.DeleteThreadRequest(thread_id=thread), timeout=DEADLINE)
    request.page_token = first.next_page_token
    second = threads.ListThreads(request, timeout=DEADLINE)
    assert [thread.thread_id for thread in second.threads] == made[3:]


def test_a_page_without_a_size_has_50_items_and_of_history_20(
    runs: Runs, threads: Threads, lists: dict[str, Listed]
) -> None:
    mark = payload({"mark": str(uuid.uuid4())})
    for _ in range(51):
        new_thread(threads, metadata=mark)
    which = threads_pb2.ThreadFilter(metadata=mark)
    page = threads.ListThreads(threads_pb2.ListThreadsRequest(filter=which), timeout=DEADLINE)
    assert len(page.threads) == 50
    assert page.next_page_token
    assert lists["ListThreadHistory"].page()[0] == lists["ListThreadHistory"].ids[:20]


def test_a_page_has_1000_items_at_the_most(threads: Threads) -> None:
    mark = payload({"mark": str(uuid.uuid4())})
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: new_thread(threads, metadata=mark), range(1001)))
    which = threads_pb2.ThreadFilter(metadata=mark)
    request = threads_pb2.ListThreadsRequest(filter=which, page_size=1001)
    page = threads.ListThreads(request, timeout=DEADLINE)
    assert len(page.threads) == 1000
    request.page_token = page.next_page_token
    rest = threads.ListThreads(request, timeout=DEADLINE)
    assert (len(rest.threads), rest.next_page_token) == (1, "")
    assert len({t.thread_id for t in (*page.threads, *rest.threads)}) == 1001


def test_pages_may_be_read_in_either_form_of_payloads(
    grpc_channel: grpc.Channel, lists: dict[str, Listed]
) -> None:
    request = lists["ListThreads"].request
    in_value_form = [("graphwire-payload", "value")]
    (first,) = call(grpc_channel, "ListThreads", type(request)(filter=request.filter, page_size=2))
    rest = type(request)(filter=request.filter, page_token=first.next_page_token)
    (second,) = call(grpc_channel, "ListThreads", rest, metadata=in_value_form)
    ids = [thread.thread_id for thread in (*first.threads, *second.threads)]
    assert ids == lists["ListThreads"].ids
    forms = {thread.metadata.WhichOneof("form") for thread in second.threads}
    assert forms == {"value"}


def test_an_empty_list_is_one_empty_page(threads: Threads, runs: Runs) -> None:
    nobodys = threads_pb2.ThreadFilter(metadata=payload({"mark": str(uuid.uuid4())}))
    listed = threads.ListThreads(threads_pb2.ListThreadsRequest(filter=nobodys), timeout=DEADLINE)
    assert listed == threads_pb2.ListThreadsResponse()
    thread = new_thread(threads)
    no_runs = runs.ListRuns(runs_pb2.ListRunsRequest(thread_id=thread), timeout=DEADLINE)
    assert no_runs == runs_pb2.ListRunsResponse()
    request = threads_pb2.ListThreadHistoryRequest(thread_id=thread)
    history = threads.ListThreadHistory(request, timeout=DEADLINE)
    assert history == threads_pb2.ListThreadHistoryResponse()


def test_runs_are_listed_by_status(runs: Runs, threads: Threads) -> None:
    thread = new_thread(threads)
    first = stream(runs, thread_id=thread, assistant_id="stops", input=LOG)[0].run_id
    second = stream(runs, thread_id=thread, resume={})[0].run_id
    third = stream(runs, thread_id=thread, resume={})[0].run_id

    def listed(*statuses: run_pb2.RunStatus.ValueType) -> list[str]:
        request = runs_pb2.ListRunsRequest(thread_id=thread, statuses=statuses)
        return [run.run_id for run in runs.ListRuns(request, timeout=DEADLINE).runs]

    paused, ended = run_pb2.RUN_STATUS_INTERRUPTED, run_pb2.RUN_STATUS_SUCCEEDED
    assert listed() == [third, second, first]
    assert listed(paused) == [second, first]
    assert listed(ended) == [third]
    assert listed(ended, paused, paused) == [third, second, first]
    assert listed(run_pb2.RUN_STATUS_PENDING) == []
    # As the contract says of UNSPECIFIED: in a filter, any.
    assert listed(run_pb2.RUN_STATUS_UNSPECIFIED) == [third, second, first]
