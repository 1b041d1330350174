"""Addresses to listen on: `host:port`, or `unix:/path`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

_UNIX = "unix:"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens.

    Attributes:
        host: A name or an address, an IPv6 one in brackets; empty for a unix socket.
        port: The port; 0 for any, and for a unix socket.
        path: The path of a unix socket; empty for a port.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def read(cls, text: str) -> Endpoint:
        """Reads `host:port`, `unix:/path` or `unix:///path`.

        Raises:
            ValueError: It is no address.
        """
        if text.startswith(_UNIX):
            path = text.removeprefix(_UNIX).removeprefix("//")
            if not path:
                raise ValueError(f"{text!r} is no address: write unix:/path")
            return cls(path=path)
        host, colon, port = text.rpartition(":")
        bare = ":" in host and not host.startswith("[")
        if not (host and colon and port.isascii() and port.isdigit()) or bare or int(port) > 65535:
            raise ValueError(
                f"{text!r} is no address: write host:port, such as 127.0.0.1:50051, or unix:/path"
            )
        return cls(host=host, port=int(port))

    @property
    def is_local(self) -> bool:
        """Whether nobody on another machine can connect."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    def with_port(self, port: int) -> Endpoint:
        """Returns it with the port that it got; a unix socket has none."""
        return self if self.path else Endpoint(host=self.host, port=port)

    def __str__(self) -> str:
        """Writes it as gRPC reads it."""
        return f"{_UNIX}{self.path}" if self.path else f"{self.host}:{self.port}"
