"""Assistants: each graph of the project is one, of the same name."""

from __future__ import annotations

import difflib
from typing import Any

from graphwire import errors

from graphwire_server.graphs.registry import GraphRegistry, LoadedGraph
from graphwire_server.runs.inheritance import inherited
from graphwire_server.runs.request import RunSpec
from graphwire_server.storage.interface import Reader


def assistant_of(registry: GraphRegistry, assistant_id: str) -> LoadedGraph:
    """Returns an assistant's graph. Raises AssistantNotFoundError, which lists those there are."""
    loaded = registry.get(assistant_id)
    if loaded is None:
        names = ", ".join(registry.names)
        close = difflib.get_close_matches(assistant_id, registry.names, n=1)
        hint = f"did you mean {close[0]!r}? There are" if close else "there are"
        raise errors.AssistantNotFoundError(
            f"there is no assistant {assistant_id!r}; {hint}: {names}",
            metadata={"assistants": names},
            resource=("assistant", assistant_id),
        )
    return loaded


def last_configurable(db: Reader, thread_id: str) -> dict[str, Any] | None:
    """Returns the configurable values of a thread's last run; None before the first.

    What a factory makes of them is the graph to which the thread's state belongs.
    """
    last = inherited(db, thread_id)
    return RunSpec.from_json(last.spec).configurable if last else None
