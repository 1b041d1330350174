"""Memory of a server with many readers that do not read."""

from __future__ import annotations

from benchmarks.bench import PROJECT, Bench
from benchmarks.figures import Figure, Result, Row
from benchmarks.machine import resident

#: How many times a run is replayed before the memory is read for the first time.
_WARM_UP = 3


def measure(bench: Bench) -> Result:
    """Reads the memory without them and with them, then has them read everything."""
    readers, events = bench.effort.readers, bench.effort.slow_events
    with bench.served("readers.db", PROJECT) as served:
        run_id = served.client.measure("write_events", count=events)
        for _ in range(_WARM_UP):
            served.client.measure("replay", run_id=run_id)
        before = resident(served.server.pid)
        served.client.measure("stop_reading", run_id=run_id, count=readers)
        stalled = resident(served.server.pid)
        read = served.client.measure("read_on")
    # Its own first and last event besides.
    assert read == [events + 2] * readers
    each = (stalled - before) / readers / 1024
    what = f"memory of each of {readers:,} readers"
    total = f"{before / (1 << 20):.0f} MiB without readers, {stalled / (1 << 20):.0f} MiB with them"
    return Result([Figure(what, each, 150, "KiB")], [total])


ROW = Row(
    name="readers",
    title="Memory of a server with many readers that have stopped reading",
    how="One run has written custom events of about 60 bytes of JSON. Readers on 10 connections "
    "join it, read one event each, and stop; 3 seconds later the server's resident memory is "
    "compared with that before. Then each reads on, and gets every event.",
    measure=measure,
)
