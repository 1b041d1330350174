"""What the command's exit codes mean."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes; docs/command-line.md explains them."""

    OK = 0
    #: A run failed, was cancelled or timed out; or the server refused a request.
    FAILED = 1
    #: The command was called wrongly. Typer's own errors use it too.
    USAGE = 2
    #: No server can be reached, or this one can't start.
    UNAVAILABLE = 3
    #: The run is paused and waits.
    PAUSED = 4
    #: Left with Ctrl-C.
    INTERRUPTED = 130
