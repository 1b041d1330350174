"""Storage of a thread whose state grows by one message a step."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import PROJECT, Bench
from benchmarks.figures import Figure, Result, Row
from benchmarks.report import times_table, titled_table
from benchmarks.sqlite_size import Size, size_of
from benchmarks.workers import Worker


def measure(bench: Bench) -> Result:
    """Runs threads of several lengths, and compares what each has added to the database."""
    steps = bench.effort.steps
    # Windows of a tenth of the steps, so that a full copy of the state now and then counts
    # as what it is: now and then.
    early, late = (steps // 20, 3 * steps // 20), (steps - steps // 10, steps)
    database = bench.folder / "growth.db"
    with bench.served(database, PROJECT) as served:
        served.client.measure("grow", steps=1)  # for what only the first run makes
        added = {length: _added(served.client, database, length) for length in (*early, *late)}
        thread_id = served.client.measure("grow", steps=steps)
        reads = served.client.measure(
            "read_state", thread_id=thread_id, steps=steps, samples=bench.effort.warm_up
        )

    table = titled_table("Bytes in the database")
    for name in ("", "content", "pages"):
        table.add_column(name, justify="right" if name else "left")
    for first, last in (early, late):
        each = [(b - a) / (last - first) for a, b in zip(added[first], added[last], strict=True)]
        table.add_row(f"a step, {first} to {last}", *(f"{size:,.0f}" for size in each))
    table.add_row(f"a thread of {steps} steps", *(f"{size:,}" for size in added[steps]))

    def content_per_step(window: tuple[int, int]) -> float:
        first, last = window
        return (added[last].content - added[first].content) / (last - first)

    ratio = content_per_step(late) / content_per_step(early)
    what = f"bytes per step at step {steps} / at step {steps // 10}"
    times = times_table("", {f"GetThreadState after {steps} steps": reads})
    return Result([Figure(what, ratio, 2, "×")], [table, times])


def _added(client: Worker, database: Path, steps: int) -> Size:
    """Returns what a new thread of so many steps adds to the database."""
    before = size_of(database)
    client.measure("grow", steps=steps)
    after = size_of(database)
    return Size(after.content - before.content, after.pages - before.pages)


ROW = Row(
    name="growth",
    title="Storage of a thread whose state grows by one message a step",
    how="StreamRun, stream mode UPDATES, messages of 200 characters. Bytes per step are the "
    "difference between two threads, one a tenth of the steps longer. Content, which counts, is "
    "the length of all values in all tables, events included and indexes not; pages are what the "
    "file grows by.",
    measure=measure,
)
