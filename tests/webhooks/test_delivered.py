"""A run that names a webhook has it sent when it has ended or is paused."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from graphwire import Client, NewRun, Resume, RunStatus, WebhookStatus, errors
from graphwire.webhooks import WebhookVerificationError, verify

from tests.e2e.gates import Gate, until
from tests.servers import ServerProcess
from tests.webhooks.receiver import SECRET, Authority, Receiver, Reply

OTHER_SECRET = f"whsec_{base64.b64encode(b'another secret of 24 byt').decode()}"
OPEN = {
    "GRAPHWIRE_WEBHOOK_SECRETS": f"{SECRET}, {OTHER_SECRET}",
    "GRAPHWIRE_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8, ::1/128",
    "GRAPHWIRE_WEBHOOK_ALLOW_HTTP": "true",
    "GRAPHWIRE_WEBHOOK_RETRY_SECONDS": "0.05",
    "GRAPHWIRE_WEBHOOK_TIMEOUT_SECONDS": "2",
    "GRAPHWIRE_WEBHOOK_MAX_ATTEMPTS": "4",
    "GRAPHWIRE_WEBHOOK_MAX_VALUES_BYTES": "2000",
}


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[ServerProcess]:
    """A server that sends webhooks to this machine."""
    database = tmp_path_factory.mktemp("webhooks") / "graphwire.db"
    env = {**OPEN, "GRAPHWIRE_WEBHOOK_CA_FILE": str(authority.file)}
    process = ServerProcess(database, env=env).start()
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    """A client of it."""
    with Client(server.address) as connected:
        yield connected


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that takes what comes."""
    with Receiver() as listening:
        yield listening


def webhook_of(client: Client, run_id: str) -> Any:
    return client.runs.get(run_id).webhook


def settled(client: Client, run_id: str) -> Any:
    """The webhook of a run, once it is not to be sent any more."""

    def is_settled() -> bool:
        return webhook_of(client, run_id).status not in (None, WebhookStatus.PENDING)

    until(is_settled, "the webhook is settled")
    return webhook_of(client, run_id)


def test_a_run_that_succeeds(client: Client, receiver: Receiver) -> None:
    run = client.runs.create(
        None,
        "linear",
        input={"log": ["in"]},
        metadata={"ticket": 7},
        webhook=receiver.url("/hook?token=hush"),
    )
    client.runs.wait(run.run_id)
    [came] = receiver.wait(1)
    assert came.path == "/hook?token=hush"
    event = verify(came.headers, came.body, SECRET)
    assert verify(came.headers, came.body, [OTHER_SECRET]) == event
    assert event["id"] == came.headers["webhook-id"]
    assert (came.headers["content-type"], came.headers["graphwire-attempt"]) == (
        "application/json",
        "1",
    )
    assert re.fullmatch(r"graphwire/\d+\.\d+\.\d+", came.headers["user-agent"])
    found = client.runs.get(run.run_id)
    described = event.pop("run")
    assert re.fullmatch(r"2\d{3}-\d\d-\d\dT[\d:.]+Z", event.pop("time"))
    assert event == {
        "id": came.headers["webhook-id"],
        "type": "run.succeeded",
        "thread_id": run.thread_id,
        "pauses": [],
        "values": {"log": ["in", "a", "b", "c"]},
        "omitted": [],
    }
    assert described["run_id"] == run.run_id
    assert described["status"] == "RUN_STATUS_SUCCEEDED"
    assert described["metadata"] == {"ticket": 7}
    assert described["last_sequence"] == found.last_sequence
    assert described["webhook"] == {
        "url": receiver.url("/hook?…"),
        "status": "WEBHOOK_STATUS_UNSPECIFIED",
        "webhook_id": "",
        "attempts": 0,
        "status_code": 0,
        "error": "",
    }
    sent = settled(client, run.run_id)
    assert (sent.status, sent.attempts, sent.status_code, sent.error) == (
        WebhookStatus.DELIVERED,
        1,
        200,
        "",
    )
    assert (sent.url, sent.webhook_id) == (receiver.url("/hook?…"), event["id"])
    assert sent.next_attempt_time is None
    [listed] = client.runs.list(run.thread_id)
    assert listed.webhook == client.runs.wait(run.run_id).run.webhook == sent


def test_what_does_not_come_from_the_server_is_not_believed(
    client: Client, receiver: Receiver
) -> None:
    client.runs.create(None, "linear", input={"log": []}, webhook=receiver.url())
    [came] = receiver.wait(1)
    with pytest.raises(WebhookVerificationError, match="no signature"):
        verify(came.headers, came.body + b" ", SECRET)


