"""The operations of `client.assistants`."""

from __future__ import annotations

from graphwire import _convert as convert
from graphwire._calls import Call, Page, call, pages
from graphwire.v1 import assistants_pb2 as pb
from graphwire.values import Assistant, AssistantGraph, AssistantSchemas


def list_assistants(
    *, limit: int | None = None, page_size: int = 0, timeout: float | None = None
) -> Call[Page[Assistant]]:
    """Iterates over the assistants, by name, page by page.

    Args:
        limit: How many at the most, from 1; None: all.
        page_size: How many to fetch at once, at most 1000; 0: the server's default.
        timeout: The limit for each page in seconds; None: the client's default.
    """
    return pages(
        pb.ListAssistantsRequest(),
        pb.ListAssistantsResponse,
        lambda page: map(convert.assistant, page.assistants),
        limit=limit,
        page_size=page_size,
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
    """Returns the JSON Schemas of an assistant's input, output, state and context.

    Args:
        assistant_id: The assistant.
        timeout: The limit in seconds; None: the client's default.

    Raises:
        AssistantNotFoundError: There is no such assistant.
        GraphUnavailableError: Its graph could not be built.
    """
    request = pb.GetAssistantSchemasRequest(assistant_id=assistant_id)
    return call(request, pb.GetAssistantSchemasResponse, convert.assistant_schemas, timeout=timeout)
