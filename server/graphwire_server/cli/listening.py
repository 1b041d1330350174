"""Addresses to listen on, before anything listens."""

from __future__ import annotations

import socket
from typing import Any

from graphwire_server.cli.console import fail
from graphwire_server.cli.exit_codes import ExitCode


def check_listen(listen: str, option: str = "--listen") -> None:
    """Exits if a text, which an option has, is no address."""
    host, colon, port = listen.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and int(port) < 65536):
        fail(
            f"{option}: {listen!r} is no address: write host:port, such as 127.0.0.1:50051",
            ExitCode.USAGE,
        )


def resolve(listen: str) -> tuple[socket.AddressFamily, Any]:
    """Returns the family of an address, and the address as a socket binds it; exits if none."""
    host, _, port = listen.rpartition(":")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        fail(f"can't listen on {listen}: {error.strerror}", ExitCode.UNAVAILABLE)
    return family, address


def check_free(listen: str) -> None:
    """Exits if the address can't be listened on: at once, and saying why, as gRPC does not."""
    family, address = resolve(listen)
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        fail(f"can't listen on {listen}: {error.strerror}", ExitCode.UNAVAILABLE)
