"""A receiver of webhooks on loopback, which answers as a test tells it."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import trustme

from tests.e2e.gates import until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True)
class Received:
    """A request that came.

    Attributes:
        path: Its path, with the query.
        headers: Its headers, names in lower case.
        body: Its body.
    """

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The body, as JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        status: Its status.
        headers: Its headers.
        body: Pieces of its body, made while they are sent.
        before: Called before anything is answered.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], Any] = lambda: ()
    before: Callable[[], object] = lambda: None


class Receiver:
    """A receiver of webhooks; use it in a `with` statement.

    Attributes:
        received: What came so far.
        broken: How often an answer could not be sent to its end.
    """

    def __init__(
        self,
        answer: Callable[[int], Reply] = lambda number: Reply(),
        *,
        certificate: trustme.LeafCert | None = None,
    ) -> None:
        """Takes what the nth request gets, from 1, and with what it speaks TLS."""
        self.received: list[Received] = []
        self.broken = 0
        self._answer = answer
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with receiver._lock:
                    receiver.received.append(Received(self.path, headers, body))
                    number = len(receiver.received)
                reply = receiver._answer(number)
                reply.before()
                try:
                    self.send_response(reply.status)
                    for name, value in {"Connection": "close", **reply.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    for piece in reply.body():
                        self.wfile.write(piece)
                        self.wfile.flush()
                except OSError:
                    receiver.broken += 1
                self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self) -> tuple[Any, Any]:
                connection, address = super().get_request()
                if certificate is not None:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    certificate.configure_cert(context)
                    context.sni_callback = receiver._note_name
                    connection.settimeout(10)
                    connection = context.wrap_socket(
                        connection, server_side=True, do_handshake_on_connect=False
                    )
                return connection, address

            def handle_error(self, request: object, client_address: object) -> None:
                receiver.broken += 1

        self.names: list[str | None] = []
        self._scheme = "http" if certificate is None else "https"
        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def _note_name(self, connection: object, name: str | None, context: object) -> None:
        self.names.append(name)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        """Returns a URL that leads to it."""
        return f"{self._scheme}://{host}:{self.port}{path}"

    def wait(self, count: int) -> list[Received]:
        """Waits until so many requests have come, and returns them."""
        until(lambda: len(self.received) >= count, f"{count} webhooks, not {len(self.received)}")
        return self.received

    def __enter__(self) -> Self:
        """Begins to listen."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Ends."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the test's own.

    Attributes:
        file: Its certificate.
        authority: It.
    """

    file: Path
    authority: trustme.CA

    @classmethod
    def make(cls, folder: Path) -> Authority:
        """Makes one."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        return cls(folder / "ca.pem", authority)
