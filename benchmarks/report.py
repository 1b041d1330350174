"""The tables: what was measured on, what came out, and whether that is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from benchmarks.figures import Figure, Result, Row, percentile

FLUSH = "a small append and fsync, where the databases are"
ALL_ROWS = (
    "graphwire serve in a process, a client in another: grpc.aio stubs, one channel, loopback; "
    "what runs in process is in a third. SQLite files with synchronous=FULL, durability SYNC, "
    "uvloop everywhere."
)


def facts_table(machine: str, versions: str, flushes: Sequence[float]) -> Table:
    """Returns what was measured on; `flushes` are in seconds."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("machine", machine)
    table.add_row("versions", versions)
    table.add_row("disk flush", f"{flush(flushes)} ({FLUSH})")
    table.add_row("all rows", ALL_ROWS)
    return table


def flush(times: Sequence[float]) -> str:
    """Returns percentiles of flush times, which are in seconds."""
    p50, p99 = (percentile(times, percent) * 1e3 for percent in (50, 99))
    return f"{p50:.2f} ms p50, {p99:.2f} ms p99"


def row_report(row: Row, result: Result, seconds: float) -> RenderableType:
    """Returns how a row was measured, and its details."""
    heading = Text.assemble((row.title, "bold"), f"  [{row.name}, {seconds:.0f} s]")
    parts = [Text(row.how), *result.details]
    return Group("", heading, *(Padding(part, (0, 0, 0, 2)) for part in parts))


def figures_table(results: Mapping[str, Result | str]) -> Table:
    """Returns all figures by row; for a row that could not be measured, why."""
    table = titled_table("")
    table.add_column("row", no_wrap=True)
    table.add_column("what")
    for name in ("measured", "must reach"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name, result in results.items():
        if isinstance(result, str):
            table.add_row(name, f"not measured: {result}", "", "", "NOT")
            continue
        for figure in result.figures:
            sign = "≥" if figure.at_least else "≤"
            table.add_row(
                name,
                figure.what,
                f"{figure.value:,.{_digits(figure)}f}{_unit(figure)}",
                f"{sign} {figure.limit:,g}{_unit(figure)}",
                "ok" if figure.reached else "NOT",
            )
            name = ""
    return table


def times_table(title: str, times: Mapping[str, Sequence[float]]) -> Table:
    """Returns percentiles in milliseconds of times in seconds, by what they are times of."""
    table = titled_table(title)
    table.add_column("milliseconds")
    for name in ("p50", "p99", "samples"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, values in times.items():
        cells = (f"{percentile(values, percent) * 1e3:.2f}" for percent in (50, 99))
        table.add_row(name, *cells, str(len(values)))
    return table


def titled_table(title: str) -> Table:
    """Returns an empty table in the report's style."""
    return Table(
        box=SIMPLE_HEAD,
        title=title or None,
        title_justify="left",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def _digits(figure: Figure) -> int:
    return 2 if figure.limit < 10 else 1 if figure.limit < 100 else 0


def _unit(figure: Figure) -> str:
    return "×" if figure.unit == "×" else f" {figure.unit}"
