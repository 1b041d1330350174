"""Assistants and their versions: what is kept of one, and which are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from graphwire_server.storage.access import ALL, Access


@dataclass(frozen=True, slots=True)
class AssistantRecord:
    """One version of an assistant.

    Attributes:
        assistant_id: The assistant's id.
        graph_id: The graph that it runs.
        version: The version, from 1.
        name: For people.
        description: What it is for.
        metadata: A JSON object, as text.
        config: For its runs: a JSON object as text, of `recursion_limit`, `tags` and
            `configurable`.
        context: For its runs: a JSON object as text; None for none.
        breakpoints: For its runs: a JSON array as text, see `graphs.breakpoints`.
        create_time: When the assistant was created.
        update_time: When this version was made.
        built_in: Whether it is a graph of langgraph.json. Version 1 of it is what that says,
            and is not kept.
    """

    assistant_id: str
    graph_id: str
    version: int
    name: str
    create_time: int
    update_time: int
    description: str = ""
    metadata: str = "{}"
    config: str = "{}"
    context: str | None = None
    breakpoints: str = "[]"
    built_in: bool = False


@dataclass(frozen=True, slots=True)
class AssistantHead:
    """What is kept of an assistant besides its versions.

    Attributes:
        assistant_id: Its id.
        version: The version that new runs get.
        newest: The last version that was made.
        built_in: Whether it was a graph of langgraph.json when this was kept.
        create_time: When it was created.
    """

    assistant_id: str
    version: int
    newest: int
    built_in: bool
    create_time: int


class AssistantOrder(StrEnum):
    """What assistants are sorted by; the contract's `AssistantOrder` without its prefix.

    What is equal is sorted by id, in the same direction.
    """

    NAME = "NAME"
    ASSISTANT_ID = "ASSISTANT_ID"
    CREATE_TIME = "CREATE_TIME"
    UPDATE_TIME = "UPDATE_TIME"
    GRAPH_ID = "GRAPH_ID"


@dataclass(frozen=True, slots=True)
class AssistantFilter:
    """Which assistants; what is given must all be true.

    Attributes:
        graph_id: Of this graph; empty for any.
        name: Whose name contains this text, in upper or lower case; empty for any.
        metadata: Metadata that contains this JSON object (text), as in `ThreadFilter`; None
            for any.
        access: Those that the caller may see. The first versions of built-in ones are for all.
    """

    graph_id: str = ""
    name: str = ""
    metadata: str | None = None
    access: Access = ALL


@dataclass(frozen=True, slots=True)
class AssistantPosition:
    """A place in a sorted list of assistants: the last one already seen.

    Attributes:
        value: What it is sorted by: a text or a time.
        assistant_id: Its id.
    """

    value: str | int
    assistant_id: str
