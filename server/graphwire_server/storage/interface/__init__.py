"""The storage as the rest of the server sees it. The docstrings are the contract; the
suite in tests/storage holds every implementation to it.

Work on the database is a plain function that gets a `Reader` or a `Transaction` and
runs, from its first statement to its last, on the database's own thread:

    run = await storage.write(lambda tx: accept(tx, spec))

So a piece of work is one hop, sees one state of the database, and can be committed
together with others in one flush to the disk.
"""

from graphwire_server.storage.interface.changes import CHANGES
from graphwire_server.storage.interface.errors import (
    LONGEST_READ,
    IntegrityError,
    LeaseLostError,
    StorageError,
    StorageRefused,
    StorageSlow,
    StorageTimeout,
    StorageUnavailable,
)
from graphwire_server.storage.interface.storage import Reader, Storage, Transaction
from graphwire_server.storage.interface.threads import NEWEST_FIRST, thread_of, thread_topic

__all__ = [
    "CHANGES",
    "LONGEST_READ",
    "NEWEST_FIRST",
    "IntegrityError",
    "LeaseLostError",
    "Reader",
    "Storage",
    "StorageError",
    "StorageRefused",
    "StorageSlow",
    "StorageTimeout",
    "StorageUnavailable",
    "Transaction",
    "thread_of",
    "thread_topic",
]
