"""Assistants: what runs, with which settings.

Each graph of the project is an assistant of the same name, which is there without being kept:
its version 1 is what langgraph.json says. All other assistants, and further versions of these,
are in the database. A run keeps the graph and the version that it began with, so that nothing
which happens to the assistant meanwhile concerns it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson
from graphwire import errors

from graphwire_server import jsontext
from graphwire_server.graphs.breakpoints import Breakpoint, breakpoints_in
from graphwire_server.graphs.execution import with_context
from graphwire_server.graphs.registry import GraphRegistry, LoadedGraph
from graphwire_server.runs.inheritance import inherited_at
from graphwire_server.runs.request import InputStart, RunRequest, RunSpec
from graphwire_server.storage.interface import Reader, Storage, StorageError
from graphwire_server.storage.records import (
    AssistantFilter,
    AssistantOrder,
    AssistantRecord,
    Inheritance,
    RunRecord,
    ThreadRecord,
)

#: The metadata of a graph of langgraph.json, as LangGraph's own server has it.
BUILT_IN_METADATA = {"created_by": "system"}

#: How many assistants an error lists at the most.
_MOST_NAMED = 100


@dataclass(frozen=True, slots=True)
class Config:
    """An assistant's config for its runs: what the contract's `RunConfig` says.

    Attributes:
        recursion_limit: The most steps; 0: the server's default.
        tags: For traces and callbacks.
        configurable: The configurable values; None if there are none.
    """

    recursion_limit: int = 0
    tags: tuple[str, ...] = ()
    configurable: Mapping[str, Any] | None = None

    def to_json(self) -> str:
        """Returns it as JSON text, to be stored."""
        return jsontext.dumps(
            {
                "recursion_limit": self.recursion_limit,
                "tags": self.tags,
                "configurable": self.configurable,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Config:
        """Reads it back from `to_json`; from "{}" one that says nothing."""
        fields = orjson.loads(text)
        return cls(**{**fields, "tags": tuple(fields.get("tags", ()))})


@dataclass(frozen=True, slots=True)
class RunnableAssistant:
    """An assistant as one run has it.

    Attributes:
        assistant_id: Its id.
        version: The version.
        loaded: Its graph.
        breakpoints: Those for all of its runs; () if it goes on with one, which has them.
        config: Its config, for what the run does not say.
        context: Its context, for what the run does not say; None for none.
        kept: Whether it is in the database, from which it may be deleted meanwhile.
        continued_run_id: The run that is gone on with, and whose assistant this is, or another
            key of it (see `Inheritance.key`); empty if the run begins with the assistant as it
            is now.
    """

    assistant_id: str
    version: int
    loaded: LoadedGraph
    breakpoints: tuple[Breakpoint, ...] = ()
    config: Config = field(default_factory=Config)
    context: Mapping[str, Any] | None = None
    kept: bool = False
    continued_run_id: str = ""


# --- which assistant, which graph ---


def first_version(loaded: LoadedGraph) -> AssistantRecord:
    """Returns what langgraph.json says of a graph, as version 1 of its assistant."""
    load_time = microseconds(loaded.load_time)
    return AssistantRecord(
        assistant_id=loaded.name,
        graph_id=loaded.name,
        version=1,
        name=loaded.name,
        create_time=load_time,
        update_time=load_time,
        description=loaded.description,
        metadata=jsontext.dumps(BUILT_IN_METADATA),
        built_in=True,
    )


def first_versions(registry: GraphRegistry) -> list[AssistantRecord]:
    """Returns version 1 of every assistant that is a graph of langgraph.json."""
    graphs = (registry.get(name) for name in registry.names)
    return [first_version(loaded) for loaded in graphs if loaded is not None]


def find(
    db: Reader, registry: GraphRegistry, assistant_id: str, version: int = 0
) -> AssistantRecord | None:
    """Returns an assistant in a version, or None; 0: in the one that new runs get.

    What is kept of a graph that langgraph.json does not have any more is an assistant like any
    other: it is not built in. One that somebody has made is what its id means, also where a
    graph of that name has come into langgraph.json since; `graph_of` refuses to run it.
    """
    head = db.assistant_head(assistant_id)
    loaded = registry.get(assistant_id)
    if loaded is None or (head is not None and not head.built_in):
        record = db.assistant(assistant_id, version) if head is not None else None
        return replace(record, built_in=False) if record is not None else None
    wanted = version or (head.version if head is not None else 1)
    return first_version(loaded) if wanted == 1 else db.assistant(assistant_id, wanted)


def resolve(db: Reader, registry: GraphRegistry, assistant_id: str) -> AssistantRecord:
    """Returns an assistant in the version that new runs get.

    Raises:
        AssistantNotFoundError: There is none; the error lists those there are.
    """
    record = find(db, registry, assistant_id)
    if record is None:
        raise no_assistant(db, registry, assistant_id)
    return record


def graph_of(registry: GraphRegistry, assistant: AssistantRecord) -> LoadedGraph:
    """Returns the graph that an assistant runs.

    Raises:
        GraphUnavailableError: langgraph.json does not have it any more, or has come to have a
            graph with the name of an assistant that somebody made of another one: which of
            the two is meant, nobody can say.
    """
    clashing = registry.get(assistant.assistant_id)
    if clashing is not None and not assistant.built_in:
        raise errors.GraphUnavailableError(
            clash(assistant.assistant_id, assistant.graph_id),
            resource=("assistant", assistant.assistant_id),
        )
    return graph_named(registry, assistant.graph_id, f"assistant {assistant.assistant_id!r} runs")


def graph_named(registry: GraphRegistry, graph_id: str, whose: str) -> LoadedGraph:
    """Returns a graph that something in the database refers to.

    `whose` is the beginning of the error's text, such as "assistant 'a' runs".

    Raises:
        GraphUnavailableError: langgraph.json does not have it any more.
    """
    loaded = registry.get(graph_id)
    if loaded is None:
        raise errors.GraphUnavailableError(
            f"{whose} the graph {graph_id!r}, which langgraph.json does not have any more; it has: "
            f"{', '.join(registry.names)}",
            resource=("graph", graph_id),
        )
    return loaded


def clash(assistant_id: str, graph_id: str) -> str:
    """Returns what is wrong where a graph has come to have the name of an assistant."""
    return (
        f"langgraph.json has a graph {assistant_id!r}, and in the database there is an assistant "
        f"of that id, which somebody made of the graph {graph_id!r}: rename the graph, or delete "
        "the assistant"
    )


async def check_names(storage: Storage, registry: GraphRegistry) -> None:
    """Makes sure that no graph has the name of an assistant that somebody has made.

    Callers of either would silently be given the other one, without its breakpoints.

    Raises:
        StorageError: One has.
    """

    def check(db: Reader) -> None:
        for name in registry.names:
            head = db.assistant_head(name)
            if head is not None and not head.built_in:
                record = db.assistant(name)
                raise StorageError(clash(name, record.graph_id if record else "?"))

    await storage.read(check)


# --- what a thread and a run belong to ---


def graph_of_run(run: RunRecord | Inheritance, spec: RunSpec) -> str:
    """Returns the name of the graph that a run executes."""
    # Before there were others, an assistant was the graph of its name.
    return spec.graph_id or run.assistant_id


def loaded_of_run(
    registry: GraphRegistry, run: RunRecord | Inheritance, spec: RunSpec
) -> LoadedGraph:
    """Returns the graph that a run executes.

    Raises:
        GraphUnavailableError: langgraph.json does not have it any more.
    """
    return graph_named(registry, graph_of_run(run, spec), f"run {run.run_id} is of")


def graph_of_thread(db: Reader, thread: ThreadRecord) -> str:
    """Returns the name of the graph to which a thread's state belongs; "" if it has none yet."""
    if not thread.assistant_id:
        return ""  # also where all that has run was rolled back
    if thread.graph_id:
        return thread.graph_id
    assistant = db.assistant(thread.assistant_id)
    return assistant.graph_id if assistant is not None else thread.assistant_id


