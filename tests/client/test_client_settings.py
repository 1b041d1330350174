"""How a client reaches its server: target, TLS, token, options, a channel of one's own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import graphwire
import grpc
import pytest
from graphwire import AsyncClient, Client
from graphwire._settings import check_settings
from graphwire.v1 import threads_pb2

from . import wire
from .conftest import Connect
from .scripted import ScriptedServer


@pytest.fixture(autouse=True)
def answers(scripted: ScriptedServer) -> None:
    scripted.on("GetThread", threads_pb2.GetThreadResponse(thread=wire.thread()))


async def test_the_target_comes_from_the_environment(
    connect: Connect, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHWIRE_TARGET", scripted.target)
    await connect().threads.get("t")
    assert len(scripted.calls) == 1


async def test_a_given_target_goes_before_the_environment(
    connect: Connect, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHWIRE_TARGET", "127.0.0.1:1")
    await connect(scripted.target).threads.get("t")
    assert len(scripted.calls) == 1


def settings(**given: Any) -> Any:
    defaults: dict[str, Any] = {
        "target": None,
        "credentials": None,
        "tls": None,
        "token": None,
        "allow_insecure_token": False,
        "timeout": None,
        "rejoin_timeout": 60.0,
        "metadata": (),
        "options": (),
        "has_channel": False,
    }
    return check_settings(**{**defaults, **given})


def test_the_default_target_is_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHWIRE_TARGET", raising=False)
    assert settings().target == "127.0.0.1:50051"


async def test_metadata_goes_with_every_call(connect: Connect, scripted: ScriptedServer) -> None:
    client = connect(scripted.target, metadata=[("x-tenant", "a"), ("x-raw-bin", b"\x00")])
    await client.threads.get("t")
    assert scripted.calls[0].metadata["x-tenant"] == "a"
    assert scripted.calls[0].metadata["x-raw-bin"] == b"\x00"


async def test_a_token_is_sent_as_bearer(connect: Connect, scripted: ScriptedServer) -> None:
    await connect(scripted.target, token="secret").threads.get("t")
    assert scripted.calls[0].metadata["authorization"] == "Bearer secret"


async def test_a_token_that_is_called_is_asked_for_each_call(
    connect: Connect, scripted: ScriptedServer
) -> None:
    tokens = iter(["one", "two"])
    client = connect(scripted.target, token=lambda: next(tokens))
    await client.threads.get("t")
    await client.threads.get("t")
    sent = [call.metadata["authorization"] for call in scripted.calls]
    assert sent == ["Bearer one", "Bearer two"]


LOCAL = [
    "127.0.0.1:50051",
    "127.8.8.8:1",
    "localhost:50051",
    "[::1]:50051",
    "dns:///localhost:50051",
    "ipv4:127.0.0.1:1,127.0.0.1:2",
    "ipv6:[::1]:50051",
    "unix:/run/graphwire.sock",
    "unix:///run/graphwire.sock",
]
REMOTE = [
    "10.0.0.1:50051",
    "graphwire.example:50051",
    "localhost.example:50051",
    "127.0.0.1.example:50051",
    "dns:///graphwire.example:50051",
    "dns://127.0.0.1/graphwire.example:50051",
    "ipv4:127.0.0.1:1,10.0.0.1:2",
    "0.0.0.0:50051",
    "[2001:db8::1]:50051",
]


@pytest.mark.parametrize("target", LOCAL)
def test_a_token_may_go_over_plain_text_within_this_machine(target: str) -> None:
    assert settings(target=target, token="secret").token == "secret"


@pytest.mark.parametrize("target", REMOTE)
@pytest.mark.parametrize("client", [AsyncClient, Client])
def test_a_token_never_goes_over_plain_text_to_another_machine(target: str, client: Any) -> None:
    with pytest.raises(ValueError, match=r"would go to .* in plain text: pass tls=True"):
        client(target, token="secret")
    with pytest.raises(ValueError, match="in plain text"):
        client(target, metadata=[("Authorization", "Basic secret")])


@pytest.mark.parametrize("target", REMOTE)
def test_a_token_goes_anywhere_with_tls_or_leave(target: str) -> None:
    assert settings(target=target, token="s", allow_insecure_token=True).token == "s"
    credentials = grpc.ssl_channel_credentials()
    assert settings(target=target, token="s", credentials=credentials).token == "s"


def test_a_token_is_not_shown() -> None:
    assert "secret" not in repr(settings(token="secret"))
    assert "secret" not in repr(settings(metadata=[("authorization", "Basic secret")]))


@pytest.mark.parametrize("target", LOCAL)
def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(target: str) -> None:
    assert dict(settings(target=target).channel_options())["grpc.enable_http_proxy"] == 0


def test_a_proxy_of_the_environment_is_left_alone_for_other_machines() -> None:
    options = dict(settings(target="graphwire.example:50051").channel_options())
    assert "grpc.enable_http_proxy" not in options


def test_options_of_the_caller_take_the_place_of_ours() -> None:
    given = [("grpc.keepalive_time_ms", 5), ("grpc.max_metadata_size", 6)]
    options = settings(options=given).channel_options()
    assert dict(options)["grpc.keepalive_time_ms"] == 5
    assert dict(options)["grpc.max_metadata_size"] == 6
    assert dict(options)["grpc.max_receive_message_length"] == -1
    assert len(options) == len(dict(options))


async def test_answers_may_be_larger_than_grpc_allows_by_default(
    connect: Connect, scripted: ScriptedServer
) -> None:
    large = wire.thread()
    large.metadata.json = f'{{"text":"{"x" * 5_000_000}"}}'
    scripted.on("GetThread", threads_pb2.GetThreadResponse(thread=large))
    thread = await connect(scripted.target).threads.get("t")
    assert len(thread.metadata["text"]) == 5_000_000


@pytest.mark.parametrize(
    "given, complaint",
    [
        ({"timeout": 0}, "timeout is 0: it must be more than 0"),
        ({"timeout": -1.5}, "timeout is -1.5: it must be more than 0"),
        ({"rejoin_timeout": -1}, "rejoin_timeout is -1: it must be 0 or more"),
        (
            {"metadata": [("graphwire-payload", "value")]},
            "metadata can't have graphwire-payload: the client reads JSON alone",
        ),
        (
            {"token": "a", "metadata": [("authorization", "b")]},
            "metadata can't have authorization as well as token=",
        ),
        (
            {"has_channel": True, "target": "localhost:1"},
            "channel= brings its own target, credentials, tls and options",
        ),
        (
            {"has_channel": True, "options": [("grpc.keepalive_time_ms", 1)]},
            "channel= brings its own target, credentials, tls and options",
        ),
    ],
)
def test_settings_that_can_not_be_are_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        settings(**given)
    assert str(caught.value) == complaint


def test_an_async_client_can_be_made_without_an_event_loop() -> None:
    assert isinstance(AsyncClient("127.0.0.1:1"), AsyncClient)


@pytest.fixture
def certified(tmp_path: Path) -> tuple[bytes, bytes]:
    """A key and its certificate for localhost."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files],
        check=True,
        capture_output=True,
    )
    return key.read_bytes(), certificate.read_bytes()


async def test_tls_and_a_token(
    connect: Connect, scripted: ScriptedServer, certified: tuple[bytes, bytes]
) -> None:
    scripted.restart(grpc.ssl_server_credentials([certified]))
    target = f"localhost:{scripted.port}"
    trusted = grpc.ssl_channel_credentials(certified[1])
    client = connect(target, credentials=trusted, token="secret")
    assert (await client.threads.get("t")).thread_id == "t"
    assert scripted.calls[0].metadata["authorization"] == "Bearer secret"
    with pytest.raises(graphwire.ConnectionLostError):
        await connect(target, credentials=grpc.ssl_channel_credentials()).threads.get(
            "t", timeout=0.3
        )
    with pytest.raises(graphwire.ConnectionLostError):
        await connect(target).threads.get("t", timeout=0.3)
