"""What the storage's `Reader` and `Transaction` do with runs and their events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from graphwire_server.storage.access import ALL, Access
from graphwire_server.storage.records import (
    EventRecord,
    Failure,
    Place,
    Position,
    RunRecord,
    RunStatus,
)


class RunReader(Protocol):
    """Reads of runs and their events."""

    def run(self, run_id: str) -> RunRecord | None:
        """Returns a run, or None."""

    def runs_named(self, run_ids: Collection[str]) -> dict[str, RunRecord]:
        """Returns runs by their ids, in a few statements; those that are not there are left out."""

    def runs(
        self,
        thread_id: str,
        *,
        statuses: Sequence[RunStatus] = (),
        limit: int,
        after: Position | None = None,
    ) -> list[RunRecord]:
        """Returns at most `limit` runs of a thread, newest first (create_time, then id)."""

    def active_runs(self, thread_id: str) -> list[RunRecord]:
        """Returns a thread's PENDING and RUNNING runs in the order of their acceptance."""

    def has_active_run(self, thread_id: str) -> bool:
        """Returns whether a thread has a PENDING or RUNNING run."""

    def last_run(self, thread_id: str, *, but: str = "") -> RunRecord | None:
        """Returns the thread's run that began to execute last, or None.

        Those that have left nothing don't count; see `RunRecord.left_nothing`. Nor does the one
        whose id is `but`.
        """

    def active_run_ids(self, status: RunStatus, access: Access = ALL) -> list[str]:
        """Returns the runs that are PENDING, or those that are RUNNING, the latest first."""

    def rollback_requested(self, run_id: str) -> bool:
        """Returns whether somebody asked to roll a run back."""

    def untrimmed_runs(self, *, before: int, limit: int, skip: int = 0) -> list[RunRecord]:
        """Returns runs that ended before a time, and of which more events are there than needed.

        Those that ended first come first. Locks and `skip` are as in `expired_threads`.
        """

    def runs_by_id(self, run_ids: Sequence[str]) -> dict[str, RunRecord]:
        """Returns those of some runs that are there, by id."""

    def next_run(self, thread_id: str, *, after: int) -> Place | None:
        """Returns the run of a thread with the lowest place above `after`, or None."""

    def last_place(self, thread_id: str) -> int:
        """Returns the highest place that a run of a thread has or had; 0 if none did."""

    def place_of(self, run_id: str) -> int:
        """Returns the place of a run in its thread; 0 if it has none yet, or is not there."""

    def last_trimmed_place(self, thread_id: str) -> int:
        """Returns the highest place of a run of a thread of which events were removed, or 0."""

    def run_at(self, thread_id: str, place: int) -> RunRecord | None:
        """Returns the run of a thread at a place, or None if there is none any more."""

    def unsteered_runs(self, server_id: str) -> list[RunRecord]:
        """Returns the RUNNING runs under a server's lease that it has not steered yet.

        Their `steering` was raised, and what is asked of them is not confirmed.
        """

    def is_steered(self, run_id: str) -> bool:
        """Returns whether what is asked of a run is in force: nobody executes it, or knows."""

    def events(
        self, run_id: str, *, after: int, limit: int, max_bytes: int | None = None
    ) -> list[EventRecord]:
        """Returns at most `limit` events of a run with a sequence above `after`, in order.

        With `max_bytes` it stops before the event whose data would be above that, but for the
        first one.
        """


class RunKeeper(RunReader, Protocol):
    """Changes runs, and adds their events."""

    def insert_run(self, run: RunRecord, events: Sequence[EventRecord] = ()) -> None:
        """Adds a run, and its events up to last_sequence.

        A thread has one RUNNING run at the most: the database sees to it. To add a PENDING one to
        a thread that is there, one must have read the thread in this transaction.
        """

    def change_run(
        self,
        run_id: str,
        to: RunStatus,
        *,
        now: int,
        error: Failure | None = None,
        checkpoint_id: str = "",
        rolled_back: bool = False,
    ) -> bool:
        """Moves a run to a status if `TRANSITIONS` allows it from where it is.

        Sets start_time for RUNNING, end_time and no lease for final statuses, and error,
        checkpoint_id and rolled_back as given. Returns False, and changes nothing, if it is not
        allowed or there is no run.
        """

    def request_cancel(self, run_id: str, *, abandon: bool = False, rollback: bool = False) -> None:
        """Sets a run's cancel_requested.

        `abandon`: its nodes are not to be waited for; `rollback`: it is to be rolled back.
        What was asked once stays asked.
        """

    def let_discard(self, run_id: str) -> None:
        """Sets that a run begins on a paused thread too."""

    def change_spec(self, run_id: str, spec: str) -> None:
        """Changes how a run that has not begun is to run."""

    def request_pause(self, run_id: str) -> None:
        """Sets a run's pause_requested, and raises its `steering`."""

    def set_run_breakpoints(self, run_id: str, breakpoints: str) -> None:
        """Sets a run's breakpoints, and raises its `steering`."""

    def confirm_steering(self, run_id: str, steering: int) -> None:
        """Notes that what was asked of a run, up to a `steering`, is in force."""

    def link_resume(self, run_id: str, *, resumed_by_run_id: str) -> None:
        """Notes on a run which run continued it."""

    def delete_run(self, run_id: str) -> bool:
        """Deletes a run with its events; its pauses stay. False if it was not there.

        The answers that stand after it go on to stand.
        """

    def append_events(self, events: Sequence[EventRecord]) -> None:
        """Adds events and raises their runs' last_sequence. Sequences must be new."""

    def remove_events(self, run_id: str, *, below: int, trimmed: bool) -> None:
        """Deletes a run's events below a sequence, and notes on the run which one is the oldest.

        `trimmed` says that the others stay, so that `untrimmed_runs` names it no more.
        """
