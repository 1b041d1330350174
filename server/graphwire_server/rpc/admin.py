"""The admin port: what operators look at, apart from what callers call.

Channelz tells of every connection of the process, so it has no place among the services.
"""

from __future__ import annotations

import grpc
from grpc_channelz.v1 import channelz, channelz_pb2
from grpc_channelz.v1.channelz_pb2_grpc import add_ChannelzServicer_to_server
from grpc_health.v1 import health, health_pb2_grpc

from graphwire_server.endpoints import Endpoint
from graphwire_server.rpc.health import HealthServicer
from graphwire_server.rpc.listening import listen_on
from graphwire_server.rpc.reflection import add_reflection
from graphwire_server.rpc.tls import ServerTls

_CHANNELZ = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"].full_name


class AdminServer:
    """The server on the admin port."""

    def __init__(self, health_servicer: HealthServicer, *, shares_port: bool) -> None:
        """Takes the health of the main server; it does not listen yet."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", int(shares_port))])
        add_ChannelzServicer_to_server(channelz.aio.ChannelzServicer(), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(health_servicer, self._server)
        add_reflection(self._server, (_CHANNELZ, health.SERVICE_NAME), (channelz_pb2.DESCRIPTOR,))

    async def start(self, endpoint: Endpoint, tls: ServerTls | None) -> Endpoint:
        """Listens, and returns where. Raises OSError."""
        found = listen_on(self._server, endpoint, tls)
        await self._server.start()
        return found

    async def stop(self) -> None:
        """Ends it, at once."""
        await self._server.stop(None)
