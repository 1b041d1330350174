"""Turns what a project names into graphs: graphs themselves, and factories of graphs."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from typing import Any, NamedTuple, TypeVar, cast

import structlog
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig
from langchain_core.runnables.base import RunnableBindingBase
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph_sdk.runtime import AccessContext, _ExecutionRuntime, _ReadRuntime
from pydantic import BaseModel

from graphwire_server.graphs.factory_signature import FactorySignature
from graphwire_server.graphs.load_errors import NotAGraphError
from graphwire_server.graphs.node_threads import graph_code, in_thread

AnyPregel = Pregel[Any, Any, Any, Any]

T = TypeVar("T")

_ACCEPTED = "a compiled graph, a StateGraph builder or an @entrypoint function"

_log = structlog.stdlib.get_logger("graphwire.graphs")


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """What a factory is called for.

    Attributes:
        access: What the graph will be used for.
        config: The config of the run, or an empty one.
        context: The context of the run, as it came; None outside of a run.
        store: The server's store.
    """

    access: AccessContext
    config: RunnableConfig
    context: object
    store: BaseStore


class Built(NamedTuple):
    """What a factory has made.

    Attributes:
        graph: The graph, as it came.
        scoped: True if it lives only as long as a context manager is held.
    """

    graph: AnyPregel
    scoped: bool


def as_graph(value: object) -> AnyPregel | None:
    """Returns the graph that a value is, compiled if it is a builder; None if it is none.

    A RunnableBinding that adds nothing but a config is what `with_config()` would give.

    Raises:
        NotAGraphError: It is a Runnable, but not a graph.
        ValueError: The builder can't be compiled.
    """
    if isinstance(value, Pregel):
        return value
    if isinstance(value, StateGraph):
        return value.compile()
    if isinstance(value, RunnableBindingBase) and isinstance(value.bound, Pregel):
        if type(value) is not RunnableBinding or value.kwargs or value.config_factories:
            raise NotAGraphError(
                f"it is a graph inside a {type(value).__name__} (of with_retry(), bind(), "
                "with_listeners() or the like); name the graph itself"
            )
        return value.bound.with_config(value.config)
    if isinstance(value, Runnable):
        raise NotAGraphError(
            f"it is of type {_type_name(value)}, not a graph; wanted is {_ACCEPTED}"
        )
    return None


class Factory:
    """A callable of the project that makes a graph."""

    def __init__(self, function: object) -> None:
        """Reads its signature.

        Raises:
            NotAGraphError: It can't be called, or wants what the server can't give.
        """
        if inspect.iscoroutine(function):
            function.close()
            raise NotAGraphError(
                "it is a coroutine; name the async function itself, the server calls it"
            )
        if not callable(function):
            raise NotAGraphError(
                f"it is of type {_type_name(function)}; wanted is {_ACCEPTED}, "
                "or a function that returns one"
            )
        self._function: Callable[..., object] = function
        self._signature = FactorySignature(function)

    @property
    def takes_arguments(self) -> bool:
        """Tells whether what it makes may depend on the call."""
        return bool(self._signature.roles)

    async def build(self, call: Call, resources: AsyncExitStack) -> Built:
        """Calls the factory; what it holds open is closed with `resources`.

        Anything that is not a coroutine may block, so it runs in a thread.

        Args:
            call: What it is called for.
            resources: Has to be closed by the same task.

        Raises:
            NotAGraphError: Something else than a graph came out.
            Exception: Whatever the factory raises.
        """
        bound = self._signature.arguments(
            {"config": _own_copy(call.config), "runtime": self._runtime(call)}
        )
        if inspect.iscoroutinefunction(self._function):
            made: object = self._function(*bound.args, **bound.kwargs)
        else:
            made = await _call(lambda: self._function(*bound.args, **bound.kwargs))
        if inspect.isawaitable(made):
            made = await cast("Awaitable[object]", made)
        if (graph := as_graph(made)) is not None:
            return Built(graph, scoped=False)
        context = _as_context(made)
        if context is not None:
            made = await resources.enter_async_context(context)
            if (graph := as_graph(made)) is not None:
                return Built(graph, scoped=True)
        raise NotAGraphError(
            f"the factory {'returned' if context is None else 'yielded'} "
            f"{'None' if made is None else f'a value of type {_type_name(made)}'}; "
            f"wanted is {_ACCEPTED}"
        )

    def _runtime(self, call: Call) -> object:
        user = call.config.get("configurable", {}).get("langgraph_auth_user")
        if call.access != "threads.create_run":
            return _ReadRuntime(access_context=call.access, store=call.store, user=user)
        return _ExecutionRuntime(
            access_context=call.access,
            store=call.store,
            user=user,
            context=_coerce_context(call.context, self._signature.context_type),
        )


def _own_copy(config: RunnableConfig) -> RunnableConfig:
    """Returns a copy that a factory may change, with the `configurable` that all expect."""
    return {**config, "configurable": dict(config.get("configurable") or {})}


def _coerce_context(context: object, context_type: type | None) -> object:
    """Returns a context as the type that a factory asks for, as langgraph does for nodes."""
    if (
        isinstance(context, Mapping)
        and context_type is not None
        and (dataclasses.is_dataclass(context_type) or issubclass(context_type, BaseModel))
    ):
        return context_type(**context)
    return context


def _as_context(value: object) -> AbstractAsyncContextManager[object] | None:
    if isinstance(value, AsyncGenerator):
        return contextlib.asynccontextmanager(lambda: value)()
    if isinstance(value, Generator):
        return _ThreadedContext(contextlib.contextmanager(lambda: value)())
    if isinstance(value, AbstractAsyncContextManager):
        return value
    if isinstance(value, AbstractContextManager):
        return _ThreadedContext(value)
    return None


class _ThreadedContext(AbstractAsyncContextManager[object]):
    """Enters and leaves a context manager in a thread, since both may block."""

    def __init__(self, context: AbstractContextManager[object]) -> None:
        self._context = context

    async def __aenter__(self) -> object:
        entering = asyncio.ensure_future(_call(self._context.__enter__))
        try:
            return await asyncio.shield(entering)
        except asyncio.CancelledError as cancelled:
            # The thread goes on and may enter yet; whoever enters has to leave.
            await asyncio.wait({entering})
            if entering.exception() is None:
                try:
                    await self.__aexit__(type(cancelled), cancelled, cancelled.__traceback__)
                except Exception:  # noqa: BLE001  # what ends this is the cancellation
                    _log.exception("factory_cleanup_failed")
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> bool | None:
        return await _call(lambda: self._context.__exit__(exc_type, exc, traceback))


async def _call(function: Callable[[], T]) -> T:
    with graph_code():
        return await in_thread(function)


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
