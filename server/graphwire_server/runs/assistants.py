"""Assistants: each graph of the project is one, of the same name."""

from __future__ import annotations

from graphwire import errors

from graphwire_server.graphs.registry import GraphRegistry, LoadedGraph


def assistant_of(registry: GraphRegistry, assistant_id: str) -> LoadedGraph:
    """Returns an assistant's graph. Raises AssistantNotFoundError, which lists those there are."""
    loaded = registry.get(assistant_id)
    if loaded is None:
        names = ", ".join(registry.names)
        raise errors.AssistantNotFoundError(
            f"there is no assistant {assistant_id!r}; there are: {names}",
            metadata={"assistants": names},
            resource=("assistant", assistant_id),
        )
    return loaded
