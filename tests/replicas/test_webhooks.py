"""Webhooks of several servers on one database: each is sent once while nobody dies, and none is
lost when somebody does."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.e2e.drive import create, get_run, payload
from tests.e2e.gates import until
from tests.postgres import PostgresServer
from tests.replicas.replica import PATIENCE, Replica, replicas, wait_run
from tests.webhooks.receiver import SECRET, Receiver, Reply

ENV = {
    "GRAPHWIRE_WEBHOOK_SECRETS": SECRET,
    "GRAPHWIRE_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8, ::1/128",
    "GRAPHWIRE_WEBHOOK_ALLOW_HTTP": "true",
    "GRAPHWIRE_WEBHOOK_RETRY_SECONDS": "0.05",
    # Longer than anything here takes, so that an attempt is repeated only if it fails.
    "GRAPHWIRE_WEBHOOK_TIMEOUT_SECONDS": "30",
}
RUNS = 30


@pytest.fixture(scope="module")
def pair(postgres: PostgresServer) -> Iterator[list[Replica]]:
    """Two servers on one database."""
    with (
        postgres.fresh_database() as database,
        replicas(postgres, database, first=ENV, second=ENV) as started,
    ):
        yield started


def begin(replica: Replica, receiver: Receiver, host: str = "127.0.0.1") -> str:
    """Starts a short run with a webhook on a server; returns its id."""
    given = payload({"steps": 1})
    run = create(replica.runs, assistant_id="march", input=given, webhook=receiver.url(host=host))
    return run.run_id


def test_while_nobody_dies_each_is_sent_once(pair: list[Replica]) -> None:
    with Receiver() as receiver:
        ids = [
            begin(pair[number % 2], receiver, ("127.0.0.1", "localhost")[number % 3 // 2])
            for number in range(RUNS)
        ]
        receiver.wait(RUNS)
        until(
            lambda: all(get_run(pair[0].runs, run_id).webhook.status == 2 for run_id in ids),
            "all are delivered",
            seconds=PATIENCE,
        )
        sent = Counter(request.event["run"]["run_id"] for request in receiver.received)
    assert sent == dict.fromkeys(ids, 1)
    webhooks = [get_run(pair[1].runs, run_id).webhook for run_id in ids]
    assert {webhook.attempts for webhook in webhooks} == {1}
    assert len({webhook.webhook_id for webhook in webhooks}) == RUNS


def test_each_server_sends_what_is_due_whoever_ended_the_run(pair: list[Replica]) -> None:
    """The one that ended it is told to stop before the receiver takes anything."""
    first, second = pair
    accepts = threading.Event()
    with Receiver(lambda number: Reply(200 if accepts.is_set() else 503)) as receiver:
        run_id = begin(first, receiver)
        wait_run(first, run_id)
        receiver.wait(1)
        assert first.stop() == 0, first.process.log
        try:
            accepts.set()
            until(
                lambda: get_run(second.runs, run_id).webhook.status == 2,
                "the other one delivers it",
                seconds=PATIENCE,
            )
        finally:
            first.start()
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1


def test_what_a_killed_server_was_sending_another_one_sends(postgres: PostgresServer) -> None:
    env = {**ENV, "GRAPHWIRE_WEBHOOK_TIMEOUT_SECONDS": "0.5"}
    hold = threading.Event()
    with (
        postgres.fresh_database() as database,
        Receiver(lambda number: Reply(before=hold.wait if number == 1 else bool)) as receiver,
        replicas(postgres, database, first=env) as [first],
    ):
        run_id = begin(first, receiver)
        receiver.wait(1)
        first.kill()
        with replicas(postgres, database, second=env) as [second]:
            receiver.wait(2)
            until(lambda: get_run(second.runs, run_id).webhook.status == 2, "it is delivered")
            assert get_run(second.runs, run_id).webhook.attempts >= 2
        hold.set()
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1
    assert len({request.body for request in receiver.received}) == 1
