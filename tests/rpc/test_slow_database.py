"""What a caller is told whose read the database has given up."""

from __future__ import annotations

from typing import Any, cast

from graphwire import errors
from graphwire_server.rpc.interceptor import Call, CallInterceptor
from graphwire_server.storage.interface import StorageSlow


class Context:
    """As much of a call's context as its beginning asks for."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """Nothing."""
        return ()

    def set_trailing_metadata(self, trailers: object) -> None:
        """They go nowhere."""


def test_a_read_that_was_given_up_is_a_limit_that_is_of_no_use_to_try_again() -> None:
    serving = CallInterceptor()._serving
    call = Call("/graphwire.v1.Threads/ListThreads", cast("Any", Context()), serving)
    told = call._public(StorageSlow("the database db can't be used: secret detail"))
    assert isinstance(told, errors.LimitReachedError)
    assert told.message == (
        "the database has not found this in 60 s, and no call may keep it busy for longer; ask "
        "for less"
    )
    assert told.metadata == {"limit": "database_seconds", "value": "60", "maximum": "60"}
    assert told.retry_after is None
