"""What the storage's `Reader` and `Transaction` do with assistants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from graphwire_server.storage.records import (
    AssistantFilter,
    AssistantHead,
    AssistantOrder,
    AssistantPosition,
    AssistantRecord,
    ThreadStatus,
)


class AssistantReader(Protocol):
    """Reads of assistants."""

    def assistant(self, assistant_id: str, version: int = 0) -> AssistantRecord | None:
        """Returns a version of an assistant, or None; 0: the one that new runs get."""

    def assistant_head(self, assistant_id: str) -> AssistantHead | None:
        """Returns what is kept of an assistant besides its versions, or None."""

    def assistants(
        self,
        which: AssistantFilter,
        *,
        limit: int,
        order: AssistantOrder = AssistantOrder.NAME,
        descending: bool = False,
        after: AssistantPosition | None = None,
        graphs: Sequence[AssistantRecord] = (),
    ) -> list[AssistantRecord]:
        """Returns at most `limit` assistants, in the version that new runs get, in order.

        Args:
            which: Which.
            limit: How many.
            order: What to sort by.
            descending: Whether the last comes first.
            after: The last one of the page before.
            graphs: Those that are there without being kept: the first versions of built-in
                ones. What is kept of the same id comes in their place.
        """

    def count_assistants(
        self, which: AssistantFilter, *, graphs: Sequence[AssistantRecord] = ()
    ) -> int:
        """Returns how many assistants match; `graphs` as in `assistants`."""

    def assistant_versions(
        self,
        assistant_id: str,
        *,
        limit: int,
        metadata: str | None = None,
        below: int = 0,
        first: AssistantRecord | None = None,
    ) -> list[AssistantRecord]:
        """Returns at most `limit` versions of an assistant, the newest first.

        Args:
            assistant_id: The assistant.
            limit: How many.
            metadata: Only those whose metadata contains this JSON object (text); None: all.
            below: Only versions below this one; 0: all.
            first: Of a built-in one, the first version, which is there without being kept.
        """

    def threads_of_assistant(
        self, assistant_id: str, *, statuses: Sequence[ThreadStatus] = ()
    ) -> list[str]:
        """Returns the ids of an assistant's threads, those of stateless runs included.

        They have one of the statuses; (): any.
        """

    def active_runs_of_assistant(self, assistant_id: str) -> list[tuple[str, str]]:
        """Returns an assistant's runs that are PENDING or RUNNING, as (run_id, thread_id).

        Whose thread they are on is all the same.
        """


class AssistantKeeper(AssistantReader, Protocol):
    """Changes assistants."""

    def insert_assistant(self, assistant: AssistantRecord) -> None:
        """Adds an assistant with one version, which new runs get. The id must be new."""

    def add_assistant_version(self, assistant: AssistantRecord) -> None:
        """Adds a version of an assistant, which must be its newest; new runs get it."""

    def set_assistant_version(self, assistant_id: str, version: int) -> None:
        """Says which version of an assistant new runs get."""

    def keep_assistant(self, assistant_id: str) -> bool:
        """Keeps an assistant from being deleted, to the end of the transaction.

        Returns False if it is not there.
        """

    def delete_assistant(self, assistant_id: str) -> bool:
        """Deletes an assistant with its versions. Returns False if it was not there."""