def to_open(
    db: Reader, registry: GraphRegistry, thread_id: str, assistant_id: str
) -> tuple[LoadedGraph, Mapping[str, Any] | None]:
    """Returns the graph of a thread's state, and what it finds in its config when it is opened.

    What a factory makes of that of the thread's last run is the graph to which the state
    belongs. `assistant_id` is the thread's, which may have been deleted, or, where nothing has
    run yet, that to which the state is to belong.

    Raises:
        AssistantNotFoundError: There is no such assistant.
        GraphUnavailableError: Its graph is not there any more.
    """
    thread = db.thread(thread_id)
    last = last_spec(db, thread_id)
    if thread is not None and thread.assistant_id == assistant_id:
        graph_id = graph_of_thread(db, thread)
        loaded = graph_named(registry, graph_id, f"the state of thread {thread_id} belongs to")
        assistant = find(db, registry, assistant_id) if last is None else None
    else:
        assistant = resolve(db, registry, assistant_id)
        loaded = graph_of(registry, assistant)
    if last is not None:
        return loaded, with_context(last.configurable, last.context)
    return loaded, None if assistant is None else values_of(assistant)


def values_of(assistant: AssistantRecord) -> dict[str, Any]:
    """Returns what an assistant's graph finds in its config."""
    context = None if assistant.context is None else orjson.loads(assistant.context)
    return with_context(Config.from_json(assistant.config).configurable, context)


