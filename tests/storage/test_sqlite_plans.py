"""SQLite: lists and the queue walk indexes, however much else there is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.records import (
    LOG_START,
    ChangePlace,
    Expiry,
    PauseFilter,
    PausePosition,
    PauseStatus,
    Position,
    RunRecord,
    RunStatus,
    ThreadFilter,
    ThreadOrder,
    ThreadPosition,
    ThreadsKept,
    ThreadSort,
    ThreadStatus,
)
from graphwire_server.storage.sql import statements
from graphwire_server.storage.sql.migrations import load_migrations
from graphwire_server.storage.sql.transaction import SqlTransaction
from graphwire_server.storage.sqlite.schema import migrate
from graphwire_server.storage.sqlite.session import SqliteSession, add_functions

from .builders import A_DAY
from .crowd import FEW, add_crowd, add_queue, add_webhooks

Work = Callable[[Transaction], object]

THREADS = 100_000
IDLE = ThreadFilter(statuses=(ThreadStatus.IDLE,))
BOTH = ThreadFilter(statuses=(ThreadStatus.IDLE, ThreadStatus.ERROR))
AFTER = Position(50_000, "thread-50000")
PLACE = ThreadPosition("thread-50000", 50_000, "IDLE")
NOWHERE = ThreadPosition("thread-50000")
PAUSE = PausePosition(50_000, 50_000)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A hundred thousand threads, each with a run that is over; three more runs wait."""
    path = tmp_path_factory.mktemp("crowd") / "graphwire.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as sqlite:
        migrate(sqlite, path, load_migrations())
        add_functions(sqlite)
        sqlite.execute("BEGIN")
        add_crowd(SqliteSession(sqlite, path), THREADS)
        sqlite.execute(
            "UPDATE gw_runs SET status = 'PENDING', start_time = NULL, end_time = NULL"
            " WHERE run_id IN ('run-10', 'run-500', 'run-90001')"
        )
        sqlite.execute("COMMIT")
        yield sqlite


def run(sqlite: sqlite3.Connection, work: Work) -> object:
    """Runs a work and takes it back."""
    sqlite.execute("BEGIN")
    try:
        return work(SqlTransaction(SqliteSession(sqlite, Path("crowd"))))
    finally:
        sqlite.execute("ROLLBACK")


def plan(sqlite: sqlite3.Connection, work: Work) -> list[str]:
    """Returns how SQLite goes about the statements that `work` runs."""
    statements: list[str] = []
    sqlite.set_trace_callback(statements.append)
    run(sqlite, work)
    sqlite.set_trace_callback(None)
    assert [statements[0], statements[-1]] == ["BEGIN", "ROLLBACK"]
    return [
        row[3]
        for statement in statements[1:-1]
        for row in sqlite.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]


def steps(sqlite: sqlite3.Connection, work: Work) -> int:
    """Returns how many steps of SQLite's machine `work` takes, to the next hundred."""
    hundreds = 0

    def count() -> None:
        nonlocal hundreds
        hundreds += 1

    sqlite.set_progress_handler(count, 100)
    run(sqlite, work)
    sqlite.set_progress_handler(None, 0)
    return hundreds * 100


def in_order(sort: ThreadSort, after: ThreadPosition | None) -> Work:
    """A page of all threads."""
    return lambda r: r.threads(ThreadFilter(), limit=50, sort=sort, after=after)


def claim_webhooks(tx: object, **busy: int) -> object:
    """Claims webhooks, where some hosts are busy."""
    claim = cast("Transaction", tx).claim_webhooks
    return claim(lapse=1, limit=50, per_host=2, busy=busy)


