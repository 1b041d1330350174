"""Measures servers while they are at work."""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict

import grpc
from graphwire import AsyncClient
from graphwire.v1 import runs_pb2_grpc

from tests.faults.census import census, descriptors_of, rss_bytes, threads_of
from tests.soak.servers import Servers
from tests.soak.trend import Bound, Point, Trend, trend

_MIB = 1 << 20

#: How much each figure may grow over the last two thirds.
BOUNDS = {
    "rss MiB": Bound(share=0.08, least=12),
    "file descriptors": Bound(share=0.3, least=10),
    "threads": Bound(share=0.2, least=8),
    "tasks": Bound(share=0.5, least=15),
    "calls": Bound(share=0.5, least=15),
    # There is as much as the runs of the last minute have left, so more when the machine is faster.
    "database MiB": Bound(share=0.6, least=16),
    "latency ms": Bound(share=math.inf, least=0),  # as much a matter of the machine's other work
    "latency / machine": Bound(share=1.0, least=5),
}


class Sampler:
    """Measures servers again and again.

    Attributes:
        points: The measurements, by what was measured and on which server.
    """

    def __init__(self, servers: Servers, clients: list[AsyncClient]) -> None:
        """Takes the servers and a client of each."""
        self.points: dict[str, list[Point]] = defaultdict(list)
        self._servers = servers
        self._clients = clients
        self._began = time.monotonic()

    async def sample_until(self, stop: asyncio.Event, *, seconds: float) -> None:
        """Measures every so many seconds, until it is told to stop."""
        while not stop.is_set():
            await self.sample()
            try:
                async with asyncio.timeout(seconds):
                    await stop.wait()
            except TimeoutError:
                continue

    async def sample(self) -> None:
        """Measures once."""
        self._note("database MiB", self._servers.database_bytes() / _MIB)
        for number, (process, client) in enumerate(
            zip(self._servers.processes, self._clients, strict=True)
        ):
            where = f" ({number})" if len(self._clients) > 1 else ""
            machine = await asyncio.to_thread(_spin_seconds)
            begun = time.perf_counter()
            await client.runs.run(None, "counted", input={"log": [], "count": 1}, timeout=120)
            latency = time.perf_counter() - begun
            self._note("latency ms" + where, latency * 1000)
            self._note("latency / machine" + where, latency / machine)
            for name, count in (await asyncio.to_thread(_census, process.address)).items():
                if name in BOUNDS:
                    self._note(name + where, count)
            pid = process.pid
            self._note("rss MiB" + where, rss_bytes(pid) / _MIB)
            self._note("file descriptors" + where, descriptors_of(pid))
            self._note("threads" + where, threads_of(pid))

    def trends(self) -> list[Trend]:
        """Returns the trends of all figures; none where the time was too short."""
        found = [
            trend(name, points, BOUNDS[name.partition(" (")[0]])
            for name, points in sorted(self.points.items())
        ]
        return [each for each in found if each is not None]

    def summary(self) -> list[str]:
        """Returns a line for each figure: its first, its highest and its last value."""
        return [
            f"{name}: {points[0][1]:,.1f} at first, {max(v for _, v in points):,.1f} at most, "
            f"{points[-1][1]:,.1f} at last"
            for name, points in sorted(self.points.items())
        ]

    def _note(self, name: str, value: float) -> None:
        self.points[name].append((time.monotonic() - self._began, value))


def _spin_seconds() -> float:
    """Returns how long a little work takes on this machine at present, however busy it is."""
    begun = time.perf_counter()
    sum(range(200_000))
    return time.perf_counter() - begun


def _census(address: str) -> dict[str, int]:
    with grpc.insecure_channel(address) as channel:
        return census(runs_pb2_grpc.RunsStub(channel))
