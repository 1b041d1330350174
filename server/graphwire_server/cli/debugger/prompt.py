"""The prompt at a pause: what is typed there, and what it does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphwire import (
    Approve,
    Breakpoint,
    Client,
    Edit,
    Reject,
    Respond,
    Resume,
)
from graphwire.enums import BreakpointSource, PauseKind, StepMode
from graphwire.errors import ConnectionLostError, GraphwireError
from graphwire.reviews import Decision
from graphwire.start import NOT_GIVEN, RunOptions
from graphwire.values import AssistantGraph, Pause, ThreadState
from rich.console import Console
from rich.json import JSON
from rich.padding import Padding
from rich.text import Text

from graphwire_server.cli.breakspec import breakpoint_text, read_breakpoint
from graphwire_server.cli.debugger import screen
from graphwire_server.cli.debugger.edits import unmet, update_state
from graphwire_server.cli.debugger.standing import Path, Standing, stand, value_at
from graphwire_server.cli.debugger.verdicts import Verdicts, WaitingCall
from graphwire_server.cli.editor import EditorError, NotJsonError, edit_json, json_text
from graphwire_server.cli.inputs import input_of_text, json_or_text
from graphwire_server.cli.lines import LineReader
from graphwire_server.cli.pauses import where
from graphwire_server.cli.tables import show_table, time_text

PROMPT = "(graphwire) "
_HISTORY = 20
#: From so many columns on, ids have room in a table.
_WIDE = 100
_IN_REQUEST = re.compile(r"^(breakpoints\[0\]\.\w+|resume\.[\w.]+(\[[^]]*\])*): ")


@dataclass(frozen=True, slots=True)
class GoOn:
    """What is to run next.

    Attributes:
        resume: From where the thread stands.
        input: New input, if it is no resume.
        assistant_id: The assistant for that input; empty for a resume.
        options: The options of the run.
        stops_at_start: Whether the run is to pause before its first nodes.
    """

    resume: Resume | None = None
    input: Any = NOT_GIVEN
    assistant_id: str = ""
    options: RunOptions = field(default_factory=lambda: RunOptions())
    stops_at_start: bool = False


class CommandError(Exception):
    """A command that can't be carried out; the text says why."""


@dataclass(frozen=True, slots=True)
class _Command:
    """A command.

    Attributes:
        name: Its name.
        aliases: Other names.
        arguments: What follows it, for the help.
        about: What it does.
        run: Carries it out; returns what is to run next, or None to ask for the next command.
        topic: Where it stands in the help.
    """

    name: str
    aliases: tuple[str, ...]
    arguments: str
    about: str
    run: Callable[[str], GoOn | None]
    topic: str


class _Left(Exception):
    """The person leaves the prompt."""


