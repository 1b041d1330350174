"""Where something is in a graph of graphs: paths, namespaces, and what is known of each place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from graphwire_server.graphs.conditions.types import Type

#: The names of the subgraphs' nodes from the root: `()` is the root.
Path = tuple[str, ...]
#: The same for one execution: each element is `node:task`.
Namespace = tuple[str, ...]

_SEPARATOR = "|"


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a step: one execution of a node, told apart by an id that its position gives it."""

    task_id: str
    node: str
    namespace: Namespace


@dataclass(frozen=True, slots=True)
class Breakpoints:
    """Static breakpoints: node names, `*` for all."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Returns whether there are any."""
        return bool(self.before or self.after)


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of a graph or subgraph.

    Attributes:
        compiled: The breakpoints compiled into it.
        nodes: Its nodes.
        keeps_checkpoints: Whether it keeps checkpoints, so that a pause in it can be resumed.
        has_doors: Whether the gate decides on each of its tasks; else it is called by the code
            of a node, and the gate decides on whole steps.
        messages: The channel of its chat messages; empty if it has none.
        chooses: The nodes that alone say which of several nodes come next, by what they return.
        tool_nodes: The nodes that are LangGraph's tool node.
        hands_on: The nodes that hand tool calls on, with the nodes that run them; see
            `tool_nodes.handing_on`.
        state: The keys of its state, with their types; None if that is no object.
    """

    compiled: Breakpoints
    nodes: tuple[str, ...]
    keeps_checkpoints: bool
    has_doors: bool
    messages: str = ""
    chooses: frozenset[str] = frozenset()
    tool_nodes: frozenset[str] = frozenset()
    hands_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    state: Mapping[str, Type] | None = None


def after_id(checkpoint_id: str, node: str) -> str:
    """Returns the id under which an approval of a breakpoint after one node is recorded."""
    return f"{checkpoint_id} {node}"


def stops(names: Collection[str], node: str) -> bool:
    """Returns whether a list of breakpoints covers a node."""
    return node in names or "*" in names


def text_of(namespace: Namespace) -> str:
    """Returns a namespace as LangGraph's `checkpoint_ns`."""
    return _SEPARATOR.join(namespace)


def namespace_of(text: str) -> Namespace:
    """Returns the namespace in LangGraph's `checkpoint_ns`."""
    return tuple(text.split(_SEPARATOR)) if text else ()


def path_of(namespace: Namespace) -> Path:
    """Returns where a namespace is, whichever tasks lead there.

    Beside tasks a namespace holds the numbers of repeated calls, which do not count. A node may
    be called like a number as well, but its element has a task, or comes first.
    """
    return tuple(
        element.partition(":")[0]
        for index, element in enumerate(namespace)
        if not index or not element.isdigit()
    )
