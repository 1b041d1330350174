"""A client that streams until it is killed."""

from __future__ import annotations


def stream_until_killed(address: str, told: str) -> None:
    """Starts a run that is to end with its stream, notes it in a file, and reads on and on."""
    from graphwire import Client

    given = {"log": [], "count": 100_000, "pace": 0.01}
    stream = Client(address).runs.stream(
        None, "flood", input=given, stream_modes=["custom"], on_disconnect="cancel"
    )
    next(stream)
    with open(told, "w") as file:
        file.write(f"{stream.run_id}\n")
    for _ in stream:
        pass