def test_a_run_that_fails(client: Client, receiver: Receiver) -> None:
    run = client.runs.create(None, "boom", input={"log": ["in"]}, webhook=receiver.url())
    [came] = receiver.wait(1)
    assert came.event["type"] == "run.failed"
    assert came.event["run"]["run_id"] == run.run_id
    error = client.runs.wait(run.run_id).run.error
    assert error is not None
    said = came.event["run"]["error"]
    assert (said["type"], said["message"], said["node"]) == (error.type, error.message, error.node)


def test_a_run_that_is_cancelled(client: Client, receiver: Receiver, gate: Gate) -> None:
    thread = client.threads.create()
    runs = [
        client.runs.create(
            thread.thread_id,
            "gated",
            input={"log": ["in"], "path": str(gate.path)},
            webhook=receiver.url(f"/{name}"),
            multitask_strategy="ENQUEUE",
        )
        for name in ("running", "queued")
    ]
    gate.wait_begun()
    client.runs.cancel(runs[1].run_id)
    client.runs.cancel(runs[0].run_id, action="ROLLBACK", wait=True)
    came = {request.path: request.event for request in receiver.wait(2)}
    assert {path: event["type"] for path, event in came.items()} == {
        "/running": "run.cancelled",
        "/queued": "run.cancelled",
    }
    assert [came[path]["run"]["rolled_back"] for path in ("/running", "/queued")] == [True, False]


def test_a_pause_says_where_and_why_and_its_resume_is_told_as_well(
    client: Client, receiver: Receiver
) -> None:
    thread = client.threads.create()
    paused = client.runs.create(
        thread.thread_id,
        "linear",
        input={"log": ["in"]},
        breakpoints=["b"],
        webhook=receiver.url(),
    )
    result = client.runs.wait(paused.run_id)
    [first] = receiver.wait(1)
    event = first.event
    assert (event["type"], event["run"]["status"]) == ("run.interrupted", "RUN_STATUS_INTERRUPTED")
    assert event["values"] == {"log": ["in", "a"]}
    [pause] = event["pauses"]
    assert (pause["pause_id"], pause["node"], pause["kind"], pause["status"]) == (
        result.pauses[0].pause_id,
        "b",
        "PAUSE_KIND_BREAKPOINT_BEFORE",
        "PAUSE_STATUS_OPEN",
    )
    assert pause["breakpoints"][0]["source"] == "BREAKPOINT_SOURCE_RUN"

    resumed = client.runs.create(thread.thread_id, resume=Resume())
    _, second = receiver.wait(2)
    assert second.event["type"] == "run.succeeded"
    assert second.event["run"]["run_id"] == resumed.run_id
    assert second.event["run"]["resumed_run_id"] == paused.run_id
    assert second.event["id"] != event["id"]


def test_a_question_is_in_the_body(client: Client, receiver: Receiver) -> None:
    client.runs.create(None, "ask", input={"log": ["in"]}, webhook=receiver.url())
    [came] = receiver.wait(1)
    [pause] = came.event["pauses"]
    assert pause["kind"] == "PAUSE_KIND_INTERRUPT"
    assert pause["value"] is not None
    assert pause["interrupt_id"]


def test_a_resume_can_name_another_webhook_or_none(client: Client, receiver: Receiver) -> None:
    thread = client.threads.create()
    client.runs.create(
        thread.thread_id,
        "linear",
        input={"log": []},
        interrupt_before=["a", "b", "c"],
        webhook=receiver.url("/first"),
    )
    receiver.wait(1)
    elsewhere = client.runs.create(
        thread.thread_id, resume=Resume(), webhook=receiver.url("/second")
    )
    receiver.wait(2)
    silent = client.runs.create(thread.thread_id, resume=Resume(), webhook="")
    client.runs.wait(silent.run_id)
    last = client.runs.create(thread.thread_id, resume=Resume())
    assert client.runs.wait(last.run_id).run.status is RunStatus.SUCCEEDED
    assert [request.path for request in receiver.received] == ["/first", "/second"]
    assert webhook_of(client, elsewhere.run_id).url == receiver.url("/second")
    assert webhook_of(client, silent.run_id) is None
    assert webhook_of(client, last.run_id) is None


def test_a_copy_of_a_thread_calls_nobody(client: Client, receiver: Receiver) -> None:
    thread = client.threads.create()
    client.runs.create(
        thread.thread_id,
        "linear",
        input={"log": []},
        interrupt_before="b",
        webhook=receiver.url(),
    )
    receiver.wait(1)
    copy = client.threads.copy(thread.thread_id)
    run = client.runs.create(copy.thread_id, resume=Resume())
    assert client.runs.wait(run.run_id).run.webhook is None


