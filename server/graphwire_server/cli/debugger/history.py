"""Commands about the state of a thread and its history: looks, edits, new branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphwire import Resume
from graphwire.errors import CheckpointMismatchError
from graphwire.start import RunOptions
from graphwire.values import ThreadState
from rich.json import JSON
from rich.text import Text

from graphwire_server.cli.debugger.commands import CommandError, GoOn
from graphwire_server.cli.debugger.edits import AnotherValueError, edited, unmet, update_state
from graphwire_server.cli.debugger.scene import Scene
from graphwire_server.cli.debugger.standing import path_of, value_at
from graphwire_server.cli.tables import show_table, time_text

_COUNT = 20
#: From so many columns on, ids have room in a table.
_WIDE = 100


class History:
    """Shows and edits the state, lists the checkpoints, and forks at one.

    Numbers of checkpoints are those that were listed last.
    """

    def __init__(self, scene: Scene) -> None:
        """Acts on a scene."""
        self._scene = scene
        self._states: list[ThreadState] = []

    def show_state(self, rest: str) -> GoOn | None:
        """Shows the state, or a part."""
        values = self._scene.standing.state_at(self._scene.namespace()).values
        shown = value_at(values, rest) if rest else values
        text = JSON.from_data(shown, ensure_ascii=False).text
        text.no_wrap, text.overflow = False, "fold"
        self._scene.console.print(text)
        return None

    def edit_state(self, *, as_node: str) -> None:
        """Edits the state that `show_state` shows.

        Args:
            as_node: The node that is taken to have returned it; empty: the one that ran last.

        Raises:
            CommandError: There is none, or the person has given up.
        """
        scene = self._scene
        state = scene.standing.state_at(scene.namespace())
        if not isinstance(state.values, dict):
            raise CommandError("there is no state to edit")
        if as_node:
            self._confirm(state, as_node)

        def take(saved: Any) -> bool:
            nonlocal state
            wanted = _wanted(saved, state)
            if wanted == state.values and not as_node:
                return False
            try:
                made = update_state(
                    scene.client,
                    scene.thread_id,
                    state,
                    wanted,
                    head=scene.standing.state.checkpoint_id,
                    as_node=as_node,
                )
            except CheckpointMismatchError as error:
                earlier, state = state, self._moved_on(state, str(error))
                raise _again(error, wanted, earlier, state) from error
            scene.note_edited()
            if missed := unmet(wanted, made):
                scene.say(f"the graph has made something else of: {', '.join(missed)}", "yellow")
            return True

        if edited(scene, state.values, "state", take):
            scene.look_again()
        else:
            scene.say("nothing was changed", "dim")

    def _moved_on(self, state: ThreadState, why: str) -> ThreadState:
        """Shows where the thread stands now, and returns the state of the same graph there.

        Raises:
            CommandError: It does not stand in that graph any more.
        """
        scene = self._scene
        scene.look_again()
        moved = scene.standing.state_at(state.namespace)
        if moved.namespace != state.namespace:
            raise CommandError(f"{why}: it is no longer in {' › '.join(path_of(state.namespace))}")
        return moved

    def _confirm(self, state: ThreadState, as_node: str) -> None:
        """Asks whether what an edit as a node would leave behind is meant.

        Raises:
            CommandError: It is not.
        """
        left = self._left_behind(state, as_node)
        if not left:
            return
        scene = self._scene
        scene.say(
            f"{', '.join(left)} would no longer wait: only what follows {as_node} would come next",
            "yellow",
        )
        if scene.lines.read("edit all the same? [y/n] ").strip().lower() not in ("y", "yes"):
            raise CommandError("nothing was changed")

    def _left_behind(self, state: ThreadState, as_node: str) -> Sequence[str]:
        """Returns the other nodes that come next now, and do not follow a node.

        Of one that comes next alone it is plain that it makes room.
        """
        waiting = list(state.next)
        if len(waiting) < 2:
            return ()
        if as_node in waiting:
            waiting.remove(as_node)
        path = path_of(state.namespace)
        graph = self._scene.graph(len(path))
        edges = graph.edges if graph is not None else ()
        source = ":".join((*path, as_node))
        following = {edge.target for edge in edges if edge.source == source}
        return [node for node in waiting if ":".join((*path, node)) not in following]

    def show(self, rest: str) -> GoOn | None:
        """Lists the checkpoints."""
        self._read(int(rest) if rest.isdecimal() else _COUNT)
        console, head = self._scene.console, self._scene.standing.state.checkpoint_id
        rows: list[Sequence[Text]] = []
        for number, state in enumerate(self._states, 1):
            metadata = state.metadata or {}
            here = state.checkpoint_id == head
            rows.append(
                (
                    Text(f"{number}{' ▶' if here else ''}", style="bold" if here else ""),
                    Text(str(metadata.get("step", ""))),
                    Text(str(metadata.get("source", ""))),
                    Text(", ".join(state.next) or "—"),
                    time_text(console, state.create_time),
                    Text(state.checkpoint_id, style="dim"),
                )
            )
        columns: Sequence[str] = ("", "step", "made by", "next", "made", "checkpoint")
        if console.width < _WIDE:
            # Its number does, and `where` has the id.
            columns, rows = columns[:-1], [row[:-1] for row in rows]
        show_table(console, columns, rows)
        return None

    def fork(self, rest: str) -> GoOn | None:
        """Starts a new branch at a checkpoint."""
        state = self._checkpoint(rest)
        if not state.next:
            raise CommandError(
                "nothing is next at that checkpoint: the graph had come to its end there"
            )
        self._scene.say(f"a new branch from {state.checkpoint_id}", "dim")
        self._scene.remember(state.values)
        return GoOn(
            Resume(), options=RunOptions(checkpoint_id=state.checkpoint_id), stops_at_start=True
        )

    def _checkpoint(self, rest: str) -> ThreadState:
        if not rest:
            raise CommandError("which checkpoint? Its number in `history`, or its id")
        if not rest.isdecimal():
            return self._scene.client.threads.state(self._scene.thread_id, checkpoint_id=rest)
        if not self._states:
            self._read()
        if not 1 <= int(rest) <= len(self._states):
            raise CommandError(f"history has no number {rest}")
        return self._states[int(rest) - 1]

    def _read(self, limit: int = _COUNT) -> None:
        thread_id = self._scene.thread_id
        self._states = list(self._scene.client.threads.history(thread_id, limit=max(1, limit)))


def _wanted(saved: Any, state: ThreadState) -> dict[str, Any]:
    """Returns what was saved as what a state is to be.

    Raises:
        CommandError: It can't be one.
    """
    if not isinstance(saved, dict):
        raise CommandError("a state is a JSON object")
    if gone := [key for key in state.values or {} if key not in saved]:
        raise CommandError(f"a key can't be taken away: {', '.join(gone)}; it can be null")
    return saved


def _again(
    error: CheckpointMismatchError, wanted: dict[str, Any], earlier: ThreadState, now: ThreadState
) -> AnotherValueError:
    """Puts what a person has changed of an earlier state into the one of now.

    Args:
        error: Why the edit was refused.
        wanted: What was saved.
        earlier: The state that was edited.
        now: The state that is to be edited instead.
    """
    mine = {key: wanted[key] for key in unmet(wanted, earlier)}
    old, new = earlier.values or {}, now.values or {}
    both = [key for key in mine if old.get(key) != new.get(key)]
    message = f"{error}: what you have changed is put into the state of now"
    if both:
        message += f", in the place of what others have made of: {', '.join(both)}"
    return AnotherValueError(message, {**new, **mine})
