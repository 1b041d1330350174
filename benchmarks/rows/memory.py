"""Memory of a server whose database has very many paused threads."""

from __future__ import annotations

from benchmarks.bench import Bench, Served
from benchmarks.figures import Figure, Result, Row
from benchmarks.machine import resident
from benchmarks.paused.database import paused_threads
from benchmarks.report import titled_table

_THREADS = 100
_PAGES = 20


def measure(bench: Bench) -> Result:
    """Has two servers do the same, one with the threads and one without."""
    count = min(_THREADS, bench.effort.samples)
    full_database = paused_threads(bench)
    with bench.served("empty.db") as served:
        empty = _sizes(served, count)
    with bench.served(full_database) as served:
        assert served.client.measure("count_paused") >= bench.effort.threads
        full = _sizes(served, count)
    table = titled_table("Resident memory of the server, MiB")
    table.add_column("")
    for name in ("empty", "full", "ratio"):
        table.add_column(name, justify="right")
    for name in empty:
        mebibytes = (f"{sizes[name] / (1 << 20):.1f}" for sizes in (empty, full))
        table.add_row(name, *mebibytes, f"{full[name] / empty[name]:.3f}")
    largest = max(full[name] / empty[name] for name in empty)
    what = f"RSS with {bench.effort.threads:,} paused threads / empty"
    return Result([Figure(what, largest, 1.1, "×")], [table])


def _sizes(served: Served, count: int) -> dict[str, int]:
    """Returns the server's resident bytes at moments, by their names."""
    sizes = {"after the start": resident(served.server.pid)}
    thread_ids = served.client.measure("pause", count=count, at_once=16)
    served.client.measure("list_pages", samples=_PAGES, page_size=50)
    served.client.measure("resume", thread_ids=thread_ids)
    sizes["after work"] = resident(served.server.pid)
    return sizes


ROW = Row(
    name="memory",
    title="Memory of a server with very many paused threads, against an empty one",
    how=f"Resident memory, after the start and after both did the same: {_THREADS} threads paused, "
    f"16 at once, {_PAGES} pages of 50 paused threads listed, the {_THREADS} resumed one by one. "
    "The worse of the two ratios counts.",
    measure=measure,
)
