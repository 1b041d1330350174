"""Errors: what a caller sees of them, on the wire and in its details."""

from __future__ import annotations

import grpc
import pytest
from graphwire.v1 import (
    payload_pb2,
    run_pb2,
    runs_pb2,
    runs_pb2_grpc,
    threads_pb2,
    threads_pb2_grpc,
)

from tests.e2e.drive import DEADLINE, new_thread, payload, refused, stream
from tests.e2e.wire import PATHS, call, request_type

ERROR_INFO = "google.rpc.ErrorInfo"
BAD_REQUEST = "google.rpc.BadRequest"
PRECONDITION = "google.rpc.PreconditionFailure"
RESOURCE = "google.rpc.ResourceInfo"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
LOG = payload({"log": ["in"]})


def test_invalid_argument_says_which_field_is_wrong_and_why(
    threads: threads_pb2_grpc.ThreadsStub,
) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "thread_id") as refusal:
        threads.GetThread(threads_pb2.GetThreadRequest(thread_id="-x"), timeout=DEADLINE)
    why = "must be 1 to 128 letters, digits and -_.: and begin with a letter or digit"
    assert refusal.details == [ERROR_INFO, BAD_REQUEST]
    assert refusal.fields == {"thread_id": why}
    assert refusal.text == f"thread_id: {why}"


def test_not_found_says_what_was_not_found(runs: runs_pb2_grpc.RunsStub) -> None:
    with refused("NOT_FOUND", "RUN_NOT_FOUND") as refusal:
        runs.GetRun(runs_pb2.GetRunRequest(run_id=UNKNOWN_ID), timeout=DEADLINE)
    assert refusal.details == [ERROR_INFO, RESOURCE]
    assert refusal.resource == ("run", UNKNOWN_ID)
    assert refusal.text == f"there is no run {UNKNOWN_ID}"


def test_already_exists_says_what_exists(threads: threads_pb2_grpc.ThreadsStub) -> None:
    thread = new_thread(threads)
    with refused("ALREADY_EXISTS", "THREAD_EXISTS") as refusal:
        new_thread(threads, thread_id=thread)
    assert refusal.details == [ERROR_INFO, RESOURCE]
    assert refusal.resource == ("thread", thread)


def test_failed_precondition_says_which_condition_and_of_what(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    thread = new_thread(threads)
    stream(runs, thread_id=thread, assistant_id="linear", input=LOG, interrupt_before=["b"])
    with refused("FAILED_PRECONDITION", "THREAD_INTERRUPTED") as refusal:
        stream(runs, thread_id=thread, assistant_id="linear", input=LOG)
    assert refusal.details == [ERROR_INFO, PRECONDITION]
    assert refusal.metadata == {"thread_id": thread}
    assert refusal.precondition == ("THREAD_INTERRUPTED", f"thread/{thread}", refusal.text)


def test_out_of_range_says_where_the_range_ends(
    runs: runs_pb2_grpc.RunsStub, threads: threads_pb2_grpc.ThreadsStub
) -> None:
    run_id = stream(runs, assistant_id="linear", input=LOG)[0].run_id
    with refused("OUT_OF_RANGE", "SEQUENCE_OUT_OF_RANGE", "after_sequence") as refusal:
        list(runs.JoinRun(runs_pb2.JoinRunRequest(run_id=run_id, after_sequence=6)))
    assert refusal.metadata == {"last_sequence": "5"}


@pytest.mark.parametrize("name", PATHS)
def test_bytes_that_are_no_message_are_an_invalid_argument(
    grpc_channel: grpc.Channel, name: str
) -> None:
    damaged = {
        "a field that can't be": b"\xff\xff\xff",
        "cut short": b"\x0a\x05ab",
        "a number without end": b"\x08" + b"\xff" * 11,
    }
    first = request_type(name).DESCRIPTOR.fields_by_number.get(1)
    if first is not None and first.type == first.TYPE_STRING:
        damaged["not UTF-8"] = b"\x0a\x02\xc3\x28"
    for data in damaged.values():
        with refused("INVALID_ARGUMENT", "INVALID_FIELD", "") as refusal:
            call(grpc_channel, name, data)
        assert refusal.text == (
            "the request is no message of this method: it is damaged, or has a text that is not "
            "UTF-8, or messages more than 100 levels deep"
        )


def test_a_request_larger_than_the_limit_is_refused(grpc_channel: grpc.Channel) -> None:
    request = threads_pb2.GetThreadRequest(thread_id="x" * (16 * 1024 * 1024))
    with refused("RESOURCE_EXHAUSTED", "") as refusal:
        call(grpc_channel, "GetThread", request)
    assert "larger than max" in refusal.text
    assert "16777216" in refusal.text
    request = threads_pb2.GetThreadRequest(thread_id="x" * (16 * 1024 * 1024 - 10))
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", "thread_id"):
        call(grpc_channel, "GetThread", request)


HUGE = 100_000


@pytest.mark.parametrize("letter", ["x", "ß", "\U0001f600", "\x00", "%", "\n"])
def test_an_error_about_something_huge_still_arrives_whole(
    grpc_channel: grpc.Channel, threads: threads_pb2_grpc.ThreadsStub, letter: str
) -> None:
    huge = letter * HUGE
    thread = new_thread(threads)
    run = runs_pb2.CreateRunRequest
    with refused("NOT_FOUND", "ASSISTANT_NOT_FOUND") as refusal:
        call(grpc_channel, "CreateRun", run(assistant_id=huge, input=LOG))
    assert refusal.details == [ERROR_INFO, RESOURCE]
    with refused("INVALID_ARGUMENT", "UNKNOWN_NODE", "interrupt_before[0]") as refusal:
        request = run(assistant_id="linear", input=LOG, interrupt_before=[huge])
        call(grpc_channel, "CreateRun", request)
    assert refusal.metadata["nodes"] == "a, b, c"
    with refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN"):
        request = run(
            thread_id=thread, assistant_id="linear", resume=run_pb2.Resume(pause_ids=[huge])
        )
        call(grpc_channel, "CreateRun", request)
    with refused("INVALID_ARGUMENT", "RESERVED_KEY", "context"):
        request = run(assistant_id="linear", input=LOG, context=payload({f"__{huge}": 1}))
        call(grpc_channel, "CreateRun", request)
    request = run(
        thread_id=thread,
        assistant_id="linear",
        resume=run_pb2.Resume(answers={huge: payload_pb2.Payload()}),
    )
    with pytest.raises(grpc.RpcError) as caught:
        call(grpc_channel, "CreateRun", request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "resume.answers[" in str(caught.value.details())
