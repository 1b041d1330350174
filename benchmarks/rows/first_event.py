"""From the call to the first event of the graph itself."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Result, Row, percentile
from benchmarks.report import times_table


def measure(bench: Bench) -> Result:
    """Makes one call after another on a server with nothing else to do."""
    with bench.served("first_event.db") as served:
        served.client.measure("first_events", samples=bench.effort.warm_up)
        times = served.client.measure("first_events", samples=bench.effort.samples)
    started = times["task_started"]
    figures = [
        Figure("call to task_started, p50", percentile(started, 50) * 1e3, 8, "ms"),
        Figure("call to task_started, p99", percentile(started, 99) * 1e3, 25, "ms"),
    ]
    return Result(figures, [times_table("From the call to the event", times)])


ROW = Row(
    name="first_event",
    title="Call to the first task_started, idle server",
    how="StreamRun on a new thread, stream mode TASKS, each call after the end of the last.",
    measure=measure,
)
