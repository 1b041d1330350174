"""A thread at a terminal: follows its runs, and asks at each pause."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from graphwire import Breakpoint, Client, Resume, RunStream
from graphwire.enums import PauseKind, RunStatus, StreamMode, ThreadStatus
from graphwire.errors import GraphwireError
from graphwire.values import Pause, Run
from rich.console import Console

from graphwire_server.cli.connection import Connection
from graphwire_server.cli.console import fail, say
from graphwire_server.cli.debugger.commands import GoOn
from graphwire_server.cli.debugger.prompt import LOST, Prompt
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.follow import Outcome, exit_code, follow
from graphwire_server.cli.pauses import where
from graphwire_server.cli.view import HumanView

#: For people also tasks: the line of progress says which node runs.
MODES_FOR_PEOPLE = (
    StreamMode.UPDATES,
    StreamMode.MESSAGES,
    StreamMode.CUSTOM,
    StreamMode.TASKS,
)
_ACTIVE = (RunStatus.PENDING, RunStatus.RUNNING)


class Debugger:
    """Follows the runs of a thread, and asks at each pause how it goes on."""

    def __init__(
        self,
        client: Client,
        connection: Connection,
        console: Console,
        *,
        modes: Sequence[StreamMode] = (),
        approve: bool = False,
        stateless: bool = False,
        prompt: Prompt | None = None,
    ) -> None:
        """Prepares it.

        Args:
            client: The client.
            connection: The connection, for the commands that are suggested.
            console: Where it writes.
            modes: The stream modes that were asked for.
            approve: Go on at breakpoints without asking.
            stateless: Whether the thread goes with its last run.
            prompt: Asks; None: one of its own does.
        """
        self.prompt = prompt or Prompt(console, client)
        self._client = client
        self._connection = connection
        self._console = console
        self._modes = modes
        self._approve = approve
        self._stateless = stateless
        self._shown: set[str] = set()

    def follow(self, stream: RunStream, *, goes_on: bool = False) -> Outcome:
        """Shows a run to its end; Ctrl-C pauses it, and a second one leaves it to that.

        Raises:
            ConnectionLostError: The server is not there any more; with the `thread_id`, if that
                is known.
            ShuttingDownError: The same.
        """
        view = HumanView(
            self._console,
            self._modes,
            goes_on=goes_on,
            note="Ctrl-C pauses it",
            shown=self._shown,
        )
        try:
            return follow(stream, view, self._connection, pause=self._client.runs.pause)
        except LOST as error:
            if stream.thread_id:
                error.metadata["thread_id"] = stream.thread_id
            raise

    def go_on_from(self, outcome: Outcome) -> ExitCode:
        """Goes on from how a run has ended, to the end of the last one."""
        while outcome.status is RunStatus.INTERRUPTED:
            following = self._next(outcome)
            if following is None:
                return self._leave(outcome.thread_id)
            outcome = following
        kept = outcome.thread_id and not self._stateless
        back = self._connection.command("attach", outcome.thread_id) if kept else ""
        return exit_code(outcome, back=back)

    def go_on(self, thread_id: str) -> ExitCode:
        """Asks how a paused thread goes on, to the end of its last run."""
        outcome = self._ask(thread_id)
        return self._leave(thread_id) if outcome is None else self.go_on_from(outcome)

    def attach(self, thread_id: str) -> ExitCode:
        """Joins a thread, and stays when its runs have ended, until the person leaves."""
        while (outcome := self._ask(thread_id)) is not None:
            exit_code(outcome)
        return self._leave(thread_id)

    def _next(self, outcome: Outcome) -> Outcome | None:
        asks = any(pause.kind is PauseKind.INTERRUPT for pause in outcome.pauses)
        if self._approve and not asks:
            resume = Resume(
                pause_ids=[pause.pause_id for pause in outcome.pauses],
                expected_checkpoint_id=outcome.checkpoint_id,
            )
            return self.run(outcome.thread_id, GoOn(resume))
        return self._ask(outcome.thread_id)

    def _ask(self, thread_id: str) -> Outcome | None:
        """Asks how a thread goes on until a run of it has begun, and follows that to its end.

        Before it asks, it shows what others have set going.
        """
        self._watch(thread_id)
        while (going := self._asked(thread_id)) is not None:
            if going.watches:
                self._watch(thread_id)
                continue
            try:
                return self.run(thread_id, going)
            except LOST:
                # Whether it has begun is not known. Whatever is sent anew is for what waits.
                if not self.prompt.lost(thread_id):
                    raise
                continue
            except GraphwireError as error:
                # Refused: nothing has begun, and the person may try something else.
                self.prompt.refused(error)
            self._watch(thread_id)
        return None

    def _asked(self, thread_id: str) -> GoOn | None:
        """Returns what the person wants, who may have seen the thread when the server was there."""
        while True:
            try:
                return self.prompt.ask(thread_id)
            except LOST:
                if not self.prompt.lost(thread_id):
                    raise

    def _watch(self, thread_id: str) -> None:
        try:
            self.watch(thread_id)
        except LOST:
            if not self.prompt.lost(thread_id):
                raise

    def watch(self, thread_id: str) -> None:
        """Shows the runs that are at work on a thread, one after the other, to the last end."""
        while (run := self._at_work(thread_id)) is not None:
            exit_code(self.follow(self._client.runs.join(run.run_id)))

    def _at_work(self, thread_id: str) -> Run | None:
        """Returns the run that executes, or is to be the next; None if the thread waits or rests.

        What is queued behind a pause does not count: it waits until that is answered.
        """
        if self._client.threads.get(thread_id).status is not ThreadStatus.BUSY:
            return None
        active = list(self._client.runs.list(thread_id, statuses=_ACTIVE))
        running = [run for run in active if run.status is RunStatus.RUNNING]
        # The newest come first.
        return next(iter(running or reversed(active)), None)

    def run(self, thread_id: str, going: GoOn) -> Outcome:
        """Runs what a person has asked for, and shows it to its end."""
        # A stream waits long for a server that is gone; the person hears of it at the prompt.
        self._client.threads.get(thread_id)
        options = going.options
        stop = stop_at_start() if going.stops_at_start else None
        if going.resume is None:
            options = {**options, "stream_modes": MODES_FOR_PEOPLE}
        if going.breakpoints:
            options = {**options, "breakpoints": going.breakpoints}
        if stop is not None:
            options = {**options, "breakpoints": [*going.breakpoints, stop]}
        stream = self._client.runs.stream(
            thread_id, going.assistant_id, resume=going.resume, input=going.input, **options
        )
        outcome = self.follow(stream, goes_on=True)
        if stop is not None and outcome.status is RunStatus.INTERRUPTED:
            self._client.runs.remove_breakpoints(outcome.run_id, stop.breakpoint_id)
        return outcome

    def _leave(self, thread_id: str) -> ExitCode:
        try:
            pauses = self._client.threads.get(thread_id).pauses
        except LOST:
            fail(
                f"no server at {self._connection.target}; to come back to the thread:",
                ExitCode.UNAVAILABLE,
                detail=self._connection.command("attach", thread_id),
            )
        if not pauses:
            return ExitCode.OK
        explain_leaving(self._connection, thread_id, pauses)
        return ExitCode.PAUSED


def stop_at_start() -> Breakpoint:
    """Returns a breakpoint at which a run pauses before its first nodes; to be removed there."""
    return Breakpoint("*", breakpoint_id=f"start-{uuid4()}")


def explain_leaving(connection: Connection, thread_id: str, pauses: Sequence[Pause]) -> None:
    """Says on stderr that a thread stays paused, and how to come back."""
    places = ", ".join(where(pause) for pause in pauses)
    say(f"the thread stays paused {places}; to come back:", connection.command("attach", thread_id))
