"""What a worker of `graphwire serve --workers` and the process that started it share.

It is a pair of sockets. The worker writes to its end when it listens; either notices that
the other is gone, whatever ended it, by the end of the stream.
"""

from __future__ import annotations

import os
import signal
import socket
import threading

_LISTENS = b"\n"


class WorkerLink:
    """The worker's end."""

    def __init__(self, descriptor: int) -> None:
        """Takes the descriptor that the worker was started with.

        Raises:
            OSError: It is no such descriptor.
        """
        self._socket = socket.socket(fileno=descriptor)
        # Processes that nodes start must not keep it open.
        os.set_inheritable(descriptor, False)

    def stop_with_parent(self) -> None:
        """Has this process stop, as by SIGTERM, when the one that started it is gone."""
        threading.Thread(target=self._watch, name="parent", daemon=True).start()

    def listens(self) -> None:
        """Says that the worker listens."""
        self._socket.sendall(_LISTENS)

    def _watch(self) -> None:
        try:
            while self._socket.recv(1):
                pass
        except OSError:
            pass  # as good as the end
        os.kill(os.getpid(), signal.SIGTERM)
