"""Resume of a paused thread among very many, after a restart."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Result, Row, percentile
from benchmarks.paused.database import paused_threads
from benchmarks.report import times_table


def measure(bench: Bench) -> Result:
    """Resumes threads chosen at random from all, one at a time."""
    database = paused_threads(bench)
    samples = min(bench.effort.samples, bench.effort.threads // 2)
    with bench.served(database) as served:
        thread_ids = served.client.measure("paused_threads", count=samples)
        served.server.stop()
        served.server.start()
        times = served.client.measure("resume", thread_ids=thread_ids)
    what = f"call to task_started, p50, {bench.effort.threads:,} threads"
    table = {"the first after the restart": times[:1], "all": times}
    return Result(
        [Figure(what, percentile(times, 50) * 1e3, 12, "ms")],
        [times_table("From the resume to task_started", table)],
    )


ROW = Row(
    name="resume",
    title="Resume of a paused thread after a restart, among very many",
    how="StreamRun with an empty resume, stream mode TASKS (inherited), one at a time, on threads "
    "chosen at random; the server was stopped and started before the first.",
    measure=measure,
)
