"""`graphwire db prune`: removes what has had its time, by hand."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from rich.text import Text

from graphwire_server.cli import jsonlines
from graphwire_server.cli.console import fail, out
from graphwire_server.cli.db import location_of
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.tables import show_fields
from graphwire_server.runs import retention
from graphwire_server.runs.clock import now_us
from graphwire_server.runs.retention import Swept
from graphwire_server.storage.interface import StorageError, Transaction
from graphwire_server.storage.maintenance import Maintenance, open_for_maintenance
from graphwire_server.storage.records import Expiry, Extent, ThreadsKept

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)

#: How many rows a dry run looks at in one transaction.
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to remove; times in microseconds since 1970, UTC."""

    threads_before: int | None
    events_before: int | None
    keep_latest: bool

    def expiries(self) -> list[Expiry]:
        """Returns which threads to delete."""
        if self.threads_before is None:
            return []
        kinds = (ThreadsKept.DEFAULT, ThreadsKept.STATELESS)
        return [Expiry(kind, self.threads_before) for kind in kinds]


def prune(
    project: str | None,
    database: str | None,
    *,
    threads_older_than: str | None,
    events_older_than: str | None,
    keep_latest: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Removes what is too old from a database, and says how much that was."""
    now = now_us()
    plan = _Plan(
        threads_before=_before(now, "--threads-older-than", threads_older_than),
        events_before=_before(now, "--events-older-than", events_older_than),
        keep_latest=keep_latest,
    )
    if plan == _Plan(None, None, keep_latest=False):
        fail(
            "nothing to do: give --threads-older-than, --events-older-than or --keep-latest",
            ExitCode.USAGE,
        )
    location = location_of(project, database)
    try:
        with open_for_maintenance(location) as maintenance:
            extent = _counted(maintenance, plan) if dry_run else _removed(maintenance, plan)
    except StorageError as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    numbers = {
        "threads": extent.threads,
        "runs": extent.runs,
        "events": extent.events,
        "checkpoints": extent.checkpoints,
    }
    if as_json:
        jsonlines.write({"database": str(location), "dry_run": dry_run, **numbers})
        return
    done = "would go" if dry_run else "removed"
    show_fields(
        out(),
        [
            ("database", Text(str(location))),
            *((name, Text(f"{number} {done}")) for name, number in numbers.items()),
        ],
    )


def read_duration(option: str, text: str) -> int:
    """Returns how many seconds a text such as 30d, 12h, 90m or 45s means; exits if it is none."""
    match = _DURATION.fullmatch(text)
    if match is None:
        fail(
            f"{option}: {text!r} is no duration: write a number and s, m, h, d or w, such as "
            "30d, 12h or 90m",
            ExitCode.USAGE,
        )
    return int(match[1]) * _UNITS[match[2]]


def _before(now: int, option: str, text: str | None) -> int | None:
    if text is None:
        return None
    return now - read_duration(option, text) * 1_000_000


def _removed(maintenance: Maintenance, plan: _Plan) -> Extent:
    """Removes everything, step by step; returns how much it was."""
    steps: list[Callable[[Transaction], Swept]] = [
        partial(retention.delete_threads, which=which) for which in plan.expiries()
    ]
    if plan.events_before is not None:
        steps.append(partial(retention.trim_events, before=plan.events_before))
    if plan.keep_latest:
        steps.append(retention.prune_checkpoints)
    removed = Extent()
    for step in steps:
        more = True
        while more:
            begun = time.monotonic()
            swept = maintenance.write(step)
            removed += swept.extent
            more = swept.more
            if more:
                # A server that waits to write on the same file must get its turn.
                time.sleep(time.monotonic() - begun)
    return removed


def _counted(maintenance: Maintenance, plan: _Plan) -> Extent:
    """Returns how much `_removed` would remove, and changes nothing."""
    counted = Extent()
    doomed: set[str] = set()

    def count_threads(tx: Transaction, which: Expiry, skip: int) -> tuple[int, Extent]:
        found = tx.expired_threads(which, limit=_AT_ONCE, skip=skip)
        doomed.update(found)
        return len(found), sum(map(tx.extent, found), Extent())

    for which in plan.expiries():
        counted += _pages(maintenance, partial(count_threads, which=which))
    if plan.events_before is not None:
        work = partial(_count_events, before=plan.events_before, without=doomed)
        counted += _pages(maintenance, work)
    if plan.keep_latest:
        counted += _pages(maintenance, partial(_count_checkpoints, without=doomed))
    return counted


def _pages(maintenance: Maintenance, count: Callable[..., tuple[int, Extent]]) -> Extent:
    counted, skip, found = Extent(), 0, _AT_ONCE
    while found == _AT_ONCE:
        found, extent = maintenance.try_out(partial(count, skip=skip))
        counted += extent
        skip += found
    return counted


def _count_events(
    tx: Transaction, before: int, without: Collection[str], skip: int
) -> tuple[int, Extent]:
    found = tx.untrimmed_runs(before=before, limit=_AT_ONCE, skip=skip)
    events = sum(retention.removable(run) for run in found if run.thread_id not in without)
    return len(found), Extent(events=events)


def _count_checkpoints(tx: Transaction, without: Collection[str], skip: int) -> tuple[int, Extent]:
    found = tx.unpruned_threads(limit=_AT_ONCE, skip=skip)
    pruned = (retention.prune_thread(tx, one) for one in found if one not in without)
    return len(found), Extent(checkpoints=sum(pruned))
