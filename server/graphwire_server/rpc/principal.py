"""Who makes the call that is being served."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar

from graphwire_server.graphs.run_user import calling_user
from graphwire_server.runs.caller import Caller

#: Whoever calls a server that does not want to know who calls.
ANONYMOUS = Caller(principal="anonymous")

_callers: ContextVar[Sequence[Caller]] = ContextVar("callers", default=(ANONYMOUS,))


def current_caller() -> Caller:
    """Returns who makes the call that is being served, and what he may do with it."""
    return _callers.get()[0]


def current_callers(requests: int) -> Sequence[Caller]:
    """Returns him once for each of several requests in one call, as he may do each."""
    callers = _callers.get()
    return callers if len(callers) == requests else [callers[0]] * requests


def current_principal() -> str:
    """Returns the name of who makes the call that is being served."""
    return current_caller().principal


def set_callers(callers: Sequence[Caller]) -> None:
    """Says who makes the call that is being served: for this call, and what it sets going."""
    _callers.set(callers)
    calling_user.set(callers[0].user)
