"""The graphs of a project, loaded and ready to be opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph_sdk.runtime import AccessContext

from graphwire_server.graphs import schemas
from graphwire_server.graphs.checkpoint_types import TypeName
from graphwire_server.graphs.doors import DooredGraph, with_doors
from graphwire_server.graphs.factories import AnyPregel, Call, Factory, as_graph
from graphwire_server.graphs.failures import describe
from graphwire_server.graphs.langgraph_compat import copy_with
from graphwire_server.graphs.load_errors import GraphBuildError, NotAGraphError, load_error
from graphwire_server.graphs.loader import load_object
from graphwire_server.graphs.node_threads import graph_code
from graphwire_server.graphs.project import GraphSpec, Project
from graphwire_server.graphs.sources import is_project_file
from graphwire_server.storage.checkpoints.allowlist import OwnTypes, reachable_types

_log = structlog.stdlib.get_logger("graphwire.graphs")

_CHECK_HINT = "a factory is called once at the start, with an empty config and no context"


@dataclass(frozen=True, slots=True)
class Persistence:
    """What the server gives each graph in place of its own.

    Attributes:
        checkpointer: Keeps the threads of all graphs, whatever they were compiled with.
        store: For graphs that carry none, or an InMemoryStore without an index.
        types: The (module, name) of types that checkpoints may be read into, besides those
            that a graph's schemas reach.
        own_types: Those of the project's own modules.
    """

    checkpointer: BaseCheckpointSaver[Any]
    store: BaseStore
    types: frozenset[TypeName] = frozenset()
    own_types: OwnTypes = field(default_factory=lambda: OwnTypes(lambda file: False))

    def attach(self, graph: AnyPregel) -> AnyPregel:
        """Returns a copy of a graph with these; the graph itself stays as it is."""
        types = reachable_types(graph) | self.types | self.own_types.known()
        update: dict[str, Any] = {"checkpointer": self.checkpointer.with_allowlist(types)}
        if graph.store is None or _keeps_nothing_special(graph.store):
            update["store"] = self.store
        return copy_with(graph, update)


class LoadedGraph:
    """A graph of the project.

    Attributes:
        name: Its name in langgraph.json.
        description: What langgraph.json says about it; may be empty.
        load_time: When it was loaded (UTC).
    """

    def __init__(
        self, spec: GraphSpec, source: AnyPregel | Factory, persistence: Persistence
    ) -> None:
        """Makes it from a graph, or from a factory that is called for each use."""
        self.name = spec.name
        self.description = spec.description
        self.load_time = datetime.now(UTC)
        self._persistence = persistence
        self._source = source if isinstance(source, Factory) else persistence.attach(source)
        self._doored = None if isinstance(self._source, Factory) else with_doors(self._source)

    @property
    def dynamic(self) -> bool:
        """Tells whether the graph is made anew, and may differ, each time it is opened."""
        return isinstance(self._source, Factory)

    @property
    def input_schema(self) -> str | None:
        """Returns the JSON Schema of its input; None if it has none, or is made anew each time."""
        return None if isinstance(self._source, Factory) else schemas.describe(self._source).input

    @property
    def keeps_indexed_store(self) -> bool:
        """Tells whether it keeps an InMemoryStore for its index, which is lost with the process."""
        store = None if isinstance(self._source, Factory) else self._source.store
        return type(store) is InMemoryStore

    def doored(self, graph: AnyPregel) -> DooredGraph:
        """Returns a copy with doors of a graph that `open` has yielded."""
        return self._doored or with_doors(graph)

    @asynccontextmanager
    async def open(
        self, access: AccessContext, config: RunnableConfig, context: object = None
    ) -> AsyncIterator[AnyPregel]:
        """Yields the graph with the server's checkpointer and store.

        It may be shared by concurrent runs: change nothing in it. Enter and leave in the
        same task; what a factory holds open (connections, clients) is closed on leaving,
        and is shown the exception that ends the block, but can't swallow it.

        Args:
            access: What it will be used for; a factory may look at it.
            config: The config of the run; {} if there is none.
            context: The context of the run, for `threads.create_run`.

        Raises:
            GraphBuildError: The factory failed, in making the graph or in cleaning up.
        """
        if not isinstance(self._source, Factory):
            yield self._source
            return
        call = Call(access, config, context, self._persistence.store)
        failure: BaseException | None = None
        try:
            async with AsyncExitStack() as resources:
                built = await self._source.build(call, resources)
                graph = self._persistence.attach(built.graph)
                try:
                    yield graph
                except BaseException as error:
                    failure = error
                    raise
        except (Exception, SystemExit) as error:
            if failure is None:
                raise GraphBuildError(self.name, error) from error
            if error is not failure:
                failure.add_note(f"then the factory failed to clean up: {describe(error)}")
        if failure is not None:
            raise failure


class GraphRegistry:
    """All graphs of a project.

    Attributes:
        assistants_are_listed: Whether an error may name the assistants there are beside the
            graphs: not where some are for some callers only.
    """

    def __init__(self, graphs: Mapping[str, LoadedGraph]) -> None:
        """Makes it from graphs by name; `load` is what the server uses."""
        self._graphs = dict(graphs)
        self.assistants_are_listed = True

    @classmethod
    async def load(
        cls, project: Project, *, checkpointer: BaseCheckpointSaver[Any], store: BaseStore
    ) -> GraphRegistry:
        """Loads every graph of a prepared project, and calls each factory once.

        Args:
            project: One that `loader.prepare` has been called with.
            checkpointer: The server's: it replaces what the graphs carry.
            store: The server's: for graphs with none of their own.

        Raises:
            GraphLoadError: The first graph that can't be loaded, and where it fails.
        """
        roots = project.source_roots
        own = OwnTypes(lambda file: is_project_file(file, roots))
        persistence = Persistence(checkpointer, store, project.checkpoint_types, own)
        graphs = {
            spec.name: await _load(project, spec, persistence) for spec in project.graphs.values()
        }
        for name, loaded in graphs.items():
            if loaded.keeps_indexed_store:
                _log.warning(
                    "store_in_memory",
                    graph=name,
                    advice="Its InMemoryStore has an index, which the server's store has not, so "
                    "it stays: what it holds is lost with the process, and no other server has it.",
                )
        return cls(graphs)

    @property
    def names(self) -> tuple[str, ...]:
        """Returns the names of the graphs, sorted."""
        return tuple(sorted(self._graphs))

    def get(self, name: str) -> LoadedGraph | None:
        """Returns a graph by its name, or None."""
        return self._graphs.get(name)


def _keeps_nothing_special(store: BaseStore) -> bool:
    """Returns whether the server's store does what an InMemoryStore does, and keeps it.

    One with an index finds things by their meaning, which the server's does not.
    """
    return type(store) is InMemoryStore and not store.index_config


async def _load(project: Project, spec: GraphSpec, persistence: Persistence) -> LoadedGraph:
    # In a thread: modules that call asyncio.run() when they are imported are common.
    with graph_code():
        value = await asyncio.to_thread(load_object, project, spec)
    try:
        graph = as_graph(value)
        if graph is not None:
            return LoadedGraph(spec, graph, persistence)
        factory = Factory(value)
    except Exception as error:
        raise load_error(project, spec, error) from error
    try:
        return LoadedGraph(spec, await _check(factory, persistence), persistence)
    except (Exception, SystemExit) as error:
        hint = "" if isinstance(error, NotAGraphError) else _CHECK_HINT
        raise load_error(project, spec, error, hint=hint) from error


async def _check(factory: Factory, persistence: Persistence) -> AnyPregel | Factory:
    """Calls a factory; returns its graph if that will do for good, else the factory."""
    call = Call("assistants.read", {}, None, persistence.store)
    async with AsyncExitStack() as resources:
        built = await factory.build(call, resources)
        persistence.attach(built.graph)
    return factory if built.scoped or factory.takes_arguments else built.graph
