"""Fixtures for tests of runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from langgraph.pregel import _algo
from langgraph.pregel._loop import PregelLoop

from tests.runs.in_process import Ledger


@pytest.fixture
def ledger() -> Ledger:
    """A new ledger."""
    return Ledger()


@pytest.fixture(autouse=True)
def own_langgraph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves langgraph as it was: to serve a graph changes it."""
    for owner, name in (
        (_algo, "_scratchpad"),
        (PregelLoop, "_first"),
        (PregelLoop, "_resume_error_handlers_if_applicable"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Keeps structlog from drawing tracebacks, which takes seconds, in which the loop stands."""
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[plain])
    yield
    structlog.reset_defaults()
