"""How much waits in a database, and how busy a server's storage is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits in a database.

    Attributes:
        queued_runs: Runs that are PENDING, those included that are not due yet.
        open_pauses: Pauses that are OPEN.
        oldest_pause: When the oldest of them was made; None if there is none.
        now: The database's time.
    """

    queued_runs: int
    open_pauses: int
    oldest_pause: int | None
    now: int


@dataclass(frozen=True, slots=True)
class StorageLoad:
    """How busy a server's storage is.

    Attributes:
        writes_waiting: Writes that wait for the next transaction.
        readers: Connections for reading.
        readers_busy: Those of them in use.
        file_bytes: The size of each of its files, by what it is; of a server's own files alone.
    """

    writes_waiting: int
    readers: int
    readers_busy: int
    file_bytes: Mapping[str, int]
