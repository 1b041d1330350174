"""When a call is tried again, and after how long."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from graphwire.errors import GraphwireError, StreamExpiredError, TransportError

#: The first and the longest delay between tries, in seconds, before jitter.
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0

#: For how many seconds a call is tried again that a server with too much to do refuses.
LIMIT_PATIENCE = 2.0

# A try that stood longer than gRPC takes to give up connecting (20 s) had reached the
# server, so the failure after it is a new one.
_STOOD = 30.0

# How gRPC and proxies word a connection that broke under a call.
_BROKEN = ("RST_STREAM", "Stream removed")


def is_transient(error: GraphwireError, *, bounded: bool) -> bool:
    """Returns whether the same call may succeed a moment later.

    Args:
        error: How it failed.
        bounded: Whether the call had a timeout of its own; if not, a deadline that
            passed was that of something in between.
    """
    match error.code:
        case "UNAVAILABLE":
            return True
        case "CANCELLED":  # by something in between: a caller's own never comes here
            return isinstance(error, TransportError)
        case "DEADLINE_EXCEEDED":
            return not bounded
        case "INTERNAL" | "UNKNOWN":
            return isinstance(error, TransportError) and any(
                words in error.message for words in _BROKEN
            )
    return False


class Retry:
    """The tries of one call: its deadline, its patience, its growing delays.

    Attributes:
        gave_up: Whether the last failure was one to try again after, but in vain.
    """

    def __init__(
        self,
        *,
        patience: float,
        timeout: float | None,
        limit_patience: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Begins with the first try.

        Args:
            patience: For how many seconds to try again, counted from the first failure
                after the last progress; 0: never.
            timeout: After how many seconds it must all be over; None: no limit.
            limit_patience: For how many seconds to try again where a server with too much to
                do has refused the call, before anything was done; None: as `patience`, but
                not for long.
            clock: Returns the time in seconds.
            jitter: Returns a random number from 0 to 1.
        """
        self.gave_up = False
        self._clock = clock
        self._jitter = jitter
        self._patience = patience
        self._limit_patience = min(patience, LIMIT_PATIENCE)
        if limit_patience is not None:
            self._limit_patience = limit_patience
        self._tried_at = clock()
        self._deadline = None if timeout is None else self._tried_at + timeout
        self._failing_since: float | None = None
        self._failures = 0

    @property
    def failing(self) -> bool:
        """Whether nothing has come back since a try failed."""
        return self._failing_since is not None

    def remaining(self) -> float | None:
        """Returns how many seconds are left for the next try; None: no limit."""
        return None if self._deadline is None else max(0.0, self._deadline - self._clock())

    def progress(self) -> None:
        """Notes that something came back: a failure after it is the first again."""
        self._failing_since = None
        self._failures = 0

    def delay(self, error: GraphwireError, *, hinted: bool = False) -> float | None:
        """Returns after how many seconds to try again; None: not at all.

        Args:
            error: How the last try failed.
            hinted: Also try again, as long as for anything else, where only the server's
                `retry_after` says so. Without it that is done for a limit, and not for long.
        """
        told = error.retry_after is not None
        again = is_transient(error, bounded=self._deadline is not None) or (hinted and told)
        # What comes without a hint is refused before anything has begun, by a limit.
        limited = not again and error.code == "RESOURCE_EXHAUSTED" and told
        if not (again or limited):
            return None
        now = self._clock()
        # A server that ends a call for its age is there, and the call stood for as long.
        if now - self._tried_at > _STOOD or isinstance(error, StreamExpiredError):
            self.progress()
        if self._failing_since is None:
            self._failing_since = now
        backoff = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures, 16))
        delay = max(backoff * (0.5 + self._jitter() / 2), error.retry_after or 0.0)
        self._tried_at = now + delay
        self._failures += 1
        patience = self._limit_patience if limited else self._patience
        out_of_patience = self._tried_at - self._failing_since > patience
        out_of_time = self._deadline is not None and self._tried_at >= self._deadline
        if out_of_patience or out_of_time:
            self.gave_up = again and self._failures > 1
            return None
        return delay
