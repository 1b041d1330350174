"""Servers that say nothing: a frozen one, or something in between that passes nothing on.

The kernel notices a peer that is gone. A process that stands still, or a proxy in front of one
that is gone, keeps its connections, and whoever waits there would wait for ever.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")

#: After how much silence, in seconds, to ask whether a statement is still being worked on.
SILENCE = 5.0
#: How long what a server has said at the end of its work may take to arrive, in seconds.
_LAST_WORDS = 1.0
#: How much silence is borne where nobody can say, as behind a pooler, in seconds.
LONGEST_SILENCE = 60.0
#: For how long others are told at once, at the most, that the server can't be reached, in seconds.
_LONGEST_REFUSAL = 1.0


class WatchfulConnection(psycopg.Connection[Any]):
    """A connection that is closed when its server has fallen silent in the middle of a statement.

    Attributes:
        is_at_work: Says, after so many seconds of silence, whether the server is still at work on
            what this connection waits for. None: then it is not.
    """

    is_at_work: Callable[[psycopg.Connection[Any], float], bool] | None = None

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Waits for what is under way.

        Raises:
            psycopg.OperationalError: The server has fallen silent; the connection is closed.
        """
        return super().wait(self._watched(gen), *args, **kwargs)

    def _watched(self, work: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        try:
            wanted = next(work)
            heard_at = asked_at = time.monotonic()
            lost_at = math.inf
            while True:
                ready = yield wanted
                now = time.monotonic()
                if ready:
                    heard_at, asked_at, lost_at = now, now, math.inf
                elif now > lost_at:
                    self.close()
                    raise psycopg.OperationalError(
                        f"the server has said nothing for {now - heard_at:.0f} s"
                    )
                elif now - asked_at > SILENCE and lost_at == math.inf:
                    at_work = self.is_at_work is not None and self.is_at_work(self, now - heard_at)
                    asked_at = time.monotonic()
                    if not at_work:
                        # It may have come to its end just now, and have answered.
                        lost_at = asked_at + _LAST_WORDS
                wanted = work.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result


class Reach:
    """Whether a server can be reached, as the connections to it that many wait for have found.

    The first of them that lose it try for a while to get it back. Once they have given up, the
    next ones try just once; and whoever comes right after one that took long is told at once, so
    that nobody waits for the tries of many before it.
    """

    def __init__(self) -> None:
        """Begins with one that can be reached."""
        self._lock = threading.Lock()
        self._lost = False
        self._refused_until = 0.0
        self._reason = ""

    def patience(self, seconds: float) -> float:
        """Returns for how long to try, of so many seconds."""
        return 0.0 if self._lost else seconds

    def refusal(self) -> str:
        """Returns why there is no use in trying just now; "" if there is."""
        with self._lock:
            return self._reason if time.monotonic() < self._refused_until else ""

    def found(self) -> None:
        """Notes that it can be reached."""
        with self._lock:
            self._lost, self._refused_until = False, 0.0

    def given_up(self, reason: str, *, took: float) -> None:
        """Notes that it can't be, and how long the last try took, in seconds."""
        with self._lock:
            self._lost, self._reason = True, reason
            self._refused_until = time.monotonic() + min(took, _LONGEST_REFUSAL)
