"""Fixtures for tests of runs, of their journals and of the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import structlog
from graphwire_server.runs.event_log import EventLog
from graphwire_server.runs.journal import Journal
from graphwire_server.storage.records import RunStatus
from graphwire_server.storage.sqlite import SqliteStorage
from langgraph.pregel import _algo
from langgraph.pregel._loop import PregelLoop

from tests.runs.in_process import Ledger
from tests.runs.journals import LEASE, HeldStorage
from tests.storage.builders import A_DAY, a_run, a_thread


@pytest.fixture
async def held_storage(tmp_path: Path) -> AsyncIterator[HeldStorage]:
    """A storage with two runs, each RUNNING on the thread of its name, under one lease."""
    sqlite = await SqliteStorage.open(tmp_path / "graphwire.db")

    def fill(tx) -> None:  # type: ignore[no-untyped-def]
        tx.join_servers(LEASE.server_id, ttl=A_DAY)
        for name in ("run", "other"):
            tx.insert_thread(a_thread(name))
            tx.insert_run(a_run(name, name, status=RunStatus.RUNNING, lease=LEASE, attempt=1))

    await sqlite.write(fill)
    storage = HeldStorage(sqlite)
    yield storage
    storage.release()
    await sqlite.close()


@pytest.fixture
def log(held_storage: HeldStorage) -> EventLog:
    """A log on it that sends a heartbeat after 50 ms."""
    return EventLog(held_storage, heartbeat_seconds=0.05, poll_seconds=0.02)  # type: ignore[arg-type]  # all that it uses


@pytest.fixture
def open_journal(held_storage: HeldStorage, log: EventLog) -> Callable[[str], Journal]:
    """Opens the journal of a run."""

    def make(name: str) -> Journal:
        run = a_run(name, name, status=RunStatus.RUNNING, lease=LEASE, attempt=1)
        journal = Journal(run, held_storage, on_commit=log.notify)  # type: ignore[arg-type]
        log.open(journal)
        return journal

    return make


@pytest.fixture
async def journal(open_journal: Callable[[str], Journal]) -> Journal:
    """The journal of the run called "run"."""
    return open_journal("run")


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
