"""The table of the commands: their names, what follows them, what they do."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence

from rich.text import Text

from graphwire_server.cli.debugger.answering import Answering
from graphwire_server.cli.debugger.breakpoints import Breakpoints
from graphwire_server.cli.debugger.commands import (
    Command,
    CommandError,
    GoOn,
    LeaveError,
    Run,
    nothing_after,
)
from graphwire_server.cli.debugger.going_on import GoingOn
from graphwire_server.cli.debugger.history import History
from graphwire_server.cli.debugger.position import Position
from graphwire_server.cli.debugger.scene import Scene, node_names


class Table:
    """All commands; finds one by what was typed, completes it, and shows the help.

    Attributes:
        commands: The commands, topic by topic.
    """

    def __init__(self, scene: Scene) -> None:
        """Has them act on a scene."""
        self._scene = scene
        self._history = History(scene)
        self._going_on = GoingOn(scene, self.is_command)
        self._answering = Answering(scene, self._going_on)
        self.commands = self._all()

    def find(self, name: str) -> Command | None:
        """Returns the command with a name, an alias, or a beginning that only one has."""
        exact = [each for each in self.commands if name in (each.name, *each.aliases)]
        # Other words only where they can mean one command.
        fitting = exact or [each for each in self.commands if each.name.startswith(name)]
        return fitting[0] if len(fitting) == 1 else None

    def unknown(self, name: str) -> str:
        """Says that there is no such command, and which may be meant."""
        names = [each.name for each in self.commands]
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else "help lists them"
        return f"there is no command {name!r}: {hint}"

    def completions(self, before: str) -> Sequence[str]:
        """Returns the words that may follow what is typed."""
        words = before.split()
        if not words:
            return [each.name for each in self.commands]
        command = self.find(words[0])
        if command is None or command.name not in ("until", "break", "help"):
            return ()
        if command.name == "help":
            return [each.name for each in self.commands]
        graph = self._scene.graph(0)
        return node_names(graph) if graph else ()

    def is_command(self, line: str) -> bool:
        """Tells whether a line reads like a command: a name alone, or a whole one with words."""
        name, _, rest = line.strip().partition(" ")
        for command in self.commands:
            if name == command.name:
                return not rest or bool(command.arguments)
            if name in command.aliases:
                return not rest
        return False

    def _edit(self, rest: str) -> GoOn | None:
        words = shlex.split(rest)
        if words[:1] and words[0].isdecimal():
            self._answering.edit(rest)
            return None
        if words and (words[0] != "as" or len(words) != 2):
            raise CommandError("edit what? `edit` the state, `edit as NODE`, or `edit 1`, a call")
        self._history.edit_state(as_node=words[1] if words else "")
        return None

    def _help(self, rest: str) -> GoOn | None:
        if rest:
            command = self.find(rest)
            if command is None:
                raise CommandError(self.unknown(rest))
            also = f"  also: {', '.join(command.aliases)}" if command.aliases else ""
            self._scene.say(f"{command.name} {command.arguments}".strip() + also, "bold")
            self._scene.say(command.about)
            return None
        console, topic = self._scene.console, ""
        for command in self.commands:
            if command.topic != topic:
                topic = command.topic
                console.print(Text(topic, style="dim"))
            names = ", ".join((*command.aliases[:1], command.name))
            left = f"  {names} {command.arguments}".rstrip()
            row = Text(left.ljust(27) + " ", style="bold")
            row.append(command.about, "not bold")
            console.print(row, overflow="fold")
        return None

    def _quit(self, rest: str) -> GoOn | None:
        nothing_after(rest)
        raise LeaveError

    def _all(self) -> Sequence[Command]:
        going, waits, history = self._going_on, self._answering, self._history
        position, breakpoints = Position(self._scene), Breakpoints(self._scene)
        rows: Mapping[str, Sequence[tuple[str, tuple[str, ...], str, str, Run]]] = {
            "go on": (
                ("continue", ("c",), "", "goes on to the next pause or the end", going.continue_),
                ("step", ("s",), "", "goes one step, into subgraphs", going.step),
                ("next", ("n",), "", "goes one step, over subgraphs", going.next),
                ("finish", ("fin", "out"), "", "goes on out of this subgraph", going.finish),
                ("until", ("u",), "NODE", "goes on until that node is next", going.until),
                ("input", ("i",), "TEXT|JSON", "starts a new run, on an idle thread", going.input),
            ),
            "what waits": (
                ("answer", ("a",), "[N] TEXT|JSON", "answers a question", waits.answer),
                (
                    "approve",
                    ("ok",),
                    "[N]",
                    "lets a call run, as edited if it was, or all",
                    waits.approve,
                ),
                ("edit", ("e",), "N", "edits a call in $EDITOR; without N the state", self._edit),
                ("reject", ("r",), "[N] [REASON]", "keeps a call from running", waits.reject),
                ("respond", ("re",), "[N] TEXT", "answers in the tool's place", waits.respond),
                ("use", (), "N…|all", "chooses the pauses that commands are about", waits.use),
            ),
            "the state": (
                (
                    "state",
                    ("p",),
                    "[PATH]",
                    "shows it: state messages[-1].content",
                    history.show_state,
                ),
                ("history", ("hi",), "[COUNT]", "lists the checkpoints", history.show),
                ("fork", ("f",), "N|ID", "starts a new branch at a checkpoint", history.fork),
            ),
            "where": (
                ("where", ("w",), "", "says where the thread stands, and why", position.tell),
                ("show", ("l",), "", "shows the pause again, or what runs now", position.show),
                ("breakpoints", ("b",), "", "lists them", breakpoints.show),
                (
                    "break",
                    ("br",),
                    "SPEC",
                    "sets one: break action:after if state.n > 1",
                    breakpoints.set,
                ),
                ("delete", ("d",), "N|ID", "deletes one", breakpoints.delete),
            ),
            "else": (
                ("help", ("h", "?"), "[COMMAND]", "shows this", self._help),
                ("quit", ("q",), "", "leaves; the thread stays as it is", self._quit),
            ),
        }
        return [Command(*row, topic) for topic, group in rows.items() for row in group]
