"""One attempt at a webhook: where its connection goes, and what its answer means."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from graphwire_server.webhooks.policy import UrlPolicy
from graphwire_server.webhooks.sender import Answer, Resolver, Result, Sender, tls_context

from tests.webhooks.receiver import SECRET, Authority, Receiver, Reply

#: This machine, and nothing else that is private.
HERE = UrlPolicy(allow_http=True, networks=(ipaddress.ip_network("127.0.0.1/32"),))


def names(**addresses: Sequence[str]) -> Callable[[str, int], object]:
    """A resolver that knows these names, dots as underscores."""
    known = {name.replace("_", "."): found for name, found in addresses.items()}

    async def resolve(host: str, port: int) -> Sequence[str]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return known[host]

    return resolve


@asynccontextmanager
async def sending(
    policy: UrlPolicy = HERE,
    *,
    resolve: object = None,
    timeout: float = 20.0,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Callable[[str], object]]:
    """Gives a function that sends a webhook to a URL."""
    sender = Sender(
        policy,
        secrets=[SECRET],
        headers={"X-Team": "blue"},
        timeout_seconds=timeout,
        context=context or tls_context(None),
        resolve=resolve or names(),  # type: ignore[arg-type]
    )

    async def send(url: str) -> Answer:
        return await sender.send(url, webhook_id="msg_1", attempt=1, body=b"{}")

    try:
        yield send
    finally:
        await sender.close()


async def send(url: str, policy: UrlPolicy = HERE, **options: object) -> Answer:
    """Sends one webhook."""
    async with sending(policy, **options) as function:  # type: ignore[arg-type]
        answer: Answer = await function(url)  # type: ignore[misc]
        return answer


async def test_the_name_is_looked_up_once_and_the_connection_goes_to_what_was_checked() -> None:
    asked = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        """Says something else the second time, as an attacker's name server does."""
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    with Receiver() as receiver:
        answer = await send(receiver.url(host="hooks.example.com"), resolve=rebinding)
        assert answer == Answer(Result.DELIVERED, 200)
        [came] = receiver.received
    assert asked == ["hooks.example.com"]
    assert came.headers["host"] == f"hooks.example.com:{receiver.port}"
    assert came.headers["x-team"] == "blue"


async def test_a_name_that_leads_into_the_network_by_the_time_it_is_sent_is_refused() -> None:
    """It was public when the run was started: nothing is sent, for good."""
    policy = UrlPolicy(allow_http=True)
    with Receiver() as receiver:
        answer = await send(
            receiver.url(host="hooks.example.com"),
            policy,
            resolve=names(hooks_example_com=["127.0.0.1"]),
        )
        assert receiver.received == []
    error = (
        "the URL must lead to a public address; its host's is loopback; the server's setting "
        "GRAPHWIRE_WEBHOOK_ALLOWED_NETWORKS would allow it"
    )
    assert answer == Answer(Result.REFUSED, error=error)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1", "10.0.0.1"],
        ["10.0.0.1", "127.0.0.1"],
        ["127.0.0.1", "::1"],
        ["127.0.0.1", "::ffff:10.0.0.1"],
        ["127.0.0.1", "169.254.169.254"],
    ],
)
async def test_all_addresses_of_a_name_must_be_allowed(addresses: list[str]) -> None:
    with Receiver() as receiver:
        answer = await send(
            receiver.url(host="hooks.example.com"), resolve=names(hooks_example_com=addresses)
        )
        assert receiver.received == []
    assert answer.result is Result.REFUSED


@pytest.mark.parametrize("addresses", [[], ["fe80::1%lo"], ["127.0.0.1", "not an address"]])
async def test_what_is_no_address_is_not_connected_to(addresses: list[str]) -> None:
    answer = await send("http://hooks.example.com/", resolve=names(hooks_example_com=addresses))
    assert (answer.result, answer.status_code) == (Result.RETRY, 0)
    assert "no address that can be used" in answer.error


async def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    policy = UrlPolicy(allow_http=True, networks=(ipaddress.ip_network("127.0.0.0/8"),))
    with Receiver() as receiver:
        answer = await send(
            receiver.url(host="hooks.example.com"),
            policy,
            resolve=names(hooks_example_com=["127.0.0.9", "127.0.0.1"]),
        )
    assert answer == Answer(Result.DELIVERED, 200)


async def test_over_tls_the_certificate_must_be_for_the_name_and_not_for_the_address(
    authority: Authority,
) -> None:
    context = tls_context(authority.file)
    resolve = names(hooks_example_com=["127.0.0.1"])
    right = authority.authority.issue_cert("hooks.example.com")
    with Receiver(certificate=right) as receiver:
        answer = await send(
            receiver.url(host="hooks.example.com"), resolve=resolve, context=context
        )
        assert answer == Answer(Result.DELIVERED, 200)
        assert receiver.names == ["hooks.example.com"]
    for_the_address = authority.authority.issue_cert("127.0.0.1")
    with Receiver(certificate=for_the_address) as receiver:
        answer = await send(
            receiver.url(host="hooks.example.com"), resolve=resolve, context=context
        )
        assert (answer.result, receiver.received) == (Result.RETRY, [])
        assert "certificate verify failed" in answer.error


