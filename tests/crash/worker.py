"""Does jobs: plays scenarios against a server that is ended meanwhile, and checks them."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graphwire.v1 import threads_pb2

from tests.crash.blows import Death
from tests.crash.checks import Evidence, Violation, check
from tests.crash.checks.evidence import LoggedRun
from tests.crash.errors import AbandonedError, BrokenError
from tests.crash.host import Host
from tests.crash.job import Job
from tests.crash.player import Player
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.e2e.drive import value

#: How long, in seconds, the runs of a script that was broken off may go on.
_SETTLE_SECONDS = 30.0
#: How much of the server's log is kept with a violation.
_TAIL = 6000

#: Makes an empty database and returns its address.
NewDatabase = Callable[[], str]


@dataclass
class Play:
    """One play of a scenario.

    Attributes:
        scenario: The scenario.
        job: What it was part of.
        violations: What was not as it must be.
        deaths: The ends of the server meanwhile.
        evidence: What there is to know about it; None if the server was in trouble.
        server_log: The end of the server's log, if there are violations.
    """

    scenario: Scenario
    job: Job
    violations: list[Violation] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)
    evidence: Evidence | None = None
    server_log: str = ""


@dataclass(frozen=True, slots=True)
class Extent:
    """How long the plays of a job were.

    Attributes:
        commits: How many commits there were.
        seconds: How long they took.
    """

    commits: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a job.

    Attributes:
        job: The job.
        plays: The plays, in the order of its scenarios.
        deaths: The ends of the server while any of them was on.
        extent: How long they were.
    """

    job: Job
    plays: Sequence[Play]
    deaths: Sequence[Death]
    extent: Extent

    @property
    def violated(self) -> list[Play]:
        """The plays with violations."""
        return [play for play in self.plays if play.violations]

    @property
    def references(self) -> dict[str, Evidence]:
        """The evidence of the plays that went well, by scenario."""
        return {
            play.scenario.name: play.evidence
            for play in self.plays
            if play.evidence is not None and not play.violations
        }


class Worker:
    """Does one job after the other, on one server as long as there is nothing wrong with it."""

    def __init__(self, folder: Path, new_database: NewDatabase | None = None) -> None:
        """Takes an empty folder, and what makes databases; None: they are files there."""
        self._folder = folder
        self._new_database = new_database
        self._host: Host | None = None
        self._hosts = 0
        self._jobs = 0

    def work(self, job: Job, references: Mapping[str, Evidence] | None = None) -> Result:
        """Does a job.

        Args:
            job: The job.
            references: The evidence of undisturbed plays, by scenario. None: this is one.
        """
        host = self._running_host()
        self._jobs += 1
        parts = [_Part(Play(SCENARIOS[name], job), host, self._jobs) for name in job.scenarios]
        for part in parts:
            part.player.create_thread()
        earlier, commits, began = len(host.deaths), host.plan.commits, time.monotonic()
        host.strike(job.blows)
        threads = [threading.Thread(target=part.play_to_end, daemon=True) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        extent = Extent(host.plan.commits - commits, time.monotonic() - began)
        host.stand_down()
        for part in parts:
            part.gather(host.deaths[earlier:])
            part.check((references or {}).get(part.play.scenario.name))
        plays = [part.play for part in parts]
        if host.trouble:
            plays[0].violations.append(Violation("server", host.trouble))
        result = Result(job, plays, max((play.deaths for play in plays), key=len), extent)
        if result.violated:
            # Whatever is wrong must not be laid to the next job's charge.
            log = host.log[-_TAIL:]
            for play in result.violated:
                play.server_log = log
            self._drop_host()
        return result

    def stop(self) -> None:
        """Stops the server.

        Raises:
            AssertionError: It does not stop as it should.
        """
        host, self._host = self._host, None
        if host is not None:
            host.stop()

    def _running_host(self) -> Host:
        if self._host is None:
            self._hosts += 1
            folder = self._folder / f"{self._hosts}"
            file = str(folder / "graphwire.db")
            database = file if self._new_database is None else self._new_database()
            self._host = Host(folder, database).start()
        return self._host

    def _drop_host(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            host.discard()


class _Part:
    """A play, while it is played."""

    def __init__(self, play: Play, host: Host, number: int) -> None:
        name = f"{play.scenario.name}.{number}"
        self.play = play
        self.player = Player(host.links, host.ledgers, name, play.scenario.graph)
        self._ended_at = 0

    def play_to_end(self) -> None:
        """Plays the script."""
        try:
            self.play.scenario.script(self.player)
        except BrokenError as broken:
            self._violated(broken.check, broken.text)
        except AbandonedError as abandoned:
            self._violated("server", str(abandoned))
        except Exception:  # noqa: BLE001 (scripts take what they expect for granted)
            self._violated("script", traceback.format_exc())
        self._ended_at = time.time_ns() // 1000

    def gather(self, deaths: list[Death]) -> None:
        """Gathers what there is to know."""
        self.play.deaths = [death for death in deaths if death.at <= self._ended_at]
        if not self.player.thread_id:
            return
        try:
            self.play.evidence = self._gather()
        except BrokenError as broken:
            self._violated(broken.check, broken.text)
        except AbandonedError as abandoned:
            self._violated("server", str(abandoned))

    def check(self, reference: Evidence | None) -> None:
        """Checks what was gathered."""
        if self.play.evidence is not None:
            self.play.violations += check(self.play.evidence, reference)

    def _gather(self) -> Evidence:
        player, broken = self.player, bool(self.play.violations)
        deadline = time.monotonic() + _SETTLE_SECONDS
        while player.thread.status == threads_pb2.THREAD_STATUS_BUSY:
            if time.monotonic() > deadline:
                self._violated("unsettled", f"the thread is BUSY after {_SETTLE_SECONDS:g} s")
                break
            time.sleep(0.02)
        state = player.state
        return Evidence(
            scenario=self.play.scenario,
            ledger=sorted(player.ledger.read(), key=lambda entry: entry.at),
            followed=player.followed,
            runs=[LoggedRun(run, player.log(run)) for run in player.runs],
            pauses=player.pauses,
            thread=player.thread,
            state=state,
            values=value(state.values) if state.HasField("values") else None,
            deaths=self.play.deaths,
            broken=broken,
        )

    def _violated(self, check: str, text: str) -> None:
        self.play.violations.append(Violation(check, text))
