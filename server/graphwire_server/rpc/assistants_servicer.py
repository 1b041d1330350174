"""The service `graphwire.v1.Assistants`: messages in, messages out."""

from __future__ import annotations

from typing import Any

from graphwire import errors
from graphwire.v1 import assistants_pb2 as pb
from graphwire.v1 import assistants_pb2_grpc

from graphwire_server.graphs.drawing import draw
from graphwire_server.graphs.langgraph_compat import static_breakpoints
from graphwire_server.graphs.registry import GraphRegistry, LoadedGraph
from graphwire_server.graphs.schemas import describe
from graphwire_server.rpc import validation
from graphwire_server.rpc.convert import assistant_message, payload
from graphwire_server.rpc.paging import PageTokens, page_size
from graphwire_server.runs.assistants import assistant_of

_MAX_DEPTH = 100


class AssistantsServicer(assistants_pb2_grpc.AssistantsServicer):
    """Serves Assistants."""

    def __init__(self, registry: GraphRegistry) -> None:
        """Takes the graphs of the project."""
        self._registry = registry

    async def ListAssistants(
        self, request: pb.ListAssistantsRequest, context: Any
    ) -> pb.ListAssistantsResponse:
        """Lists the assistants, by name."""
        tokens = PageTokens(request)
        size = page_size(request.page_size)
        place = tokens.read(request.page_token, str)
        names = [n for n in self._registry.names if place is None or n > place[0]]
        page = [assistant_of(self._registry, name) for name in names[:size]]
        return pb.ListAssistantsResponse(
            assistants=[await _assistant(loaded) for loaded in page],
            next_page_token=tokens.write(page[-1].name) if len(names) > size else "",
        )

    async def GetAssistant(
        self, request: pb.GetAssistantRequest, context: Any
    ) -> pb.GetAssistantResponse:
        """Returns an assistant."""
        return pb.GetAssistantResponse(assistant=await _assistant(self._named(request)))

    async def GetAssistantGraph(
        self, request: pb.GetAssistantGraphRequest, context: Any
    ) -> pb.GetAssistantGraphResponse:
        """Returns the drawing of an assistant's graph."""
        loaded = self._named(request)
        if not 0 <= request.depth <= _MAX_DEPTH:
            raise errors.InvalidFieldError(f"must be 0 to {_MAX_DEPTH}", field="depth")
        async with loaded.open("assistants.read", {}) as graph:
            drawing = await draw(graph, depth=request.depth)
        return pb.GetAssistantGraphResponse(
            nodes=[
                pb.GraphNode(
                    node_id=node.node_id,
                    name=node.name,
                    interrupt_before=node.interrupt_before,
                    interrupt_after=node.interrupt_after,
                )
                for node in drawing.nodes
            ],
            edges=[
                pb.GraphEdge(
                    source=edge.source,
                    target=edge.target,
                    label=edge.label,
                    conditional=edge.conditional,
                )
                for edge in drawing.edges
            ],
            mermaid=drawing.mermaid,
        )

    async def GetAssistantSchemas(
        self, request: pb.GetAssistantSchemasRequest, context: Any
    ) -> pb.GetAssistantSchemasResponse:
        """Returns the JSON Schemas of an assistant."""
        async with self._named(request).open("assistants.read", {}) as graph:
            schemas = describe(graph)
        return pb.GetAssistantSchemasResponse(
            input=payload(schemas.input),
            output=payload(schemas.output),
            state=payload(schemas.state),
            context=payload(schemas.context),
        )

    def _named(self, request: Any) -> LoadedGraph:
        name = validation.required(request.assistant_id, "assistant_id")
        return assistant_of(self._registry, name)


async def _assistant(loaded: LoadedGraph) -> pb.Assistant:
    async with loaded.open("assistants.read", {}) as graph:
        return assistant_message(loaded, *static_breakpoints(graph))
