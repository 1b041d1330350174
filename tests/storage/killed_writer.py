"""Writes until it is killed, and prints the name of each work that is said to be on the disk.

Run as a program, with the database as its argument, by test_sqlite_kill.py.
"""

from __future__ import annotations

import asyncio
import sys

from graphwire_server.storage.interface import Transaction
from graphwire_server.storage.records import (
    EventRecord,
    RunRecord,
    RunStatus,
    ThreadRecord,
    ThreadStatus,
)
from graphwire_server.storage.sqlite import SqliteStorage

WRITERS = 8


async def write_for_ever(storage: SqliteStorage, writer: int) -> None:
    number = 0
    while True:
        name = f"{writer}-{number}"

        def work(tx: Transaction, name: str = name) -> None:
            tx.insert_thread(ThreadRecord(name, ThreadStatus.BUSY, "{}", 1, 1))
            tx.insert_run(RunRecord(name, name, "agent", RunStatus.RUNNING, "{}", "{}", 1, 1))
            tx.append_events([EventRecord(name, sequence, b"x" * 500) for sequence in (1, 2, 3)])
            if name.endswith("7"):
                raise LookupError(name)

        try:
            await storage.write(work)
        except LookupError:
            print("failed", name, flush=True)
        else:
            print("kept", name, flush=True)
        number += 1


async def main() -> None:
    storage = await SqliteStorage.open(sys.argv[1])
    await asyncio.gather(*(write_for_ever(storage, writer) for writer in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main())
