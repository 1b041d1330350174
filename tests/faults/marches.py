"""Marches under faults: a run of many steps, whose work and events are looked at in the end."""

from __future__ import annotations

from tests.e2e.drive import create, payload, shapes, value
from tests.replicas.replica import (
    LONG,
    MODES,
    Ledger,
    Reader,
    Replica,
    attempts,
    march,
    marched,
    wait_run,
)

STEPS = 30


def start(replica: Replica, ledger: Ledger, *, pace: float = 0.02) -> Reader:
    """Starts a march and reads its events."""
    run = create(
        replica.runs,
        assistant_id="march",
        input=payload(march(ledger, steps=STEPS, pace=pace)),
        config=LONG,
        stream_modes=MODES,
    )
    return Reader.join(replica, run.run_id)


def check(replica: Replica, run_id: str, ledger: Ledger) -> int:
    """Checks that a march came to its end, whole, with nothing doubled.

    Returns how many attempts that took.
    """
    result = wait_run(replica, run_id)
    assert value(result.values)["log"] == marched(STEPS)
    events = Reader.join(replica, run_id).whole()
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert shapes(events)[-1] == ("end", "SUCCEEDED")
    assert len([e for e in events if e.WhichOneof("event") == "updates"]) == STEPS
    began = 1 + len(attempts(events))
    ledger.check(steps=STEPS, attempts=began)
    return began
