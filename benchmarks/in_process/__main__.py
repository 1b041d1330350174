"""Started as `python -m benchmarks.in_process DATABASE`."""

from __future__ import annotations

import sys
from functools import partial

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from benchmarks.bench import PROJECT
from benchmarks.in_process import weather
from benchmarks.workers import run_worker, serve_measurements
from benchmarks.workload import rate
from tests.servers import WEATHER


async def main(database: str) -> None:
    """Measures what it is told to: `plain` has no checkpointer, `saved` AsyncSqliteSaver."""
    sys.path += [str(WEATHER), str(PROJECT)]
    from weather_agent.graph import graph as plain

    from benchmarks.in_process import tokens

    async with AsyncSqliteSaver.from_conn_string(database) as saver:
        saved = plain.builder.compile(checkpointer=saver)
        await serve_measurements(
            {
                "plain": partial(rate, partial(weather.run, plain)),
                "saved": partial(rate, partial(weather.run, saved, durability="sync")),
                "speak": tokens.speak,
                "delays": tokens.delays,
            }
        )


if __name__ == "__main__":
    run_worker(main(sys.argv[1]))
