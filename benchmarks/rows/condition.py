"""What a condition that is false costs a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from rich.table import Table

from benchmarks.bench import Bench
from benchmarks.conditions import LAST
from benchmarks.figures import Figure, Result, Row, ratio
from benchmarks.report import titled_table

AT_ONCE = (1, 16)


def measure(bench: Bench) -> Result:
    """Lets runs without a breakpoint, and with one that never holds, take turns."""
    conditions = {"none": "", "false": LAST}
    rates: dict[tuple[str, int], list[float]] = defaultdict(list)
    with bench.served("condition.db") as served:

        def rate(name: str, at_once: int, seconds: float) -> float:
            runs: float = served.client.measure(
                "rate_with_condition", condition=conditions[name], at_once=at_once, seconds=seconds
            )
            return runs

        for name in conditions:
            rate(name, max(AT_ONCE), min(bench.effort.seconds, 1))  # to warm up
        for _ in range(bench.effort.rounds):
            for at_once in AT_ONCE:
                for name in conditions:
                    rates[name, at_once].append(rate(name, at_once, bench.effort.seconds))
    figures = [
        Figure(
            f"{at_once} at once, a false condition / none",
            ratio(rates["false", at_once], rates["none", at_once]),
            0.9,
            "×",
            at_least=True,
        )
        for at_once in AT_ONCE[::-1]
    ]
    return Result(figures, [_table(rates)])


def _table(rates: Mapping[tuple[str, int], Sequence[float]]) -> Table:
    table = titled_table("Runs per second: median")
    for name in ("at once", "no breakpoint", "a false condition"):
        table.add_column(name, justify="right", no_wrap=True)
    for at_once in AT_ONCE:
        cells = (f"{median(rates[name, at_once]):.0f}" for name in ("none", "false"))
        table.add_row(str(at_once), *cells)
    return table


ROW = Row(
    name="condition",
    title="The how-to's graph to its end, with a breakpoint whose condition is false",
    how="StreamRun, stream mode UPDATES, on a new thread each; without a breakpoint, and with one "
    f"before the node that runs tools: {LAST}. It comes with each run, and is asked once.",
    measure=measure,
)
