"""Runs and breakpoints as messages of the contract."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf import duration_pb2
from graphwire.v1 import breakpoint_pb2 as pb
from graphwire.v1 import payload_pb2, run_pb2

from graphwire_server.graphs.breakpoints import Breakpoint, breakpoints_in
from graphwire_server.runs.events import error_message, timestamp
from graphwire_server.runs.request import RunSpec
from graphwire_server.storage.records import RunRecord
from graphwire_server.storage.webhooks import WebhookRecord, WebhookStatus
from graphwire_server.webhooks.policy import masked


def run_message(run: RunRecord, webhook: WebhookRecord | None = None) -> run_pb2.Run:
    """The contract's form of a run; `webhook` is its own, where that is to be told."""
    spec = RunSpec.from_json(run.spec)
    return run_pb2.Run(
        run_id=run.run_id,
        thread_id=run.thread_id,
        assistant_id=run.assistant_id,
        status=run_pb2.RunStatus.Value(f"RUN_STATUS_{run.status}"),
        error=error_message(run.error),
        metadata=payload_pb2.Payload(json=run.metadata),
        create_time=timestamp(run.create_time),
        start_time=None if run.start_time is None else timestamp(run.start_time),
        end_time=None if run.end_time is None else timestamp(run.end_time),
        resumed_run_id=run.resumed_run_id,
        resumed_by_run_id=run.resumed_by_run_id,
        interrupt_before=spec.interrupt_before,
        interrupt_after=spec.interrupt_after,
        stream_modes=[run_pb2.StreamMode.Value(f"STREAM_MODE_{m}") for m in spec.stream_modes],
        stream_subgraphs=spec.stream_subgraphs,
        multitask_strategy=run_pb2.MultitaskStrategy.Value(f"MULTITASK_STRATEGY_{spec.multitask}"),
        durability=run_pb2.Durability.Value(f"DURABILITY_{spec.durability}"),
        last_sequence=run.last_sequence,
        cancel_requested=run.cancel_requested,
        recovery_policy=run_pb2.RecoveryPolicy.Value(f"RECOVERY_POLICY_{spec.recovery}"),
        attempt=run.attempt,
        assistant_version=spec.assistant_version,
        breakpoints=breakpoint_messages(
            (*breakpoints_in(run.breakpoints), *breakpoints_in(spec.defaults))
        ),
        pause_requested=run.pause_requested,
        rolled_back=run.rolled_back,
        principal=run.principal,
        webhook=_webhook_message(spec.webhook, webhook) if spec.webhook else None,
    )


def breakpoint_messages(breakpoints: Iterable[Breakpoint]) -> list[pb.Breakpoint]:
    """Returns breakpoints as messages."""
    return [breakpoint_message(each) for each in breakpoints]


def breakpoint_message(breakpoint_: Breakpoint) -> pb.Breakpoint:
    """Returns a breakpoint as a message."""
    expires_after = None
    if breakpoint_.expires_after:
        expires_after = duration_pb2.Duration()
        expires_after.FromMicroseconds(breakpoint_.expires_after)
    on_expiry = breakpoint_.on_expiry or "UNSPECIFIED"
    side = "AFTER" if breakpoint_.after else "BEFORE"
    return pb.Breakpoint(
        breakpoint_id=breakpoint_.breakpoint_id,
        node=breakpoint_.node,
        position=pb.BreakpointPosition.Value(f"BREAKPOINT_POSITION_{side}"),
        condition=breakpoint_.condition,
        label=breakpoint_.label,
        skip_first=breakpoint_.skip_first,
        expires_after=expires_after,
        on_expiry=pb.OnExpiry.Value(f"ON_EXPIRY_{on_expiry}"),
        expiry_message=breakpoint_.expiry_message,
        source=pb.BreakpointSource.Value(f"BREAKPOINT_SOURCE_{breakpoint_.source}"),
    )


def _webhook_message(url: str, webhook: WebhookRecord | None) -> run_pb2.RunWebhook:
    if webhook is None:
        return run_pb2.RunWebhook(url=masked(url))
    tried, pending = webhook.attempt_time, webhook.status is WebhookStatus.PENDING
    return run_pb2.RunWebhook(
        url=masked(url),
        status=run_pb2.WebhookStatus.Value(f"WEBHOOK_STATUS_{webhook.status}"),
        webhook_id=webhook.webhook_id,
        attempts=webhook.attempt,
        attempt_time=None if tried is None else timestamp(tried),
        next_attempt_time=timestamp(webhook.due_time) if pending else None,
        status_code=webhook.status_code,
        error=webhook.error,
    )
