"""`graphwire run`: starts a run, shows it, and goes on at its pauses."""

from __future__ import annotations

from collections.abc import Sequence

from graphwire import Client
from graphwire.enums import PauseKind, RunStatus, StreamMode
from graphwire.errors import ThreadNotFoundError
from graphwire.start import NOT_GIVEN, Resume
from graphwire.values import Pause

from graphwire_server.cli.connection import Connection
from graphwire_server.cli.console import at_terminal, fail, out, say
from graphwire_server.cli.debugger.session import MODES_FOR_PEOPLE, Debugger, stop_at_start
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.follow import Outcome, exit_code, follow
from graphwire_server.cli.message import compact
from graphwire_server.cli.pauses import sent, show_pauses, where
from graphwire_server.cli.start import Start, nothing_to_run
from graphwire_server.cli.view import HumanView, JsonView, View

_MODES = (StreamMode.UPDATES, StreamMode.MESSAGES, StreamMode.CUSTOM)
#: How much of a question stands beside its id, in characters.
_ASKED = 80


class RunSession:
    """One `graphwire run`, over as many runs as its pauses make of it."""

    def __init__(
        self, client: Client, connection: Connection, *, as_json: bool, prompt: bool, approve: bool
    ) -> None:
        """Prepares it.

        Args:
            client: The client.
            connection: The connection, for the commands that are suggested.
            as_json: Write events as JSON, and never prompt.
            prompt: Ask at a pause, if there is somebody at a terminal.
            approve: Go on at breakpoints without asking.
        """
        self._client = client
        self._connection = connection
        self._as_json = as_json
        self._prompt = prompt and at_terminal() and not as_json
        self._approve = approve
        self._console = out()
        self._modes: Sequence[StreamMode] = ()
        self._shown: set[str] = set()

    def run(self, start: Start) -> ExitCode:
        """Runs to the end, or to a pause at which it does not go on."""
        try:
            return self._run(start)
        except ThreadNotFoundError as error:
            # With a run id, it was there and was deleted meanwhile.
            begun = error.metadata.get("run_id", "")
            if start.resume is not None or start.options.get("checkpoint_id") or begun:
                raise
            fail(f"{error}: --create makes it [{error.reason}]", ExitCode.FAILED)

    def _run(self, start: Start) -> ExitCode:
        if start.lone_word and start.lone_word in _assistants(self._client):
            nothing_to_run()
        modes = start.options.get("stream_modes")
        self._modes = [StreamMode(mode) for mode in modes] if modes else ()
        thread_id = self._thread(start)
        debugger = Debugger(
            self._client,
            self._connection,
            self._console,
            modes=self._modes,
            approve=self._approve,
            stateless=start.stateless,
        )
        if self._prompt and start.thread_id is not None:
            self._remember(debugger, start)
        if self._prompt and thread_id is not None and self._lacks_answers(thread_id, start.resume):
            return debugger.go_on(thread_id)
        options = start.options
        if start.resume is None and not modes:
            default = _MODES if self._as_json else MODES_FOR_PEOPLE
            options = {**options, "stream_modes": default}
        stop = stop_at_start() if start.stops_at_start else None
        breakpoints = [*start.breakpoints, *([stop] if stop is not None else [])]
        if breakpoints:
            options = {**options, "breakpoints": breakpoints}
        if self._prompt and (stop or any("/" in each.node for each in breakpoints)):
            # Who stops in a subgraph wants to see what happens there.
            options = {**options, "stream_subgraphs": True}
        try:
            stream = self._client.runs.stream(
                thread_id,
                self._assistant(start, thread_id),
                input=start.input if start.resume is None else NOT_GIVEN,
                resume=start.resume,
                **options,
            )
        except (TypeError, ValueError) as error:
            fail(str(error), ExitCode.USAGE)
        if self._prompt:
            outcome = debugger.follow(stream)
        else:
            outcome = follow(stream, self._view(), self._connection)
        paused = outcome.status is RunStatus.INTERRUPTED
        if stop is not None and paused:
            self._client.runs.remove_breakpoints(outcome.run_id, stop.breakpoint_id)
        if self._prompt:
            return debugger.go_on_from(outcome)
        return self._end(outcome)

    def _end(self, outcome: Outcome) -> ExitCode:
        """Goes on by itself where it may, and says how to go on where it may not."""
        while outcome.status is RunStatus.INTERRUPTED:
            pauses = outcome.pauses
            asks = any(pause.kind is PauseKind.INTERRUPT for pause in pauses)
            if not self._approve or asks:
                if not self._as_json:
                    show_pauses(self._console, pauses)
                explain_pause(self._connection, outcome.thread_id, pauses)
                return ExitCode.PAUSED
            resume = Resume(
                pause_ids=[pause.pause_id for pause in pauses],
                expected_checkpoint_id=outcome.checkpoint_id,
            )
            stream = self._client.runs.stream(outcome.thread_id, resume=resume)
            outcome = follow(stream, self._view(goes_on=True), self._connection)
        return exit_code(outcome)

    def _view(self, *, goes_on: bool = False) -> View:
        if self._as_json:
            return JsonView()
        return HumanView(self._console, self._modes, goes_on=goes_on, shown=self._shown)

    def _thread(self, start: Start) -> str | None:
        if start.stateless:
            return None
        return start.thread_id or self._client.threads.create().thread_id

    def _assistant(self, start: Start, thread_id: str | None) -> str:
        if start.assistant_id or start.resume is not None:
            return start.assistant_id
        creates = start.options.get("if_not_exists") is not None
        if thread_id is not None and start.thread_id is not None and not creates:
            known = self._client.threads.get(thread_id).assistant_id
            if known:
                return known
        return only_assistant(self._client)

    def _lacks_answers(self, thread_id: str, resume: Resume | None) -> bool:
        """Tells whether a resume has to be asked for the answers that it needs."""
        if resume is None or resume.answer is not NOT_GIVEN or resume.answers or resume.pause_ids:
            return False
        pauses = self._client.threads.get(thread_id).pauses
        return any(pause.kind is PauseKind.INTERRUPT for pause in pauses)

    def _remember(self, debugger: Debugger, start: Start) -> None:
        """Takes the state from which a run begins, to tell what has changed at its first pause."""
        assert start.thread_id is not None
        try:
            state = self._client.threads.state(start.thread_id)
        except ThreadNotFoundError:
            return  # it may be created by the run
        debugger.prompt.remember(state.values)


