"""Builds the gRPC server: our services, health and reflection."""

from __future__ import annotations

import grpc
from graphwire.v1 import (
    assistants_pb2_grpc,
    runs_pb2_grpc,
    server_pb2_grpc,
    threads_pb2_grpc,
)
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from graphwire_server.rpc.interceptor import CallInterceptor
from graphwire_server.rpc.load import Load
from graphwire_server.rpc.reflection import add_reflection

#: The services of the contract, by full name.
SERVICES = (
    "graphwire.v1.Assistants",
    "graphwire.v1.Runs",
    "graphwire.v1.Server",
    "graphwire.v1.Threads",
)


class RpcServer:
    """The gRPC server with its health."""

    def __init__(
        self,
        *,
        threads: threads_pb2_grpc.ThreadsServicer,
        runs: runs_pb2_grpc.RunsServicer,
        assistants: assistants_pb2_grpc.AssistantsServicer,
        server: server_pb2_grpc.ServerServicer,
        max_request_bytes: int,
        load: Load,
        max_event_bytes: int,
        shares_port: bool,
    ) -> None:
        """Puts the server together; it does not listen yet.

        `shares_port` says whether it may listen where another one does.
        """
        self._server = grpc.aio.server(
            interceptors=[CallInterceptor(load, max_event_bytes=max_event_bytes)],
            options=[
                ("grpc.max_receive_message_length", max_request_bytes),
                ("grpc.max_send_message_length", -1),
                # A second server on a port must fail, unless it is another worker.
                ("grpc.so_reuseport", int(shares_port)),
                # Clients may ping every 10 s, also without a call, to keep streams open.
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        threads_pb2_grpc.add_ThreadsServicer_to_server(threads, self._server)
        runs_pb2_grpc.add_RunsServicer_to_server(runs, self._server)
        assistants_pb2_grpc.add_AssistantsServicer_to_server(assistants, self._server)
        server_pb2_grpc.add_ServerServicer_to_server(server, self._server)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        add_reflection(self._server, (*SERVICES, health.SERVICE_NAME))

    async def start(self, address: str) -> int:
        """Listens, says SERVING, and returns the port.

        Raises:
            OSError: The address can't be listened on.
        """
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"can't listen on {address}: is the port in use?") from error
        await self._server.start()
        for name in ("", *SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def not_serving(self) -> None:
        """Says NOT_SERVING, for good."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_seconds: float) -> None:
        """Takes no more calls, and cancels those that do not end within a time."""
        await self._server.stop(grace_seconds)
