"""The service `graphwire.v1.Server`: what the server is and can do."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from google.protobuf import duration_pb2
from graphwire.v1 import run_pb2, server_pb2_grpc
from graphwire.v1 import server_pb2 as pb

from graphwire_server.rpc.paging import MAX_PAGE_SIZE
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.events import timestamp
from graphwire_server.settings import Settings

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
            max_page_size=MAX_PAGE_SIZE,
            default_recursion_limit=settings.default_recursion_limit,
            max_recursion_limit=settings.max_recursion_limit,
            max_concurrent_runs=settings.max_concurrent_runs,
            heartbeat_interval=_duration(settings.heartbeat_seconds),
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
            capabilities=_CAPABILITIES,
        )


def _duration(seconds: float) -> duration_pb2.Duration:
    result = duration_pb2.Duration()
    result.FromMicroseconds(int(seconds * 1e6))
    return result
