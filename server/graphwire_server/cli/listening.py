"""What the settings say of the transport, checked before anything listens."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from graphwire_server.cli.console import fail
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.endpoints import Endpoint

if TYPE_CHECKING:
    from graphwire_server.settings import Settings

#: How long another server may take to accept a connection to its unix socket, in seconds.
_CONNECT_SECONDS = 1.0


def check_listen(listen: str, option: str = "--listen") -> None:
    """Exits if a text is no address."""
    try:
        Endpoint.read(listen)
    except ValueError as error:
        fail(f"{option}: {error}", ExitCode.USAGE)


def check_transport(settings: Settings) -> None:
    """Exits if a server can't listen as it is told to: what is said, the files, the addresses."""
    from graphwire_server.rpc.tls import TlsError
    from graphwire_server.rpc.transport import Transport, TransportSettingsError

    try:
        transport = Transport.read(settings)
    except TransportSettingsError as error:
        fail(str(error), ExitCode.USAGE)
    if transport.listen.path and settings.workers > 1:
        fail("--workers: several processes can't share a unix socket", ExitCode.USAGE)
    try:
        transport.load_tls()
    except TlsError as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    check_free(settings.listen)
    if settings.admin_listen:
        check_free(settings.admin_listen)


def resolve(listen: str) -> tuple[socket.AddressFamily, Any]:
    """Returns the family of an address, and the address as a socket binds it; exits if none."""
    endpoint = Endpoint.read(listen)
    if endpoint.path:
        return socket.AF_UNIX, endpoint.path
    try:
        family, _, _, _, address = socket.getaddrinfo(
            endpoint.host.strip("[]"),
            endpoint.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )[0]
    except OSError as error:
        fail(f"can't listen on {listen}: {error.strerror}", ExitCode.UNAVAILABLE)
    return family, address


def check_free(listen: str) -> None:
    """Exits if the address can't be listened on: at once, and saying why, as gRPC does not."""
    family, address = resolve(listen)
    if family is socket.AF_UNIX:
        _check_socket_free(listen, address)
        return
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        fail(f"can't listen on {listen}: {error.strerror}", ExitCode.UNAVAILABLE)


def _check_socket_free(listen: str, path: str) -> None:
    """Exits if somebody serves on a unix socket, which gRPC would take away, or it can't be made.

    A socket that is left over from a server that was killed is free.
    """
    folder = os.path.dirname(path) or "."
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_CONNECT_SECONDS)
            probe.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        if not os.access(folder, os.W_OK | os.X_OK):
            why = "can't be written to" if os.path.isdir(folder) else "is no folder"
            fail(f"can't listen on {listen}: {folder} {why}", ExitCode.UNAVAILABLE)
    except OSError as error:
        fail(f"can't listen on {listen}: {error.strerror or error}", ExitCode.UNAVAILABLE)
    else:
        fail(f"can't listen on {listen}: Address already in use", ExitCode.UNAVAILABLE)
