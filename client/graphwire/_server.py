"""The operations of `client.server`, and the standard health check."""

from __future__ import annotations

from graphwire import _convert as convert
from graphwire._calls import Call, Method, call
from graphwire.enums import HealthStatus
from graphwire.v1 import server_pb2 as pb
from graphwire.values import ServerInfo


def get_server_info(*, timeout: float | None = None) -> Call[ServerInfo]:
    """Returns the server's versions, limits and capabilities.

    Args:
        timeout: The limit in seconds; None: the client's default.
    """
    return call(
        pb.GetServerInfoRequest(), pb.GetServerInfoResponse, convert.server_info, timeout=timeout
    )


def check_health(service: str = "", *, timeout: float | None = None) -> Call[HealthStatus]:
    """Returns what the standard health service says.

    Args:
        service: A service, such as `"graphwire.v1.Runs"`; empty: the server as a whole.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        TransportError: With `code` NOT_FOUND: the server has no such service.
    """
    if len(service.encode()) > 127:
        raise ValueError("service: the name is longer than 127 bytes")
    return Call(_HEALTH_CHECK, service, lambda status: status, timeout=timeout)


# The messages of grpc.health.v1 have one field each; grpcio-health-checking is not a
# dependency of the client.
_STATUSES = (HealthStatus.UNKNOWN, HealthStatus.SERVING, HealthStatus.NOT_SERVING)


def _write_health_request(service: str) -> bytes:
    name = service.encode()
    return b"\x0a" + bytes([len(name)]) + name


def _read_health_response(response: bytes) -> HealthStatus:
    number = response[1] if response[:1] == b"\x08" else 0
    return _STATUSES[number] if number < len(_STATUSES) else HealthStatus.UNKNOWN


_HEALTH_CHECK = Method("/grpc.health.v1.Health/Check", _write_health_request, _read_health_response)
