"""Lists of threads by status, among very many."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Result, Row, percentile
from benchmarks.paused.database import paused_threads
from benchmarks.report import times_table

_PAGE_SIZE = 50


def measure(bench: Bench) -> Result:
    """Pages through the paused threads, from the newest on."""
    with bench.served(paused_threads(bench)) as served:
        times = served.client.measure(
            "list_pages", samples=bench.effort.samples, page_size=_PAGE_SIZE
        )
    what = f"one page of {_PAGE_SIZE}, p50, {bench.effort.threads:,} threads"
    names = {
        "INTERRUPTED (all threads), each page the next": times["paused"],
        "IDLE (none or few), the first page": times["idle"],
    }
    return Result(
        [Figure(what, percentile(times["paused"], 50) * 1e3, 10, "ms")],
        [times_table("ListThreads by status", names)],
    )


ROW = Row(
    name="listing",
    title="ListThreads by status, one page, among very many",
    how=f"Page size {_PAGE_SIZE}, filter.statuses INTERRUPTED, page after page by next_page_token; "
    "after each a page of the status IDLE. One call at a time.",
    measure=measure,
)
