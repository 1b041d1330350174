"""Pauses whose time is over: what happens then, and what an answer finds that comes too late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from graphwire.v1 import breakpoint_pb2, pause_pb2, runs_pb2_grpc, threads_pb2, threads_pb2_grpc

from tests.e2e.drive import DEADLINE, refused
from tests.e2e.gates import until
from tests.reviews.conftest import PROJECT
from tests.reviews.reviewed import MAIL, REFUND, Conversation, waiting
from tests.servers import ServerProcess

OPEN, RESUMED, SUPERSEDED, CANCELLED = 1, 2, 3, 4


def expiring(on_expiry: str, seconds: float = 1, **fields: Any) -> breakpoint_pb2.Breakpoint:
    """A breakpoint before the tools whose pauses expire."""
    after = Duration()
    after.FromMilliseconds(int(seconds * 1000))
    return breakpoint_pb2.Breakpoint(
        node="tools",
        expires_after=after,
        on_expiry=breakpoint_pb2.OnExpiry.Value(f"ON_EXPIRY_{on_expiry}"),
        **fields,
    )


def asked(
    talk: Conversation, *breakpoints: breakpoint_pb2.Breakpoint, **fields: Any
) -> pause_pb2.Pause:
    """Has the model ask for a refund and a mail, with breakpoints; returns the pause."""
    fields.setdefault("interrupt_before", [])
    (pause,) = talk.ask("prebuilt", REFUND, MAIL, breakpoints=breakpoints, **fields)
    return pause


def resolved(talk: Conversation, pause_id: str) -> pause_pb2.Pause:
    """Waits until a pause is resolved, and the thread has come to rest."""
    request = threads_pb2.GetPauseRequest(pause_id=pause_id)

    def now() -> pause_pb2.Pause:
        return talk.threads_stub.GetPause(request, timeout=DEADLINE).pause

    until(lambda: now().status != OPEN)
    until(lambda: talk.status != "BUSY")
    return now()


def test_a_pause_says_when_its_time_is_over_and_what_happens_then(talk: Conversation) -> None:
    pause = asked(talk, expiring("CANCEL", 3600, label="a person must look"))
    left = pause.expire_time.ToMicroseconds() - pause.create_time.ToMicroseconds()
    assert left == 3600 * 10**6
    assert pause.on_expiry == breakpoint_pb2.ON_EXPIRY_CANCEL
    assert [met.label for met in pause.breakpoints] == ["a person must look"]


def test_the_node_runs_by_itself_when_the_time_is_over(talk: Conversation) -> None:
    pause = asked(talk, expiring("RESUME"))
    after = resolved(talk, pause.pause_id)
    run = talk.runs()[0]
    assert (after.status, after.resolution.expired) == (RESUMED, True)
    assert (after.resolution.principal, after.resolution.run_id) == ("", run.run_id)
    assert after.resolution.time.ToMicroseconds() >= pause.expire_time.ToMicroseconds()
    assert run.resumed_run_id == pause.run_id
    assert talk.status == "IDLE"
    assert talk.messages()[2:4] == [
        ["r", "refund", "success", "refunded 5"],
        ["m", "mail", "success", "mailed ann"],
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [("The desk was closed.", "The desk was closed."), ("", "Rejected: nobody answered in time.")],
)
def test_tool_calls_are_rejected_when_the_time_is_over(
    talk: Conversation, given: str, told: str
) -> None:
    pause = asked(talk, expiring("REJECT", expiry_message=given))
    after = resolved(talk, pause.pause_id)
    assert (after.status, after.resolution.expired) == (RESUMED, True)
    assert [each.reject.message for each in after.resolution.review.tool_calls] == [told, told]
    results = [["r", "refund", "error", told], ["m", "mail", "error", told]]
    sees = {"sees": [[REFUND, MAIL], results]}
    assert talk.messages() == ["question", [REFUND, MAIL], *results, sees]


def test_what_waits_is_given_up_when_the_time_is_over_and_can_be_resumed_later(
    talk: Conversation,
) -> None:
    pause = asked(talk, expiring("CANCEL"))
    after = resolved(talk, pause.pause_id)
    assert (after.status, after.resolution.expired) == (CANCELLED, True)
    assert after.resolution.run_id == ""
    assert talk.stands() == ("IDLE", ["tools"], [])
    # The tool has not run; who goes on there comes to the breakpoint again.
    talk.resume()
    (again,) = talk.pauses
    assert again.pause_id != pause.pause_id
    assert talk.messages() == ["question", [REFUND, MAIL]]


def test_where_no_tool_call_waits_that_could_be_rejected_it_is_given_up(
    talk: Conversation,
) -> None:
    before_model = expiring("REJECT")
    before_model.node = "model"
    (pause,) = talk.ask("prebuilt", REFUND, interrupt_before=[], breakpoints=[before_model])
    assert resolved(talk, pause.pause_id).status == CANCELLED
    assert talk.stands() == ("IDLE", ["model"], [])


def test_where_the_node_alone_says_where_to_go_next_it_is_given_up(talk: Conversation) -> None:
    """At such a node REJECT is refused; a breakpoint at all nodes holds it too."""
    everywhere = expiring("REJECT", 2)
    everywhere.node = "*"
    talk.ask("chosen_of_two", REFUND, interrupt_before=[], breakpoints=[everywhere])
    talk.resume()
    (pause,) = talk.pauses
    assert (pause.node, waiting(pause)) == ("tools", [REFUND])
    after = resolved(talk, pause.pause_id)
    assert (after.status, after.resolution.expired) == (CANCELLED, True)
    assert talk.stands() == ("IDLE", ["tools"], [])


def test_an_answer_in_time_is_the_end_of_it(talk: Conversation) -> None:
    pause = asked(talk, expiring("CANCEL", 2))
    talk.resume(pause_ids=[pause.pause_id])
    after = resolved(talk, pause.pause_id)
    assert (after.status, after.resolution.expired) == (RESUMED, False)
    assert talk.status == "IDLE"
    assert len(talk.runs()) == 2


def test_a_pause_expires_with_all_that_is_open_beside_it(talk: Conversation) -> None:
    pauses = talk.ask("sent", REFUND, MAIL, interrupt_before=[], breakpoints=[expiring("REJECT")])
    assert len(pauses) == 2
    for pause in pauses:
        assert resolved(talk, pause.pause_id).status == RESUMED
    assert len(talk.runs()) == 2
    assert talk.status == "IDLE"


def test_what_a_person_must_answer_does_not_go_on_by_itself(talk: Conversation) -> None:
    # Two breakpoints hold the node, and one of them waits for ever.
    pause = asked(talk, expiring("RESUME"), interrupt_before=["tools"])
    assert not pause.HasField("expire_time")
    assert pause.on_expiry == 0
    # What keeps the node from running needs no consent of the other.
    pause = asked(
        Conversation(talk.runs_stub, talk.threads_stub),
        expiring("CANCEL", 60),
        interrupt_before=["tools"],
    )
    assert pause.on_expiry == breakpoint_pb2.ON_EXPIRY_CANCEL


@pytest.mark.parametrize("on_expiry", ["RESUME", "CANCEL"])
def test_what_expires_while_no_server_runs_is_seen_to_by_the_next_one(
    tmp_path: Path, on_expiry: str
) -> None:
    process = ServerProcess(tmp_path / "graphwire.db", PROJECT).start()
    with grpc.insecure_channel(process.address) as channel:
        talk = Conversation(runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel))
        pause = asked(talk, expiring(on_expiry))
        thread_id = talk.thread_id
    process.kill()
    process = ServerProcess(tmp_path / "graphwire.db", PROJECT).start()
    with grpc.insecure_channel(process.address) as channel:
        talk = Conversation(
            runs_pb2_grpc.RunsStub(channel), threads_pb2_grpc.ThreadsStub(channel), thread_id
        )
        after = resolved(talk, pause.pause_id)
        assert after.status == {"RESUME": RESUMED, "CANCEL": CANCELLED}[on_expiry]
        with refused("FAILED_PRECONDITION", "PAUSE_NOT_OPEN") as refusal:
            talk.resume(pause_ids=[pause.pause_id])
        became = {"RESUME": "RESUMED", "CANCEL": "CANCELLED"}[on_expiry]
        assert refusal.metadata["status"] == became
    assert process.stop() == 0, process.log
