"""The service `graphwire.v1.Server`: what the server is and can do."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from google.protobuf import duration_pb2
from graphwire.v1 import run_pb2, server_pb2_grpc
from graphwire.v1 import server_pb2 as pb

from graphwire_server.rpc import validation
from graphwire_server.rpc.breakpoints import MAX_LABEL
from graphwire_server.rpc.counts import MAX_BATCH, MAX_BREAKPOINTS, MAX_IDS, MAX_TAGS
from graphwire_server.rpc.run_requests import MAX_START_DELAY
from graphwire_server.runs.adding_up import MAX_RUN_BREAKPOINTS
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.events import timestamp
from graphwire_server.settings import Settings

#: What every server can do.
_CAPABILITIES = ("enqueue", "sqlite", "start_delay", "stateless_runs")


class ServerServicer(server_pb2_grpc.ServerServicer):
    """Serves Server."""

    def __init__(self, settings: Settings) -> None:
        """Takes the settings; now is the server's start time."""
        self._settings = settings
        self._start_time = timestamp(now_us())

    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: Any
    ) -> pb.GetServerInfoResponse:
        """Returns versions, limits and capabilities."""
        settings = self._settings
        limits = pb.ServerLimits(
            max_request_bytes=settings.max_request_bytes,
            max_payload_bytes=settings.max_payload_bytes,
            max_payload_depth=settings.max_payload_depth,
            max_page_size=settings.max_page_size,
            default_recursion_limit=settings.default_recursion_limit,
            max_recursion_limit=settings.max_recursion_limit,
            max_concurrent_runs=settings.max_concurrent_runs,
            heartbeat_interval=_duration(settings.heartbeat_seconds),
            max_concurrent_runs_per_principal=settings.max_concurrent_runs_per_principal,
            max_queued_runs=settings.max_queued_runs,
            max_queued_runs_per_principal=settings.max_queued_runs_per_principal,
            max_concurrent_calls=settings.max_concurrent_calls,
            max_streams=settings.max_streams,
            max_streams_per_principal=settings.max_streams_per_principal,
            max_state_bytes=settings.max_state_bytes,
            max_event_bytes=settings.max_event_bytes,
            max_response_bytes=settings.max_response_bytes,
            max_metadata_bytes=settings.max_metadata_bytes,
            max_metadata_keys=settings.max_metadata_keys,
            max_id_length=validation.MAX_ID,
            max_label_length=MAX_LABEL,
            max_breakpoints=MAX_BREAKPOINTS,
            max_run_breakpoints=MAX_RUN_BREAKPOINTS,
            max_tags=MAX_TAGS,
            max_batch_size=MAX_BATCH,
            max_ids=MAX_IDS,
            max_start_delay=_duration(MAX_START_DELAY.total_seconds()),
            max_run_attempts=settings.max_run_attempts,
        )
        if settings.max_run_seconds:
            limits.max_run_time.CopyFrom(_duration(settings.max_run_seconds))
        return pb.GetServerInfoResponse(
            version=version("graphwire"),
            langgraph_version=version("langgraph"),
            python_version=platform.python_version(),
            start_time=self._start_time,
            limits=limits,
            stream_modes=[m for m in run_pb2.StreamMode.values() if m],
            capabilities=(*_CAPABILITIES, *(["webhooks"] if settings.sends_webhooks else [])),
        )


def _duration(seconds: float) -> duration_pb2.Duration:
    result = duration_pb2.Duration()
    result.FromMicroseconds(int(seconds * 1e6))
    return result
