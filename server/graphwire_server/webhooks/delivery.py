"""Sees that webhooks are sent: takes those that are due, and records what came of each attempt.

Every server does. An attempt is a claim that lapses: of a server that is lost, others repeat it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from graphwire_server.storage.interface import Reader, Storage, StorageError, Transaction
from graphwire_server.storage.webhooks import ClaimedWebhooks, WebhookRecord, WebhookStatus
from graphwire_server.webhooks.sender import Answer, Result, Sender

_log = structlog.get_logger("graphwire.webhooks")

#: How often to look for webhooks of which nothing was announced, in seconds.
_POLL_SECONDS = 1.0
#: How much longer each wait is than the one before it.
_FACTOR = 3.0
#: After a time-out, how long the outcome may take to be recorded before others repeat the
#: attempt, in seconds.
_MARGIN_SECONDS = 5.0
#: What `on_delivered` is called with.
OUTCOMES = ("delivered", "retry", "failed")
_STOPPED = "the server stopped during the attempt"


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often, and when, a webhook is sent.

    Attributes:
        attempts: How often at most.
        first_seconds: How long to wait after the first attempt that failed.
        longest_seconds: How long to wait at most, whatever the receiver asks for.
        age_seconds: How long after the run's end it is given up.
    """

    attempts: int
    first_seconds: float
    longest_seconds: float
    age_seconds: float

    def wait(self, attempt: int, asked: float | None, luck: float) -> float:
        """Returns how long to wait after an attempt that failed, in seconds.

        Args:
            attempt: Which one, from 1.
            asked: How long the receiver asked for; None if it did not.
            luck: A random number from 0 to 1, so that those that failed together don't come
                back together.
        """
        # As an exponent, more would not fit a float.
        longer = self.first_seconds * _FACTOR ** min(attempt - 1, 100)
        waits = min(longer, self.longest_seconds) * (1 - luck / 2)
        return min(max(waits, asked or 0.0), max(self.longest_seconds, waits))


