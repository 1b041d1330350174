"""`graphwire serve`, in a process that can be told to die at a commit.

`main` is what each server process runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.crash.faults import PLAN, Faults, Plan, watch_psycopg, watch_sqlite


def main(arguments: Sequence[str], environment: Mapping[str, str], output: Path) -> None:
    """Runs the command `graphwire` in this process, to its exit.

    Args:
        arguments: Those of the command, such as `serve`.
        environment: What to add to this process's environment.
        output: The file that takes what it writes to stdout and stderr.
    """
    file = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    os.environ.update(environment)
    faults = Faults(Plan(Path(os.environ[PLAN])))
    watch_sqlite(faults)
    watch_psycopg(faults)
    sys.argv = ["graphwire", *arguments]

    from graphwire_server.__main__ import main as command

    command()
