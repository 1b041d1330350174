"""The way to a server that is killed and started again all the time."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import grpc
from graphwire.v1 import runs_pb2_grpc, threads_pb2_grpc

from tests.crash.errors import AbandonedError, BrokenError

#: How long, in seconds, clients wait for a server that is down or shutting down.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Link:
    """A connection to one life of the server.

    Attributes:
        life: Which one, from 1.
        runs: The stub of Runs.
        threads: The stub of Threads.
    """

    life: int
    channel: grpc.Channel
    runs: runs_pb2_grpc.RunsStub
    threads: threads_pb2_grpc.ThreadsStub


class Links:
    """Hands out the connection to the server's present life, as soon as there is one."""

    def __init__(self) -> None:
        """Begins without a server."""
        self._changed = threading.Condition()
        self._link: Link | None = None
        self._lives = 0
        self._over = ""

    def up(self, address: str) -> None:
        """A server listens."""
        channel = grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)])
        with self._changed:
            self._lives += 1
            self._link = Link(
                self._lives,
                channel,
                runs_pb2_grpc.RunsStub(channel),
                threads_pb2_grpc.ThreadsStub(channel),
            )
            self._changed.notify_all()

    def down(self) -> None:
        """The server is gone."""
        with self._changed:
            link, self._link = self._link, None
        if link is not None:
            link.channel.close()

    def give_up(self, why: str) -> None:
        """There will be no further server."""
        with self._changed:
            self._over = why
            self._changed.notify_all()
        self.down()

    def get(self, *, after: Link | None = None) -> Link:
        """Waits for a server that is up; `after`: for a later life than that one's.

        Raises:
            AbandonedError: There will be none.
            BrokenError: There was none for too long.
        """
        life = after.life if after else 0
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._is_later(life), PATIENCE)
            if self._over:
                raise AbandonedError(self._over)
            if self._link is None or self._link.life <= life:
                raise BrokenError(
                    "unavailable",
                    f"calls failed in life {life}, and no other came for {PATIENCE:g} s",
                )
            return self._link

    def is_lost(self, link: Link, error: grpc.RpcError | ValueError) -> bool:
        """Tells whether a call failed because its server is, or will soon be, gone."""
        # CANCELLED: by the server, when its time for shutting down is over.
        lost = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        if isinstance(error, grpc.RpcError) and error.code() in lost:
            return True
        with self._changed:
            return self._link is not link

    def _is_later(self, life: int) -> bool:
        return self._link is not None and self._link.life > life
