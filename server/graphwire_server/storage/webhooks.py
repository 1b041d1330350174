"""What is kept of webhooks, and how: the outbox of what is to be sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

#: What is announced when there is a webhook to be sent.
WEBHOOKS = "webhooks"


class WebhookStatus(StrEnum):
    """What became of a webhook; the contract's `WebhookStatus` without its prefix."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class WebhookRecord:
    """What is to be sent, or was, since a run has ended.

    Attributes:
        webhook_id: Its id, by which the receiver knows it.
        run_id: The run; it may be deleted meanwhile.
        thread_id: Its thread; it may be deleted meanwhile.
        kind: What happened, such as "run.succeeded".
        url: Where it goes.
        host: The host of the URL.
        body: The JSON that is sent; empty once it is DELIVERED or FAILED.
        create_time: When the run ended.
        due_time: Not to be sent before; of one that is being sent, when somebody else may.
        status: What became of it.
        attempt: How often it was tried.
        attempt_time: When it was tried last; None before.
        end_time: When it was DELIVERED or FAILED; None before.
        status_code: The HTTP status of the last answer; 0 if there was none.
        error: What went wrong the last time; empty if nothing did.
    """

    webhook_id: str
    run_id: str
    thread_id: str
    kind: str
    url: str
    host: str
    body: str
    create_time: int
    due_time: int
    status: WebhookStatus = WebhookStatus.PENDING
    attempt: int = 0
    attempt_time: int | None = None
    end_time: int | None = None
    status_code: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class ClaimedWebhooks:
    """What a claim has taken.

    Attributes:
        webhooks: The webhooks, in the order in which they were added.
        place: The `after` of the next claim.
    """

    webhooks: list[WebhookRecord]
    place: str


class WebhookReader(Protocol):
    """Reads webhooks."""

    def webhooks_of(self, run_ids: Sequence[str]) -> dict[str, WebhookRecord]:
        """Returns the webhooks of runs by run_id, without their bodies."""

    def next_webhook_time(self) -> int | None:
        """Returns when the next webhook is due, or was; None if none is to be sent."""


class WebhookKeeper(WebhookReader, Protocol):
    """Changes webhooks."""

    def insert_webhook(self, webhook: WebhookRecord) -> None:
        """Adds a webhook, and has it announced: a run has one at the most."""

    def claim_webhooks(
        self, *, lapse: int, limit: int, per_host: int, busy: Mapping[str, int], after: str = ""
    ) -> ClaimedWebhooks:
        """Takes webhooks that are due, those that have waited longest first.

        What it costs does not grow with the backlog of a host. Behind the backlog of one that is
        busy so many hosts are looked at, in turns where there are more.

        The `attempt` of each is the right to record what came of it, until somebody else takes
        it: not before it lapses, and passing over those that others are just taking.

        Args:
            lapse: After how long others may take them, in microseconds.
            limit: How many at most.
            per_host: How many of one host at most, with those that are being sent.
            busy: How many are being sent to a host, by this server.
            after: The `place` that the claim before this one has returned.
        """

    def retry_webhook(
        self, webhook_id: str, attempt: int, *, after: int, status_code: int, error: str
    ) -> bool:
        """Records that an attempt failed, and that the next is due after so many microseconds.

        Returns False, and changes nothing, if somebody else has taken it meanwhile.
        """

    def end_webhook(
        self, webhook_id: str, attempt: int, to: WebhookStatus, *, status_code: int, error: str
    ) -> bool:
        """Records that a webhook was delivered or given up; its body goes.

        Returns False, and changes nothing, if somebody else has taken it meanwhile.
        """

    def remove_webhooks(self, *, ended_before: int, made_before: int, limit: int) -> int:
        """Deletes webhooks that ended before a time, and unsent ones from before another.

        Returns how many.
        """
