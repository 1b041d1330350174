"""The operations of `client.assistants`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from graphwire import _convert as convert
from graphwire import _enums
from graphwire._breakpoints import breakpoint_list, breakpoint_messages
from graphwire._calls import Call, Page, call, new_request_id, pages
from graphwire._payload import encode_if_set
from graphwire._start import run_config
from graphwire.breakpoints import Breakpoint
from graphwire.enums import AssistantOrder, BreakpointSource, IfAssistantExists
from graphwire.start import RunConfig
from graphwire.v1 import assistants_pb2 as pb
from graphwire.v1 import run_pb2
from graphwire.values import Assistant, AssistantGraph, AssistantSchemas


def list_assistants(
    *,
    graph_id: str = "",
    name: str = "",
    metadata: Mapping[str, Any] | None = None,
    order_by: AssistantOrder | str | None = None,
    descending: bool = False,
    limit: int | None = None,
    page_size: int = 0,
    timeout: float | None = None,
) -> Call[Page[Assistant]]:
    """Iterates over the assistants, page by page. All conditions must be true.

    Args:
        graph_id: Only those of this graph; empty: of any.
        name: Only those whose name contains this text, in upper or lower case; empty: any.
        metadata: Only those whose metadata contains this object: each of its keys with an
            equal value, objects in it likewise.
        order_by: What to sort by; None: NAME.
        descending: Whether the last, or newest, comes first.
        limit: How many at the most, from 1; None: all.
        page_size: How many to fetch at once, at most 1000; 0: the server's default.
        timeout: The limit for each page in seconds; None: the client's default.
    """
    return pages(
        pb.ListAssistantsRequest(
            filter=_filter(graph_id, name, metadata),
            order_by=_enums.ASSISTANT_ORDER.write_if_set(order_by, "order_by"),
            descending=descending,
        ),
        pb.ListAssistantsResponse,
        lambda page: map(convert.assistant, page.assistants),
        limit=limit,
        page_size=page_size,
        timeout=timeout,
    )


def count_assistants(
    *,
    graph_id: str = "",
    name: str = "",
    metadata: Mapping[str, Any] | None = None,
    timeout: float | None = None,
) -> Call[int]:
    """Returns how many assistants `assistants.list` would list with the same conditions.

    Args:
        graph_id: As for `assistants.list`.
        name: As for `assistants.list`.
        metadata: As for `assistants.list`.
        timeout: The limit in seconds; None: the client's default.
    """
    request = pb.CountAssistantsRequest(filter=_filter(graph_id, name, metadata))
    return call(request, pb.CountAssistantsResponse, lambda r: r.count, timeout=timeout)


def create_assistant(
    graph_id: str,
    assistant_id: str = "",
    *,
    name: str = "",
    description: str = "",
    config: RunConfig | None = None,
    context: Any = None,
    metadata: Mapping[str, Any] | None = None,
    breakpoints: str | Breakpoint | Iterable[str | Breakpoint] = (),
    if_exists: IfAssistantExists | str | None = None,
    request_id: str | None = None,
    timeout: float | None = None,
) -> Call[Assistant]:
    """Creates an assistant: a graph with settings for its runs.

    Args:
        graph_id: The graph, as named in `langgraph.json`.
        assistant_id: Its id: 1 to 128 letters, digits and "-_.:", beginning with a letter or
            digit; empty: the server chooses a UUID.
        name: For people; empty: the id, if one is given; else "Untitled".
        description: What it is for.
        config: For its runs: a run's own recursion limit and configurable values win, tags
            add up.
        context: For its runs, a JSON object: the keys that a run gives win.
        metadata: A JSON object for your own use.
        breakpoints: For all of its runs, none of which can drop them: each a `Breakpoint`, or
            the name of a node to pause before.
        if_exists: What to do if the id is taken: REJECT (the default) or RETURN, which
            returns that assistant as it is.
        request_id: Makes the call safe to repeat; None: the client makes one.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        AssistantExistsError: The id is taken.
        AssistantNotFoundError: There is no such graph.
        InvalidArgumentError: Something is malformed, or a breakpoint does not fit the graph
            (`UnknownNodeError`, `InvalidConditionError`).
        UnsupportedBreakpointError: A pause at a breakpoint could never be resumed.
    """
    request = pb.CreateAssistantRequest(
        assistant_id=assistant_id,
        graph_id=graph_id,
        name=name,
        description=description,
        config=_config(config),
        context=encode_if_set(context, "context"),
        metadata=encode_if_set(metadata, "metadata"),
        breakpoints=breakpoint_messages(breakpoints, "breakpoints", own=BreakpointSource.ASSISTANT),
        if_exists=_enums.IF_ASSISTANT_EXISTS.write_if_set(if_exists, "if_exists"),
        request_id=new_request_id(request_id),
    )
    return call(
        request,
        pb.CreateAssistantResponse,
        lambda r: convert.assistant(r.assistant),
        timeout=timeout,
    )


def update_assistant(
    assistant_id: str,
    *,
    graph_id: str = "",
    name: str | None = None,
    description: str | None = None,
    config: RunConfig | None = None,
    context: Any = None,
    metadata: Mapping[str, Any] | None = None,
    breakpoints: str | Breakpoint | Iterable[str | Breakpoint] | None = None,
    request_id: str | None = None,
    timeout: float | None = None,
) -> Call[Assistant]:
    """Changes an assistant: makes a new version, which new runs get, and returns it.

    What is not given stays. Runs that have begun, and what continues them, keep their version.

    Args:
        assistant_id: The assistant.
        graph_id: Another graph; empty: the same. Not for a graph of `langgraph.json`.
        name: Another name.
        description: Another description.
        config: Config in place of the one it has; `{}` for none.
        context: Context in place of the one it has.
        metadata: Merged into its metadata (JSON merge patch).
        breakpoints: Breakpoints in place of those it has; `()` for none.
        request_id: Makes the call safe to repeat; None: the client makes one.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        AssistantNotFoundError: There is no such assistant, or no such graph.
        AssistantBuiltInError: A graph of `langgraph.json` can't be given another graph.
        InvalidArgumentError: As for `assistants.create`, or nothing is given.
        UnsupportedBreakpointError: As for `assistants.create`.
    """
    request = pb.UpdateAssistantRequest(
        assistant_id=assistant_id,
        graph_id=graph_id,
        name=name,
        description=description,
        config=_config(config),
        context=encode_if_set(context, "context"),
        metadata=encode_if_set(metadata, "metadata"),
        breakpoints=breakpoint_list(breakpoints, "breakpoints", own=BreakpointSource.ASSISTANT),
        request_id=new_request_id(request_id),
    )
    return call(
        request,
        pb.UpdateAssistantResponse,
        lambda r: convert.assistant(r.assistant),
        timeout=timeout,
    )


def delete_assistant(
    assistant_id: str, *, delete_threads: bool = False, timeout: float | None = None
) -> Call[None]:
    """Deletes an assistant with its versions. Threads that stay can still be read.

    Args:
        assistant_id: The assistant.
        delete_threads: Delete its threads as well.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        AssistantNotFoundError: There is no such assistant.
        AssistantBuiltInError: It is a graph of `langgraph.json`.
        AssistantInUseError: A run of it is queued or executes; a thread of it is busy or, unless
            threads are deleted, paused; or such a thread has runs of another one in the queue.
    """
    request = pb.DeleteAssistantRequest(assistant_id=assistant_id, delete_threads=delete_threads)
    return call(
        request, pb.DeleteAssistantResponse, lambda _: None, repeatable=False, timeout=timeout
    )


def list_assistant_versions(
    assistant_id: str,
    *,
    metadata: Mapping[str, Any] | None = None,
    limit: int | None = None,
    page_size: int = 0,
    timeout: float | None = None,
) -> Call[Page[Assistant]]:
    """Iterates over the versions of an assistant, the newest first, page by page.

    Args:
        assistant_id: The assistant.
        metadata: Only versions whose metadata contains this object; None: all.
        limit: How many at the most, from 1; None: all.
        page_size: How many to fetch at once, at most 1000; 0: the server's default.
        timeout: The limit for each page in seconds; None: the client's default.

    Raises:
        AssistantNotFoundError: There is no such assistant.
    """
    return pages(
        pb.ListAssistantVersionsRequest(
            assistant_id=assistant_id, metadata=encode_if_set(metadata, "metadata")
        ),
        pb.ListAssistantVersionsResponse,
        lambda page: map(convert.assistant, page.versions),
        limit=limit,
        page_size=page_size,
        timeout=timeout,
    )


def set_latest_assistant_version(
    assistant_id: str, version: int, *, timeout: float | None = None
) -> Call[Assistant]:
    """Makes a version there is the one that new runs get, and returns the assistant.

    Args:
        assistant_id: The assistant.
        version: The version, from 1.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        AssistantNotFoundError: There is no such assistant, or it has no such version.
    """
    request = pb.SetLatestAssistantVersionRequest(assistant_id=assistant_id, version=version)
    return call(
        request,
        pb.SetLatestAssistantVersionResponse,
        lambda r: convert.assistant(r.assistant),
        repeatable=False,
        timeout=timeout,
    )


def get_assistant(assistant_id: str, *, timeout: float | None = None) -> Call[Assistant]:
    """Returns an assistant.

    Args:
        assistant_id: The assistant.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        AssistantNotFoundError: There is none; the error lists those there are.
    """
    request = pb.GetAssistantRequest(assistant_id=assistant_id)
    return call(
        request,
        pb.GetAssistantResponse,
        lambda r: convert.assistant(r.assistant),
        timeout=timeout,
    )


def get_assistant_graph(
    assistant_id: str, *, depth: int = 0, timeout: float | None = None
) -> Call[AssistantGraph]:
    """Returns the drawing of an assistant's graph: nodes, edges, Mermaid text.

    Args:
        assistant_id: The assistant.
        depth: How many levels of subgraphs to open; 0: none.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        AssistantNotFoundError: There is no such assistant.
        GraphUnavailableError: Its graph could not be built.
    """
    request = pb.GetAssistantGraphRequest(assistant_id=assistant_id, depth=depth)
    return call(request, pb.GetAssistantGraphResponse, convert.assistant_graph, timeout=timeout)


def get_assistant_schemas(
    assistant_id: str, *, timeout: float | None = None
) -> Call[AssistantSchemas]:
    """Returns the JSON Schemas of an assistant's input, output, state and so on.

    Args:
        assistant_id: The assistant.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        AssistantNotFoundError: There is no such assistant.
        GraphUnavailableError: Its graph could not be built.
    """
    request = pb.GetAssistantSchemasRequest(assistant_id=assistant_id)
    return call(request, pb.GetAssistantSchemasResponse, convert.assistant_schemas, timeout=timeout)


def _filter(graph_id: str, name: str, metadata: Mapping[str, Any] | None) -> pb.AssistantFilter:
    return pb.AssistantFilter(
        graph_id=graph_id, name=name, metadata=encode_if_set(metadata, "filter.metadata")
    )


def _config(config: RunConfig | None) -> run_pb2.RunConfig | None:
    return None if config is None else run_config(config, "config")
