"""What servers announce to each other about runs."""

from __future__ import annotations

from collections.abc import Sequence

#: That runs may be claimed, that one is to be cancelled, and that something is asked of one.
QUEUE = "queue"
CANCEL = "cancel"
STEER = "steer"

_RUN = "run/"


def run_topic(run_id: str) -> str:
    """Returns what is announced when there is news of a run."""
    return f"{_RUN}{run_id}"


def run_of(topic: str) -> str:
    """Returns the run that a topic is about; empty if it is about none."""
    return topic.removeprefix(_RUN) if topic.startswith(_RUN) else ""


def concern_executor(topics: Sequence[str]) -> bool:
    """Returns whether topics that were announced concern the executor.

    None are announced where some may have been missed.
    """
    return not topics or not {QUEUE, CANCEL, STEER}.isdisjoint(topics)
