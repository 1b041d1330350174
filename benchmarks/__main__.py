"""Measures how fast Graphwire is: `python -m benchmarks`, from the repository's folder.

Prints for each row how it is measured, and at the end every figure with what it must reach.
Ends with 1 if something could not be measured; a figure that is not reached is no error.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from benchmarks import machine, report
from benchmarks.bench import Bench, Effort
from benchmarks.figures import Result
from benchmarks.limits import time_limit
from benchmarks.paused.database import COPIES
from benchmarks.rows import ROWS

#: The longest that one row may take, in seconds.
_ROW_LIMIT = 300

_QUICK = Effort(
    seconds=0.2,
    rounds=1,
    samples=10,
    warm_up=2,
    threads=COPIES,
    steps=20,
    events=500,
    readers=20,
    slow_events=500,
    tokens=50,
)


def main() -> None:
    """Measures, and prints the tables."""
    options = parse_options()
    # So that the servers are stopped, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = Console(highlight=False)
    # Not in the system's folder for temporary files, which may be in memory.
    options.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=options.folder) as folder:
        flushes = machine.flush_times(Path(folder))
        console.print(report.facts_table(machine.machine(), machine.versions(), flushes))
        bench = Bench(
            options.effort,
            folder=Path(folder).resolve(),
            kept=options.folder.resolve() / "paused-threads",
            rebuild=options.rebuild,
        )
        results = measure(bench, options.only, options.limit, console)
        flushes = machine.flush_times(Path(folder))
    console.print("", report.figures_table(results))
    console.print(f"At the end: {machine.load()}, disk flush {report.flush(flushes)}")
    if any(isinstance(result, str) for result in results.values()):
        sys.exit(1)


def measure(
    bench: Bench, names: Sequence[str], limit: float, console: Console
) -> dict[str, Result | str]:
    """Measures rows within so many seconds; returns their results, or why there is none."""
    results: dict[str, Result | str] = {}
    deadline = time.monotonic() + limit
    for name in names:
        row, start = ROWS[name], time.monotonic()
        if start >= deadline:
            results[name] = "no time was left"
            continue
        try:
            with time_limit(min(_ROW_LIMIT, deadline - start)), console.status(row.title):
                result = row.measure(bench)
        except Exception as error:  # noqa: BLE001  # the other rows are measured all the same
            traceback.print_exc()
            results[name] = f"{type(error).__name__}: {error}"
        else:
            results[name] = result
            console.print(report.row_report(row, result, time.monotonic() - start))
    return results


def parse_options() -> argparse.Namespace:
    """Returns the options of the command line; exits with help or an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", type=_rows, default=list(ROWS), help=f"rows, with commas: {','.join(ROWS)}"
    )
    usual = Effort()
    add = parser.add_argument
    add("--seconds", type=float, default=usual.seconds, help="for each rate (default: %(default)s)")
    add("--rounds", type=int, default=usual.rounds, help="to take medians of (%(default)s)")
    add("--samples", type=int, default=usual.samples, help="of each time (%(default)s)")
    add(
        "--threads",
        type=_hundreds,
        default=usual.threads,
        help="paused in the database of memory, listing and resume: hundreds (%(default)s)",
    )
    add("--rebuild", action="store_true", help="make that database anew")
    add("--quick", action="store_true", help="a little of everything, to see that it works")
    add("--limit", type=float, default=900, help="stop after so many seconds (%(default)s)")
    add("--folder", type=Path, default="build", help="where the databases go (%(default)s)")
    options = parser.parse_args()
    options.effort = Effort(
        seconds=options.seconds,
        rounds=options.rounds,
        samples=options.samples,
        threads=options.threads,
    )
    if options.quick:
        options.effort = _QUICK
    return options


def _rows(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in ROWS]:
        raise argparse.ArgumentTypeError(f"no such row: {', '.join(unknown)}")
    return names


def _hundreds(text: str) -> int:
    threads = int(text)
    if threads <= 0 or threads % COPIES:
        raise argparse.ArgumentTypeError(f"must be a multiple of {COPIES}: {text}")
    return threads


if __name__ == "__main__":
    main()
