"""A whole campaign: undisturbed plays first, then blows until there were enough."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.blows import BlowKind
from tests.crash.checks import Evidence
from tests.crash.job import Job
from tests.crash.report import Tally, describe
from tests.crash.schedule import Schedule
from tests.crash.worker import NewDatabase, Result, Worker

#: How many plays with violations are described in full.
_DESCRIBED = 10
#: How often, in seconds, the state of things is said.
_INTERVAL = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """When a campaign is over.

    Attributes:
        kills: At least so many servers are ended,
        every_commit: and every commit boundary of every scenario is struck,
        seconds: but it takes no longer than this.
    """

    kills: int
    every_commit: bool
    seconds: float


@dataclass
class Campaign:
    """A campaign.

    Attributes:
        seed: Of what is random.
        scenarios: The names of those that take part.
        kinds: The kinds of blows that may come.
        limits: When it is over.
        workers: How many servers there are at a time.
        say: Takes a line of text for people.
        new_database: Makes databases; None: they are SQLite files.
        tally: What was done and found.
    """

    seed: int
    scenarios: Sequence[str]
    kinds: Sequence[BlowKind]
    limits: Limits
    workers: int
    say: Callable[[str], None]
    new_database: NewDatabase | None = None
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        """Prepares it."""
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._said = 0.0
        self._described = 0
        self._references: dict[str, Evidence] = {}
        self._failure: BaseException | None = None

    def run(self, folder: Path) -> None:
        """Runs it, with its databases in an empty folder.

        Raises:
            AssertionError: A server does not stop as it should.
        """
        workers = [Worker(folder / f"{n}", self.new_database) for n in range(self.workers)]
        schedule = self._undisturbed(workers[0])
        threads = [
            threading.Thread(target=self._work, args=(worker, schedule), daemon=True)
            for worker in workers
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failure is not None:
            raise self._failure
        self._say_progress(schedule)
        for line in self.tally.lines():
            self.say(line)

    def _undisturbed(self, worker: Worker) -> Schedule:
        """Plays everything without blows: what comes of it is what must always come of it."""
        first = self._add(worker.work(Job(tuple(self.scenarios))))
        self._references = first.references
        names = tuple(self._references)
        if left_out := [name for name in self.scenarios if name not in names]:
            self.say(f"left out, since they go wrong undisturbed: {', '.join(left_out)}")
        at_once = self._add(worker.work(Job(names), self._references)).extent
        each = {
            name: self._add(worker.work(Job((name,)), self._references)).extent for name in names
        }
        return Schedule(self.seed, at_once, each, kinds=self.kinds)

    def _work(self, worker: Worker, schedule: Schedule) -> None:
        try:
            while (job := self._next(schedule)) is not None:
                result = self._add(worker.work(job, self._references))
                with self._lock:
                    schedule.done(job, len(result.deaths))
                self._say_now_and_then(schedule)
            worker.stop()
        except BaseException as error:  # noqa: BLE001 (raised again by `run`)
            self._failure = error

    def _next(self, schedule: Schedule) -> Job | None:
        with self._lock:
            struck, known = schedule.boundaries
            enough = self.tally.kills >= self.limits.kills
            enough = enough and (struck == known or not self.limits.every_commit)
            late = time.monotonic() - self._began > self.limits.seconds
            return None if enough or late or self._failure else schedule.next()

    def _add(self, result: Result) -> Result:
        with self._lock:
            self.tally.add(result)
            for play in result.violated:
                if self._described < _DESCRIBED:
                    self._described += 1
                    self.say("\n".join(describe(play)))
        return result

    def _say_now_and_then(self, schedule: Schedule) -> None:
        with self._lock:
            if time.monotonic() - self._said < _INTERVAL:
                return
            self._said = time.monotonic()
            self._say_progress(schedule)

    def _say_progress(self, schedule: Schedule) -> None:
        struck, known = schedule.boundaries
        self.say(
            f"{time.monotonic() - self._began:6.0f} s: {self.tally.kills} kills, "
            f"{struck} of {known} commit boundaries, "
            f"{self.tally.violations.total()} violations"
        )
