"""Runs a soak: `python -m tests.soak --minutes 10`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.soak.soak import Plan, soak


def main() -> int:
    """Runs a soak; returns 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=10, help="how long (%(default)s)")
    add("--seed", type=int, default=random.randrange(1 << 32), help="of what is random")
    add("--callers", type=int, default=8, help="how many at once (%(default)s)")
    add("--postgres", action="store_true", help="two servers on Postgres")
    options = parser.parse_args()
    plan = Plan(options.minutes * 60, options.seed, options.callers, options.postgres)
    _say(f"seed {plan.seed}")
    with tempfile.TemporaryDirectory(prefix="graphwire-soak-") as folder:
        report = soak(plan, Path(folder), _say)
    for line in report.figures:
        _say(line)
    _say(", ".join(f"{name} {times}" for name, times in sorted(report.played.items())))
    for wrong in report.wrong:
        _say(f"WRONG: {wrong}")
    return 1 if report.wrong else 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
