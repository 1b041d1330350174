"""Commands about what waits: answers to questions, verdicts on tool calls."""

from __future__ import annotations

from typing import Any

from graphwire import Edit, Reject, Respond
from graphwire.reviews import Decision

from graphwire_server.cli.debugger import screen
from graphwire_server.cli.debugger.commands import CommandError, GoOn, nothing_after
from graphwire_server.cli.debugger.edits import edited
from graphwire_server.cli.debugger.going_on import GoingOn, listed, read_answer
from graphwire_server.cli.debugger.scene import Scene
from graphwire_server.cli.debugger.verdicts import WaitingCall
from graphwire_server.cli.inputs import json_or_text
from graphwire_server.cli.pauses import where


class Answering:
    """Takes verdicts; goes on as soon as there is one on all that waits."""

    def __init__(self, scene: Scene, going_on: GoingOn) -> None:
        """Acts on a scene, and has another one go on."""
        self._scene = scene
        self._going_on = going_on

    def answer(self, rest: str) -> GoOn | None:
        """Answers a question."""
        questions, pauses = self._scene.questions(), self._scene.standing.pauses
        if not questions:
            raise CommandError("nothing is asked here")
        number, _, after = rest.partition(" ")
        numbered = [
            pause
            for place, pause in enumerate(pauses, 1)
            if str(place) == number and len(pauses) > 1
        ]
        if numbered:
            [pause], text = numbered, after
            if pause not in questions:
                raise CommandError(f"nothing is asked {where(pause)}")
        elif len(questions) == 1:
            pause, text = questions[0], rest
        else:
            raise CommandError("which of the questions? By its number, as in: answer 2 yes")
        given = read_answer(pause, text) if text else self._going_on.ask_answer(pause)
        self._scene.verdicts.answers[pause.pause_id] = given
        return self._go_on_if_complete()

    def approve(self, rest: str) -> GoOn | None:
        """Lets a tool call run, as it was edited, or all that nothing else was decided on."""
        calls, verdicts = self._scene.calls(), self._scene.verdicts
        if not calls:
            raise CommandError("no tool call waits here: continue goes on")
        if rest:
            waiting, after = self._call(rest, "approve 1")
            nothing_after(after)
            verdicts.approve(waiting)
            return self._go_on_if_complete()
        for waiting in calls:
            if verdicts.decision(waiting) is None or isinstance(verdicts.decision(waiting), Edit):
                verdicts.approve(waiting)
        return self._go_on_if_complete()

    def reject(self, rest: str) -> GoOn | None:
        """Keeps a call from running."""
        waiting, message = self._call(rest, "reject 1 too dear")
        return self._decide(waiting, Reject(message))

    def respond(self, rest: str) -> GoOn | None:
        """Answers in the tool's place."""
        waiting, text = self._call(rest, "respond 1 it is sunny")
        if not text:
            raise CommandError("respond with what? Text, or JSON, as in: respond 1 it is sunny")
        return self._decide(waiting, Respond(json_or_text(text)))

    def edit(self, rest: str) -> None:
        """Edits the arguments of a call in the editor; does not go on by itself."""
        waiting, after = self._call(rest, "edit 1")
        nothing_after(after)
        verdicts = self._scene.verdicts
        decision = verdicts.decision(waiting)
        args = decision.args if isinstance(decision, Edit) else waiting.call.args
        wanted = edited(self._scene, args, "arguments", _arguments)
        if wanted == args:
            self._scene.say("nothing was changed", "dim")
            return
        verdicts.decide(waiting, Edit(wanted))
        self._say_what_is_kept()

    def use(self, rest: str) -> GoOn | None:
        """Chooses the pauses that commands are about."""
        scene, pauses = self._scene, self._scene.standing.pauses
        numbers = rest.replace(",", " ").split()
        if numbers == ["all"]:
            scene.select()
        elif numbers and all(n.isdecimal() and 1 <= int(n) <= len(pauses) for n in numbers):
            scene.select(*(pauses[int(number) - 1].pause_id for number in numbers))
        else:
            raise CommandError(f"use which pauses? Numbers from 1 to {len(pauses)}, or all")
        screen.show_pauses(scene.console, pauses, scene.selected_pauses(), scene.verdicts)
        scene.show_calls()
        return None

    def _call(self, rest: str, example: str) -> tuple[WaitingCall, str]:
        """Returns the call that is meant, and what else was typed; a single one needs no number."""
        calls = self._scene.calls()
        if not calls:
            raise CommandError("no tool call waits here")
        number, _, after = rest.partition(" ")
        if number.isdecimal() and 1 <= int(number) <= len(calls):
            return calls[int(number) - 1], after.strip()
        if len(calls) == 1 and not number.isdecimal():
            return calls[0], rest
        raise CommandError(f"which call, 1 to {len(calls)}? As in: {example}")

    def _decide(self, waiting: WaitingCall, decision: Decision) -> GoOn | None:
        self._scene.verdicts.decide(waiting, decision)
        return self._go_on_if_complete()

    def _go_on_if_complete(self) -> GoOn | None:
        """Goes on as soon as there is a verdict on all that waits, and a yes to what was edited."""
        scene = self._scene
        complete = scene.verdicts.complete(scene.selected_pauses())
        if complete and scene.verdicts.confirmed(scene.calls()):
            return self._going_on.go_on()
        self._say_what_is_kept()
        return None

    def _say_what_is_kept(self) -> None:
        scene = self._scene
        scene.show_calls()
        left = [p for p in scene.questions() if p.pause_id not in scene.verdicts.answers]
        if left:
            scene.say(f"not answered yet: {', '.join(map(where, left))}", "dim")
        elif undecided := scene.undecided_calls():
            asked = listed(undecided)
            scene.say(f"kept: continue asks about {asked}, approve lets the rest run", "dim")
        elif not scene.verdicts.confirmed(scene.calls()):
            scene.say("kept: continue runs it as edited", "dim")
        else:
            scene.say("kept: continue sends it, and lets all else go on as it is", "dim")


def _arguments(saved: Any) -> dict[str, Any]:
    """Returns what was saved as the arguments of a call."""
    if not isinstance(saved, dict):
        raise CommandError('the arguments are a JSON object, such as {"city": "Paris"}')
    return saved
