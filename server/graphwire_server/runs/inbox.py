"""The inbox of whoever approves and answers: pauses across threads."""

from __future__ import annotations

from graphwire import errors

from graphwire_server.runs.found import FIRST_PORTION, Found, next_portion
from graphwire_server.storage.interface import Reader, Storage
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
        most_bytes: int,
    ) -> Found[tuple[PausePosition, PauseRecord]]:
        """Returns pauses by the time of their making, newest first unless `ascending`.

        After so many bytes of what they show, no further ones are read.
        """

        def read(db: Reader) -> Found[tuple[PausePosition, PauseRecord]]:
            found: list[tuple[PausePosition, PauseRecord]] = []
            room, place, count = most_bytes, after, FIRST_PORTION
            while len(found) < limit:
                count = min(count, limit - len(found))
                portion = db.list_pauses(which, limit=count, after=place, ascending=ascending)
                found += portion
                if len(portion) < count:
                    return Found(found)
                place = portion[-1][0]
                size = sum(_size(pause) for _, pause in portion)
                room -= size
                if room < 0:
                    return Found(found, more=True)
                count = next_portion(count, size, most_bytes)
            return Found(found)

        return await self._storage.read(read)


def _size(pause: PauseRecord) -> int:
    """Returns how large a pause is at least, in bytes."""
    shown = (pause.value, pause.answer, pause.tool_calls, pause.task_input)
    return sum(len(text) for text in shown if text)


def pause_not_found(pause_id: str) -> errors.PauseNotFoundError:
    """Returns the error for a pause that is not there."""
    return errors.PauseNotFoundError(f"there is no pause {pause_id}", resource=("pause", pause_id))
