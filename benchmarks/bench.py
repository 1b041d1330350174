"""What the rows measure with: how much, where, and processes to measure in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.workers import ENVIRONMENT, Worker
from tests.servers import WEATHER, FreshServerProcess

#: The project with the graphs that only the benchmark needs.
PROJECT = Path(__file__).with_name("project")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured; what the table of figures asks for by default.

    Attributes:
        seconds: For each rate.
        rounds: To take medians of.
        samples: Of each time.
        warm_up: Samples that are not counted; also of a time that is only looked at.
        threads: In the database with many paused threads; a multiple of 100.
        steps: Of the thread that grows.
        events: Of the run that is replayed.
        readers: That stop reading, all of one run.
        slow_events: Of that run.
        tokens: Of the long answer.
    """

    seconds: float = 3
    rounds: int = 5
    samples: int = 300
    warm_up: int = 20
    threads: int = 100_000
    steps: int = 500
    events: int = 10_000
    readers: int = 1_000
    slow_events: int = 1_000
    tokens: int = 2_000


@dataclass(frozen=True, slots=True)
class Served:
    """A server with a client, each in a process of its own."""

    server: FreshServerProcess
    client: Worker


@dataclass(frozen=True, slots=True)
class Bench:
    """What the rows measure with.

    Attributes:
        effort: How much is measured.
        folder: For databases that this run alone needs.
        kept: For databases that further runs can use again.
        rebuild: Whether to make those anew in any case.
    """

    effort: Effort
    folder: Path
    kept: Path
    rebuild: bool = False

    @contextmanager
    def served(self, database: Path | str, project: Path = WEATHER) -> Iterator[Served]:
        """Serves a project, on a database in the folder or elsewhere, and a client for it."""
        server = FreshServerProcess(self.folder / database, project, env=ENVIRONMENT)
        try:
            with Worker("benchmarks.over_grpc", server.start().address) as client:
                yield Served(server, client)
        finally:
            server.stop()

    @contextmanager
    def bare(self) -> Iterator[Worker]:
        """Serves the how-to's graph by gRPC and LangGraph alone; yields a client for it."""
        with (
            Worker("benchmarks.bare_server") as server,
            Worker("benchmarks.over_grpc", server.measure("address")) as client,
        ):
            yield client

    def in_process(self) -> Worker:
        """Returns a worker that runs the graphs itself."""
        return Worker("benchmarks.in_process", str(self.folder / "saver.db"))
