"""State and nodes: each node leaves one trace in the state and two or more in the ledger.

Whatever is applied twice is visible: lists grow by `operator.add`, and so does the counter,
by 1 for a node, 10 for an edit or update, 100 for an input.
"""

from __future__ import annotations

import asyncio
import operator
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from tests.crash.ledger import FOLDER, Kind, Ledger

#: How long, in seconds, a node that takes its time takes it.
SLOWLY = 0.02


class State(TypedDict, total=False):
    """The state at the root."""

    log: Annotated[list[str], operator.add]
    steps: Annotated[list[str], operator.add]
    count: Annotated[int, operator.add]


class Inside(TypedDict, total=False):
    """The state of a subgraph: what it returns to the root goes into `steps` alone."""

    steps: Annotated[list[str], operator.add]


# StateGraph.add_node has no type for nodes of a graph that is made in a function.
Node = Any


@dataclass(frozen=True)
class Task:
    """The task that a node runs as, for the ledger."""

    ledger: Ledger
    node: str
    task: str
    namespace: str
    run: str

    @classmethod
    def of(cls, config: RunnableConfig) -> Task:
        """Reads it from the config that the node got."""
        metadata = config.get("metadata") or {}
        thread_id = config["configurable"]["thread_id"]
        namespace = metadata["langgraph_checkpoint_ns"]
        path = [part.partition(":")[::2] for part in namespace.split("|")]
        return cls(
            ledger=Ledger(Path(os.environ[FOLDER]), thread_id),
            node="/".join(name for name, _ in path),
            task=path[-1][1],
            namespace=namespace,
            run=str(metadata.get("run_id", "")),
        )

    def begin(self, given: Any) -> None:
        """Notes that the node begins, and with what."""
        shown = {key: given[key] for key in given if key != "messages"}
        self._write(Kind.BEGAN, given=shown)

    def end(self) -> None:
        """Notes that the node is about to return."""
        self._write(Kind.ENDED)

    def ask(self, question: str) -> str:
        """Asks, and notes the answer; returns it in short."""
        answer = interrupt(question)
        self._write(Kind.TOLD, question=question, answer=answer)
        return f"{question} {answer['text']}"

    @property
    def gate(self) -> Path:
        """The file that nodes of this thread wait for."""
        return self.ledger.path.with_suffix(".open")

    def _write(self, kind: Kind, **fields: Any) -> None:
        self.ledger.append(
            kind, node=self.node, task=self.task, namespace=self.namespace, run=self.run, **fields
        )


def step(name: str, *, key: str = "log", slowly: bool = False) -> Node:
    """Returns a node that leaves its name in the state."""

    async def node(state: State, config: RunnableConfig) -> dict[str, Any]:
        task = Task.of(config)
        task.begin(state)
        if slowly:
            await asyncio.sleep(SLOWLY)
        task.end()
        return left(name, key=key)

    return node


def step_in_thread(name: str) -> Node:
    """Returns the same as a plain function, which runs in a thread of the system."""

    def node(state: State, config: RunnableConfig) -> dict[str, Any]:
        task = Task.of(config)
        task.begin(state)
        task.end()
        return left(name)

    return node


def asks(*questions: str, key: str = "log") -> Node:
    """Returns a node that asks, one question after the other, and keeps the answers."""

    async def node(state: State, config: RunnableConfig) -> dict[str, Any]:
        task = Task.of(config)
        task.begin(state)
        told = [task.ask(question) for question in questions]
        task.end()
        return left(", ".join(told), key=key)

    return node


def waits(name: str, *, key: str = "log") -> Node:
    """Returns a node that waits until the thread's gate is open."""

    async def node(state: State, config: RunnableConfig) -> dict[str, Any]:
        task = Task.of(config)
        task.begin(state)
        while not task.gate.exists():
            await asyncio.sleep(0.005)
        task.end()
        return left(name, key=key)

    return node


def left(entry: str, *, key: str = "log") -> dict[str, Any]:
    """Returns the update with which a node leaves its trace."""
    return {key: [entry], "count": 1} if key == "log" else {key: [entry]}


def chain(nodes: Mapping[str, Node], schema: type[Any] = State) -> StateGraph[Any]:
    """Returns a graph that runs nodes one after the other."""
    graph = StateGraph(schema)
    names = list(nodes)
    for name, node in nodes.items():
        graph.add_node(name, node)
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    return graph


def beside(nodes: Mapping[str, Node]) -> StateGraph[Any]:
    """Returns a graph that runs nodes in one step, and then `join`."""
    graph = StateGraph(State)
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(START, name)
    graph.add_node("join", step("join"))
    graph.add_edge(list(nodes), "join")
    graph.add_edge("join", END)
    return graph
