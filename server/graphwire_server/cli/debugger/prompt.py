"""The prompt at a pause: reads commands until it is clear what to run next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from graphwire import Client
from graphwire.errors import ConnectionLostError, GraphwireError, ShuttingDownError
from rich.console import Console

from graphwire_server.cli.debugger.commands import CommandError, GoOn, LeaveError
from graphwire_server.cli.debugger.scene import Scene
from graphwire_server.cli.debugger.table import Table
from graphwire_server.cli.lines import LineReader

PROMPT = "(graphwire) "
#: The server is not there, or will not be in a moment.
LOST = (ConnectionLostError, ShuttingDownError)


class Prompt:
    """Asks a person what a thread is to do. It remembers what it has shown, between pauses."""

    def __init__(self, console: Console, client: Client, lines: LineReader | None = None) -> None:
        """Prepares it.

        Args:
            console: Where it writes.
            client: The client.
            lines: Where it reads.
        """
        self._scene = Scene(console, client, lines or LineReader(console))
        self._table = Table(self._scene)
        self._refused: object = None
        self._lost = False

    def remember(self, values: Any) -> None:
        """Takes the state that the next one is compared with."""
        self._scene.remember(values)

    def ask(self, thread_id: str, *, pause_id: str = "") -> GoOn | None:
        """Shows where a thread stands, and asks until it is clear what to run next.

        Args:
            thread_id: The thread.
            pause_id: The pause that commands are about; empty: all.

        Returns:
            What to run; None if the person leaves.
        """
        scene = self._scene
        if not self._lost:
            self._show(thread_id, pause_id)
        self._lost = False
        try:
            while True:
                going = self._ask_once()
                if going is not None:
                    scene.remember_shown()
                    scene.note_sent(going.resume)
                    return replace(going, breakpoints=tuple(scene.planned))
        except LeaveError:
            return None

    def refused(self, error: GraphwireError) -> None:
        """Says that the server has refused to go on.

        Only the answer that it is about has to be given anew.
        """
        scene = self._scene
        self._refused = scene.standing.mark
        scene.note_sent(None)
        about = error.metadata.get("pause_id", "")
        answered = scene.verdicts.answers.pop(about, None) is not None
        scene.fail_by(error, of=about if answered else "")

    def lost(self, thread_id: str) -> bool:
        """Says that the server can't be reached, and has the next question asked all the same.

        Returns whether it can be asked: whether anything is known of the thread.
        """
        if not self._scene.knows(thread_id):
            return False
        self._lost = True
        self._say_lost()
        return True

    def _say_lost(self) -> None:
        self._scene.fail("the server can't be reached: try again when it is back")

    def _show(self, thread_id: str, pause_id: str) -> None:
        """Shows where a thread stands; what is on the screen already is not shown again."""
        scene = self._scene
        refused, self._refused = self._refused, None
        scene.look(thread_id)
        if pause_id:
            scene.select(*(p.pause_id for p in scene.standing.pauses if p.pause_id == pause_id))
        if refused is None or refused != scene.standing.mark:
            scene.show()

    def _ask_once(self) -> GoOn | None:
        """Reads a line and carries it out; returns None to read the next one."""
        scene = self._scene
        try:
            line = scene.lines.read(PROMPT, completions=self._table.completions)
        except EOFError:
            scene.console.print()
            raise LeaveError from None
        except KeyboardInterrupt:
            scene.console.print()
            return None
        name, _, rest = line.strip().partition(" ")
        if not name:
            return None
        command = self._table.find("use" if name.isdecimal() else name)
        rest = line if name.isdecimal() else rest
        try:
            if command is None:
                raise CommandError(self._table.unknown(name))
            return command.run(rest.strip())
        except (CommandError, ValueError) as error:
            scene.fail(str(error))
        except (EOFError, KeyboardInterrupt):
            scene.console.print()
        except LOST:
            # What was shown stays as it is, and what was decided is kept.
            self._say_lost()
        except GraphwireError as error:
            scene.fail_by(error)
        return None
