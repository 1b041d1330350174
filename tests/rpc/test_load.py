"""What is under way: who is let in, and who is refused."""

from __future__ import annotations

import pytest
from graphwire import errors
from graphwire.v1 import breakpoint_pb2, run_pb2, runs_pb2
from graphwire_server.rpc.load import MOST_LOOKED_AT, Load, LoadLimits, Place, is_resume

from tests.e2e.drive import payload

RUNS, THREADS = "/graphwire.v1.Runs/", "/graphwire.v1.Threads/"
RESUME = runs_pb2.CreateRunRequest(thread_id="t" * 300, resume=run_pb2.Resume()).SerializeToString()
INPUT = runs_pb2.CreateRunRequest(thread_id="t", input=payload({"a": 1})).SerializeToString()


def refused(load: Load, method: str, data: bytes = b"") -> dict[str, str]:
    with pytest.raises(errors.LimitReachedError) as caught:
        load.enter(method, data)
    assert caught.value.retry_after is not None
    assert 0.5 <= caught.value.retry_after <= 1.5
    return caught.value.metadata


def test_calls_and_what_steers_work_have_places_of_their_own() -> None:
    load = Load(LoadLimits(calls=2))
    calls = [load.enter(f"{THREADS}GetThread", b"") for _ in range(2)]
    steering = [load.enter(f"{RUNS}CancelRun", b""), load.enter(f"{RUNS}CreateRun", RESUME)]
    full = {"limit": "max_concurrent_calls", "value": "3", "maximum": "2"}
    assert refused(load, f"{RUNS}CreateRun", INPUT) == full
    assert refused(load, f"{RUNS}PauseRun") == full
    calls[0].leave()
    load.enter(f"{RUNS}CreateRun", INPUT)
    assert refused(load, f"{THREADS}GetThread") == full
    steering[1].leave()
    load.enter(f"{RUNS}CancelRuns", b"")


def test_streams_are_counted_apart_and_by_principal() -> None:
    load = Load(LoadLimits(calls=1, streams=3, streams_of_one=2))
    load.enter(f"{THREADS}GetThread", b"")

    def open_stream(principal: str, method: str = f"{RUNS}JoinRun") -> Place:
        place = load.enter(method, b"")
        try:
            place.belongs_to(principal)
        except errors.LimitReachedError:
            place.leave()
            raise
        return place

    first = open_stream("ann")
    open_stream("ann", f"{RUNS}WaitRun")
    with pytest.raises(errors.LimitReachedError) as caught:
        open_stream("ann")
    assert caught.value.metadata == {
        "limit": "max_streams_per_principal",
        "value": "3",
        "maximum": "2",
    }
    open_stream("bob")
    assert refused(load, f"{THREADS}JoinThread")["limit"] == "max_streams"
    first.leave()
    open_stream("ann")


def test_a_text_says_how_many_are_open() -> None:
    load = Load(LoadLimits(calls=1, streams=2, streams_of_one=1))
    for method in ("CancelRun", "GetRun", "JoinRun", "WaitRun"):
        load.enter(f"{RUNS}{method}", b"").belongs_to(method)

    def text(method: str) -> str:
        with pytest.raises(errors.LimitReachedError) as caught:
            load.enter(f"{RUNS}{method}", b"")
        return caught.value.message

    rest = "try again in a moment, or at another one"
    assert text("GetRun") == (
        "1 call is open at this server, which is as many as it takes (max_concurrent_calls); "
        f"{rest}"
    )
    assert text("CancelRun").startswith("1 call that cancels, pauses or resumes is open at ")
    assert text("JoinRun") == (
        f"2 streams are open at this server, which is as many as it takes (max_streams); {rest}"
    )


def test_who_streams_the_answer_to_a_pause_is_let_in_when_others_are_not() -> None:
    load = Load(LoadLimits(streams=1))
    load.enter(f"{RUNS}StreamRun", INPUT)
    assert refused(load, f"{RUNS}StreamRun", INPUT)["maximum"] == "1"
    load.enter(f"{RUNS}StreamRun", RESUME)
    assert refused(load, f"{RUNS}StreamRun", RESUME)["maximum"] == "2"


def test_a_call_that_waits_after_all_gives_its_place_to_others() -> None:
    load = Load(LoadLimits(calls=1, streams_of_one=1))
    cancel = load.enter(f"{RUNS}CancelRun", b"")
    cancel.belongs_to("ann", waits=True)
    again = load.enter(f"{RUNS}CancelRun", b"")
    with pytest.raises(errors.LimitReachedError):
        again.belongs_to("ann", waits=True)
    again.leave()
    cancel.leave()
    load.enter(f"{RUNS}CancelRun", b"").belongs_to("ann", waits=True)


