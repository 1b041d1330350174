"""Commands that go on: from where a thread is paused, or with new input."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from graphwire.enums import StepMode
from graphwire.start import RunOptions
from graphwire.values import Pause

from graphwire_server.cli.debugger import screen
from graphwire_server.cli.debugger.commands import CommandError, GoOn, nothing_after
from graphwire_server.cli.debugger.fitting import misfit
from graphwire_server.cli.debugger.scene import Scene, node_names
from graphwire_server.cli.drawing.signs import node_path
from graphwire_server.cli.inputs import input_of_text, json_or_text
from graphwire_server.cli.pauses import where


class GoingOn:
    """Goes on; asks first for what is missing: answers, and a yes to calls nobody decided on."""

    def __init__(self, scene: Scene, is_command: Callable[[str], bool]) -> None:
        """Acts on a scene, and asks before it takes a line that is a command for an answer."""
        self._scene = scene
        self._is_command = is_command

    def continue_(self, rest: str) -> GoOn | None:
        """Goes on to the next pause or the end."""
        nothing_after(rest)
        return self.go_on()

    def step(self, rest: str) -> GoOn | None:
        """Goes one step, into subgraphs."""
        nothing_after(rest)
        return self.go_on(step=StepMode.INTO)

    def next(self, rest: str) -> GoOn | None:
        """Goes one step, over subgraphs."""
        nothing_after(rest)
        return self.go_on(step=StepMode.OVER)

    def finish(self, rest: str) -> GoOn | None:
        """Goes on out of the subgraph."""
        nothing_after(rest)
        return self.go_on(step=StepMode.OUT)

    def until(self, rest: str) -> GoOn | None:
        """Goes on until a node is next."""
        if not rest:
            raise CommandError("until which node? As in: until action")
        if any(p.pause_id not in self._scene.verdicts.answers for p in self._scene.questions()):
            # Before an answer is asked for that would be lost.
            self._check_node(rest)
        return self.go_on(run_to=rest)

    def input(self, rest: str) -> GoOn | None:
        """Starts a new run, on an idle thread."""
        standing = self._scene.standing
        if standing.pauses:
            raise CommandError("the thread is paused: go on from there, or leave with quit")
        if not rest:
            raise CommandError('input what? Text, or JSON, as in: input {"log": []}')
        assistant_id = standing.assistant_id
        if not assistant_id:
            raise CommandError("no assistant has run on this thread yet: graphwire run names one")
        schema = self._scene.client.assistants.schemas(assistant_id).input
        return GoOn(input=input_of_text(rest, schema), assistant_id=assistant_id)

    def go_on(self, *, step: StepMode | None = None, run_to: str = "") -> GoOn | None:
        """Goes on from the pauses that commands are about, with what was decided on them.

        Args:
            step: How far; None: to the next pause or the end.
            run_to: Until this node is next; empty: any.

        Returns:
            What is to run; None if calls were not to run as they are.

        Raises:
            CommandError: Nothing is next.
        """
        scene, verdicts = self._scene, self._scene.verdicts
        standing = scene.standing
        if not standing.pauses and not standing.state.next:
            raise CommandError(
                "nothing is next: give new input with `input`, or `fork` a checkpoint"
            )
        if not self._may_run_undecided():
            scene.say("nothing was sent: decide on the rest, or approve all of it", "dim")
            return None
        for pause in scene.questions():
            if pause.pause_id not in verdicts.answers:
                verdicts.answers[pause.pause_id] = self.ask_answer(pause)
        selected = scene.selected_pauses()
        options = RunOptions()
        into = step in (StepMode.INTO, StepMode.OUT) or "/" in run_to
        if into or any(pause.namespace for pause in selected):
            # Who goes through a subgraph wants to see what happens there.
            options["stream_subgraphs"] = True
        return GoOn(
            verdicts.resume(selected, standing.state.checkpoint_id, step=step, run_to=run_to),
            options=options,
        )

    def _may_run_undecided(self) -> bool:
        """Asks about calls without a verdict, where others have one: one may be forgotten."""
        scene = self._scene
        left = scene.undecided_calls()
        if not left or len(left) == len(scene.calls()):
            return True
        for number, waiting in left.items():
            scene.console.print(screen.call_row(scene.console, number, waiting))
        what = f"{listed(left)} as {'it is' if len(left) == 1 else 'they are'}"
        return scene.lines.read(f"run {what}? [y/N] ").strip().lower() in ("y", "yes")

    def _check_node(self, name: str) -> None:
        """Refuses what is no node; where the drawing does not open a subgraph the server does."""
        graph = self._scene.graph(name.count("/"))
        known = [] if graph is None else [node_path(each) for each in node_names(graph)]
        parent = name.rpartition("/")[0]
        beside = [each for each in known if each.rpartition("/")[0] == parent]
        if parent and not beside and parent.partition("/")[0] in known:
            return
        if known and name not in known:
            nodes = ", ".join(beside or known)
            raise CommandError(f"the graph has no node {name!r}; it has: {nodes}")

    def ask_answer(self, pause: Pause) -> Any:
        """Asks until an answer to a question can be read.

        Raises:
            CommandError: A command was typed, and is not meant as the answer.
        """
        scene = self._scene
        while True:
            text = scene.lines.read(f"{pause.node} › ")
            if self._is_command(text):
                asked = f"send {text.strip()!r} as the answer? [y/N] "
                if scene.lines.read(asked).strip().lower() not in ("y", "yes"):
                    raise CommandError("nothing was sent: commands are typed here, at (graphwire)")
            try:
                return read_answer(pause, text)
            except ValueError as error:
                scene.fail(str(error))


def listed(numbers: Iterable[int]) -> str:
    """Returns numbers as in a sentence: `1`, `1 and 2`, `1, 2 and 3`."""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def read_answer(pause: Pause, text: str) -> Any:
    """Reads an answer: JSON, or else text.

    Raises:
        ValueError: It is empty, begins like JSON and is none, or does not fit the question.
    """
    schema = pause.response_schema
    if not text.strip():
        raise ValueError("type an answer: text, or JSON")
    if isinstance(schema, dict) and schema.get("type") == "string":
        answer: Any = text
    else:
        answer = json_or_text(text.strip())
    problem = misfit(pause, answer)
    if problem:
        raise ValueError(f"{where(pause)}: {problem}")
    return answer
