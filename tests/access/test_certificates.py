"""Callers that are known by their certificates."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from graphwire import Client, PermissionDeniedError, ThreadNotFoundError, Tls, UnauthenticatedError

from tests.access.guarded import PROJECT
from tests.certificates import Authority
from tests.servers import ServerProcess

INBOX = "spiffe://mesh/inbox"
BILLING = "spiffe://mesh/billing"


@pytest.fixture
def clients(own_server: Callable[..., ServerProcess], tmp_path: Path) -> Callable[..., Client]:
    """Makes clients of a server that asks for certificates, with the certificate of a name."""
    authority = Authority()
    ca = authority.write(tmp_path)
    certificate, key = authority.issue("server", addresses=["127.0.0.1"]).write(tmp_path, "server")
    tokens = tmp_path / "tokens.toml"
    digest = hashlib.sha256(b"robot-token").hexdigest()
    tokens.write_text(
        f'["{INBOX}"]\ntoken_sha256 = []\npermissions = ["threads:all"]\n'
        f'[robot]\ntoken_sha256 = "{digest}"\n'
    )
    process = own_server(
        PROJECT,
        env={
            "GRAPHWIRE_TLS_CERTIFICATE_FILE": str(certificate),
            "GRAPHWIRE_TLS_KEY_FILE": str(key),
            "GRAPHWIRE_TLS_CLIENT_CA_FILE": str(ca),
            "GRAPHWIRE_AUTH_CERTIFICATES": "true",
            "GRAPHWIRE_AUTH_TOKENS": str(tokens),
        },
    )

    def client(name: str, token: str | None = None) -> Client:
        issued = authority.issue("workload", uris=[name] if name else [])
        own, own_key = issued.write(tmp_path, f"client-{len(name)}")
        tls = Tls(ca_file=ca, certificate_file=own, key_file=own_key)
        return Client(process.address, tls=tls, token=token)

    return client


def test_a_certificate_names_the_caller_and_the_token_file_what_he_may(
    clients: Callable[..., Client],
) -> None:
    with clients(BILLING) as billing, clients(INBOX) as inbox, clients("") as workload:
        thread_id = billing.threads.create().thread_id
        done = billing.runs.run(thread_id, "two", input={"log": ["in"]})
        assert done.run.principal == BILLING
        assert inbox.threads.get(thread_id).thread_id == thread_id
        with pytest.raises(PermissionDeniedError):
            inbox.assistants.create("two")
        with pytest.raises(ThreadNotFoundError):
            workload.threads.get(thread_id)
        # Without a SPIFFE id it is the name of its subject.
        own = workload.threads.create().thread_id
        assert workload.runs.run(own, "two", input={"log": []}).run.principal == "workload"


def test_a_client_that_is_made_anew_has_the_certificate_that_was_renewed(
    clients: Callable[..., Client],
) -> None:
    renewed = "spiffe://mesh/renew"
    assert len(renewed) == len(INBOX)  # the same files
    with clients(INBOX) as old, clients(renewed) as new:
        # Each connects only now.
        for client, name in ((old, INBOX), (new, renewed)):
            thread_id = client.threads.create().thread_id
            assert client.runs.run(thread_id, "two", input={"log": []}).run.principal == name


def test_a_token_decides_alone(clients: Callable[..., Client]) -> None:
    with clients(INBOX, token="robot-token") as robot:
        thread_id = robot.threads.create().thread_id
        assert robot.runs.run(thread_id, "two", input={"log": []}).run.principal == "robot"
    with clients(INBOX, token="guessed") as guessing, pytest.raises(UnauthenticatedError):
        guessing.threads.create()
