"""What a person at the prompt has before them: where the thread stands, and what was shown of it.

All commands look at it, and some change it.
"""

from __future__ import annotations

import re
from typing import Any

from graphwire import Breakpoint, Client, Resume
from graphwire.enums import PauseKind
from graphwire.errors import ConnectionLostError, GraphwireError, PauseNotFoundError
from graphwire.values import AssistantGraph, Pause
from rich.console import Console
from rich.text import Text

from graphwire_server.cli.debugger import screen
from graphwire_server.cli.debugger.standing import Path, Standing, stand
from graphwire_server.cli.debugger.verdicts import Verdicts, WaitingCall
from graphwire_server.cli.lines import LineReader
from graphwire_server.cli.pauses import where

_IN_REQUEST = re.compile(r"^(breakpoints\[0\]\.\w+|resume\.[\w.]+(\[[^]]*\])*): ")


class Scene:
    """Where the thread stands, and what was shown and decided so far.

    Attributes:
        console: Where it is shown.
        client: The client.
        lines: Where the person types.
        standing: Where the thread stood when it was looked at last.
        verdicts: What was decided on what waits.
        planned: Breakpoints for the run that is set going next, where none takes any now.
    """

    standing: Standing

    def __init__(self, console: Console, client: Client, lines: LineReader) -> None:
        """Begins without a thread: `look` takes one."""
        self.console = console
        self.client = client
        self.lines = lines
        self.verdicts = Verdicts()
        self.planned: list[Breakpoint] = []
        self._graphs: dict[tuple[str, int], AssistantGraph | None] = {}
        self._seen: dict[Path, Any] | None = None
        self._selected: list[str] = []
        self._explained = False
        self._sent: frozenset[str] = frozenset()
        self._edited: frozenset[str] = frozenset()

    @property
    def thread_id(self) -> str:
        """Returns the thread."""
        return self.standing.thread.thread_id

    # What commands are about

    def select(self, *pause_ids: str) -> None:
        """Chooses the pauses that commands are about; none: all that are open."""
        self._selected = list(pause_ids)

    def selected_pauses(self) -> list[Pause]:
        """Returns the pauses that commands are about."""
        pauses = list(self.standing.pauses)
        return [p for p in pauses if p.pause_id in self._selected] or pauses

    def questions(self) -> list[Pause]:
        """Returns those at which a node asks."""
        return [p for p in self.selected_pauses() if p.kind is PauseKind.INTERRUPT]

    def calls(self) -> list[WaitingCall]:
        """Returns the tool calls that a verdict can be given on."""
        return [
            WaitingCall(pause, call)
            for pause in self.selected_pauses()
            if pause.kind in (PauseKind.BREAKPOINT_BEFORE, PauseKind.PAUSE)
            for call in pause.tool_calls
        ]

    def undecided_calls(self) -> dict[int, WaitingCall]:
        """Returns those without a verdict, by their number."""
        numbered = enumerate(self.calls(), 1)
        return {n: each for n, each in numbered if self.verdicts.decision(each) is None}

    def namespace(self) -> Path:
        """Returns the graph whose state is meant: the innermost in which there is a pause."""
        return max((pause.namespace for pause in self.selected_pauses()), key=len, default=())

    def graph(self, depth: int) -> AssistantGraph | None:
        """Returns the drawing of the graph; None if there is no more such assistant.

        Args:
            depth: How many levels of subgraphs are opened.
        """
        key = (self.standing.assistant_id, depth)
        if key not in self._graphs:
            try:
                self._graphs[key] = self.client.assistants.graph(key[0], depth=depth)
            except ConnectionLostError:
                raise
            except GraphwireError:
                self._graphs[key] = None
        return self._graphs[key]

    def knows(self, thread_id: str) -> bool:
        """Returns whether anything is known of a thread."""
        return hasattr(self, "standing") and self.thread_id == thread_id

    def note_sent(self, resume: Resume | None) -> None:
        """Takes what is sent; None: it was refused. Pauses resumed so are nobody else's doing."""
        sent = (*resume.pause_ids, *resume.answers, *resume.reviews) if resume else ()
        self._sent = frozenset(sent)

    def note_edited(self) -> None:
        """Takes it that the person has edited the state: the pauses that are open are no more."""
        self._edited = frozenset(pause.pause_id for pause in self.standing.pauses)

    def _say_dropped(self, pause: Pause) -> None:
        if pause.pause_id in self._sent:
            return
        if pause.pause_id in self._edited:
            self.say(
                f"what was decided {where(pause)} is dropped: your edit has superseded the pause",
                "yellow",
            )
            return
        by = ""
        try:
            resolution = self.client.pauses.get(pause.pause_id).resolution
        except PauseNotFoundError:
            resolution = None
        if resolution is not None and (resolution.answered_by or resolution.principal):
            by = f" by {resolution.answered_by or resolution.principal}"
        self.say(
            f"what was decided {where(pause)} is dropped: the pause was resolved meanwhile{by}",
            "yellow",
        )

    # What is shown

    def look(self, thread_id: str) -> None:
        """Asks where a thread stands. Says which answers others have made useless meanwhile."""
        before = self.standing.pauses if self.knows(thread_id) else ()
        self.standing = stand(self.client, thread_id)
        known = {pause.pause_id for pause in self.standing.pauses}
        for pause in before:
            if pause.pause_id not in known and self.verdicts.drop(pause.pause_id):
                self._say_dropped(pause)
        self._selected = [each for each in self._selected if each in known]
        run = self.standing.run
        taken = {each.breakpoint_id for each in run.breakpoints} if run is not None else set()
        self.planned = [each for each in self.planned if each.breakpoint_id not in taken]

    def look_again(self) -> None:
        """Shows what has come of an edit, or of what others did meanwhile."""
        self.remember_shown()
        self.look(self.thread_id)
        self.show()

    def remember(self, values: Any) -> None:
        """Takes the state that the next one is compared with."""
        self._seen = {(): values}

    def remember_shown(self) -> None:
        """Takes the states that were shown as those that the next ones are compared with."""
        self._seen = {**(self._seen or {}), **self.standing.values(self._shown_graphs())}

    def show(self) -> None:
        """Shows why the thread is paused, the graph, what waits, and what has changed."""
        console, standing = self.console, self.standing
        console.print()
        if standing.pauses:
            selected = self.selected_pauses()
            screen.show_pauses(console, standing.pauses, selected, self.verdicts)
            self._show_graph()
            self.show_calls()
            screen.show_changes(console, self._seen, standing.values(self._shown_graphs()))
        else:
            screen.show_end(console, standing)
        if not self._explained:
            self._explained = True
            console.print()
            console.print(self._hint())

    def show_calls(self) -> None:
        """Shows the tool calls that wait, and what was decided on them."""
        screen.show_calls(self.console, self.calls(), self.verdicts)

    def say(self, text: str, style: str = "") -> None:
        """Writes a line."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def fail(self, text: str) -> None:
        """Writes what is wrong with what was typed."""
        self.console.print(Text(text, style="red"))

    def fail_by(self, error: GraphwireError, *, of: str = "") -> None:
        """Writes why the server has refused something; `of` is the pause that it is about."""
        about = "".join(f"{where(p)}: " for p in self.standing.pauses if p.pause_id == of)
        # The place in a request says nothing to who typed a command.
        self.fail(about + _IN_REQUEST.sub("", str(error)))

    def _shown_graphs(self) -> set[Path]:
        return {(), *(pause.namespace for pause in self.standing.pauses)}

    def _hint(self) -> Text:
        pauses = self.standing.pauses
        keys = [("c", "continue"), ("s", "step"), ("u", "until NODE"), ("e", "edit the state")]
        if any(pause.kind is PauseKind.INTERRUPT for pause in pauses):
            keys[0:1] = [("a", "answer")]
        if self.calls():
            keys[1:1] = [("e 1", "edit a call"), ("r 1", "reject it")]
            keys.remove(("e", "edit the state"))
        if not pauses:
            keys = [("i", "input"), ("hi", "history"), ("f", "fork N"), ("e", "edit the state")]
            if self.standing.state.next:
                keys[0:0] = [("c", "continue")]
        keys += [("h", "help"), ("q", "quit")]
        return Text("  ").join(
            Text.assemble((key, "bold yellow"), f" {about}") for key, about in keys
        )

    def _show_graph(self) -> None:
        pauses = self.standing.pauses
        levels = max(len(pause.namespace) for pause in pauses)
        graph = self.graph(0)
        if graph is not None:
            opened = self.graph(levels) if levels else None
            screen.show_graph(self.console, graph, opened, pauses)


def node_names(graph: AssistantGraph) -> list[str]:
    """Returns the nodes of a drawing that can run."""
    return [node.node_id for node in graph.nodes if node.node_id[:2] != "__"]
