"""The inbox of whoever approves and answers: pauses across threads."""

from __future__ import annotations

from graphwire import errors

from graphwire_server.storage.interface import Storage
from graphwire_server.storage.records import PauseFilter, PausePosition, PauseRecord


class InboxService:
    """The pauses of all threads."""

    def __init__(self, storage: Storage) -> None:
        """Takes where they are kept."""
        self._storage = storage

    async def get(self, pause_id: str) -> PauseRecord:
        """Returns a pause, open or not. Raises PauseNotFoundError."""
        pause = await self._storage.read(lambda db: db.pause(pause_id), short=True)
        if pause is None:
            raise pause_not_found(pause_id)
        return pause

    async def list(
        self,
        which: PauseFilter,
        *,
        limit: int,
        after: PausePosition | None,
        ascending: bool,
    ) -> list[tuple[PausePosition, PauseRecord]]:
        """Returns pauses by the time of their making, newest first unless `ascending`."""
        return await self._storage.read(
            lambda db: db.list_pauses(which, limit=limit, after=after, ascending=ascending)
        )


def pause_not_found(pause_id: str) -> errors.PauseNotFoundError:
    """Returns the error for a pause that is not there."""
    return errors.PauseNotFoundError(f"there is no pause {pause_id}", resource=("pause", pause_id))
