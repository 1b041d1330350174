"""The ledger: what nodes and clients did, in one order, in a file outside the server.

Each LangGraph thread has a file of its own, to which the nodes that run on it and the
client that drives it append one line for each thing they do. The order of the lines is the
order of events, across processes and crashes.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

#: The environment variable that tells nodes in which folder the ledger is.
FOLDER = "CRASH_LEDGER"


class Kind(StrEnum):
    """What a line is about."""

    #: A node begins. Once more for each attempt, and after each answer.
    BEGAN = "began"
    #: A node has got an answer to its question.
    TOLD = "told"
    #: A node is about to return.
    ENDED = "ended"
    #: A client is about to send the approval of a breakpoint.
    APPROVED = "approved"
    #: A client is about to send an answer to a question.
    ANSWERED = "answered"
    #: The server has refused what the client sent for this pause, or this answer to it.
    REFUSED = "refused"
    #: What the client sent for this pause does not count any more: the run was rolled back.
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line.

    Attributes:
        kind: What it is about.
        at: When it was written, in µs since the epoch.
        node: The node, with its path from the root: `child/danger`.
        task: For nodes: LangGraph's id of the task. For APPROVED: that of the task that waits,
            for a pause after a node the checkpoint.
        namespace: For nodes: the task's checkpoint namespace, ids included.
        run: For nodes: the run that the node was told it belongs to.
        given: For nodes: what it got, the state or a Send's argument.
        pause: For clients: the id of the pause.
        why: For APPROVED: the kind of the pause, such as BREAKPOINT_BEFORE.
        question: For TOLD and ANSWERED: what was asked.
        answer: For TOLD and ANSWERED: the answer; for REFUSED and ROLLED_BACK if it was one.
    """

    kind: Kind
    at: int
    node: str = ""
    task: str = ""
    namespace: str = ""
    run: str = ""
    given: Any = None
    pause: str = ""
    why: str = ""
    question: Any = None
    answer: Any = None

    def __str__(self) -> str:
        """Returns the entry for people: only what is set."""
        said = {name: value for name, value in asdict(self).items() if value not in ("", None)}
        kind, at = said.pop("kind"), said.pop("at")
        where = said.pop("node", "")
        return f"{at} {kind:<8} {where:<14} {json.dumps(said, ensure_ascii=False)}"


class Ledger:
    """The ledger of one LangGraph thread."""

    def __init__(self, folder: Path, thread_id: str) -> None:
        """Takes the file in the folder; it need not exist yet."""
        self.path = folder / f"{thread_id}.jsonl"

    def append(self, kind: Kind, **fields: Any) -> None:
        """Writes a line; it is on the disk when this returns. `at`, unless it is given, is now."""
        entry = Entry(**{"kind": kind, "at": time.time_ns() // 1000, **fields})
        # A kill may tear a line: the newline before the next one keeps that one whole.
        line = f"\n{json.dumps(asdict(entry))}\n".encode()
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, line)
            os.fsync(file)
        finally:
            os.close(file)

    def read(self) -> list[Entry]:
        """Returns what is in it, in order."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [entry for line in lines if (entry := _parse(line)) is not None]


def _parse(line: str) -> Entry | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None  # empty, or torn by a kill
    return Entry(**{**fields, "kind": Kind(fields["kind"])}) if isinstance(fields, dict) else None