async def test_a_connection_is_not_used_for_another_name(authority: Authority) -> None:
    certificate = authority.authority.issue_cert("one.example.com", "two.example.com")
    resolve = names(one_example_com=["127.0.0.1"], two_example_com=["127.0.0.1"])
    with Receiver(
        lambda number: Reply(headers={"Connection": "keep-alive", "Content-Length": "0"}),
        certificate=certificate,
    ) as receiver:
        async with sending(resolve=resolve, context=tls_context(authority.file)) as function:
            for host in ("one.example.com", "two.example.com"):
                await function(receiver.url(host=host))  # type: ignore[misc]
        assert receiver.names == ["one.example.com", "two.example.com"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    with Receiver() as inside:
        location = {"Location": inside.url("/secret")}
        with Receiver(lambda number: Reply(status, headers=location)) as receiver:
            answer = await send(receiver.url())
        assert inside.received == []
    error = f"HTTP {status}: a redirect, which is not followed"
    assert answer == Answer(Result.REFUSED, status, error)


@pytest.mark.parametrize(
    "status, result",
    [
        (200, Result.DELIVERED),
        (202, Result.DELIVERED),
        (299, Result.DELIVERED),
        (304, Result.REFUSED),
        (400, Result.REFUSED),
        (401, Result.REFUSED),
        (404, Result.REFUSED),
        (408, Result.RETRY),
        (410, Result.REFUSED),
        (421, Result.RETRY),
        (425, Result.RETRY),
        (429, Result.RETRY),
        (500, Result.RETRY),
        (503, Result.RETRY),
        (599, Result.RETRY),
    ],
)
async def test_what_a_status_means(status: int, result: Result) -> None:
    with Receiver(lambda number: Reply(status)) as receiver:
        answer = await send(receiver.url())
    assert (answer.result, answer.status_code) == (result, status)


async def test_retry_after_is_understood_in_both_forms() -> None:
    texts = ["7", formatdate(time.time() + 100, usegmt=True), "soon", "-5", "1e9"]
    texts += [
        f"Mon, 01 Jan 2030 {'9' * 20}:00:00 GMT",
        f"Mon, 01 Jan 2030 00:00:00 +{'9' * 22}",
        f"Mon, 01 Jan {'9' * 5000} 00:00:00 GMT",
    ]
    with Receiver(
        lambda number: Reply(503, headers={"Retry-After": texts[number - 1]})
    ) as receiver:
        found = [(await send(receiver.url())).retry_after for _ in texts]
    seconds, date, *nonsense = found
    assert seconds == 7
    assert date is not None
    assert 0 < date <= 100
    assert nonsense == [None] * 6


async def test_a_receiver_that_does_not_answer_is_given_up_on() -> None:
    hold = threading.Event()
    with Receiver(lambda number: Reply(before=hold.wait)) as receiver:
        answer = await send(receiver.url(), timeout=0.3)
        hold.set()
    assert answer == Answer(Result.RETRY, error="no answer within 0.3 s")


async def test_an_answer_in_drips_is_given_up_on() -> None:
    """Each byte comes in time, the answer does not."""
    done = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.01)
        except OSError:
            done.set()
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        answer = await send(f"http://127.0.0.1:{port}/", timeout=0.5)
        await asyncio.wait_for(done.wait(), 10)
    assert answer.result is Result.RETRY


async def test_of_an_endless_answer_little_is_read() -> None:
    written = 0

    def endless() -> Iterator[bytes]:
        nonlocal written
        while True:
            yield b"x" * 65536
            written += 65536

    with Receiver(lambda number: Reply(200, body=endless)) as receiver:
        answer = await send(receiver.url())
        for _ in range(1000):
            if receiver.broken:
                break
            await asyncio.sleep(0.01)
        assert receiver.broken == 1
    assert answer == Answer(Result.DELIVERED, 200)
    # What the buffers of the machine take, at the most.
    assert written < 50 * 1024 * 1024


async def test_headers_without_end_are_not_read() -> None:
    def headers() -> Iterator[bytes]:
        while True:
            yield b"X-Filler: " + b"y" * 1000 + b"\r\n"

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            for line in headers():
                writer.write(line)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        answer = await send(f"http://127.0.0.1:{port}/")
    assert (answer.result, answer.status_code) == (Result.RETRY, 0)


async def test_what_is_no_http_is_an_attempt_that_failed() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.0\r\n\0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        answer = await send(f"http://127.0.0.1:{port}/")
    assert (answer.result, answer.status_code) == (Result.RETRY, 0)
    assert answer.error.startswith("no answer")


async def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    answer = await send(f"http://127.0.0.1:{port}/")
    assert (answer.result, answer.status_code) == (Result.RETRY, 0)
    assert answer.error.startswith("can't connect")


async def test_a_name_that_is_not_known_is_tried_again() -> None:
    answer = await send("http://nowhere.example.com/")
    assert answer.result is Result.RETRY
    assert answer.error.startswith("its host was not found")


async def test_a_url_that_is_not_allowed_any_more_is_refused() -> None:
    answer = await send("http://127.0.0.1/", UrlPolicy())
    assert answer.result is Result.REFUSED
    assert answer.error.startswith("the URL must be https")


async def test_proxies_in_the_environment_mean_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as proxy, Receiver() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert (await send(receiver.url())).result is Result.DELIVERED
        assert (len(proxy.received), len(receiver.received)) == (0, 1)


async def test_cookies_are_not_kept() -> None:
    with Receiver(lambda number: Reply(headers={"Set-Cookie": "a=b"})) as receiver:
        async with sending() as function:
            for _ in range(2):
                await function(receiver.url())  # type: ignore[misc]
        assert all("cookie" not in came.headers for came in receiver.received)


async def test_the_system_is_asked_for_names() -> None:
    resolver = Resolver(1)
    try:
        assert "127.0.0.1" in await resolver("localhost", 80)
        with pytest.raises(OSError, match=r".+"):
            await resolver("nowhere.invalid", 80)
    finally:
        resolver.close()
