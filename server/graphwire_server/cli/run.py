"""`graphwire run`: starts a run, shows it, and goes on at its pauses."""

from __future__ import annotations

from collections.abc import Sequence

from graphwire import Client
from graphwire.enums import PauseKind, RunStatus, StreamMode
from graphwire.start import NOT_GIVEN, Resume
from graphwire.values import Pause

from graphwire_server.cli.connection import Connection
from graphwire_server.cli.console import at_terminal, fail, out, say
from graphwire_server.cli.exit_codes import ExitCode
from graphwire_server.cli.follow import exit_code, follow
from graphwire_server.cli.pauses import pending_calls, show_pauses, where
from graphwire_server.cli.prompt import Stopped, ask_how_to_resume
from graphwire_server.cli.start import Start, nothing_to_run
from graphwire_server.cli.view import HumanView, JsonView, View

_MODES = (StreamMode.UPDATES, StreamMode.MESSAGES, StreamMode.CUSTOM)
#: For people also tasks: the line of progress says which node runs.
_MODES_FOR_PEOPLE = (*_MODES, StreamMode.TASKS)


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
        if start.lone_word and start.lone_word in _assistants(self._client):
            nothing_to_run()
        modes = start.options.get("stream_modes")
        self._modes = [StreamMode(mode) for mode in modes] if modes else ()
        thread_id = self._thread(start)
        resume = start.resume
        if resume is not None and self._prompt and thread_id is not None:
            resume = self._completed(thread_id, resume)
            if resume is None:
                return ExitCode.PAUSED
        options = start.options
        if resume is None and not modes:
            default = _MODES if self._as_json else _MODES_FOR_PEOPLE
            options = {**options, "stream_modes": default}
        try:
            stream = self._client.runs.stream(
                thread_id,
                self._assistant(start, thread_id),
                input=start.input if resume is None else NOT_GIVEN,
                resume=resume,
                **options,
            )
        except (TypeError, ValueError) as error:
            fail(str(error), ExitCode.USAGE)
        outcome = follow(stream, self._view(), self._connection)
        while outcome.status is RunStatus.INTERRUPTED:
            next_resume = self._next(outcome.thread_id, outcome.pauses, outcome.checkpoint_id)
            if next_resume is None:
                return ExitCode.PAUSED
            stream = self._client.runs.stream(outcome.thread_id, resume=next_resume)
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

    def _completed(self, thread_id: str, resume: Resume) -> Resume | None:
        """Asks for the answers that a resume lacks."""
        if resume.answer is not NOT_GIVEN or resume.answers or resume.pause_ids:
            return resume
        thread = self._client.threads.get(thread_id)
        if all(pause.kind is not PauseKind.INTERRUPT for pause in thread.pauses):
            return resume
        return self._next(thread_id, thread.pauses, thread.checkpoint_id)

    def _next(self, thread_id: str, pauses: Sequence[Pause], checkpoint_id: str) -> Resume | None:
        """Returns how to go on at a pause; None: not now."""
        asks = any(pause.kind is PauseKind.INTERRUPT for pause in pauses)
        if self._approve and not asks:
            return Resume(
                pause_ids=[pause.pause_id for pause in pauses],
                expected_checkpoint_id=checkpoint_id,
            )
        if self._prompt:
            try:
                return ask_how_to_resume(self._console, self._client, thread_id)
            except Stopped:
                pass
        elif not self._as_json:
            state = self._client.threads.state(thread_id)
            show_pauses(self._console, pauses, pending_calls(state.values, pauses))
        explain_pause(self._connection, thread_id, pauses)
        return None


def explain_pause(connection: Connection, thread_id: str, pauses: Sequence[Pause]) -> None:
    """Says on stderr where a thread is paused, and by which command it goes on."""
    questions = [pause for pause in pauses if pause.kind is PauseKind.INTERRUPT]
    words = ["run", "--thread", thread_id, "--resume"]
    if questions:
        named = [pause.pause_id for pause in pauses if pause not in questions]
        words += [word for pause_id in named for word in ("--pause", pause_id)]
    if len(questions) == 1:
        words += ["--answer", "ANSWER"]
    elif questions:
        inside = ", ".join(f'"{pause.pause_id}": ANSWER' for pause in questions)
        words += ["--answers", f"{{{inside}}}"]
    say(
        f"paused {', '.join(where(pause) for pause in pauses)}; to go on:",
        connection.command(*words),
    )


def only_assistant(client: Client) -> str:
    """Returns the only assistant of the server; exits, naming them, if there are several."""
    names = _assistants(client)
    if len(names) != 1:
        fail(f"which assistant? There are: {', '.join(names)}", ExitCode.USAGE)
    return names[0]


def _assistants(client: Client) -> list[str]:
    return [assistant.assistant_id for assistant in client.assistants.list()]
