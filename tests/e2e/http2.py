"""Bare HTTP/2 connections, which do what no client of gRPC would."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from tests.e2e.drive import DEADLINE

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
_ACKNOWLEDGED = b"\0\0\0\x04\x01\0\0\0\0"
_KINDS = {4: "SETTINGS", 6: "PING", 7: "GOAWAY", 8: "WINDOW_UPDATE"}


class Connection:
    """A connection that answers no ping and calls nothing."""

    def __init__(self, address: str) -> None:
        """Connects."""
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=DEADLINE)
        self._socket.sendall(_PREFACE + _SETTINGS + _ACKNOWLEDGED)

    def ping(self) -> None:
        """Pings."""
        self._socket.sendall(b"\0\0\x08\x06\0\0\0\0\0" + b"pingping")

    def frames(self) -> Iterator[tuple[str, bytes]]:
        """Yields what comes, to the end of the connection: the kind of a frame, and its text."""
        with self._socket, self._socket.makefile("rb") as coming:
            while len(head := self._read(coming, 9)) == 9:
                text = self._read(coming, int.from_bytes(head[:3], "big"))
                yield _KINDS.get(head[3], str(head[3])), text

    def _read(self, coming: object, size: int) -> bytes:
        try:
            found: bytes = coming.read(size)  # type: ignore[attr-defined]
        except ConnectionResetError:
            return b""
        return found
