"""The standard health service, `grpc.health.v1`.

grpcio's own holds a lock while it writes to a watcher: one that does not read would hold up
whoever says that the server stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_STATUS = health_pb2.HealthCheckResponse
#: How many statuses `List` may return: what the protocol says.
_MOST_LISTED = 100


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it has no types
    """Says for each service whether it serves; NOT_SERVING until it is told otherwise."""

    def __init__(self, services: Collection[str]) -> None:
        """Takes the services by their full names; "" is the server as a whole."""
        self._serving = dict.fromkeys(services, False)
        self._changed = asyncio.Event()
        self._closed = False

    def set(self, serving: Mapping[str, bool]) -> None:
        """Says which services serve; the others are as they were."""
        if any(self._serving[name] is not value for name, value in serving.items()):
            self._serving.update(serving)
            self._wake()

    def close(self) -> None:
        """Ends every watch."""
        self._closed = True
        self._wake()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> health_pb2.HealthCheckResponse:
        """Returns the status of a service."""
        if request.service not in self._serving:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return _STATUS(status=self._status(request.service))

    async def List(
        self, request: health_pb2.HealthListRequest, context: Any
    ) -> health_pb2.HealthListResponse:
        """Returns the status of every service."""
        names = list(self._serving)[:_MOST_LISTED]
        return health_pb2.HealthListResponse(
            statuses={name: _STATUS(status=self._status(name)) for name in names}
        )

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Streams the status of a service: as it is, and whenever it is another one."""
        last = None
        while not self._closed:
            changed, status = self._changed, self._status(request.service)
            if status != last:
                yield _STATUS(status=status)
                last = status
            else:
                await changed.wait()
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the server has stopped")

    def _status(self, service: str) -> health_pb2.HealthCheckResponse.ServingStatus:
        match self._serving.get(service):
            case None:
                return _STATUS.SERVICE_UNKNOWN
            case True:
                return _STATUS.SERVING
            case _:
                return _STATUS.NOT_SERVING

    def _wake(self) -> None:
        # Each change has an event of its own, so that nobody waits for one that has been.
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