def explain_pause(connection: Connection, thread_id: str, pauses: Sequence[Pause]) -> None:
    """Says on stderr by which command a paused thread goes on; where it is paused is on stdout.

    The command names the pauses: it is for what was shown, and for nothing that waits later.
    """
    questions = [pause for pause in pauses if pause.kind is PauseKind.INTERRUPT]
    # A plain answer goes to the only question there is, and only if that is the one named.
    named = pauses if len(questions) < 2 else [pause for pause in pauses if pause not in questions]
    words = ["run", "--thread", thread_id, "--resume"]
    words += [word for pause in named for word in ("--pause", pause.pause_id)]
    if len(questions) == 1:
        words += ["--answer", "ANSWER"]
    elif questions:
        inside = ", ".join(f'"{pause.pause_id}": ANSWER' for pause in questions)
        words += ["--answers", f"{{{inside}}}"]
    if len(questions) < 2:
        say("to go on:", connection.command(*words))
    else:
        asked = [f"{pause.pause_id}  {_asked(pause)}" for pause in questions]
        say("to go on, with an answer to each question:", *asked, connection.command(*words))


def _asked(pause: Pause) -> str:
    """Returns on one line what a node asks, by which questions are told apart."""
    value = pause.value if isinstance(pause.value, str) else compact(pause.value)
    line = " ".join([f"{where(pause)}:", *value.split()])
    line = line if len(line) <= _ASKED else f"{line[: _ASKED - 1]}…"
    return "  ".join([line, *(row.plain for row in sent(pause))])


def only_assistant(client: Client) -> str:
    """Returns the only assistant of the server; exits, naming them, if there are several."""
    names = _assistants(client)
    if len(names) != 1:
        fail(f"which assistant? There are: {', '.join(names)}", ExitCode.USAGE)
    return names[0]


def _assistants(client: Client) -> list[str]:
    return [assistant.assistant_id for assistant in client.assistants.list()]
