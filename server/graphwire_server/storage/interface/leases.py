"""What the storage's `Reader` and `Transaction` do with servers and what they execute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from graphwire_server.storage.records import EventRecord, Lease, RunRecord, TakenOver


class LeaseReader(Protocol):
    """Reads of runs as servers see them."""

    def cancelled_runs(self, server_id: str) -> dict[str, bool]:
        """Returns the RUNNING runs under a server's lease that somebody asked to cancel.

        The value says whether somebody asked not to wait for the run's nodes.
        """

    def held_runs(self, server_id: str) -> dict[str, Lease]:
        """Returns all RUNNING runs under a server's lease, by id."""

    def has_lost_run(self) -> bool:
        """Returns whether there is a run for `Transaction.claim_lost`."""

    def has_due_run(self) -> bool:
        """Returns whether `Transaction.claim_due` has something to do.

        That is a run that may start, or one whose time has come and whose thread is to be asked.
        """

    def queued_runs(self, principal: str | None = None, *, most: int) -> int:
        """Returns how many runs are PENDING, of a principal or in all; `most` if there are more."""

    def running_runs(self, principal: str) -> int:
        """Returns how many runs of a principal are RUNNING, on all servers."""

    def next_due_time(self, *, now: int) -> int | None:
        """Returns the earliest due_time after `now` of a PENDING run, or None."""


class LeaseKeeper(LeaseReader, Protocol):
    """Changes which server executes what."""

    def join_servers(self, server_id: str, *, ttl: int) -> None:
        """Adds a server, whose lease is valid for `ttl` microseconds. The id must be new.

        Where one server at a time can use the database, nobody else holds anything by then.
        """

    def renew_server(self, server_id: str, *, ttl: int) -> bool:
        """Makes a server's lease valid for `ttl` microseconds from now.

        Returns False, and changes nothing, if it has lapsed: it never comes back.
        """

    def leave_servers(self, server_id: str) -> None:
        """Ends a server's lease: its runs are free to be claimed at once."""

    def claim_due(
        self, server_id: str, *, limit: int, most_of_one: int = 0, after: str = ""
    ) -> list[RunRecord]:
        """Takes at most `limit` PENDING runs that may start, and makes them RUNNING.

        First those of whoever has the fewest RUNNING, was served least recently, and has
        waited longest. Of nobody so many that he has more than `most_of_one` (0: no limit).
        Where very many have runs in the queue, those are looked at that follow on the
        principal `after`.

        Such a run is due, the oldest of its thread's PENDING runs, its thread has no
        RUNNING run and is not INTERRUPTED, unless the run discards what waits there. Of two
        servers that claim at once each gets others; runs of threads that another transaction is
        deciding on may be left for the next time.
        Each gets a lease of the server's with the next epoch, its next attempt, and if it is
        the first one, its start_time; and its thread is its assistant's from then on.

        Raises:
            LeaseLostError: The server's own lease has lapsed.
        """

    @property
    def claim_is_open(self) -> bool:
        """Whether the last `claim_due` left runs of somebody on whom another server decides.

        That takes as long as its transaction: it is worth while to claim again soon.
        """

    def may_run(self, principal: str, *, most: int) -> bool:
        """Returns whether one more run of a principal may be RUNNING, of `most` on all servers.

        If so, no other server decides on that until the transaction ends. Where another one does
        at this moment, the answer is no: whoever asks goes into the queue.
        """

    def claim_lost(self, server_id: str, *, limit: int) -> list[TakenOver]:
        """Takes at most `limit` RUNNING runs that nobody holds, oldest first.

        Nobody holds a run that was handed back, or whose server's lease has lapsed. Each gets
        a lease of the server's with the next epoch, and its next attempt; one whose server
        was lost, and did not hand it back, one more of its `losses`.

        Raises:
            LeaseLostError: The server's own lease has lapsed.
        """

    def hold(
        self,
        run_id: str,
        lease: Lease,
        *,
        events: Sequence[EventRecord] = (),
        absorbs: bool = False,
    ) -> None:
        """Makes sure that a run is RUNNING under a lease, to the end of the transaction.

        Adds what has come of the run: its next events, in their order, and with `absorbs` that
        what it was started with is applied.

        Raises:
            LeaseLostError: It has ended, changed hands or is gone, or the server's own lease
                has lapsed.
        """

    def forget_losses(self, run_id: str) -> None:
        """Counts the `losses` of a run from 0 again: it has come further than before."""

    def hand_back(self, run_id: str, lease: Lease, *, lost: bool = False) -> bool:
        """Gives a RUNNING run up, for whoever claims it next. False if it is not held so.

        `lost` says that the attempt was none of its own will: one more of its `losses`.
        """
