"""Started as `python -m benchmarks.over_grpc HOST:PORT`."""

from __future__ import annotations

import sys
from functools import partial

import grpc

from benchmarks.over_grpc import events, growing, readers, threads, tokens, weather
from benchmarks.over_grpc.calls import Stubs
from benchmarks.workers import run_worker, serve_measurements
from benchmarks.workload import rate


async def main(address: str) -> None:
    """Measures what it is told to, on one channel to the server."""
    async with grpc.aio.insecure_channel(address) as channel:
        stubs = Stubs.on(channel)
        slow_readers = readers.SlowReaders(address)
        await serve_measurements(
            {
                "rate": partial(rate, partial(weather.run, stubs)),
                "rate_with_condition": partial(weather.rate_with_condition, stubs),
                "first_events": partial(weather.first_events, stubs),
                "pause": partial(weather.pause, stubs),
                "resume": partial(weather.resume, stubs),
                "count_paused": partial(threads.count_paused, stubs),
                "paused_threads": partial(threads.paused_threads, stubs),
                "list_pages": partial(threads.list_pages, stubs),
                "grow": partial(growing.grow, stubs),
                "read_state": partial(growing.read_state, stubs),
                "write_events": partial(events.write_events, stubs),
                "replay": partial(events.replay, stubs),
                "stop_reading": slow_readers.stop_reading,
                "read_on": slow_readers.read_on,
                "speak": partial(tokens.speak, stubs),
                "delays": partial(tokens.delays, stubs),
                "overhead": partial(tokens.overhead, address),
            }
        )


if __name__ == "__main__":
    run_worker(main(sys.argv[1]))
