"""Very many threads, in which others are to be found quickly."""

from __future__ import annotations

from collections.abc import Mapping

from graphwire_server.storage.access import Access
from graphwire_server.storage.records import RunStatus, ThreadStatus
from graphwire_server.storage.sql import statements
from graphwire_server.storage.sql.session import Session
from graphwire_server.storage.sql.transaction import SqlTransaction
from graphwire_server.storage.sql.webhooks import WEBHOOK_COLUMNS
from graphwire_server.storage.webhooks import WebhookRecord

from .builders import A_DAY, a_pause, a_run, a_thread

#: What the owner `few` of a crowd sees.
FEW = Access(owner="few")


def add_crowd(session: Session, count: int) -> None:
    """Adds threads `thread-1` and so on, each with a run `run-1` that is over, and a pause.

    Their times are their numbers, and of twenty one is paused; of the pauses nearly all are
    resolved. Of a thousand one is owned by `few`, the others by `many`. The log has a change for
    each of them.
    """
    transaction = SqlTransaction(session)
    transaction.insert_thread(a_thread("thread-1", assistant_id="agent"))
    transaction.insert_run(
        a_run("run-1", "thread-1", status=RunStatus.SUCCEEDED, start_time=1, end_time=2)
    )
    transaction.insert_pauses(
        [a_pause("pause-1", "thread-1", run_id="run-1", assistant_id="agent")]
    )
    transaction.settle(kept=True)
    transaction.write_changes()
    number = {"thread_id": "'thread-' || n", "run_id": "'run-' || n"} | dict.fromkeys(
        ("create_time", "update_time", "due_time"), "n"
    )
    # Of four one has no state yet.
    number |= {"state_update_time": "CASE WHEN n % 4 = 0 THEN NULL ELSE n END"}
    number |= {"owner": "CASE WHEN n % 1000 = 0 THEN 'few' ELSE 'many' END"}
    paused = {"status": "CASE WHEN n % 20 = 0 THEN 'INTERRUPTED' ELSE 'IDLE' END"}
    _multiply(session, "gw_threads", statements.threads.THREAD_COLUMNS, number | paused, count)
    _multiply(session, "gw_runs", f"{statements.runs.RUN_COLUMNS}, place", number, count)
    _multiply(session, "gw_run_bodies", "run_id, spec", number, count)
    pause = {"pause_id": "'pause-' || n"}
    resolved = {"status": "CASE WHEN n % 20 = 0 THEN 'OPEN' ELSE 'RESUMED' END"}
    columns = f"{statements.pauses.PAUSE_COLUMNS}, owner"
    _multiply(session, "gw_pauses", columns, number | pause | resolved, count)
    change = {"time": "n", "subject": "'pause-' || n"}
    _multiply(session, "gw_changes", "xid, time, kind, subject", change, count)


def add_queue(session: Session, *, queued: int, delayed: int, paused: int, principals: int) -> None:
    """Adds PENDING runs `run-1` and so on, each on a thread `thread-1` and so on of its own.

    First those that may start, which belong to `many` but for one of each of the principals `p1`
    and so on and of `single`, whose is the last; then delayed ones, and those of paused threads,
    which belong to all principals in turns.
    """
    transaction = SqlTransaction(session)
    later = transaction.now() + A_DAY
    transaction.insert_thread(a_thread("thread-1", status=ThreadStatus.IDLE))
    transaction.insert_run(a_run("run-1", "thread-1", principal="many"))
    is_paused, is_queued = f"n > {queued + delayed}", f"n <= {queued}"
    thread = {
        "thread_id": "'thread-' || n",
        "status": f"CASE WHEN {is_paused} THEN 'INTERRUPTED' ELSE status END",
    }
    run = thread | {
        "run_id": "'run-' || n",
        "status": "status",
        "principal": f"CASE WHEN n = {queued} THEN 'single' WHEN {is_queued} AND n > {principals}"
        f" THEN 'many' ELSE 'p' || (n % {principals}) END",
        "due_time": f"CASE WHEN {is_paused} OR {is_queued} THEN due_time ELSE {later} + n END",
        "waits_for": f"CASE WHEN {is_paused} THEN 'THREAD' WHEN {is_queued} THEN ''"
        " ELSE 'TIME' END",
    }
    count = queued + delayed + paused
    _multiply(session, "gw_threads", statements.threads.THREAD_COLUMNS, thread, count)
    _multiply(session, "gw_runs", f"{statements.runs.RUN_COLUMNS}, waits_for", run, count)
    _multiply(session, "gw_run_bodies", "run_id, spec", run, count)


def add_webhooks(session: Session, count: int, hosts: int) -> None:
    """Adds webhooks `msg-1` and so on that are due, in the order of their numbers.

    All are for the host `dead`, but for the last of them: one for each of `host-1` and so on, and
    two more for each of these that are due another day.
    """
    transaction = SqlTransaction(session)
    later = transaction.now() + A_DAY
    transaction.insert_webhook(
        WebhookRecord(
            webhook_id="msg-1",
            run_id="run-1",
            thread_id="thread-1",
            kind="run.succeeded",
            url="https://example.com/",
            host="dead",
            body="{}",
            create_time=1,
            due_time=1,
        )
    )
    webhook = {
        "webhook_id": "'msg-' || n",
        "run_id": "'run-' || n",
        "host": f"CASE WHEN n <= {count} THEN 'dead' ELSE 'host-' || (1 + n % {hosts}) END",
        "due_time": f"CASE WHEN n <= {count + hosts} THEN n ELSE {later} + n END",
    }
    _multiply(session, "gw_webhooks", WEBHOOK_COLUMNS, webhook, count + 3 * hosts)


def _multiply(
    session: Session, table: str, columns: str, changes: Mapping[str, str], count: int
) -> None:
    """Makes many rows of the one that a table has."""
    values = ", ".join(changes.get(column, column) for column in columns.split(", "))
    session.execute(
        f"""
        WITH RECURSIVE numbers (n) AS (
            SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
        INSERT INTO {table} ({columns}) SELECT {values} FROM {table} CROSS JOIN numbers
        """
    )
