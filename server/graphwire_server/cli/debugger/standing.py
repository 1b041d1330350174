"""Where a thread stands: what it is paused at, its state, the run that brought it there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphwire import Client
from graphwire.values import Pause, Run, Thread, ThreadState

from graphwire_server.wording import counted

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a thread stands.

    Attributes:
        thread: The thread.
        state: Its state, with those of its subgraphs.
        run: Its newest run; None before the first.
    """

    thread: Thread
    state: ThreadState
    run: Run | None

    @property
    def pauses(self) -> tuple[Pause, ...]:
        """Returns the open pauses."""
        return self.state.pauses

    @property
    def mark(self) -> tuple[str, ...]:
        """Returns what tells one standing from another: the head, and what is open there."""
        return (self.state.checkpoint_id, *(pause.pause_id for pause in self.pauses))

    @property
    def assistant_id(self) -> str:
        """Returns the assistant; empty before the first run."""
        return self.run.assistant_id if self.run is not None else self.thread.assistant_id

    def state_at(self, namespace: Path) -> ThreadState:
        """Returns the state of the graph with a namespace; the root's if it is not known."""
        for state in _with_subgraphs(self.state):
            if state.namespace == namespace:
                return state
        return self.state

    def values(self, graphs: set[Path]) -> dict[Path, Any]:
        """Returns the values of graphs, by the path of nodes that leads there."""
        return {path_of(each): self.state_at(each).values for each in graphs}


def stand(client: Client, thread_id: str) -> Standing:
    """Asks where a thread stands."""
    return Standing(
        thread=client.threads.get(thread_id),
        state=client.threads.state(thread_id, subgraphs=True),
        run=next(iter(client.runs.list(thread_id, limit=1)), None),
    )


def path_of(namespace: Path) -> Path:
    """Returns a namespace without its tasks: the names of the nodes that lead there."""
    return tuple(part.partition(":")[0] for part in namespace)


def value_at(values: Any, path: str) -> Any:
    """Returns the part of a value that a path such as `messages[-1].content` names.

    Raises:
        ValueError: There is no such part.
    """
    found, walked = values, ""
    for part in path.replace("[", ".[").strip(".").split("."):
        match found, part:
            case list(), str() if part.startswith("["):
                try:
                    found = found[int(part.strip("[]"))]
                except (ValueError, IndexError):
                    raise ValueError(
                        f"{walked or 'the state'} has {counted(len(found), 'item')} and no {part}"
                    ) from None
            case Mapping(), str() if part in found:
                found = found[part]
            case Mapping(), _:
                there = ", ".join(map(str, found)) or "nothing"
                raise ValueError(f"{walked or 'the state'} has no {part}; it has: {there}")
            case _:
                raise ValueError(f"{walked or 'the state'} has no parts, and no {part}")
        walked = f"{walked}{part}" if part.startswith("[") else f"{walked}.{part}".strip(".")
    return found


def _with_subgraphs(state: ThreadState) -> Iterator[ThreadState]:
    yield state
    for task in state.tasks:
        if task.state is not None:
            yield from _with_subgraphs(task.state)
