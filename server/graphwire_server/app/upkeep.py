"""What the server does by itself: sweeping, expiring pauses, sending webhooks, watching nodes."""

from __future__ import annotations

from graphwire_server.graphs.blocking import BlockingWatch
from graphwire_server.graphs.project import Project
from graphwire_server.runs.expiry import Expiry
from graphwire_server.runs.housekeeping import Housekeeping, RetentionPolicy
from graphwire_server.runs.service import RunService
from graphwire_server.settings import Settings
from graphwire_server.storage.interface import Storage
from graphwire_server.telemetry.instruments import Metrics
from graphwire_server.webhooks.delivery import OUTCOMES
from graphwire_server.webhooks.setup import Webhooks

#: How often to look for pauses whose time is over and of which nothing was known.
_EXPIRY_POLL = 1.0


def make_webhooks(
    settings: Settings, project: Project, storage: Storage, metrics: Metrics
) -> Webhooks | None:
    """Returns what sends webhooks; None: the settings allow none."""
    if not settings.sends_webhooks:
        return None
    for outcome in OUTCOMES:
        metrics.webhook_deliveries.begin(outcome)
    return Webhooks.make(
        settings,
        project.webhooks,
        storage,
        on_delivered=metrics.webhook_deliveries.add,
    )


def make_watch(settings: Settings, project: Project) -> BlockingWatch | None:
    """Returns what names nodes that block the event loop; None: nothing does."""
    if not settings.blocking_threshold_seconds:
        return None
    return BlockingWatch(project.source_roots, threshold=settings.blocking_threshold_seconds)


def make_housekeeping(settings: Settings, storage: Storage) -> Housekeeping:
    """Returns what deletes what has been kept long enough."""
    return Housekeeping(
        storage,
        RetentionPolicy(
            stateless_ttl=settings.stateless_ttl_seconds,
            thread_ttl=settings.thread_ttl_seconds,
            event_ttl=settings.event_ttl_seconds,
            change_ttl=settings.change_ttl_seconds,
            latest_checkpoints=settings.checkpoint_retention == "latest",
            webhook_ttl=settings.webhook_record_ttl_seconds,
            webhook_age=settings.webhook_max_age_seconds,
        ),
    )


def make_expiry(storage: Storage, runs: RunService) -> Expiry:
    """Returns what resolves pauses whose time is over."""
    return Expiry(storage, runs, poll_seconds=_EXPIRY_POLL)
