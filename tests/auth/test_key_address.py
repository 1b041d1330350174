"""Keys that are fetched: from a real server on loopback, fresh, rotated, lost, hostile."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from graphwire.errors import KeysUnavailableError, UnauthenticatedError
from graphwire_server.auth.json_web_tokens import JsonWebTokens
from graphwire_server.auth.key_sets import KeyAddress, Times, check_address
from graphwire_server.auth.setup_errors import AuthSetupError
from graphwire_server.graphs.node_threads import LoopThreads, NodeThreads
from structlog.testing import capture_logs

from tests.auth.issuer import RULES, Clock, jwk, jwks, key_server, secret, signed

NOW = Times(fresh=0.01, least=0.01, most=0.01, retry=0.01, unknown=0.01)


@asynccontextmanager
async def opened(
    address: str, times: Times | None = None, clock: Clock | None = None
) -> AsyncIterator[KeyAddress]:
    """The keys of an address, fetched once."""
    keys = KeyAddress(address, times=times, clock=clock)
    await keys.open()
    try:
        yield keys
    finally:
        await keys.close()


async def kids(keys: KeyAddress) -> list[str]:
    """The ids of the keys."""
    return [key.kid for key in (await keys.keys()).keys]


async def test_keys_are_fetched_at_the_start() -> None:
    async with key_server(jwks(jwk("rsa"), secret(32))) as server, opened(server.address) as keys:
        assert await kids(keys) == ["rsa"]
        tokens = JsonWebTokens(keys, RULES)
        token = signed(headers={"kid": "rsa"})
        assert (await tokens.authenticate(token)).principal == "anna"
        assert len(server.requests) == 1
        assert server.requests[0].startswith(b"GET /keys HTTP/1.1\r\n")


async def test_keys_are_fetched_over_https_from_whom_the_environment_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    async with key_server(jwks(jwk("rsa")), tls) as server:
        with capture_logs() as lines:
            async with opened(server.address) as keys:
                with pytest.raises(KeysUnavailableError):
                    await keys.keys()
        assert "CERTIFICATE_VERIFY_FAILED" in lines[0]["error"]
        trusted = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(trusted)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        async with opened(server.address) as keys:
            assert await kids(keys) == ["rsa"]


async def test_rotated_keys_come_by_themselves() -> None:
    async with key_server(jwks(jwk("rsa"))) as server, opened(server.address, NOW) as keys:
        server.body = jwks(jwk("rsa2"))
        seen = len(server.requests)
        await server.came(seen + 2)  # the answer to the first of them has arrived
        assert await kids(keys) == ["rsa2"]
        tokens = JsonWebTokens(keys, RULES)
        with pytest.raises(UnauthenticatedError, match=r'kid "rsa"$'):
            await tokens.authenticate(signed(headers={"kid": "rsa"}))


def test_rotated_keys_come_while_nodes_keep_all_their_threads() -> None:
    nodes, released = NodeThreads(1), threading.Event()

    async def test() -> None:
        asyncio.get_running_loop().set_default_executor(LoopThreads(nodes))
        async with key_server(jwks(jwk("rsa"))) as server:
            # A name has to be looked up, which asyncio does in a thread.
            address = server.address.replace("127.0.0.1", "localhost")
            async with opened(address, NOW) as keys:
                assert await kids(keys) == ["rsa"]
                server.body = jwks(jwk("rsa2"))
                await server.came(len(server.requests) + 2)
                assert await kids(keys) == ["rsa2"]

    nodes.submit(released.wait, 30)
    try:
        asyncio.run(asyncio.wait_for(test(), 20))
    finally:
        released.set()
        nodes.shutdown()


async def test_an_unknown_kid_fetches_at_once_but_not_again_within_ten_seconds() -> None:
    clock = Clock()
    async with key_server(jwks(jwk("rsa"))) as server, opened(server.address, clock=clock) as keys:
        tokens = JsonWebTokens(keys, RULES)
        server.body = jwks(jwk("rsa"), jwk("rsa2"))
        token = signed("rsa2", headers={"kid": "rsa2"})
        clock.time += 9
        with pytest.raises(UnauthenticatedError, match=r'kid "rsa2"$'):
            await tokens.authenticate(token)
        assert len(server.requests) == 1
        clock.time += 1
        assert (await tokens.authenticate(token)).principal == "anna"
        for number in range(5):
            with pytest.raises(UnauthenticatedError):
                await tokens.authenticate(signed(headers={"kid": f"made up {number}"}))
        assert len(server.requests) == 2


async def test_an_unknown_kid_is_not_refused_while_it_can_not_be_looked_for() -> None:
    clock = Clock()
    async with key_server(jwks(jwk("rsa"))) as server, opened(server.address, clock=clock) as keys:
        tokens = JsonWebTokens(keys, RULES)
        server.body, server.status = jwks(jwk("rsa2")), "503 Service Unavailable"
        token = signed("rsa2", headers={"kid": "rsa2"})
        clock.time += 10
        for seen in (2, 2):  # the second one within the ten seconds
            with pytest.raises(KeysUnavailableError) as caught:
                await tokens.authenticate(token)
            assert caught.value.code == "UNAVAILABLE"
            assert caught.value.retry_after == 1
            assert len(server.requests) == seen
        # Who names a key that is there is none the worse for it.
        known = await tokens.authenticate(signed(headers={"kid": "rsa"}))
        assert known.principal == "anna"
        server.status = "200 OK"
        clock.time += 10
        assert (await tokens.authenticate(token)).principal == "anna"
        with pytest.raises(UnauthenticatedError, match=r'kid "rsa"$'):
            await tokens.authenticate(signed(headers={"kid": "rsa"}))


async def test_many_calls_wait_for_one_fetch() -> None:
    clock = Clock()
    async with key_server(jwks(jwk("rsa"))) as server, opened(server.address, clock=clock) as keys:
        tokens = JsonWebTokens(keys, RULES)
        server.body = jwks(jwk("rsa2"))
        clock.time += 10
        server.hold.clear()
        token = signed("rsa2", headers={"kid": "rsa2"})
        calls = [asyncio.create_task(tokens.authenticate(token)) for _ in range(20)]
        await server.came(2)
        calls[0].cancel()  # its caller has gone; the others' fetch goes on
        server.hold.set()
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert {getattr(identity, "principal", identity) for identity in found[1:]} == {"anna"}
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "caching, seconds",
    [
        ("", 300),
        ("public, max-age=900", 900),
        ("MAX-AGE = 900, must-revalidate", 900),
        ('max-age="900"', 900),
        ("max-age=1", 60),
        ("max-age=999999999", 3600),
        ("s-maxage=900", 300),
        ("max-age=x", 300),
        ("no-store", 60),
        ("max-age=900, no-cache", 60),
    ],
)
async def test_keys_are_fresh_for_as_long_as_the_answer_says_within_bounds(
    caching: str, seconds: float
) -> None:
    clock = Clock()
    async with key_server(jwks(jwk("rsa"))) as server:
        server.headers = {"cache-control": caching} if caching else {}
        async with opened(server.address, clock=clock) as keys:
            assert keys._due - clock.time == seconds


async def test_keys_that_were_there_are_used_while_the_address_fails_for_a_day() -> None:
    clock = Clock()
    with capture_logs() as lines:
        async with key_server(jwks(jwk("rsa"))) as server:
            address = server.address
            async with opened(address, clock=clock) as keys:
                server.status = "503 Service Unavailable"
                for _ in range(3):
                    clock.time += 10
                    with pytest.raises(KeysUnavailableError):
                        await keys.look_again()
                assert await kids(keys) == ["rsa"]
                clock.time += 86_400 - 30
                assert await kids(keys) == ["rsa"]
                clock.time += 1
                with pytest.raises(KeysUnavailableError) as caught:
                    await keys.keys()
                assert caught.value.retry_after == 1
                server.status = "200 OK"
                await keys.look_again()
                assert await kids(keys) == ["rsa"]
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "auth_keys_unreachable"),
        ("info", "auth_keys_reached"),
    ]
    assert lines[0] == {
        "setting": "jwt_keys",
        "address": address,
        "error": "answered with HTTP status 503",
        "hint": "the keys that were fetched last are used for 24 h",
        "event": "auth_keys_unreachable",
        "log_level": "warning",
    }


async def test_a_server_starts_without_the_keys_and_gets_them_when_it_can() -> None:
    async with key_server(b"secret nonsense") as server:
        with capture_logs() as lines:
            async with opened(server.address + "?key=secret", NOW) as keys:
                tokens = JsonWebTokens(keys, RULES)
                with pytest.raises(KeysUnavailableError) as caught:
                    await tokens.authenticate(signed())
                assert str(caught.value) == (
                    "the server can't get the keys at present that tell whether the token "
                    "holds; try again"
                )
                assert caught.value.code == "UNAVAILABLE"
                assert caught.value.retry_after == 1
                server.body = jwks(jwk("rsa"))
                await server.came(len(server.requests) + 2)
                assert (await tokens.authenticate(signed())).principal == "anna"
        assert lines[0]["error"] == "is no JSON"
        assert lines[0]["hint"] == ("tokens are refused with UNAVAILABLE until the keys are there")
        assert "secret" not in str(lines)


async def test_failures_are_tried_again_less_and_less_often() -> None:
    clock = Clock()
    async with key_server(b"") as server, opened(server.address, clock=clock) as keys:
        waits = []
        for _ in range(6):
            waits.append(keys._due - clock.time)
            clock.time += 10
            with pytest.raises(KeysUnavailableError):
                await keys.look_again()
    assert waits == [1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize(
    "status, headers, body, reason",
    [
        ("302 Found", {"location": "http://127.0.0.1:1/"}, b"", "answered with HTTP status 302"),
        ("404 Not Found", {}, jwks(jwk("rsa")), "answered with HTTP status 404"),
        ("200 OK", {}, b" " * (1024 * 1024 + 1), "answered with more than 1 MiB"),
        ("200 OK", {}, b"<html>", "is no JSON"),
        ("200 OK", {}, b"[]", 'is no JWKS, which is an object with a list of "keys"'),
    ],
)
async def test_an_answer_that_is_no_key_set_is_a_failure(
    status: str, headers: dict[str, str], body: bytes, reason: str
) -> None:
    async with key_server(body) as server:
        server.status, server.headers = status, headers
        with capture_logs() as lines:
            async with opened(server.address):
                pass
    assert [line["error"] for line in lines] == [reason]


async def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    async with key_server(b"") as server:
        server.hold.clear()
        with capture_logs() as lines:
            async with opened(server.address, Times(timeout=0.05, unknown=100, retry=100)):
                pass
    assert lines[0]["error"].startswith(("has not answered in 0.05 s", "can't be reached: "))
    with capture_logs() as lines:
        async with opened("http://127.0.0.1:1/keys", Times(retry=100, unknown=100)):
            pass
    assert lines[0]["error"].startswith("can't be reached: ConnectError: ")


async def test_whatever_goes_wrong_it_goes_on_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes, *, with_secrets: bool) -> None:
        raise RuntimeError("a fault of ours")

    async with key_server(jwks(jwk("rsa"))) as server:
        with monkeypatch.context() as patched, capture_logs() as lines:
            patched.setattr("graphwire_server.auth.key_sets.read_key_set", broken)
            keys = KeyAddress(server.address, times=NOW)
            await keys.open()
        assert [line["event"] for line in lines][:2] == [
            "auth_keys_failed",
            "auth_keys_unreachable",
        ]
        await server.came(len(server.requests) + 2)
        assert await kids(keys) == ["rsa"]
        await keys.close()


async def test_closing_does_not_wait_for_a_fetch() -> None:
    clock = Clock()
    async with key_server(jwks(jwk("rsa"))) as server:
        async with opened(server.address, Times(timeout=600), clock) as keys:
            server.hold.clear()
            clock.time += 10
            looking = asyncio.create_task(keys.look_again())
            await server.came(2)
        with pytest.raises(asyncio.CancelledError):
            await looking


async def test_an_empty_key_set_is_believed() -> None:
    clock = Clock()
    async with key_server(jwks(jwk("rsa"))) as server, opened(server.address, clock=clock) as keys:
        server.body = jwks()
        clock.time += 10
        with capture_logs() as lines:
            await keys.look_again()
        assert await kids(keys) == []
        assert [line["event"] for line in lines] == ["auth_keys_empty"]
        with pytest.raises(UnauthenticatedError) as caught:
            await JsonWebTokens(keys, RULES).authenticate(signed())
        assert str(caught.value) == 'the token is signed with "RS256", and its key is for nothing'


async def test_keys_of_this_machine_are_not_fetched_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with key_server(jwks(jwk("rsa"))) as server, opened(server.address) as keys:
        assert await kids(keys) == ["rsa"]


@pytest.mark.parametrize(
    "address, reason",
    [
        ("https://", "jwt_keys: the address names no host"),
        ("https://[x/", "jwt_keys: is no address that can be read"),
        ("https://host:port/", "jwt_keys: is no address that can be read"),
        (
            "https://me:secret@issuer.example/keys",
            "jwt_keys: the address must not have a name and password in it: keys are public",
        ),
        (
            "http://issuer.example/keys?key=secret",
            "jwt_keys: http://issuer.example: whoever sits in between could give the server "
            "keys of his own; use https:// (http:// is for this machine alone)",
        ),
        (
            "http://127.0.0.1.example/keys",
            "jwt_keys: http://127.0.0.1.example: whoever sits in between could give the server "
            "keys of his own; use https:// (http:// is for this machine alone)",
        ),
    ],
)
def test_addresses_that_are_not_safe_are_refused(address: str, reason: str) -> None:
    with pytest.raises(AuthSetupError) as caught:
        check_address(address)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    "address",
    [
        "https://issuer.example/keys?v=1",
        "http://localhost:8080/keys",
        "http://127.0.0.2/keys",
        "http://[::1]:80/keys",
    ],
)
def test_addresses_that_are_safe_pass(address: str) -> None:
    check_address(address)