def last_spec(db: Reader, thread_id: str, checkpoint_id: str = "") -> RunSpec | None:
    """Returns what a thread's last run had; None before the first.

    What a factory makes of its config and context is the graph to which the thread's state
    belongs; with a checkpoint, it is the run that is gone on with from there.
    """
    thread = db.thread(thread_id)
    last = inherited_at(db, thread, checkpoint_id) if thread is not None else None
    return RunSpec.from_json(last.spec) if last else None


# --- what a run has of its assistant ---


def runnable(db: Reader, registry: GraphRegistry, request: RunRequest) -> RunnableAssistant:
    """Returns the assistant that a request is to run.

    New input gets the one that it names, as it is now. What goes on with a run gets that of the
    run, in the version that the run had.

    Raises:
        AssistantNotFoundError, AssistantMismatchError, GraphUnavailableError,
        MissingFieldError, NothingToResumeError: There is none, or it is not the run's.
    """
    assistant_id = request.assistant_id
    goes_on = not isinstance(request.start, InputStart)
    thread = db.thread(request.thread_id) if goes_on and request.thread_id else None
    last = inherited_at(db, thread, request.checkpoint_id) if thread is not None else None
    if last is not None:
        if assistant_id and assistant_id != last.assistant_id:
            resolve(db, registry, assistant_id)
        check_continues(last, assistant_id, request.thread_id)
        return _of_run(db, registry, last)
    if not assistant_id and goes_on and request.thread_id:
        if thread is None:
            raise errors.ThreadNotFoundError(
                f"there is no thread {request.thread_id}", resource=("thread", request.thread_id)
            )
        assistant_id = thread.assistant_id
        if not assistant_id:
            raise errors.NothingToResumeError(
                f"nothing has run on thread {request.thread_id} yet",
                resource=("thread", request.thread_id),
            )
    if thread is not None and thread.checkpoint_id and assistant_id != thread.assistant_id:
        # Its state was made for that one, whose breakpoints hold.
        resolve(db, registry, assistant_id)
        raise errors.AssistantMismatchError(
            f"the state of thread {thread.thread_id} was made for assistant "
            f"{thread.assistant_id!r}; what goes on with it goes on as that one, and not as "
            f"{assistant_id!r}",
            metadata={"assistant_id": thread.assistant_id},
            resource=("thread", thread.thread_id),
        )
    if not assistant_id:
        raise errors.MissingFieldError(
            "name an assistant: " + ", ".join(registry.names), field="assistant_id"
        )
    assistant = resolve(db, registry, assistant_id)
    return RunnableAssistant(
        assistant_id=assistant_id,
        version=assistant.version,
        loaded=graph_of(registry, assistant),
        breakpoints=breakpoints_in(assistant.breakpoints),
        config=Config.from_json(assistant.config),
        context=_context(assistant),
        kept=not assistant.built_in,
    )


