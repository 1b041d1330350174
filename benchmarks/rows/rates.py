"""Runs per second, over gRPC and in process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median

from rich.table import Table

from benchmarks.bench import Bench, Effort
from benchmarks.figures import Figure, Result, Row, ratio
from benchmarks.report import titled_table

AT_ONCE = (1, 16)

Rates = Mapping[tuple[str, int], Sequence[float]]


def measure(bench: Bench) -> Result:
    """Lets the variants take turns."""
    with (
        bench.served("rates.db") as served,
        bench.bare() as bare,
        bench.in_process() as alone,
    ):
        variants = {
            "ours": partial(served.client.measure, "rate"),
            "bare": partial(bare.measure, "rate"),
            "plain": partial(alone.measure, "plain"),
            "saved": partial(alone.measure, "saved"),
        }
        rates = _take_turns(variants, bench.effort)

    figures = [
        Figure(what, ratio(rates["ours", at_once], rates[others, at_once]), limit, "×", True)
        for what, at_once, others, limit in (
            ("16 at once / AsyncSqliteSaver", 16, "saved", 2),
            ("1 at a time / AsyncSqliteSaver", 1, "saved", 1.5),
            ("16 at once / no checkpointer", 16, "plain", 0.6),
        )
    ]
    return Result(figures, [_table(rates)])


def _take_turns(variants: Mapping[str, Callable[..., float]], effort: Effort) -> Rates:
    """Returns the runs per second of each round, by variant and number at once."""
    for rate in variants.values():
        rate(at_once=max(AT_ONCE), seconds=min(effort.seconds, 1))  # to warm up
    rates = defaultdict(list)
    for _ in range(effort.rounds):
        for at_once in AT_ONCE:
            for name, rate in variants.items():
                rates[name, at_once].append(rate(at_once=at_once, seconds=effort.seconds))
    return rates


def _table(rates: Rates) -> Table:
    rounds = len(rates["ours", 1])
    table = titled_table(f"Runs per second: median (least to most) of {rounds}")
    table.add_column("at once", no_wrap=True)
    for name in ("ours", "gRPC and LangGraph alone", "no checkpointer", "AsyncSqliteSaver"):
        table.add_column(name, justify="right", no_wrap=True)
    for at_once in AT_ONCE:
        values = (rates[name, at_once] for name in ("ours", "bare", "plain", "saved"))
        table.add_row(str(at_once), *(_spread(rounds) for rounds in values))
    return table


def _spread(rates: Sequence[float]) -> str:
    return f"{median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})"


ROW = Row(
    name="rates",
    title="The how-to's graph to its end, on a new thread each",
    how="ours: StreamRun, stream mode UPDATES. In process: graph.astream, stream_mode updates, "
    "without a checkpointer, and with AsyncSqliteSaver and durability sync. gRPC and LangGraph "
    "alone: a server that streams graph.astream without a checkpointer, and keeps nothing.",
    measure=measure,
)