def test_a_call_that_waits_after_all_is_refused_where_there_is_no_room_for_streams() -> None:
    load = Load(LoadLimits(calls=2, streams=2))
    waiting = [load.enter(f"{RUNS}CancelRun", b"") for _ in range(2)]
    for place in waiting:
        place.belongs_to("ann", waits=True)
    refused_one = load.enter(f"{RUNS}CancelRun", b"")
    with pytest.raises(errors.LimitReachedError) as caught:
        refused_one.belongs_to("ann", waits=True)
    assert caught.value.metadata == {"limit": "max_streams", "value": "3", "maximum": "2"}
    # It has kept its first place, and leaves that.
    load.enter(f"{RUNS}CancelRun", b"")
    assert refused(load, f"{RUNS}CancelRun")["limit"] == "max_concurrent_calls"
    refused_one.leave()
    load.enter(f"{RUNS}CancelRun", b"").belongs_to("ann")
    waiting[0].leave()
    load.enter(f"{RUNS}JoinRun", b"").belongs_to("ann")


COMMAND = run_pb2.Command(goto=[run_pb2.Goto(node="a")])
ANSWER = run_pb2.Command(update=payload({"x": 1}), resume=run_pb2.Resume(answer=payload("yes")))


@pytest.mark.parametrize("request_type", [runs_pb2.StreamRunRequest, runs_pb2.CreateRunRequest])
def test_a_resume_is_told_from_the_bytes(request_type: type[runs_pb2.CreateRunRequest]) -> None:
    method = RUNS + request_type.DESCRIPTOR.name.removesuffix("Request")

    def said(**fields: object) -> bool:
        request = request_type(thread_id="t", request_id="x" * 99, **fields)  # type: ignore[arg-type]
        return is_resume(method, request.SerializeToString())

    assert said(resume=run_pb2.Resume(answer=payload("yes")))
    assert said(command=ANSWER)
    assert not said(command=COMMAND)
    assert not said(input=payload({"resume": RESUME.decode("latin-1")}))
    assert not said()


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 100,
        b"\x22",
        b"\x22\xff\xff\xff\xff\x0f",
        b"\x80" * 50,
        b"\x0c",
        RESUME[:-3],
        b"\x2a",
    ],
)
def test_damaged_bytes_are_looked_at_and_no_more(data: bytes) -> None:
    is_resume(f"{RUNS}CreateRun", data)


def test_other_calls_are_no_resumes() -> None:
    assert not is_resume(f"{THREADS}GetThread", RESUME)


def test_so_many_fields_are_looked_at_and_a_resume_after_them_is_an_ordinary_call() -> None:
    few, many = b"\x78\x00" * (MOST_LOOKED_AT - 1), b"\x78\x00" * MOST_LOOKED_AT
    only = runs_pb2.CreateRunRequest(resume=run_pb2.Resume()).SerializeToString()
    assert is_resume(f"{RUNS}CreateRun", few + only)
    assert not is_resume(f"{RUNS}CreateRun", many + only)
    # Of a command as well.
    field = runs_pb2.CreateRunRequest.DESCRIPTOR.fields_by_name["command"].number
    inner = run_pb2.Command(resume=run_pb2.Resume()).SerializeToString()
    for padding, expected in ((few, True), (many, False)):
        command = padding + inner
        tag = bytes([field << 3 | 2])
        length = bytes([len(command) & 0x7F | 0x80, len(command) >> 7])
        assert is_resume(f"{RUNS}CreateRun", tag + length + command) is expected


@pytest.mark.parametrize("request_type", [runs_pb2.StreamRunRequest, runs_pb2.CreateRunRequest])
def test_a_resume_is_found_behind_every_field_that_can_come_before_it(
    request_type: type[runs_pb2.CreateRunRequest],
) -> None:
    # As those write it that put what is in a oneof last.
    start = request_type(resume=run_pb2.Resume(answer=payload("yes"))).SerializeToString()
    others = request_type(
        thread_id="t",
        assistant_id="a",
        request_id="r",
        interrupt_before=["a"] * 30,
        interrupt_after=["b"] * 30,
        breakpoints=[breakpoint_pb2.Breakpoint(node="c")] * 100,
        metadata=payload({}),
        context=payload({}),
        config=run_pb2.RunConfig(tags=["x"] * 100),
    ).SerializeToString()
    method = RUNS + request_type.DESCRIPTOR.name.removesuffix("Request")
    assert is_resume(method, others + start)
