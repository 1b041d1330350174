"""Measures what Graphwire costs: `python -m benchmarks`, from the repository's folder.

The variants take turns, so that what else the machine does meets all of them.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from benchmarks import machine, report
from benchmarks.workers import ENVIRONMENT, Worker
from tests.servers import WEATHER, ServerProcess

AT_ONCE = (1, 16)

Rates = Mapping[tuple[str, int], Sequence[float]]


def main() -> None:
    """Measures, and prints the tables."""
    options = parse_options()
    console = Console(highlight=False)
    with ExitStack() as stack:
        # Not in the system's folder for temporary files, which may be in memory.
        options.folder.mkdir(parents=True, exist_ok=True)
        folder = Path(stack.enter_context(TemporaryDirectory(dir=options.folder)))
        flushes = machine.flush_times(folder)
        console.print(report.facts_table(machine.machine(), machine.versions(), flushes))

        server = ServerProcess(folder / "graphwire.db", WEATHER, env=ENVIRONMENT)
        stack.callback(server.stop)
        client = stack.enter_context(Worker("benchmarks.over_grpc", server.start().address))
        alone = stack.enter_context(Worker("benchmarks.in_process", str(folder / "saver.db")))
        variants = {
            "ours": partial(client.measure, "rate"),
            "plain": partial(alone.measure, "plain"),
            "saved": partial(alone.measure, "saved"),
        }
        with console.status("measuring"):
            rates = measure_rates(variants, options.rounds, options.seconds)
            times = {
                **client.measure("first_events", samples=options.samples),
                "task_started of a resume": client.measure("resume", samples=options.samples),
            }
    console.print(report.rates_table(rates))
    console.print(report.times_table(times))


def measure_rates(
    variants: Mapping[str, Callable[..., float]], rounds: int, seconds: float
) -> Rates:
    """Returns the runs per second of each round, by variant and number at once."""
    for rate in variants.values():
        rate(at_once=max(AT_ONCE), seconds=min(seconds, 1))  # to warm up
    rates = defaultdict(list)
    for _ in range(rounds):
        for at_once in AT_ONCE:
            for name, rate in variants.items():
                rates[name, at_once].append(rate(at_once=at_once, seconds=seconds))
    return rates


def parse_options() -> argparse.Namespace:
    """Returns the options of the command line; exits with help or an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--seconds", type=float, default=3, help="for each rate (default: 3)")
    add("--rounds", type=int, default=5, help="to take medians of (default: 5)")
    add("--samples", type=int, default=300, help="of each time (default: 300)")
    add("--quick", action="store_true", help="a second of everything, to see that it works")
    add("--folder", type=Path, default="build", help="where the databases go (default: build)")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds, options.samples = 0.2, 1, 10
    return options


if __name__ == "__main__":
    main()
