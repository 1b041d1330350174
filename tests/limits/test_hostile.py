"""Hostile requests, made by hand: each is refused clearly, and the server serves the next one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from graphwire.v1 import payload_pb2, runs_pb2, server_pb2, threads_pb2

from tests.e2e.drive import DEADLINE, refusal_of, value
from tests.limits.limited import Limited, limited


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    """A server with the limits that it has by itself."""
    with limited(tmp_path_factory.mktemp("hostile")) as server:
        yield server


@pytest.fixture(autouse=True)
def _still_serves(plain: Limited) -> Iterator[None]:
    yield
    assert plain.server.GetServerInfo(server_pb2.GetServerInfoRequest(), timeout=DEADLINE).version


def create(server: Limited, text: str) -> Any:
    request = threads_pb2.CreateThreadRequest(metadata=payload_pb2.Payload(json=text))
    return server.threads.CreateThread(request, timeout=DEADLINE).thread


def start(server: Limited, text: str) -> Any:
    request = runs_pb2.CreateRunRequest(assistant_id="held", input=payload_pb2.Payload(json=text))
    return server.runs.CreateRun(request, timeout=DEADLINE).run


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 50_000 + "]" * 50_000, "is nested deeper than 100 levels"),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, "is nested deeper than 100 levels"),
        ('{"n": 1' + "0" * 5000 + "}", "outside 64 bits"),
        ('{"n": 1e999}', "1e999"),
        ('{"n": NaN}', "NaN is not JSON"),
        ('{"n": -Infinity}', "-Infinity is not JSON"),
        ('{"s": "\\ud800"}', "lone surrogate"),
        ('{"s": "a\u0000b"}', "control character"),
        ('{"s": "' + "x" * 10_000_000 + '"}', "at most 4194304 are allowed"),
        ("{" + ",".join(f'"k{i}":1' for i in range(100_000)) + "}", ""),
    ],
    ids=lambda each: each[:20] if isinstance(each, str) else "",
)
def test_a_text_that_is_no_payload_is_refused_and_named(
    plain: Limited, text: str, why: str
) -> None:
    for call in (create, start):
        if call is start and not why:
            continue  # many keys are wrong in metadata alone
        with pytest.raises(grpc.RpcError) as caught:
            call(plain, text)
        refusal = refusal_of(caught.value)
        assert (refusal.code, refusal.reason) == ("INVALID_ARGUMENT", "INVALID_PAYLOAD")
        assert why in refusal.text


def test_what_is_odd_and_right_is_kept_as_it_is(plain: Limited) -> None:
    odd = {"nul": "a\u0000b", "": 1, "emoji": "\U0001f600", "big": 2**63, "k\u0000": [None]}
    assert value(create(plain, json.dumps(odd)).metadata) == odd


def test_a_list_of_100_000_is_taken(plain: Limited) -> None:
    items = json.dumps({"size": 1, "path": "/", "answer": list(range(100_000))})
    run = start(plain, items)
    assert len(value(plain.wait(run.run_id).values)["answer"]) == 100_000


@pytest.mark.parametrize("thread_id", ["a\x00b", "a\nb", "\u202ea", "../a", "x" * 10_000])
def test_an_id_of_odd_characters_is_refused(plain: Limited, thread_id: str) -> None:
    request = threads_pb2.CreateThreadRequest(thread_id=thread_id)
    with pytest.raises(grpc.RpcError) as caught:
        plain.threads.CreateThread(request, timeout=DEADLINE)
    refusal = refusal_of(caught.value)
    assert (refusal.code, refusal.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert list(refusal.fields) == ["thread_id"]


@pytest.mark.parametrize("size", [-1, -(2**31)])
def test_a_negative_page_is_refused_and_a_huge_one_is_the_largest(
    plain: Limited, size: int
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        plain.threads.ListThreads(threads_pb2.ListThreadsRequest(page_size=size), timeout=DEADLINE)
    refusal = refusal_of(caught.value)
    assert refusal.reason == "INVALID_FIELD"
    assert f"is {size}; must be 0" in refusal.text
    huge = threads_pb2.ListThreadsRequest(page_size=2**31 - 1)
    assert len(plain.threads.ListThreads(huge, timeout=DEADLINE).threads) <= 1000


def test_metadata_grows_by_patches_only_up_to_the_limit(plain: Limited) -> None:
    thread = create(plain, json.dumps({f"k{i}": i for i in range(100)}))
    patch = threads_pb2.UpdateThreadRequest(
        thread_id=thread.thread_id,
        metadata=payload_pb2.Payload(json=json.dumps({f"m{i}": i for i in range(29)})),
    )
    with pytest.raises(grpc.RpcError) as caught:
        plain.threads.UpdateThread(patch, timeout=DEADLINE)
    refusal = refusal_of(caught.value)
    assert (refusal.reason, list(refusal.fields)) == ("INVALID_PAYLOAD", ["metadata"])
    assert "has 129 keys; metadata may have 128 (max_metadata_keys)" in refusal.text


def test_a_long_request_id_of_a_caller_does_not_get_into_the_log(plain: Limited) -> None:
    metadata = (("x-request-id", "r" * 4000),)
    info = server_pb2.GetServerInfoRequest()
    assert plain.server.GetServerInfo(info, timeout=DEADLINE, metadata=metadata).version
    assert "r" * 4000 not in plain.process.log
