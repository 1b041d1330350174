"""The tables: what was measured, how, and on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median, quantiles

from rich.box import SIMPLE_HEAD
from rich.table import Table

HOW = {
    "graph": "examples/weather_agent without token delay: agent, action, agent",
    "ours": "the server in a process, a client in another, over loopback: StreamRun on "
    "grpc.aio stubs, one channel; durability SYNC, SQLite file, synchronous=FULL",
    "(a)": "graph.astream in process, without a checkpointer",
    "(b)": "graph.astream in process, with AsyncSqliteSaver; durability sync, SQLite file, "
    "synchronous=FULL",
    "all": "on uvloop; a new thread for each run; stream mode updates",
}


def facts_table(machine: str, versions: str, flushes: Sequence[float]) -> Table:
    """Returns what was measured on, and how; `flushes` are in seconds."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    flush = "{:.2f} ms p50, {:.2f} ms p99".format(*_percentiles_ms(flushes))
    table.add_row("machine", machine)
    table.add_row("versions", versions)
    table.add_row("disk flush", f"{flush} (a small append and fsync, where the databases are)")
    for name, text in HOW.items():
        table.add_row(name, text)
    return table


def rates_table(rates: Mapping[tuple[str, int], Sequence[float]]) -> Table:
    """Returns runs per second by variant and number at once: medians, extremes, ratios.

    Args:
        rates: The rate of each round, for the variants `ours`, `plain` and `saved`.
    """
    rounds = max(len(values) for values in rates.values())
    table = _table(f"Runs per second: median (least to most) of {rounds}")
    table.add_column("at once", no_wrap=True)
    for name in ("ours", "(a)", "(b)"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("ours/(a)", "ours/(b)"):
        table.add_column(name, justify="right", no_wrap=True, style="bold")
    for at_once in sorted({at_once for _, at_once in rates}):
        ours, plain, saved = (rates[name, at_once] for name in ("ours", "plain", "saved"))
        ratios = [median(ours) / median(others) for others in (plain, saved)]
        table.add_row(
            str(at_once),
            *(_spread(values) for values in (ours, plain, saved)),
            *(f"{ratio:.2f}" for ratio in ratios),
        )
    return table


def times_table(times: Mapping[str, Sequence[float]]) -> Table:
    """Returns times on an idle server, given in seconds, by what they are the times of."""
    table = _table("Milliseconds on an idle server")
    table.add_column("from the call to")
    for name in ("p50", "p99", "samples"):
        table.add_column(name, justify="right")
    for name, values in times.items():
        table.add_row(name, *(f"{ms:.2f}" for ms in _percentiles_ms(values)), str(len(values)))
    return table


def _table(title: str) -> Table:
    return Table(
        box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0)
    )


def _spread(rates: Sequence[float]) -> str:
    return f"{median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})"


def _percentiles_ms(seconds: Sequence[float]) -> tuple[float, float]:
    """Returns the 50th and the 99th percentile, in milliseconds."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    return cuts[49] * 1000, cuts[98] * 1000
