"""docs/limits.md: each row is tried out, and gets just the status and the reason that it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from graphwire.v1 import breakpoint_pb2, run_pb2, runs_pb2, server_pb2, threads_pb2
from graphwire_server.settings import Settings

from tests.e2e.drive import DEADLINE, payload, refusal_of
from tests.e2e.gates import until
from tests.limits.limited import Limited, at_once, limited

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "limits.md").read_text()


def rows(name: str) -> dict[str, tuple[str, str, str]]:
    """A table of the page: its value, what happens beyond it, and the reason, by limit."""
    start = PAGE.index(f"<!-- test: {name} -->")
    table = PAGE[start : PAGE.index(f"<!-- end of {name} -->")]
    cells = [re.split(r"\s*\|\s*", line.strip("| ")) for line in table.splitlines()[3:]]
    return {row[0].strip("`"): (row[1], row[2], row[3]) for row in cells}


LIMITS, FIXED = rows("limits"), rows("fixed limits")

Outcome = tuple[str, str]
Try = Callable[[Limited], Outcome]


def refused(call: Callable[[], object], limit: str = "") -> Outcome:
    """The status and reason with which a call is refused, which names a limit if it has one."""
    try:
        call()
    except grpc.RpcError as error:
        refusal = refusal_of(error)
        if refusal.reason in ("LIMIT_REACHED", "BEYOND_LIMIT"):
            assert refusal.metadata["limit"] == limit, refusal
            assert int(refusal.metadata["value"]) > int(refusal.metadata["maximum"])
            # What is too large is so at the next time as well.
        full = refusal.reason == "LIMIT_REACHED" and limit != "max_response_bytes"
        assert (refusal.retry_after is not None) is full
        return refusal.code, refusal.reason
    raise AssertionError("not refused")


def accepted_at_last(call: Callable[[], T]) -> T:
    """Calls until there is room, and returns the answer."""
    found: list[T] = []

    def try_again() -> bool:
        try:
            found.append(call())
        except grpc.RpcError as error:
            if refusal_of(error).reason != "LIMIT_REACHED":
                raise
        return bool(found)

    until(try_again, "there is room again")
    return found[0]


def ended(server: Limited, run: run_pb2.Run) -> Outcome:
    """How a run has ended, and why."""
    end = server.wait(run.run_id).run
    status = run_pb2.RunStatus.Name(end.status).removeprefix("RUN_STATUS_")
    return f"the run is {status}", end.error.type


# --- one server for what concerns single requests and runs ---

SMALL = {
    "max_request_bytes": 100_000,
    "max_payload_bytes": 50_000,
    "max_payload_depth": 4,
    "max_metadata_bytes": 200,
    "max_metadata_keys": 3,
    "max_page_size": 2,
    "max_recursion_limit": 9,
    "default_recursion_limit": 3,
    "max_run_seconds": 2,
    "max_state_bytes": 20_000,
    "max_event_bytes": 5000,
    "max_response_bytes": 8192,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    """A server that takes only small things."""
    with limited(tmp_path_factory.mktemp("small"), **SMALL) as server:
        yield server


def _page(server: Limited) -> Outcome:
    for _ in range(3):
        server.threads.CreateThread(threads_pb2.CreateThreadRequest(), timeout=DEADLINE)
    request = threads_pb2.ListThreadsRequest(page_size=3)
    page = server.threads.ListThreads(request, timeout=DEADLINE)
    assert page.next_page_token
    assert len(page.threads) == 2
    return "a smaller page", ""


def _event(server: Limited) -> Outcome:
    *_, custom, _ = server.stream({"size": 6000}, "speaks", "CUSTOM")
    assert custom.WhichOneof("event") == "custom"
    assert not custom.custom.HasField("data")
    assert custom.truncated.size_bytes > custom.truncated.limit_bytes == 5000
    return "the event is `truncated`", ""


def _answer(server: Limited) -> Outcome:
    run = server.create({"size": 9000}, "grows")
    return refused(lambda: server.wait(run.run_id), "max_response_bytes")


def _metadata(server: Limited, value: Any) -> Outcome:
    request = threads_pb2.CreateThreadRequest(metadata=payload(value))
    return refused(lambda: server.threads.CreateThread(request, timeout=DEADLINE))


def _input(value: Any, **config: Any) -> Try:
    return lambda server: refused(
        lambda: server.create(value, config=run_pb2.RunConfig(**config)),
        "max_recursion_limit",
    )


OF_SMALL: dict[str, Try] = {
    "max_request_bytes": _input({"path": "x" * 100_000}),
    "max_payload_bytes": _input({"path": "x" * 50_000}),
    "max_payload_depth": _input({"path": [[[[1]]]]}),
    "max_metadata_bytes": lambda server: _metadata(server, {"k": "x" * 200}),
    "max_metadata_keys": lambda server: _metadata(server, {"a": 1, "b": 2, "c": 3, "d": 4}),
    "max_page_size": _page,
    "max_recursion_limit": _input({"path": "x"}, recursion_limit=10),
    "default_recursion_limit": lambda server: ended(server, server.create({"size": 1}, "endless")),
    "max_run_seconds": lambda server: ended(server, server.hold(server.gate())),
    "max_state_bytes": lambda server: ended(server, server.create({"size": 20_000}, "grows")),
    "max_event_bytes": _event,
    "max_response_bytes": _answer,
}


@pytest.mark.parametrize("limit", OF_SMALL)
def test_what_is_too_large_gets_what_the_page_says(small: Limited, limit: str) -> None:
    assert OF_SMALL[limit](small) == LIMITS[limit][1:]


# --- servers that are full ---

FULL = {
    "in all": {
        "max_concurrent_runs": 1,
        "max_queued_runs": 1,
        "max_concurrent_calls": 1,
        "max_streams": 1,
    },
    "of one": {
        "max_concurrent_runs_per_principal": 1,
        "max_queued_runs_per_principal": 1,
        "max_streams_per_principal": 1,
    },
}


@pytest.fixture(scope="module", params=FULL)
def full(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Limited]:
    """A server with room for one of each."""
    with limited(tmp_path_factory.mktemp("full"), **FULL[request.param]) as server:
        yield server


def _limit(full: Limited, name: str) -> str:
    """The limit of this name that the server has: in all, or of one principal."""
    said = full.server.GetServerInfo(server_pb2.GetServerInfoRequest(), timeout=DEADLINE).limits
    return name if getattr(said, name) == 1 else f"{name}_per_principal"


def test_a_run_that_finds_no_slot_waits_and_the_next_one_is_refused(full: Limited) -> None:
    running, queued = _limit(full, "max_concurrent_runs"), _limit(full, "max_queued_runs")
    gate = full.gate()
    first, second = full.hold(gate), full.hold(gate)
    with full.held(first, second, gate=gate):
        assert full.status(first.run_id) == "RUNNING"
        assert (f"the run is {full.status(second.run_id)}", "") == LIMITS[running][1:]
        assert refused(lambda: full.hold(gate), queued) == LIMITS[queued][1:]
        # Who asked before gets his answer.
        full.runs.CancelRun(runs_pb2.CancelRunRequest(run_id=second.run_id), timeout=DEADLINE)
        request_id = f"again {gate.name}"
        third = accepted_at_last(lambda: full.hold(gate, request_id=request_id))
        assert refused(lambda: full.hold(gate), queued) == LIMITS[queued][1:]
        assert full.hold(gate, request_id=request_id).run_id == third.run_id
    full.wait(third.run_id)


def test_a_stream_too_many_is_refused_and_the_others_go_on(full: Limited) -> None:
    streams = _limit(full, "max_streams")
    open_ = full.threads.WatchThreads(threads_pb2.WatchThreadsRequest())
    next(open_)
    for call in (
        lambda: next(full.threads.WatchThreads(threads_pb2.WatchThreadsRequest())),
        lambda: full.stream({"size": 1}, "speaks"),
        lambda: full.wait("00000000-0000-4000-8000-000000000000"),
    ):
        assert refused(call, streams) == LIMITS[streams][1:]
    assert full.create({"size": 1}, "speaks").run_id
    assert next(open_).kind == threads_pb2.THREAD_CHANGE_KIND_RUN_STARTED
    open_.cancel()

    accepted_at_last(lambda: full.stream({"size": 1}, "speaks"))


def test_a_call_too_many_is_refused_and_what_ends_work_gets_through(
    tmp_path: Path,
) -> None:
    with limited(tmp_path, max_concurrent_calls=1) as server:
        gate = server.gate()
        at_work = server.hold(gate)
        ask = server.create({"size": 1}, "asks")
        server.wait(ask.run_id)
        thread = ask.thread_id
        server.door.touch()
        pending = server.runs.CreateRun.future(
            runs_pb2.CreateRunRequest(assistant_id="slow", input=payload({"path": str(gate)})),
            timeout=DEADLINE,
        )
        info = server_pb2.GetServerInfoRequest()

        def full() -> bool:
            try:
                server.server.GetServerInfo(info, timeout=DEADLINE)
            except grpc.RpcError:
                return True
            return False

        until(full, "the slow call is under way")
        outcome = refused(
            lambda: server.server.GetServerInfo(info, timeout=DEADLINE), "max_concurrent_calls"
        )
        assert outcome == LIMITS["max_concurrent_calls"][1:]
        cancel = runs_pb2.CancelRunRequest(run_id=at_work.run_id)
        assert server.runs.CancelRun(cancel, timeout=DEADLINE).run.run_id == at_work.run_id
        resume = run_pb2.Resume(answer=payload("yes"))
        resumed = server.create(None, "", thread_id=thread, resume=resume)
        assert server.wait(resumed.run_id).run.status == run_pb2.RUN_STATUS_SUCCEEDED
        health: Any = server.channel.unary_unary("/grpc.health.v1.Health/Check")
        assert health(b"", timeout=DEADLINE) == b"\x08\x01"
        server.door.unlink()
        gate.touch()
        assert server.wait(pending.result().run.run_id).run.status == run_pb2.RUN_STATUS_SUCCEEDED


def test_a_flood_is_refused_in_part_and_nothing_that_was_accepted_is_lost(tmp_path: Path) -> None:
    with limited(
        tmp_path, max_concurrent_calls=4, max_concurrent_runs=2, max_queued_runs=10
    ) as server:
        outcomes = at_once(60, lambda _: server.create({"size": 1}, "speaks"))
        accepted = [each for each in outcomes if isinstance(each, run_pb2.Run)]
        errors = [refusal_of(each) for each in outcomes if isinstance(each, grpc.RpcError)]
        assert {(each.code, each.reason) for each in errors} <= {
            ("RESOURCE_EXHAUSTED", "LIMIT_REACHED")
        }
        assert accepted
        assert len(accepted) + len(errors) == 60
        for run in accepted:
            assert server.wait(run.run_id).run.status == run_pb2.RUN_STATUS_SUCCEEDED


# --- what is the same on every server ---


def _breakpoints(count: int) -> list[breakpoint_pb2.Breakpoint]:
    return [breakpoint_pb2.Breakpoint(node="wait") for _ in range(count)]


def _run_breakpoints(server: Limited) -> Outcome:
    gate = server.gate()
    with limited_run(server, gate) as run:
        for _ in range(10):
            request = runs_pb2.AddRunBreakpointsRequest(
                run_id=run.run_id, breakpoints=_breakpoints(100)
            )
            server.runs.AddRunBreakpoints(request, timeout=DEADLINE)
        request = runs_pb2.AddRunBreakpointsRequest(run_id=run.run_id, breakpoints=_breakpoints(1))
        return refused(lambda: server.runs.AddRunBreakpoints(request, timeout=DEADLINE))


def limited_run(server: Limited, gate: Path) -> Any:
    """A run that waits, and goes on after the block."""
    run = server.hold(gate)

    class Held:
        def __enter__(self) -> run_pb2.Run:
            return run

        def __exit__(self, *error: object) -> None:
            gate.touch()
            server.wait(run.run_id)

    return Held()


def _batch(server: Limited) -> Outcome:
    one = runs_pb2.CreateRunRequest(assistant_id="held", input=payload({"path": "/"}))
    request = runs_pb2.CreateRunsRequest(requests=[one] * 101)
    return refused(lambda: server.runs.CreateRuns(request, timeout=DEADLINE))


def _ids(server: Limited) -> Outcome:
    ids = ["00000000-0000-4000-8000-000000000000"] * 1001
    request = runs_pb2.CancelRunsRequest(run_ids=ids)
    return refused(lambda: server.runs.CancelRuns(request, timeout=DEADLINE))


def _headers(server: Limited) -> Outcome:
    info = server_pb2.GetServerInfoRequest()
    headers = tuple((f"x-{i}", "x" * 1000) for i in range(17))
    outcome = refused(lambda: server.server.GetServerInfo(info, timeout=DEADLINE, metadata=headers))
    assert server.server.GetServerInfo(info, timeout=DEADLINE).version
    return outcome


OF_ALL: dict[str, Try] = {
    "max_id_length": lambda server: refused(lambda: server.create({}, thread_id="x" * 129)),
    "max_label_length": lambda server: refused(
        lambda: server.create(
            {}, breakpoints=[breakpoint_pb2.Breakpoint(node="wait", label="x" * 257)]
        )
    ),
    "max_breakpoints": lambda server: refused(
        lambda: server.create({}, breakpoints=_breakpoints(101))
    ),
    "max_run_breakpoints": _run_breakpoints,
    "max_tags": _input({}, tags=["x"] * 101),
    "max_batch_size": _batch,
    "max_ids": _ids,
    "max_start_delay": lambda server: refused(
        lambda: server.create({}, start_delay=Duration(seconds=86_401))
    ),
    "headers": _headers,
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    """A server with the limits that it has by itself."""
    with limited(tmp_path_factory.mktemp("plain")) as server:
        yield server


@pytest.mark.parametrize("limit", OF_ALL)
def test_what_no_server_takes_gets_what_the_page_says(plain: Limited, limit: str) -> None:
    assert OF_ALL[limit](plain) == FIXED[limit][1:]


def test_each_row_is_tried() -> None:
    tried = {*OF_SMALL, *(name for settings in FULL.values() for name in settings)}
    # Servers have to die for this one.
    assert "TooManyAttempts" in (ROOT / "tests/e2e/test_recovery.py").read_text()
    assert tried | {"max_run_attempts"} == set(LIMITS)
    assert set(OF_ALL) == set(FIXED)


def test_the_page_names_each_limit_that_a_server_tells_with_its_value(plain: Limited) -> None:
    limits = plain.server.GetServerInfo(server_pb2.GetServerInfoRequest(), timeout=DEADLINE).limits
    told = {field.name for field in limits.DESCRIPTOR.fields}
    named = {*LIMITS, *FIXED} - {"headers", "max_run_seconds"} | {"max_run_time"}
    assert told - {"heartbeat_interval"} == named
    for name, (value, *_) in LIMITS.items():
        assert value == str(Settings.model_fields[name].default)
    for name, (value, *_) in FIXED.items():
        if name in told and name != "max_start_delay":
            assert value == str(getattr(limits, name))
    assert FIXED["max_start_delay"][0] == f"{limits.max_start_delay.seconds} s"
