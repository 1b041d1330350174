"""TLS and mTLS: who gets in, and certificates that are renewed under a running server."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from graphwire import (
    AsyncClient,
    Client,
    ConnectionLostError,
    DeadlineExceededError,
    HealthStatus,
    Tls,
)
from graphwire_server.rpc.peers import peer_identity

from tests.certificates import Authority, Certificate, replace
from tests.cli.command import call as command
from tests.e2e.drive import DEADLINE
from tests.e2e.gates import until
from tests.servers import ServerProcess

#: A client of the server's own channels: gRPC shares connections of channels that are alike.
ALONE = (("grpc.use_local_subchannel_pool", 1),)
OTHERS = [AsyncClient, Client]


@dataclass
class Secured:
    """A server with TLS.

    Attributes:
        process: The server.
        authority: Whose its certificate is.
        folder: Where its files are.
        certificate: The one that it has.
    """

    process: ServerProcess
    authority: Authority
    folder: Path
    certificate: Certificate

    @property
    def ca_file(self) -> Path:
        """The authority's certificate."""
        return self.folder / "ca.crt"

    @property
    def target(self) -> str:
        """Where it listens; that is in its certificate."""
        return self.process.address

    def shown(self) -> bytes:
        """The certificate that it shows to a new connection."""
        host, _, port = self.process.address.rpartition(":")
        return ssl.get_server_certificate((host, int(port)), timeout=DEADLINE).encode()

    def renew(self, certificate: Certificate) -> None:
        """Gives it another certificate."""
        self.certificate = certificate
        certificate.write(self.folder)

    def warnings(self) -> int:
        """How often it has said that it does not use new files."""
        return self.process.log.count("certificates_not_reloaded")


def issued(authority: Authority, **names: Any) -> Certificate:
    """A certificate for this machine."""
    return authority.issue("graphwire", dns=["localhost"], addresses=["127.0.0.1"], **names)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A server with TLS, which asks nobody for a certificate."""
    yield from started(tmp_path_factory.mktemp("secured"), mutual=False)


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A server with mTLS; clients' certificates are of the same authority as its own."""
    yield from started(tmp_path_factory.mktemp("mutual"), mutual=True)


def started(folder: Path, *, mutual: bool) -> Iterator[Secured]:
    authority = Authority()
    certificate = issued(authority)
    env = files(*certificate.write(folder))
    ca_file = authority.write(folder)
    if mutual:
        env["GRAPHWIRE_TLS_CLIENT_CA_FILE"] = str(ca_file)
    process = ServerProcess(folder / "graphwire.db", env=env).start()
    yield Secured(process, authority, folder, certificate)
    assert process.stop() == 0, process.log


def files(chain: Path, key: Path) -> dict[str, str]:
    """What tells a server where its certificate is."""
    return {"GRAPHWIRE_TLS_CERTIFICATE_FILE": str(chain), "GRAPHWIRE_TLS_KEY_FILE": str(key)}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TLS", "CA_FILE", "CLIENT_CERTIFICATE_FILE", "CLIENT_KEY_FILE", "SERVER_NAME"):
        monkeypatch.delenv(f"GRAPHWIRE_{name}", raising=False)


async def health(target: str, tls: Tls | bool | None = None) -> HealthStatus:
    """What a new connection is told."""
    async with AsyncClient(target, tls=tls, timeout=DEADLINE, options=ALONE) as client:
        return await client.health()


async def refused(target: str, tls: Tls | bool | None = None) -> str:
    """Why a new connection does not come about."""
    timeout = 0.5
    while True:
        async with AsyncClient(target, tls=tls, options=ALONE) as client:
            with pytest.raises((ConnectionLostError, DeadlineExceededError)) as caught:
                await client.health(timeout=timeout)
        if isinstance(caught.value, ConnectionLostError):
            return caught.value.message
        # The time was up in the midst of a try: on a busy machine one takes that long.
        assert timeout < DEADLINE
        timeout *= 2


# --- clients ---


async def test_what_is_no_tls_is_turned_away_and_leaves_nothing_in_the_log(
    secured: Secured,
) -> None:
    host, _, port = secured.process.address.rpartition(":")
    for sent in (  # not TLS, or damaged
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01" * 99,
    ):
        with socket.create_connection((host, int(port)), timeout=DEADLINE) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(1000)
        assert answer == b"" or answer[0] == 0x15  # an alert of TLS
    assert await health(secured.target, Tls(ca_file=secured.ca_file)) is HealthStatus.SERVING
    assert "andshake" not in secured.process.log


async def test_clients_talk_tls_with_an_authority_of_their_own(secured: Secured) -> None:
    tls = Tls(ca_file=secured.ca_file)
    async with AsyncClient(secured.target, tls=tls) as client:
        assert (await client.threads.create(thread_id="t")).thread_id == "t"
    with Client(secured.target, tls=tls) as blocking:
        assert blocking.threads.get("t").thread_id == "t"
    assert "CERTIFICATE_VERIFY_FAILED" in await refused(secured.target, True)
    await refused(secured.target, tls=False)
    await refused(secured.target, Tls(ca_file=Authority().write(secured.folder, "other")))


