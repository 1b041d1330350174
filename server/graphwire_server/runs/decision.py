"""Decides in a transaction, also where another server decides on the same thing at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from graphwire_server.storage.interface import IntegrityError, Storage, Transaction

T = TypeVar("T")

#: How often another server may have been quicker, before it is taken for a fault of ours.
_TRIES = 5


async def decide(storage: Storage, work: Callable[[Transaction], T], *, long: bool = False) -> T:
    """Runs a work that looks for what is there and makes what is not.

    Two servers can both find nothing, and make it: a thread of one id, or what one request_id
    asks for. The database refuses the second, which then finds what the first has made.
    `long` is as for `Storage.write`.

    Raises:
        IntegrityError: The work breaks a rule of the database whatever the others do.
        Exception: Whatever `Storage.write` raises.
    """
    for _ in range(_TRIES - 1):
        try:
            return await storage.write(work, long=long)
        except IntegrityError:
            continue
    return await storage.write(work, long=long)