def assistant_of_thread(db: Reader, thread_id: str, checkpoint_id: str = "") -> str:
    """Returns the assistant as which what goes on with a thread goes on; "" if there is none.

    Raises:
        AssistantMismatchError: At this checkpoint nothing can go on, see `inherited_at`.
    """
    thread = db.thread(thread_id)
    if thread is None:
        return ""
    last = inherited_at(db, thread, checkpoint_id)
    return last.assistant_id if last is not None else thread.assistant_id


def check_continues(last: Inheritance, assistant_id: str, thread_id: str) -> None:
    """Raises AssistantMismatchError if an assistant, if any is named, is not that of a run."""
    if assistant_id and assistant_id != last.assistant_id:
        what = f"run {last.run_id}" if last.run_id else "what has run before"
        raise errors.AssistantMismatchError(
            f"what goes on with {what} goes on as assistant {last.assistant_id!r}, "
            f"and not as {assistant_id!r}; name that one, or none",
            metadata={"assistant_id": last.assistant_id},
            resource=("thread", thread_id),
        )


def with_defaults(request: RunRequest, assistant: RunnableAssistant) -> RunRequest:
    """Returns a request with what its assistant says where the request says nothing.

    A request that goes on with a run inherits, of config and of context, what it leaves out
    altogether: that run had them of the assistant already.
    """
    continues = bool(assistant.continued_run_id)
    if not continues or request.has_config:
        defaults = assistant.config
        configurable = request.configurable
        if defaults.configurable is not None:
            configurable = {**defaults.configurable, **(configurable or {})}
        request = replace(
            request,
            recursion_limit=request.recursion_limit or defaults.recursion_limit,
            tags=(*defaults.tags, *(tag for tag in request.tags if tag not in defaults.tags)),
            configurable=configurable,
            has_config=True,
        )
    if assistant.context is not None and not (continues and request.context is None):
        request = replace(request, context={**assistant.context, **(request.context or {})})
    return request


def _of_run(db: Reader, registry: GraphRegistry, run: Inheritance) -> RunnableAssistant:
    """Returns the assistant of a run, in the version that the run had."""
    spec = RunSpec.from_json(run.spec)
    # None if it was deleted meanwhile: then what the run has of it is all there is.
    assistant = find(db, registry, run.assistant_id, spec.assistant_version)
    return RunnableAssistant(
        assistant_id=run.assistant_id,
        version=spec.assistant_version,
        loaded=loaded_of_run(registry, run, spec),
        config=Config.from_json(assistant.config) if assistant is not None else Config(),
        context=_context(assistant) if assistant is not None else None,
        continued_run_id=run.key,
    )


def _context(assistant: AssistantRecord) -> dict[str, Any] | None:
    return None if assistant.context is None else orjson.loads(assistant.context)


def no_assistant(
    db: Reader, registry: GraphRegistry, assistant_id: str
) -> errors.AssistantNotFoundError:
    """Returns the error for an assistant that is not there; it lists those for all to see."""
    if not registry.assistants_are_listed:
        return assistant_not_found(assistant_id, registry.names)
    listed = db.assistants(
        AssistantFilter(),
        limit=_MOST_NAMED,
        order=AssistantOrder.ASSISTANT_ID,
        graphs=first_versions(registry),
    )
    return assistant_not_found(assistant_id, [each.assistant_id for each in listed])


def assistant_not_found(assistant_id: str, there: Sequence[str]) -> errors.AssistantNotFoundError:
    """Returns the error for an assistant that is not there; it lists those that are."""
    names = ", ".join(there)
    close = difflib.get_close_matches(assistant_id, there, n=1)
    hint = f"did you mean {close[0]!r}? There are" if close else "there are"
    return errors.AssistantNotFoundError(
        f"there is no assistant {assistant_id!r}; {hint}: {names}",
        metadata={"assistants": names},
        resource=("assistant", assistant_id),
    )


def microseconds(time: datetime) -> int:
    """Returns a time as it is stored."""
    return round(time.timestamp() * 1_000_000)
