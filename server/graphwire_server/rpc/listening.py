"""Has a gRPC server listen on an address."""

from __future__ import annotations

import grpc

from graphwire_server.endpoints import Endpoint
from graphwire_server.rpc.tls import ServerTls


def listen_on(server: grpc.aio.Server, endpoint: Endpoint, tls: ServerTls | None) -> Endpoint:
    """Has a server listen, in plain text without certificates; returns where it does.

    Raises:
        OSError: The address can't be listened on.
    """
    try:
        if tls is None:
            port = server.add_insecure_port(str(endpoint))
        else:
            port = server.add_secure_port(str(endpoint), tls.credentials())
    except RuntimeError as error:
        raise OSError(f"can't listen on {endpoint}: is it in use?") from error
    return endpoint.with_port(port)
