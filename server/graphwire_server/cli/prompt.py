"""Asks a person at the terminal what a paused run is to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from graphwire import Client
from graphwire.enums import PauseKind
from graphwire.errors import InvalidArgumentError
from graphwire.start import Resume
from graphwire.values import Pause
from rich.console import Console
from rich.text import Text

from graphwire_server.cli.inputs import json_or_text
from graphwire_server.cli.pauses import PendingCalls, pending_calls, show_pauses

T = TypeVar("T")

_CONTINUE, _ANSWER, _EDIT, _STOP = "c", "a", "e", "s"


class Stopped(Exception):
    """The person does not want to go on now: chose so, or typed Ctrl-C or Ctrl-D."""


def ask_how_to_resume(console: Console, client: Client, thread_id: str) -> Resume:
    """Shows what a thread is paused at, and asks until it is clear how to go on.

    Edits of a tool call are applied to the thread's state on the way. What is resumed is
    what was shown: if the thread has moved on meanwhile, the server refuses it.

    Raises:
        Stopped: It is not to go on now.
    """
    while True:
        state = client.threads.state(thread_id)
        pauses = state.pauses
        if not pauses:
            console.print(Text("the thread is not paused any more", style="yellow"))
            raise Stopped
        pending = pending_calls(state.values, pauses)
        show_pauses(console, pauses, pending)
        questions = [pause for pause in pauses if pause.kind is PauseKind.INTERRUPT]
        choices = {_ANSWER: "answer"} if questions else {_CONTINUE: "continue"}
        if pending is not None:
            choices[_EDIT] = "edit the call" if len(pending.calls) == 1 else "edit a call"
        choices[_STOP] = "stop"
        match _choose(console, choices):
            case "c" | "a":
                return Resume(
                    pause_ids=[pause.pause_id for pause in pauses if pause not in questions],
                    answers={pause.pause_id: _ask_answer(console, pause) for pause in questions},
                    expected_checkpoint_id=state.checkpoint_id,
                )
            case "e" if pending is not None:
                _edit(console, client, thread_id, pending, state.checkpoint_id)
            case _:
                raise Stopped


def _choose(console: Console, choices: Mapping[str, str]) -> str:
    line = Text("  ").join(
        Text.assemble((key, "bold yellow"), f" {name}") for key, name in choices.items()
    )
    console.print(line)

    def read(text: str) -> str:
        word = text.strip().lower()
        found = [key for key, name in choices.items() if word in (key, name.split()[0], name)]
        if not found:
            raise ValueError(f"type one of: {', '.join(choices)}")
        return found[0]

    return _ask(console, "› ", read)


def _ask_answer(console: Console, pause: Pause) -> Any:
    schema = pause.response_schema
    as_text = isinstance(schema, dict) and schema.get("type") == "string"

    def read(text: str) -> Any:
        if not text.strip():
            raise ValueError("type an answer: text, or JSON")
        return text if as_text else json_or_text(text)

    return _ask(console, f"{pause.node} › ", read)


def _edit(
    console: Console,
    client: Client,
    thread_id: str,
    pending: PendingCalls,
    checkpoint_id: str,
) -> None:
    """Edits a call in the thread's state; says so if the graph refuses it."""
    number = _choose_call(console, pending)
    call = pending.calls[number]
    args = _ask(
        console,
        f"{call['name']} › ",
        _read_args,
        initial=json.dumps(call["args"], ensure_ascii=False),
    )
    try:
        client.threads.update_state(
            thread_id, pending.with_args(number, args), expected_checkpoint_id=checkpoint_id
        )
    except InvalidArgumentError as error:
        console.print(Text(str(error), style="red"))


def _choose_call(console: Console, pending: PendingCalls) -> int:
    count = len(pending.calls)
    if count == 1:
        return 0

    def read(text: str) -> int:
        if not (text.strip().isdecimal() and 1 <= int(text) <= count):
            raise ValueError(f"type the number of a call, 1 to {count}")
        return int(text) - 1

    return _ask(console, "which › ", read)


def _read_args(text: str) -> dict[str, Any]:
    try:
        args = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} (column {error.colno})") from error
    if not isinstance(args, dict):
        raise ValueError('the arguments are a JSON object, such as {"city": "Paris"}')
    return args


def _ask(console: Console, prompt: str, read: Callable[[str], T], *, initial: str = "") -> T:
    """Asks until `read` takes the answer."""
    while True:
        try:
            text = _line(prompt, initial)
        except (EOFError, KeyboardInterrupt):
            console.print()
            raise Stopped from None
        try:
            return read(text)
        except ValueError as error:
            console.print(Text(str(error), style="red"))
            initial = text if initial else ""


def _line(prompt: str, initial: str) -> str:
    """Reads a line, with a text in it to begin with where the terminal can do that."""
    try:
        import readline
    except ImportError:  # Windows
        return input(prompt)
    readline.set_startup_hook(lambda: readline.insert_text(initial))
    try:
        return input(prompt)
    finally:
        readline.set_startup_hook()
