"""Takes what a graph streams at the moment the engine makes it, and turns it into events.

The engine streams what a task wrote right after it has handed it to the checkpointer, and the
values of a step right before its checkpoint. Taken at once, and in order, an event can be kept
in the same transaction as what it tells of. (`astream` hands the same parts out later.)
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from graphwire.v1 import run_event_pb2 as pb

from graphwire_server.graphs import langgraph_compat as compat
from graphwire_server.graphs.messages import messages_in
from graphwire_server.graphs.places import Namespace, Task, namespace_of
from graphwire_server.graphs.position import Waiting, checkpoint_id_of, question
from graphwire_server.graphs.translate import StreamPart, Translator, payload

T = TypeVar("T")


class Announced(Protocol):
    """Hears of each task of a step before it starts; `gate.Gate` is it."""

    def announce(self, task: Task) -> bool:
        """Returns whether the task will come to a door.

        Raises:
            GraphInterrupt: The step must not start.
        """


class Events(Protocol):
    """Where events go; the run's journal."""

    def append(self, event: pb.RunEvent) -> None:
        """Adds an event."""

    def step_starts(self, namespace: Namespace) -> None:
        """Notes that a step is about to start in a namespace."""

    def engine_stopped(self) -> None:
        """Notes that no step and no checkpoint follows."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the events of earlier attempts at a run have told.

    Attributes:
        results: The nodes that have finished, of the step it goes on with, by namespace.
        checkpoints: The ids of the checkpoints of that step.
    """

    results: Mapping[Namespace, tuple[str, ...]]
    checkpoints: frozenset[str]