def test_the_webhook_of_a_run_that_was_deleted_is_inherited(
    client: Client, receiver: Receiver
) -> None:
    thread = client.threads.create()
    paused = client.runs.create(
        thread.thread_id,
        "linear",
        input={"log": []},
        interrupt_before="b",
        webhook=receiver.url(),
    )
    client.runs.wait(paused.run_id)
    client.runs.delete(paused.run_id)
    client.runs.create(thread.thread_id, resume=Resume())
    assert {request.event["type"] for request in receiver.wait(2)} == {
        "run.interrupted",
        "run.succeeded",
    }


def test_streams_and_batches_take_webhooks_too(client: Client, receiver: Receiver) -> None:
    stream = client.runs.stream(None, "linear", input={"log": []}, webhook=receiver.url("/stream"))
    list(stream)
    receiver.wait(1)
    client.runs.create_many(
        [
            NewRun(
                assistant_id="linear",
                input={"log": []},
                options={"webhook": receiver.url(f"/{name}")},
            )
            for name in ("one", "two")
        ]
    )
    receiver.wait(3)
    assert sorted(request.path for request in receiver.received) == ["/one", "/stream", "/two"]


def test_values_that_are_too_long_are_left_out_and_named(
    client: Client, receiver: Receiver
) -> None:
    client.runs.create(None, "linear", input={"log": ["x" * 2000]}, webhook=receiver.url())
    [came] = receiver.wait(1)
    assert (came.event["values"], came.event["omitted"]) == (None, ["values"])


def test_a_receiver_that_fails_first_gets_the_same_again(client: Client) -> None:
    with Receiver(lambda number: Reply(500 if number < 3 else 204)) as receiver:
        run = client.runs.create(None, "linear", input={"log": []}, webhook=receiver.url())
        first, second, third = receiver.wait(3)
        sent = settled(client, run.run_id)
    assert first.body == second.body == third.body
    assert len({each.headers["webhook-id"] for each in (first, second, third)}) == 1
    assert [each.headers["graphwire-attempt"] for each in (first, second, third)] == [
        "1",
        "2",
        "3",
    ]
    assert (sent.status, sent.attempts, sent.status_code) == (WebhookStatus.DELIVERED, 3, 204)


def test_what_nobody_takes_is_given_up(client: Client, server: ServerProcess) -> None:
    with Receiver(lambda number: Reply(503)) as receiver:
        run = client.runs.create(
            None, "linear", input={"log": []}, webhook=receiver.url("/hook?token=hush-hush")
        )
        sent = settled(client, run.run_id)
        assert len(receiver.received) == 4
    assert (sent.status, sent.attempts, sent.status_code, sent.error) == (
        WebhookStatus.FAILED,
        4,
        503,
        "HTTP 503",
    )
    until(lambda: "webhook_given_up" in server.log and run.run_id in server.log)
    assert "hush" not in server.log


def test_a_refusal_is_final(client: Client) -> None:
    with Receiver(lambda number: Reply(410)) as receiver:
        run = client.runs.create(None, "linear", input={"log": []}, webhook=receiver.url())
        sent = settled(client, run.run_id)
        assert len(receiver.received) == 1
    assert (sent.status, sent.attempts, sent.status_code) == (WebhookStatus.FAILED, 1, 410)


def test_over_tls_a_receiver_needs_a_certificate_of_its_name(
    client: Client, authority: Authority
) -> None:
    right = authority.authority.issue_cert("localhost", "127.0.0.1")
    wrong = authority.authority.issue_cert("elsewhere.example")
    with Receiver(certificate=right) as receiver:
        for host in ("localhost", "127.0.0.1"):
            run = client.runs.create(
                None, "linear", input={"log": []}, webhook=receiver.url(host=host)
            )
            assert settled(client, run.run_id).status is WebhookStatus.DELIVERED
        assert receiver.names == ["localhost", None]
        assert receiver.received[0].headers["host"] == f"localhost:{receiver.port}"
    with Receiver(certificate=wrong) as receiver:
        run = client.runs.create(
            None, "linear", input={"log": []}, webhook=receiver.url(host="localhost")
        )
        sent = settled(client, run.run_id)
        assert sent.status is WebhookStatus.FAILED
        assert "certificate verify failed" in sent.error
        assert receiver.received == []


def test_a_run_without_a_webhook_has_none(client: Client) -> None:
    run = client.runs.create(None, "linear", input={"log": []})
    assert client.runs.wait(run.run_id).run.webhook is None


def test_events_do_not_say_where_a_webhook_goes(client: Client, receiver: Receiver) -> None:
    run = client.runs.create(
        None,
        "linear",
        input={"log": []},
        webhook=receiver.url("/hook?token=hush"),
        stream_modes=["VALUES", "UPDATES", "DEBUG"],
    )
    receiver.wait(1)
    assert "hush" not in repr(list(client.runs.join(run.run_id)))


