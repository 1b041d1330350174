"""That no RPC is open by mistake: walks the service descriptor."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from graphwire.v1 import run_pb2, threads_pb2
from graphwire_server.rpc.authorization import RULES, Subject
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.access.guarded import PROJECT, Guest, Guests, write_tokens
from tests.e2e import wire
from tests.e2e.drive import payload
from tests.servers import ServerProcess

#: RPCs whose request names what may be somebody else's, by what it names.
NAMING = {
    path.rpartition("/")[2]: rule.subject
    for path, rule in RULES.items()
    if rule is not None
    and rule.subject in (Subject.THREAD, Subject.RUN, Subject.PAUSE, Subject.COPY)
}
DELETE = threads_pb2.PRUNE_STRATEGY_DELETE
FIELDS = {Subject.RUN: "run_id", Subject.PAUSE: "pause_id"}


def test_the_table_has_each_rpc_of_the_contract_and_no_other() -> None:
    assert set(RULES) == set(wire.METHODS)


@pytest.mark.parametrize("rpc", sorted(wire.PATHS))
def test_without_a_token_nothing_is_said(guest: Guests, rpc: str) -> None:
    code, reason, _ = guest("nobody", token=None).refusal(rpc)
    assert (code, reason) == ("UNAUTHENTICATED", "UNAUTHENTICATED")


@pytest.mark.parametrize("rpc", sorted(wire.PATHS))
def test_a_wrong_token_is_refused_before_the_request_is_read(guest: Guests, rpc: str) -> None:
    nobody = guest("nobody", token="guessed")
    with pytest.raises(grpc.RpcError) as raised:
        wire.call(nobody.channel, rpc, b"\xff\xff", nobody.metadata)
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "guessed" not in (raised.value.details() or "")


def test_health_is_open(guarded: ServerProcess) -> None:
    with grpc.insecure_channel(guarded.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = health.Check(health_pb2.HealthCheckRequest(), timeout=30)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


class Paused:
    """A thread of ada's that is paused, with what can be named of it."""

    def __init__(self, ada: Guest) -> None:
        """Makes it."""
        self.thread_id = ada.new_thread(metadata=payload({"secret": "ada's"}))
        events = ada.run(self.thread_id, interrupt_before=["second"])
        self.run_id = events[0].run_id
        self.pause_id = events[-2].interrupted.pauses[0].pause_id

    def named(self, subject: Subject) -> str:
        """The id of what a request of that kind names."""
        ids = {Subject.RUN: self.run_id, Subject.PAUSE: self.pause_id}
        return ids.get(subject, self.thread_id)


@pytest.fixture(scope="module")
def paused(guarded: ServerProcess) -> Paused:
    """A thread of ada's."""
    ada = Guest(guarded, "ada")
    made = Paused(ada)
    ada.close()
    return made


def asked(subject: Subject, identifier: str) -> dict[str, Any]:
    return {FIELDS.get(subject, "thread_id"): identifier}


@pytest.mark.parametrize("rpc", sorted(NAMING))
def test_what_is_somebody_elses_is_not_there(guest: Guests, paused: Paused, rpc: str) -> None:
    subject = NAMING[rpc]
    there, not_there = paused.named(subject), str(uuid.uuid4())
    bob = guest("bob")
    hidden = bob.refusal(rpc, **asked(subject, there))
    missing = bob.refusal(rpc, **asked(subject, not_there))
    assert hidden[:2] == missing[:2]
    assert hidden[0] == "NOT_FOUND"
    # Word for word, but for the id.
    assert hidden[2].replace(there, "…") == missing[2].replace(not_there, "…")


@pytest.mark.parametrize("rpc", ["StreamRun", "CreateRun"])
def test_nothing_runs_on_a_thread_of_somebody_else(guest: Guests, paused: Paused, rpc: str) -> None:
    bob = guest("bob")
    fields = {"thread_id": paused.thread_id, "assistant_id": "two"}
    not_there = ("NOT_FOUND", "THREAD_NOT_FOUND", f"there is no thread {paused.thread_id}")
    starts: list[dict[str, Any]] = [
        {"input": payload({"log": ["x"]})},
        {"resume": {}},
        {"command": {}},
    ]
    for start in starts:
        assert bob.refusal(rpc, **fields, **start) == not_there
    assert bob.refusal("CreateRuns", requests=[{**fields, "resume": {}}]) == not_there
    assert (
        guest("ada").call("GetThread", thread_id=paused.thread_id).thread.status
        == threads_pb2.THREAD_STATUS_INTERRUPTED
    )