class Tap:
    """The stream of one execution.

    Attributes:
        paused: Whether the engine stopped before its end.
        failed: The first task that failed, (node, namespace); empty if none has.
        asked: What was asked, by LangGraph's id, and by which task.
    """

    def __init__(
        self,
        events: Events,
        *,
        modes: frozenset[str],
        subgraphs: bool,
        told: Told | None,
    ) -> None:
        """Makes the tap. To be called on the event loop that the graph runs on.

        Args:
            events: Where the events go.
            modes: LangGraph's names of the modes that are wanted.
            subgraphs: Whether events of subgraphs are wanted.
            told: For a further attempt at a run, what its events have told already. Else None.
        """
        self.paused = False
        self.failed: tuple[str, Namespace] = ("", ())
        self.asked: dict[str, Waiting] = {}
        self._events = events
        self._modes = modes
        self._subgraphs = subgraphs
        self._translator = Translator()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._gate: Announced | None = None
        self._starting: dict[str, StreamPart] = {}
        self._held: StreamPart | None = None
        self._inner_messages: set[str | None] = set()
        self._told = told
        results = told.results.items() if told is not None else ()
        self._repeated = {namespace: Counter(names) for namespace, names in results}
        self._stepped: set[Namespace] = set()

    @property
    def engine_modes(self) -> frozenset[str]:
        """The modes that the engine is asked for: `updates` tell of a stop, `tasks` of steps."""
        return self._modes | {"updates", "tasks"}

    def connect(self, gate: Announced) -> None:
        """Sets who hears of steps."""
        self._gate = gate

    def take(self, streamed: tuple[Namespace, str, Any]) -> None:
        """Takes a part (namespace, mode, data) from the engine, on any thread.

        Raises:
            GraphInterrupt: It announces a step that must not start.
        """
        namespace, kind, data = streamed
        part: StreamPart = {"type": kind, "ns": namespace, "data": data}
        take = self._take
        if kind == "tasks" and "input" in data:
            self._on_loop(self._events.step_starts, namespace)
        if kind == "tasks" and "input" in data and self._gate is not None:
            comes_to_a_door = self._gate.announce(Task(data["id"], data["name"], namespace))
            take = self._await_door if comes_to_a_door else self._take
        self._on_loop(take, part)

    def write(self, value: Any) -> None:
        """Takes what a node writes to its stream writer, on any thread."""
        if "custom" in self._modes:
            namespace = namespace_of(compat.current_namespace())[:-1]
            # Put into words here: the node may change it right after, on its own thread.
            part = {"type": "custom", "ns": namespace, "data": payload(value)}
            self._on_loop(self._take, part)

    def begin(self, task_id: str) -> None:
        """Tells that an announced task begins."""
        part = self._starting.pop(task_id, None)
        if part is not None:
            self._emit(part)

    def finish(self) -> None:
        """Tells what was kept back, when the engine has stopped."""
        if self._held is not None:
            self._emit(self._held)
            self._held = None
        self._events.engine_stopped()

    def _on_loop(self, take: Callable[[T], None], taken: T) -> None:
        if threading.get_ident() == self._thread:
            take(taken)
        else:
            self._loop.call_soon_threadsafe(take, taken)

    def _await_door(self, part: StreamPart) -> None:
        self._stepped.add(part["ns"])
        if self._wanted(part):
            self._starting[part["data"]["id"]] = part

    def _take(self, part: StreamPart) -> None:
        held, self._held = self._held, None
        if held is not None and not _tells_of_failure(part, held):
            self._emit(held)
        namespace, kind, data = part["ns"], part["type"], part["data"]
        match kind:
            case "tasks":
                self._stepped.add(namespace)
                if data.get("error") and not self.failed[0]:
                    self.failed = data["name"], namespace
                if data.get("interrupts"):
                    self._note_questions(Task(data["id"], data["name"], namespace), data)
                self._emit(part)
            case "updates" if compat.INTERRUPT in data:
                self.paused = self.paused or not namespace
            case "updates" if self._is_repeated(namespace, data):
                pass
            case "updates" if not compat.node_updates(data)[1]:
                self._held = part
            case "values" if isinstance(data, dict) and compat.INTERRUPT in data:
                # Says that the graph waits; the state is the one that was streamed before.
                pass
            case "values" if self._told is not None and namespace not in self._stepped:
                # Where it goes on from: the attempt before has told that.
                pass
            case "checkpoints" if self._told and _id(data) in self._told.checkpoints:
                pass
            case _:
                self._emit(part)

    def _note_questions(self, task: Task, result: Mapping[str, Any]) -> None:
        for each in result["interrupts"]:
            # The tasks above say it again, after the one that asks.
            if each["id"] not in self.asked:
                asked = question(task, each["id"], each["value"], each["response_schema"])
                self.asked[each["id"]] = asked

    def _is_repeated(self, namespace: Namespace, data: Mapping[str, Any]) -> bool:
        """Returns whether an attempt before has told of these updates."""
        updates, cached = compat.node_updates(data)
        names = self._repeated.get(namespace, Counter())
        if not cached or not all(names[node] > 0 for node in updates):
            return False
        names.subtract(updates.keys())
        return True

    def _wanted(self, part: StreamPart) -> bool:
        return part["type"] in self._modes and (not part["ns"] or self._subgraphs)

    def _emit(self, part: StreamPart) -> None:
        """Passes on what the caller sees of a part.

        A message of a subgraph is streamed by LangGraph from there, piece by piece, or where
        subgraphs are not wanted, whole from the node of the root that returns it. Here all are
        taken, so the latter is made up for.
        """
        kind = part["type"]
        if part["ns"] and not self._subgraphs:
            if kind == "messages":
                self._inner_messages.add(part["data"][0].id)
            return
        if kind == "updates" and self._inner_messages:
            for node, update in part["data"].items():
                for message in messages_in(update):
                    if message.id in self._inner_messages:
                        self._inner_messages.discard(message.id)
                        origin = {"langgraph_node": node}
                        self._pass_on({"type": "messages", "ns": (), "data": (message, origin)})
        if self._wanted(part):
            self._pass_on(part)

    def _pass_on(self, part: StreamPart) -> None:
        for event in self._translator.events(part):
            self._events.append(event)


def _id(checkpoint: Mapping[str, Any]) -> str:
    return checkpoint_id_of(checkpoint["config"])


def _tells_of_failure(part: StreamPart, held: StreamPart) -> bool:
    """Returns whether a part says that the node of the held update has failed.

    Right before a task's result LangGraph streams what the task wrote, also if it then failed:
    nothing after a resume, or what it wrote before the choice of the next node raised.
    """
    data = part["data"]
    failed = part["type"] == "tasks" and part["ns"] == held["ns"] and data.get("error")
    return bool(failed and list(held["data"]) == [data["name"]])
