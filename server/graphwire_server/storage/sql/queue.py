"""The queue of runs: how many wait, and who is served next.

Whoever has the fewest runs at work is served first; of those who was served least recently, and
then whose run has waited longest. Docs: adr/0015.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping

from graphwire_server.storage.sql.session import Cursor, Parameters
from graphwire_server.storage.sql.statements import IS_DUE, locked

#: How many principals a claim looks at; where more wait, they are looked at in turns.
MOST_PRINCIPALS = 256


def _queued(beyond: str, columns: str) -> str:
    """Returns who has PENDING runs that wait for their turn: a walk from one to the next.

    They come in order, and those whose runs all wait for something else are left out.
    Parameters: the principal after which to begin, if `beyond` says so; how many at the most;
    those of the columns.
    """
    ready = "q.status = 'PENDING' AND q.waits_for = ''"
    least = f"SELECT MIN(q.principal) FROM gw_runs q WHERE {ready} {beyond}"
    following = (
        f"SELECT MIN(q.principal) FROM gw_runs q WHERE {ready} AND q.principal > who.principal"
    )
    return f"""
        WITH RECURSIVE who (principal, place) AS (
            SELECT ({least}), 1
            UNION ALL
            SELECT ({following}), who.place + 1 FROM who
            WHERE who.principal IS NOT NULL AND who.place < ?
        )
        SELECT {columns} FROM who WHERE who.principal IS NOT NULL
    """


QUEUED_PRINCIPALS = _queued("", "who.principal")

# In the order of their numbers, by an index that holds no others' and none that has begun.
_DUE_OF = f"""
    FROM gw_runs r CROSS JOIN gw_threads t
    WHERE t.thread_id = r.thread_id AND r.principal = {{principal}} AND {IS_DUE}
"""
_FIRST_DUE = (
    f"(SELECT r.number {_DUE_OF.format(principal='who.principal')} ORDER BY r.number LIMIT 1)"
)

#: Parameters: how many principals at the most, the time.
FIRST_DUE = _queued("", f"who.principal, {_FIRST_DUE}")
#: Parameters: the principal after which to begin, and those.
FIRST_DUE_AFTER = _queued("AND q.principal > ?", f"who.principal, {_FIRST_DUE}")

#: The next run of a principal that may start. Parameters: principal, the time, the number of
#: the one before.
NEXT_DUE = f"""
    SELECT r.run_id, r.number {_DUE_OF.format(principal="?")} AND r.number > ?
    ORDER BY r.number LIMIT 1
"""
LOCKED_NEXT_DUE = locked(NEXT_DUE, "r, t", skip=True)

RUNNING_BY_PRINCIPAL = """
    SELECT principal, COUNT(*) FROM gw_runs WHERE status = 'RUNNING' GROUP BY principal
"""

TURNS = "SELECT principal, served FROM gw_turns"
#: Parameters: the principal, the time.
NOTE_TURN = """
    INSERT INTO gw_turns (principal, served) VALUES (?, ?)
    ON CONFLICT (principal) DO UPDATE SET served = excluded.served
"""
#: Parameters: the time.
FORGET_TURNS = "DELETE FROM gw_turns WHERE served < ?"

#: For how long it is kept who was served, in microseconds.
TURNS_KEPT = 60 * 60 * 1_000_000

#: Parameters: the limit.
COUNT_QUEUED = """
    SELECT COUNT(*) FROM (SELECT 1 FROM gw_runs WHERE status = 'PENDING' LIMIT ?) AS queued
"""
#: Parameters: the principal, the limit.
COUNT_QUEUED_OF = """
    SELECT COUNT(*) FROM (
        SELECT 1 FROM gw_runs WHERE status = 'PENDING' AND principal = ? LIMIT ?
    ) AS queued
