"""The service `graphwire.v1.Assistants`: messages in, messages out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from graphwire import errors
from graphwire.v1 import assistants_pb2 as pb
from graphwire.v1 import assistants_pb2_grpc, breakpoint_pb2

from graphwire_server import jsontext
from graphwire_server.graphs.breakpoints import Breakpoint, BreakpointSource
from graphwire_server.graphs.drawing import draw
from graphwire_server.graphs.execution import open_config
from graphwire_server.graphs.schemas import describe
from graphwire_server.rpc import validation
from graphwire_server.rpc.answer_size import current_answer
from graphwire_server.rpc.breakpoints import read_breakpoints
from graphwire_server.rpc.convert import assistant_message, payload
from graphwire_server.rpc.paging import Pages, PageTokens
from graphwire_server.rpc.payloads import PayloadCodec
from graphwire_server.rpc.principal import current_caller
from graphwire_server.rpc.request_keys import request_key
from graphwire_server.rpc.run_requests import RunRequestReader
from graphwire_server.runs.assistant_service import (
    AssistantChange,
    AssistantService,
    NewAssistant,
)
from graphwire_server.runs.assistants import Config
from graphwire_server.storage.records import AssistantFilter, AssistantOrder, AssistantPosition

_MAX_DEPTH = 100
_MAX_NAME = 256
_MAX_DESCRIPTION = 4096
_UNTITLED = "Untitled"

#: What assistants are sorted by, by the field that the order names.
_TIMES = (AssistantOrder.CREATE_TIME, AssistantOrder.UPDATE_TIME)


class AssistantsServicer(assistants_pb2_grpc.AssistantsServicer):
    """Serves Assistants."""

    def __init__(
        self,
        assistants: AssistantService,
        reader: RunRequestReader,
        codec: PayloadCodec,
        pages: Pages,
    ) -> None:
        """Takes the service behind the RPCs."""
        self._pages = pages
        self._assistants = assistants
        self._reader = reader
        self._codec = codec

    async def ListAssistants(
        self, request: pb.ListAssistantsRequest, context: Any
    ) -> pb.ListAssistantsResponse:
        """Lists assistants."""
        tokens = PageTokens(request)
        size = self._pages.size(request.page_size)
        name = validation.enum_name(pb.AssistantOrder, request.order_by, "ASSISTANT_ORDER_")
        order = AssistantOrder(name or "NAME")
        place = tokens.read(request.page_token, int if order in _TIMES else str, str)
        views = await self._assistants.list(
            self._filter(request.filter),
            limit=size + 1,
            order=order,
            descending=request.descending,
            after=AssistantPosition(*place) if place else None,
        )
        assistants, more = current_answer().page(views, size, assistant_message)
        last = views[len(assistants) - 1].assistant if more else None
        return pb.ListAssistantsResponse(
            assistants=assistants,
            next_page_token=tokens.write(getattr(last, order.value.lower()), last.assistant_id)
            if last
            else "",
        )

    async def CountAssistants(
        self, request: pb.CountAssistantsRequest, context: Any
    ) -> pb.CountAssistantsResponse:
        """Counts assistants."""
        count = await self._assistants.count(self._filter(request.filter))
        return pb.CountAssistantsResponse(count=count)

    async def GetAssistant(
        self, request: pb.GetAssistantRequest, context: Any
    ) -> pb.GetAssistantResponse:
        """Returns an assistant."""
        view = await self._assistants.get(_assistant_id(request))
        return pb.GetAssistantResponse(assistant=assistant_message(view))

    async def CreateAssistant(
        self, request: pb.CreateAssistantRequest, context: Any
    ) -> pb.CreateAssistantResponse:
        """Creates an assistant."""
        config, context_ = self._reader.settings(request)
        new = NewAssistant(
            assistant_id=validation.optional_name(request.assistant_id, "assistant_id"),
            graph_id=validation.required(request.graph_id, "graph_id"),
            name=_text(request.name, "name", most=_MAX_NAME) or request.assistant_id or _UNTITLED,
            description=_text(request.description, "description", most=_MAX_DESCRIPTION),
            config=config or Config(),
            context=context_,
            metadata=self._metadata(request) or {},
            breakpoints=_breakpoints(request.breakpoints, "breakpoints"),
        )
        returns = request.if_exists == pb.IF_ASSISTANT_EXISTS_RETURN
        meaning = {
            **asdict(new),
            "breakpoints": _meaning(request.breakpoints, new.breakpoints),
            "return": returns,
        }
        view = await self._assistants.create(
            new,
            return_existing=returns,
            key=request_key("CreateAssistant", request.request_id, meaning),
            access=current_caller().access,
        )
        return pb.CreateAssistantResponse(assistant=assistant_message(view))

    async def UpdateAssistant(
        self, request: pb.UpdateAssistantRequest, context: Any
    ) -> pb.UpdateAssistantResponse:
        """Changes an assistant."""
        assistant_id = _assistant_id(request)
        config, context_ = self._reader.settings(request)
        breakpoints = None
        given: Sequence[breakpoint_pb2.Breakpoint] = request.breakpoints.breakpoints
        if request.HasField("breakpoints"):
            breakpoints = _breakpoints(given, "breakpoints.breakpoints")
        change = AssistantChange(
            graph_id=request.graph_id or None,
            name=_text(request.name, "name", most=_MAX_NAME) or _UNTITLED
            if request.HasField("name")
            else None,
            description=_text(request.description, "description", most=_MAX_DESCRIPTION)
            if request.HasField("description")
            else None,
            config=config,
            context=context_,
            metadata=self._metadata(request),
            breakpoints=breakpoints,
        )
        if change.empty:
            raise errors.MissingFieldError(
                "required: what to change, of graph_id, name, description, config, context, "
                "metadata and breakpoints",
                field="name",
            )
        meaning = {
            **asdict(change),
            "assistant_id": assistant_id,
            "breakpoints": None if breakpoints is None else _meaning(given, breakpoints),
        }
        view = await self._assistants.update(
            assistant_id,
            change,
            key=request_key("UpdateAssistant", request.request_id, meaning),
        )
        return pb.UpdateAssistantResponse(assistant=assistant_message(view))

    async def DeleteAssistant(
        self, request: pb.DeleteAssistantRequest, context: Any
    ) -> pb.DeleteAssistantResponse:
        """Deletes an assistant."""
        await self._assistants.delete(
            _assistant_id(request),
            delete_threads=request.delete_threads,
            sees=current_caller().sees,
        )
        return pb.DeleteAssistantResponse()

    async def ListAssistantVersions(
        self, request: pb.ListAssistantVersionsRequest, context: Any
    ) -> pb.ListAssistantVersionsResponse:
        """Lists the versions of an assistant."""
        assistant_id = _assistant_id(request)
        tokens = PageTokens(request)
        size = self._pages.size(request.page_size)
        place = tokens.read(request.page_token, int)
        metadata = self._object(request)
        views = await self._assistants.versions(
            assistant_id,
            metadata=None if metadata is None else jsontext.dumps(metadata),
            limit=size + 1,
            below=place[0] if place else 0,
        )
        versions, more = current_answer().page(views, size, assistant_message)
        return pb.ListAssistantVersionsResponse(
            versions=versions,
            next_page_token=tokens.write(versions[-1].version) if more else "",
        )

    async def SetLatestAssistantVersion(
        self, request: pb.SetLatestAssistantVersionRequest, context: Any
    ) -> pb.SetLatestAssistantVersionResponse:
        """Makes a version the one that new runs get."""
        assistant_id = _assistant_id(request)
        if not request.version:
            raise errors.MissingFieldError("required: a version, from 1", field="version")
        if request.version < 0:
            raise errors.InvalidFieldError("must be 1 or more", field="version")
        view = await self._assistants.set_latest(assistant_id, request.version)
        return pb.SetLatestAssistantVersionResponse(assistant=assistant_message(view))

    async def GetAssistantGraph(
        self, request: pb.GetAssistantGraphRequest, context: Any
    ) -> pb.GetAssistantGraphResponse:
        """Returns the drawing of an assistant's graph."""
        loaded, configurable = await self._assistants.graph(_assistant_id(request))
        if not 0 <= request.depth <= _MAX_DEPTH:
            raise errors.InvalidFieldError(f"must be 0 to {_MAX_DEPTH}", field="depth")
        async with loaded.open("assistants.read", open_config(configurable)) as graph:
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
        loaded, configurable = await self._assistants.graph(_assistant_id(request))
        async with loaded.open("assistants.read", open_config(configurable)) as graph:
            schemas = describe(graph)
        return pb.GetAssistantSchemasResponse(
            input=payload(schemas.input),
            output=payload(schemas.output),
            state=payload(schemas.state),
            context=payload(schemas.context),
            # LangGraph has one schema for both: what was the config's is the context's now.
            config=payload(schemas.context),
        )

    def _filter(self, message: pb.AssistantFilter) -> AssistantFilter:
        metadata = self._object(message, "filter.metadata")
        return AssistantFilter(
            graph_id=message.graph_id,
            name=validation.text(message.name, "filter.name", most=_MAX_NAME),
            metadata=None if metadata is None else jsontext.dumps(metadata),
            access=current_caller().access,
        )

    def _metadata(self, message: Any) -> dict[str, Any] | None:
        """Returns the metadata to be kept; None if the message has none."""
        if not message.HasField("metadata"):
            return None
        return self._codec.read_metadata(message.metadata)

    def _object(self, message: Any, field: str = "metadata") -> dict[str, Any] | None:
        """Returns the metadata of a message; None if it has none."""
        if not message.HasField("metadata"):
            return None
        return self._codec.read_object(message.metadata, field)


def _assistant_id(request: Any) -> str:
    return validation.required(request.assistant_id, "assistant_id")


def _text(value: str, field: str, *, most: int) -> str:
    """Returns a text for people."""
    if "\0" in value:
        raise errors.InvalidFieldError("must not have the character NUL in it", field=field)
    return validation.text(value, field, most=most)


def _breakpoints(given: Sequence[breakpoint_pb2.Breakpoint], field: str) -> tuple[Breakpoint, ...]:
    return read_breakpoints(given, field, BreakpointSource.ASSISTANT)


def _meaning(
    given: Sequence[breakpoint_pb2.Breakpoint], read: Sequence[Breakpoint]
) -> list[dict[str, Any]]:
    """Returns breakpoints to be compared: without the ids that the server has chosen."""
    return [
        {**asdict(each), "breakpoint_id": message.breakpoint_id}
        for message, each in zip(given, read, strict=True)
    ]
