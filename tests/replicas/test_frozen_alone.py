"""A server that has its database to itself, and was frozen for longer than its lease."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.e2e.drive import payload, shapes, value
from tests.e2e.gates import Gate, until
from tests.replicas.replica import (
    LEASE,
    Ledger,
    Reader,
    Replica,
    attempts,
    begin,
    customs,
    march,
    marched,
    wait_run,
)


def test_it_says_so_and_recovers_its_own_runs(tmp_path: Path, gate: Gate, ledger: Ledger) -> None:
    server = Replica("alone", tmp_path / "graphwire.db", {}).start()
    try:
        seen = begin(server, gate, ledger, steps=6, halt=3)
        freeze(server)
        until(lambda: "lease_lost" in server.process.log, "it says so")
        # The step that it was in is begun again, by the next attempt.
        gate.wait_begun()
        gate.open()
        events = seen.whole()
        assert shapes(events)[-1] == ("end", "SUCCEEDED")
        assert attempts(events) == [2]
        assert customs(events) == [0, 1, 2, 3, 3, 4, 5]
        ledger.check(steps=6, attempts=2)
        assert value(wait_run(server, seen.run_id).values)["log"] == marched(6)
        assert Reader.join(server, seen.run_id).whole() == events
        until(lambda: "joined_anew" in server.process.log, "it joins anew")
        again = Reader.stream(server, assistant_id="march", input=payload(march(ledger, steps=1)))
        assert shapes(again.whole())[-1] == ("end", "SUCCEEDED")
    finally:
        assert server.stop() == 0, server.process.log


def test_while_it_stops(tmp_path: Path, gate: Gate, ledger: Ledger) -> None:
    env = {"GRAPHWIRE_SHUTDOWN_GRACE_SECONDS": "600"}
    server = Replica("alone", tmp_path / "graphwire.db", env).start()
    seen = begin(server, gate, ledger, steps=6, halt=3)
    server.process.signal(signal.SIGTERM)
    until(lambda: "draining" in server.process.log, "it drains")
    freeze(server)
    # It has nothing to wait for any more.
    assert server.process.wait() == 0, server.process.log
    server.channel.close()
    assert "lease_lost" in server.process.log
    assert "Traceback" not in server.process.log
    assert "end" not in seen.kinds
    gate.open()
    server.start()
    try:
        events = Reader.join(server, seen.run_id).whole()
        assert events[: len(seen.events)] == seen.events
        assert customs(events) == [0, 1, 2, 3, 3, 4, 5]
        ledger.check(steps=6, attempts=2)
    finally:
        assert server.stop() == 0, server.process.log


def freeze(server: Replica) -> None:
    """Freezes a server until its lease has run out, and lets it go on."""
    os.kill(server.pid, signal.SIGSTOP)
    time.sleep(LEASE)  # It was renewed before that.
    os.kill(server.pid, signal.SIGCONT)