class Prompt:
    """Asks a person what a thread is to do. It remembers what it has shown, between pauses."""

    def __init__(self, console: Console, client: Client, lines: LineReader | None = None) -> None:
        """Prepares it.

        Args:
            console: Where it writes.
            client: The client.
            lines: Where it reads.
        """
        self._console = console
        self._client = client
        self._lines = lines or LineReader(console)
        self._graphs: dict[tuple[str, int], AssistantGraph | None] = {}
        self._seen: dict[Path, Any] | None = None
        self._history: list[ThreadState] = []
        self._breakpoints: list[Breakpoint] = []
        self._verdicts = Verdicts()
        self._standing: Standing
        self._selected: list[str] = []
        self._explained = False
        self._refused: object = None
        self._commands = self._all_commands()

    def remember(self, values: Any) -> None:
        """Takes the state that the next one is compared with."""
        self._seen = {(): values}

    def ask(self, thread_id: str, *, pause_id: str = "") -> GoOn | None:
        """Shows where a thread stands, and asks until it is clear what to run next.

        Args:
            thread_id: The thread.
            pause_id: The pause that commands are about; empty: all.

        Returns:
            What to run; None if the person leaves.
        """
        refused, self._refused = self._refused, None
        self._look(thread_id)
        if pause_id:
            self._selected = [p.pause_id for p in self._standing.pauses if p.pause_id == pause_id]
        # What is on the screen already need not be shown again.
        if refused is None or refused != self._standing.mark:
            self._show()
        try:
            while True:
                going = self._ask_once()
                if going is not None:
                    self._remember_shown()
                    return going
        except _Left:
            return None

    # What is shown

    def _look(self, thread_id: str) -> None:
        self._standing = stand(self._client, thread_id)
        known = {pause.pause_id for pause in self._standing.pauses}
        self._selected = [each for each in self._selected if each in known]

    def _look_again(self) -> None:
        """Shows what has come of an edit, or of what others did meanwhile."""
        self._remember_shown()
        self._look(self._standing.thread.thread_id)
        self._show()

    def _shown_graphs(self) -> set[Path]:
        return {(), *(pause.namespace for pause in self._standing.pauses)}

    def _remember_shown(self) -> None:
        self._seen = {**(self._seen or {}), **self._standing.values(self._shown_graphs())}

    def _show(self) -> None:
        console, standing = self._console, self._standing
        console.print()
        if standing.pauses:
            screen.show_pauses(console, standing.pauses, self._selected_pauses())
            self._show_graph()
            screen.show_calls(console, self._calls(), self._verdicts)
            screen.show_changes(console, self._seen, standing.values(self._shown_graphs()))
        else:
            screen.show_end(console, standing)
        if not self._explained:
            self._explained = True
            console.print()
            console.print(self._hint())

    def _hint(self) -> Text:
        pauses = self._standing.pauses
        keys = [("c", "continue"), ("s", "step"), ("u", "until NODE"), ("e", "edit the state")]
        if any(pause.kind is PauseKind.INTERRUPT for pause in pauses):
            keys[0:1] = [("a", "answer")]
        if self._calls():
            keys[1:1] = [("e 1", "edit a call"), ("r 1", "reject it")]
            keys.remove(("e", "edit the state"))
        if not pauses:
            keys = [("i", "input"), ("hi", "history"), ("f", "fork N"), ("e", "edit the state")]
            if self._standing.state.next:
                keys[0:0] = [("c", "continue")]
        keys += [("h", "help"), ("q", "quit")]
        return Text("  ").join(
            Text.assemble((key, "bold yellow"), f" {about}") for key, about in keys
        )

    def _show_graph(self) -> None:
        standing = self._standing
        levels = max(len(pause.namespace) for pause in standing.pauses)
        graph = self._graph(0)
        if graph is not None:
            opened = self._graph(levels) if levels else None
            screen.show_graph(self._console, graph, opened, standing.pauses)

    def _graph(self, depth: int) -> AssistantGraph | None:
        """Returns the drawing of the graph; None if there is no more such assistant."""
        key = (self._standing.assistant_id, depth)
        if key not in self._graphs:
            try:
                self._graphs[key] = self._client.assistants.graph(key[0], depth=depth)
            except ConnectionLostError:
                raise
            except GraphwireError:
                self._graphs[key] = None
        return self._graphs[key]

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)

    def _fail(self, text: str) -> None:
        self._console.print(Text(text, style="red"))

    def _fail_by(self, error: GraphwireError) -> None:
        # The place in a request says nothing to who typed a command.
        self._fail(_IN_REQUEST.sub("", str(error)))

    # What is meant

    def _selected_pauses(self) -> list[Pause]:
        """Returns the pauses that commands are about."""
        pauses = list(self._standing.pauses)
        return [p for p in pauses if p.pause_id in self._selected] or pauses

    def _questions(self) -> list[Pause]:
        return [p for p in self._selected_pauses() if p.kind is PauseKind.INTERRUPT]

    def _calls(self) -> list[WaitingCall]:
        """Returns the tool calls that a verdict can be given on."""
        return [
            WaitingCall(pause, call)
            for pause in self._selected_pauses()
            if pause.kind in (PauseKind.BREAKPOINT_BEFORE, PauseKind.PAUSE)
            for call in pause.tool_calls
        ]

    def _ask_once(self) -> GoOn | None:
        try:
            line = self._lines.read(PROMPT, completions=self._completions)
        except EOFError:
            self._console.print()
            raise _Left from None
        except KeyboardInterrupt:
            self._console.print()
            return None
        name, _, rest = line.strip().partition(" ")
        if not name:
            return None
        command = self._find("use" if name.isdecimal() else name)
        rest = line if name.isdecimal() else rest
        try:
            if command is None:
                raise CommandError(f"there is no command {name!r}: help lists them")
            return command.run(rest.strip())
        except (CommandError, ValueError) as error:
            self._fail(str(error))
        except (EOFError, KeyboardInterrupt):
            self._console.print()
        except ConnectionLostError:
            raise
        except GraphwireError as error:
            self._fail_by(error)
        return None

    def refused(self, error: GraphwireError) -> None:
        """Says that the server has refused to go on. Answers have to be given anew."""
        self._refused = self._standing.mark
        self._verdicts.answers.clear()
        self._fail_by(error)

    def _find(self, name: str) -> _Command | None:
        exact = [each for each in self._commands if name in (each.name, *each.aliases)]
        # Other words only where they can mean one command.
        fitting = exact or [each for each in self._commands if each.name.startswith(name)]
        return fitting[0] if len(fitting) == 1 else None

    def _completions(self, before: str) -> Sequence[str]:
        words = before.split()
        if not words:
            return [each.name for each in self._commands]
        command = self._find(words[0])
        if command is None or command.name not in ("until", "break", "help"):
            return ()
        if command.name == "help":
            return [each.name for each in self._commands]
        graph = self._graph(0)
        return [node.node_id for node in graph.nodes if node.node_id[:2] != "__"] if graph else ()

    # Commands that go on

    def _continue(self, rest: str) -> GoOn | None:
        self._nothing_after(rest)
        return self._go_on()

    def _step(self, rest: str) -> GoOn | None:
        self._nothing_after(rest)
        return self._go_on(step=StepMode.INTO)

    def _next(self, rest: str) -> GoOn | None:
        self._nothing_after(rest)
        return self._go_on(step=StepMode.OVER)

    def _finish(self, rest: str) -> GoOn | None:
        self._nothing_after(rest)
        return self._go_on(step=StepMode.OUT)

    def _until(self, rest: str) -> GoOn | None:
        if not rest:
            raise CommandError("until which node? As in: until action")
        return self._go_on(run_to=rest)

    def _go_on(self, *, step: StepMode | None = None, run_to: str = "") -> GoOn | None:
        standing = self._standing
        if not standing.pauses and not standing.state.next:
            raise CommandError(
                "nothing is next: give new input with `input`, or `fork` a checkpoint"
            )
        for pause in self._questions():
            if pause.pause_id not in self._verdicts.answers:
                self._verdicts.answers[pause.pause_id] = self._ask_answer(pause)
        selected = self._selected_pauses()
        return GoOn(
            self._verdicts.resume(selected, standing.state.checkpoint_id, step=step, run_to=run_to)
        )

    def _ask_answer(self, pause: Pause) -> Any:
        while True:
            text = self._lines.read(f"{pause.node} › ")
            try:
                return _read_answer(pause, text)
            except ValueError as error:
                self._fail(str(error))

    def _input(self, rest: str) -> GoOn | None:
        if self._standing.pauses:
            raise CommandError("the thread is paused: go on from there, or leave with quit")
        if not rest:
            raise CommandError('input what? Text, or JSON, as in: input {"log": []}')
        assistant_id = self._standing.assistant_id
        if not assistant_id:
            raise CommandError("no assistant has run on this thread yet: graphwire run names one")
        schema = self._client.assistants.schemas(assistant_id).input
        return GoOn(input=input_of_text(rest, schema), assistant_id=assistant_id)

    def _fork(self, rest: str) -> GoOn | None:
        state = self._checkpoint(rest)
        if not state.next:
            raise CommandError(
                "nothing is next at that checkpoint: the graph had come to its end there"
            )
        self._say(f"a new branch from {state.checkpoint_id}", "dim")
        self.remember(state.values)
        return GoOn(
            Resume(), options=RunOptions(checkpoint_id=state.checkpoint_id), stops_at_start=True
        )

    def _checkpoint(self, rest: str) -> ThreadState:
        if not rest:
            raise CommandError("which checkpoint? Its number in `history`, or its id")
        if not rest.isdecimal():
            return self._client.threads.state(self._standing.thread.thread_id, checkpoint_id=rest)
        if not self._history:
            self._read_history()
        if not 1 <= int(rest) <= len(self._history):
            raise CommandError(f"history has no number {rest}")
        return self._history[int(rest) - 1]

    # Commands about what waits

    def _answer(self, rest: str) -> GoOn | None:
        questions = self._questions()
        if not questions:
            raise CommandError("nothing is asked here")
        number, _, after = rest.partition(" ")
        numbered = [
            pause
            for place, pause in enumerate(self._standing.pauses, 1)
            if str(place) == number and len(self._standing.pauses) > 1
        ]
        if numbered:
            [pause], text = numbered, after
            if pause not in questions:
                raise CommandError(f"nothing is asked {where(pause)}")
        elif len(questions) == 1:
            pause, text = questions[0], rest
        else:
            raise CommandError("which of the questions? By its number, as in: answer 2 yes")
        if text:
            self._verdicts.answers[pause.pause_id] = _read_answer(pause, text)
        else:
            self._verdicts.answers[pause.pause_id] = self._ask_answer(pause)
        return self._go_on_if_complete()

    def _approve(self, rest: str) -> GoOn | None:
        if not self._calls():
            raise CommandError("no tool call waits here: continue goes on")
        if rest:
            waiting, after = self._call(rest, "approve 1")
            self._nothing_after(after)
            return self._decide(waiting, Approve())
        for waiting in self._calls():
            if self._verdicts.decision(waiting) is None:
                self._verdicts.decide(waiting, Approve())
        return self._go_on_if_complete()

    def _reject(self, rest: str) -> GoOn | None:
        waiting, message = self._call(rest, "reject 1 too dear")
        return self._decide(waiting, Reject(message))

    def _respond(self, rest: str) -> GoOn | None:
        waiting, text = self._call(rest, "respond 1 it is sunny")
        if not text:
            raise CommandError("respond with what? Text, or JSON, as in: respond 1 it is sunny")
        return self._decide(waiting, Respond(json_or_text(text)))

    def _edit(self, rest: str) -> GoOn | None:
        words = shlex.split(rest)
        if words[:1] and words[0].isdecimal():
            waiting, after = self._call(rest, "edit 1")
            self._nothing_after(after)
            self._edit_call(waiting)
            return None
        if words and (words[0] != "as" or len(words) != 2):
            raise CommandError("edit what? `edit` the state, `edit as NODE`, or `edit 1`, a call")
        self._edit_state(as_node=words[1] if words else "")
        return None

    def _call(self, rest: str, example: str) -> tuple[WaitingCall, str]:
        """Returns the call that is meant, and what else was typed; a single one needs no number."""
        calls = self._calls()
        if not calls:
            raise CommandError("no tool call waits here")
        number, _, after = rest.partition(" ")
        if number.isdecimal() and 1 <= int(number) <= len(calls):
            return calls[int(number) - 1], after.strip()
        if len(calls) == 1 and not number.isdecimal():
            return calls[0], rest
        raise CommandError(f"which call, 1 to {len(calls)}? As in: {example}")

    def _decide(self, waiting: WaitingCall, decision: Decision) -> GoOn | None:
        self._verdicts.decide(waiting, decision)
        return self._go_on_if_complete()

    def _go_on_if_complete(self) -> GoOn | None:
        """Goes on as soon as there is a verdict on all that waits."""
        if self._verdicts.complete(self._selected_pauses()):
            return self._go_on()
        screen.show_calls(self._console, self._calls(), self._verdicts)
        left = [p for p in self._questions() if p.pause_id not in self._verdicts.answers]
        if left:
            self._say(f"not answered yet: {', '.join(map(where, left))}", "dim")
        else:
            self._say("kept: continue sends it, and lets all else go on as it is", "dim")
        return None

    def _edit_call(self, waiting: WaitingCall) -> None:
        decision = self._verdicts.decision(waiting)
        args = decision.args if isinstance(decision, Edit) else waiting.call.args
        edited = self._edited(args, waiting.call.name)
        if not isinstance(edited, dict):
            raise CommandError('the arguments are a JSON object, such as {"city": "Paris"}')
        if edited == args:
            self._say("nothing was changed", "dim")
            return
        self._verdicts.decide(waiting, Edit(edited))
        screen.show_calls(self._console, self._calls(), self._verdicts)

    def _edit_state(self, *, as_node: str) -> None:
        """Edits the state that `state` shows."""
        standing = self._standing
        state = standing.state_at(self._namespace())
        if not isinstance(state.values, dict):
            raise CommandError("there is no state to edit")
        wanted = self._edited(state.values, "state")
        if not isinstance(wanted, dict):
            raise CommandError("a state is a JSON object")
        if gone := [key for key in state.values if key not in wanted]:
            raise CommandError(f"a key can't be taken away: {', '.join(gone)}; it can be null")
        if wanted == state.values and not as_node:
            self._say("nothing was changed", "dim")
            return
        edited = update_state(
            self._client,
            standing.thread.thread_id,
            state,
            wanted,
            head=standing.state.checkpoint_id,
            as_node=as_node,
        )
        if missed := unmet(wanted, edited):
            self._say(f"the graph has made something else of: {', '.join(missed)}", "yellow")
        self._look_again()

    def _namespace(self) -> Path:
        """Returns the graph whose state is meant: the innermost in which there is a pause."""
        return max((pause.namespace for pause in self._selected_pauses()), key=len, default=())

    def _edited(self, value: Any, name: str) -> Any:
        text = json_text(value)
        while True:
            try:
                return edit_json(text, name)
            except EditorError as error:
                raise CommandError(str(error)) from error
            except NotJsonError as error:
                self._fail(str(error))
                if self._lines.read("edit it again? [y/n] ").strip().lower() not in (
                    "",
                    "y",
                    "yes",
                ):
                    raise CommandError("nothing was changed") from error
                text = error.text

    def _use(self, rest: str) -> GoOn | None:
        pauses = self._standing.pauses
        numbers = rest.replace(",", " ").split()
        if numbers == ["all"]:
            self._selected = []
        elif numbers and all(n.isdecimal() and 1 <= int(n) <= len(pauses) for n in numbers):
            self._selected = [pauses[int(number) - 1].pause_id for number in numbers]
        else:
            raise CommandError(f"use which pauses? Numbers from 1 to {len(pauses)}, or all")
        screen.show_pauses(self._console, pauses, self._selected_pauses())
        screen.show_calls(self._console, self._calls(), self._verdicts)
        return None

    # Commands that look

    def _state(self, rest: str) -> GoOn | None:
        values = self._standing.state_at(self._namespace()).values
        shown = value_at(values, rest) if rest else values
        text = JSON.from_data(shown, ensure_ascii=False).text
        text.no_wrap, text.overflow = False, "fold"
        self._console.print(text)
        return None

    def _where(self, rest: str) -> GoOn | None:
        self._nothing_after(rest)
        standing, console = self._standing, self._console
        self._look(standing.thread.thread_id)
        standing = self._standing
        rows: list[tuple[str, str]] = [
            ("thread", f"{standing.thread.thread_id}  {standing.thread.status.lower()}"),
            ("assistant", standing.assistant_id),
        ]
        if standing.run is not None:
            rows.append(("run", f"{standing.run.run_id}  {standing.run.status.lower()}"))
        step = (standing.state.metadata or {}).get("step")
        at_step = "" if step is None else f"  step {step}"
        rows += [
            ("checkpoint", f"{standing.state.checkpoint_id or 'none'}{at_step}"),
            ("next", ", ".join(standing.state.next) or "nothing"),
        ]
        for name, value in rows:
            console.print(Text.assemble((name.ljust(12), "dim"), value), soft_wrap=True)
        if standing.pauses:
            console.print()
        for number, pause in enumerate(standing.pauses, 1):
            chosen = "" if pause in self._selected_pauses() else "  not in use"
            console.print(
                Text.assemble(
                    (f"{number} {screen.sign(pause)} {where(pause)}", "bold yellow"),
                    (f"  {_kind(pause)}{chosen}", "dim"),
                )
            )
            console.print(Text(f"    pause {pause.pause_id}", style="dim"), soft_wrap=True)
            for row in screen.reasons(pause, all_sources=True):
                console.print(Padding(row, (0, 0, 0, 4), expand=False))
        return None

    def _show_again(self, rest: str) -> GoOn | None:
        self._nothing_after(rest)
        self._look(self._standing.thread.thread_id)
        self._show()
        return None

    def _show_history(self, rest: str) -> GoOn | None:
        self._read_history(int(rest) if rest.isdecimal() else _HISTORY)
        console, head = self._console, self._standing.state.checkpoint_id
        rows: list[Sequence[Text]] = []
        for number, state in enumerate(self._history, 1):
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

    def _read_history(self, limit: int = _HISTORY) -> None:
        thread_id = self._standing.thread.thread_id
        self._history = list(self._client.threads.history(thread_id, limit=max(1, limit)))

    # Commands about breakpoints

    def _list_breakpoints(self, rest: str) -> GoOn | None:
        self._nothing_after(rest)
        self._breakpoints = self._client.runs.breakpoints(self._run_id())
        if not self._breakpoints:
            self._say("there are none: break NODE adds one", "dim")
        for number, each in enumerate(self._breakpoints, 1):
            row = Text(f"{number}  ", style="bold")
            row.append(breakpoint_text(each), "")
            row.stylize("not bold", len(str(number)))
            details = [f"“{each.label}”"] if each.label else []
            if each.skip_first:
                details.append(f"skips the first {each.skip_first}")
            if each.source is not BreakpointSource.RUN and each.source is not None:
                details.append(screen.SET_BY.get(each.source, ""))
            if details:
                row.append(f"  {', '.join(details)}", "dim")
            self._console.print(row, soft_wrap=True)
        return None

    def _break(self, rest: str) -> GoOn | None:
        if not rest:
            return self._list_breakpoints("")
        [added] = self._client.runs.add_breakpoints(self._run_id(), read_breakpoint(rest))
        self._say(f"set: {breakpoint_text(added)}", "dim")
        self._breakpoints = []
        return None

    def _delete(self, rest: str) -> GoOn | None:
        if not rest:
            raise CommandError("delete which breakpoint? By its number in `breakpoints`, or its id")
        run_id = self._run_id()
        breakpoint_id, text = rest, rest
        if rest.isdecimal():
            if not self._breakpoints:
                self._breakpoints = self._client.runs.breakpoints(run_id)
            if not 1 <= int(rest) <= len(self._breakpoints):
                raise CommandError(f"there is no breakpoint {rest}")
            meant = self._breakpoints[int(rest) - 1]
            if meant.source is not BreakpointSource.RUN:
                source = screen.SET_BY.get(meant.source, "not of the run") if meant.source else ""
                raise CommandError(f"it is {source}: it can't be taken away from here")
            breakpoint_id, text = meant.breakpoint_id, breakpoint_text(meant)
        self._client.runs.remove_breakpoints(run_id, breakpoint_id)
        self._say(f"deleted: {text}", "dim")
        self._breakpoints = []
        return None

    def _run_id(self) -> str:
        run = self._standing.run
        if run is None:
            raise CommandError("nothing has run on this thread yet")
        return run.run_id

    # Help

    def _help(self, rest: str) -> GoOn | None:
        if rest:
            command = self._find(rest)
            if command is None:
                raise CommandError(f"there is no command {rest!r}")
            also = f"  also: {', '.join(command.aliases)}" if command.aliases else ""
            self._say(f"{command.name} {command.arguments}".strip() + also, "bold")
            self._say(command.about)
            return None
        topic = ""
        for command in self._commands:
            if command.topic != topic:
                topic = command.topic
                self._console.print(Text(topic, style="dim"))
            names = ", ".join((*command.aliases[:1], command.name))
            left = f"  {names} {command.arguments}".rstrip()
            row = Text(left.ljust(27) + " ", style="bold")
            row.append(command.about, "not bold")
            self._console.print(row, overflow="fold")
        return None

    def _quit(self, rest: str) -> GoOn | None:
        self._nothing_after(rest)
        raise _Left

    @staticmethod
    def _nothing_after(rest: str) -> None:
        if rest:
            raise CommandError(f"nothing may follow here, and there is {rest!r}")

    def _all_commands(self) -> list[_Command]:
        rows: Mapping[str, Sequence[tuple[str, tuple[str, ...], str, str, Any]]] = {
            "go on": (
                ("continue", ("c",), "", "goes on to the next pause or the end", self._continue),
                ("step", ("s",), "", "goes one step, into subgraphs", self._step),
                ("next", ("n",), "", "goes one step, over subgraphs", self._next),
                ("finish", ("fin", "out"), "", "goes on out of this subgraph", self._finish),
                ("until", ("u",), "NODE", "goes on until that node is next", self._until),
                ("input", ("i",), "TEXT|JSON", "starts a new run, on an idle thread", self._input),
            ),
            "what waits": (
                ("answer", ("a",), "[N] TEXT|JSON", "answers a question", self._answer),
                ("approve", ("ok",), "[N]", "lets a tool call run, or all", self._approve),
                ("edit", ("e",), "N", "edits a call in $EDITOR; without N the state", self._edit),
                ("reject", ("r",), "[N] [REASON]", "keeps a call from running", self._reject),
                ("respond", ("re",), "[N] TEXT", "answers in the tool's place", self._respond),
                ("use", (), "N…|all", "chooses the pauses that commands are about", self._use),
            ),
            "the state": (
                ("state", ("p",), "[PATH]", "shows it: state messages[-1].content", self._state),
                ("history", ("hi",), "[COUNT]", "lists the checkpoints", self._show_history),
                ("fork", ("f",), "N|ID", "starts a new branch at a checkpoint", self._fork),
            ),
            "where": (
                ("where", ("w",), "", "says where the thread stands, and why", self._where),
                ("show", ("l",), "", "shows the pause again", self._show_again),
                ("breakpoints", ("b",), "", "lists them", self._list_breakpoints),
                (
                    "break",
                    ("br",),
                    "SPEC",
                    "sets one: break action:after if state.n > 1",
                    self._break,
                ),
                ("delete", ("d",), "N|ID", "deletes one", self._delete),
            ),
            "else": (
                ("help", ("h", "?"), "[COMMAND]", "shows this", self._help),
                ("quit", ("q",), "", "leaves; the thread stays as it is", self._quit),
            ),
        }
        return [_Command(*row, topic) for topic, group in rows.items() for row in group]


def _kind(pause: Pause) -> str:
    match pause.kind:
        case PauseKind.INTERRUPT:
            return "a question"
        case PauseKind.PAUSE:
            return "a step, or a pause that was asked for"
        case PauseKind.BREAKPOINT_AFTER | PauseKind.BREAKPOINT_BEFORE:
            return "a breakpoint"
    return ""


def _read_answer(pause: Pause, text: str) -> Any:
    """Reads an answer: JSON, or else text.

    Raises:
        ValueError: It is empty, or begins like JSON and is none.
    """
    schema = pause.response_schema
    if not text.strip():
        raise ValueError("type an answer: text, or JSON")
    if isinstance(schema, dict) and schema.get("type") == "string":
        return text
    return json_or_text(text.strip())
