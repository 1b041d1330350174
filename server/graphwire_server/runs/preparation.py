"""What a request for a run comes to: its assistant, and whether its graph can honour it."""

from __future__ import annotations

from dataclasses import dataclass

from graphwire_server.graphs.checks import (
    check_breakpoints,
    check_context,
    check_input,
    check_names,
    check_node,
    check_place,
    check_tags,
    check_update,
)
from graphwire_server.graphs.doors import unreachable_breakpoints
from graphwire_server.graphs.execution import open_config
from graphwire_server.graphs.langgraph_compat import AnyPregel, declared_nodes
from graphwire_server.graphs.registry import GraphRegistry
from graphwire_server.graphs.state import checkpoint_not_found, read_state
from graphwire_server.runs.adding_up import GraphFacts
from graphwire_server.runs.answer_checks import AnswerChecks, Checked
from graphwire_server.runs.assistants import (
    RunnableAssistant,
    last_spec,
    runnable,
    with_defaults,
)
from graphwire_server.runs.completion import Completion
from graphwire_server.runs.refusals import check_graph, thread_not_found
from graphwire_server.runs.request import CommandStart, InputStart, ResumeStart, RunRequest
from graphwire_server.storage.interface import Reader, Storage
from graphwire_server.storage.records import ThreadRecord


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that was checked.

    Attributes:
        request: The request.
        assistant: The assistant that it is for.
        facts: What its graph says.
        checked: What came of checking the answers of a resume.
    """

    request: RunRequest
    assistant: RunnableAssistant
    facts: GraphFacts
    checked: Checked


class Preparation:
    """Looks at requests for runs before anything of them is recorded."""

    def __init__(self, storage: Storage, registry: GraphRegistry, completion: Completion) -> None:
        """Takes where assistants and threads are, and the graphs of this server."""
        self._answers = AnswerChecks(storage, completion)
        self._storage = storage
        self._registry = registry

    async def prepare(self, request: RunRequest) -> Prepared:
        """Looks at a request for the assistant as it is now, and checks it against its graph."""
        assistant = await self._storage.read(
            lambda db: runnable(db, self._registry, request), short=True
        )
        request = with_defaults(request, assistant)
        facts = await self._check(request, assistant)
        return Prepared(request, assistant, facts, await self._answers.of(request))

    async def _check(self, request: RunRequest, assistant: RunnableAssistant) -> GraphFacts:
        """Checks what can be checked against the graph; returns what it says."""
        loaded = assistant.loaded
        check_tags(request.tags, "config.tags")
        configurable, context = request.configurable, request.context
        goes_on = not isinstance(request.start, InputStart)
        if goes_on and not (request.has_config and context is not None):
            last = await self._storage.read(
                lambda db: last_spec(db, request.thread_id, request.checkpoint_id), short=True
            )
            if last is not None:
                configurable = configurable if request.has_config else last.configurable
                context = last.context if context is None else context
        config = open_config(configurable, context)
        async with loaded.open("assistants.read", config) as graph:
            places = loaded.doored(graph).places
            check_names(places, request.interrupt_before, "interrupt_before")
            check_names(places, request.interrupt_after, "interrupt_after")
            check_breakpoints(places, request.breakpoints, "breakpoints")
            if request.resume is not None and request.resume.run_to:
                field = "resume" if isinstance(request.start, ResumeStart) else "command.resume"
                check_place(places, request.resume.run_to, f"{field}.run_to")
            if isinstance(request.start, InputStart):
                check_input(graph, request.start.value, "input")
            if isinstance(request.start, CommandStart):
                for index, (node, _) in enumerate(request.start.goto):
                    check_node(graph, node, f"command.goto[{index}].node")
                if request.start.update is not None:
                    check_update(graph, request.start.update.value, "command.update")
            if request.context is not None:
                check_context(graph, request.context, "context")
            next_there = None
            if request.checkpoint_id:
                next_there = await self._next_at(graph, request, assistant)
            return GraphFacts(
                compiled=places[()].compiled,
                stops_inside=any(place.compiled for path, place in places.items() if path),
                unreachable=unreachable_breakpoints(places),
                next_there=next_there,
                nodes=declared_nodes(graph),
                places=places,
            )

    async def _next_at(
        self, graph: AnyPregel, request: RunRequest, assistant: RunnableAssistant
    ) -> tuple[str, ...]:
        """Returns the nodes that come next at the request's checkpoint, which must exist."""

        def read(db: Reader) -> ThreadRecord | None:
            thread = db.thread(request.thread_id)
            if thread is not None:
                check_graph(db, thread, assistant.assistant_id, assistant.loaded.name)
            return thread

        thread = await self._storage.read(read, short=True)
        if thread is None:
            if request.thread_id and not request.create_thread:
                raise thread_not_found(request.thread_id)
            raise checkpoint_not_found(request.thread_id or "(new)", request.checkpoint_id)
        state = await read_state(graph, request.thread_id, checkpoint_id=request.checkpoint_id)
        return state.next
