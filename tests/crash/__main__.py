"""Runs the crash campaign: `python -m tests.crash --kills 1000`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.crash.blows import BlowKind
from tests.crash.campaign import Campaign, Limits
from tests.crash.job import Job, read_names
from tests.crash.report import describe
from tests.crash.worker import NewDatabase, Worker
from tests.postgres import running_postgres


def main() -> int:
    """Runs the campaign, or one job of it; returns 1 if anything was violated."""
    options = _parser().parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="graphwire-crash-") as temporary,
        _databases(options.database) as new_database,
    ):
        folder = options.keep or Path(temporary)
        if options.replay is not None:
            return _replay(options.replay, folder, new_database)
        campaign = Campaign(
            seed=options.seed,
            scenarios=options.scenarios,
            kinds=options.kinds,
            limits=Limits(options.kills, not options.sample, options.minutes * 60),
            workers=options.workers,
            say=_say,
            new_database=new_database,
        )
        _say(f"seed {options.seed}")
        campaign.run(folder)
        return 1 if campaign.tally.violations else 0


@contextmanager
def _databases(kind: str) -> Iterator[NewDatabase | None]:
    if kind == "sqlite":
        yield None
        return
    with running_postgres() as postgres:
        yield lambda: postgres.url(postgres.make_database())


def _replay(job: Job, folder: Path, new_database: NewDatabase | None) -> int:
    worker = Worker(folder, new_database)
    undisturbed = worker.work(Job(job.scenarios))
    result = worker.work(job, undisturbed.references)
    violated = [*undisturbed.violated, *result.violated]
    for play in violated:
        _say("\n".join(describe(play)))
    _say(f"kills: {len(result.deaths)}; plays with violations: {len(violated)}")
    worker.stop()
    return 1 if violated else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    add = parser.add_argument
    add("--kills", type=int, default=1000, help="end at least so many servers (%(default)s)")
    add("--minutes", type=float, default=120, help="stop after this time (%(default)s)")
    add("--sample", action="store_true", help="stop at --kills, though commits may be left")
    add("--seed", type=int, default=random.randrange(1 << 32), help="of what is random")
    add("--workers", type=int, default=2, help="how many servers at a time (%(default)s)")
    add("--scenarios", type=read_names, default=read_names("all"), help="a,b,c (all)")
    add(
        "--kinds",
        type=lambda text: tuple(BlowKind(kind) for kind in text.split(",")),
        default=tuple(BlowKind),
        help=f"a,b,c ({','.join(BlowKind)})",
    )
    add("--database", choices=("sqlite", "postgres"), default="sqlite", help="(%(default)s)")
    add("--replay", type=Job.parse, help="do this one job, as a violation names it")
    add("--keep", type=Path, help="keep databases, ledgers and logs in this empty folder")
    return parser


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
