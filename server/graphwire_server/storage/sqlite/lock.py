"""The lock by which one server at a time uses a database file."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from graphwire_server.storage.interface import StorageError
from graphwire_server.storage.sql.errors import unusable


class DatabaseLock:
    """A lock on `<database>.lock`, a file that holds its owner's process id.

    The operating system frees it when the process ends, whatever ends it. The file
    stays: were it deleted, two servers could each hold a lock on a file of that name.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, database: Path) -> DatabaseLock:
        """Takes the lock.

        Raises:
            StorageError: Another server has it, or the file can't be written.
        """
        path = database.with_name(f"{database.name}.lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise unusable(database, f"{path}: {error.strerror}") from error
        try:
            # flock and not lockf: it also holds between two servers in one process, and
            # is not lost when something else in this process closes the file.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise StorageError(
                f"the database {database} is in use by another server, "
                f"process {owner or 'unknown'}: stop it, or choose another file"
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise unusable(database, f"{path}: {error.strerror}") from error
        return cls(descriptor)

    def release(self) -> None:
        """Gives the lock back."""
        os.close(self._descriptor)
