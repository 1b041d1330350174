"""Messages and custom events: what a node that finished had to say is in the log, in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.crash.checks.evidence import Evidence, LoggedRun, Violation
from tests.crash.checks.tasks import finished
from tests.e2e.drive import value

#: How many custom events a node of `talk` sends: {"task": its id, "tick": 0, 1, …}.
TICKS = 5


def check(evidence: Evidence) -> Iterator[Violation]:
    """Checks what nodes wrote to their stream writers, and what they said."""
    for run in evidence.runs:
        yield from _check_ticks(run)
    if not evidence.broken:
        yield from _check_messages(evidence)


def _check_ticks(run: LoggedRun) -> Iterator[Violation]:
    """Each attempt at a task counts from 0; the one that finished it counts to the end."""
    ticks: dict[tuple[str, int], list[int]] = defaultdict(list)
    for event in run.events:
        if event.HasField("custom"):
            said = value(event.custom.data)
            ticks[said["task"], event.attempt].append(said["tick"])
    for (task, attempt), found in ticks.items():
        if found != list(range(len(found))):
            yield Violation("custom", f"task {task}, attempt {attempt}: ticks are {found}")
    for event in finished(run.events):
        task = event.task_finished.task_id
        found = ticks.get((task, event.attempt), [])
        if event.task_finished.node in ("speak", "again") and len(found) != TICKS:
            yield Violation("custom", f"task {task} is finished, and its ticks are {found}")


def _check_messages(evidence: Evidence) -> Iterator[Violation]:
    """The pieces of each message that is in the state make its text."""
    pieces: dict[str, dict[tuple[str, int], list[str]]] = defaultdict(lambda: defaultdict(list))
    for run in evidence.runs:
        for event in run.events:
            if event.HasField("message"):
                text = "".join(piece.text for piece in event.message.content)
                attempt = run.run.run_id, event.attempt
                pieces[event.message.message_id][attempt].append(text)
    for message in (evidence.values or {}).get("messages", []):
        # What an earlier attempt said of it, and did not finish, is void.
        *_, latest = [*pieces[message["id"]].values()] or [[]]
        if "".join(latest) != message["content"]:
            yield Violation(
                "message", f"{message['id']} is {message['content']!r}, and its pieces {latest}"
            )
