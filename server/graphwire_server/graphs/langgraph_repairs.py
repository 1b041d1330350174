"""What is changed in langgraph itself while the server runs.

Each is something that nothing but the engine can do. langgraph is pinned to one minor version;
`tests/graphs/test_langgraph_repairs.py` proves each change against the installed one.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from langgraph._internal._constants import (
    CONF,
    CONFIG_KEY_CHECKPOINT_MAP,
    CONFIG_KEY_STREAM,
    NULL_TASK_ID,
    RESUME,
)
from langgraph.checkpoint.base import PendingWrite
from langgraph.pregel import _algo
from langgraph.pregel._io import read_channels
from langgraph.pregel._loop import AsyncPregelLoop, PregelLoop, SyncPregelLoop
from langgraph.types import _interrupt_id

from graphwire_server.graphs.langgraph_compat import (
    beginning,
    names_of,
    nodes_of,
    takes_one_value,
)
from graphwire_server.graphs.places import Namespace
from graphwire_server.graphs.stops import STOPPED_AFTER
from graphwire_server.storage.checkpoints.saver import Saver
from graphwire_server.storage.checkpoints.sink import current_sink


@dataclass(frozen=True, slots=True)
class GraphAtWork:
    """A graph that the engine is about to run, at any depth.

    Attributes:
        namespace: Where it runs.
        nodes: Its nodes.
        before: The breakpoints that the engine would stop at, before nodes; `*` for all.
        after: The same after nodes.
        checkpoint_id: The checkpoint that it runs from.
        metadata: The metadata of that checkpoint, if the graph goes on from there.
        loop: The engine's loop, which is not to be kept alive for that.
    """

    namespace: Namespace
    nodes: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    checkpoint_id: str
    metadata: Mapping[str, Any]
    loop: weakref.ref[PregelLoop]

    @property
    def at_work(self) -> bool:
        """Returns whether the engine still has it."""
        return self.loop() is not None

    def step(self) -> int:
        """Returns the number of the step that it is at."""
        loop = self.loop()
        return loop.step if loop is not None else 0

    def state(self) -> Any:
        """Returns its state as it is now."""
        loop = self.loop()
        return {} if loop is None else read_channels(loop.channels, loop.stream_keys)

    def input_of(self, task_id: str) -> Any:
        """Returns what a task of the step gets, or got."""
        loop = self.loop()
        task = loop.tasks.get(task_id) if loop is not None else None
        return None if task is None else task.input


TakesOver = Callable[[GraphAtWork], bool]
#: Returns the breakpoints met after the nodes of a step, by node, as they are stored.
EndsStep = Callable[[Namespace], Mapping[str, str]]
StopsAfter = Callable[[Namespace, str, Mapping[str, str]], None]


def prepare(takes_over: TakesOver, ends_step: EndsStep, stops_after: StopsAfter) -> None:
    """Makes langgraph fit to be used here; once a process is enough, and more do no harm.

    Args:
        takes_over: See `tell_of_graphs`.
        ends_step: See `tell_of_steps`.
        stops_after: See `tell_of_steps`.
    """
    make_sync_durability_total()
    make_answers_exact()
    make_error_handlers_run_once()
    make_later_commands_count()
    tell_of_graphs(takes_over)
    tell_of_steps(ends_step, stops_after)


class _NothingToWaitFor:
    """Stands for the future of a checkpoint that was never written."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield

    def result(self) -> None:
        return None


def make_sync_durability_total() -> None:
    """Makes `durability="sync"` work for graphs that write no checkpoints.

    A subgraph compiled with `checkpointer=False` never sets the attribute that sync
    durability waits for, and ends in an AttributeError. With a default on the class there
    is nothing to wait for, which is true.
    """
    for loop in (AsyncPregelLoop, SyncPregelLoop):
        if not hasattr(loop, "_put_checkpoint_fut"):
            loop._put_checkpoint_fut = _NothingToWaitFor()  # type: ignore[assignment]


#: Of no task.
_NO_WRITE: PendingWrite = ("", "", None)


def make_answers_exact() -> None:
    """Makes the engine give each answer to the question with its id, and to no other one.

    It also takes one for a task's first question as an answer to whichever question comes next,
    as for threads of older versions, whose questions all had the first one's id. Whether
    a question was answered can't always be known before: see `position`. And it looks for
    answers only where something is written already, and for one at a time, so a graph that
    keeps no checkpoints would ask again and again.
    """
    original = getattr(_algo._scratchpad, "__wrapped__", _algo._scratchpad)

    @functools.wraps(original)
    def exact(
        parent: Any,
        pending_writes: list[PendingWrite],
        task_id: str,
        namespace: str,
        answers: dict[str, Any] | None,
        *rest: Any,
    ) -> Any:
        if answers and any(write[:2] == (task_id, RESUME) for write in pending_writes):
            first = _interrupt_id(namespace, 0)
            answers = {key: answer for key, answer in answers.items() if key != first}
        writes = pending_writes or [_NO_WRITE] if answers else pending_writes
        scratchpad = original(parent, writes, task_id, namespace, answers, *rest)
        while answers:
            following = _interrupt_id(namespace, len(scratchpad.resume))
            if following not in answers:
                break
            scratchpad.resume.append(answers[following])
        return scratchpad

    _algo._scratchpad = exact  # type: ignore[assignment]