def test_a_request_id_does_not_tell_whether_a_thread_is_there(
    guest: Guests, paused: Paused, once: str
) -> None:
    bob = guest("bob")
    not_there = str(uuid.uuid4())
    for rpc in ("StreamRun", "CreateRun"):
        fields = {"assistant_id": "no such", "request_id": once, "input": payload({})}
        hidden = bob.refusal(rpc, thread_id=paused.thread_id, **fields)
        missing = bob.refusal(rpc, thread_id=not_there, **fields)
        assert hidden[1] == "THREAD_NOT_FOUND"
        assert hidden[2].replace(paused.thread_id, "…") == missing[2].replace(not_there, "…")


def test_runs_of_somebody_else_are_not_cancelled(guest: Guests, paused: Paused) -> None:
    bob = guest("bob")
    code, reason, _ = bob.refusal("CancelRuns", run_ids=[paused.run_id])
    assert (code, reason) == ("NOT_FOUND", "RUN_NOT_FOUND")
    code, reason, _ = bob.refusal(
        "CancelRuns", thread_id=paused.thread_id, statuses=[run_pb2.RUN_STATUS_PENDING]
    )
    assert (code, reason) == ("NOT_FOUND", "THREAD_NOT_FOUND")


def test_lists_counts_and_sweeps_pass_by_what_is_somebody_elses(
    guest: Guests, paused: Paused
) -> None:
    bob, ada = guest("bob"), guest("ada")
    for caller, seen in ((bob, 0), (ada, 1), (guest("boss"), 1)):
        which = {"thread_ids": [paused.thread_id]}
        assert len(caller.call("ListThreads", filter=which).threads) == seen
        assert caller.call("CountThreads", filter=which).count == seen
        pauses = caller.call("ListPauses", filter={"thread_id": paused.thread_id}).pauses
        assert len(pauses) == seen
    assert (
        bob.call("PruneThreads", thread_ids=[paused.thread_id], strategy=DELETE).pruned_count == 0
    )
    assert ada.call("GetThread", thread_id=paused.thread_id).thread.thread_id == paused.thread_id


def test_an_id_that_is_taken_is_all_that_can_be_found_out(guest: Guests, paused: Paused) -> None:
    bob = guest("bob")
    for returns in threads_pb2.IfExists.values():
        code, reason, text = bob.refusal(
            "CreateThread", thread_id=paused.thread_id, if_exists=returns
        )
        assert (code, reason) == ("ALREADY_EXISTS", "THREAD_EXISTS")
        assert "secret" not in text
    code, reason, _ = bob.refusal(
        "StreamRun",
        thread_id=paused.thread_id,
        assistant_id="two",
        input=payload({"log": []}),
        if_not_exists=run_pb2.IF_NOT_EXISTS_CREATE,
    )
    assert (code, reason) == ("NOT_FOUND", "THREAD_NOT_FOUND")


def test_lines_of_a_call_name_the_principal(
    own_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    write_tokens(tmp_path / "tokens.toml")
    env = {
        "GRAPHWIRE_AUTH_TOKENS": str(tmp_path / "tokens.toml"),
        "GRAPHWIRE_LOG_LEVEL": "debug",
        "GRAPHWIRE_LOG_FORMAT": "json",
    }
    process = own_server(PROJECT, env=env)
    with closing(Guest(process, "ada")) as ada:
        ada.call("ListThreads")
        ada.refusal("GetThread", thread_id="nowhere")
    assert process.stop() == 0
    lines = [json.loads(line) for line in process.log.splitlines()]
    told = [(line["method"], line["code"], line["principal"]) for line in lines if "code" in line]
    assert told == [("ListThreads", "OK", "ada"), ("GetThread", "NOT_FOUND", "ada")]