def test_a_url_that_leads_into_the_network_is_refused_on_arrival(client: Client) -> None:
    with pytest.raises(errors.InvalidFieldError) as refused:
        client.runs.create(
            None, "linear", input={"log": []}, webhook="https://169.254.169.254/latest?token=hush"
        )
    [violation] = refused.value.violations
    assert (violation.field, violation.description) == (
        "webhook",
        "must lead to a public address; its host's is link-local; the server's setting "
        "GRAPHWIRE_WEBHOOK_ALLOWED_NETWORKS would allow it",
    )
    assert "hush" not in str(refused.value)


@contextmanager
def first_unanswered(
    folder: Path, *, timeout_seconds: str
) -> Iterator[tuple[ServerProcess, Client, Receiver, str]]:
    """A server whose first webhook has come, and gets no answer; with the id of its run."""
    hold = threading.Event()
    with Receiver(lambda number: Reply(before=hold.wait if number == 1 else bool)) as receiver:
        process = ServerProcess(
            folder / "graphwire.db",
            env={**OPEN, "GRAPHWIRE_WEBHOOK_TIMEOUT_SECONDS": timeout_seconds},
        ).start()
        try:
            with Client(process.address) as client:
                run = client.runs.create(None, "linear", input={"log": []}, webhook=receiver.url())
                receiver.wait(1)
                yield process, client, receiver, run.run_id
        finally:
            hold.set()
            process.stop()


def test_a_crash_loses_no_webhook(tmp_path: Path) -> None:
    """The server is killed between the run's end and the answer of the receiver."""
    with first_unanswered(tmp_path, timeout_seconds="0.5") as (process, client, receiver, run_id):
        process.kill()
        process.start()
        first, second = receiver.wait(2)[:2]
        assert settled(client, run_id).status is WebhookStatus.DELIVERED
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def test_a_webhook_that_was_not_begun_is_sent_after_a_crash(tmp_path: Path) -> None:
    closed = Receiver()
    url = closed.url()
    process = ServerProcess(tmp_path / "graphwire.db", env=OPEN).start()
    try:
        with Client(process.address) as client:
            run = client.runs.create(None, "linear", input={"log": []}, webhook=url)
            client.runs.wait(run.run_id)
            process.kill()
            with closed as receiver:
                process.start()
                assert receiver.wait(1)[0].event["run"]["run_id"] == run.run_id
                assert settled(client, run.run_id).status is WebhookStatus.DELIVERED
    finally:
        process.stop()


def test_a_server_that_stops_gives_back_what_it_could_not_send(tmp_path: Path) -> None:
    with first_unanswered(tmp_path, timeout_seconds="60") as (process, client, receiver, run_id):
        assert process.stop() == 0, process.log
        process.start()
        # At once, long before the claim of a server that was lost would lapse.
        receiver.wait(2)
        assert settled(client, run_id).attempts == 2


def test_a_deleted_thread_has_its_webhook_sent_all_the_same(client: Client) -> None:
    with Receiver(lambda number: Reply(503 if number == 1 else 200)) as receiver:
        thread = client.threads.create()
        run = client.runs.create(
            thread.thread_id, "linear", input={"log": []}, webhook=receiver.url()
        )
        client.runs.wait(run.run_id)
        client.threads.delete(thread.thread_id)
        assert receiver.wait(2)[1].event["run"]["run_id"] == run.run_id


def test_a_server_tells_that_runs_may_name_webhooks(client: Client) -> None:
    assert "webhooks" in client.server.info().capabilities


def test_a_server_without_a_secret_sends_none(client_of_the_shared_server: Client) -> None:
    assert "webhooks" not in client_of_the_shared_server.server.info().capabilities
    with pytest.raises(errors.InvalidFieldError, match="GRAPHWIRE_WEBHOOK_SECRETS"):
        client_of_the_shared_server.runs.create(
            None, "linear", input={"log": []}, webhook="https://example.com/"
        )


@pytest.fixture
def client_of_the_shared_server(tmp_path: Path) -> Iterator[Client]:
    """A client of a server with settings as they come."""
    process = ServerProcess(tmp_path / "graphwire.db").start()
    with Client(process.address) as connected:
        yield connected
    process.stop()


def test_unsigned_if_asked_for_by_name(tmp_path: Path, receiver: Receiver) -> None:
    env = {**OPEN, "GRAPHWIRE_WEBHOOK_SECRETS": "", "GRAPHWIRE_WEBHOOK_UNSIGNED": "true"}
    process = ServerProcess(tmp_path / "graphwire.db", env=env).start()
    try:
        with Client(process.address) as client:
            client.runs.create(None, "linear", input={"log": []}, webhook=receiver.url())
            [came] = receiver.wait(1)
            assert "webhooks" in client.server.info().capabilities
    finally:
        process.stop()
    assert "webhook-signature" not in came.headers
    assert came.headers["webhook-id"] == came.event["id"]
    assert "webhooks_unsigned" in process.log
