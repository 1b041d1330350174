"""Commands about the breakpoints of the run that a thread is paused in."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from graphwire import Breakpoint
from graphwire.enums import BreakpointSource
from graphwire.errors import RunEndedError
from rich.text import Text

from graphwire_server.cli.breakspec import breakpoint_text, read_breakpoint
from graphwire_server.cli.debugger import screen
from graphwire_server.cli.debugger.commands import CommandError, GoOn, nothing_after
from graphwire_server.cli.debugger.scene import Scene


class Breakpoints:
    """Lists, sets and deletes them. Numbers are those of the list."""

    def __init__(self, scene: Scene) -> None:
        """Acts on a scene."""
        self._scene = scene
        self._listed: list[Breakpoint] = []

    def show(self, rest: str) -> GoOn | None:
        """Lists them."""
        nothing_after(rest)
        self._list()
        if not self._listed:
            self._scene.say("there are none: break NODE adds one", "dim")
        for number, each in enumerate(self._listed, 1):
            row = Text(f"{number}  ", style="bold")
            row.append(breakpoint_text(each), "")
            row.stylize("not bold", len(str(number)))
            details = [f"“{each.label}”"] if each.label else []
            if each.skip_first:
                details.append(f"skips the first {each.skip_first}")
            if each.source is not BreakpointSource.RUN and each.source is not None:
                details.append(screen.SET_BY.get(each.source, ""))
            if each in self._scene.planned:
                details.append("set for the next run")
            if details:
                row.append(f"  {', '.join(details)}", "dim")
            self._scene.console.print(row, soft_wrap=True)
        return None

    def set(self, rest: str) -> GoOn | None:
        """Sets one; without words, lists them."""
        if not rest:
            return self.show("")
        scene, wanted = self._scene, read_breakpoint(rest)
        try:
            [added] = scene.client.runs.add_breakpoints(self._run_id(), wanted)
            scene.say(f"set: {breakpoint_text(added)}", "dim")
        except RunEndedError:
            scene.planned.append(replace(wanted, breakpoint_id=str(uuid4())))
            scene.say(f"set for the next run: {breakpoint_text(wanted)}", "dim")
        self._listed = []
        return None

    def delete(self, rest: str) -> GoOn | None:
        """Deletes one of the run's own."""
        if not rest:
            raise CommandError("delete which breakpoint? By its number in `breakpoints`, or its id")
        runs, run_id = self._scene.client.runs, self._run_id()
        breakpoint_id, text = rest, rest
        if rest.isdecimal():
            if not self._listed:
                self._list()
            if not 1 <= int(rest) <= len(self._listed):
                raise CommandError(f"there is no breakpoint {rest}")
            meant = self._listed[int(rest) - 1]
            if meant not in self._scene.planned and meant.source is not BreakpointSource.RUN:
                source = screen.SET_BY.get(meant.source, "not of the run") if meant.source else ""
                raise CommandError(f"it is {source}: it can't be taken away from here")
            breakpoint_id, text = meant.breakpoint_id, breakpoint_text(meant)
        planned = self._scene.planned
        left = [each for each in planned if each.breakpoint_id != breakpoint_id]
        if len(left) == len(planned):
            runs.remove_breakpoints(run_id, breakpoint_id)
        self._scene.planned = left
        self._scene.say(f"deleted: {text}", "dim")
        self._listed = []
        return None

    def _list(self) -> None:
        there = self._scene.client.runs.breakpoints(self._run_id())
        self._listed = [*there, *self._scene.planned]

    def _run_id(self) -> str:
        run = self._scene.standing.run
        if run is None:
            raise CommandError("nothing has run on this thread yet")
        return run.run_id
