"""Edits: a person changes a value in the editor, and what was saved becomes the state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from graphwire import Client
from graphwire.errors import GraphwireError
from graphwire.values import ThreadState

from graphwire_server.cli.debugger.commands import CommandError
from graphwire_server.cli.debugger.scene import Scene
from graphwire_server.cli.editor import EditorError, Kind, edited_text, json_text, read_json

TakenT = TypeVar("TakenT")

#: How the server is told that a channel's reducer is not to be asked.
_OVERWRITE = "__overwrite__"
#: What a message says. LangChain moves other fields about when it reads one.
_SAID = ("type", "content", "id", "name", "tool_calls", "tool_call_id", "status")


class AnotherValueError(Exception):
    """What was saved can't be taken any more; the text says why.

    Attributes:
        value: What is to be edited instead, with what the person has changed.
    """

    def __init__(self, message: str, value: Any) -> None:
        """Takes why, and what is to be edited instead."""
        super().__init__(message)
        self.value = value


def edited(scene: Scene, value: Any, kind: Kind, take: Callable[[Any], TakenT]) -> TakenT:
    """Has a person edit a value until what was saved is taken.

    If it is not, the person hears why, and goes on from what they have saved, or gives up.

    Args:
        scene: Where the person is asked.
        value: What stands in the editor at first, as JSON.
        kind: What it is.
        take: Takes what was saved, as JSON. It may raise CommandError, ValueError,
            GraphwireError or AnotherValueError.

    Returns:
        What `take` returns.

    Raises:
        CommandError: The editor does not work, or the person has given up.
    """
    text = json_text(value)
    while True:
        try:
            text = edited_text(text, kind)
            return take(read_json(text))
        except EditorError as error:
            raise CommandError(str(error)) from error
        except (CommandError, ValueError) as error:
            scene.fail(str(error))
        except AnotherValueError as error:
            scene.fail(str(error))
            text = json_text(error.value)
        except GraphwireError as error:
            scene.fail_by(error)
        if scene.lines.read("edit it again? [y/n] ").strip().lower() not in ("", "y", "yes"):
            raise CommandError("nothing was changed")


def update_state(
    client: Client,
    thread_id: str,
    state: ThreadState,
    wanted: Mapping[str, Any],
    *,
    head: str,
    as_node: str = "",
) -> ThreadState:
    """Makes the state of a thread, or of a subgraph in which it stands, what is wanted.

    Only channels that differ are sent, each as what it is to hold, whatever its reducer does.

    Args:
        client: The client.
        thread_id: The thread.
        state: The state that was edited.
        wanted: What it is to be.
        head: The root checkpoint at which the thread stands.
        as_node: The node that is taken to have returned it; empty: the one that ran last.

    Returns:
        The new state.

    Raises:
        GraphwireError: The graph or the thread refuses it.
    """
    return client.threads.update_state(
        thread_id,
        {key: {_OVERWRITE: wanted[key]} for key in unmet(wanted, state)},
        as_node=as_node,
        checkpoint_id=state.checkpoint_id,
        expected_checkpoint_id=head,
        namespace=state.namespace,
    )


def unmet(wanted: Mapping[str, Any], state: ThreadState) -> Sequence[str]:
    """Returns the keys whose values are not what is wanted."""
    values = state.values or {}
    return [
        key for key, value in wanted.items() if key not in values or not _fits(value, values[key])
    ]


def _fits(wanted: Any, found: Any) -> bool:
    """Tells whether a value is what is wanted; of a message, by what it says."""
    if _is_message(wanted) and _is_message(found):
        return all(found.get(key) == wanted[key] for key in _SAID if wanted.get(key))
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(_fits, wanted, found))
    return bool(wanted == found)


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and {"type", "content"} <= value.keys()
