"""What a caller may do: by whom threads belong to, or by the rules of the project."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol

import orjson
from graphwire import errors

from graphwire_server.auth.identity import ASSISTANTS_WRITE, THREADS_ALL, Identity
from graphwire_server.storage.access import ALL, Access

Resource = Literal["threads", "assistants"]
Action = Literal["create", "read", "update", "delete", "search", "create_run"]

#: Asks a project's rules: (identity, resource, action, value) to a filter, or None for all.
Ask = Callable[[Identity, str, str, dict[str, Any]], Awaitable[Mapping[str, Any] | None]]


class Policy(Protocol):
    """Decides what a caller may do.

    Attributes:
        reads_requests: Whether it looks at what is asked for, and may add to its metadata.
    """

    reads_requests: bool

    async def decide(
        self, identity: Identity, resource: Resource, action: Action, value: dict[str, Any]
    ) -> Access:
        """Returns to what he may do it.

        Args:
            identity: Who calls.
            resource: What it is about.
            action: What is to be done.
            value: What is asked for, in LangGraph's words; empty unless `reads_requests`.

        Raises:
            PermissionDeniedError: To nothing.
        """
        ...


class Ownership:
    """Everybody has his own threads, and uses all assistants."""

    reads_requests = False

    async def decide(
        self, identity: Identity, resource: Resource, action: Action, value: dict[str, Any]
    ) -> Access:
        """Returns the threads of the caller's owner, or all, as his permissions say."""
        if resource == "threads":
            return ALL if THREADS_ALL in identity.permissions else Access(owner=identity.owner)
        if action in ("create", "update", "delete") and (
            ASSISTANTS_WRITE not in identity.permissions
        ):
            raise errors.PermissionDeniedError(
                f"{identity.principal} may not {action} assistants: that takes the permission "
                f"{ASSISTANTS_WRITE!r}",
                metadata={"permission": ASSISTANTS_WRITE},
            )
        return ALL


class ProjectPolicy:
    """The `on` handlers of the project's `auth` object decide."""

    reads_requests = True

    def __init__(self, ask: Ask) -> None:
        """Takes what asks the handlers."""
        self._ask = ask

    async def decide(
        self, identity: Identity, resource: Resource, action: Action, value: dict[str, Any]
    ) -> Access:
        """Returns what the handler's filter lets pass."""
        found = await self._ask(identity, resource, action, value)
        return ALL if found is None else access_of(found)


def access_of(filter_: Mapping[str, Any]) -> Access:
    """Returns what a filter of LangGraph's lets pass.

    Each key of it is one of the metadata: with the value that must be there, by itself or under
    `$eq`, or, under `$contains`, with what must be in the list that is there. Under `$or` and
    `$and` are filters of which one must let it pass, or all.
    """
    equal: dict[str, Any] = {}
    lists: list[tuple[str, str]] = []
    choices: list[tuple[Access, ...]] = []
    for key, wanted in filter_.items():
        if key in ("$or", "$and") and isinstance(wanted, list):
            groups = tuple(map(access_of, wanted))
            choices += [groups] if key == "$or" else [(group,) for group in groups]
            continue
        if not isinstance(wanted, Mapping):
            equal[key] = wanted
            continue
        if "$eq" in wanted:
            equal[key] = wanted["$eq"]
        if "$contains" in wanted:
            elements = wanted["$contains"]
            elements = list(elements) if isinstance(elements, list | tuple) else [elements]
            lists.append((key, orjson.dumps(elements).decode()))
    return Access(
        metadata=orjson.dumps(equal).decode() if equal else "",
        lists=tuple(lists),
        # Where everything is a choice, nothing is chosen.
        choices=tuple(choice for choice in choices if ALL not in choice),
    )