class Deliverer:
    """Sends the webhooks that are due."""

    def __init__(
        self,
        storage: Storage,
        sender: Sender,
        schedule: Schedule,
        *,
        timeout_seconds: float,
        concurrency: int,
        on_delivered: Callable[[str], None] = lambda outcome: None,
        luck: Callable[[], float] = random.random,
    ) -> None:
        """Puts it together.

        Args:
            storage: Where webhooks are.
            sender: What sends them.
            schedule: How often they are sent.
            timeout_seconds: How long an attempt may take.
            concurrency: How many are sent at once; to one host, a quarter of that.
            on_delivered: Called after each attempt with its outcome: "delivered", "retry" or
                "failed".
            luck: Gives random numbers from 0 to 1.
        """
        self._storage = storage
        self._sender = sender
        self._schedule = schedule
        self._timeout = timeout_seconds
        self._lapse = int((timeout_seconds + _MARGIN_SECONDS) * 1e6)
        self._concurrency = concurrency
        self._per_host = max(concurrency // 4, 1)
        self._on_delivered = on_delivered
        self._luck = luck
        self._busy: Counter[str] = Counter()
        self._place = ""
        self._sending: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begins to send."""
        self._task = asyncio.create_task(self._deliver_for_ever(), name="webhooks")

    def wake(self) -> None:
        """Looks for webhooks: some were added."""
        self._wake.set()

    async def stop(self, grace_seconds: float) -> None:
        """Begins no attempt any more, and lets those under way end.

        What does not end in time is given back, to be sent by whoever comes first.
        """
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
        if self._sending:
            await asyncio.wait(self._sending, timeout=grace_seconds)
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._sender.close()

    async def _deliver_for_ever(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                seconds = await self._claim()
            except StorageError:
                _log.warning("webhooks_not_looked_for", exc_info=True)
                seconds = _POLL_SECONDS
            except Exception:  # noqa: BLE001  # whatever it is, webhooks must go on being sent
                _log.exception("webhooks_not_looked_for")
                seconds = _POLL_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), seconds)

    async def _claim(self) -> float:
        """Takes what is due, and begins to send it; returns in how many seconds to look again."""

        def look(db: Reader) -> float | None:
            due = db.next_webhook_time()
            return None if due is None else (due - db.now()) / 1e6

        while free := self._concurrency - len(self._sending):
            due_in = await self._storage.read(look, short=True)
            if due_in is None or due_in > 0 or self._stopping:
                return _POLL_SECONDS if due_in is None else min(max(due_in, 0.0), _POLL_SECONDS)
            busy, limit, place = dict(self._busy), free, self._place

            def claim(
                tx: Transaction, limit: int = limit, busy: dict[str, int] = busy, place: str = place
            ) -> ClaimedWebhooks:
                return tx.claim_webhooks(
                    lapse=self._lapse, limit=limit, per_host=self._per_host, busy=busy, after=place
                )

            claimed = await self._storage.write(claim)
            self._place = claimed.place
            for webhook in claimed.webhooks:
                self._busy[webhook.host] += 1
                task = asyncio.create_task(self._send(webhook), name=webhook.webhook_id)
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
            if not claimed.webhooks:
                break  # others were quicker, or their hosts are busy
        # Whatever ends wakes it.
        return _POLL_SECONDS

    async def _send(self, webhook: WebhookRecord) -> None:
        """Makes one attempt, and records what came of it."""
        try:
            await self._record(webhook, await self._attempt(webhook))
        except asyncio.CancelledError:
            # In a task of its own would be too late: the database is closed next.
            with contextlib.suppress(StorageError):
                await self._storage.write(lambda tx: _retry(tx, webhook, 0, 0, _STOPPED))
            raise
        except StorageError:
            # The claim lapses, and the attempt is repeated.
            _log.warning("webhook_not_recorded", webhook_id=webhook.webhook_id, exc_info=True)
        except Exception:  # noqa: BLE001  # the same
            _log.exception("webhook_not_recorded", webhook_id=webhook.webhook_id)
        finally:
            self._busy[webhook.host] -= 1
            if not self._busy[webhook.host]:
                del self._busy[webhook.host]
            self._wake.set()

    async def _attempt(self, webhook: WebhookRecord) -> Answer:
        try:
            return await self._sender.send(
                webhook.url,
                webhook_id=webhook.webhook_id,
                attempt=webhook.attempt,
                body=webhook.body.encode(),
            )
        except Exception:  # noqa: BLE001  # a fault of ours must not be repeated for ever
            _log.exception("webhook_not_sent", webhook_id=webhook.webhook_id)
            return Answer(Result.RETRY, error="an error inside the server")

    async def _record(self, webhook: WebhookRecord, answer: Answer) -> None:
        """Records what came of an attempt."""
        log = _log.bind(
            webhook_id=webhook.webhook_id,
            run_id=webhook.run_id,
            thread_id=webhook.thread_id,
            host=webhook.host,
            attempt=webhook.attempt,
            status_code=answer.status_code or None,
        )
        code, error = answer.status_code, answer.error
        waits = self._schedule.wait(webhook.attempt, answer.retry_after, self._luck())
        last = webhook.attempt >= self._schedule.attempts

        def work(tx: Transaction) -> str:
            if answer.result is Result.DELIVERED:
                to = WebhookStatus.DELIVERED
            elif (
                answer.result is Result.REFUSED
                or last
                or tx.now() + waits * 1e6 > webhook.create_time + self._schedule.age_seconds * 1e6
            ):
                to = WebhookStatus.FAILED
            else:
                kept = _retry(tx, webhook, int(waits * 1e6), code, error)
                return "retry" if kept else ""
            kept = tx.end_webhook(
                webhook.webhook_id, webhook.attempt, to, status_code=code, error=error
            )
            return to.lower() if kept else ""

        outcome = await self._storage.write(work)
        match outcome:
            case "delivered":
                log.info("webhook_delivered")
            case "retry":
                log.warning("webhook_failed", error=error, retry_in=round(waits, 1))
            case "failed":
                log.error("webhook_given_up", error=error)
            case _:
                log.warning("webhook_taken_over", error=error or None)
        if outcome:
            self._on_delivered(outcome)


def _retry(tx: Transaction, webhook: WebhookRecord, after: int, code: int, error: str) -> bool:
    return tx.retry_webhook(
        webhook.webhook_id, webhook.attempt, after=after, status_code=code, error=error
    )