LISTS: dict[str, tuple[Work, str]] = {
    "all": (lambda r: r.threads(ThreadFilter(), limit=50), "gw_threads_by_time"),
    "all, next page": (
        lambda r: r.threads(ThreadFilter(), limit=50, after=PLACE),
        "gw_threads_by_time",
    ),
    "by status": (lambda r: r.threads(IDLE, limit=50), "gw_threads_by_status"),
    "by status, next page": (
        lambda r: r.threads(IDLE, limit=50, after=PLACE),
        "gw_threads_by_status",
    ),
    "by statuses": (lambda r: r.threads(BOTH, limit=50, after=PLACE), "gw_threads_by_status"),
    "by assistant": (
        lambda r: r.threads(ThreadFilter(assistant_id="agent"), limit=50, after=PLACE),
        "gw_threads_by_assistant",
    ),
    "by assistant and statuses": (
        lambda r: r.threads(replace(BOTH, assistant_id="agent"), limit=50, after=PLACE),
        "gw_threads_by_both",
    ),
    **{
        f"by {order.lower()}{' ascending' if ascending else ''}, {where}": (
            in_order(ThreadSort(order, ascending), after),
            index,
        )
        for order, index in {
            ThreadOrder.CREATE_TIME: "gw_threads_by_time",
            ThreadOrder.UPDATE_TIME: "gw_threads_by_update",
            ThreadOrder.STATE_UPDATE_TIME: "gw_threads_by_state_update",
            ThreadOrder.THREAD_ID: "gw_threads_by_id",
            ThreadOrder.STATUS: "gw_threads_by_status",
        }.items()
        for ascending in (False, True)
        for where, after in {"first page": None, "next page": PLACE, "no time": NOWHERE}.items()
        if where != "no time" or order is ThreadOrder.STATE_UPDATE_TIME
    },
    "the last of the order by state_update_time": (
        lambda r: r.threads(
            ThreadFilter(),
            limit=50,
            sort=ThreadSort(ThreadOrder.STATE_UPDATE_TIME),
            after=ThreadPosition("thread-9", 9),
        ),
        "gw_threads_by_state_update",
    ),
    "by id": (
        lambda r: r.threads(
            ThreadFilter(thread_ids=tuple(f"thread-{n}" for n in range(20))), limit=50
        ),
        "sqlite_autoindex_gw_threads_1",
    ),
    "runs": (lambda r: r.runs("thread-5", limit=50, after=AFTER), "gw_runs_by_time"),
    "runs by status": (
        lambda r: r.runs("thread-5", statuses=(RunStatus.RUNNING,), limit=50),
        "gw_runs_by_time",
    ),
    "last run": (lambda r: r.last_run("thread-5"), "gw_runs_by_start"),
    "active runs": (lambda r: r.active_runs("thread-5"), "gw_runs_pending"),
    "runs to cancel": (lambda r: r.cancelled_runs("server"), "gw_runs_under_way"),
    "next due time": (lambda r: r.next_due_time(now=1), "gw_runs_due"),
    "threads with a ttl": (
        lambda r: r.expired_threads(Expiry(ThreadsKept.OWN, 1), limit=50),
        "gw_threads_with_ttl",
    ),
    "unused threads": (
        lambda r: r.expired_threads(Expiry(ThreadsKept.DEFAULT, 1), limit=50),
        "gw_threads_unused",
    ),
    "threads of stateless runs": (
        lambda r: r.expired_threads(Expiry(ThreadsKept.STATELESS, 1), limit=50),
        "gw_threads_stateless",
    ),
    "unpruned threads": (lambda r: r.unpruned_threads(limit=50), "gw_threads_unpruned"),
    "untrimmed runs": (lambda r: r.untrimmed_runs(before=9, limit=50), "gw_runs_untrimmed"),
    "open pauses": (lambda r: r.open_pauses("thread-5"), "gw_pauses_open"),
    "pauses of tasks": (lambda r: r.pauses_of_tasks("thread-5", ["t", "u"]), "gw_pauses_by_task"),
    "pauses of a run": (lambda r: r.pauses_of_run("run-5"), "gw_pauses_by_run"),
    "the inbox": (lambda r: r.list_pauses(PauseFilter(), limit=50), "gw_pauses_inbox"),
    "the inbox, next page": (
        lambda r: r.list_pauses(PauseFilter(), limit=50, after=PAUSE),
        "gw_pauses_inbox",
    ),
    "the inbox, oldest first": (
        lambda r: r.list_pauses(PauseFilter(), limit=50, after=PAUSE, ascending=True),
        "gw_pauses_inbox",
    ),
    "the inbox of an assistant": (
        lambda r: r.list_pauses(PauseFilter(assistant_id="agent"), limit=50, after=PAUSE),
        "gw_pauses_inbox_by_assistant",
    ),
    "the inbox of an owner": (
        lambda r: r.list_pauses(PauseFilter(access=FEW), limit=50, after=PAUSE),
        "gw_pauses_inbox_by_owner",
    ),
    "pauses of an owner that are resolved": (
        lambda r: r.list_pauses(
            PauseFilter(access=FEW, statuses=(PauseStatus.RESUMED,)), limit=50, after=PAUSE
        ),
        "gw_pauses_resolved_by_owner",
    ),
    "the inbox of a thread": (
        lambda r: r.list_pauses(PauseFilter(thread_id="thread-20"), limit=50),
        "gw_pauses_open",
    ),
    "resolved pauses": (
        lambda r: r.list_pauses(
            PauseFilter(statuses=(PauseStatus.RESUMED,)), limit=50, after=PAUSE
        ),
        "gw_pauses_resolved",
    ),
    "a pause": (lambda r: r.pause("pause-5"), "sqlite_autoindex_gw_pauses_1"),
    "a pause as it was called": (
        lambda r: r.pause_called("thread-5", "pause-5"),
        "gw_pauses_by_task",
    ),
    "the pause that was resolved last": (
        lambda r: r.last_resolved_pause("thread-5"),
        "gw_pauses_by_task",
    ),
    "pauses by their ids": (
        lambda r: r.pauses_by_id(["pause-5", "pause-6"]),
        "sqlite_autoindex_gw_pauses_1",
    ),
    "runs by their ids": (
        lambda r: r.runs_by_id(["run-5", "run-6"]),
        "sqlite_autoindex_gw_runs_1",
    ),
    "the next run": (lambda r: r.next_run("thread-5", after=0), "gw_runs_by_place"),
    "a run by its place": (lambda r: r.run_at("thread-5", 1), "gw_runs_by_place"),
    "events": (lambda r: r.events("run-5", after=3, limit=50), "sqlite_autoindex_gw_events_1"),
    "webhooks of runs": (lambda r: r.webhooks_of(["run-5", "run-6"]), "gw_webhooks_by_run"),
    "the next webhook": (lambda r: r.next_webhook_time(), "gw_webhooks_due"),
    "webhooks that are due": (
        lambda r: claim_webhooks(r),
        "gw_webhooks_due",
    ),
    "webhooks that are due, some hosts busy": (
        lambda r: claim_webhooks(r, slow=2, dead=2),
        "gw_webhooks_due",
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_what_is_listed_is_found_by_its_index(crowd: sqlite3.Connection, name: str) -> None:
    work, index = LISTS[name]
    found = plan(crowd, work)
    assert any(index in step for step in found), found
    # A page of each status, as long as the limit at the most, is read whole.
    no_scans = ("SCAN page", "SCAN CONSTANT ROW")
    scans = [step for step in found if step.startswith("SCAN") and step not in no_scans]
    assert not [step for step in scans if "INDEX" not in step], found


@pytest.mark.parametrize(
    "name",
    [
        *(name for name in LISTS if name.endswith((" page", " no time"))),
        "all",
        "by status",
        "by assistant",
        "runs",
        "the inbox",
        "the inbox, next page",
        "the inbox, oldest first",
        "the inbox of an assistant",
        "the inbox of an owner",
        "pauses of an owner that are resolved",
        "resolved pauses",
        "the next run",
        "last run",
        "events",
        "threads with a ttl",
        "unused threads",
        "threads of stateless runs",
        "unpruned threads",
        "untrimmed runs",
        "the next webhook",
        "webhooks that are due",
        "webhooks that are due, some hosts busy",
    ],
)
def test_lists_are_walked_in_order_and_not_sorted(crowd: sqlite3.Connection, name: str) -> None:
    found = plan(crowd, LISTS[name][0])
    assert not [step for step in found if "TEMP B-TREE" in step], found


@pytest.mark.parametrize("name", LISTS)
def test_no_list_looks_at_the_crowd(crowd: sqlite3.Connection, name: str) -> None:
    assert steps(crowd, LISTS[name][0]) < 5000


@pytest.mark.parametrize(
    ("statement", "parameters", "index"),
    [
        (statements.leases.DUE_RUNS, (THREADS, 50), "gw_runs_ready"),
        (statements.leases.LOST_RUNS, (1, 50), "gw_runs_under_way"),
        (statements.leases.HOLD, (0, 0, False, "run-5", "server", 1), "sqlite_autoindex_gw_runs_1"),
    ],
    ids=["due", "lost", "held"],
)
def test_the_queue_is_walked_in_order(
    crowd: sqlite3.Connection, statement: str, parameters: tuple[object, ...], index: str
) -> None:
    found = [row[3] for row in crowd.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert index in found[0], found
    assert not [step for step in found if "TEMP B-TREE" in step], found


@pytest.mark.parametrize(
    "work",
    [
        lambda tx: tx.changes(after=LOG_START, limit=50),
        lambda tx: tx.changes(after=ChangePlace(0, 50_000), limit=50),
        lambda tx: tx.end_of_changes(),
        lambda tx: tx.remove_changes(before=9, limit=50),
        lambda tx: tx.remove_changes(before=A_DAY, limit=50),
    ],
    ids=["start", "middle", "end", "few to remove", "many to remove"],
)
def test_the_log_of_changes_is_read_where_it_is_asked_for(
    crowd: sqlite3.Connection, work: Work
) -> None:
    assert steps(crowd, work) < 8000


def test_old_webhooks_are_found_by_their_indexes(crowd: sqlite3.Connection) -> None:
    found = plan(crowd, lambda tx: tx.remove_webhooks(ended_before=5, made_before=5, limit=50))
    text = " ".join(found)
    assert "gw_webhooks_ended" in text
    assert "gw_webhooks_unsent" in text
    assert "TEMP B-TREE FOR ORDER" not in text


def test_the_next_place_in_a_thread_is_found_at_once(crowd: sqlite3.Connection) -> None:
    assert run(crowd, lambda r: r.last_place("thread-5")) == 1
    assert steps(crowd, lambda r: r.last_place("thread-5")) < 500


def test_the_queue_finds_its_few_runs_in_the_crowd(crowd: sqlite3.Connection) -> None:
    def work(tx: Transaction) -> list[str]:
        tx.join_servers("server", ttl=A_DAY)
        return [run.run_id for run in tx.claim_due("server", limit=50)]

    # That of `thread-500`, which is paused, has to wait.
    assert run(crowd, work) == ["run-10", "run-90001"]
    assert steps(crowd, work) < 2000


def test_a_long_queue_of_one_does_not_hide_what_another_has_in_it(
    crowd: sqlite3.Connection,
) -> None:
    def claim(tx: Transaction) -> list[str]:
        return [run.run_id for run in tx.claim_due("server", limit=1)]

    crowd.execute("SAVEPOINT queue")
    try:
        crowd.execute(
            "UPDATE gw_runs SET status = 'PENDING', start_time = NULL, end_time = NULL,"
            " principal = 'many' WHERE run_id <> 'run-90001'"
        )
        crowd.execute("UPDATE gw_runs SET principal = 'single' WHERE run_id = 'run-90001'")
        crowd.execute("UPDATE gw_threads SET status = 'BUSY'")
        work = SqlTransaction(SqliteSession(crowd, Path("crowd")))
        work.join_servers("server", ttl=A_DAY)
        first, second = claim(work), claim(work)
        assert first != ["run-90001"]
        assert second == ["run-90001"]
        hundreds = 0

        def more() -> None:
            nonlocal hundreds
            hundreds += 1

        crowd.set_progress_handler(more, 100)
        assert len(claim(work)) == 1
        assert work.has_due_run()
        crowd.set_progress_handler(None, 0)
        assert hundreds < 30
    finally:
        crowd.execute("ROLLBACK TO queue")
        crowd.execute("RELEASE queue")


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A queue, and a hundred thousand runs that can't begin; each on a thread of its own."""
    path = tmp_path_factory.mktemp("waiting") / "graphwire.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as sqlite:
        migrate(sqlite, path, load_migrations())
        add_functions(sqlite)
        sqlite.execute("BEGIN")
        session = SqliteSession(sqlite, path)
        add_queue(session, queued=100, delayed=THREADS // 2, paused=THREADS // 2, principals=40)
        sqlite.execute("COMMIT")
        yield sqlite


@pytest.mark.parametrize("most", [0, 5])
def test_runs_that_can_not_begin_are_not_in_the_way(waiting: sqlite3.Connection, most: int) -> None:
    def work(tx: Transaction) -> list[RunRecord]:
        tx.join_servers("server", ttl=A_DAY)
        assert tx.has_due_run()
        return tx.claim_due("server", limit=45, most_of_one=most)

    claimed = cast("list[RunRecord]", run(waiting, work))
    assert {claim.principal for claim in claimed} >= {"single", "many", "p39"}
    assert steps(waiting, work) < 30_000

    def nothing(tx: Transaction) -> bool:
        tx.join_servers("server", ttl=A_DAY)
        tx.claim_due("server", limit=100)
        assert tx.claim_due("server", limit=100) == []
        return tx.has_due_run()

    assert run(waiting, nothing) is False
    found = " ".join(plan(waiting, lambda tx: tx.has_due_run()))
    assert "gw_runs_ready" in found
    assert "gw_runs_delayed" in found


@pytest.fixture(scope="module")
def backlog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A hundred thousand webhooks for a host that is away, and one for each of thirty others."""
    path = tmp_path_factory.mktemp("backlog") / "graphwire.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as sqlite:
        migrate(sqlite, path, load_migrations())
        add_functions(sqlite)
        sqlite.execute("BEGIN")
        add_webhooks(SqliteSession(sqlite, path), THREADS, hosts=30)
        sqlite.execute("COMMIT")
        yield sqlite


def test_the_backlog_of_a_host_is_not_in_the_way_of_other_webhooks(
    backlog: sqlite3.Connection,
) -> None:
    def claim(tx: Transaction, **busy: int) -> list[str]:
        claimed = tx.claim_webhooks(lapse=1, limit=16, per_host=4, busy=busy)
        return [webhook.host for webhook in claimed.webhooks]

    def claim_of_others(tx: Transaction) -> list[str]:
        return claim(tx, dead=4)

    others = [f"host-{1 + (THREADS + number) % 30}" for number in range(1, 17)]
    assert run(backlog, claim) == ["dead"] * 4 + others[:12]
    assert run(backlog, claim_of_others) == others
    assert steps(backlog, claim) < 15_000
    assert steps(backlog, claim_of_others) < 15_000

    found = plan(backlog, claim_of_others)
    scans = {step for step in found if step.startswith("SCAN")}
    assert scans == {"SCAN CONSTANT ROW", "SCAN waits"}, found
    assert not [step for step in found if "TEMP B-TREE" in step], found
    of_hosts = [step for step in found if "gw_webhooks_by_host" in step]
    assert of_hosts
    assert all("(host=?" in step or "(host>?" in step for step in of_hosts), found


def test_lost_runs_are_found_in_the_crowd(crowd: sqlite3.Connection) -> None:
    def work(tx: Transaction) -> list[str]:
        for run_id in ("run-500", "run-10"):
            tx.change_run(run_id, RunStatus.RUNNING, now=1)
        tx.join_servers("server", ttl=A_DAY)
        return [each.run.run_id for each in tx.claim_lost("server", limit=50)]

    assert run(crowd, work) == ["run-10", "run-500"]
    assert steps(crowd, work) < 2000


def test_deleting_a_thread_finds_what_is_its(crowd: sqlite3.Connection) -> None:
    crowd.execute("PRAGMA foreign_keys = ON")
    assert run(crowd, lambda tx: tx.delete_thread("thread-5")) is True
    assert steps(crowd, lambda tx: tx.delete_thread("thread-5")) < 5000


def test_the_extent_of_a_thread_is_found_among_others(crowd: sqlite3.Connection) -> None:
    assert steps(crowd, lambda r: r.extent("thread-5")) < 1000


def test_counting_the_steps_notices_a_scan(crowd: sqlite3.Connection) -> None:
    which = ThreadFilter(metadata='{"nobody": 1}')
    assert steps(crowd, lambda r: r.threads(which, limit=1)) > THREADS


def test_a_list_does_not_read_the_values(crowd: sqlite3.Connection) -> None:
    assert not [step for step in plan(crowd, LISTS["all"][0]) if "gw_thread_states" in step]
