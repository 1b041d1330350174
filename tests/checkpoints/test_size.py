"""A thread grows by what changes, and what is read of it does not grow with its history."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from graphwire_server.storage.checkpoints.records import CheckpointFilter
from graphwire_server.storage.checkpoints.saver import Saver
from graphwire_server.storage.interface import Storage, Transaction
from graphwire_server.storage.sql.migrations import load_migrations
from graphwire_server.storage.sql.transaction import SqlTransaction
from graphwire_server.storage.sqlite.schema import migrate
from graphwire_server.storage.sqlite.session import SqliteSession, add_functions
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from .builders import at

STEPS = 10_000


class Chat(MessagesState):
    total: int


def a_chat(saver: Saver, steps: int) -> CompiledStateGraph[Any, Any, Any, Any]:
    async def answer(state: Chat) -> dict[str, Any]:
        message = AIMessage("word " * 20, id=f"message-{state['total']:06}")
        return {"messages": [message], "total": state["total"] + 1}

    builder = StateGraph(Chat)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    builder.add_conditional_edges("answer", lambda s: "answer" if s["total"] < steps else END)
    return builder.compile(checkpointer=saver)


async def test_a_step_costs_the_same_at_the_end_of_a_long_thread(
    saver: Saver, storage: Storage
) -> None:
    """500 steps, one message each: bytes a step at step 500 against those at step 50."""
    graph = a_chat(saver, 500)
    sizes: dict[int, int] = {}
    async for state in graph.astream(
        {"messages": [], "total": 0},
        at() | {"recursion_limit": 1000},
        stream_mode="values",
        durability="sync",
    ):
        if state["total"] in (25, 75, 450, 500):
            sizes[state["total"]] = await storage.write(total_size)
    at_50 = (sizes[75] - sizes[25]) / 50
    at_500 = (sizes[500] - sizes[450]) / 50
    assert at_500 <= 1.2 * at_50
    assert at_500 < 2500


def total_size(transaction: Transaction) -> int:
    """Returns how many bytes the rows of the thread have, keys included."""
    ids = [record.checkpoint_id for record in transaction.all_checkpoints("t", "")]
    checkpoints = sum(
        len(record.metadata) + len(record.body) + 4 * 36
        for record in transaction.all_checkpoints("t", "")
    )
    pairs = [(channel, version) for channel, version, _ in transaction.channel_versions("t", "")]
    values = sum(
        len(value.body) + 36 + len(value.channel) + 2 * 27
        for value in transaction.channel_values("t", "", pairs)
    )
    writes = sum(
        len(write.body) + len(write.task_path) + 3 * 36
        for write in transaction.checkpoint_writes("t", "", ids)
    )
    return checkpoints + values + writes


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """In SQLite, a thread of ten thousand checkpoints, and ten thousand threads of one."""
    path = tmp_path_factory.mktemp("crowd") / "graphwire.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as sqlite:
        migrate(sqlite, path, load_migrations())
        add_functions(sqlite)
        sqlite.executescript(
            f"""
            BEGIN;
            WITH RECURSIVE number (n) AS
                (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {STEPS})
            INSERT INTO gw_checkpoints
            SELECT n, 'long', '', 'c' || n, 'c' || (n - 1), 'run-' || (n / 10), '{{}}', x'00', FALSE
            FROM number;
            INSERT INTO gw_checkpoints
            SELECT number + {STEPS}, 'thread-' || number, '', 'c', '', '', '{{}}', x'00', FALSE
            FROM gw_checkpoints;
            INSERT INTO gw_checkpoint_writes
            SELECT number, thread_id, '', checkpoint_id, 'task', '', x'00', ''
            FROM gw_checkpoints;
            INSERT INTO gw_channel_values
            SELECT thread_id, '', 'items', 'v' || number, '', x'00' FROM gw_checkpoints;
            COMMIT;
            """
        )
        yield sqlite


def steps(sqlite: sqlite3.Connection, work: Callable[[Transaction], object]) -> int:
    """Returns how many steps of SQLite's machine a work takes, to the next hundred."""
    hundreds = 0

    def count() -> None:
        nonlocal hundreds
        hundreds += 1

    sqlite.execute("BEGIN")
    sqlite.set_progress_handler(count, 100)
    work(SqlTransaction(SqliteSession(sqlite, Path("crowd"))))
    sqlite.set_progress_handler(None, 0)
    sqlite.execute("ROLLBACK")
    return hundreds * 100


READS: dict[str, Callable[[Transaction], Any]] = {
    "head": lambda tx: tx.checkpoint("long", ""),
    "by id": lambda tx: tx.checkpoint("long", "", "c5000"),
    "first page": lambda tx: tx.checkpoints(CheckpointFilter("long", ""), limit=16),
    "later page": lambda tx: tx.checkpoints(CheckpointFilter("long", ""), limit=16, after=5000),
    "before": lambda tx: tx.checkpoints(CheckpointFilter("long", "", before="c5000"), limit=16),
    "all namespaces": lambda tx: tx.checkpoints(CheckpointFilter("thread-5"), limit=16),
    "ancestors": lambda tx: tx.checkpoint_ancestors("long", "", "c9000", limit=16),
    "writes": lambda tx: tx.checkpoint_writes("long", "", ["c1", "c9000"]),
    "values": lambda tx: tx.channel_values("long", "", [("items", "v1"), ("items", "v9000")]),
    "places": lambda tx: tx.checkpoint_places(["run-5", "run-700"]),
}


@pytest.mark.parametrize("name", READS)
def test_reads_find_what_they_look_for(crowd: sqlite3.Connection, name: str) -> None:
    found: list[Any] = []
    assert steps(crowd, lambda tx: found.append(READS[name](tx))) < 2000
    assert found[0]


def test_a_thread_is_deleted_without_looking_at_the_others(crowd: sqlite3.Connection) -> None:
    assert steps(crowd, lambda tx: tx.delete_checkpoints("thread-5")) < 2000
    assert steps(crowd, lambda tx: tx.delete_checkpoints("long")) > STEPS