"""
COUNT_RUNNING_OF = "SELECT COUNT(*) FROM gw_runs WHERE status = 'RUNNING' AND principal = ?"

#: Whether nobody else decides at this moment on how many runs of a principal are at work; until
#: the end of the transaction nobody else does. It waits for nobody, so that nobody ever waits for
#: somebody who waits for him. Parameter: the principal; the number is Graphwire's own.
DECIDES_ALONE = "SELECT pg_try_advisory_xact_lock(hashtextextended(?, 4712))"

Execute = Callable[[str, Parameters], Cursor]


def at_work(execute: Execute) -> dict[str, int]:
    """Returns how many runs of each principal are RUNNING."""
    return dict(execute(RUNNING_BY_PRINCIPAL, ()).fetchall())


def waiting_principals(
    execute: Execute, *, now: int, after: str, full: Collection[str] = ()
) -> dict[str, int]:
    """Returns who has a run that may start, with the number of the first one.

    Args:
        execute: Runs a statement.
        now: The time.
        after: Where more than `MOST_PRINCIPALS` have such runs: those that follow on this one.
        full: Who may have no more runs at work.
    """
    found: dict[str, int] = {}
    # Those whose runs all stand behind others of their threads take up no place.
    for principal, number in _walk(execute, now=now, after=after):
        if number is not None and principal not in full:
            found[principal] = number
            if len(found) == MOST_PRINCIPALS:
                break
    return found


def _walk(execute: Execute, *, now: int, after: str) -> Iterator[tuple[str, int | None]]:
    """Yields each principal in the queue once, from one on, with his first run that may start."""
    place, turned = after, False
    while True:
        if place:
            page = execute(FIRST_DUE_AFTER, (place, MOST_PRINCIPALS, now)).fetchall()
        else:
            page = execute(FIRST_DUE, (MOST_PRINCIPALS, now)).fetchall()
        for principal, number in page:
            if turned and principal > after:
                return
            yield principal, number
        if len(page) == MOST_PRINCIPALS:
            place = page[-1][0]
        elif after and not turned:
            place, turned = "", True
        else:
            return


def may_run(execute: Execute, principal: str, *, most: int, locks: bool) -> bool | None:
    """Returns whether less than `most` runs of a principal are RUNNING.

    With `locks` that stays so until others see what this transaction does; None says that it
    can't be known now, since somebody else decides on it.
    """
    # Nobody is kept from deciding by somebody who can't begin anyway.
    if _running(execute, principal) >= most:
        return False
    if not locks:
        return True
    if not execute(DECIDES_ALONE, (principal,)).fetchone()[0]:
        return None
    # What others have begun meanwhile is seen only now.
    return _running(execute, principal) < most


def _running(execute: Execute, principal: str) -> int:
    return int(execute(COUNT_RUNNING_OF, (principal,)).fetchone()[0])


def next_in_turn(
    execute: Execute,
    waiting: dict[str, int],
    running: Mapping[str, int],
    *,
    now: int,
    most: int,
    locks: bool,
    left: set[str],
) -> Iterator[tuple[str, str]]:
    """Yields the runs that may start, (principal, run_id), in the order in which to serve them.

    Args:
        execute: Runs a statement.
        waiting: As `waiting_principals`.
        running: As `at_work`.
        now: The time.
        most: How many of one principal may be at work; 0: no limit.
        locks: Whether to lock them; those that are locked by others are passed over.
        left: Gets who is passed over since somebody else decides on how many of his runs are at
            work.
    """
    statement = LOCKED_NEXT_DUE if locks else NEXT_DUE
    served = dict(execute(TURNS, ()).fetchall())
    # What is at work, when it was served last, the age of the run that is next, whose it is,
    # and the run before it.
    turns = [
        (running.get(who, 0), served.get(who, 0), number, who, number - 1)
        for who, number in waiting.items()
    ]
    heapq.heapify(turns)
    decided: set[str] = set()
    place = 0
    while turns:
        at_work, last, number, principal, before = heapq.heappop(turns)
        if most and at_work >= most:
            continue
        if most and locks and principal not in decided:
            if not execute(DECIDES_ALONE, (principal,)).fetchone()[0]:
                left.add(principal)
                continue
            decided.add(principal)
            # What others have begun meanwhile is seen only now.
            at_work = _running(execute, principal)
            heapq.heappush(turns, (at_work, last, number, principal, before))
            continue
        row = execute(statement, (principal, now, before)).fetchone()
        if row is not None:
            yield principal, row[0]
            heapq.heappush(turns, (at_work + 1, now + place, row[1], principal, row[1]))
            place += 1
