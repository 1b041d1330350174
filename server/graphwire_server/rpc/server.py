"""Builds the gRPC server: our services, health and reflection."""

from __future__ import annotations

import grpc
from graphwire.v1 import (
    assistants_pb2_grpc,
    runs_pb2_grpc,
    server_pb2_grpc,
    threads_pb2_grpc,
)
from grpc_health.v1 import health, health_pb2_grpc

from graphwire_server.rpc.guard import Guard
from graphwire_server.rpc.health import HealthServicer
from graphwire_server.rpc.interceptor import CallInterceptor
from graphwire_server.rpc.listening import listen_on
from graphwire_server.rpc.load import Load
from graphwire_server.rpc.reflection import add_reflection
from graphwire_server.rpc.stream_age import StreamAge
from graphwire_server.rpc.tls import ServerTls
from graphwire_server.rpc.transport import Transport
from graphwire_server.runs.vitals import Condition
from graphwire_server.telemetry.setup import Telemetry

#: The services of the contract, by full name.
SERVICES = (
    "graphwire.v1.Assistants",
    "graphwire.v1.Runs",
    "graphwire.v1.Server",
    "graphwire.v1.Threads",
)


class RpcServer:
    """The gRPC server with its health.

    Attributes:
        address: Where it listens, once it does.
        admin_address: Where its admin port is; empty for none.
    """

    def __init__(
        self,
        *,
        threads: threads_pb2_grpc.ThreadsServicer,
        runs: runs_pb2_grpc.RunsServicer,
        assistants: assistants_pb2_grpc.AssistantsServicer,
        server: server_pb2_grpc.ServerServicer,
        transport: Transport,
        tls: ServerTls | None,
        max_request_bytes: int,
        load: Load,
        max_event_bytes: int,
        max_response_bytes: int,
        shares_port: bool,
        guard: Guard | None,
        telemetry: Telemetry,
    ) -> None:
        """Puts the server together; it does not listen yet.

        `shares_port` says whether it may listen where another one does, and `guard` who may
        call.
        """
        self.address = self.admin_address = ""
        self._transport = transport
        self._tls = tls
        interceptors: list[grpc.aio.ServerInterceptor] = [
            CallInterceptor(
                telemetry,
                guard,
                load,
                max_event_bytes=max_event_bytes,
                max_response_bytes=max_response_bytes,
            )
        ]
        if transport.stream_seconds is not None:
            interceptors.append(StreamAge(transport.stream_seconds))
        self._server = grpc.aio.server(
            interceptors=interceptors,
            options=[
                ("grpc.max_receive_message_length", max_request_bytes),
                ("grpc.max_send_message_length", -1),
                # A second server on a port must fail, unless it is another worker.
                ("grpc.so_reuseport", int(shares_port)),
                *transport.options,
            ],
        )
        threads_pb2_grpc.add_ThreadsServicer_to_server(threads, self._server)
        runs_pb2_grpc.add_RunsServicer_to_server(runs, self._server)
        assistants_pb2_grpc.add_AssistantsServicer_to_server(assistants, self._server)
        server_pb2_grpc.add_ServerServicer_to_server(server, self._server)
        self._health = HealthServicer(("", *SERVICES))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        add_reflection(self._server, (*SERVICES, health.SERVICE_NAME))
        self._admin = None
        if transport.admin is not None:
            # Few have it, and its messages take a while to import.
            from graphwire_server.rpc.admin import AdminServer

            self._admin = AdminServer(self._health, shares_port=shares_port)

    async def start(self) -> None:
        """Listens.

        Raises:
            OSError: An address can't be listened on.
        """
        transport = self._transport
        endpoint = listen_on(self._server, transport.listen, self._tls)
        if self._admin is not None and transport.admin is not None:
            tls = self._tls if transport.admin_has_tls else None
            self.admin_address = str(await self._admin.start(transport.admin, tls))
        await self._server.start()
        self.address = str(endpoint)

    def show(self, condition: Condition) -> None:
        """Says by the health of each service what the server can do.

        `graphwire.v1.Server` needs no database: that it serves says that the process is alive.
        """
        data = condition.serving and condition.database
        runs = data and condition.executor
        self._health.set(
            {
                "": runs,
                "graphwire.v1.Assistants": data,
                "graphwire.v1.Runs": runs,
                "graphwire.v1.Server": condition.serving,
                "graphwire.v1.Threads": data,
            }
        )

    async def stop(self, grace_seconds: float) -> None:
        """Takes no more calls, and cancels those that do not end within a time."""
        self._health.close()
        await self._server.stop(grace_seconds)
        if self._admin is not None:
            await self._admin.stop()
