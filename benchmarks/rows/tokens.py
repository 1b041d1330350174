"""One long answer, token by token."""

from __future__ import annotations

from statistics import median

from benchmarks.bench import PROJECT, Bench, Served
from benchmarks.figures import Figure, Result, Row, percentile, ratio
from benchmarks.report import times_table

#: Seconds between tokens where they come as from a model, a fast one.
_INTERVAL = 0.002


def measure(bench: Bench) -> Result:
    """Streams the answer as fast as it comes, in turns with the same in process; then slowly."""
    tokens = bench.effort.tokens
    with bench.served("tokens.db", PROJECT) as served, bench.in_process() as alone:
        sides = {"ours": served.client, "in process": alone}
        for side in sides.values():
            side.measure("speak", tokens=tokens)  # to warm up
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(bench.effort.rounds):
            for name, side in sides.items():
                rates[name].append(side.measure("speak", tokens=tokens))
        overhead = {
            "full speed": max(_overhead(served, tokens, 0) for _ in range(bench.effort.rounds)),
            "2 ms apart": _overhead(served, tokens, _INTERVAL),
        }
        delays = {
            f"{name}, {pace}": side.measure("delays", tokens=tokens, interval=interval)
            for pace, interval in (("2 ms apart", _INTERVAL), ("full speed", 0))
            for name, side in sides.items()
        }
    ours, others = rates.values()
    delay = percentile(delays["ours, 2 ms apart"], 99)
    figures = [
        Figure(
            f"{tokens:,} tokens: tokens/s / in process",
            ratio(ours, others),
            0.5,
            "×",
            at_least=True,
        ),
        *(
            Figure(f"bytes on the wire besides the text, {pace}", size, 40, "bytes/token")
            for pace, size in overhead.items()
        ),
        Figure("spoken to received, p99, tokens 2 ms apart", delay * 1e3, 20, "ms"),
    ]
    speeds = (
        f"{median(ours):,.0f} tokens/s; in process {median(others):,.0f}: medians of {len(ours)}"
    )
    return Result(figures, [speeds, times_table("From spoken to received", delays)])


def _overhead(served: Served, tokens: int, interval: float) -> float:
    size: float = served.client.measure("overhead", tokens=tokens, interval=interval)
    return size


ROW = Row(
    name="tokens",
    title="One long answer, token by token",
    how="Tokens of 5 bytes from a scripted model that lets the event loop turn before each. Ours: "
    "StreamRun, stream mode MESSAGES, call to the end of the stream. In process: graph.astream, "
    "stream_mode messages, no checkpointer. Bytes: all that the server sends on the connection, "
    "HTTP/2 included and TCP not, counted by a proxy; the most of several rounds. "
    "Delays: from the model to the client.",
    measure=measure,
)
