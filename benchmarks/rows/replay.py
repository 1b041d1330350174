"""Replay of a run's stored events."""

from __future__ import annotations

from statistics import median

from benchmarks.bench import PROJECT, Bench
from benchmarks.figures import Figure, Result, Row


def measure(bench: Bench) -> Result:
    """Streams the events of a run that is over, several times."""
    count = bench.effort.events
    with bench.served("replay.db", PROJECT) as served:
        run_id = served.client.measure("write_events", count=count)
        rates = [served.client.measure("replay", run_id=run_id) for _ in range(bench.effort.rounds)]
    spread = f"{len(rates)} times, {min(rates):,.0f} to {max(rates):,.0f} events/s"
    what = f"JoinRun of {count:,} events, median"
    return Result([Figure(what, median(rates), 10_000, "events/s", at_least=True)], [spread])


ROW = Row(
    name="replay",
    title="Replay of stored events by JoinRun",
    how="One node writes custom events of about 60 bytes of JSON; the run's stream mode is CUSTOM. "
    "When it is over, JoinRun streams them from the first; each sequence is checked.",
    measure=measure,
)