def make_error_handlers_run_once() -> None:
    """Makes a run that goes on take the result of an error handler that has finished.

    The engine hands kept results back to tasks before it finds out which handlers there are,
    and would run each of them again.
    """
    original = PregelLoop._resume_error_handlers_if_applicable
    resume = getattr(original, "__wrapped__", original)

    @functools.wraps(resume)
    def once(loop: PregelLoop) -> None:
        before = set(loop.tasks)
        resume(loop)
        handlers = {task_id: t for task_id, t in loop.tasks.items() if task_id not in before}
        loop._reapply_writes_to_succeeded_nodes(handlers)

    PregelLoop._resume_error_handlers_if_applicable = once  # type: ignore[assignment, method-assign]


def make_later_commands_count() -> None:
    """Makes a command's value take the place of an earlier command's.

    What commands update waits beside the thread's head until a step takes it in, and the engine
    applies all of it at once. A channel that takes one value a step would refuse the second,
    and with it all that is ever run on the thread again.
    """
    put = getattr(PregelLoop.put_writes, "__wrapped__", PregelLoop.put_writes)

    @functools.wraps(put)
    def replacing(
        loop: PregelLoop, task_id: str, writes: Sequence[tuple[str, Any]], *, cached: bool = False
    ) -> None:
        if task_id == NULL_TASK_ID:
            replaced = {c for c, _ in writes if takes_one_value(loop.specs.get(c))}
            loop.checkpoint_pending_writes = [
                w for w in loop.checkpoint_pending_writes if w[0] != task_id or w[1] not in replaced
            ]
        put(loop, task_id, writes, cached=cached)

    PregelLoop.put_writes = replacing  # type: ignore[assignment, method-assign]


def tell_of_graphs(takes_over: TakesOver) -> None:
    """Has a function hear of each graph that the engine runs, whoever calls it.

    Not all graphs can be found before: the code of a node may get one from anywhere. Where the
    function returns True, the engine looks at no breakpoint before a node.

    And has a graph with `checkpointer=True` that a node calls begin anew in each step, also in
    the first step of a run that goes on: see `beginning`.
    """
    first = getattr(PregelLoop._first, "__wrapped__", PregelLoop._first)

    @functools.wraps(first)
    def telling(loop: PregelLoop, **arguments: Any) -> set[str] | None:
        if _was_left_by_another_step(loop):
            loop.config = beginning(loop.config) or loop.config
        loaded = loop.checkpoint["id"]
        updated: set[str] | None = first(loop, **arguments)
        goes_on = loop.checkpoint["id"] == loaded
        graph = GraphAtWork(
            loop.checkpoint_ns,
            nodes_of(loop.nodes),
            names_of(loop.interrupt_before),
            names_of(loop.interrupt_after),
            loaded,
            loop.checkpoint_metadata if goes_on else {},
            weakref.ref(loop),
        )
        if takes_over(graph):
            loop.interrupt_before = ()
        return updated

    PregelLoop._first = telling  # type: ignore[assignment, method-assign]


def _was_left_by_another_step(loop: PregelLoop) -> bool:
    """Returns whether the checkpoint that a graph in a run has loaded is of an earlier step.

    Namespaces have the ids of tasks, except those of graphs with `checkpointer=True`.
    """
    configurable = loop.config[CONF]
    if not loop.is_nested or CONFIG_KEY_STREAM not in configurable or ":" in loop.checkpoint_ns[-1]:
        return False
    parents = loop.checkpoint_metadata.get("parents", {})
    return bool(parents != configurable.get(CONFIG_KEY_CHECKPOINT_MAP, {}))


def tell_of_steps(ends_step: EndsStep, stops_after: StopsAfter) -> None:
    """Has functions hear of each step that ends, of each graph that streams to the run.

    At once: the checkpointer is called later, with durability `async` when the next step has
    begun, and with `exit` when many have ended. What it is given says where the graph stops.

    The sink, if there is one, hears of each checkpoint that will be put: the engine tells of it
    before it is.

    And has a graph that keeps no checkpoints name them by their place, so that its tasks and
    questions have the same ids each time that it starts anew, as it does when a run goes on.

    Args:
        ends_step: Gets the namespace; returns the breakpoints met after the step's nodes.
        stops_after: If there are any, gets them, and the checkpoint in which the step has ended.
    """
    put = getattr(PregelLoop._put_checkpoint, "__wrapped__", PregelLoop._put_checkpoint)

    @functools.wraps(put)
    def telling(loop: PregelLoop, metadata: Any) -> None:
        # The last checkpoint of an `exit` is put with the metadata that it has already. A graph
        # that a node runs on another thread begins at a root of its own, and is none of ours.
        if metadata is loop.checkpoint_metadata or CONFIG_KEY_STREAM not in loop.config[CONF]:
            put(loop, metadata)
            return
        met = ends_step(loop.checkpoint_ns) if metadata["source"] == "loop" else {}
        if met:
            metadata[STOPPED_AFTER] = dict(met)
        put(loop, metadata)
        sink = current_sink.get()
        ours = isinstance(loop.checkpointer, Saver) and loop.durability != "exit"
        if sink is not None and ours:
            sink.promised(loop.checkpoint["id"])
        if loop.checkpointer is None and loop.is_nested:
            place = "|".join((*loop.checkpoint_ns, str(loop.step)))
            loop.checkpoint["id"] = str(uuid5(NAMESPACE_OID, place))
        if met:
            stops_after(loop.checkpoint_ns, loop.checkpoint["id"], met)

    PregelLoop._put_checkpoint = telling  # type: ignore[assignment, method-assign]