async def test_tls_comes_from_the_environment(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHWIRE_CA_FILE", str(secured.ca_file))
    assert await health(secured.target) is HealthStatus.SERVING
    assert await health(secured.target, True) is HealthStatus.SERVING
    monkeypatch.setenv("GRAPHWIRE_TLS", "0")
    await refused(secured.target)
    assert await health(secured.target, True) is HealthStatus.SERVING


async def test_the_name_in_the_certificate_may_be_another_than_that_of_the_target(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    secured.renew(secured.authority.issue("graphwire", dns=["graphwire.internal"]))
    await refused(secured.target, Tls(ca_file=secured.ca_file))
    named = Tls(ca_file=secured.ca_file, server_name="graphwire.internal")
    assert await health(secured.target, named) is HealthStatus.SERVING
    monkeypatch.setenv("GRAPHWIRE_CA_FILE", str(secured.ca_file))
    monkeypatch.setenv("GRAPHWIRE_SERVER_NAME", "graphwire.internal")
    assert await health(secured.target) is HealthStatus.SERVING
    secured.renew(issued(secured.authority))
    await refused(secured.target)


def test_commands_talk_tls(mutual: Secured) -> None:
    chain, key = mutual.authority.issue("somebody").write(mutual.folder, "client")
    env = {
        "GRAPHWIRE_CA_FILE": str(mutual.ca_file),
        "GRAPHWIRE_CLIENT_CERTIFICATE_FILE": str(chain),
        "GRAPHWIRE_CLIENT_KEY_FILE": str(key),
    }
    shown = command("threads", "list", "--json", "--tls", server=mutual.target, env=env)
    assert (shown.code, shown.out, shown.err) == (0, "", "")
    failed = command("threads", "list", "--tls", server=mutual.target)
    assert failed.code == 3
    assert failed.err.startswith(f"graphwire: no TLS with {mutual.target}: ")
    assert "GRAPHWIRE_CA_FILE" in failed.err
    plain = command("threads", "list", server=mutual.target.replace("localhost", "127.0.0.1"))
    assert plain.code == 3
    assert "closes the connection before it answers\n    it may want TLS: --tls" in plain.err
    half = command("threads", "list", env={"GRAPHWIRE_CLIENT_KEY_FILE": str(key)})
    assert half.code == 2
    assert half.err == (
        "graphwire: GRAPHWIRE_CLIENT_CERTIFICATE_FILE: GRAPHWIRE_CLIENT_KEY_FILE can't be used "
        "without it\n"
    )


@pytest.mark.parametrize("client", OTHERS)
def test_what_a_client_is_told_of_tls_is_checked(client: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for tls, said in (
        ({"ca_file": tmp_path / "none"}, "ca_file: .*none can't be read: No such file"),
        ({"ca_file": tmp_path / "empty"}, "ca_file: .*empty has nothing in PEM"),
        ({"key_file": "k"}, "certificate_file: key_file can't be used without it"),
        ({"certificate_file": "c"}, "key_file: certificate_file can't be used without it"),
    ):
        with pytest.raises(ValueError, match=said):
            client("localhost:1", tls=Tls(**tls))
    with pytest.raises(ValueError, match="credentials= and tls= say the same"):
        client("localhost:1", tls=True, credentials=grpc.ssl_channel_credentials())


def test_a_token_goes_over_tls(tmp_path: Path) -> None:
    tls = Tls(ca_file=Authority().write(tmp_path))
    Client("graphwire.example:443", token="secret", tls=tls).close()


# --- mTLS ---


async def test_with_mtls_nobody_gets_in_without_a_certificate_of_the_right_authority(
    mutual: Secured,
) -> None:
    stranger = Authority("stranger").issue("somebody")

    def shows(certificate: Certificate, name: str) -> Tls:
        chain, key = certificate.write(mutual.folder, name)
        return Tls(ca_file=mutual.ca_file, certificate_file=chain, key_file=key)

    right = shows(mutual.authority.issue("somebody"), "right")
    assert await health(mutual.target, right) is HealthStatus.SERVING
    await refused(mutual.target, Tls(ca_file=mutual.ca_file))
    await refused(mutual.target, shows(stranger, "stranger"))
    expired = mutual.authority.issue("somebody", expired=True)
    await refused(mutual.target, shows(expired, "expired"))


async def test_the_authorities_of_clients_are_read_again(mutual: Secured) -> None:
    newer = Authority("newer")
    chain, key = newer.issue("somebody").write(mutual.folder, "client")
    trusted = mutual.authority.write(mutual.folder, "trusted")
    tls = Tls(ca_file=trusted, certificate_file=chain, key_file=key)
    await refused(mutual.target, tls)
    newer.write(mutual.folder)  # in the place of the one before
    assert await health(mutual.target, tls) is HealthStatus.SERVING
    mutual.authority.write(mutual.folder)
    await refused(mutual.target, tls)


@pytest.fixture
async def identities() -> AsyncIterator[Callable[..., Any]]:
    """A server that says who its callers are, as `peer_identity` does."""
    authority = Authority()
    own = issued(authority)

    async def answer(request: bytes, context: Any) -> bytes:
        return peer_identity(context).encode()

    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Who", {"AmI": handler}),)
    )
    port = server.add_secure_port(
        "127.0.0.1:0",
        grpc.ssl_server_credentials([(own.key, own.chain)], authority.pem, True),
    )
    open_port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async def who(**names: Any) -> str:
        if not names:
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{open_port}")
        else:
            shown = authority.issue(names.pop("name"), **names)
            credentials = grpc.ssl_channel_credentials(authority.pem, shown.key, shown.chain)
            channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, ALONE)
        async with channel:
            ask: Any = channel.unary_unary("/test.Who/AmI")
            return str(await ask(b"", timeout=DEADLINE), "utf-8")

    yield who
    await server.stop(None)


async def test_a_peer_is_its_spiffe_id_else_its_name(identities: Callable[..., Any]) -> None:
    spiffe, other = "spiffe://example.org/ns/default/sa/worker", "https://example.org/worker"
    dns = ["worker.example.org", "worker"]
    assert await identities(name="cn", dns=dns, uris=[other, spiffe]) == spiffe
    assert await identities(name="cn", dns=dns, uris=[other]) == dns[0]
    assert await identities(name="cn", dns=dns) == dns[0]
    assert await identities(name="cn") == "cn"
    assert await identities() == ""


async def test_a_peer_with_two_spiffe_ids_is_nobody(identities: Callable[..., Any]) -> None:
    two = ["spiffe://example.org/a", "spiffe://example.org/b"]
    assert await identities(name="cn", dns=["worker"], uris=two) == ""


async def test_a_spiffe_id_counts_only_where_one_belongs(identities: Callable[..., Any]) -> None:
    assert await identities(name="spiffe://example.org/a") == ""
    assert await identities(name="cn", dns=["SPIFFE://example.org/a"]) == ""


# --- renewal ---


async def test_a_certificate_is_renewed_under_a_running_server(secured: Secured) -> None:
    tls = Tls(ca_file=secured.ca_file)
    async with AsyncClient(secured.target, tls=tls, options=ALONE) as client:
        await client.health()
        before, newer = secured.certificate, issued(secured.authority)
        assert secured.shown() == before.chain
        # For a moment the one file is there and the other is not, which is nothing to warn of.
        replace(secured.folder / "tls.crt", newer.chain)
        assert secured.shown() == before.chain
        secured.renew(newer)
        assert secured.shown() == newer.chain
        # What is connected goes on.
        assert await client.health() is HealthStatus.SERVING
    assert await health(secured.target, tls) is HealthStatus.SERVING
    assert secured.warnings() == 0


async def test_a_pair_that_is_half_written_is_not_used(secured: Secured) -> None:
    tls, before = Tls(ca_file=secured.ca_file), secured.certificate
    newer = issued(secured.authority)
    chain, key = secured.folder / "tls.crt", secured.folder / "tls.key"
    chain.write_bytes(newer.chain)
    for _ in range(3):
        assert secured.shown() == before.chain
        assert await health(secured.target, tls) is HealthStatus.SERVING
    until(lambda: secured.shown() == before.chain and secured.warnings() == 1)
    assert f"{key} is not the key of the first certificate in {chain}" in secured.process.log
    key.write_bytes(newer.key[:50])
    until(lambda: secured.shown() == before.chain and secured.warnings() == 2)
    assert f"{key} has no private key in PEM, or a damaged one" in secured.process.log
    key.unlink()
    until(lambda: secured.shown() == before.chain and secured.warnings() == 3)
    assert f"{key} can't be read: No such file or directory" in secured.process.log
    key.write_bytes(newer.key)
    assert secured.shown() == newer.chain
    assert await health(secured.target, tls) is HealthStatus.SERVING
    assert secured.warnings() == 3


def test_a_folder_that_is_exchanged_by_a_link_is_followed(
    own_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    """Kubernetes does so with secrets."""
    authority = Authority()
    before, after = issued(authority), issued(authority)
    for name, certificate in (("1", before), ("2", after)):
        (tmp_path / name).mkdir()
        certificate.write(tmp_path / name)
    data = tmp_path / "data"
    data.symlink_to("1")
    env = files(data / "tls.crt", data / "tls.key")
    secured = Secured(own_server(env=env), authority, tmp_path, before)
    assert secured.shown() == before.chain
    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").rename(data)
    assert secured.shown() == after.chain


def test_an_expired_certificate_is_warned_of(
    own_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    authority = Authority()
    process = own_server(env=files(*issued(authority, expired=True).write(tmp_path)))
    until(lambda: process.log.count("certificate_expired") == 1)
