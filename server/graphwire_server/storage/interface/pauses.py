"""What the storage's `Reader` and `Transaction` do with pauses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from graphwire_server.storage.records import PauseFilter, PausePosition, PauseRecord, PauseStatus


class PauseReader(Protocol):
    """Reads of pauses."""

    def open_pauses(self, thread_id: str) -> list[PauseRecord]:
        """Returns a thread's OPEN pauses in the order of their making."""

    def pauses(self, thread_ids: Sequence[str]) -> dict[str, list[PauseRecord]]:
        """Returns the OPEN pauses of several threads, by thread; threads without are left out."""

    def pauses_of_tasks(self, thread_id: str, task_ids: Collection[str]) -> list[PauseRecord]:
        """Returns all pauses, open or not, of some of a thread's tasks, oldest first."""

    def resumed_pauses(self, thread_id: str, checkpoint_id: str) -> list[PauseRecord]:
        """Returns the pauses at a checkpoint of a thread that were resumed, oldest first."""

    def standing_answers(self, thread_id: str, checkpoint_id: str) -> list[tuple[str, str]]:
        """Returns the answers to questions asked at a checkpoint of a thread, oldest first.

        Each is (LangGraph's interrupt id, the answer as JSON text). Only those are returned that
        were given to a run which went on to its next pause.
        """

    def pauses_resolved_by(self, thread_id: str, run_id: str) -> list[PauseRecord]:
        """Returns a thread's pauses that a run has resumed, or left behind."""

    def pauses_of_run(self, run_id: str) -> list[PauseRecord]:
        """Returns all pauses, open or not, that a run stopped at."""

    def pause(self, pause_id: str) -> PauseRecord | None:
        """Returns a pause, open or not, or None."""

    def pause_called(self, thread_id: str, key: str) -> PauseRecord | None:
        """Returns the thread's last pause with this pause id or interrupt id, or None."""

    def pauses_resumed_by(self, thread_id: str, run_id: str) -> list[PauseRecord]:
        """Returns the pauses of a thread that a run went on from, oldest first."""

    def last_resolved_pause(self, thread_id: str) -> PauseRecord | None:
        """Returns the pause of a thread that was resolved last, in whatever way, or None."""

    def list_pauses(
        self,
        which: PauseFilter,
        *,
        limit: int,
        after: PausePosition | None = None,
        ascending: bool = False,
    ) -> list[tuple[PausePosition, PauseRecord]]:
        """Returns at most `limit` pauses by the time of their making, newest first.

        `ascending`: oldest first. `after` is the last one of the page before.
        """

    def pauses_by_id(self, pause_ids: Sequence[str]) -> dict[str, PauseRecord]:
        """Returns those of some pauses that are there, by id."""

    def expired_pauses(self, *, now: int, limit: int, skip: int = 0) -> list[PauseRecord]:
        """Returns OPEN pauses whose time was over by `now`, of threads that are not BUSY.

        Those whose time was over first come first; so many of them are skipped.
        """

    def next_expiry(self, *, now: int) -> int | None:
        """Returns the earliest time after `now` at which the time of an OPEN pause is over."""


class PauseKeeper(PauseReader, Protocol):
    """Changes pauses."""

    def insert_pauses(self, pauses: Sequence[PauseRecord], *, now: int | None = None) -> None:
        """Adds pauses.

        `now`: when that happens, for the log of changes; None: at their create_time.
        """

    def resolve_pause(
        self,
        pause_id: str,
        to: PauseStatus,
        *,
        now: int,
        by_run_id: str = "",
        answer: str | None = None,
        principal: str = "",
        answered_by: str = "",
        expired: bool = False,
        review: str | None = None,
    ) -> bool:
        """Resolves an OPEN pause; see `PauseRecord` for what is noted of that.

        Returns False, and changes nothing, if it is not open.
        """

    def take_back_resumed(self, thread_id: str, run_id: str) -> None:
        """Makes a thread's pauses that a run has resumed SUPERSEDED: its approvals never count."""
