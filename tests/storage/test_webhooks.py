"""Webhooks: kept until they are sent, claimed by one at a time, forgotten afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from graphwire_server.storage.interface import IntegrityError, Storage
from graphwire_server.storage.sql import webhooks as statements
from graphwire_server.storage.webhooks import WEBHOOKS, WebhookRecord, WebhookStatus

from .builders import A_DAY


def a_webhook(name: str = "1", **given: Any) -> WebhookRecord:
    filled: dict[str, Any] = {
        "run_id": f"run-{name}",
        "thread_id": "thread",
        "kind": "run.succeeded",
        "url": "https://example.com/?token=1",
        "host": "example.com",
        "body": '{"é": 1}',
        "create_time": 5,
        "due_time": 5,
    }
    return WebhookRecord(webhook_id=f"msg-{name}", **(filled | given))


async def add(storage: Storage, *webhooks: WebhookRecord) -> None:
    for webhook in webhooks:
        await storage.write(lambda tx, webhook=webhook: tx.insert_webhook(webhook))  # type: ignore[misc]


async def claim(
    storage: Storage,
    *,
    lapse: int = A_DAY,
    limit: int = 10,
    per_host: int = 10,
    busy: Mapping[str, int] | None = None,
) -> list[WebhookRecord]:
    claimed = await storage.write(
        lambda tx: tx.claim_webhooks(lapse=lapse, limit=limit, per_host=per_host, busy=busy or {})
    )
    return claimed.webhooks


async def kept(storage: Storage, name: str = "1") -> WebhookRecord:
    found = await storage.read(lambda r: r.webhooks_of([f"run-{name}", "nobody"]))
    return found[f"run-{name}"]


def names(webhooks: list[WebhookRecord]) -> list[str]:
    return [webhook.webhook_id for webhook in webhooks]


async def test_a_webhook_is_announced_kept_and_read_without_its_body(storage: Storage) -> None:
    heard: list[str] = []
    storage.listen(heard.extend)
    assert await storage.read(lambda r: r.next_webhook_time()) is None
    await add(storage, a_webhook())
    assert await kept(storage) == replace(a_webhook(), body="")
    assert await storage.read(lambda r: r.next_webhook_time()) == 5
    assert await storage.read(lambda r: r.webhooks_of([])) == {}
    while WEBHOOKS not in heard:
        await asyncio.sleep(0.001)


async def test_a_run_has_one_webhook(storage: Storage) -> None:
    await add(storage, a_webhook())
    with pytest.raises(IntegrityError):
        await add(storage, a_webhook("2", run_id="run-1"))
    with pytest.raises(IntegrityError):
        await add(storage, a_webhook(run_id="run-2"))


async def test_what_is_due_is_claimed_once_until_the_claim_lapses(storage: Storage) -> None:
    now = await storage.read(lambda r: r.now())
    await add(storage, a_webhook(), a_webhook("2", due_time=now + A_DAY))
    [claimed] = await claim(storage)
    assert claimed.body == '{"é": 1}'
    assert (claimed.attempt, claimed.attempt_time is not None) == (1, True)
    assert claimed.due_time > now
    assert await claim(storage) == []

    await add(storage, a_webhook("3"))
    [other] = await claim(storage, lapse=0)
    [again] = await claim(storage, lapse=0)
    assert (other.webhook_id, again.webhook_id) == ("msg-3", "msg-3")
    assert (other.attempt, again.attempt) == (1, 2)


async def test_those_that_have_waited_longest_come_first(storage: Storage) -> None:
    await add(
        storage,
        a_webhook("1", due_time=9),
        a_webhook("2", due_time=7),
        a_webhook("3", due_time=8),
        a_webhook("4", due_time=7),
    )
    assert sorted(names(await claim(storage, limit=2))) == ["msg-2", "msg-4"]
    assert sorted(names(await claim(storage, limit=9))) == ["msg-1", "msg-3"]


async def test_a_host_that_is_busy_holds_up_itself_alone(storage: Storage) -> None:
    slow = [a_webhook(f"s{number}", host="slow", due_time=number) for number in range(1, 5)]
    await add(storage, *slow, a_webhook("q", host="quick", due_time=9))
    assert names(await claim(storage, per_host=2)) == ["msg-s1", "msg-s2", "msg-q"]
    assert await claim(storage, per_host=2, busy={"slow": 2}) == []
    assert names(await claim(storage, per_host=2, busy={"slow": 1})) == ["msg-s3"]


async def test_behind_a_long_backlog_those_that_have_waited_longest_come_first_too(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "MOST_LOOKED_AT", 4)
    now = await storage.read(lambda r: r.now())
    await add(
        storage,
        *(a_webhook(f"d{number}", host="dead", due_time=number) for number in range(1, 7)),
        a_webhook("b1", host="b", due_time=14),
        a_webhook("b2", host="b", due_time=11),
        a_webhook("a1", host="a", due_time=12),
        a_webhook("c1", host="c", due_time=13),
        a_webhook("c2", host="c", due_time=now + A_DAY),
    )
    busy = {"dead": 2}
    assert sorted(names(await claim(storage, limit=2, per_host=2, busy=busy))) == [
        "msg-a1",
        "msg-b2",
    ]
    assert names(await claim(storage, per_host=2, busy=busy)) == ["msg-b1", "msg-c1"]
    assert await claim(storage, per_host=2, busy=busy) == []
    assert names(await claim(storage, per_host=2)) == ["msg-d1", "msg-d2"]


async def test_more_hosts_than_a_claim_looks_at_are_looked_at_in_turns(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "MOST_LOOKED_AT", 3)
    later = await storage.read(lambda r: r.now()) + A_DAY
    await add(
        storage,
        *(a_webhook(f"d{number}", host="dead", due_time=number) for number in range(1, 5)),
        *(a_webhook(f"{host}2", host=host, due_time=later) for host in "abcefgh"),
        *(a_webhook(f"{host}1", host=host, due_time=9) for host in "ceh"),
    )
    place, found = "", []
    for _ in range(4):
        claimed = await storage.write(
            lambda tx, place=place: tx.claim_webhooks(  # type: ignore[misc]
                lapse=A_DAY, limit=9, per_host=1, busy={"dead": 1}, after=place
            )
        )
        place = claimed.place
        found.append((names(claimed.webhooks), place))
    assert found == [
        (["msg-c1"], "c"),
        (["msg-e1"], "f"),
        (["msg-h1"], "a"),
        ([], "dead"),
    ]


async def test_only_who_made_the_last_attempt_records_what_came_of_it(storage: Storage) -> None:
    await add(storage, a_webhook())
    await claim(storage, lapse=0)
    await claim(storage)

    def end(attempt: int) -> Any:
        return storage.write(
            lambda tx: tx.end_webhook(
                "msg-1", attempt, WebhookStatus.DELIVERED, status_code=200, error=""
            )
        )

    def retry(attempt: int, after: int = A_DAY) -> Any:
        return storage.write(
            lambda tx: tx.retry_webhook(
                "msg-1", attempt, after=after, status_code=503, error="HTTP 503"
            )
        )

    assert [await end(1), await retry(1), await end(3)] == [False, False, False]
    assert (await kept(storage)).status is WebhookStatus.PENDING
    now = await storage.read(lambda r: r.now())
    assert await retry(2)
    waits = await kept(storage)
    assert (waits.status_code, waits.error, waits.end_time) == (503, "HTTP 503", None)
    assert waits.due_time >= now + A_DAY
    assert await claim(storage) == []
    assert await retry(2, after=0)
    assert [webhook.attempt for webhook in await claim(storage)] == [3]
    assert await end(3)
    ended = await kept(storage)
    assert (ended.status, ended.status_code, ended.error) == (WebhookStatus.DELIVERED, 200, "")
    assert ended.end_time is not None
    assert [await end(3), await retry(3)] == [False, False]
    assert await claim(storage) == []
    assert await storage.read(lambda r: r.next_webhook_time()) is None


async def test_what_was_settled_is_forgotten_in_time_and_so_is_what_nobody_sends(
    storage: Storage,
) -> None:
    await add(storage, a_webhook("1"), a_webhook("2"), a_webhook("3", create_time=1))
    await claim(storage, limit=1)
    await storage.write(
        lambda tx: tx.end_webhook("msg-3", 0, WebhookStatus.FAILED, status_code=0, error="no")
    )
    now = await storage.read(lambda r: r.now())

    def remove(*, ended: int, made: int, limit: int = 10) -> Any:
        return storage.write(
            lambda tx: tx.remove_webhooks(ended_before=ended, made_before=made, limit=limit)
        )

    assert await remove(ended=1, made=5) == 0
    assert await remove(ended=now + A_DAY, made=5) == 1
    found = await storage.read(lambda r: r.webhooks_of(["run-1", "run-2", "run-3"]))
    assert sorted(found) == ["run-1", "run-2"]
    assert await remove(ended=1, made=6, limit=1) == 1
    assert await remove(ended=1, made=6) == 1
    assert await storage.read(lambda r: r.webhooks_of(["run-1", "run-2"])) == {}


async def test_several_at_once_never_claim_the_same(storage: Storage) -> None:
    await add(storage, *(a_webhook(str(number)) for number in range(40)))
    claims = await asyncio.gather(*(claim(storage, limit=5) for _ in range(12)))
    claimed = [name for each in claims for name in names(each)]
    while more := names(await claim(storage, limit=5)):
        claimed += more
    assert sorted(claimed) == sorted(f"msg-{number}" for number in range(40))
