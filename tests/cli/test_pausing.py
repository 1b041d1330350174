"""Ctrl-C while a run is watched: the first one asks it to pause, whatever the next one does."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest
from graphwire_server.cli.follow import _FirstPauses


class Followed:
    """A stream and a view, of which only this is of interest."""

    run_id = "r"

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_who_leaves_at_once_has_asked_for_the_pause_all_the_same() -> None:
    followed: Any = Followed()
    leaving, asked = threading.Event(), list[str]()

    def pause(run_id: str) -> None:
        # A server that answers only when the second Ctrl-C has come.
        assert leaving.wait(10)
        asked.append(run_id)

    def interrupt_twice() -> None:
        with _FirstPauses(followed, followed, pause):
            signal.raise_signal(signal.SIGINT)
            assert followed.notes == ["asking it to pause…   Ctrl-C again leaves it to that"]
            threading.Timer(0.2, leaving.set).start()
            signal.raise_signal(signal.SIGINT)

    # Processes that run tests beside others ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt_twice()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert asked == ["r"]
    assert followed.notes[1:] == ["pausing…   Ctrl-C again leaves it to that"]
